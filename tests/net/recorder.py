# SPDX-License-Identifier: MIT
"""What the capture tests share: a lab with a link, a running recorder, the generator, and judges of files that know nothing of us.

A test's recorders, senders and folders are gone when it ends, whatever it ended with. RETINA_BUILD names the build directory;
RETINA_SLOW=1 (sanitizer builds) takes a tenth of the load.
"""

import contextlib
import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import lab as labs  # noqa: E402  pylint: disable=wrong-import-position

BUILD = os.environ.get("RETINA_BUILD", "")
TOOL = os.path.join(BUILD, "tools/retina-xdpctl")
TRAFFIC = os.path.join(BUILD, "bench/generator/retina-traffic")
SLOW = os.environ.get("RETINA_SLOW") == "1"
IN, OUT = "in", "out"
TOOLS = ("bpftool", "capinfos", "curl", "ethtool", "ip", "iperf3", "nsenter", "setpriv", "tc", "tcpdump", "tshark", "zstd")


def why_not():
    """Why these tests can't run here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for program in (TOOL, TRAFFIC):
        if not os.access(program, os.X_OK):
            return f"RETINA_BUILD names no build with {os.path.basename(program)}"
    for tool in TOOLS:
        if not shutil.which(tool):
            return f"needs {tool}"
    return None


def load(n):
    """A number of packets, or a rate, fit for the build under test."""
    return max(1, n // 10) if SLOW else n


def wait_until(condition, timeout=5.0, what="condition"):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.01)


# --- pcapng, read by nobody's library ---

SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6


def options_of(data, at, end):
    """{code: [values]}"""
    options = {}
    while at + 4 <= end:
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        options.setdefault(code, []).append(data[at + 4:at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    return options


class Packet:
    __slots__ = ("interface", "ns", "caplen", "len", "data", "flags", "queue")

    direction = property(lambda self: {1: IN, 2: OUT}.get(self.flags & 3))


class Pcapng:
    """A whole file in memory, each block checked for form. Raises ValueError where the format is not kept.

    interfaces   [{"name", "link_type", "snaplen", "options"}] in the order of their ids
    packets      [Packet]
    statistics   [{"interface", "ns", "received", "dropped" (None: not told), "accepted", "os_dropped", "delivered", "start", "end", "at"}]
                 where `at` is the number of packets before the block
    """

    def __init__(self, data):
        self.interfaces, self.packets, self.statistics, self.section = [], [], [], None
        at = 0
        while at < len(data):
            if at + 12 > len(data):
                raise ValueError(f"{len(data) - at} stray bytes at the end")
            kind, length = struct.unpack_from("<II", data, at)
            if length % 4 or length < 12 or at + length > len(data):
                raise ValueError(f"block {kind:#x} at {at}: length {length}")
            if struct.unpack_from("<I", data, at + length - 4)[0] != length:
                raise ValueError(f"block {kind:#x} at {at}: its two lengths differ")
            self._block(kind, data, at + 8, at + length - 4)
            at += length

    def _block(self, kind, data, at, end):
        if kind == PACKET:
            p = Packet()
            p.interface, high, low, p.caplen, p.len = struct.unpack_from("<IIIII", data, at)
            if p.interface >= len(self.interfaces):
                raise ValueError(f"packet {len(self.packets)}: interface {p.interface} is not described before it")
            if p.caplen > p.len or at + 20 + p.caplen > end:
                raise ValueError(f"packet {len(self.packets)}: {p.caplen} of {p.len} bytes")
            p.ns = high << 32 | low
            p.data = data[at + 20:at + 20 + p.caplen]
            options = options_of(data, at + 20 + (p.caplen + 3) // 4 * 4, end)
            p.flags = struct.unpack("<I", options[2][0])[0]
            p.queue = struct.unpack("<I", options[6][0])[0] if 6 in options else None
            self.packets.append(p)
        elif kind == INTERFACE:
            link_type, _, snaplen = struct.unpack_from("<HHI", data, at)
            options = options_of(data, at + 8, end)
            self.interfaces.append({"name": options[2][0].decode(), "link_type": link_type, "snaplen": snaplen, "options": options})
        elif kind == STATISTICS:
            interface, high, low = struct.unpack_from("<III", data, at)
            options = options_of(data, at + 12, end)
            number = {name: struct.unpack("<Q", options[code][0])[0] if code in options else None for name, code in
                      (("received", 4), ("dropped", 5), ("accepted", 6), ("os_dropped", 7), ("delivered", 8))}
            times = {name: (lambda w: w[0] << 32 | w[1])(struct.unpack("<II", options[code][0])) for name, code in
                     (("start", 2), ("end", 3)) if code in options}
            self.statistics.append({"interface": interface, "ns": high << 32 | low, "at": len(self.packets), **number, **times})
        elif kind == SECTION:
            if self.section is not None:
                raise ValueError("a second section header")
            if struct.unpack_from("<I", data, at)[0] != 0x1A2B3C4D:
                raise ValueError("not a section header in this machine's byte order")
            self.section = options_of(data, at + 16, end)
        elif not kind & 0x40000000 and kind != 0xBAD:
            raise ValueError(f"block type {kind:#x} is not one of ours")
        if self.section is None:
            raise ValueError("the file does not begin with a section header")

    def tally(self):
        """{(interface name, direction): [packets, bytes on the wire]}"""
        result = {}
        for p in self.packets:
            t = result.setdefault((self.interfaces[p.interface]["name"], p.direction), [0, 0])
            t[0] += 1
            t[1] += p.len
        return result


def stream_of(path):
    """What a file holds, decompressed."""
    if not path.endswith(".zst"):
        with open(path, "rb") as f:
            return f.read()
    return subprocess.run(["zstdcat", path], check=True, stdout=subprocess.PIPE).stdout


def read(path):
    return Pcapng(stream_of(path))


# --- what hangs on an interface ---

def _bpf_query(ifindex, attach_type):
    """Number of programs at a tcx hook of this namespace; 0 where the kernel has no tcx."""
    attr = ctypes.create_string_buffer(128)
    struct.pack_into("<II", attr, 0, ifindex, attach_type)
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    if ctypes.CDLL(None, use_errno=True).syscall(number, 16, attr, 128) < 0:  # BPF_PROG_QUERY
        return 0
    return struct.unpack_from("<I", attr, 24)[0]


def _attached_here():
    found = {}
    for index, name in socket.if_nameindex():
        for hook, attach_type in (("tcx ingress", 46), ("tcx egress", 47)):
            if _bpf_query(index, attach_type):
                found[f"{name} {hook}"] = _bpf_query(index, attach_type)
    return found


def attached(ns):
    """What packet programs hang on the namespace's interfaces: {} when it is clean. The kernel's answer, not the tool's."""
    found = json.loads(ns.output([sys.executable, os.path.abspath(__file__), "attached"]))
    for link in json.loads(ns.output(["ip", "-j", "-d", "link", "show"])):
        if "xdp" in link:
            found[f"{link['ifname']} xdp"] = 1
        for side in ("ingress", "egress"):
            filters = ns.run(["tc", "filter", "show", "dev", link["ifname"], side], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout
            if filters.strip():
                found[f"{link['ifname']} clsact {side}"] = filters.count("direct-action")
    for line in ns.output(["tc", "qdisc", "show"]).splitlines():
        if "clsact" in line:
            found[line] = 1
    return found


def processes(ns):
    """Names of our programs' processes in the namespace."""
    wanted, names = os.stat(ns.path).st_ino, []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{pid}/ns/net").st_ino == wanted:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                    name = f.read().strip()
                if name.startswith("retina-") and not name.startswith("retina-traf"):
                    names.append(name)
    return names


# --- recorder and sender ---

class Recording:
    """A running `retina-xdpctl capture`, from its first recorded packet on.

    log         file for its standard error
    args        options behind -i, -w and --json, and an expression
    ready       so many interfaces must be recording before the constructor returns; 0: do not wait
    under       a command to run it with, such as ["setpriv", ...]
    """

    def __init__(self, ns, path, log, *args, interfaces=("right",), ready=None, under=(), summary=True, **popen):
        self.ns, self.path, self.log = ns, path, log
        command = [*under, TOOL, "capture", *(x for i in interfaces for x in ("-i", i)), "-w", path,
                   *(["--json"] if summary else []), *args]
        with open(log, "w", encoding="utf-8") as errors:
            self.process = ns.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, **popen)
        self.summary = self.status = None
        wanted = len(interfaces) if ready is None else ready
        try:
            wait_until(lambda: self.lines().count_of(": recording,") >= wanted or self.process.poll() is not None,
                       20, "the recorder records")
            if wanted and self.process.poll() is not None:
                raise AssertionError(f"the recorder ended: {self.process.returncode}: {self.text()}")
        except BaseException:
            self.kill()
            raise

    class Lines(list):
        def count_of(self, what):
            return sum(what in line for line in self)

    def text(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def lines(self):
        return self.Lines(self.text().splitlines())

    def signal(self, *numbers):
        for number in numbers:
            self.process.send_signal(number)

    def wait(self, timeout=30):
        """Until it ends by itself."""
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the recorder does not end: {self.text()}") from None
        self.status = self.process.returncode
        self.summary = json.loads(out) if out else None
        return self

    def stop(self, *numbers, timeout=30):
        self.signal(*(numbers or (signal.SIGINT,)))
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.send_signal(signal.SIGCONT)
        if self.process.stdout and not self.process.stdout.closed:
            self.process.communicate()
        self.process.wait()

    def memory_peak(self):
        """Bytes resident at most so far."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024


class Sender:
    """A running generator; close() ends it and gives its report."""

    def __init__(self, ns, interface, *args):
        self.process = ns.popen([TRAFFIC, "send", "-i", interface, *map(str, args)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def close(self, stop=True, timeout=30):
        if stop and self.process.poll() is None:
            self.process.terminate()
        out, errors = self.process.communicate(timeout=timeout)
        if self.process.returncode:
            raise AssertionError(f"retina-traffic: {self.process.returncode}: {errors}")
        return json.loads(out)


@unittest.skipIf(why_not(), why_not())
class CaptureTest(unittest.TestCase):
    """A lab of its own for each class: namespaces a and b, joined by left and right. An idle link stays at zero."""

    MTU = 1500
    QUIET = True

    @classmethod
    def setUpClass(cls):
        cls.lab = labs.Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.__exit__)
        cls.a, cls.b = cls.lab.namespace("a"), cls.lab.namespace("b")
        cls.lab.link(cls.a, "left", cls.b, "right", queues=2, mtu=cls.MTU, quiet=cls.QUIET,
                     addresses=("10.77.0.1/24", "10.77.0.2/24"), addresses6=("fd77::1/64", "fd77::2/64"))
        cls.numbers = itertools.count(1)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="retina-capture-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name="capture.pcapng.zst"):
        return os.path.join(self.folder, name)

    def record(self, *args, ns=None, name="capture.pcapng.zst", **kw):
        recording = Recording(ns or self.b, self.path(name), self.path(f"{next(self.numbers)}.log"), *args, **kw)
        self.addCleanup(recording.kill)
        return recording

    def stream(self):
        """A number for a stream that this lab has not seen."""
        return next(self.numbers)

    def sender(self, *args, ns=None, interface="left"):
        sender = Sender(ns or self.a, interface, "--stream", self.stream(), *args)
        self.addCleanup(lambda: sender.process.poll() is not None or sender.close())
        return sender

    def send(self, *args, ns=None, interface="left"):
        return self.sender(*args, ns=ns, interface=interface).close(stop=False)

    # Judges.

    def check(self, path, sent, *args, status=0):
        """What the generator's checker says of one report's packets in a file."""
        report = self.path("sent.json")
        with open(report, "w", encoding="ascii") as f:
            json.dump(sent, f)
        done = subprocess.run([TRAFFIC, "check", "--sent", report, *args, path], text=True, capture_output=True, check=False)
        self.assertIn(done.returncode, (0, 3), done.stderr)
        result = json.loads(done.stdout)
        if status is not None:
            self.assertEqual(done.returncode, status, result)
        self.assertEqual((result["duplicates"], result["corrupt"], result["reordered"], result["outside"]), (0, 0, 0, 0), result)
        return result

    def quietly(self, command, **kw):
        """A reader's output; it must not complain."""
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, **kw)
        complaints = [line for line in done.stderr.splitlines()
                      if not line.startswith(("Running as user", "reading from file", "Warning: interface names might be"))]
        self.assertEqual((done.returncode, complaints), (0, []), command)
        return done.stdout

    def tshark(self, path, *fields, only=None):
        """A list of fields for each packet."""
        out = self.quietly(["tshark", "-n", "-r", path, *(["-Y", only] if only else []), "-T", "fields",
                            *(x for field in fields for x in ("-e", field))])
        return [line.split("\t") for line in out.splitlines()]

    def capinfos(self, path):
        """What capinfos says, in its machine-readable names."""
        names, values = self.quietly(["capinfos", "-T", "-M", "-m", path]).splitlines()
        return dict(zip(names.split(","), values.split(",")))

    def assert_sound(self, path, packets):
        """Every reader reads the file to its end, finds so many packets, in order, and has no complaint."""
        if path.endswith(".zst"):
            self.quietly(["zstd", "-q", "-t", path])
            self.assertLessEqual(stream_of(path)[:4], b"\xff" * 4)
        info = self.quietly(["capinfos", "-M", path])
        self.assertEqual(int(re.search(r"Number of packets:\s+(\d+)", info).group(1)), packets)
        if packets > 1:
            self.assertIn("Strict time order:   True", info)
        shown = subprocess.run(["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.number"], text=True,
                               capture_output=True, check=True)
        self.assertEqual([x for x in shown.stderr.splitlines() if not x.startswith("Running as user")], [])
        self.assertEqual(shown.stdout.count("\n"), packets)

    def assert_balanced(self, recording):
        """The ledger multiplies out, and the file holds what it says, by my own reading of it."""
        s = recording.summary
        self.assertIsNotNone(s, recording.text())
        total = {key: {"packets": 0, "bytes": 0} for key in ("seen", "rejected", "captured", "lost")}
        for row in (*s["interfaces"], s["totals"]):
            for unit in ("packets", "bytes"):
                self.assertEqual(row["seen"][unit], row["rejected"][unit] + row["captured"][unit] + row["lost"][unit], row)
            self.assertEqual(row["lost"]["packets"], sum(row["lost"]["by"].values()), row)
            if row is not s["totals"]:
                for key, t in total.items():
                    for unit in t:
                        t[unit] += row[key][unit]
        for key, t in total.items():
            self.assertEqual({unit: s["totals"][key][unit] for unit in t}, t)
        self.assertIs(s["balanced"], True)
        self.assertEqual(s["totals"]["captured"]["packets"], sum(f["packets"] for f in s["files"]))
        for file in s["files"]:
            if file["path"] != "-":
                self.assertEqual(os.stat(file["path"]).st_size, file["bytes"])
        last = recording.lines()[-1]
        if s["totals"]["lost"]["packets"]:
            self.assertRegex(last, rf"^LOST {s['totals']['lost']['packets']} packets")
        return s["totals"]

    def assert_file_agrees(self, recording):
        """What the file holds is what the ledger calls captured, by interface and direction, and its last statistics say so."""
        file, wanted, by_name = read(recording.path), {}, {}
        for row in recording.summary["interfaces"]:
            t = wanted.setdefault((row["name"], row["direction"]), [0, 0])
            t[0] += row["captured"]["packets"]
            t[1] += row["captured"]["bytes"]
            n = by_name.setdefault(row["name"], [0, 0, 0])
            n[0] += row["seen"]["packets"]
            n[1] += row["lost"]["packets"]
            n[2] += row["captured"]["packets"]
        self.assertEqual(file.tally(), {key: t for key, t in wanted.items() if t[0]})
        last = {s["interface"]: s for s in file.statistics}
        said = {}
        self.assertEqual(sorted(last), list(range(len(file.interfaces))), "each interface has statistics")
        for interface, s in last.items():
            n = said.setdefault(file.interfaces[interface]["name"], [0, 0, 0])
            n[0] += s["received"]
            n[1] += s["os_dropped"]
            n[2] += s["delivered"]
        self.assertEqual(said, by_name)
        times = [p.ns for p in file.packets]
        self.assertTrue(all(x <= y for x, y in zip(times, times[1:])), "time order")
        if times:
            self.assertEqual((recording.summary["files"][0]["first_ns"], recording.summary["files"][0]["last_ns"]),
                             (times[0], times[-1]))
        return file

    def assert_clean(self, *namespaces, timeout=2.0):
        """Nothing of ours is left in the namespaces."""
        for ns in namespaces or (self.a, self.b):
            wait_until(lambda ns=ns: not processes(ns), timeout, "no process is left")
            with contextlib.suppress(AssertionError):
                wait_until(lambda ns=ns: not attached(ns), timeout)
            self.assertEqual(attached(ns), {})


if __name__ == "__main__" and sys.argv[1:] == ["attached"]:
    print(json.dumps(_attached_here()))
