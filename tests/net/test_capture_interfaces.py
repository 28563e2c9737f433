#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Several interfaces in one capture, -i any, link types, interfaces that come and go."""

import os
import struct
import subprocess
import sys
import time
import unittest

from recorder import IN, OUT, CaptureTest, load, read, wait_until

ETHERNET, RAW = 1, 101

# Makes a tun device in this namespace, writes as many IPv4 packets into it as asked for on standard input.
TUN = r"""
import fcntl, os, struct, subprocess, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"tun7", 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
subprocess.run(["ip", "link", "set", "tun7", "up"], check=True)
print("up", flush=True)
def packet(i):
    header = struct.pack(">BBHHBBBBH4s4s", 0x45, 0, 60, i, 0, 0, 64, 17, 0, bytes([10, 9, 0, 1]), bytes([10, 9, 0, 2]))
    total = sum(struct.unpack(">10H", header))
    while total >> 16: total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack(">H", ~total & 0xFFFF) + header[12:]
    return header + struct.pack(">HHHH", 1000, 9, 40, 0) + bytes(32)
for line in sys.stdin:
    for i in range(int(line)): os.write(fd, packet(i))
    print("written", flush=True)
"""


class InterfacesTest(CaptureTest):
    def pair(self, ns, name, peer):
        ns.ip("link", "add", name, "type", "veth", "peer", "name", peer)
        for x in (name, peer):
            ns.output(["sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{x}/disable_ipv6 2>/dev/null; ip link set {x} arp off; ip link set {x} up"])

    def drop(self, ns, name):
        ns.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL)

    def tun(self, ns):
        if not os.path.exists("/dev/net/tun"):
            self.skipTest("no /dev/net/tun")
        maker = ns.popen([sys.executable, "-c", TUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (maker.kill(), maker.communicate()))
        self.assertEqual(maker.stdout.readline(), "up\n")
        return maker

    def write_packets(self, maker, n):
        maker.stdin.write(f"{n}\n")
        maker.stdin.flush()
        self.assertEqual(maker.stdout.readline(), "written\n")

    def rows(self, recording):
        return {(r["name"], r["direction"]): r["captured"]["packets"] for r in recording.summary["interfaces"]}

    def test_several_named_interfaces(self):
        self.pair(self.b, "v1", "w1")
        self.addCleanup(self.drop, self.b, "v1")
        recording = self.record(interfaces=["right", "v1", "w1"])
        one = self.send("--count", 1000, "--rate", 20000)
        two = self.send("--count", 500, "--rate", 20000, ns=self.b, interface="v1")
        recording.stop()
        self.assert_balanced(recording)
        self.assertEqual({k: n for k, n in self.rows(recording).items() if n},
                         {("right", IN): one["packets"], ("v1", OUT): two["packets"], ("w1", IN): two["packets"]})
        file = self.assert_file_agrees(recording)
        self.assertEqual([x["name"] for x in file.interfaces], ["right", "v1", "w1"])
        self.assert_sound(recording.path, 2000)
        self.check(recording.path, one)

    def test_a_tun_device_has_no_ethernet_header(self):
        maker = self.tun(self.b)
        recording = self.record(interfaces=["tun7"])
        self.write_packets(maker, 300)
        recording.stop()
        self.assert_balanced(recording)
        file = self.assert_file_agrees(recording)
        self.assertEqual(file.interfaces[0]["link_type"], RAW)
        packets = [p for p in file.packets if p.direction == IN and p.data[0] >> 4 == 4]
        self.assertEqual([struct.unpack(">H", p.data[4:6])[0] for p in packets], list(range(300)))
        self.assertEqual({(p.len, p.caplen) for p in packets}, {(60, 60)})
        self.assertEqual({tuple(x) for x in self.tshark(recording.path, "ip.src", "udp.dstport", only="ip")}, {("10.9.0.1", "9")})

    def test_pcap_has_one_link_type(self):
        self.tun(self.b)
        recording = self.record(interfaces=["right", "tun7"], name="a.pcap", ready=0).wait(5)
        self.assertEqual(recording.status, 1)
        self.assertRegex(recording.text(), r"^retina-xdpctl: tun7: .*link type.*pcapng\n$")
        self.assertFalse(os.path.exists(recording.path))
        recording = self.record(interfaces=["tun7"], name="b.pcap").stop()
        with open(recording.path, "rb") as f:
            self.assertEqual(struct.unpack("<I", f.read(24)[20:])[0], RAW)

    def test_any_takes_all_there_are_each_with_its_link_type(self):
        self.pair(self.b, "v1", "w1")
        self.addCleanup(self.drop, self.b, "v1")
        maker = self.tun(self.b)
        recording = self.record("-v", interfaces=["any"], ready=5)
        sent = self.send("--count", 1000, "--rate", 20000)
        self.send("--count", 200, "--rate", 20000, ns=self.b, interface="v1")
        self.write_packets(maker, 100)
        self.b.output([sys.executable, "-c", "import socket\nr = socket.socket(type=socket.SOCK_DGRAM); r.bind(('127.0.0.1', 0))\n"
                       "for i in range(10): r.sendto(b'x', r.getsockname()); r.recv(10)"])
        recording.stop()
        self.assert_balanced(recording)
        rows = self.rows(recording)
        self.assertEqual({n for n, _ in rows}, {"lo", "right", "v1", "w1", "tun7"})
        self.assertEqual((rows["right", IN], rows["v1", OUT], rows["w1", IN]), (sent["packets"], 200, 200))
        # What goes out of lo comes in again.
        self.assertEqual((rows["lo", IN], rows["lo", OUT]), (10, 10))
        self.assertGreaterEqual(rows["tun7", IN], 100)
        file = self.assert_file_agrees(recording)
        self.assertEqual({x["name"]: x["link_type"] for x in file.interfaces},
                         {"lo": ETHERNET, "right": ETHERNET, "v1": ETHERNET, "w1": ETHERNET, "tun7": RAW})
        names = [x["name"] for x in file.interfaces]
        for p in file.packets:
            if names[p.interface] == "tun7":
                self.assertIn(p.data[0] >> 4, (4, 6))
            else:
                self.assertIn(p.data[12:14], (b"\x08\x00", b"\x86\xdd"))
        self.assert_sound(recording.path, len(file.packets))

    def test_any_follows_interfaces_that_come_and_go(self):
        recording = self.record("-v", "--flush-interval", "100ms", interfaces=["any"], ready=2)
        flood = self.sender("--rate", load(5000))
        for turn in (1, 2):
            self.pair(self.b, "v1", "w1")
            wait_until(lambda turn=turn: recording.lines().count_of("v1: recording,") == turn
                       and recording.lines().count_of("w1: recording,") == turn, what="it is noticed")
            sent = self.send("--count", 100 * turn, "--rate", 20000, ns=self.b, interface="v1")
            self.assertEqual(sent["packets"], 100 * turn)
            self.drop(self.b, "v1")
            wait_until(lambda turn=turn: recording.lines().count_of("v1: the interface is gone") == turn, what="it is missed")
        self.assertIsNone(recording.process.poll())
        time.sleep(0.1)
        all_the_time = flood.close()
        recording.stop()
        self.assertEqual((recording.status, recording.summary["stop_reason"]), (0, "signal"))
        self.assert_balanced(recording)
        captured = [(r["name"], r["captured"]["packets"]) for r in recording.summary["interfaces"] if r["captured"]["packets"]]
        self.assertEqual(sorted(captured), [("right", all_the_time["packets"]), ("v1", 100), ("v1", 200), ("w1", 100), ("w1", 200)])
        file = self.assert_file_agrees(recording)
        self.assertEqual([x["name"] for x in file.interfaces].count("v1"), 2)
        self.assert_sound(recording.path, len(file.packets))
        self.check(recording.path, all_the_time)

    def test_any_in_an_empty_namespace_waits(self):
        empty = self.lab.namespace("empty")
        recording = self.record("-v", "--duration", "5s", ns=empty, interfaces=["any"], ready=1)
        self.pair(empty, "v1", "w1")
        wait_until(lambda: recording.lines().count_of("w1: recording,") == 1)
        sent = self.send("--count", 100, "--rate", 10000, ns=empty, interface="v1")
        recording.stop()
        self.assertEqual(self.rows(recording)["w1", IN], sent["packets"])
        self.assert_file_agrees(recording)

    def test_any_with_many_interfaces(self):
        crowd = self.lab.namespace("crowd")
        for i in range(20):
            crowd.ip("link", "add", f"v{i}", "type", "veth", "peer", "name", f"w{i}")
        recording = self.record("-v", ns=crowd, interfaces=["any"], ready=41)
        recording.stop()
        self.assertEqual(len(self.assert_file_agrees(recording).interfaces), 41)
        self.assert_sound(recording.path, 0)
        self.assert_clean(crowd)

    def test_the_others_go_on_when_one_vanishes(self):
        self.pair(self.b, "v1", "w1")
        self.addCleanup(self.drop, self.b, "v1")
        recording = self.record(interfaces=["right", "v1"])
        gone = self.send("--count", 100, "--rate", 10000, ns=self.b, interface="v1")
        self.drop(self.b, "v1")
        wait_until(lambda: recording.lines().count_of("v1: the interface is gone") == 1)
        sent = self.send("--count", 1000, "--rate", 20000)
        recording.stop()
        self.assertEqual((recording.status, recording.summary["stop_reason"]), (0, "signal"))
        self.assert_balanced(recording)
        self.assertEqual((self.rows(recording)["right", IN], self.rows(recording)["v1", OUT]), (sent["packets"], gone["packets"]))
        self.assert_file_agrees(recording)

    def test_the_capture_ends_when_the_only_one_vanishes(self):
        for hook in ("tcx", "clsact", "xdp"):
            with self.subTest(hook=hook):
                self.pair(self.b, "v1", "w1")
                self.addCleanup(self.drop, self.b, "v1")
                recording = self.record("--hook", hook, interfaces=["w1"], name=f"{hook}.pcapng.zst")
                sent = self.send("--count", 1000, "--rate", 20000, ns=self.b, interface="v1")
                self.drop(self.b, "v1")
                recording.wait(5)
                self.assertEqual((recording.status, recording.summary["stop_reason"]), (2, "error"))
                self.assertEqual(recording.lines().count_of("no interface is left"), 1)
                totals = self.assert_balanced(recording)
                self.assertEqual(totals["captured"]["packets"], sent["packets"])
                self.check(recording.path, sent)
                self.assert_file_agrees(recording)
                self.assert_sound(recording.path, sent["packets"])
                self.assert_clean()

    def test_a_link_that_goes_down_and_up_is_still_recorded(self):
        recording = self.record()
        self.b.ip("link", "set", "right", "down")
        self.b.ip("link", "set", "right", "up")
        wait_until(lambda: self.b._link("right")["operstate"] == "UP")  # pylint: disable=protected-access
        sent = self.send("--count", 100, "--rate", 10000)
        recording.stop()
        self.assertEqual(self.rows(recording)["right", IN], sent["packets"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
