# SPDX-License-Identifier: MIT
"""What a filter costs: the time that the kernel's programs take per frame, by the kernel's own count (kernel.bpf_stats_enabled)."""

import contextlib
import ipaddress
import json
import os
import subprocess
import tempfile

from scenarios import SENDER_DEVICE, Failed, figure, goal, in_turn
from statistics_rounds import median, ratio

STATS = "/proc/sys/kernel/bpf_stats_enabled"
ENTRY = "tap_ingress"  # tail calls count for the program that made the first
FLOWS = 64


@contextlib.contextmanager
def kernel_counts():
    """The kernel measures programs inside this block; it costs each run some 30 ns, which all contestants pay."""
    with open(STATS, "r+", encoding="ascii") as f:
        before = f.read()
        f.seek(0)
        f.write("1")
    try:
        yield
    finally:
        with open(STATS, "w", encoding="ascii") as f:
            f.write(before)


def program_stats():
    """(ns, runs) of the entry program of the only capture there is."""
    listed = json.loads(subprocess.run(["bpftool", "-j", "prog", "show", "name", ENTRY], check=True, stdout=subprocess.PIPE, text=True).stdout)
    programs = listed if isinstance(listed, list) else [listed]
    if len(programs) != 1:
        raise Failed(f"{len(programs)} programs are called {ENTRY}: is another capture running?")
    return programs[0].get("run_time_ns", 0), programs[0].get("run_cnt", 0)


def hosts(directory, count, *, networks=False):
    """A file of targets, none of which the traffic meets: as bad as it gets, every look-up is made."""
    path = os.path.join(directory, f"{'nets' if networks else 'hosts'}-{count}.txt")
    with open(path, "w", encoding="ascii") as f:
        for i in range(count):
            address = ipaddress.IPv4Address(0x14000000 + 256 * (i * 2654435761 % 65536) + (0 if networks else i % 256))
            f.write(f"{address}/24\n" if networks else f"{address}\n")
    return path


def kinds(directory):
    """[(label, options)]"""
    clauses = " or ".join(f"host 20.0.{i // 256}.{i % 256}" for i in range(60))
    result = [("no filter, all recorded", []), ("`udp`, all match", ["udp"]), ("`tcp port 80`, none match", ["tcp port 80"]),
              ("60 hosts as an expression, none match", [clauses])]
    for count in (1, 100, 10000):
        result.append((f"{count} included hosts, none match", ["--include", "@" + hosts(directory, count)]))
    for count in (1, 100, 10000):
        result.append((f"{count} included networks, none match", ["--include", "@" + hosts(directory, count, networks=True)]))
    result.append(("sample 1/1000 by flow", ["--sample", "1/1000", "--sample-by", "flow"]))
    return result


def filters(bench):
    rounds, packets = bench.rounds(6, 2), 30_000 if bench.quick else 100_000
    samples = []
    with bench.link() as (_, a, b), tempfile.TemporaryDirectory(prefix="retina-bench-") as directory, kernel_counts():
        wanted = kinds(directory)
        for number in range(rounds + 1):
            samples.append({})
            for label, options in in_turn(wanted, number):
                bench.progress.show(f"filters: round {number} of {rounds}", label)
                contestant = bench.ours(label, "-Q", "in", "-s", "128", *options)
                with bench.recorder(contestant, b) as recorder:
                    ns, runs = program_stats()
                    sent = bench.send(a, "--size", 128, "--count", packets, "--rate", 100_000, "--flows", FLOWS)
                    after_ns, after_runs = program_stats()
                    run = {"sent": sent["packets"], **recorder.stop()}
                if after_runs - runs != sent["packets"]:
                    raise Failed(f"{SENDER_DEVICE}: {sent['packets']} sent, {after_runs - runs} seen by the program")
                samples[-1][label] = {**run, "program_ns": (after_ns - ns) / sent["packets"]}
    samples = samples[1:]
    rows, base = [], wanted[0][0]
    for label, _ in wanted:
        value = median([r[label]["program_ns"] for r in samples])
        rows.append([label, figure(value, digits=0), figure(ratio([(r[label]["program_ns"], r[base]["program_ns"]) for r in samples]), digits=2)])
    goals = []
    for what in ("hosts", "networks"):
        for count in (100, 10000):
            value = ratio([(r[f"{count} included {what}, none match"]["program_ns"], r[f"1 included {what}, none match"]["program_ns"])
                           for r in samples])
            goals.append(goal(f"{count} include targets ({what}) against one, program time", "<=", 1.2, value))
    return {"title": "What a filter costs", "head": ["selection", "program, ns a frame", "against no filter"], "rows": rows, "goals": goals,
            "samples": samples,
            "how": [f"128-byte UDP frames in {FLOWS} flows arrive at 100 kpps at tcx ingress; the kernel counts the time of the programs "
                    "(`kernel.bpf_stats_enabled`: its own cost, some 30 ns, is in every figure).",
                    "Frames that do not match are counted, not recorded: an expression that selects little is cheaper than none. Targets cost "
                    "header loads and look-ups, more than recording a short frame does, however many they are.",
                    "None of the targets is met, so that every look-up is made."]}
