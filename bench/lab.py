#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Network labs: namespaces joined by veth pairs, for the demo, the tests and the benchmarks.

    with Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        lab.link(a, "left", b, "right", queues=4, addresses=("10.77.0.1/24", "10.77.0.2/24"), quiet=True)
        dump = b.popen(["tcpdump", "-i", "right", "-w", "out.pcap"])
        a.run(["retina-traffic", "send", "-i", "left", "--count", "1000"])

Leaving the block ends the processes that popen() started, then deletes the namespaces, the links in them and the cgroups: also after
an exception, SIGTERM or SIGINT. Names carry the process id, so labs of several processes do not meet. Nothing
outside the lab's own namespaces is touched.

Commands enter a namespace with nsenter(1), not `ip netns exec`: that would remount /sys and hide the BPF file system.
"""

import argparse
import atexit
import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time

NETNS = "/run/netns"
CGROUP = "/sys/fs/cgroup"
STANDING = "rxlab-"  # prefix of labs made by hand: lab.py up NAME
_numbers = itertools.count()


class Unavailable(Exception):
    """This machine can't do it; the message says what is missing."""


def _ip(*args, check=True):
    return subprocess.run(["ip", *args], check=check, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=None if check else subprocess.DEVNULL).stdout


class Namespace:
    """A network namespace. Made by Lab.namespace()."""

    def __init__(self, name):
        self.name = name
        self.path = f"{NETNS}/{name}"
        self._processes = []

    def command(self, argv):
        """argv as it has to be run to be inside."""
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def run(self, argv, **kw):
        """subprocess.run() inside; like there, a failure only raises with check=True."""
        return subprocess.run(self.command(argv), **kw)

    def output(self, argv, **kw):
        """Standard output of a command inside, as text; a failure raises."""
        return self.run(argv, check=True, text=True, stdout=subprocess.PIPE, **kw).stdout

    def popen(self, argv, **kw):
        """subprocess.Popen() inside; ended with the lab. nsenter execs: the pid is the command's."""
        process = subprocess.Popen(self.command(argv), **kw)
        self._processes.append(process)
        return process

    def ip(self, *args):
        return self.output(["ip", *args])

    def _link(self, interface):
        return json.loads(self.ip("-s", "-j", "link", "show", "dev", interface))[0]

    def ifindex(self, interface):
        return self._link(interface)["ifindex"]

    def mac(self, interface):
        return self._link(interface)["address"]

    def counters(self, interface):
        """{"rx": {"packets":, "bytes":, "errors":, "dropped":, ...}, "tx": {...}}"""
        return self._link(interface)["stats64"]

    def end_processes(self):
        running = [p for p in self._processes if p.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + 3
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


class Quota:
    """A cgroup v1 of its own in the cpu, cpuacct and memory hierarchies. Made by Lab.cpu_quota()."""

    PERIOD_US = 100000

    def __init__(self, name, percent, memory_bytes):
        self.percent = percent
        self.memory_bytes = memory_bytes
        self._paths = {}
        wanted = ["cpu", "cpuacct"] + (["memory"] if memory_bytes else [])
        try:
            for controller in wanted:
                path = f"{CGROUP}/{controller}/{name}"
                os.mkdir(path)
                self._paths[controller] = path
            self._write("cpu", "cpu.cfs_period_us", self.PERIOD_US)
            if percent:
                self._write("cpu", "cpu.cfs_quota_us", int(self.PERIOD_US * percent / 100))
            if memory_bytes:
                self._write("memory", "memory.limit_in_bytes", memory_bytes)
        except OSError as error:
            self.remove()
            raise Unavailable(f"no cgroup v1 with cpu and memory limits: {error}") from error

    def _write(self, controller, file, value):
        with open(f"{self._paths[controller]}/{file}", "w", encoding="ascii") as f:
            f.write(str(value))

    def _read(self, controller, file):
        with open(f"{self._paths[controller]}/{file}", encoding="ascii") as f:
            return f.read()

    def add(self, pid):
        """Put a running process in; its children follow. Its memory use counts from here on."""
        for controller in self._paths:
            self._write(controller, "cgroup.procs", pid)

    def enter(self):
        """For preexec_fn=: the process is limited from its first instruction."""
        self.add(os.getpid())

    def usage(self):
        """cpu_ns, periods, throttled (periods), throttled_ns, memory_max_bytes (None without a limit), oom_kills"""
        stat = dict(line.split() for line in self._read("cpu", "cpu.stat").splitlines())
        result = {
            "cpu_ns": int(self._read("cpuacct", "cpuacct.usage")),
            "periods": int(stat["nr_periods"]),
            "throttled": int(stat["nr_throttled"]),
            "throttled_ns": int(stat["throttled_time"]),
            "memory_max_bytes": None,
            "oom_kills": 0,
        }
        if "memory" in self._paths:
            result["memory_max_bytes"] = int(self._read("memory", "memory.max_usage_in_bytes"))
            oom = re.search(r"^oom_kill (\d+)", self._read("memory", "memory.oom_control"), re.M)
            result["oom_kills"] = int(oom.group(1)) if oom else 0
        return result

    def remove(self):
        """End what still runs inside, and delete the groups. What it returned before stays valid."""
        for controller, path in list(self._paths.items()):
            deadline = time.monotonic() + 3
            while os.path.isdir(path):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
                    break
                for pid in self._read(controller, "cgroup.procs").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            del self._paths[controller]


class Lab:
    """Owner of everything it made. Use it as a context manager, from the main thread if signals are to clean up."""

    def __init__(self, prefix=None):
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        self.prefix = prefix or f"rx{os.getpid()}-{next(_numbers)}-"
        self._namespaces = []
        self._quotas = []
        self._handlers = {}

    def __enter__(self):
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not the main thread
                self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave half of it behind.
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)
        self.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
        atexit.unregister(self.close)

    def _on_signal(self, number, _frame):
        # Clean up here: unittest, for one, swallows SystemExit and would go on.
        self.__exit__()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    def close(self):
        for ns in self._namespaces:
            ns.end_processes()
        for quota in self._quotas:
            quota.remove()
        self._quotas.clear()
        for ns in self._namespaces:
            # The links are in the namespace; they go with it, at once instead of when the kernel gets to it.
            for link in self._links(ns):
                subprocess.run(ns.command(["ip", "link", "delete", link]), stderr=subprocess.DEVNULL, check=False)
            _ip("netns", "delete", ns.name, check=False)
        self._namespaces.clear()

    @staticmethod
    def _links(ns):
        shown = subprocess.run(ns.command(["ip", "-j", "link", "show", "type", "veth"]), text=True, check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return [link["ifname"] for link in json.loads(shown or "[]") if "ifname" in link]

    def namespace(self, name):
        """A new namespace with its loopback up."""
        ns = Namespace(self.prefix + name)
        self._namespaces.append(ns)  # first: a half-made one must be deleted too
        _ip("netns", "add", ns.name)
        ns.ip("link", "set", "lo", "up")
        return ns

    def link(self, ns_a, name_a, ns_b, name_b, *, queues=1, mtu=1500, addresses=None, addresses6=None,
             gro=None, quiet=False):
        """Join two namespaces with a veth pair, up on both sides.

        queues       transmit and receive queues of each side
        addresses    ("10.77.0.1/24", "10.77.0.2/24"), or None; addresses6 likewise
        gro          True or False: set generic receive offload on both sides (veth's NAPI: what receives
                     live or redirected frames without an XDP program needs it); None: leave it (off)
        quiet        no background packets at all: no IPv6 unless addresses6, no multicast reports, neighbours
                     entered by hand. An idle link then stays at zero.
        """
        queue_args = ["numtxqueues", str(queues), "numrxqueues", str(queues)]
        ns_a.ip("link", "add", "name", name_a, "mtu", str(mtu), *queue_args, "type", "veth",
                "peer", "name", name_b, "netns", ns_b.name, "mtu", str(mtu), *queue_args)
        sides = ((ns_a, name_a, 0), (ns_b, name_b, 1))
        for ns, name, side in sides:
            self._prepare_ipv6(ns, name, quiet, bool(addresses6))
            if quiet:
                # Without ARP there is no solicited-node group to report either; neighbours are entered below.
                ns.ip("link", "set", "dev", name, "arp", "off")
            if gro is not None:
                ns.output(["ethtool", "-K", name, "gro", "on" if gro else "off"])
            for pair in (addresses, addresses6):
                if pair:
                    nodad = ["nodad"] if ":" in pair[side] else []
                    ns.ip("address", "add", pair[side], "dev", name, *nodad)
        if quiet:
            for (ns, name, _), (peer, peer_name, peer_side) in zip(sides, reversed(sides)):
                for pair in (addresses, addresses6):
                    if pair:
                        ns.ip("neighbour", "replace", pair[peer_side].split("/")[0], "lladdr", peer.mac(peer_name),
                              "nud", "permanent", "dev", name)
        for ns, name, _ in sides:
            ns.ip("link", "set", "dev", name, "up")
        self._wait_up(sides)

    @staticmethod
    def _prepare_ipv6(ns, name, quiet, addressed):
        settings = {"accept_dad": 0, "dad_transmits": 0, "router_solicitations": 0, "accept_ra": 0}
        if quiet and not addressed:
            settings["disable_ipv6"] = 1
        elif quiet:
            settings["addr_gen_mode"] = 1  # no link-local address: nothing to announce
        # Settings exist only where the kernel has IPv6. The shell is there because /proc/sys/net is the reader's namespace's.
        script = "cd /proc/sys/net/ipv6/conf/$0 2>/dev/null || exit 0; for s; do echo ${s#*=} > ${s%%=*}; done"
        ns.output(["sh", "-c", script, name, *(f"{key}={value}" for key, value in settings.items())])

    @staticmethod
    def _wait_up(sides):
        deadline = time.monotonic() + 3
        for ns, name, _ in sides:
            while ns._link(name)["operstate"] != "UP":
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} in {ns.name} does not come up")
                time.sleep(0.01)

    @contextlib.contextmanager
    def cpu_quota(self, percent, memory_bytes=None):
        """A cgroup with `percent` of one CPU and so much memory. Raises Unavailable where that can't be had.

            with lab.cpu_quota(10, 300 << 20) as quota:
                p = ns.popen([...], preexec_fn=quota.enter)     # or quota.add(pid)
                ...
                print(quota.usage())
        """
        quota = Quota(f"{self.prefix}{next(_numbers)}", percent, memory_bytes)
        self._quotas.append(quota)
        try:
            yield quota
        finally:
            quota.remove()
            if quota in self._quotas:  # not after a signal
                self._quotas.remove(quota)


