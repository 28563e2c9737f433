#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A quick look at everything that runs in a capture, for builds with a sanitizer (RETINA_SLOW=1): threads, caps, formats, both
directions, losses, interfaces that come and go. Under 20 seconds."""

import signal
import unittest

from recorder import IN, OUT, CaptureTest, load, wait_until


class SmokeTest(CaptureTest):
    def test_both_directions_and_cpus_with_short_epochs(self):
        recording = self.record("--flush-interval", "20ms", "--workers", "3", "--level", "1")
        senders = [self.sender("--cpu", 0, "--count", load(20000), "--rate", load(30000), "--size", "60-1500"),
                   self.sender("--cpu", 1, "--count", load(20000), "--rate", load(30000), "--size", "60-1500", ns=self.b, interface="right")]
        to, back = [s.close(stop=False) for s in senders]
        recording.stop(signal.SIGTERM)
        self.assertEqual((recording.status, recording.summary["stop_reason"]), (0, "signal"), recording.text())
        self.assert_balanced(recording)
        self.assert_file_agrees(recording)
        self.assertEqual({r["direction"]: r["seen"]["packets"] for r in recording.summary["interfaces"]},
                         {IN: to["packets"], OUT: back["packets"]})
        lost = recording.summary["totals"]["lost"]["packets"]
        missing = [self.check(recording.path, s, status=None)["missing"] for s in (to, back)]
        self.assertEqual(sum(missing), lost)

    def test_losses_are_counted(self):
        recording = self.record("--ring-size", "1Mi", "--level", "9", "--workers", "1")
        sent = self.send("--duration", 0.4, "--size", "200-1400")
        recording.stop()
        totals = self.assert_balanced(recording)
        self.assertEqual(totals["seen"]["packets"], sent["packets"])
        self.assertEqual(self.check(recording.path, sent, status=None)["missing"], totals["lost"]["packets"])
        self.assert_sound(recording.path, totals["captured"]["packets"])

    def test_caps_end_it(self):
        flood = self.sender("--rate", load(20000), "--size", "100-1400")
        for name, args, why in (("a.pcapng.zst", ["-c", "700"], "packets"), ("b.pcapng", ["--max-size", "200kB"], "size"),
                                ("c.pcap.zst", ["--max-size", "50kB"], "size"), ("d.pcapng.zst", ["--duration", "300ms"], "duration")):
            with self.subTest(args=args):
                recording = self.record(*args, name=name, ready=0).wait(20)
                self.assertEqual((recording.status, recording.summary["stop_reason"]), (0, why), recording.text())
                totals = self.assert_balanced(recording)
                self.assertGreater(totals["captured"]["packets"], 0)
                if name != "c.pcap.zst":
                    self.assert_file_agrees(recording)
        flood.close()

    def test_interfaces_come_and_go(self):
        recording = self.record("-v", interfaces=["any"], ready=2)
        self.b.ip("link", "add", "v1", "type", "veth", "peer", "name", "w1")
        wait_until(lambda: recording.lines().count_of("w1: recording,") == 1, 10)
        self.b.ip("link", "delete", "v1")
        wait_until(lambda: recording.lines().count_of("w1: the interface is gone") == 1, 10)
        recording.stop()
        self.assertEqual(recording.status, 0, recording.text())
        self.assert_balanced(recording)
        self.assert_file_agrees(recording)

    def test_guarded_filters(self):
        recording = self.record("--hook", "clsact")
        sent = self.send("--count", 500, "--rate", load(10000))
        recording.stop()
        self.assertEqual(recording.status, 0, recording.text())
        self.check(recording.path, sent)
        self.assert_clean()

    def test_refusals_free_what_they_made(self):
        for args, interfaces, status in ((["--ring-size", "4Ki"], ["right"], 1), ([], ["nosuch"], 2), ([], ["right", "right"], 1)):
            recording = self.record(*args, interfaces=interfaces, ready=0).wait(20)
            self.assertEqual(recording.status, status, recording.text())
            self.assertEqual(len(recording.lines()), 1, recording.text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
