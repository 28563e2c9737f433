#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The node's traffic is untouched whatever state the recorder is in: running, stopped, full, killed."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from recorder import TRAFFIC, CaptureTest, attached, load, processes, wait_until

SIZE = load(200_000_000)


class PassiveTest(CaptureTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.served = tempfile.mkdtemp(prefix="retina-served-")
        cls.addClassCleanup(shutil.rmtree, cls.served)
        block = hashlib.shake_256(b"retina").digest(1 << 20)
        digest = hashlib.sha256()
        with open(os.path.join(cls.served, "data"), "wb") as f:
            for i in range(SIZE // len(block)):
                piece = i.to_bytes(8, "big") + block[8:]
                digest.update(piece)
                f.write(piece)
        cls.digest = digest.hexdigest()
        cls.http = cls.b.popen([sys.executable, "-m", "http.server", "--bind", "10.77.0.2", "-d", cls.served, "8000"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.iperf = cls.b.popen(["iperf3", "-s"], stdout=subprocess.DEVNULL)
        wait_until(lambda: b":1F40 " in cls.b.run(["cat", "/proc/net/tcp"], stdout=subprocess.PIPE).stdout, what="the server listens")

    def download(self, *args):
        script = 'curl -sS "$@" http://10.77.0.2:8000/data | sha256sum'
        return self.a.popen(["bash", "-o", "pipefail", "-c", script, "-", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def assert_identical(self, download):
        out, errors = download.communicate(timeout=30)
        self.assertEqual((download.returncode, out.split()[0]), (0, self.digest), errors)

    def assert_tcp_flows_both_ways(self):
        for args in ([], ["-R"]):
            report = json.loads(self.a.output(["iperf3", "-c", "10.77.0.2", "-J", "-n", f"{SIZE // 4}", *args]))
            received = report["end"]["sum_received"]
            self.assertGreater(received["bytes"], SIZE // 8)  # iperf3 closes on what is under way

    def test_data_is_identical_while_it_records(self):
        for hook in ("tcx", "clsact", "xdp"):
            with self.subTest(hook=hook):
                recording = self.record("-s", "128", "--hook", hook, name=f"{hook}.pcapng.zst")
                self.assert_identical(self.download())
                self.assert_tcp_flows_both_ways()
                recording.stop()
                self.assert_balanced(recording)

    def test_data_is_identical_while_it_is_stopped_and_full(self):
        for args in ([], ["--ring-size", "1Mi"]):
            with self.subTest(args=args):
                recording = self.record(*args, name=f"{len(args)}.pcapng.zst")
                recording.signal(signal.SIGSTOP)
                self.assert_identical(self.download())
                self.assert_tcp_flows_both_ways()
                recording.signal(signal.SIGCONT)
                time.sleep(0.2)
                recording.stop()
                totals = self.assert_balanced(recording)
                self.assertGreater(totals["lost"]["packets"], 0)
                self.assert_file_agrees(recording)

    def test_a_recorder_that_was_full_goes_on_when_there_is_room(self):
        """Whatever state the rings were left in, the next calm load is recorded whole."""
        for ring in ("1Mi", "2Mi", "4Mi", "16Mi"):
            with self.subTest(ring=ring):
                recording = self.record("--ring-size", ring, "--flush-interval", "100ms", "--level", "1", name=f"{ring}.pcapng.zst")
                for _ in range(3):
                    recording.signal(signal.SIGSTOP)
                    full = [self.sender("--cpu", cpu, "--size", "200-1400", "--count", load(25000)) for cpu in (0, 1)]
                    full = [s.close(stop=False) for s in full]
                    recording.signal(signal.SIGCONT)
                    time.sleep(0.4)
                    calm = self.send("--count", load(2000), "--rate", load(20000), "--size", "200")
                recording.stop(timeout=10)
                totals = self.assert_balanced(recording)
                self.assertGreater(totals["lost"]["packets"], 0)
                self.check(recording.path, calm)
                self.assertGreater(self.check(recording.path, full[0], status=None)["ours"], 0)

    def test_nothing_that_is_sent_is_missing_at_the_receiver(self):
        for state, args in (("stopped", ["--ring-size", "1Mi"]), ("running", ["--hook", "clsact"]), ("running", [])):
            with self.subTest(state=state, args=args):
                recording = self.record(*args, name=f"{state}{len(args)}.pcapng.zst")
                if state == "stopped":
                    recording.signal(signal.SIGSTOP)
                before = self.b.counters("right")["rx"]
                sent = self.send("--rate", load(150000), "--duration", 0.7, "--size", "60-1500")
                after = self.b.counters("right")["rx"]
                recording.signal(signal.SIGCONT)
                recording.stop()
                self.assertEqual({k: after[k] - before[k] for k in ("packets", "bytes", "dropped", "errors")},
                                 {"packets": sent["packets"], "bytes": sent["bytes"], "dropped": 0, "errors": 0})
                self.assertEqual(self.assert_balanced(recording)["seen"], {"packets": sent["packets"], "bytes": sent["bytes"]})

    def test_a_killed_recorder_leaves_nothing_and_a_readable_file(self):
        for hook in ("tcx", "clsact", "xdp"):
            with self.subTest(hook=hook):
                recording = self.record("-s", "200", "--hook", hook, "--flush-interval", "100ms", name=f"{hook}.pcapng.zst")
                self.assertNotEqual(attached(self.b), {})
                download = self.download("--limit-rate", "150M")
                sender = self.sender("--rate", load(20000), "--size", "100")
                time.sleep(0.9)
                recording.process.kill()
                recording.process.wait()
                self.assert_clean(self.b, timeout=1)
                sent = sender.close()
                self.assert_identical(download)
                self.assert_survives(recording.path, sent, load(20000) // 2)

    def assert_survives(self, path, sent, at_least):
        """What was flushed is there, whole and without a gap; only the end is cut off."""
        shown = subprocess.run(["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.number"], text=True, capture_output=True, check=False)
        self.assertGreaterEqual(shown.stdout.count("\n"), at_least, shown.stderr)
        plain = self.path("plain.pcapng")
        with open(plain, "wb") as f:
            subprocess.run(["zstdcat", path], stdout=f, stderr=subprocess.DEVNULL, check=False)
        done = subprocess.run([TRAFFIC, "check", "--stream", str(sent["stream"]), plain], text=True, capture_output=True, check=False)
        result = json.loads(done.stdout)
        self.assertGreaterEqual(result["ours"], at_least)
        self.assertEqual([result[k] for k in ("missing", "duplicates", "corrupt", "reordered", "time_disorder")], [0] * 5)

    def test_a_recorder_killed_while_it_is_full_leaves_nothing(self):
        for hook in ("tcx", "clsact"):
            recording = self.record("--ring-size", "1Mi", "--hook", hook, "--force")
            recording.signal(signal.SIGSTOP)
            flood = self.sender("--size", "1000")
            time.sleep(0.2)
            recording.process.kill()
            recording.process.wait()
            self.assert_clean(self.b, timeout=1)
            flood.close()

    def test_another_program_on_the_hook_stays(self):
        """Its filter was there first, and is there afterwards; ours is gone from beside it."""
        self.b.output(["tc", "qdisc", "add", "dev", "right", "clsact"])
        self.addCleanup(self.b.run, ["tc", "qdisc", "del", "dev", "right", "clsact"], stderr=subprocess.DEVNULL)
        self.b.run(["tc", "filter", "add", "dev", "right", "ingress", "prio", "7", "matchall", "action", "ok"],
                   stderr=subprocess.DEVNULL)  # not every kernel has matchall
        before = self.b.output(["tc", "filter", "show", "dev", "right", "ingress"])
        for killed in (False, True):
            recording = self.record("--hook", "clsact", "--force")
            sent = self.send("--count", 100, "--rate", 10000)
            if killed:
                recording.process.kill()
                recording.process.wait()
            else:
                recording.stop()
                self.assertEqual(recording.summary["totals"]["seen"]["packets"], sent["packets"])
            wait_until(lambda: not processes(self.b), 1, "the guard ends")
            self.assertEqual(self.b.output(["tc", "filter", "show", "dev", "right", "ingress"]), before)
            self.assertIn("clsact", self.b.output(["tc", "qdisc", "show", "dev", "right"]))

    def test_two_captures_of_one_interface_do_not_meet(self):
        for hook, other in (("tcx", "tcx"), ("tcx", "clsact"), ("xdp", "tcx"), ("clsact", "clsact")):
            with self.subTest(hook=hook, other=other):
                one = self.record("--hook", hook, name=f"one{hook}{other}.pcapng.zst")
                two = self.record("--hook", other, "-s", "64", name=f"two{hook}{other}.pcapng.zst")
                sent = self.send("--count", load(4000), "--rate", load(20000), "--size", "200")
                one.stop()
                more = self.send("--count", load(4000), "--rate", load(20000), "--size", "200")
                two.stop()
                for recording, wanted in ((one, [sent]), (two, [sent, more])):
                    totals = self.assert_balanced(recording)
                    self.assertEqual(totals["captured"]["packets"], sum(s["packets"] for s in wanted))
                    for s in wanted:
                        self.check(recording.path, s)
                left = attached(self.b)
                self.b.run(["tc", "qdisc", "del", "dev", "right", "clsact"], stderr=subprocess.DEVNULL)
                self.assertEqual(left, {})  # not even a qdisc that is empty

    def test_a_second_capture_in_xdp_is_refused(self):
        one = self.record("--hook", "xdp", name="one.pcapng.zst")
        two = self.record("--hook", "xdp", name="two.pcapng.zst", ready=0).wait(10)
        self.assertEqual(two.status, 2)
        self.assertRegex(two.text(), r"^retina-xdpctl: right: another XDP program is attached: use --hook tcx\n$")
        self.assertFalse(os.path.exists(two.path))
        sent = self.send("--count", 100, "--rate", 10000)
        one.stop()
        self.assertEqual(one.summary["totals"]["captured"]["packets"], sent["packets"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