def _standing():
    """Names of the labs made by hand."""
    names = os.listdir(NETNS) if os.path.isdir(NETNS) else []
    return sorted({m.group(1) for m in (re.fullmatch(STANDING + r"(\w+)-[ab]", name) for name in names) if m})


def _up(name, queues, mtu):
    lab = Lab(prefix=f"{STANDING}{name}-")
    try:
        a, b = lab.namespace("a"), lab.namespace("b")
        lab.link(a, "left", b, "right", queues=queues, mtu=mtu, gro=True, quiet=True,
                 addresses=("10.77.0.1/24", "10.77.0.2/24"), addresses6=("fd77::1/64", "fd77::2/64"))
    except BaseException:
        lab.close()
        raise
    print(f"nsenter --net={a.path}   # left,  10.77.0.1, fd77::1")
    print(f"nsenter --net={b.path}   # right, 10.77.0.2, fd77::2")


def _down(name):
    for side in ("a", "b"):
        _ip("netns", "delete", f"{STANDING}{name}-{side}")


def main():
    parser = argparse.ArgumentParser(description="A standing lab: two network namespaces joined by a veth pair.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make one")
    up.add_argument("--queues", type=int, default=2)
    up.add_argument("--mtu", type=int, default=1500)
    down = commands.add_parser("down", help="delete one")
    for command in (up, down):
        command.add_argument("name")
    commands.add_parser("list", help="show the standing labs")
    args = parser.parse_args()
    if args.command == "list":
        print("\n".join(_standing()))
        return 0
    if not re.fullmatch(r"\w{1,32}", args.name):
        parser.error("a name is 1 to 32 letters, digits and _")
    if (args.name in _standing()) == (args.command == "up"):
        parser.error(f"lab {args.name} {'exists' if args.command == 'up' else 'does not exist'}")
    try:
        if args.command == "up":
            _up(args.name, args.queues, args.mtu)
        else:
            _down(args.name)
    except (Unavailable, subprocess.CalledProcessError) as error:
        print(f"lab.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
