#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a capture selects, in the kernel: expressions, targets and samples; and how that changes while it runs."""

import http.client
import ipaddress
import json
import os
import re
import socket
import subprocess
import time
import unittest

from recorder import IN, OUT, SLOW, TOOL, CaptureTest, load, read

KINDS = "udp4,udp6,tcp4,tcp6,icmp4,icmp6"


class Control(http.client.HTTPConnection):
    """A capture's control socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)

    def call(self, method, path, body=None):
        """(status, JSON)"""
        self.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body))
        reply = self.getresponse()
        return reply.status, json.loads(reply.read())


class FilterTest(CaptureTest):
    def control(self):
        return self.path("control.sock")

    def record(self, *args, **kw):
        return super().record("--control", self.control(), *args, **kw)

    def tool(self, *args, status=0):
        done = subprocess.run([TOOL, *args], text=True, capture_output=True, check=False, cwd=self.folder)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def matched(self, recording, expression):
        """How many packets of the file match, by tcpdump."""
        plain = self.path("plain.pcapng")
        self.quietly(["sh", "-c", f"zstdcat {recording.path} > {plain}"])
        return int(self.quietly(["tcpdump", "-n", "-r", plain, "--count", expression]).split()[0])

    def test_an_expression_selects_at_every_hook(self):
        for hook in ("tcx", "clsact", "xdp"):
            with self.subTest(hook=hook):
                recording = self.record("--hook", hook, "tcp", "or", "icmp6", name=f"{hook}.pcapng.zst")
                sent = self.send("--kind", KINDS, "--count", load(6000), "--rate", load(50000))
                recording.stop()
                totals = self.assert_balanced(recording)
                self.assert_file_agrees(recording)
                self.assertEqual(totals["seen"]["packets"], sent["packets"])
                self.assertEqual(totals["captured"]["packets"], sent["packets"] // 2)
                self.assertEqual(totals["rejected"]["packets"], sent["packets"] // 2)
                self.assertEqual(self.matched(recording, "tcp or icmp6"), totals["captured"]["packets"])
                # The file says what was asked for: if_filter, a string.
                self.assertEqual(read(recording.path).interfaces[0]["options"][11], [b"\0tcp or icmp6"])

    def test_both_directions_and_tags(self):
        for ns, interface, direction in ((self.a, "left", OUT), (self.b, "right", IN)):
            with self.subTest(direction=direction):
                recording = self.record("vlan 100 and tcp", ns=ns, interfaces=[interface], name=f"{direction}.pcapng.zst")
                sent = [self.send("--kind", KINDS, "--count", load(600), "--rate", load(20000), *tags)
                        for tags in ((), ("--vlan", 100), ("--vlan", 101), ("--qinq", "100,7"), ("--qinq", "7,100"))]
                recording.stop()
                totals = self.assert_balanced(recording)
                self.assertEqual(totals["seen"]["packets"], sum(s["packets"] for s in sent))
                self.assertEqual(totals["captured"]["packets"], load(600) // 3)
                self.assertEqual(self.matched(recording, "vlan 100 and tcp"), load(600) // 3)

    def test_long_frames_are_judged_to_their_end(self):
        # Super-packets lie in fragments: a load there takes the helper.
        recording = self.record("ether[30000:2] >= 0")
        sent = self.send("--method", "udp", "--gso", 1000, "--count", 3200, "--rate", 20000, "--dst-ip", "10.77.0.2")
        recording.stop()
        totals = self.assert_balanced(recording)
        self.assertGreater(totals["captured"]["packets"], 10)
        self.assertTrue(all(p.len >= 30002 for p in read(recording.path).packets))
        self.assertEqual(sent["packets"], 3200)

    def test_interfaces_without_ethernet(self):
        name = "tun7"
        self.b.ip("tuntap", "add", "dev", name, "mode", "tun")
        self.addCleanup(self.b.ip, "link", "delete", name)
        self.b.ip("address", "add", "10.99.0.1/24", "dev", name)
        self.b.ip("link", "set", name, "up")
        recording = self.record("icmp", interfaces=[name])
        ping = ["ping", "-c", "3", "-i", "0.05", "-W", "1", "10.99.0.2"]
        for tool in (ping, ["sh", "-c", "echo x > /dev/udp/10.99.0.2/9 || true"]):
            self.b.run(tool, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        recording.stop()
        totals = self.assert_balanced(recording)
        self.assertEqual(totals["captured"]["packets"], self.matched(recording, "icmp"))
        refused = self.tool("filter", "show", "--link-type", "raw", "ether host 1:2:3:4:5:6", status=1)
        self.assertIn("ether", refused.stderr)

    def test_targets_include_and_exclude(self):
        listed = self.path("targets.txt")
        with open(listed, "w", encoding="ascii") as f:
            f.write("# ten thousand, of which some are ours\n\n")
            f.writelines(f"{ipaddress.IPv4Address(0x0B000000 + 7 * i)}\n" for i in range(10000))
            f.write("198.18.0.1  # the first flow\r\n198.18.0.4/31\n2001:2::1\n")
        cases = (
            (["--include", "198.18.0.1,2001:2::/64"], "host 198.18.0.1 or net 2001:2::/64"),
            (["--exclude", "198.18.0.0/30"], "not net 198.18.0.0/30"),
            (["--include", "198.18.0.0/24", "--exclude", "198.18.0.2"], "net 198.18.0.0/24 and not host 198.18.0.2"),
            (["--include", f"@{listed}"], "host 198.18.0.1 or net 198.18.0.4/31 or host 2001:2::1"),
            (["--include", "*:9999"], "port 9999"),
            (["--include", "198.18.0.1", "tcp"], "tcp and host 198.18.0.1"),
            (["--exclude", "::/0", "--exclude", "0.0.0.0/0"], "not ip and not ip6"),
        )
        everything = self.record(name="all.pcapng.zst")
        self.send("--kind", KINDS, "--flows", 8, "--count", load(4800), "--rate", load(40000))
        everything.stop()
        for i, (args, expression) in enumerate(cases):
            with self.subTest(args=args):
                recording = self.record(*args, name=f"{i}.pcapng.zst")
                sent = self.send("--kind", KINDS, "--flows", 8, "--count", load(4800), "--rate", load(40000))
                recording.stop()
                totals = self.assert_balanced(recording)
                self.assertEqual(totals["seen"]["packets"], sent["packets"])
                self.assertEqual(totals["captured"]["packets"], self.matched(everything, expression))
                self.assertEqual(self.matched(recording, expression), totals["captured"]["packets"])

    def test_bad_targets_are_refused(self):
        bad = {"10.0.0.256": "not an IP address", "10.0.0.0/33": "0 to 32", "fe80::/129": "0 to 128", "10.0.0.1:0": "1 to 65535",
               "10.0.0.1:65536": "1 to 65535", "*:": "1 to 65535", "[fe80::1": "open", "host": "not an IP address", "": "not an IP address"}
        for text, why in bad.items():
            with self.subTest(text=text):
                done = self.b.run([TOOL, "capture", "-i", "right", "-w", self.path("x.pcapng"), "--include", text], text=True,
                                  stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, 1)
                self.assertIn(why, done.stderr)
                self.assertFalse(os.path.exists(self.path("x.pcapng")))
        with open(self.path("bad.txt"), "w", encoding="ascii") as f:
            f.write("10.0.0.1\n# fine so far\nnonsense\n")
        done = self.b.run([TOOL, "capture", "-i", "right", "-w", self.path("x.pcapng"), "--exclude", f"@{self.path('bad.txt')}"],
                          text=True, stderr=subprocess.PIPE)
        self.assertIn("bad.txt:3: nonsense", done.stderr)

    def test_bad_expressions_show_the_place(self):
        for words, message, column in ((["tcp", "prot", "80"], "syntax error", 4), (["host", "1.2.3.4", "and", "port", "99999"], "99999", 22),
                                       (["net", "10.0.0.1/8"], "non-network bits", 4), (["tcp", "and"], "syntax error", 7)):
            with self.subTest(words=words):
                done = self.b.run([TOOL, "capture", "-i", "right", "-w", self.path("x.pcapng"), *words], text=True, stderr=subprocess.PIPE)
                self.assertEqual(done.returncode, 1)
                lines = done.stderr.splitlines()
                self.assertIn(message, lines[0])
                self.assertEqual(lines[1:], [" ".join(words), " " * column + "^"])
        for words, message in (([" "], "blank"), (["--", "-nn", "tcp"], "cannot start with -"), (["inbound"], "-Q in")):
            done = self.b.run([TOOL, "capture", "-i", "right", "-w", self.path("x.pcapng"), *words], text=True, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, message in done.stderr), (1, True), done.stderr)

    def test_a_sample_of_packets_and_of_flows(self):
        recording = self.record("--sample", "1/10")
        sent = self.send("--count", load(50000), "--rate", load(100000), "--flows", 100)
        recording.stop()
        totals = self.assert_balanced(recording)
        share = totals["captured"]["packets"] / sent["packets"]
        # Six standard deviations of a binomial distribution.
        self.assertAlmostEqual(share, 0.1, delta=6 * (0.1 * 0.9 / sent["packets"]) ** 0.5)
        recording = self.record("--sample", "1/4", "--sample-by", "flow", "udp", name="flows.pcapng.zst")
        self.send("--count", load(20000), "--rate", load(50000), "--flows", 200)
        recording.stop()
        totals = self.assert_balanced(recording)
        flows = {}
        for source, port in self.tshark(recording.path, "ip.src", "udp.srcport"):
            flows[source, port] = flows.get((source, port), 0) + 1
        self.assertEqual(set(flows.values()), {load(20000) // 200}, "a flow is there as a whole")
        self.assertAlmostEqual(len(flows) / 200, 0.25, delta=6 * (0.25 * 0.75 / 200) ** 0.5)

    def test_a_sampled_flow_is_there_in_both_directions(self):
        recording = self.record("--sample", "1/2", "--sample-by", "flow", "icmp")
        self.send("--kind", "icmp4", "--flows", 40, "--count", 40, "--rate", 1000)
        for flow in range(40):
            self.send("--kind", "icmp4", "--src-ip", "198.18.128.1", "--dst-ip", f"198.18.0.{1 + flow}", "--count", 1, ns=self.b,
                      interface="right")
        recording.stop()
        self.assert_balanced(recording)
        there = {IN: set(), OUT: set()}
        for p in read(recording.path).packets:
            there[p.direction].add(p.data[26:30] if p.direction == IN else p.data[30:34])
        self.assertEqual(there[IN], there[OUT])
        self.assertGreater(len(there[IN]), 2)
        self.assertLess(len(there[IN]), 38)

    def test_the_filter_changes_while_it_runs(self):
        recording = self.record("udp")
        name = self.control()
        self.send("--kind", "udp4,tcp4", "--count", 1000, "--rate", 20000)
        self.assertIn("filter: tcp", self.tool("filter", "set", name, "tcp").stdout)
        changed_ns = time.time_ns()
        self.send("--kind", "udp4,tcp4", "--count", 1000, "--rate", 20000)
        refused = self.tool("filter", "set", name, "tcp prot 80", status=2)
        self.assertEqual(refused.stderr.splitlines()[1:], ["tcp prot 80", "    ^"])
        self.assertEqual(Control(name).call("GET", "/v1/filter"), (200, {"expression": "tcp"}))
        self.tool("filter", "set", name, "")
        self.send("--kind", "udp4,tcp4", "--count", 1000, "--rate", 20000)
        recording.stop()
        totals = self.assert_balanced(recording)
        self.assertEqual((totals["seen"]["packets"], totals["captured"]["packets"]), (3000, 2000))
        file = self.assert_file_agrees(recording)
        self.assertEqual([p.data[23] for p in file.packets], [17] * 500 + [6] * 500 + [17, 6] * 500)
        # When, and to what: a comment of a statistics block.
        said = self.comments(recording)
        self.assertEqual([text.partition("; in: ")[0].partition(" ")[2] for text in said], ["filter changed to: tcp", "filter removed"])
        moment = subprocess.run(["date", "-d", said[0].split(" ")[0], "+%s%N"], text=True, capture_output=True, check=True).stdout
        self.assertLess(int(moment), changed_ns)
        self.assertLess(file.packets[499].ns, int(moment))
        self.assertGreater(file.packets[500].ns, int(moment))

    def comments(self, recording):
        """Of the statistics blocks, those that tell of a change."""
        plain = subprocess.run(["zstdcat", recording.path], check=True, stdout=subprocess.PIPE).stdout
        return [m.decode() for m in re.findall(rb"(20\d\d-\d\d-\d\dT[\d:.]+Z filter [^\0]*)", plain)]

    @unittest.skipIf(SLOW, "as many packets as a build without sanitizers takes")
    def test_a_thousand_changes_under_load(self):
        # Two filters of which exactly one matches any packet.
        recording = self.record("udp[7] & 1 = 0")
        sender = self.sender("--rate", 100000, "--duration", 300, "--flows", 16, "--size", "60-200")
        control = Control(self.control())
        begin = time.monotonic()
        for i in range(1000):
            expression = "not (udp[7] & 1 = 0)" if i % 2 == 0 else "udp[7] & 1 = 0"
            status, reply = control.call("PUT", "/v1/filter", {"expression": expression})
            self.assertEqual((status, reply), (200, {"expression": expression}))
        took = time.monotonic() - begin
        sent = sender.close()
        recording.stop()
        print(f"# 1000 changes in {took:.1f} s, {sent['packets']} packets")
        totals = self.assert_balanced(recording)
        # By neither: it would be missing here. By both: it would count twice.
        self.assertEqual(totals["seen"]["packets"], sent["packets"])
        self.assertEqual(totals["rejected"]["packets"] + totals["captured"]["packets"] + totals["lost"]["packets"], sent["packets"])
        self.assertGreater(totals["captured"]["packets"], 0)
        self.assertGreater(totals["rejected"]["packets"], 0)
        self.check(recording.path, sent, status=None)
        self.assertEqual(len(self.comments(recording)), 1000)
        self.assert_file_agrees(recording)

    def test_targets_change_while_it_runs(self):
        recording = self.record()
        name = self.control()
        send = lambda: self.send("--flows", 4, "--count", 400, "--rate", 10000)  # noqa: E731
        send()
        self.assertIn("2 added", self.tool("target", "add", name, "198.18.0.1,198.18.0.3").stdout)
        send()
        self.assertIn("1 added", self.tool("target", "add", name, "--exclude", "198.18.0.3").stdout)
        send()
        self.assertEqual(self.tool("target", "list", name).stdout.splitlines(),
                         ["include 198.18.0.1", "include 198.18.0.3", "exclude 198.18.0.3"])
        self.assertIn("not in the set", self.tool("target", "del", name, "198.18.0.9", status=2).stderr)
        self.assertIn("not an IP address", self.tool("target", "add", name, "nonsense", status=2).stderr)
        self.tool("target", "del", name, "198.18.0.1", "198.18.0.3")
        send()
        self.tool("target", "del", name, "--exclude", "198.18.0.3")
        send()
        recording.stop()
        totals = self.assert_balanced(recording)
        self.assertEqual((totals["seen"]["packets"], totals["captured"]["packets"]), (2000, 400 + 200 + 100 + 300 + 400))

    def test_requests_that_make_no_sense(self):
        recording = self.record()
        sender = self.sender("--rate", 2000, "--duration", 60)
        control = Control(self.control())
        for method, path, body, status in (
                ("GET", "/", None, 404), ("DELETE", "/v1/filter", None, 405), ("PUT", "/v1/filter", "{", 400), ("PUT", "/v1/filter", "[]", 400),
                ("PUT", "/v1/filter", {"expression": 5}, 400), ("PUT", "/v1/filter", {"expression": "tcp", "more": 1}, 400),
                ("PUT", "/v1/filter", '{"expression":"tcp","expression":"udp"}', 400), ("PUT", "/v1/filter", {"expression": "  "}, 400),
                ("POST", "/v1/targets", {"set": "other", "add": []}, 400), ("POST", "/v1/targets", {"set": "include"}, 400),
                ("POST", "/v1/targets", {"set": "include", "add": ["@/etc/passwd"]}, 400),
                ("POST", "/v1/targets", {"set": "include", "add": ["x"]}, 400), ("POST", "/v1/targets", {"set": "include", "add": [1]}, 400)):
            with self.subTest(method=method, path=path, body=body):
                self.assertEqual(control.call(method, path, body)[0], status)
        self.assertEqual(Control(self.control()).call("PUT", "/v1/filter", b"x" * (5 << 20))[0], 413)
        slow = socket.socket(socket.AF_UNIX)
        self.addCleanup(slow.close)
        slow.connect(self.control())
        slow.send(b"PUT /v1/filter HTTP/1.1\r\nContent-Length: 100\r\n")  # and no more
        garbage = socket.socket(socket.AF_UNIX)
        garbage.connect(self.control())
        garbage.send(b"\0\xff" * 1000)
        garbage.close()
        # Somebody else may not even connect.
        other = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "--unix-socket", self.control(),
                                "http://localhost/v1/filter"], check=False, stdout=subprocess.PIPE)
        self.assertNotEqual(other.returncode, 0)
        self.assertEqual(control.call("GET", "/v1/filter"), (200, {"expression": ""}))
        sent = sender.close()
        recording.stop()
        self.assertEqual(self.assert_balanced(recording)["captured"]["packets"], sent["packets"])
        self.assertFalse(os.path.exists(self.control()))

    def test_the_commands_of_the_api_page(self):
        recording = self.record()
        with open(os.path.join(os.environ["RETINA_SOURCE"], "docs/api.md"), encoding="utf-8") as f:
            commands = [line for block in re.findall(r"(?s)```sh\n(.*?)```", f.read()) for line in block.splitlines()]
        replies = [json.loads(self.quietly(["sh", "-c", c.replace("/run/retina-xdp/web.sock", self.control())])) for c in commands]
        self.assertEqual(replies, [{"expression": ""}, {"expression": "tcp port 443 or udp port 443"}, {"changed": 2},
                                   {"include": [], "exclude": ["*:22", "10.0.0.9"]}])
        recording.stop()

    def test_sockets_of_others_and_of_the_dead(self):
        first = self.record()
        done = self.b.run([TOOL, "capture", "-i", "right", "-w", self.path("x.pcapng"), "--control", self.control()], text=True,
                          stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("a capture of this name is running", done.stderr)
        self.assertFalse(os.path.exists(self.path("x.pcapng")))
        first.kill()
        self.assertIn("ended without a word", self.tool("filter", "set", self.control(), "tcp", status=2).stderr)
        self.record(name="second.pcapng.zst").stop()
        self.assertIn("no such capture", self.tool("filter", "set", "nobody-has-this-name", "tcp", status=2).stderr)

    def test_show_and_test(self):
        shown = self.tool("filter", "show", "tcp", "port", "80").stdout
        self.assertIn("(000) ldh      [12]", shown)
        self.assertIn("call bpf_tail_call#12", shown)
        self.assertNotIn("unknown", shown)
        described = json.loads(self.tool("filter", "show", "--json", "ip6 protochain 6 or len > 5 or vlan").stdout)
        self.assertEqual(len(described["cost"]), 4)
        self.assertNotIn("unknown", described["tc"]["listing"] + described["xdp"]["listing"])
        recording = self.record(name="mixed.pcapng.zst")
        sent = self.send("--kind", KINDS, "--count", 600, "--rate", 20000)
        recording.stop()
        plain = self.path("plain.pcapng")
        self.quietly(["sh", "-c", f"zstdcat {recording.path} > {plain} && editcap -F pcap {plain} {self.path('p.pcap')} && "
                                  f"gzip -k {self.path('p.pcap')} && zstd -q {self.path('p.pcap')}"])
        for file in (recording.path, plain, self.path("p.pcap"), self.path("p.pcap.gz"), self.path("p.pcap.zst")):
            with self.subTest(file=os.path.basename(file)):
                result = json.loads(self.tool("filter", "test", "--pcap", file, "--json", "udp or icmp").stdout)
                self.assertEqual(result, {"packets": sent["packets"], "xdp": 300, "tc": 300, "libpcap": 300, "differ": [], "skipped": 0})
        with open(self.path("p.pcap"), "r+b") as f:
            f.truncate(os.stat(self.path("p.pcap")).st_size - 7)
        cut = self.tool("filter", "test", "--pcap", self.path("p.pcap"), "--json", "udp", status=2)
        self.assertEqual(json.loads(cut.stdout)["packets"], sent["packets"] - 1)
        self.assertIn(f"behind packet {sent['packets'] - 1}", cut.stderr)
        self.assertIn("nowhere", self.tool("filter", "test", "--pcap", "nowhere", "udp", status=2).stderr)
        self.tool("filter", "test", "--pcap", plain, "udp and", status=1)
        self.tool("filter", "show", status=1)
        self.tool("filter", "dance", "tcp", status=1)
        nobody = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", TOOL, "filter", "show", "tcp"],
                                text=True, capture_output=True, check=False)
        self.assertEqual((nobody.returncode, nobody.stderr), (0, ""))
        self.assertIn("root can have it measured", nobody.stdout)


if __name__ == "__main__":
    unittest.main()
