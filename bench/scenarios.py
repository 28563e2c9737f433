# SPDX-License-Identifier: MIT
"""What is measured, and how. Each scenario is a function of a Bench; it returns

    {"title", "how": [sentences], "head": [...], "rows": [[...]], "goals": [goal(...)], "samples": {...}}

Contestants take turns in rounds whose order rotates, round 0 is thrown away, and ratios compare within rounds. What a
contestant recorded is counted in its file and set against what was sent: see "recorded" in every table.
"""

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from contestants import Dumpcap, Failed, NetsniffNg, Recorder, Retina, Tcpdump, check_file, count_file
from lab import Lab, Unavailable
from statistics_rounds import median, ratio
from warm_memory import WarmMemory

MIB = 1 << 20
NOTHING = "none"  # the floor: the traffic, and nobody who records it
JOB_CPU_PERCENT, JOB_MEMORY = 10, 300 * MIB
SENDER_DEVICE, RECORDER_DEVICE = "left", "right"
_softirq_threads = None  # {name: process id} of all threads there were


class Progress:
    """One line on standard error: rewritten on a terminal, else only when a step begins."""

    def __init__(self):
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._step = None

    def show(self, step, detail=""):
        elapsed = f"[{time.monotonic() - self._began:4.0f} s] "
        if self._terminal:
            print(f"\r\033[K{elapsed}{step} {detail}", end="", file=sys.stderr, flush=True)
        elif step != self._step:
            print(f"{elapsed}{step}", file=sys.stderr, flush=True)
        self._step = step

    def note(self, text):
        """A line that stays."""
        print(f"\r\033[K{text}" if self._terminal else text, file=sys.stderr, flush=True)


