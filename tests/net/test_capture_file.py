#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What is in the file is what was on the wire. Judges: tshark, capinfos, tcpdump, zstd, and a reader of our own."""

import os
import re
import stat
import subprocess
import time
import unittest

from recorder import IN, OUT, PACKET, CaptureTest, load, options_of, read, stream_of


class FileTest(CaptureTest):
    MTU = 9000

    def test_every_reader_reads_it_without_a_complaint(self):
        recording = self.record("--comment", "für den Test")
        sent = self.send("--kind", "udp4,tcp6,dns4,icmp6", "--size", "150-1400", "--count", load(4000), "--rate", load(20000))
        recording.stop()
        self.assert_sound(recording.path, sent["packets"])
        info = self.quietly(["capinfos", recording.path])
        for wanted in ("File type:           Wireshark/... - pcapng", "File encapsulation:  Ethernet", "nanoseconds (9)",
                       "Name = right", f"Number of packets = {sent['packets']}", "Number of stat entries = 1", "für den Test"):
            self.assertIn(wanted, info)
        self.assertEqual(self.tshark(recording.path, "frame.number", only="_ws.malformed"), [])
        # tcpdump never opens .zst, but reads the pipe.
        shown = self.quietly(f"zstdcat {recording.path} | tcpdump -nn -t -r - 2>{self.path('errors')}; cat {self.path('errors')} >&2",
                             shell=True)
        self.assertEqual(len([line for line in shown.splitlines() if line.startswith(("IP", "IP6"))]), sent["packets"])

    def test_a_file_is_ours_alone_under_any_umask(self):
        for umask in (0, 0o077):
            name = f"{umask}.pcapng.zst"
            recording = self.record(name=name, preexec_fn=lambda umask=umask: os.umask(umask) and None).stop()
            self.assertEqual(stat.S_IMODE(os.stat(recording.path).st_mode), 0o600)
        os.chmod(recording.path, 0o644)
        self.record("--force", name=name).stop()
        self.assertEqual(stat.S_IMODE(os.stat(recording.path).st_mode), 0o600)

    def test_snap_length(self):
        for tag, tags, snaplens in ((0, [], (1, 14, 60, 128)), (4, ["--vlan", "5"], (11, 13, 15, 16, 17, 0)),
                                    (8, ["--qinq", "5,6"], (16, 17, 128))):
            for snaplen in snaplens:
                with self.subTest(snaplen=snaplen, tags=tags):
                    recording = self.record("-s", str(snaplen), name=f"{snaplen}-{tag}.pcapng.zst")
                    sent = self.send("--size", "100-200", "--count", 200, "--rate", 20000, *tags)
                    recording.stop()
                    self.assert_sound(recording.path, 200)
                    lengths = [(int(c), int(n)) for c, n in self.tshark(recording.path, "frame.cap_len", "frame.len")]
                    self.assertEqual(sum(n for _, n in lengths), sent["bytes"])
                    for c, n in lengths:
                        self.assertEqual(c, min(n, snaplen or 262144))
                    file = read(recording.path)
                    self.assertEqual(file.interfaces[0]["snaplen"], snaplen or 262144)
                    start = bytes.fromhex("025258000002 025258000001".replace(" ", ""))
                    start += {0: b"\x08\x00", 4: b"\x81\x00\x00\x05\x08\x00", 8: b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"}[tag]
                    for p in file.packets:
                        self.assertEqual(p.data[:len(start)], start[:p.caplen])

    def test_direction_interface_and_queue_are_right(self):
        recording = self.record(name="both.pcapng.zst")
        back = self.send("--count", 300, "--rate", 10000, "--size", "100", ns=self.b, interface="right")
        to = self.send("--count", 200, "--rate", 10000, "--size", "300")
        recording.stop()
        rows = self.tshark(recording.path, "frame.packet_flags_direction", "frame.len", "frame.interface_name", "frame.interface_id")
        directions = {"0x00000001": IN, "0x00000002": OUT, "1": IN, "2": OUT}
        rows = [(directions[d], *rest) for d, *rest in rows]
        self.assertEqual(rows.count((OUT, "100", "right", "0")), back["packets"])
        self.assertEqual(rows.count((IN, "300", "right", "0")), to["packets"])
        self.assertEqual(len(rows), 500)
        for p in read(recording.path).packets:
            self.assertIn(p.queue, (None, 0, 1))
            # The generator's addresses are no host's here.
            self.assertEqual(p.flags >> 2 & 7, 4 if p.direction == IN else 0)

    def test_records_of_both_cpus_directions_and_interfaces_are_in_time_order(self):
        self.lab.link(self.a, "left2", self.b, "right2", mtu=9000, quiet=True)
        self.addCleanup(self.a.ip, "link", "delete", "left2")
        recording = self.record("--flush-interval", "50ms", interfaces=["right", "right2"])
        senders = [self.sender("--cpu", cpu, "--rate", load(15000), "--duration", 1, ns=ns, interface=name)
                   for cpu, ns, name in ((0, self.a, "left"), (1, self.a, "left2"), (1, self.b, "right"), (0, self.b, "right2"))]
        sent = [s.close(stop=False) for s in senders]
        recording.stop()
        totals = self.assert_balanced(recording)
        self.assertEqual(totals["captured"]["packets"], sum(s["packets"] for s in sent))
        file = self.assert_file_agrees(recording)
        self.assert_sound(recording.path, totals["captured"]["packets"])
        # They really overlap: neighbours in the file come from all four sources.
        pairs = [(p.interface, p.direction) for p in file.packets]
        middle = pairs[len(pairs) // 4:len(pairs) * 3 // 4]
        for pair in ((0, IN), (0, OUT), (1, IN), (1, OUT)):
            self.assertGreater(middle.count(pair) / len(middle), 0.15)
        self.assertGreater(sum(x != y for x, y in zip(middle, middle[1:])) / len(middle), 0.1)
        for i, s in enumerate(sent):
            self.assertEqual(self.check(recording.path, s)["missing"], 0, i)

    def test_stamps_are_nanoseconds_of_wall_clock(self):
        recording = self.record()
        before = time.time_ns()
        self.send("--count", 100, "--rate", 1000)
        after = time.time_ns()
        self.send("--count", 1)
        recording.stop()
        stamps = [p.ns for p in read(recording.path).packets]
        # The kernel's clock and Python's are one; a tenth of a millisecond for its being set once a second.
        self.assertLess(before - 100_000, stamps[0])
        self.assertLess(stamps[99], after + 100_000)
        self.assertLess(99_000_000 - 2_000_000, stamps[99] - stamps[0])
        self.assertGreater(len({ns % 1000 for ns in stamps}), 50)
        told = [t for t, in self.tshark(recording.path, "frame.time_epoch")]
        self.assertEqual([int(t.replace(".", "")) for t in told], stamps)

    def tag_seen_by_tshark(self, recording):
        return set(map(tuple, self.tshark(recording.path, "eth.type", "ieee8021ad.id", "vlan.id", "udp.dstport", "frame.len")))

    def test_tags_that_the_kernel_took_out_are_back_in_their_place(self):
        for ns, name, hook in ((self.b, "right", "tcx"), (self.b, "right", "clsact"), (self.b, "right", "xdp"), (self.a, "left", "tcx")):
            with self.subTest(interface=name, hook=hook):
                recording = self.record("--hook", hook, ns=ns, interfaces=[name], name=f"{name}{hook}.pcapng.zst")
                one = self.send("--vlan", 4094, "--count", 50, "--size", 100)
                two = self.send("--qinq", "3000,7", "--count", 50, "--size", 100)
                recording.stop()
                rows = self.tshark(recording.path, "ieee8021ad.id", "vlan.id", "frame.len", "frame.cap_len", "udp.checksum.status")
                self.assertEqual([r[:4] for r in rows[:50]], [["", "4094", "100", "100"]] * 50)
                # Wireshark calls an 802.1ad tag with an 802.1Q tag behind it either way.
                for row in rows[50:]:
                    self.assertEqual({x for x in ",".join(row[:2]).split(",") if x}, {"3000", "7"})
                self.check(recording.path, one)
                self.check(recording.path, two)

    def test_a_vlan_interface_and_its_parent(self):
        for ns, parent, address in ((self.a, "left", "10.78.0.1/24"), (self.b, "right", "10.78.0.2/24")):
            if ns.run(["ip", "link", "add", "link", parent, "name", "v9", "type", "vlan", "id", "9"], stderr=subprocess.DEVNULL).returncode:
                self.skipTest("this kernel has no VLAN interfaces")
            self.addCleanup(ns.ip, "link", "delete", "v9")
            ns.ip("link", "set", "v9", "up")
            ns.ip("address", "add", address, "dev", "v9")
        recording = self.record(interfaces=["right", "v9"])
        self.a.output(["ping", "-c", "3", "-i", "0.05", "10.78.0.2"])
        recording.stop()
        self.assert_balanced(recording)
        file = read(recording.path)
        for name, ethertype in (("right", b"\x81\x00"), ("v9", b"\x08\x00")):
            ids = [i for i, x in enumerate(file.interfaces) if x["name"] == name]
            frames = [p for p in file.packets if p.interface in ids and p.len >= 98]
            self.assertEqual({p.data[12:14] for p in frames}, {ethertype}, name)
            self.assertEqual([sum(p.direction == d for p in frames) for d in (IN, OUT)], [3, 3])
        self.assertEqual(self.tshark(recording.path, "frame.number", only="_ws.malformed || ip.checksum.status == 0"), [])

    def test_super_packets_are_whole(self):
        for hook in ("tcx", "clsact"):
            with self.subTest(hook=hook):
                recording = self.record("--hook", hook, name=f"{hook}.pcapng.zst")
                sent = self.send("--method", "udp", "--gso", 1000, "--count", 6400, "--rate", 50000, "--dst-ip", "10.77.0.2")
                recording.stop()
                result = self.check(recording.path, sent, "--gso", "1000")
                self.assertEqual(result["ours"], 6400)
                big = [p for p in read(recording.path).packets if p.len > 9014]
                self.assertGreater(len(big), 50)
                for p in big:
                    self.assertEqual(p.len, p.caplen)
                    self.assertEqual(p.len, 14 + int.from_bytes(p.data[16:18], "big"))

    def test_tcp_super_packets_are_whole(self):
        iperf = self.b.popen(["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
        time.sleep(0.2)
        recording = self.record("-s", "128", interfaces=["right"])
        self.a.output(["iperf3", "-c", "10.77.0.2", "-n", "30M"])
        iperf.wait(5)
        recording.stop()
        self.assert_balanced(recording)
        # What the segments of a stream cover has no hole: TCP may send a byte again, but none was missed.
        spans, low = {}, {}
        for p in read(recording.path).packets:
            if p.direction != IN or p.data[12:14] != b"\x08\x00" or p.data[23] != 6:
                continue
            header = 14 + 20 + (p.data[14 + 20 + 12] >> 4) * 4
            total = int.from_bytes(p.data[16:18], "big")
            self.assertEqual(p.len, 14 + total)
            key = p.data[34:38]
            seq = int.from_bytes(p.data[38:42], "big")
            start = (seq - low.setdefault(key, seq)) % 2**32
            if p.len > header:
                spans.setdefault(key, []).append((start, start + p.len - header))
        covered = {key: 0 for key in spans}
        for key, parts in spans.items():
            end = 1  # the SYN took the first number
            for start, stop in sorted(parts):
                self.assertLessEqual(start, end, "a segment is missing")
                end = max(end, stop)
            covered[key] = end
        self.assertGreater(max(covered.values()), 16 << 20)  # iperf3 closes on what is under way
        self.assertGreater(max(p.len for p in read(recording.path).packets), 9014)

    def test_statistics_come_every_ten_seconds_and_at_the_end(self):
        recording = self.record("--duration", "10.9s")
        self.sender("--rate", 500, "--duration", 10.5)
        recording.wait(20)
        file = self.assert_file_agrees(recording)
        self.assertEqual(len(file.statistics), 2)
        first, last = file.statistics
        self.assertAlmostEqual((first["ns"] - first["start"]) / 1e9, 10, delta=1.1)
        self.assertEqual(last["at"], len(file.packets))
        self.assertGreater(first["at"], 0)
        # What was seen by then is in the file before the block, but for what the next epoch holds.
        self.assertLessEqual(abs(first["delivered"] - first["at"]), 500 * 1.1)
        self.assertEqual(first["received"], first["delivered"])
        self.assertEqual((last["received"], last["os_dropped"], last["accepted"]), (len(file.packets), 0, len(file.packets)))
        self.assertAlmostEqual((last["end"] - last["start"]) / 1e9, 10.9, delta=0.2)
        self.assertIn("Number of stat entries = 2", self.quietly(["capinfos", recording.path]))

    def test_the_name_decides_the_format(self):
        magic = {"pcapng": b"\x0a\x0d\x0d\x0a", "pcap": b"\x4d\x3c\xb2\xa1", "zstd": b"\x28\xb5\x2f\xfd"}
        for name, args, packed, kind in (
                ("a.pcapng.zst", [], True, "pcapng"), ("a.pcapng", [], False, "pcapng"), ("a.pcap", [], False, "pcap"),
                ("a.pcap.zst", [], True, "pcap"), ("a", [], True, "pcapng"), ("b", ["--format", "pcap"], True, "pcap"),
                ("c.pcap", ["--format", "pcapng"], False, "pcapng"), ("d.pcapng", ["--compress", "zstd"], True, "pcapng"),
                ("e.pcapng.zst", ["--compress", "none"], False, "pcapng"), ("f.pcap.zst", ["--format", "pcapng"], True, "pcapng")):
            with self.subTest(name=name, args=args):
                recording = self.record(*args, name=name)
                sent = self.send("--count", 100, "--rate", 10000, "--size", "60-300")
                recording.stop()
                self.assert_balanced(recording)
                with open(recording.path, "rb") as f:
                    data = f.read()
                self.assertEqual(data[:4] == magic["zstd"], packed)
                if packed:
                    data = subprocess.run(["zstd", "-d", "-c"], input=data, check=True, stdout=subprocess.PIPE).stdout
                self.assertEqual(data[:4], magic[kind])
                plain = self.path("plain")
                with open(plain, "wb") as f:
                    f.write(data)
                self.assertEqual(self.check(plain, sent)["ours"], 100)
                self.assert_sound(plain, 100)
                self.assertEqual(len(self.quietly(["tcpdump", "-nn", "-t", "-r", plain]).splitlines()), 100)

    def test_a_pipe_is_read_while_it_is_written(self):
        for args, command in (([], ["tshark", "-n", "-l", "-i", "-"]),
                              (["--format", "pcap"], ["tcpdump", "-nn", "-t", "-l", "-r", "-"]),
                              (["--compress", "zstd"], None)):
            with self.subTest(args=args):
                reader = command or ["sh", "-c", "zstd -d -c | tcpdump -nn -t -l -r -"]
                out = self.path("seen")
                with open(out, "wb") as f:
                    reading = subprocess.Popen(reader, stdin=subprocess.PIPE, stdout=f, stderr=subprocess.PIPE)
                self.addCleanup(lambda p=reading: p.poll() is not None or p.kill())
                recording = self.b.popen([os.environ["RETINA_BUILD"] + "/tools/retina-xdpctl", "capture", "-i", "right", "-w", "-",
                                          "--flush-interval", "100ms", *args], stdout=reading.stdin, stderr=subprocess.PIPE, text=True)
                reading.stdin.close()
                reading.stdin = None
                while "recording," not in recording.stderr.readline():
                    self.assertIsNone(recording.poll())
                self.send("--count", 500, "--rate", 5000)
                deadline = time.monotonic() + 5
                if command:  # seen live
                    while self.lines(out) < 500 and time.monotonic() < deadline:
                        time.sleep(0.05)
                    self.assertEqual(self.lines(out), 500)
                recording.send_signal(2)
                errors = recording.communicate(timeout=10)[1]
                self.assertEqual((recording.returncode, errors.splitlines()[-1]), (0, "no packet was lost"))
                self.assertEqual(reading.wait(10), 0, reading.stderr.read())
                reading.stderr.close()
                self.assertEqual(self.lines(out), 500)

    @staticmethod
    def lines(path):
        with open(path, "rb") as f:
            return f.read().count(b"\n")

    def test_a_reader_that_goes_away_ends_the_capture(self):
        recording = self.b.popen([os.environ["RETINA_BUILD"] + "/tools/retina-xdpctl", "capture", "-i", "right", "-w", "-",
                                  "--flush-interval", "100ms"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "recording," not in recording.stderr.readline():
            self.assertIsNone(recording.poll())
        recording.stdout.close()
        sent = self.send("--count", 1000, "--rate", 2000)
        recording.stdout = None
        errors = recording.communicate(timeout=10)[1]
        self.assertEqual(recording.returncode, 2, errors)
        self.assertRegex(errors, r"(?m)^retina-xdpctl: .*Broken pipe")
        self.assertGreater(int(re.search(r"LOST (\d+)", errors).group(1)), 0)
        self.assertLessEqual(int(re.search(r"LOST (\d+)", errors).group(1)), sent["packets"])
        self.assert_clean()

    def test_the_descriptions_say_what_they_must(self):
        recording = self.record("--comment", "why").stop()
        file = read(recording.path)
        text = {code: values[0].decode() for code, values in file.section.items()}
        self.assertEqual(text[1], "why")
        self.assertIn(os.uname().machine, text[2])
        self.assertIn(os.uname().release, text[3])
        self.assertIn("retina-xdp", text[4])
        interface = file.interfaces[0]
        self.assertEqual((interface["name"], interface["link_type"], interface["options"][9][0]), ("right", 1, b"\x09"))
        self.assertEqual(interface["options"][6][0].hex(":"), self.b.mac("right"))
        self.assertEqual(interface["options"][8][0], (10_000_000_000).to_bytes(8, "little"))  # a veth says 10 Gbit/s
        self.assertIn("clock", interface["options"][1][0].decode())

    def test_packet_blocks_hold_no_stale_bytes(self):
        """Padding is zero and options are those two: nothing of an older packet shows."""
        recording = self.record("--ring-size", "1Mi", "--level", "1")
        for size in ("61-63", "60-1500"):
            self.send("--size", size, "--count", 3000, "--rate", 20000)
        recording.stop()
        data = stream_of(recording.path)
        at = seen = 0
        while at < len(data):
            kind, length = int.from_bytes(data[at:at + 4], "little"), int.from_bytes(data[at + 4:at + 8], "little")
            if kind == PACKET:
                caplen = int.from_bytes(data[at + 20:at + 24], "little")
                end = at + 28 + (caplen + 3) // 4 * 4
                self.assertEqual(data[at + 28 + caplen:end], bytes(end - at - 28 - caplen))
                options = options_of(data, end, at + length - 4)
                self.assertLessEqual(set(options), {2, 6})
                self.assertEqual(length, end - at + 8 * len(options) + 8)
                seen += 1
            at += length
        self.assertEqual(seen, 6000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
