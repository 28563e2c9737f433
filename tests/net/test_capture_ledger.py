#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sent = captured + counted lost, exactly: every kind of frame, each direction, hook and CPU, calm and overloaded."""

import sys
import unittest

from recorder import IN, OUT, CaptureTest, load

KINDS = ["udp4", "udp6", "tcp4", "tcp6", "icmp4", "icmp6", "dns4", "dns6"]
SIZES = ["60", "61", "63", "64", "65", "127", "128", "129", "590", "1513", "1514", "4096", "9000", "9014", "imix", "60-9014"]
TINY = ["--ring-size", "1Mi", "--workers", "1", "--level", "19"]


class LedgerTest(CaptureTest):
    MTU = 9000

    def row(self, recording, direction, name="right"):
        rows = [r for r in recording.summary["interfaces"] if (r["name"], r["direction"]) == (name, direction)]
        self.assertEqual(len(rows), 1, recording.summary["interfaces"])
        return rows[0]

    def assert_all_there(self, recording, sent, direction=IN, name="right", tag_bytes=0):
        """A calm capture holds all of what was sent in one direction, to the packet and the byte."""
        totals = self.assert_balanced(recording)
        self.assertEqual(recording.status, 0)
        self.assertEqual(totals["lost"]["packets"], 0)
        self.assertEqual(recording.lines()[-1], "no packet was lost")
        wanted = {"packets": sum(s["packets"] for s in sent), "bytes": sum(s["bytes"] for s in sent)}
        self.assertEqual(self.row(recording, direction, name)["captured"], wanted)
        for s in sent:
            result = self.check(recording.path, s)
            self.assertEqual((result["ours"], result["missing"], result["time_disorder"]), (s["packets"], 0, 0))

    def test_every_kind_of_packet_arrives_in_the_file(self):
        recording = self.record()
        sent = [self.send("--kind", kind, "--count", load(2000), "--rate", load(50000), "--flows", 7) for kind in KINDS]
        recording.stop()
        self.assert_all_there(recording, sent)
        self.assert_file_agrees(recording)

    def test_every_size_of_frame_arrives_in_the_file(self):
        recording = self.record()
        sent = [self.send("--size", size, "--count", load(1200), "--rate", load(15000)) for size in SIZES]
        recording.stop()
        self.assert_all_there(recording, sent)
        self.assert_file_agrees(recording)
        self.assert_sound(recording.path, recording.summary["totals"]["captured"]["packets"])

    def test_tagged_frames_count_with_their_tags(self):
        for direction, ns, name in ((IN, self.b, "right"), (OUT, self.a, "left")):
            with self.subTest(direction=direction):
                recording = self.record(ns=ns, name=f"{direction}.pcapng.zst", interfaces=[name])
                sent = [self.send("--kind", ",".join(KINDS), "--size", "200-1400", "--count", load(2000), "--rate", load(50000), *tags)
                        for tags in (["--vlan", 100], ["--qinq", "100,200"], ["--vlan", 0])]
                recording.stop()
                self.assert_all_there(recording, sent, direction, name)
                self.assert_file_agrees(recording)

    def test_directions_are_told_apart(self):
        for wanted in ("in", "out", "inout"):
            with self.subTest(wanted=wanted):
                recording = self.record("-Q", wanted, name=f"{wanted}.pcapng.zst")
                back = self.sender("--count", load(7000), "--rate", load(30000), "--size", "100", ns=self.b, interface="right")
                to = self.send("--count", load(5000), "--rate", load(30000), "--size", "200-1400")
                back = back.close(stop=False)
                recording.stop()
                if wanted != "out":
                    self.assert_all_there(recording, [to], IN)
                if wanted != "in":
                    self.assert_all_there(recording, [back], OUT)
                self.assertEqual([r["direction"] for r in recording.summary["interfaces"]],
                                 {"in": [IN], "out": [OUT], "inout": [IN, OUT]}[wanted])
                self.assert_file_agrees(recording)

    def test_each_hook_counts_the_same(self):
        for hook in ("tcx", "xdp", "clsact"):
            with self.subTest(hook=hook):
                recording = self.record("--hook", hook, name=f"{hook}.pcapng.zst")
                back = self.sender("--count", load(3000), "--rate", load(10000), "--size", "60-9014", ns=self.b, interface="right")
                to = self.send("--count", load(3000), "--rate", load(10000), "--size", "60-9014")
                back = back.close(stop=False)
                recording.stop()
                self.assertEqual(self.row(recording, IN)["hook"], hook)
                self.assertEqual(self.row(recording, OUT)["hook"], "clsact" if hook == "clsact" else "tcx")
                self.assert_all_there(recording, [to], IN)
                self.assert_all_there(recording, [back], OUT)
                self.assert_file_agrees(recording)
                self.assert_clean()

    def test_tagged_frames_at_each_hook(self):
        for hook in ("xdp", "clsact"):
            with self.subTest(hook=hook):
                recording = self.record("--hook", hook, name=f"{hook}.pcapng.zst")
                sent = [self.send("--size", "200-1400", "--count", load(2000), "--rate", load(50000), *tags)
                        for tags in (["--vlan", 100], ["--qinq", "100,200"])]
                recording.stop()
                self.assert_all_there(recording, sent)

    def test_senders_on_either_cpu_and_on_both(self):
        for cpus in ((0,), (1,), (0, 1)):
            with self.subTest(cpus=cpus):
                recording = self.record(name=f"{len(cpus)}{cpus[0]}.pcapng.zst")
                senders = [self.sender("--cpu", cpu, "--count", load(20000), "--rate", load(40000), "--size", "imix") for cpu in cpus]
                sent = [s.close(stop=False) for s in senders]
                recording.stop()
                self.assert_all_there(recording, sent)
                self.assert_file_agrees(recording)

    def test_an_idle_capture_is_all_zeros(self):
        recording = self.record().stop()
        totals = self.assert_balanced(recording)
        self.assertEqual(totals["seen"], {"packets": 0, "bytes": 0})
        self.assertEqual(recording.status, 0)
        self.assertEqual(self.assert_file_agrees(recording).packets, [])
        self.assert_sound(recording.path, 0)

    def overload(self, *args, hook="auto", directions=False):
        """Two senders flat out into a tiny ring and one slow packer. Returns the recording and the reports (to, back)."""
        recording = self.record(*TINY, "--hook", hook, *args, name=f"{hook}{directions}.pcapng.zst")
        size = ["--size", "200-1400", "--duration", "0.7"]
        senders = [self.sender("--cpu", 0, *size),
                   self.sender("--cpu", 1, *size, **({"ns": self.b, "interface": "right"} if directions else {}))]
        sent = [s.close(stop=False) for s in senders]
        return recording.stop(), sent

    def assert_lost_are_counted(self, recording, sent, status=0):
        self.assertEqual(recording.status, status, recording.text())
        totals = self.assert_balanced(recording)
        self.assertGreater(totals["lost"]["packets"], 0)
        self.assertGreater(totals["captured"]["packets"], 0)
        self.assertEqual(totals["seen"], {"packets": sum(s["packets"] for s in sent), "bytes": sum(s["bytes"] for s in sent)})
        results = [self.check(recording.path, s, status=None) for s in sent]
        self.assertEqual(sum(r["missing"] for r in results), totals["lost"]["packets"])
        self.assertEqual(results[0]["time_disorder"], 0)
        self.assert_file_agrees(recording)
        share = totals["lost"]["packets"] / totals["seen"]["packets"]
        print(f"\n  {totals['seen']['packets']} seen, {share:.1%} lost", end="", file=sys.stderr)

    def test_an_overload_is_counted_to_the_packet(self):
        for hook, directions in (("tcx", False), ("tcx", True), ("xdp", True), ("clsact", True)):
            with self.subTest(hook=hook, directions=directions):
                self.assert_lost_are_counted(*self.overload(hook=hook, directions=directions))

    def test_losses_are_a_failure_when_asked_for(self):
        recording, sent = self.overload("--fail-on-loss")
        self.assert_lost_are_counted(recording, sent, status=3)
        recording = self.record("--fail-on-loss", name="calm.pcapng.zst")
        self.send("--count", 1000, "--rate", 10000)
        self.assertEqual(recording.stop().status, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