class Bench:
    """What all scenarios need: programs, processors, a directory, how often and how long."""

    def __init__(self, *, retina, traffic, directory, repeat=None, quick=False, capture=None):
        self.retina, self.traffic = retina, traffic
        self.directory = directory
        self.repeat, self.quick = repeat, quick
        self.capture = capture
        self.progress = Progress()
        self._memory = WarmMemory()
        self._written = {}  # contestant's name: bytes of its last file
        self.send_options = ()
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            raise Unavailable("a benchmark needs two processors: one sends, one records")
        self.sender_cpu, self.recorder_cpu = cpus[:2]
        self.unaccounted = []  # of every run of retina-xdp: packets on the wire less captured less lost
        self.failures = {}

    def rounds(self, default, quick):
        return self.repeat or (quick if self.quick else default)

    def ours(self, name="retina-xdp", *options):
        return Retina(self.retina, name, options)

    @contextlib.contextmanager
    def link(self, **options):
        """(sender's namespace, recorder's namespace), joined by left and right, and silent"""
        with Lab() as lab:
            a, b = lab.namespace("a"), lab.namespace("b")
            lab.link(a, SENDER_DEVICE, b, RECORDER_DEVICE, quiet=True, addresses=("10.77.0.1/24", "10.77.0.2/24"), **options)
            yield lab, a, b

    def send(self, namespace, *options):
        """Report of retina-traffic, {"packets", "bytes", "seconds", ...}, with "cpu_s": what sending took of its processor."""
        in_softirq = softirq_thread_s(self.sender_cpu)
        sender = namespace.popen([self.traffic, "send", "-i", SENDER_DEVICE, "--cpu", self.sender_cpu, *self.send_options, *options],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        report = sender.stdout.read()
        sender.stdout.close()
        _, status, usage = os.wait4(sender.pid, 0)
        sender.returncode = os.waitstatus_to_exitcode(status)
        if sender.returncode:
            raise subprocess.CalledProcessError(sender.returncode, sender.args)
        cpu_s = usage.ru_utime + usage.ru_stime + softirq_thread_s(self.sender_cpu) - in_softirq
        return {**json.loads(report), "cpu_s": cpu_s}

    @contextlib.contextmanager
    def recorder(self, contestant, namespace, *, cpus=None, preexec=None):
        """A Recorder that records, with warm memory for as much as this contestant wrote the last time."""
        size = self._written.get(contestant.name, 256 * MIB) * 5 // 4
        self._memory.hold(size)
        with tempfile.TemporaryDirectory(prefix="retina-bench-", dir=self.directory) as directory:
            os.chmod(directory, 0o755)  # tcpdump gives its root rights up
            with Recorder(contestant, namespace, RECORDER_DEVICE, directory,
                          [self.recorder_cpu] if cpus is None else cpus, preexec) as recorder:
                self._memory.release(size)
                yield recorder
                self._written[contestant.name] = os.path.getsize(recorder.path)
        self._memory.hold(size)  # at once: what the deleted file leaves is still warm

    def account(self, contestant, wire, recording):
        """wire: packets that passed the interface, by the sender's or the interface's own count"""
        if isinstance(contestant, Retina):
            self.unaccounted.append(wire - recording["captured"] - recording["lost"])

    def failed(self, contestant, error):
        """A contestant that failed is reported, and its other rounds go on."""
        self.failures.setdefault(contestant.name, str(error))
        self.progress.note(f"bench: {error}")


def softirq_thread_s(cpu):
    """Processor time of ksoftirqd/CPU so far: receiving that outgrew the sender's own time slice."""
    global _softirq_threads
    if _softirq_threads is None:
        _softirq_threads = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                _softirq_threads[f.read().strip()] = pid
    pid = _softirq_threads.get(f"ksoftirqd/{cpu}")
    if pid is None:
        return 0.0  # a container that does not see the host's threads
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e9


def goal(text, sense, limit, value, *, missing=None, note="", unit="x"):
    """value: of statistics_rounds, or None if it could not be measured.
    missing: packets sent that are not in the file: who loses packets has not met a goal of speed; None: it is not one."""
    met = None if value is None else (value["median"] <= limit if sense == "<=" else value["median"] >= limit)
    if missing is not None:
        note = f"{missing} packets not in the file" if missing else "none lost"
    return {"text": text, "sense": sense, "limit": limit, "value": value, "met": None if met is None else met and not missing, "note": note, "unit": unit}


def figure(value, scale=1.0, digits=0):
    """12 [11..13]"""
    if value is None:
        return "-"
    text = f"{value['median'] * scale:.{digits}f}"
    if value.get("interval"):
        text += " [{:.{d}f}..{:.{d}f}]".format(*(v * scale for v in value["interval"]), d=digits)
    return text


def share(recorded, sent):
    """Percent, never rounded up to 100: a packet lost shows."""
    if recorded == sent:
        return "100 %"
    return f"{min(99.99, 100 * recorded / sent):.2f} %"


def in_turn(contestants, number):
    """Rotated by the round, so that nobody always follows the same neighbour."""
    number %= len(contestants)
    return contestants[number:] + contestants[:number]


def present(contestants):
    return [c for c in contestants if c.program]


def absent_rows(contestants, width):
    return [[c.name, "absent"] + [""] * (width - 2) for c in contestants if not c.program]


# cost: what a recorder costs the core that carries the packet

# A run is sent in pieces, one more to warm up, with pauses: each fits into retina-xdp's ring, and the packers, who are not what is
# measured here, get time to empty it; a full ring would make packets cheap. The median of the pieces ignores a short disturbance.
PIECES, PAUSE_S = 6, 0.12
PIECE_PACKETS = {64: 100_000, 1024: 25_000}


def cost_contestants(bench, size):
    own = [bench.ours(), bench.ours("retina-xdp --hook xdp", "--hook", "xdp")]
    if bench.quick:
        return [*own, Tcpdump()]
    if size > 128:
        own.append(bench.ours("retina-xdp -s 128", "-s", "128"))
    return own + [Tcpdump(), Tcpdump("tcpdump -B 64 MiB", ["-B", "65536"]), Dumpcap(), NetsniffNg()]


def cost_run(bench, a, b, contestant, size, count):
    """{"ns": per packet, "sent", ...} of one run with so many packets a piece; contestant None: the floor"""
    def send():
        reports = []
        for stream in range(1 + PIECES):
            reports.append(bench.send(a, "--size", size, "--count", count, "--stream", stream))
            time.sleep(PAUSE_S)
        return {"ns": statistics.median(r["cpu_s"] / r["packets"] * 1e9 for r in reports[1:]),
                "wall_ns": statistics.median(r["seconds"] / r["packets"] * 1e9 for r in reports[1:]),
                "sent": sum(r["packets"] for r in reports)}
    if contestant is None:
        return send()
    with bench.recorder(contestant, b) as recorder:
        run = send()
        recording = recorder.stop()
        run.update(recording, **check_file(bench.traffic, recorder.path))
    bench.account(contestant, run["sent"], run)
    return run


def cost_rounds(bench, contestants, size, rounds, count=None):
    """A list of {name: run}; the floor is the mean of the runs that open and close the round"""
    results, count = [], count or PIECE_PACKETS[size]
    with bench.link() as (_, a, b):
        for number in range(rounds + 1):
            runs, floors = {}, [cost_run(bench, a, b, None, size, count)]
            for contestant in in_turn(present(contestants), number):
                bench.progress.show(f"cost: {size} B, round {number} of {rounds}:", contestant.name)
                try:
                    runs[contestant.name] = cost_run(bench, a, b, contestant, size, count)
                except Failed as error:
                    bench.failed(contestant, error)
            floors.append(cost_run(bench, a, b, None, size, count))
            runs[NOTHING] = {"ns": statistics.mean(run["ns"] for run in floors)}
            if number:
                results.append(runs)
    return results


def added(rounds, name):
    return [r[name]["ns"] - r[NOTHING]["ns"] for r in rounds if name in r]


def cost_row(rounds, contestant, peer):
    runs = [r[contestant.name] for r in rounds if contestant.name in r]
    if not runs:
        return [contestant.name, "failed", "", "", "", ""]
    against = ratio([(r[contestant.name]["ns"] - r[NOTHING]["ns"], r[peer]["ns"] - r[NOTHING]["ns"])
                     for r in rounds if contestant.name in r and peer in r])
    return [contestant.name, figure(median(added(rounds, contestant.name))), figure(against, digits=2),
            share(sum(run["file"] for run in runs), sum(run["sent"] for run in runs)),
            "-" if any(run["lost"] is None for run in runs) else str(sum(run["lost"] for run in runs)),
            figure(median([run["cpu_s"] / run["file"] * 1e9 for run in runs if run["file"]]))]


COST_HEAD = ["recorder", "ns added per packet", "against tcpdump", "recorded", "lost, it says", "own CPU, ns per recorded packet"]


def cost(bench, sizes=(64, 1024)):
    rows, goals, samples = [], [], {}
    limits = {64: 0.35, 1024: 0.25}
    for size in sizes:
        field = cost_contestants(bench, size)
        results = cost_rounds(bench, field, size, bench.rounds(5, 2))
        samples[size] = results
        rows.append([f"{size} B frames, nobody records", f"{figure(median([r[NOTHING]['ns'] for r in results]))} in all"]
                    + [""] * 4)
        rows += [cost_row(results, c, "tcpdump") for c in present(field)] + absent_rows(field, len(COST_HEAD))
        value = ratio([(r["retina-xdp"]["ns"] - r[NOTHING]["ns"], r["tcpdump"]["ns"] - r[NOTHING]["ns"])
                       for r in results if "retina-xdp" in r and "tcpdump" in r])
        goals.append(goal(f"cost added per forwarded packet by `tap` at {size} B, against tcpdump -w", "<=", limits[size], value,
                          missing=sum(r["retina-xdp"]["sent"] - r["retina-xdp"]["file"] for r in results if "retina-xdp" in r)))
    return {"title": "What recording costs the core that carries the packet", "head": COST_HEAD, "rows": rows, "goals": goals,
            "samples": samples,
            "how": [f"One sender, pinned to CPU {bench.sender_cpu}, sends flat out through AF_PACKET, tc egress and a veth pair, in {PIECES} "
                    f"pieces of {' or '.join(f'{PIECE_PACKETS[size]} packets of {size} B' for size in sizes)} with pauses; "
                    f"the recorder listens on the receiving side, all its threads on CPU {bench.recorder_cpu}.",
                    "A veth's receive path runs on the sender's core, so the sender's time per packet grows by exactly what the "
                    "recorder does to each packet in the kernel. Time is processor time, of the sender and of its core's ksoftirqd: "
                    "who else wants that core does not matter.",
                    "Added: less the mean of two runs of the same round in which nobody records.",
                    "A packet that a recorder loses costs it less: read the third column together with the fourth.",
                    "netsniff-ng has a 64 MiB ring (its own choice here is a gigabyte); the others have their defaults."]}


# iperf: what the node's owner sees

def iperf_run(bench, a, b, contestant, seconds):
    """{"gbps", and if somebody records: "wire", "file", "captured", "lost"}"""
    server = b.popen(["iperf3", "-s", "-1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.1)

    def transfer():
        shown = a.run(["iperf3", "-c", "10.77.0.2", "-t", seconds, "-J"], text=True, stdin=subprocess.DEVNULL,
                      stdout=subprocess.PIPE, check=False).stdout
        server.wait(10)
        report = json.loads(shown)
        if "error" in report:
            raise Failed(f"iperf3: {report['error']}")
        return report["end"]["sum_received"]["bits_per_second"] / 1e9

    def passed():
        counters = b.counters(RECORDER_DEVICE)
        return counters["rx"]["packets"] + counters["tx"]["packets"]

    if contestant is None:
        return {"gbps": transfer()}
    before = passed()
    with bench.recorder(contestant, b, cpus=()) as recorder:
        run = {"gbps": transfer()}
        run["wire"] = passed() - before
        run.update(recorder.stop(), file=count_file(recorder.path))
    bench.account(contestant, run["wire"], run)
    return run


IPERF_HEAD = ["recorder", "Gbit/s", "against tcpdump", "against nobody", "recorded", "lost, it says"]


def iperf(bench):
    own = [bench.ours(), bench.ours("retina-xdp --ring-size 256Mi", "--ring-size", "256Mi"),
           bench.ours("retina-xdp --compress none", "--compress", "none"), bench.ours("retina-xdp -s 128", "-s", "128")]
    if bench.quick:
        own = [own[0], own[3]]
    field = [*own, Tcpdump()]
    rounds, results = bench.rounds(5, 1), []
    with bench.link(queues=2) as (_, a, b):
        for number in range(rounds + 1):
            runs = {}
            for contestant in in_turn([None, *present(field)], number):
                name = contestant.name if contestant else NOTHING
                bench.progress.show(f"iperf: round {number} of {rounds}:", name)
                try:
                    runs[name] = iperf_run(bench, a, b, contestant, 1 if bench.quick else 2)
                except Failed as error:
                    bench.failed(contestant or Tcpdump(NOTHING), error)
            if number:
                results.append(runs)

    def against(name, peer):
        return ratio([(r[name]["gbps"], r[peer]["gbps"]) for r in results if name in r and peer in r])

    def row(name):
        runs = [r[name] for r in results if name in r]
        if not runs:
            return [name, "failed", "", "", "", ""]
        recorded = ["", ""]
        if name != NOTHING:
            recorded = [share(sum(r["file"] for r in runs), sum(r["wire"] for r in runs)), str(sum(r["lost"] or 0 for r in runs))]
        return [name, figure(median([r["gbps"] for r in runs]), digits=1), figure(against(name, "tcpdump"), digits=2),
                figure(against(name, NOTHING), digits=2), *recorded]

    def lost(name):
        return sum(r[name]["wire"] - r[name]["file"] for r in results if name in r)

    def missing(name):
        return sum(r[name]["wire"] - r[name]["file"] for r in results if name in r)

    goals = [goal(f"iperf3 under `tap`, full frames and none lost, `{' '.join(c.options) or 'default options'}`, against tcpdump",
                  ">=", 1.0, against(c.name, "tcpdump"), missing=missing(c.name)) for c in own[:-1]]
    goals.append(goal("iperf3 under `tap` at -s 128, against no capture", ">=", 0.9, against(own[-1].name, NOTHING),
                      missing=missing(own[-1].name)))
    return {"title": "What the application keeps of its throughput", "head": IPERF_HEAD, "goals": goals, "samples": results,
            "rows": [row(NOTHING)] + [row(c.name) for c in present(field)] + absent_rows(field, len(IPERF_HEAD)),
            "how": ["One TCP stream of iperf3 across the tapped veth, both directions recorded at the receiver; nothing is pinned, "
                    "client, server and recorder share the machine's processors as they would on a node.",
                    "Recorded: packets in the file against the interface's own counters (super-packets count once in both)."]}


# quota: what a recorder can keep up with inside the Job

RATE_MAX = 400_000  # what one sending core paces well


def keeps_up(bench, lab, a, b, contestant, rate, seconds):
    """Does every packet sent arrive in the file?"""
    try:
        with lab.cpu_quota(JOB_CPU_PERCENT, JOB_MEMORY) as quota, \
                bench.recorder(contestant, b, preexec=quota.enter) as recorder:
            sent = bench.send(a, "--size", 1024, "--rate", rate, "--duration", seconds)
            recording = recorder.stop()
            run = {**recording, **check_file(bench.traffic, recorder.path), "rate": rate, "offered": sent["pps"],
                   "sent": sent["packets"], "throttled": quota.usage()["throttled"]}
    except Failed as error:  # overload may end a recorder: then this rate is beyond it
        bench.progress.note(f"bench: at {rate} packets/s: {error}")
        return {"rate": rate, "failed": str(error), "sent": 1, "file": 0}
    bench.account(contestant, run["sent"], run)
    return run


def highest_rate(bench, lab, a, b, contestant, guess, seconds, precision):
    """Widen from the guess until one rate is kept up with and one is not, then halve the gap (its logarithm)."""
    low, high, runs = None, None, []
    while low is None or high is None or high / low > precision:
        if low and high:
            rate = int((low * high) ** 0.5)
        elif low:
            rate = min(low * 2, RATE_MAX)
        else:
            rate = (high // 2) if high else guess
        bench.progress.show(f"quota: {contestant.name}:", f"{rate} packets/s")
        run = keeps_up(bench, lab, a, b, contestant, rate, seconds)
        runs.append(run)
        if run["file"] == run["sent"]:
            low = max(low or 0, min(rate, int(run["offered"])))
            if rate == RATE_MAX or run["offered"] < 0.95 * rate:
                break  # the sender's limit, not the recorder's
        else:
            high = rate
            if rate < 1000:
                return 0, runs
    return low, runs


QUOTA_HEAD = ["recorder", "packets/s without loss", "against tcpdump"]


def quota(bench):
    own = [bench.ours()] + ([] if bench.quick else [bench.ours("retina-xdp --compress none", "--compress", "none")])
    field = [*own, Tcpdump()]
    seconds, precision = (1.5, 1.5) if bench.quick else (3, 1.15)
    passes = bench.rounds(2, 1)
    guesses = {c.name: 50_000 if c in own else 20_000 for c in field}
    found, samples = [], []
    with bench.link() as (lab, a, b):
        for number in range(passes):
            rates = {}
            for contestant in in_turn(present(field), number):
                rate, runs = highest_rate(bench, lab, a, b, contestant, guesses[contestant.name], seconds, precision)
                rates[contestant.name] = rate
                guesses[contestant.name] = max(1000, rate)
                samples += [{"recorder": contestant.name, "pass": number, **run} for run in runs]
            found.append(rates)

    def against(name):
        return ratio([(r[name], r["tcpdump"]) for r in found if name in r and "tcpdump" in r])

    def row(c):
        rate = median([r[c.name] for r in found])
        return [c.name, (">= " if rate["median"] >= RATE_MAX else "") + figure(rate), figure(against(c.name), digits=1)]

    return {"title": "Highest rate without loss inside the Job's limits", "head": QUOTA_HEAD, "samples": samples,
            "rows": [row(c) for c in present(field)] + absent_rows(field, len(QUOTA_HEAD)),
            "goals": [goal(f"highest loss-free rate inside 100m CPU + 300 MiB, 1024 B full frames, `{label}`, against tcpdump",
                           ">=", 8, against(c.name), note="the raw O_DIRECT path is not in this version")
                      for c, label in zip(own, ("adaptive zstd", "--compress none"))],
            "how": [f"The recorder is in a cgroup with {JOB_CPU_PERCENT} % of a CPU and {JOB_MEMORY // MIB} MiB from its first "
                    f"instruction; the sender is outside, on the other core, and offers {seconds} s of 1024-byte frames at one rate.",
                    f"Bisection until the lowest rate with a loss is within {precision}x of the highest without; "
                    f"{passes} passes. Loss-free: every packet sent is in the file.",
                    "A ring counts for what it is: retina-xdp's 32 MiB hold 31 thousand such frames."]}


# pack: compressing in a recorder, against compressing alone

def zstd_floor_s(path, level, cpu):
    """(seconds that zstd -b needs to compress the file, its best of several passes; compression factor)"""
    shown = subprocess.run(["taskset", "-c", str(cpu), "zstd", "-q", f"-b{level}", "-i1", path], text=True, check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    found = re.search(r"\((\d+\.\d+)\)\s+(\d+\.?\d*) MB/s", shown)  # "-1  9283579 (5.970) 653.77 MB/s 1406.8 MB/s  name"
    if not found:
        raise Failed(f"zstd -b{level} said: {shown.strip()}")
    return os.path.getsize(path) / (float(found.group(2)) * 1e6), float(found.group(1))


def pack_run(bench, a, b, level, mix):
    contestant = bench.ours("retina-xdp", "--level", str(level), "--ring-size", "256Mi")
    with bench.recorder(contestant, b) as recorder:
        if mix == "imix":
            sent = bench.send(a, "--size", "imix", "--kind", "udp4,tcp4,udp6,dns4", "--flows", 256, "--seed", 1,
                              "--rate", 150_000, "--duration", 1 if bench.quick else 3)
        else:
            sent = json.loads(a.output(["taskset", "-c", bench.sender_cpu, bench.traffic, "replay", "-i", SENDER_DEVICE, mix,
                                        "--flat-out", "--loop", 1000, "--limit-seconds", 1 if bench.quick else 3]))
        recording = recorder.stop()
        raw = os.path.join(os.path.dirname(recorder.path), "raw.pcapng")
        subprocess.run(["zstd", "-q", "-d", recorder.path, "-o", raw], check=True)
        floor_s, factor = zstd_floor_s(raw, level, bench.recorder_cpu)
        run = {**recording, "floor_s": floor_s, "raw_bytes": os.path.getsize(raw), "factor": factor, "sent": sent["packets"],
               "own_factor": os.path.getsize(raw) / recording["file_bytes"]}
        os.unlink(raw)
    bench.account(contestant, run["sent"], run)
    return run


PACK_HEAD = ["traffic, level", "CPU, ns per byte", "zstd -b, ns per byte", "ratio", "compression", "zstd's", "lost"]


def pack(bench):
    rounds, levels = bench.rounds(3, 1), (1, 3)
    mixes = ["imix"] + ([bench.capture] if bench.capture else [])
    results = {}
    with bench.link() as (_, a, b):
        for number in range(rounds + (not bench.quick)):
            for mix in mixes:
                for level in in_turn(list(levels), number):
                    bench.progress.show(f"pack: round {number} of {rounds}:", f"{os.path.basename(mix)}, level {level}")
                    run = pack_run(bench, a, b, level, mix)
                    if number or bench.quick:
                        results.setdefault((os.path.basename(mix), level), []).append(run)

    def against(runs):
        return ratio([(r["cpu_s"], r["floor_s"]) for r in runs])

    rows, goals = [], []
    for (mix, level), runs in results.items():
        rows.append([f"{mix}, level {level}", figure(median([r["cpu_s"] / r["raw_bytes"] * 1e9 for r in runs]), digits=2),
                     figure(median([r["floor_s"] / r["raw_bytes"] * 1e9 for r in runs]), digits=2),
                     figure(against(runs), digits=2), f"{statistics.median(r['own_factor'] for r in runs):.2f}",
                     f"{statistics.median(r['factor'] for r in runs):.2f}", str(sum(r["lost"] for r in runs))])
        goals.append(goal(f"CPU of the whole recorder against `zstd -b` on the same bytes, {mix}, level {level}", "<=", 1.2,
                          against(runs)))
    return {"title": "The packers against zstd alone", "head": PACK_HEAD, "rows": rows, "goals": goals,
            "samples": {f"{mix} {level}": runs for (mix, level), runs in results.items()},
            "how": ["Fixed mix: 60, 590 and 1514 bytes at 7:4:1, IPv4, IPv6, TCP, UDP and DNS, 256 flows, 150 thousand a second.",
                    "CPU: user and system time of the whole process from the first packet to its end (merging, writing and idling "
                    "included), per byte of the decompressed file; against the compression speed of zstd -b on that file."]}


# memory: what stays resident once every ring has been written round

def flood(bench, namespace, seconds):
    """Both processors send, so that each one's ring wraps; packets sent by each."""
    command = [bench.traffic, "send", "-i", SENDER_DEVICE, "--size", "1024", "--rate", "100000", "--duration", seconds]
    senders = [namespace.popen([*command, "--cpu", cpu, "--stream", cpu + 1], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
               for cpu in (bench.sender_cpu, bench.recorder_cpu)]
    return [json.loads(sender.communicate()[0])["packets"] for sender in senders]


def memory(bench):
    rounds, rows, goals, samples = bench.rounds(2, 1), [], [], {}
    kinds = (("default settings", False), ("default settings inside the Job's limits", True))
    with bench.link() as (lab, a, b):
        for label, limited in kinds:
            runs = []
            for number in range(rounds):
                bench.progress.show(f"memory: {label}, round {number + 1} of {rounds}")
                contestant = bench.ours()
                with contextlib.ExitStack() as stack:
                    group = stack.enter_context(lab.cpu_quota(JOB_CPU_PERCENT, JOB_MEMORY)) if limited else None
                    recorder = stack.enter_context(bench.recorder(
                        contestant, b, cpus=(), preexec=group.enter if group else None))
                    sent = flood(bench, a, 1.5)
                    run = {"sent": sent, **recorder.stop(), "oom_kills": group.usage()["oom_kills"] if group else 0}
                bench.account(contestant, sum(sent), run)
                runs.append(run)
            samples[label] = runs
            value = median([r["hwm_bytes"] / MIB for r in runs])
            rows.append([label, figure(value), f"{min(min(r['sent']) for r in runs) * 1060 // MIB}",
                         str(sum(r["lost"] for r in runs)), str(sum(r["oom_kills"] for r in runs))])
            goals.append(goal(f"resident memory, {label}", "<=", 96, value, unit="MiB"))
    return {"title": "Resident memory", "head": ["retina-xdp", "VmHWM, MiB", "offered to each ring, MiB", "lost", "OOM kills"],
            "rows": rows, "goals": goals, "samples": samples,
            "how": ["Both processors send 1024-byte frames until each ring (32 MiB at most by default) has been filled more than once; "
                    "then VmHWM of the process is read. Packets lost inside the limits are counted ones: the load is far above them."]}


SCENARIOS = {"cost": cost, "iperf": iperf, "quota": quota, "pack": pack, "memory": memory}
