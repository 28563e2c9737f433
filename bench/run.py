#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""retina-xdp beside other recorders, in one run: ratios, not promises. tools/dev bench calls this.

    bench/run.py [scenario...] [--repeat N] [--quick] [--document]

The result goes to bench/results/TIME.json, tables to standard output, progress to standard error. --document also writes
docs/benchmarks.md. Exit status: 0 measured (whether or not goals were met), 1 usage, 2 failed, 77 this machine can't.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time

import report
import self_test
from contestants import Dumpcap, Failed, NetsniffNg, Tcpdump
from filters import filters
from lab import Unavailable
from scenarios import SCENARIOS as RECORDERS
from scenarios import Bench, goal
from statistics_rounds import median

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SKIPPED = 77
SCENARIOS = {**RECORDERS, "filters": filters}
QUIET = 0.5  # load average below which nobody else is at work


def first_line(argv):
    try:
        return subprocess.run(argv, text=True, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def machine(directory):
    model = re.search(r"^(?:model name|CPU part)\s*: (.*)$", read("/proc/cpuinfo"), re.M)
    memory = int(re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo")).group(1))
    virtualization = first_line(["systemd-detect-virt"])
    if not virtualization:
        virtualization = "virtual machine" if re.search(r"^flags.* hypervisor", read("/proc/cpuinfo"), re.M) else "none"
    return {"cpu": model.group(1).strip() if model else os.uname().machine, "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": round(memory / 2**20), "kernel": os.uname().release, "virtualization": virtualization,
            "filesystem": first_line(["stat", "-f", "-c", "%T", directory])}


def load():
    return float(read("/proc/loadavg").split()[0])


def versions(bench):
    return {"retina-xdpctl": bench.ours().version(), "tcpdump": Tcpdump().version(), "dumpcap": Dumpcap().version(),
            "netsniff-ng": NetsniffNg().version(), "iperf3": first_line(["iperf3", "--version"]),
            "zstd": first_line(["zstd", "--version"])}


def commit():
    described = first_line(["git", "-C", TREE, "describe", "--always", "--dirty", "--abbrev=12"])
    return described or "unknown"


def measure(bench, names, command):
    began, started = time.monotonic(), time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    load_before, results = load(), {}
    if load_before > QUIET:
        bench.progress.note(f"bench: warning: the load average is {load_before:.1f}: this machine is not quiet, nor will the numbers be")
    for name in names:
        try:
            results[name] = SCENARIOS[name](bench)
        except (Failed, OSError, subprocess.SubprocessError) as error:  # the other scenarios' minutes are not lost
            bench.failures[name] = str(error)
            bench.progress.note(f"bench: {name}: {error}")
    bench.progress.show("done")
    unaccounted = [goal(f"packets unaccounted for, in any of {len(bench.unaccounted)} runs of retina-xdp", "<=", 0,
                        {**median([abs(n) for n in bench.unaccounted]), "median": sum(map(abs, bench.unaccounted)),
                         "interval": None}, unit="packets")] if bench.unaccounted else []
    return {"schema": "retina-xdp/bench/v1", "machine": machine(bench.directory), "versions": versions(bench), "commit": commit(), "load_before": load_before,
            "command": command, "started": started, "seconds": time.monotonic() - began, "scenarios": results,
            "goals": unaccounted, "failures": bench.failures}


def save(result):
    directory = os.path.join(TREE, "bench", "results")
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, time.strftime("%Y%m%d-%H%M%S.json", time.gmtime()))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    return path


def program(parser, build, *path):
    found = os.path.join(build, *path)
    if not os.access(found, os.X_OK):
        parser.error(f"{found} is not there: build first, or say where with --build or RETINA_BUILD")
    return found


def main():
    parser = argparse.ArgumentParser(description="Compare retina-xdp with other recorders, on this machine, in one run.")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"some of: {' '.join(SCENARIOS)}; default: all")
    parser.add_argument("--repeat", type=int, metavar="N", help="rounds that count, of every scenario")
    parser.add_argument("--quick", action="store_true", help="two minutes: shorter and fewer rounds, wide intervals")
    parser.add_argument("--capture", metavar="FILE", help="pack: a capture file to replay, beside the fixed mix")
    parser.add_argument("--directory", default="/var/tmp", help="where the contestants write (default %(default)s)")
    parser.add_argument("--build", default=os.environ.get("RETINA_BUILD", os.path.join(TREE, "build")), help="build directory")
    parser.add_argument("--document", action="store_true", help="write docs/benchmarks.md too")
    parser.add_argument("--self-test", action="store_true", help="check the harness itself with contestants of known loss and cost")
    args = parser.parse_args()
    unknown = [name for name in args.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no such scenario: {unknown[0]}; there are {' '.join(SCENARIOS)}")
    if args.repeat is not None and args.repeat < 1:
        parser.error("--repeat must be at least 1")
    try:
        bench = Bench(retina=program(parser, args.build, "tools", "retina-xdpctl"),
                      traffic=program(parser, args.build, "bench", "generator", "retina-traffic"),
                      directory=args.directory, repeat=args.repeat, quick=args.quick,
                      capture=os.path.abspath(args.capture) if args.capture else None)
        if args.self_test:
            return self_test.run(bench)
        result = measure(bench, args.scenarios or list(SCENARIOS), shlex.join(["tools/dev", "bench", *sys.argv[1:]]))
    except Unavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return SKIPPED
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    path = save(result)
    print(report.as_text(result))
    print(f"\n{path}")
    if args.document:
        report.write_document(result, os.path.join(TREE, "docs", "benchmarks.md"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
