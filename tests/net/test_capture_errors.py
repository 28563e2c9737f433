#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bad input and bad luck: one clear line, the right exit status, nothing left behind or attached."""

import os
import re
import subprocess
import time
import unittest

from recorder import TOOL, CaptureTest, attached, load, processes, read

USAGE, FAILED = 1, 2


class ErrorsTest(CaptureTest):
    def refuse(self, status, pattern, *args, path=None, interfaces=("right",), under=(), **kw):
        """It ends at once with this status and one line that matches; returns the line."""
        path = self.path("refused.pcapng.zst") if path is None else path
        existed = os.path.lexists(path) if path else False
        command = [*under, TOOL, "capture", *(x for i in interfaces for x in ("-i", i)), *(["-w", path] if path else []), *args]
        done = self.b.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=5, **kw)
        self.assertEqual(done.returncode, status, (command, done.stderr))
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], r"^retina-xdpctl: ")
        self.assertRegex(lines[0], pattern)
        self.assertEqual(done.stdout, "")
        if path and not existed:
            self.assertFalse(os.path.lexists(path), "no file is left")
        return lines[0]

    def tearDown(self):
        self.assertEqual((attached(self.b), processes(self.b)), ({}, []))

    def test_interfaces_that_cannot_be(self):
        self.refuse(FAILED, "nosuch: no such interface", interfaces=["nosuch"])
        self.refuse(FAILED, "nosuch: no such interface", interfaces=["right", "nosuch"])
        self.refuse(USAGE, "../../x: not the name of an interface", interfaces=["../../x"])
        self.refuse(USAGE, "a/b: not the name", interfaces=["a/b"])
        self.refuse(USAGE, "abcdefghijklmnop: not the name", interfaces=["abcdefghijklmnop"])
        self.refuse(USAGE, "not the name of an interface", interfaces=[""])
        self.refuse(USAGE, "right: the interface is named twice", interfaces=["right", "right"])
        self.refuse(USAGE, "any: ", interfaces=["any", "right"])
        self.refuse(USAGE, "any: ", interfaces=["right", "any"])
        self.refuse(USAGE, "no interface was given", interfaces=[])

    def test_paths_that_cannot_be_written(self):
        os.mkdir(self.path("folder"))
        os.symlink(self.path("target"), self.path("dangling"))
        with open(self.path("target2"), "w", encoding="ascii") as f:
            f.write("precious")
        os.symlink(self.path("target2"), self.path("link"))
        self.refuse(USAGE, "no file was given", path="")
        self.refuse(FAILED, "cannot write: No such file or directory", path=self.path("missing/file"))
        self.refuse(FAILED, "cannot write: Is a directory", path=self.path("folder"))
        self.refuse(FAILED, "cannot write: Is a directory", path=self.path("folder") + "/")
        self.refuse(FAILED, "cannot write: Not a directory", path=self.path("target2/file"))
        for force in ([], ["--force"]):
            self.refuse(FAILED, "refusing to write through a symbolic link", *force, path=self.path("dangling"))
            self.refuse(FAILED, "refusing to write through a symbolic link", *force, path=self.path("link"))
        self.refuse(FAILED, "the file exists: use --force", path=self.path("target2"))
        self.refuse(FAILED, "cannot write: (Permission denied|Read-only file system|Operation not permitted|No such file)", path="/proc/retina")
        self.assertFalse(os.path.exists(self.path("target")))
        with open(self.path("target2"), encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")
        self.record("--force", name="target2").stop()
        self.assertGreater(os.path.getsize(self.path("target2")), 100)

    def test_a_failed_start_does_not_hurt_the_file_that_was_there(self):
        with open(self.path("old"), "w", encoding="ascii") as f:
            f.write("precious")
        self.refuse(FAILED, "nosuch", "--force", path=self.path("old"), interfaces=["nosuch"])
        with open(self.path("old"), encoding="ascii") as f:
            self.assertEqual(f.read(), "precious")

    def test_numbers_that_cannot_be(self):
        for args in (["-s", "262145"], ["-s", "-1"], ["-s", "x"], ["-s", "10TB"], ["-s", ""], ["-s", "99999999999999999999"],
                     ["--packet-size", "300000"], ["-c", "0"], ["-c", "-5"], ["-c", "1.5"],
                     ["--max-size", "0"], ["--max-size", "10TB"], ["--max-size", "4095"], ["--max-size", "1XB"],
                     ["--ring-size", "0"], ["--ring-size", "10TB"], ["--ring-size", "2Gi"], ["--ring-size", "1"],
                     ["--duration", "0"], ["--duration", "-1"], ["--duration", "1x"], ["--duration", "100000d"], ["--duration", ""],
                     ["--flush-interval", "0"], ["--workers", "0"], ["--workers", "65"], ["--level", "0"], ["--level", "20"],
                     ["--level", "-51"], ["--level", "x"], ["--cpus", "x"], ["--cpus", "1-0"], ["--cpus", "0,"], ["--cpus", "99999"],
                     ["--cpus", "-1"], ["-a", "duration"], ["-a", "duration:0"], ["-a", "filesize:x"], ["-a", "filesize:0"],
                     ["-a", "files:3"], ["-a", "packets:0"], ["-a", ""], ["-a", "packets:99999999999999999999"]):
            with self.subTest(args=args):
                self.refuse(USAGE, re.escape(args[0]) + "|" + re.escape({"-s": "--snaplen", "-c": "--count"}.get(args[0], args[0])), *args)

    def test_a_ring_too_small_for_the_snap_length(self):
        self.refuse(USAGE, "--snaplen", "--ring-size", "4Ki")
        self.refuse(USAGE, "--snaplen", "--ring-size", "512Ki")
        recording = self.record("--ring-size", "4Ki", "-s", "64")
        self.send("--count", 50, "--rate", 100)
        self.assertEqual(recording.stop().summary["totals"]["seen"]["packets"], 50)

    def test_a_size_cap_without_room_for_packets(self):
        self.refuse(USAGE, "it must be from", "-a", "filesize:1")
        self.refuse(FAILED, "no room for packets", "--max-size", "5KB", "--comment", "x" * 5000)

    def test_options_that_do_not_exist(self):
        self.refuse(USAGE, "--nonsense: no such option", "--nonsense")
        self.refuse(USAGE, "no such option", "-Z")
        self.refuse(USAGE, "it needs an argument", "--duration")
        self.refuse(USAGE, "must be one of", "-Q", "sideways")
        self.refuse(USAGE, "must be one of", "--hook", "generic")
        self.refuse(USAGE, "must be one of", "--format", "erf")
        self.refuse(USAGE, "must be one of", "--compress", "gzip")
        self.refuse(USAGE, "give both", "--sample-by", "flow")
        self.refuse(USAGE, "it must be 1/N", "--sample", "2/3")
        self.refuse(USAGE, "--sample 1/0", "--sample", "1/0")
        self.refuse(USAGE, "both want standard output", "--json", path="-")
        self.refuse(USAGE, "not a name for a session", "--name", "a/b")
        self.refuse(USAGE, "not a name for a session", "--name", "..")

    def test_cpus_that_are_not_there(self):
        self.refuse(USAGE, "(?i)cpu", "--cpus", "1000")

    def test_without_privileges(self):
        os.chmod(self.folder, 0o777)
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        self.refuse(FAILED, "run as root or with CAP_BPF", under=nobody)
        self.refuse(FAILED, "run as root or with CAP_BPF", under=["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"])
        self.refuse(FAILED, "CAP_NET_ADMIN", under=["setpriv", "--bounding-set=-net_admin,-sys_admin", "--inh-caps=-net_admin,-sys_admin"])
        self.refuse(FAILED, "CAP_PERFMON", under=["setpriv", "--bounding-set=-perfmon,-sys_admin", "--inh-caps=-perfmon,-sys_admin"])

    def test_three_capabilities_are_enough(self):
        os.chmod(self.folder, 0o777)
        caps = "+bpf,+net_admin,+perfmon"
        recording = self.record("--duration", "10s", under=["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                                                            "--inh-caps=" + caps, "--ambient-caps=" + caps])
        sent = self.send("--count", 1000, "--rate", 20000)
        recording.stop()
        self.assertEqual(recording.status, 0, recording.text())
        self.assertEqual(self.assert_balanced(recording)["captured"]["packets"], sent["packets"])
        self.assertEqual(os.stat(recording.path).st_uid, 65534)

    def full_disk(self, *args, name="capture.pcapng.zst", size="3m"):
        disk = self.path("disk" + name)
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "retina-test", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        recording = self.record("--flush-interval", "100ms", *args, name=f"disk{name}/{name}")
        flood = self.sender("--rate", load(20000), "--size", "1000-1400", "--duration", 4)
        recording.wait(15)
        flood.close()
        return recording

    def test_a_full_disk_is_counted(self):
        for name, args in (("capture.pcapng.zst", []), ("capture.pcapng", []), ("capture.pcap", []), ("one.pcapng.zst", ["--workers", "1"])):
            with self.subTest(name=name, args=args):
                recording = self.full_disk(*args, name=name)
                self.assertEqual((recording.status, recording.summary["stop_reason"]), (FAILED, "error"), recording.text())
                totals = self.assert_balanced(recording)
                self.assertGreater(totals["lost"]["by"]["disk"], 0)
                self.assertGreater(totals["captured"]["packets"], 0)
                self.assertEqual(recording.lines().count_of("No space left on device"), 1, recording.text())
                if name.endswith(".zst"):
                    # All that is called captured is there; the frame may lack its end.
                    plain = self.path("plain.pcapng")
                    with open(plain, "wb") as f:
                        subprocess.run(["zstdcat", recording.path], stdout=f, stderr=subprocess.DEVNULL, check=False)
                else:
                    plain = recording.path
                shown = subprocess.run(["tshark", "-n", "-r", plain, "-T", "fields", "-e", "frame.number"], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
                self.assertEqual(shown.count("\n"), totals["captured"]["packets"])
                if name.endswith(".pcapng"):
                    self.assertEqual(len(read(plain).packets), totals["captured"]["packets"])

    def test_a_disk_that_is_full_from_the_start(self):
        disk = self.path("disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "retina-test", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        with open(os.path.join(disk, "filler"), "wb") as f:
            f.write(bytes(4096))
        path = os.path.join(disk, "x.pcapng.zst")
        recording = self.record("--duration", "2s", name="disk/x.pcapng.zst", ready=0)
        self.send("--rate", 1000, "--duration", 0.5)
        deadline = time.monotonic() + 5
        while recording.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        recording.wait(5)
        self.assertEqual(recording.status, FAILED)
        self.assertEqual(recording.lines().count_of("No space left on device"), 1, recording.text())
        self.assertTrue(not os.path.exists(path) or recording.summary["totals"]["captured"]["packets"] == 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
