# SPDX-License-Identifier: MIT
"""The recorders that are compared: how each is started, how it says that it records, how it is stopped, what it claims.

    with Recorder(contestant, namespace, "right", directory, cpus=[1]) as recorder:
        ... traffic ...
        recording = recorder.stop()

A contestant's claim ("captured", "lost") is only reported beside what is in its file; count_file() and check_file() find that out.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time

READY_TIMEOUT_S = 30
STOP_TIMEOUT_S = 60


class Failed(Exception):
    """A contestant did not start, did not stop, or wrote nothing that can be read."""


class Contestant:
    """A recorder and its options.

    name     in tables and results
    program  to look for; not found: absent
    ready    what it prints when it records
    suffix   of its file
    drain_s  how long after the last packet its reader may sleep before it has taken it all
    """

    ready = None
    suffix = ".pcap"
    drain_s = 0.2

    def __init__(self, name, program, options=()):
        self.name = name
        self.program = shutil.which(program)
        self.options = list(options)

    def command(self, interface, path, cpus):
        raise NotImplementedError

    def claim(self, text):
        """{"captured": packets, "lost": packets} out of what it printed; None where it does not say"""
        raise NotImplementedError

    def version(self):
        if not self.program:
            return None
        shown = subprocess.run([self.program, "--version"], text=True, check=False, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.strip()
        return shown.splitlines()[0] if shown else "unknown"

    def described(self):
        return " ".join([os.path.basename(self.program or self.name), *self.options])


def _number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else None


class Tcpdump(Contestant):
    ready = "listening on"
    drain_s = 1.1  # libpcap's ring gives a part-filled block up after a second

    def __init__(self, name="tcpdump", options=(), expression=()):
        super().__init__(name, "tcpdump", options)
        self.expression = list(expression)

    def command(self, interface, path, cpus):
        return [self.program, "-n", "-i", interface, "-s", "0", "-w", path, *self.options, *self.expression]

    def claim(self, text):
        return {"captured": _number(r"(\d+) packets? captured", text),
                "lost": _number(r"(\d+) packets? dropped by kernel", text)}


class Dumpcap(Contestant):
    ready = "Capturing on"
    suffix = ".pcapng"
    drain_s = 1.1

    def __init__(self, name="dumpcap", options=()):
        super().__init__(name, "dumpcap", options)

    def command(self, interface, path, cpus):
        return [self.program, "-q", "-i", interface, "-w", path, *self.options]

    def claim(self, text):
        return {"captured": _number(r"Packets captured: (\d+)", text),
                "lost": _number(r"on interface '[^']*': \d+/(\d+)", text)}


class NetsniffNg(Contestant):
    ready = "Running!"
    drain_s = 0.5

    # It sizes its ring by link speed: a gigabyte on a veth, eight seconds to make. 64 MiB is what retina-xdp has here.
    def __init__(self, name="netsniff-ng", options=("--ring-size", "64MiB")):
        super().__init__(name, "netsniff-ng", options)

    def command(self, interface, path, cpus):
        # stdbuf: "Running!" goes to standard output, which is no terminal. The other options keep it off the host's settings.
        return ["stdbuf", "-oL", self.program, "--in", interface, "--out", path, "--silent", "--no-sock-mem",
                "--notouch-irq", *(["--bind-cpu", str(cpus[0])] if cpus else []), *self.options]

    def claim(self, text):
        # "passed filter" went into the ring; only "incoming" were taken out of it.
        captured, unread = _number(r"(\d+)\s+packets incoming", text), _number(r"\((\d+) unread on exit\)", text)
        return {"captured": captured, "lost": unread}


class Retina(Contestant):
    ready = "recording, ingress"
    suffix = ".pcapng.zst"

    def __init__(self, program, name="retina-xdp", options=()):
        super().__init__(name, program, options)
        if "none" in self.options:  # --compress none
            self.suffix = ".pcapng"

    def command(self, interface, path, cpus):
        pinned = ["--cpus", ",".join(map(str, cpus))] if cpus else []
        return [self.program, "capture", "-i", interface, "-w", path, "--json", *pinned, *self.options]

    def claim(self, text):
        summary = re.search(r'^\{"schema":"retina-xdp/summary.*\}$', text, re.M)
        if not summary:
            return {"captured": None, "lost": None}
        summary = json.loads(summary.group(0))
        totals = summary["totals"]
        return {"captured": totals["captured"]["packets"], "lost": totals["lost"]["packets"],
                "lost_by": {place: n for place, n in totals["lost"]["by"].items() if n},
                "seen": totals["seen"]["packets"], "balanced": summary["balanced"]}


class Recorder:
    """One run of one contestant. Made recording; leaving the block ends it, whatever happened."""

    def __init__(self, contestant, namespace, interface, directory, cpus=(), preexec=None):
        self.contestant = contestant
        self.path = os.path.join(directory, "record" + contestant.suffix)
        self._log = os.path.join(directory, "log")
        argv = contestant.command(interface, self.path, list(cpus))
        if cpus:
            argv = ["taskset", "-c", ",".join(map(str, cpus)), *argv]
        with open(self._log, "wb") as log:
            self._process = namespace.popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=preexec)
        try:
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        self._cpu_at_start = self._cpu_s()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.returncode is None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for path in (self.path, self._log):
            if os.path.exists(path):
                os.unlink(path)  # before its pages are written back: that would disturb the next

    @property
    def pid(self):
        return self._process.pid

    def _said(self):
        with open(self._log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def _complaint(self):
        said = self._said().strip()
        return said.splitlines()[-1] if said else "it said nothing"

    def _await_ready(self):
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.contestant.ready not in self._said():
            if self._process.poll() is not None:
                raise Failed(f"{self.contestant.name} ended at once: {self._complaint()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.contestant.name} did not record after {READY_TIMEOUT_S} s: {self._complaint()}")
            time.sleep(0.01)

    def _cpu_s(self):
        """Processor time of all its threads so far."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1e9

    def _hwm_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return (_number(r"VmHWM:\s+(\d+) kB", f.read()) or 0) * 1024

    def stop(self):
        """Wait for its reader, interrupt it, and return {"captured", "lost", "cpu_s", "hwm_bytes", "file_bytes", ...}.
        cpu_s is from ready to end."""
        time.sleep(self.contestant.drain_s)
        if self._process.poll() is not None:
            raise Failed(f"{self.contestant.name} ended by itself: {self._complaint()}")
        hwm = self._hwm_bytes()
        self._process.send_signal(signal.SIGINT)
        usage = self._reap()
        if self._process.returncode != 0:
            raise Failed(f"{self.contestant.name}: exit status {self._process.returncode}: {self._complaint()}")
        if not os.path.exists(self.path):
            raise Failed(f"{self.contestant.name} wrote no file")
        return {**self.contestant.claim(self._said()), "hwm_bytes": hwm, "file_bytes": os.path.getsize(self.path),
                "cpu_s": usage.ru_utime + usage.ru_stime - self._cpu_at_start}

    def _reap(self):
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while True:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                return usage
            if time.monotonic() > deadline:
                raise Failed(f"{self.contestant.name} did not stop within {STOP_TIMEOUT_S} s of SIGINT")
            time.sleep(0.005)


def check_file(traffic, path):
    """Generated packets in a file, each counted once, and damaged ones."""
    result = subprocess.run([traffic, "check", path], text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode not in (0, 3):
        raise Failed(f"{os.path.basename(path)} can't be read: {result.stderr.strip()}")
    checked = json.loads(result.stdout)
    good = checked["ours"] - checked["duplicates"] - checked["corrupt"]
    return {"file": good, "corrupt": checked["corrupt"], "duplicates": checked["duplicates"]}


def count_file(path):
    """Packets in a file, whatever they are."""
    result = subprocess.run(["capinfos", "-c", "-M", "-T", "-r", path], text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if result.returncode:
        raise Failed(f"capinfos can't read {os.path.basename(path)}: {result.stderr.strip()}")
    return int(result.stdout.split()[-1])
