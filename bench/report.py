#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Results of bench/run.py as text, and as docs/benchmarks.md.

    bench/report.py RESULT.json...              print tables; scenarios of later files replace those of earlier ones
    bench/report.py --document PATH RESULT...   write the page
"""

import argparse
import json
import sys

from scenarios import figure

NOT_MEASURED = [
    ("CPU of the whole process per captured packet, raw path", "<= 20 ns", "no raw path"),
    ("`xsk` with full recording, against a bare AF_XDP receive-and-drop loop", ">= 0.9x", "no `xsk` source"),
    ("finding one flow in a 2 GB file, against `tcpdump -r`", "<= 0.05x", "no index"),
]


def distance(goal):
    """met, or by how much not"""
    if goal["met"] is None:
        return "not measured"
    value, limit = goal["value"]["median"], goal["limit"]
    within = value <= limit if goal["sense"] == "<=" else value >= limit
    if goal["met"]:
        return "met"
    if within:
        return "not met"
    factor = value / limit if goal["sense"] == "<=" else limit / value if value else float("inf")
    return f"not met, by {factor:.2f}x"


def goal_row(goal):
    unit = "x" if goal["unit"] == "x" else f" {goal['unit']}"
    digits = 0 if max(goal["limit"], 0 if goal["value"] is None else goal["value"]["median"]) >= 20 else 2
    return [goal["text"], f"{goal['sense']} {goal['limit']:g}{unit}", figure(goal["value"], digits=digits),
            distance(goal) + (f" ({goal['note']})" if goal["note"] else "")]


GOAL_HEAD = ["goal", "limit", "measured: median [95 % interval]", ""]


def goals(result):
    return [goal for scenario in result["scenarios"].values() for goal in scenario["goals"]] + result["goals"]


def text_table(head, rows):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, ["-" * w for w in widths], *rows]:
        cells = [str(cell).ljust(w) if i == 0 else str(cell).rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows])


def failures(result):
    return [f"{name} failed: {reason}" for name, reason in result["failures"].items()]


def as_text(result):
    parts = []
    for scenario in result["scenarios"].values():
        parts += ["", scenario["title"], "", text_table(scenario["head"], scenario["rows"])]
    parts += ["", "Goals", "", text_table(GOAL_HEAD, [goal_row(g) for g in goals(result)]), *failures(result)]
    return "\n".join(parts)


def as_markdown(result):
    machine = result["machine"]
    parts = [
        "# Benchmarks",
        "Made by `bench/report.py` from a run of `bench/run.py`; do not edit. The numbers hold for this machine and this run, side by side; "
        "ratios travel better than they do. Figures are medians over rounds with 95 % bootstrap intervals over whole rounds; "
        "the first round is thrown away and the contestants' order rotates. The packets in each contestant's file are counted (in `pack` and `memory` our own count is taken, which the tests check).",
        markdown_table(["", ""], [["machine", f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gib']} GiB, "
                                              f"{machine['virtualization']}"],
                                  ["kernel", machine["kernel"]], ["load before", f"{result['load_before']:.2f}"], ["files on", machine["filesystem"]],
                                  ["retina-xdp", f"commit {result['commit']}"],
                                  *[[name, version or "absent"] for name, version in result["versions"].items()],
                                  ["date, duration", f"{result['started']}, {result['seconds'] / 60:.0f} min"],
                                  ["to reproduce", f"`{result['command']}`"]]),
        "## Goals",
        markdown_table(GOAL_HEAD, [goal_row(g) for g in goals(result)]
                       + [[text, limit, "-", f"not measured: this version has {why}"] for text, limit, why in NOT_MEASURED]),
    ]
    for scenario in result["scenarios"].values():
        parts += [f"## {scenario['title']}", "\n".join(f"- {sentence}" for sentence in scenario["how"]),
                  markdown_table(scenario["head"], scenario["rows"])]
    if result["failures"]:
        parts += ["## Failures", "\n".join(f"- {line}" for line in failures(result))]
    return "\n\n".join(parts) + "\n"


def write_document(result, path):
    with open(path, "w", encoding="utf-8") as f:
        f.write(as_markdown(result))


def load(paths):
    """One result; the scenarios of later files replace those of earlier ones."""
    merged = None
    for path in paths:
        with open(path, encoding="utf-8") as f:
            result = json.load(f)
        if merged:
            result["scenarios"] = {**merged["scenarios"], **result["scenarios"]}
            result["failures"] = {**merged["failures"], **result["failures"]}
            result["seconds"] += merged["seconds"]
        merged = result
    return merged


def main():
    parser = argparse.ArgumentParser(description="Tables and docs/benchmarks.md from results of bench/run.py.")
    parser.add_argument("--document", metavar="PATH", help="write the page there instead of printing")
    parser.add_argument("results", nargs="+", metavar="RESULT.json")
    args = parser.parse_args()
    result = load(args.results)
    if args.document:
        write_document(result, args.document)
    else:
        print(as_text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
