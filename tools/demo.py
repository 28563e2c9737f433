#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Records ten seconds of live traffic in a lab of network namespaces, then looks at the file with Wireshark's tools.

    client (left, 10.77.0.1) ---- veth ---- (right, 10.77.0.2) server
                                              ^ recorded here, both directions

TCP by iperf3, DNS by dig and dnsmasq, HTTP by curl, and real captures replayed. Nothing outside the lab is touched. Results are in
demo-output/. Exit status 0 if every packet that the lab sent is in the file.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "bench"))
from lab import Lab, Unavailable  # noqa: E402  pylint: disable=wrong-import-position

SECONDS = 10
SERVER = "10.77.0.2"
DPKT = "/usr/share/doc/python3-dpkt/examples/data/"
# Real captures that Debian packages ship: file, times its own speed, what it is.
REPLAYED = [
    ("/usr/share/sip-tester/g711a.pcap", 1, "a telephone call's voice (RTP)"),
    (DPKT + "http.pcap", 4.5, "a web page"),
    (DPKT + "nb6-http.pcap", 2.5, "DNS and HTTP of a home router"),
    (DPKT + "dns_icmp.pcap", 2, "DNS and ping"),
]
# Lines of the picture: title, Wireshark display filter.
LINES = [
    ("iperf3 (TCP)", "tcp.port==5201"),
    ("HTTP", "tcp.port==8080"),
    ("DNS", "udp.port==53 && ip.addr==10.77.0.0/24"),
    ("replayed captures", "!(ip.addr==10.77.0.0/24)"),
]
STEP = 0.2  # seconds, of the picture


def heading(text):
    print(f"\n=== {text} ===", flush=True)


def show(argv):
    print("$ " + " ".join(argv), flush=True)


def quiet(ns, *argv):
    """A command of the lab that must succeed."""
    done = ns.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: exit status {done.returncode}: {done.stderr.strip()}")


class Recorder:
    """retina-xdpctl in a namespace; what it says goes to our standard error, with the progress line if that is a terminal."""

    def __init__(self, ns, tool, interface, path):
        argv = [tool, "capture", "-i", interface, "-w", path, "--force", "--duration", f"{SECONDS}s", "--json"]
        show(["retina-xdpctl"] + argv[1:])
        self._ready = threading.Event()
        self._ours, theirs = os.openpty() if sys.stderr.isatty() else os.pipe()
        self._process = ns.popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True)
        os.close(theirs)
        self._thread = threading.Thread(target=self._pass_on)
        self._thread.start()

    def _pass_on(self):
        said = b""
        with contextlib.suppress(OSError):  # a terminal's other side is closed: EIO
            while data := os.read(self._ours, 4096):
                sys.stderr.buffer.write(data)
                sys.stderr.flush()
                said = said[-4096:] + data
                if b": recording" in said:
                    self._ready.set()
        os.close(self._ours)
        self._ready.set()

    def wait_until_it_records(self):
        self._ready.wait()
        if self._process.poll() is not None:
            raise RuntimeError("the recorder did not start")

    def summary(self):
        text = self._process.stdout.read()
        status = self._process.wait()
        self._thread.join()
        if status != 0:
            raise RuntimeError(f"the recorder ended with status {status}")
        return json.loads(text)


