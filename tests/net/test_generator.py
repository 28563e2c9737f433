#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""retina-traffic on real interfaces: it must have sent exactly what it says. Judges: tcpdump and tshark, and the interface's counters.

Needs root, tcpdump, tshark; RETINA_BUILD names the build directory. Otherwise exits with 77, meson's word for skipped.
"""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import lab as labs  # noqa: E402  pylint: disable=wrong-import-position

TRAFFIC = os.path.join(os.environ.get("RETINA_BUILD", ""), "bench/generator/retina-traffic")
KINDS = ["udp4", "udp6", "tcp4", "tcp6", "icmp4", "icmp6", "dns4", "dns6"]
TSHARK_CHECKS = [arg for name in ("ip", "udp", "tcp") for arg in ("-o", f"{name}.check_checksum:TRUE")]


def why_not():
    if os.geteuid() != 0:
        return "needs root"
    if not os.access(TRAFFIC, os.X_OK):
        return "RETINA_BUILD names no build with retina-traffic"
    for tool in ("tcpdump", "tshark", "editcap", "zstd", "nsenter", "ethtool", "tc"):
        if not shutil.which(tool):
            return f"needs {tool}"
    return None


@unittest.skipIf(why_not(), why_not())
class GeneratorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = labs.Lab()
        cls.lab.__enter__()
        cls.addClassCleanup(cls.lab.__exit__)
        cls.folder = tempfile.TemporaryDirectory(prefix="retina-generator-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.a, cls.b = cls.lab.namespace("a"), cls.lab.namespace("b")
        cls.lab.link(cls.a, "left", cls.b, "right", queues=2, mtu=9000, gro=True, quiet=True,
                     addresses=("10.77.0.1/24", "10.77.0.2/24"), addresses6=("fd77::1/64", "fd77::2/64"))

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def send(self, *args, status=0, command="send"):
        done = self.a.run([TRAFFIC, command, "-i", "left", *args], text=True, capture_output=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if done.stdout else done.stderr

    def check(self, *args, status=0):
        done = subprocess.run([TRAFFIC, "check", *args], text=True, capture_output=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def counters(self):
        rx = self.b.counters("right")["rx"]
        return {"packets": rx["packets"], "bytes": rx["bytes"]}

    def capture(self, *args, command="send", snaplen=0):
        """Send while tcpdump records the peer's side. Returns the generator's report and tcpdump's file."""
        file = self.path("capture.pcap")
        dump = self.b.popen(["tcpdump", "-i", "right", "-Q", "in", "-w", file, "-Z", "root", "-B", "131072",
                             "-s", str(snaplen), "--nano", "--immediate-mode", "-U"], stderr=subprocess.PIPE, text=True)
        while "listening on" not in dump.stderr.readline():
            self.assertIsNone(dump.poll())
        before = self.counters()
        sent = self.send(*args, command=command)
        size = -1
        while size != os.path.getsize(file):  # SIGINT would make it leave behind what it has not read yet
            size = os.path.getsize(file)
            time.sleep(0.2)
        dump.send_signal(signal.SIGINT)
        _, errors = dump.communicate()
        self.assertIn("\n0 packets dropped by kernel", "\n" + errors)
        after = self.counters()
        self.received = {key: after[key] - before[key] for key in before}
        with open(self.path("sent.json"), "w", encoding="ascii") as f:
            json.dump(sent, f)
        return sent, file

    def assert_arrived(self, sent, file, *args):
        """All of it, once, whole: in the capture and by the interface's counters."""
        result = self.check("--sent", self.path("sent.json"), *args, file)
        self.assertEqual(result["ours"], sent["packets"])
        self.assertEqual(result["outside"] + result["truncated"], 0)
        self.assertEqual(sum(sent["by_kind"].values()), sent["packets"])
        self.assertEqual(sum(sent["by_size"].values()), sent["packets"])
        self.assertEqual(sent["last_seq"] - sent["first_seq"] + 1, sent["packets"])
        return result

    def assert_wellformed(self, file):
        bad = subprocess.run(
            ["tshark", "-r", file, *TSHARK_CHECKS, "-Y",
             "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0"
             " || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || _ws.expert.severity == error"],
            check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        self.assertEqual(bad, "")

    def test_an_idle_quiet_link_is_silent(self):
        before = self.b.counters("right")
        time.sleep(1.5)
        self.assertEqual(self.b.counters("right"), before)

    def test_every_method_sends_every_kind(self):
        self.addCleanup(self.a.output, ["ethtool", "-K", "left", "tx", "on"])
        can = {"packet": KINDS, "bypass": KINDS, "live": KINDS[:6], "udp": KINDS[:2]}
        for method, kinds in can.items():
            for kind in kinds:
                # With checksum offload the kernel's own headers reach a veth's other end unfinished.
                self.a.output(["ethtool", "-K", "left", "tx", "off" if method == "udp" else "on"])
                with self.subTest(method=method, kind=kind):
                    to = ["--dst-ip", "10.77.0.2", "--dst-ip", "fd77::2"] if method == "udp" else []
                    sent, file = self.capture("--method", method, "--kind", kind, "--count", "500", "--size", "200",
                                              "--flows", "5", "--stream", "7", "--first-seq", "1000000", *to)
                    self.assertEqual(sent["packets"], 500)
                    self.assertEqual(sent["by_kind"], {kind: 500})
                    self.assertEqual(sent["by_size"], {"200": 500})
                    self.assertEqual((sent["first_seq"], sent["last_seq"]), (1000000, 1000499))
                    self.assert_arrived(sent, file)
                    self.assertEqual(self.received["packets"], 500)
                    # A veth counts no Ethernet header for frames that leave out its NAPI.
                    self.assertIn(self.received["bytes"], (100000, 100000 - 14 * 500) if method == "udp" else (100000,))
                    self.assert_wellformed(file)
                    self.assertEqual(self.count_flows(file), 5)

    @staticmethod
    def count_flows(file):
        out = subprocess.run(["tshark", "-r", file, "-T", "fields", *(x for f in (
            "udp.srcport", "tcp.srcport", "icmp.ident", "icmpv6.echo.identifier") for x in ("-e", f))],
            check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return len(set(out.splitlines()))

    def test_all_kinds_mixed_with_tags_sizes_and_random_flows(self):
        for tags in ([], ["--vlan", "100"], ["--qinq", "100,200"]):
            with self.subTest(tags=tags):
                sent, file = self.capture("--kind", ",".join(KINDS), "--count", "8000", "--size", "160-1500",
                                          "--flows", "1000", "--seed", "42", "--rate", "50000", *tags)
                self.assertEqual(set(sent["by_kind"].values()), {1000})
                self.assert_arrived(sent, file)
                self.assertEqual(self.received, {"packets": 8000, "bytes": sent["bytes"]})
                self.assert_wellformed(file)

    def test_shortest_frames_of_each_kind(self):
        for kind in KINDS:
            for tags in ([], ["--qinq", "1,2"]):
                with self.subTest(kind=kind, tags=tags):
                    sent, file = self.capture("--kind", kind, "--count", "100", *tags)
                    size = sent["bytes"] // 100
                    self.assert_arrived(sent, file)
                    self.assert_wellformed(file)
                    said = self.send("--kind", kind, "--size", str(size - 1), *tags, status=1)
                    self.assertIn(str(size), said)

    def test_imix_and_jumbo_frames(self):
        sent, file = self.capture("--size", "imix", "--count", "1200")
        self.assertEqual(sent["by_size"], {"60": 700, "590": 400, "1514": 100})
        self.assert_arrived(sent, file)
        sent, file = self.capture("--size", "9014", "--count", "200", "--rate", "20000")
        self.assert_arrived(sent, file)
        self.assertIn("9014", self.send("--size", "9015", "--count", "1", status=2))

    def test_gso_super_packets_hold_every_segment(self):
        for kind in ("udp4", "udp6"):
            with self.subTest(kind=kind):
                sent, file = self.capture("--method", "udp", "--gso", "1000", "--count", "6400", "--kind", kind,
                                          "--rate", "100000", "--dst-ip", "10.77.0.2", "--dst-ip", "fd77::2")
                self.assertEqual(sent["packets"], 6400)
                result = self.assert_arrived(sent, file, "--gso", "1000")
                self.assertLess(result["packets"], 6400 / 30)  # they were not cut up on the way

    def test_live_frames_carry_their_own_numbers_and_flows(self):
        sent, file = self.capture("--method", "live", "--count", "6000", "--kind", "udp4,tcp6", "--flows", "16",
                                  "--stream", "4000000000", "--first-seq", "281474976600000", snaplen=256)
        self.assertEqual(sent["packets"] + sent["errors"], 6000)
        result = self.check("--stream", "4000000000", file, status=3 if sent["errors"] else 0)
        self.assertEqual(result["ours"], sent["packets"])
        self.assertEqual(result["corrupt"] + result["duplicates"], 0)
        self.assertEqual(self.count_flows(file), 32)
        self.assert_wellformed(file)

    def test_live_frames_that_nobody_takes_do_not_count(self):
        self.b.output(["ethtool", "-K", "right", "gro", "off"])
        self.addCleanup(self.b.output, ["ethtool", "-K", "right", "gro", "on"])
        sent = self.send("--method", "live", "--count", "100", status=2)
        self.assertEqual((sent["packets"], sent["errors"]), (0, 100))

    def test_check_finds_what_is_wrong(self):
        sent, file = self.capture("--count", "1000", "--size", "300")
        with open(file, "rb") as f:
            data = f.read()
        records = [data[24 + i * 316:24 + (i + 1) * 316] for i in range(1000)]
        self.assertEqual(len(data), 24 + 1000 * 316)
        damaged = bytearray(records[500])
        damaged[-1] ^= 1
        changed = (records[:100] + records[101:300] + [records[301], records[300]] + records[302:500]
                   + [bytes(damaged)] + records[501:700] + [records[699]] + records[700:])
        with open(file, "wb") as f:
            f.write(data[:24] + b"".join(changed))
        result = self.check("--sent", self.path("sent.json"), file, status=3)
        self.assertEqual({key: result[key] for key in ("packets", "ours", "missing", "duplicates", "corrupt",
                                                       "reordered", "first_missing")},
                         {"packets": 1000, "ours": 1000, "missing": 2, "duplicates": 1, "corrupt": 1,
                          "reordered": 1, "first_missing": [100, 500]})
        self.assertEqual(result["time_disorder"], 1)
        # A file that ends in a record: what is before counts, and the failure is told.
        with open(file, "wb") as f:
            f.write(data[:-10])
        done = subprocess.run([TRAFFIC, "check", file], text=True, capture_output=True)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(json.loads(done.stdout)["ours"], 999)
        # Another stream is not ours; and nothing there is all missing.
        result = self.check("--stream", "9", "--from", "0", "--to", "9", self.write(data), status=3)
        self.assertEqual((result["ours"], result["missing"]), (0, 10))

    def write(self, data, name="other.pcap"):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def test_check_reads_other_link_types_packings_and_cut_frames(self):
        sent, file = self.capture("--count", "300", "--size", "200", "--kind", "udp4,tcp6,dns4")
        with open(file, "rb") as f:
            data = f.read()
        subprocess.run(["zstd", "-q", "-f", file], check=True)
        self.assertEqual(self.check("--sent", self.path("sent.json"), file + ".zst")["ours"], 300)
        subprocess.run(["editcap", "-F", "pcapng", file, self.path("ng.pcapng")], check=True)
        self.assertEqual(self.check("--sent", self.path("sent.json"), self.path("ng.pcapng"))["ours"], 300)
        done = subprocess.run([TRAFFIC, "check", "-"], input=data, capture_output=True)
        self.assertEqual(json.loads(done.stdout)["ours"], 300)
        # Link types: take the Ethernet header off, for RAW; put an SLL2 header in its place.
        for link_type, header in ((101, lambda frame: b""),
                                  (276, lambda frame: frame[12:14] + bytes(18))):
            out = data[:20] + struct.pack("<I", link_type)
            for i in range(300):
                at = 24 + i * 216
                frame = data[at + 16:at + 216]
                new = header(frame) + frame[14:]
                out += data[at:at + 8] + struct.pack("<II", len(new), len(new)) + new
            with self.subTest(link_type=link_type):
                self.assertEqual(self.check("--sent", self.path("sent.json"), self.write(out))["ours"], 300)
        sent, file = self.capture("--count", "300", "--size", "200", snaplen=100)
        result = self.check("--sent", self.path("sent.json"), file)
        self.assertEqual((result["ours"], result["truncated"], result["missing"]), (300, 300, 0))

    def test_pacing(self):
        for rate, tolerance in ((1000, 0.02), (50000, 0.02), (200000, 0.25)):
            with self.subTest(rate=rate):
                before = self.b.counters("right")["rx"]["packets"]
                sent = self.send("--rate", str(rate), "--duration", "2", "--size", "100")
                print(f"\n  {rate} pps wanted, {sent['pps']:.0f} reached", end="", file=sys.stderr)
                self.assertAlmostEqual(sent["pps"] / rate, 1, delta=tolerance)
                self.assertAlmostEqual(sent["packets"] / rate / 2, 1, delta=tolerance)
                self.assertAlmostEqual(sent["packets"] / sent["seconds"], sent["pps"], delta=1)
                time.sleep(0.1)
                self.assertEqual(self.b.counters("right")["rx"]["packets"] - before, sent["packets"])

    def test_a_signal_ends_a_run_with_an_honest_report(self):
        for args in (["--rate", "1000"], [], ["--method", "live"]):
            with self.subTest(args=args):
                before = self.b.counters("right")["rx"]["packets"]
                sender = self.a.popen([TRAFFIC, "send", "-i", "left", *args], stdout=subprocess.PIPE)
                time.sleep(0.5)
                sender.terminate()
                out, _ = sender.communicate(timeout=10)
                self.assertEqual(sender.returncode, 0)
                time.sleep(0.2)
                received = self.b.counters("right")["rx"]["packets"] - before
                self.assertEqual(json.loads(out)["packets"], received)
                self.assertGreater(received, 100)

    def test_frames_that_tc_refuses_do_not_count(self):
        """A tiny token bucket drops most: the sender must offer again, and what it reports must have arrived."""
        self.a.ip("link", "set", "left", "txqueuelen", "100")
        self.a.output(["tc", "qdisc", "add", "dev", "left", "root", "tbf", "rate", "8mbit", "burst", "4000",
                       "limit", "8000"])
        self.addCleanup(self.a.run, ["tc", "qdisc", "del", "dev", "left", "root"])
        sent, file = self.capture("--count", "3000", "--size", "500")
        self.assertGreater(sent["errors"], 0)
        self.assertEqual(sent["packets"], 3000)
        self.assert_arrived(sent, file)

    def test_replay_keeps_timing(self):
        _, original = self.capture("--rate", "400", "--count", "200", "--size", "imix")
        os.rename(original, self.path("original.pcap"))
        original = self.path("original.pcap")
        wanted = self.times(original)
        for args, factor in (([], 1.0), (["--speed", "2"], 0.5)):
            with self.subTest(args=args):
                sent, file = self.capture(original, *args, command="replay")
                self.assertEqual(sent["packets"], 200)
                self.assertEqual(self.received, {"packets": 200, "bytes": sent["bytes"]})
                got = self.times(file)
                errors = sorted(abs((g - got[0]) - (w - wanted[0]) * factor) for g, w in zip(got, wanted))
                self.assertLess(errors[100], 0.0005)
                self.assertLess(errors[-1], 0.02)
        sent, file = self.capture(original, "--flat-out", "--loop", "3", command="replay")
        self.assertEqual(sent["packets"], 600)
        self.assertLess(sent["seconds"], 0.4)
        sent, _ = self.capture(original, "--loop", "1000", "--limit-seconds", "0.8", command="replay")
        self.assertAlmostEqual(sent["seconds"], 0.8, delta=0.05)

    def test_replay_skips_and_counts_frames_that_do_not_fit(self):
        header = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1)
        frames = [bytes(12) + b"\x88\xb5" + bytes(n - 14) for n in (60, 9014, 9015, 20000, 100)] + [bytes(10)]
        file = self.write(header + b"".join(struct.pack("<IIII", 1, 0, len(f), len(f)) + f for f in frames))
        sent = self.send(file, command="replay")
        self.assertEqual((sent["packets"], sent["bytes"]), (3, 60 + 9014 + 100))
        self.assertEqual((sent["skipped_too_long"], sent["skipped_too_short"]), (2, 1))

    @staticmethod
    def times(file):
        out = subprocess.run(["tshark", "-r", file, "-T", "fields", "-e", "frame.time_epoch"], check=True, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return [float(line) for line in out.split()]

    def test_usage_errors(self):
        for args in (["--size", "59"], ["--kind", "sctp"], ["--rate", "fast"], ["--gso", "1000"], ["--count", "0"],
                     ["--method", "live", "--rate", "1000"], ["--method", "udp", "--kind", "tcp4"], ["--qinq", "1"],
                     ["--dst-mac", "1:2:3"], ["--nonsense"], ["stray"], ["--size", "100-90"]):
            with self.subTest(args=args):
                self.assertEqual(len(self.send(*args, status=1).strip().splitlines()), 1)
        self.assertIn("nosuch", self.a.run([TRAFFIC, "send", "-i", "nosuch", "--count", "1"], text=True,
                                           capture_output=True).stderr)


@unittest.skipIf(why_not(), why_not())
class LabTest(unittest.TestCase):
    def namespaces(self):
        return {name for name in os.listdir(labs.NETNS) if name.startswith("rx")} if os.path.isdir(labs.NETNS) else set()

    def test_everything_goes_away_after_an_exception(self):
        before = self.namespaces()
        with self.assertRaises(ZeroDivisionError):
            with labs.Lab() as lab:
                a = lab.namespace("a")
                sleeper = a.popen(["sleep", "100"])
                with lab.cpu_quota(10, 64 << 20):
                    raise ZeroDivisionError
        self.assertEqual(self.namespaces(), before)
        self.assertIsNotNone(sleeper.poll())

    def test_everything_goes_away_after_sigterm(self):
        script = ("import sys, time; sys.path.insert(0, sys.argv[1]); from lab import Lab\n"
                  "with Lab() as lab:\n"
                  "    a = lab.namespace('a'); a.popen(['sleep', '100']); print(a.name, flush=True); time.sleep(100)\n")
        process = subprocess.Popen([sys.executable, "-c", script, os.path.dirname(labs.__file__)],
                                   stdout=subprocess.PIPE, text=True)
        name = process.stdout.readline().strip()
        self.assertTrue(os.path.exists(f"{labs.NETNS}/{name}"))
        process.terminate()
        process.communicate(timeout=10)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)
        self.assertFalse(os.path.exists(f"{labs.NETNS}/{name}"))

    def test_a_quota_limits_and_measures(self):
        with labs.Lab() as lab:
            a = lab.namespace("a")
            try:
                with lab.cpu_quota(20, 64 << 20) as quota:
                    spinner = a.popen(["sh", "-c", "while :; do :; done"], preexec_fn=quota.enter)
                    time.sleep(1)
                    usage = quota.usage()
                    self.assertIsNone(spinner.poll())
            except labs.Unavailable as error:
                self.skipTest(str(error))
            self.assertGreater(usage["throttled"], 3)
            self.assertLess(usage["cpu_ns"], 0.4e9)
            self.assertGreater(usage["cpu_ns"], 0.1e9)
            self.assertGreater(usage["memory_max_bytes"], 0)


if __name__ == "__main__":
    if why_not():
        print(f"skipped: {why_not()}")
        sys.exit(77)
    unittest.main(verbosity=2)
