# SPDX-License-Identifier: MIT
"""Is the harness right? Contestants whose loss and cost are known go through the `cost` scenario like any other.

bench/run.py --self-test calls this; exit status 0 right, 1 wrong.
"""

import sys

from contestants import Contestant, Tcpdump
from scenarios import added, cost_rounds, cost_row, present, share
from statistics_rounds import median, ratio

ROUNDS = 3
FLOWS_KEPT = "ip[15] & 3 != 1"  # source 198.18.0.N: the generator counts N up over four flows


class OneFlowOfFour(Tcpdump):
    """Loses exactly every fourth packet, and claims to have lost none."""

    def __init__(self):
        super().__init__("loses-a-quarter", expression=[FLOWS_KEPT])


class DeafSockets(Contestant):
    """Records nothing, and has so many packet sockets that each look at every packet and refuse it: cost grows with their number."""

    ready = "listening"
    SCRIPT = """
import ctypes, signal, socket, struct, sys
interface, count, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
refuse = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
sockets = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(count)]
for s in sockets:
    s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(refuse)))  # SO_ATTACH_FILTER
    s.bind((interface, 3))  # ETH_P_ALL
open(path, "wb").write(struct.pack("IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
print("listening", flush=True)
signal.pause()
"""

    def __init__(self, count):
        super().__init__(f"{count} deaf sockets", sys.executable)
        self._count = count

    def command(self, interface, path, cpus):
        return [self.program, "-c", self.SCRIPT, interface, str(self._count), path]

    def claim(self, text):
        return {"captured": 0, "lost": 0}


class Silent(Contestant):
    """Ends before it records."""

    ready = "recording"

    def __init__(self):
        super().__init__("ends-at-once", sys.executable)

    def command(self, interface, path, cpus):
        return [self.program, "-c", "raise SystemExit('no such interface')"]

    def claim(self, text):
        return {"captured": None, "lost": None}


class Missing(Contestant):
    """Not installed."""

    def __init__(self):
        super().__init__("absent", "retina-bench-no-such-program")


def check(what, right):
    print(f"{'ok' if right else 'WRONG'}: {what}")
    return right


def statistics_are_right():
    exact = ratio([(2.0, 4.0), (3.0, 6.0), (1.0, 2.0), (4.0, 8.0)])
    outlier = median([10, 11, 12, 11, 1000])
    return [check("a ratio that holds in every round has no spread",
                  exact["median"] == 0.5 and exact["interval"] == [0.5, 0.5]),
            check("one wild round does not move the median", outlier["median"] == 11 and outlier["interval"][0] <= 11),
            check("a floor above the peer gives no ratio", ratio([(1, -1), (1, -2), (1, -3)]) is None),
            check("no rounds give nothing", median([]) is None and ratio([]) is None),
            check("one packet lost of a million is not 100 %", share(999_999, 1_000_000) == "99.99 %")]


def loss_is_right(bench):
    """At an easy pace, so that nothing is lost but what is meant to be."""
    plain, loses = Tcpdump(), OneFlowOfFour()
    bench.send_options = ("--flows", "4", "--rate", "20000")
    results = cost_rounds(bench, [plain, loses], 64, ROUNDS, 400)
    bench.send_options = ()

    def missed(name):
        return [(r[name]["sent"] - r[name]["file"], r[name]["sent"]) for r in results if name in r]
    print(f"missed of sent: {plain.name} {missed(plain.name)}, {loses.name} {missed(loses.name)}")
    return [check("at an easy pace tcpdump misses nothing", [n for n, _ in missed(plain.name)] == [0] * ROUNDS),
            check("a quarter is missed in the file, whatever the contestant claims", len(missed(loses.name)) == ROUNDS
                  and all(4 * lost == sent for lost, sent in missed(loses.name))
                  and not any(r[loses.name]["lost"] for r in results if loses.name in r))]


def cost_is_right(bench):
    once, twice, silent, missing = DeafSockets(20), DeafSockets(40), Silent(), Missing()
    results = cost_rounds(bench, [once, twice, silent, missing], 64, ROUNDS, 20_000)
    complete = [r for r in results if once.name in r and twice.name in r]
    doubled = ratio([(added([r], twice.name)[0], added([r], once.name)[0]) for r in complete])
    print(f"ns per packet: {[{name: round(run['ns']) for name, run in r.items()} for r in results]}")
    return [check("twice the work is twice the cost", doubled is not None and 1.7 < doubled["median"] < 2.3),
            check("nothing in its file is nothing recorded", all(r[twice.name]["file"] == 0 for r in complete)),
            check("one that ends at once is a failure with its reason", "no such interface" in bench.failures.get(silent.name, "")
                  and cost_row(results, silent, "tcpdump")[1] == "failed"),
            check("one that is not installed takes no part", present([once, missing]) == [once])]


def run(bench):
    right = statistics_are_right() + loss_is_right(bench) + cost_is_right(bench)
    return 0 if all(right) else 1
