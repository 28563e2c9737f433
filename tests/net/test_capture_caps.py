#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What ends a capture: duration, size, packets, signals. Each cap is exact, and all that was recorded until then is in the file."""

import json
import os
import signal
import subprocess
import time
import unittest

from recorder import IN, TRAFFIC, CaptureTest, load


class CapsTest(CaptureTest):
    def flood(self, *args):
        """Goes on until it is closed."""
        return self.sender("--rate", load(60000), "--size", "100-1400", *args)

    def ended(self, recording, why, status=0):
        self.assertEqual((recording.status, recording.summary["stop_reason"]), (status, why), recording.text())
        totals = self.assert_balanced(recording)
        self.assert_file_agrees(recording)
        return totals

    def assert_prefix(self, recording, sent):
        """The file holds the stream from some number on without a gap: nothing but its end is missing."""
        result = json.loads(subprocess.run([TRAFFIC, "check", "--stream", str(sent["stream"]), recording.path], text=True,
                                           stdout=subprocess.PIPE, check=True).stdout)
        self.assertGreater(result["ours"], 0)
        self.assertEqual((result["missing"], result["reordered"], result["time_disorder"]), (0, 0, 0))

    def test_duration(self):
        for text, seconds in (("0.5s", 0.5), ("2", 2), ("1m", None)):
            with self.subTest(text=text):
                recording = self.record("--duration", text, name=f"{text}.pcapng.zst")
                begin = time.monotonic()
                flood = self.flood()
                if seconds is None:  # a longer one is ended by a signal all the same
                    time.sleep(0.3)
                    recording.stop()
                    flood.close()
                    self.assertLess(recording.summary["duration_s"], 5)
                    self.ended(recording, "signal")
                    continue
                recording.wait(10)
                self.assertAlmostEqual(time.monotonic() - begin, seconds, delta=1.2)
                sent = flood.close()
                self.ended(recording, "duration")
                self.assertAlmostEqual(recording.summary["duration_s"], seconds, delta=0.01)
                file = recording.summary["files"][0]
                self.assertLessEqual(file["last_ns"] - file["first_ns"], seconds * 1e9)
                self.assertGreater(file["last_ns"] - file["first_ns"], (seconds - 0.3) * 1e9)
                self.assert_prefix(recording, sent)

    def test_duration_ends_under_a_flood_into_a_tiny_ring(self):
        """What arrives between the deadline and the last detaching fills the ring: it must not be waited for."""
        for _ in range(3):
            recording = self.record("--duration", "0.4s", "--ring-size", "1Mi", "--force")
            floods = [self.sender("--cpu", cpu, "--size", "1400") for cpu in (0, 1)]
            recording.wait(6)
            for flood in floods:
                flood.close()
            self.ended(recording, "duration")

    def test_duration_of_an_idle_capture(self):
        recording = self.record("--duration", "300ms").wait(5)
        self.assertEqual(self.ended(recording, "duration")["seen"]["packets"], 0)
        self.assert_sound(recording.path, 0)

    def test_count_is_exact_under_load(self):
        flood = self.flood()
        for n in (1, 2, 999, 1000, 4096, 20000):
            for args in ([], ["--format", "pcap"], ["--compress", "none", "--workers", "1"])[:1 if n > 999 else 3]:
                with self.subTest(n=n, args=args):
                    recording = self.record("-c", str(n), *args, name=f"{n}{len(args)}.x", ready=0).wait(10)
                    self.assertEqual((recording.status, recording.summary["stop_reason"]), (0, "packets"))
                    totals = self.assert_balanced(recording)
                    self.assertEqual(totals["captured"]["packets"], n)
                    self.assertEqual(totals["lost"]["packets"], 0)
                    if "pcap" not in args:
                        os.rename(recording.path, recording.path + (".pcapng" if "none" in args else ".zst"))
                        self.assert_sound(recording.path + (".pcapng" if "none" in args else ".zst"), n)
        flood.close()

    def test_count_is_exact_under_load_with_losses(self):
        floods = [self.sender("--cpu", cpu, "--size", "500") for cpu in (0, 1)]
        recording = self.record("-c", str(load(20000)), "--ring-size", "1Mi", "--workers", "1", "--level", "15", ready=0).wait(20)
        for flood in floods:
            flood.close()
        totals = self.ended(recording, "packets")
        self.assertEqual(totals["captured"]["packets"], load(20000))
        self.assert_sound(recording.path, load(20000))

    def test_count_that_is_not_reached(self):
        recording = self.record("-c", "1000")
        self.send("--count", 999, "--rate", 20000)
        time.sleep(0.1)
        self.assertEqual(self.ended(recording.stop(), "signal")["captured"]["packets"], 999)

    def test_size_is_never_exceeded_and_nearly_reached(self):
        flood = self.flood()
        kinds = ((".pcapng.zst", []), (".pcapng", []), (".pcap", []), (".pcapng.zst", ["--level", "-5"]))
        for size, n, kinds in (("20KB", 20000, kinds[:2]), ("64Ki", 65536, kinds[1:]), ("1MB", 1000000, kinds), ("3000000", 3000000, kinds[1:2])):
            for name, args in kinds:
                with self.subTest(size=size, name=name, args=args):
                    recording = self.record("--max-size", size, *args, name=f"{size}{len(args)}{name}", ready=0)
                    most = 0
                    deadline = time.monotonic() + 20
                    while recording.process.poll() is None and time.monotonic() < deadline:
                        most = max(most, os.path.getsize(recording.path) if os.path.exists(recording.path) else 0)
                        time.sleep(0.005)
                    recording.wait(20)
                    self.assertEqual((recording.status, recording.summary["stop_reason"]), (0, "size"))
                    totals = self.assert_balanced(recording)
                    self.assertLessEqual(max(most, os.path.getsize(recording.path)), n)
                    self.assertGreater(os.path.getsize(recording.path), n - 8192 - n // 20)
                    self.assertGreater(totals["captured"]["packets"], 0)
                    if name != ".pcap":
                        self.assert_file_agrees(recording)
                    self.assert_sound(recording.path, totals["captured"]["packets"])
        flood.close()

    def test_size_on_disk_under_a_slow_packer(self):
        floods = [self.sender("--cpu", cpu, "--size", "700") for cpu in (0, 1)]
        recording = self.record("--max-size", "3MB", "--ring-size", "2Mi", "--level", "9", ready=0).wait(20)
        for flood in floods:
            flood.close()
        totals = self.ended(recording, "size")
        self.assertLessEqual(os.stat(recording.path).st_size, 3000000)
        self.assertLessEqual(os.stat(recording.path).st_blocks * 512, 3000000 + 16384)  # the file system's own blocks count too
        self.assert_sound(recording.path, totals["captured"]["packets"])

    def test_the_smallest_size(self):
        flood = self.flood()
        recording = self.record("--max-size", "4096", "-s", "60", ready=0).wait(5)
        flood.close()
        totals = self.ended(recording, "size")
        self.assertGreater(totals["captured"]["packets"], 0)
        self.assertLessEqual(os.path.getsize(recording.path), 4096)
        self.assert_sound(recording.path, totals["captured"]["packets"])

    def test_a_size_without_room_for_packets_is_refused(self):
        for i in range(40):
            self.b.ip("link", "add", f"dummy{i}", "type", "veth", "peer", "name", f"peer{i}")
            self.addCleanup(self.b.ip, "link", "delete", f"dummy{i}")
        names = [f"{name}{i}" for name in ("dummy", "peer") for i in range(40)]
        recording = self.record("--max-size", "4096", interfaces=names, ready=0).wait(10)
        self.assertEqual(recording.status, 2, recording.text())
        self.assertIn("--max-size", recording.text())
        self.assertEqual(len(recording.lines()), 1)
        self.assertFalse(os.path.exists(recording.path))

    def test_dumpcap_spellings(self):
        flood = self.flood()
        for spelling, why in (("duration:1", "duration"), ("filesize:50", "size"), ("packets:777", "packets")):
            with self.subTest(spelling=spelling):
                recording = self.record("-a", spelling, name=f"{why}.pcapng.zst", ready=0).wait(10)
                totals = self.ended(recording, why)
                if why == "duration":
                    self.assertAlmostEqual(recording.summary["duration_s"], 1, delta=0.01)
                if why == "size":
                    self.assertLessEqual(os.path.getsize(recording.path), 50000)
                if why == "packets":
                    self.assertEqual(totals["captured"]["packets"], 777)
        flood.close()

    def test_the_first_cap_that_is_reached_ends_it(self):
        flood = self.flood()
        for args, why in ((["-c", "500", "--duration", "30s", "--max-size", "100MB"], "packets"),
                          (["-c", "50000000", "--duration", "300ms", "--max-size", "1GB"], "duration"),
                          (["-c", "50000000", "--duration", "30s", "--max-size", "100kB"], "size")):
            with self.subTest(args=args):
                self.ended(self.record(*args, name=f"{why}.pcapng.zst", ready=0).wait(20), why)
        flood.close()

    def test_each_signal_ends_it_with_all_that_was_sent(self):
        for numbers in ((signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGTERM)):
            with self.subTest(numbers=numbers):
                recording = self.record(name=f"{numbers[0]}{len(numbers)}.pcapng.zst")
                sent = self.send("--count", load(20000), "--rate", load(100000), "--size", "200")
                recording.stop(*numbers)
                totals = self.ended(recording, "signal")
                self.assertEqual(totals["captured"], {"packets": sent["packets"], "bytes": sent["bytes"]})
                self.check(recording.path, sent)
                self.assertRegex(recording.text(), r"(?m)^[0-9.]+ s recorded, ended by signal; CPU")
                self.assertRegex(recording.text(), rf"(?m)^right +{IN} +tcx +{sent['packets']} +0 +{sent['packets']} +0$")
                self.assertIn(f"{recording.path}: {sent['packets']} packets", recording.text())
                self.assertEqual(recording.lines()[-1], "no packet was lost")
        self.assert_clean()

    def test_a_signal_under_load_loses_nothing(self):
        recording = self.record("--flush-interval", "100ms")
        flood = self.flood()
        time.sleep(0.7)
        recording.stop(signal.SIGTERM)
        sent = flood.close()
        totals = self.ended(recording, "signal")
        self.assertEqual(totals["lost"]["packets"], 0)
        self.assert_prefix(recording, sent)

    def test_quiet_says_nothing_and_json_one_object(self):
        recording = self.record("-q", "-c", "10", ready=0)
        deadline = time.monotonic() + 10
        while recording.process.poll() is None and time.monotonic() < deadline:
            self.send("--count", 20, "--rate", 1000)
        recording.wait(5)
        self.assertEqual(recording.text(), "")
        s = recording.summary
        self.assertEqual(s["schema"], "retina-xdp/summary/v1")
        self.assertEqual(set(s), {"schema", "name", "stop_reason", "duration_s", "interfaces", "totals", "files", "cpu", "balanced"})
        self.assertEqual(set(s["cpu"]), {"user_s", "system_s"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
