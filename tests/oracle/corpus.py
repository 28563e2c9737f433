#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Independent data for the oracle: captures and expressions of other projects, and expressions made at random.

Captures come from Debian's source package of tcpdump, fetched once into a cache, and from installed packages. A private list
of sources, made from the machine's own with `deb` turned to `deb-src`, leaves the machine's package lists alone.
"""

import glob
import os
import random
import re
import subprocess
import tarfile

INSTALLED = ("/usr/share/sip-tester/*.pcap", "/usr/share/doc/python3-dpkt/examples/data/*.pcap")

# The examples of pcap-filter(7), and forms of every primitive it lists.
MANUAL = """
host 10.1.2.3
host 10.1.2.3 and ( 10.1.2.4 or 10.1.2.5 )
ip host 10.1.2.3 and not 10.1.2.4
net 128.3
net 128.3.0.0 mask 255.255.0.0
ip and not net 10.0.0.0/8
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8
tcp[tcpflags]&(tcp-rst|tcp-ack) == (tcp-rst|tcp-ack)
tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)
ether[0] & 1 = 0 and ip[16] >= 224
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp6[icmp6type] = icmp6-echo
ether[0] & 1 != 0
ip[0] & 0xf != 5
ip[6:2] & 0x1fff = 0
udp port 53
tcp[0:2] > 1024
port 80 or port 443
src port 53
dst port 53
portrange 1-1023
tcp portrange 6000-6008
tcp src portrange 1024-65535
less 128
greater 500
len <= 64
len - 14 = ip[2:2]
ip proto 17
ip proto \\tcp
ip6 proto 6
proto 17
ip protochain 6
ip6 protochain 6
protochain 17
protochain 51
ether broadcast
broadcast
ether multicast
multicast
ip multicast
ip6 multicast
ether host 00:11:22:33:44:55
ether src 00:11:22:33:44:55
ether dst ff:ff:ff:ff:ff:ff
ether proto \\ip
ether proto 0x88cc
ether proto 0x800 or ether proto 2054
arp
rarp
arp host 10.0.0.1
arp net 10.0.0.0/8
rarp host 10.0.0.1
ip
ip6
tcp
udp
icmp
icmp6
igmp
igrp
pim
ah
esp
vrrp
carp
sctp
sctp port 5060
ip6 host fe80::1
ip6 net fe80::/10
ip6 net 2001:db8::/32 and tcp
ip6[6] = 58
ip6 and udp port 546
vlan
vlan 100
vlan 100 && vlan 200
vlan && vlan 300 && ip
vlan and tcp port 80
not vlan
vlan 5 or ip
ip or (vlan and ip)
vlan and ip6 and udp
mpls
mpls 100000
mpls 100000 && mpls 1024
mpls and ip
mpls and host 10.0.0.1
pppoed
pppoes
pppoes 0x27
pppoes && ip
pppoes and tcp port 80
geneve
geneve 0xb
geneve and ip
geneve and tcp
geneve 5 and vlan
iso
clnp
esis
isis
iso proto 0x82
isis proto 131
l1
l2
iih
lsp
csnp
psnp
snp
atalk
aarp
decnet src 10.15
decnet host 10.15
decnet
lat
moprc
mopdl
sca
stp
ipx
netbeui
llc
llc i
llc s
llc u
llc rr
llc ui
link[0] = 1
ether[12:2] > 1500
ether[12:4] = 0x81000064
ether[13:4] != 0
ether[10:4] = 7
ether[14:2] & 0xfff = 100
ether[16:2] = 0x800
ip[ip[0] & 0xf] = 1
tcp[tcp[12] >> 2 : 2] = 0x4745
udp[8:4] / udp[4:2] > 3
ip[8] % ip[9] = 1
ip[1] * 4 + 2 = 6
ip[8] ^ 0xff < 100
-ip[9] + 17 = 0
ip[100000] = 1
ether[len - 1] = 0
ether[len - 4 : 4] = 0
src host 10.0.0.1 and dst host 10.0.0.2
src or dst host 10.0.0.1
src and dst net 10.0.0.0/8
gateway localhost and not arp
not (tcp or udp) and not arp
! ip && ! ip6
1 = 1
0 = 1
""".strip().split("\n")


def run(*argv, **kw):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw).stdout


def source_list():
    """The machine's own sources of packages, as sources of source packages (deb822 and one-line style)."""
    result = []
    for path in glob.glob("/etc/apt/sources.list.d/*.sources"):
        with open(path, encoding="utf-8") as f:
            result.append(("list.sources", re.sub(r"(?m)^Types:.*$", "Types: deb-src", f.read())))
    for path in glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/sources.list.d/*.list"):
        with open(path, encoding="utf-8") as f:
            lines = [re.sub(r"^deb\b", "deb-src", line) for line in f if re.match(r"deb\s", line)]
        if lines:
            result.append(("list.list", "".join(lines)))
    return result


def fetch(package, cache):
    """Path of the unpacked upstream source of a Debian package; fetched once."""
    done = os.path.join(cache, package)
    if os.path.isdir(done):
        return done
    parts, state = os.path.join(cache, "parts"), os.path.join(cache, "lists")
    for folder in (parts, os.path.join(state, "partial")):
        os.makedirs(folder, exist_ok=True)
    for i, (name, text) in enumerate(source_list()):
        with open(os.path.join(parts, f"{i}-{name}"), "w", encoding="utf-8") as f:
            f.write(text)
    apt = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=/dev/null", "-o", f"Dir::Etc::sourceparts={parts}", "-o",
           f"Dir::State::lists={state}", "-o", f"Dir::Cache::srcpkgcache={cache}/src.bin", "-o", f"Dir::Cache::pkgcache={cache}/pkg.bin",
           "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"]
    run(*apt, "update", timeout=120)
    run(*apt, "source", "--download-only", package, cwd=cache, timeout=240)
    archive = max(glob.glob(os.path.join(cache, f"{package}_*.orig.tar.*")), key=lambda p: not p.endswith(".asc"))
    partial = done + ".part"
    with tarfile.open(archive) as tar:
        tar.extractall(partial)
    os.rename(partial, done)
    return done


def is_capture(path):
    with open(path, "rb") as f:
        return f.read(4) in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a")


def captures_below(folder):
    found = []
    for root, _, names in os.walk(folder):
        found += [p for p in (os.path.join(root, n) for n in names) if os.path.isfile(p) and is_capture(p)]
    return sorted(found)


def installed_captures():
    return sorted(p for pattern in INSTALLED for p in glob.glob(pattern))


def test_list_expressions(tcpdump):
    """The expressions among the options of tcpdump's own tests."""
    found = set()
    for path in glob.glob(os.path.join(tcpdump, "*", "tests", "TESTLIST")):
        with open(path, encoding="utf-8") as f:
            for line in f:
                fields = line.split("#")[0].split()
                words = [w for w in fields[3:] if not w.startswith("-")]
                if len(fields) > 3 and words:
                    found.add(" ".join(words).strip("'\""))
    return sorted(found)


class Grammar:
    """Expressions of the whole language, with values that occur in the captures now and then."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def one(self, *of):
        return self.r.choice(of)

    def maybe(self, text, chance=0.5):
        return text if self.r.random() < chance else ""

    def number(self):
        return self.one("0", "1", "2", "4", "6", "17", "64", "0x800", "255", "0xff00", "1500", str(self.r.randrange(1 << 16)), "0x7fffffff")

    def ip4(self):
        return self.one("10.0.0.1", "192.168.1.1", "127.0.0.1", "224.0.0.5", "192.168.0.1", "172.16.0.1",
                        ".".join(str(self.r.randrange(256)) for _ in range(4)))

    def net(self):
        bits = self.r.randrange(33)
        address = self.r.getrandbits(32) >> (32 - bits) << (32 - bits) if bits else 0
        return self.one("10.0.0.0/8", "192.168.0.0/16", "224.0.0.0/4", "172.16.0.0/12",
                        ".".join(str(address >> s & 255) for s in (24, 16, 8, 0)) + f"/{bits}")

    def ip6(self):
        return self.one("fe80::1", "ff02::1", "::1", "2001:db8::1", ":".join(f"{self.r.getrandbits(16):x}" for _ in range(8)))

    def net6(self):
        return self.one("fe80::/10", "ff00::/8", "2000::/3", "2001:db8::/32", "::/0")

    def mac(self):
        return self.one("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05", ":".join(f"{self.r.randrange(256):02x}" for _ in range(6)))

    def port(self):
        return self.one("53", "80", "443", "22", "5060", "179", "1812", "67", str(self.r.randrange(65536)))

    def direction(self):
        return self.one("", "", "src ", "dst ", "src or dst ", "src and dst ")

    def load(self, depth):
        base = self.one("ether", "ip", "ip", "tcp", "udp", "icmp", "ip6", "arp", "icmp6", "sctp", "link")
        offset = self.term(depth - 1) if depth > 0 and self.r.random() < 0.3 else str(self.r.randrange(60))
        return f"{base}[{offset}{self.one('', '', ':1', ':2', ':4')}]"

    def term(self, depth):
        if depth <= 0:
            return self.one(self.number(), self.load(0), "len")
        kind = self.r.randrange(6)
        if kind < 2:
            return self.load(depth)
        if kind == 2:
            return self.number()
        if kind == 3:
            return f"({self.term(depth - 1)} {self.one('<<', '>>')} {self.r.randrange(9)})"
        return f"({self.term(depth - 1)} {self.one('+', '-', '*', '/', '%', '&', '|', '^')} {self.term(depth - 1)})"

    def primitive(self):
        return self.one(
            lambda: f"{self.direction()}host {self.ip4()}", lambda: f"{self.one('', 'ip ', 'arp ')}{self.direction()}host {self.ip4()}",
            lambda: f"{self.direction()}net {self.net()}", lambda: f"ip6 {self.direction()}host {self.ip6()}",
            lambda: f"{self.direction()}net {self.net6()}",
            lambda: f"{self.one('', 'tcp ', 'udp ', 'sctp ')}{self.direction()}port {self.port()}",
            lambda: f"{self.one('', 'tcp ', 'udp ')}{self.direction()}portrange {self.r.randrange(1000)}-{self.r.randrange(1000, 65536)}",
            lambda: f"ether {self.one('', 'src ', 'dst ')}host {self.mac()}",
            lambda: self.one("ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "igmp", "pim", "ah", "esp", "vrrp", "sctp", "stp", "llc"),
            lambda: f"{self.one('ip', 'ip6')} proto {self.one('6', '17', '1', '58', '89', '47', '50')}",
            lambda: f"ether proto {self.one('0x800', '0x86dd', '0x806', '0x88cc', '0x8847', '0x8863', '0x8100')}",
            lambda: self.one("broadcast", "multicast", "ip multicast", "ip6 multicast", "ether broadcast", "ether multicast"),
            lambda: f"{self.one('less', 'greater')} {self.r.randrange(1600)}",
            lambda: f"{self.term(2)} {self.one('=', '!=', '<', '>', '<=', '>=')} {self.term(1)}",
            lambda: f"tcp[tcpflags] & ({self.one('tcp-syn', 'tcp-ack', 'tcp-fin|tcp-rst', 'tcp-push')}) != 0",
            lambda: f"{self.one('ip', 'ip6', '')} protochain {self.one('6', '17', '58')}".strip(),
            lambda: f"iso proto {self.one('0x81', '0x82', '0x83')}",
        )()

    def capsule(self):
        """What shifts the offsets of all that follows it."""
        return self.one(f"vlan {self.maybe(str(self.r.randrange(1, 8)))}", f"vlan {self.maybe(str(self.r.randrange(1, 4095)))}", "vlan and vlan",
                        f"mpls {self.maybe(str(self.r.randrange(1 << 20)), 0.2)}", "pppoes", "geneve").strip()

    def expression(self, depth=3):
        if depth == 3 and self.r.random() < 0.3:
            return f"{self.capsule()} and {self.expression(2)}"
        if depth == 0 or self.r.random() < 0.3:
            return self.primitive()
        if self.r.random() < 0.2:
            return f"not ({self.expression(depth - 1)})"
        return f"({self.expression(depth - 1)}) {self.one('and', 'or', '&&', '||')} ({self.expression(depth - 1)})"


def random_expressions(seed, count):
    grammar = Grammar(seed)
    return [grammar.expression() for _ in range(count)]