class Traffic:
    """What the lab sends while it is recorded: about eight seconds of it, several kinds at once."""

    def __init__(self, client, server, folder, generator):
        self._client = client
        self._server = server
        self._folder = folder
        self._generator = generator
        self._stop = time.monotonic() + 3600
        self._errors = []
        self.done = {}

    def serve(self):
        null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._server.popen(["iperf3", "-s", "-B", SERVER], **null)
        self._server.popen(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                            "--pid-file=", "--bind-interfaces", f"--listen-address={SERVER}",
                            "--address=/lab.test/10.77.0.99", "--txt-record=text.lab.test,hello"], **null)
        with open(os.path.join(self._folder, "page.html"), "w", encoding="ascii") as f:
            f.write("<p>retina-xdp</p>\n" * 20000)
        self._server.popen(["/usr/bin/python3", "-m", "http.server", "8080", "--bind", SERVER, "-d", self._folder], **null)
        self._wait_for_ports({"5201", "53", "8080"})

    def _wait_for_ports(self, ports):
        for _ in range(200):
            shown = self._server.output(["ss", "-Hltn"])
            if ports <= set(re.findall(r":(\d+) ", shown)):
                return
            time.sleep(0.05)
        raise RuntimeError("the lab's servers do not start")

    def _tcp(self):
        quiet(self._client, "iperf3", "-c", SERVER, "-t", "7", "-b", "200M")
        quiet(self._client, "iperf3", "-c", SERVER, "-n", "200M")
        self.done["iperf3"] = "7 s of TCP at 200 Mbit/s, then 200 MB as fast as it goes"

    def _dns(self):
        count = 0
        while time.monotonic() < self._stop:
            name = ("text.lab.test", "TXT") if count % 3 == 0 else (f"host{count}.lab.test", "A")
            quiet(self._client, "dig", f"@{SERVER}", "+tries=1", "+time=2", *name)
            count += 1
            time.sleep(0.02)
        self.done["dig"] = f"{count} DNS questions"

    def _http(self):
        count = 0
        while time.monotonic() < self._stop:
            quiet(self._client, "curl", "-sSf", "--max-time", "5", f"http://{SERVER}:8080/page.html")
            count += 1
            time.sleep(0.1)
        self.done["curl"] = f"{count} pages of 360 kB over HTTP"

    def _replay(self, path, speed, title):
        report = json.loads(self._client.output([self._generator, "replay", "-i", "left", "--speed", str(speed), path]))
        self.done[title] = f"{report['packets']} packets of {os.path.basename(path)}"

    def _guarded(self, job, *args):
        try:
            job(*args)
        except Exception as error:  # pylint: disable=broad-except
            self._errors.append(error)

    def run(self):
        self._stop = time.monotonic() + 8
        jobs = [(self._tcp,), (self._dns,), (self._http,)]
        jobs += [(self._replay, *r) for r in REPLAYED if os.path.exists(r[0])]
        threads = [threading.Thread(target=self._guarded, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]


def sent(client, server):
    """Frames that either side has put on the link, by the kernel's own counters."""
    return client.counters("left")["tx"]["packets"] + server.counters("right")["tx"]["packets"]


def record(tool, generator, path):
    """Returns the recorder's summary and how many frames the lab sent meanwhile."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="retina-demo-") as folder:
        client, server = lab.namespace("client"), lab.namespace("server")
        lab.link(client, "left", server, "right", queues=2, addresses=("10.77.0.1/24", f"{SERVER}/24"), quiet=True)
        traffic = Traffic(client, server, folder, generator)
        traffic.serve()
        before = sent(client, server)
        recorder = Recorder(server, tool, "right", path)
        recorder.wait_until_it_records()
        traffic.run()
        summary = recorder.summary()
        after = sent(client, server)
    heading("What the lab sent")
    for what, text in sorted(traffic.done.items()):
        print(f"{what:32} {text}")
    return summary, after - before


def tshark(path, *args, lines=None):
    show(["tshark", "-r", path, *args])
    done = subprocess.run(["tshark", "-r", path, *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True,
                          env=dict(os.environ, LC_ALL="C.UTF-8"))
    # It only warns of being root; anything else about the file has to be seen.
    for line in done.stderr.splitlines():
        if "Running as user" not in line:
            print(line)
    return done.stdout.splitlines()[:lines]


def look_at(path):
    heading("What capinfos says of the file")
    argv = ["capinfos", "-MtEcsdauo", path]
    show(argv[:2] + [path])
    print(subprocess.run(argv, text=True, stdout=subprocess.PIPE, check=True).stdout.strip())
    heading("The protocols in it")
    print("\n".join(line for line in tshark(path, "-q", "-z", "io,phs") if line.strip("=")).strip())
    heading("Its first packets")
    print("\n".join(line[:132] for line in tshark(path, "-c", "15")))


def rates(path):
    """[[second, Mbit/s of each of LINES]], from tshark's own statistics."""
    filters = ",".join(line[1] for line in LINES)
    rows = []
    for line in tshark(path, "-q", "-z", f"io,stat,{STEP},{filters}"):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        span = re.fullmatch(r"([\d.]+) *<> *([\d.]+|Dur)", cells[0])
        if span:
            rows.append([float(span[1])] + [int(b) * 8 / STEP / 1e6 for b in cells[2::2]])
    return rows


def draw(rows, picture):
    script = f"""
        set terminal svg size 960,480 font "sans,13" background "white"
        set output "{picture}"
        set title "Recorded by retina-xdp, both directions"
        set xlabel "seconds"
        set ylabel "Mbit/s"
        set logscale y
        set yrange [0.001:*]
        set xrange [0:{SECONDS}]
        set grid
        set key outside bottom horizontal
        plot """ + ", ".join(f'$data using 1:($%d > 0 ? $%d : 1/0) with linespoints lw 2 pt 7 ps 0.4 title "{line[0]}"' % (i, i)
                             for i, line in enumerate(LINES, 2)) + "\n"
    data = "".join(" ".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
    subprocess.run(["gnuplot"], input=f"$data << EOD\n{data}EOD\n{script}", text=True, check=True)


def hand_over(folder):
    """After sudo, the results belong to who called it."""
    if "SUDO_UID" in os.environ:
        for path in [folder] + [os.path.join(folder, name) for name in os.listdir(folder)]:
            os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))


def verdict(summary, count):
    heading("Verdict")
    totals = summary["totals"]
    captured, lost = totals["captured"]["packets"], totals["lost"]["packets"]
    print(f"packets sent by the lab  {count:10}\npackets in the file      {captured:10}\npackets lost             {lost:10}")
    if captured == count and lost == 0 and summary["balanced"]:
        print("Every packet that was sent is in the file.")
        return 0
    print("NOT every packet that was sent is in the file." if captured + lost == count else
          "Sent is not captured + lost: this should not be.")
    return 1


def main():
    parser = argparse.ArgumentParser(description="Record live traffic in a lab, and look at the file.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="build directory")
    parser.add_argument("--output", default=os.path.join(ROOT, "demo-output"), help="where the results go")
    args = parser.parse_args()
    tool = os.path.abspath(os.path.join(args.build, "tools/retina-xdpctl"))
    generator = os.path.abspath(os.path.join(args.build, "bench/generator/retina-traffic"))
    output = os.path.relpath(args.output)
    os.makedirs(output, exist_ok=True)
    path, picture = os.path.join(output, "demo.pcapng.zst"), os.path.join(output, "rate.svg")
    for program in (tool, generator, "iperf3", "dnsmasq", "dig", "curl", "tshark", "gnuplot"):
        if not shutil.which(program):
            print(f"demo: {program} is missing: tools/dev deps, tools/dev build", file=sys.stderr)
            return 2
    try:
        heading(f"Recording {SECONDS} s of live traffic")
        summary, count = record(tool, generator, path)
        look_at(path)
        heading("Its rate over time")
        draw(rates(path), picture)
        hand_over(output)
        print(f"the recorded file  {path}\nthe picture        {picture}")
        return verdict(summary, count)
    except (Unavailable, RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
