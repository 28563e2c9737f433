#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""examples/embed.c records a lab's link: as built in this tree, and built outside of it against the installed library."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import lab as labs

BUILD = os.environ.get("RETINA_BUILD", "")
SOURCE = os.environ.get("RETINA_SOURCE", "")
TRAFFIC = os.path.join(BUILD, "bench/generator/retina-traffic")
PACKETS = 500


def why_not():
    if os.geteuid() != 0:
        return "needs root"
    if not os.access(os.path.join(BUILD, "examples/embed"), os.X_OK) or not os.access(TRAFFIC, os.X_OK):
        return "RETINA_BUILD names no build with the example and retina-traffic"
    for tool in ("capinfos", "nsenter", "zstd"):
        if not shutil.which(tool):
            return f"needs {tool}"
    return None


@unittest.skipIf(why_not(), why_not())
class ExampleTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="retina-example-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.lab = labs.Lab()
        self.lab.__enter__()
        self.addCleanup(self.lab.__exit__, None, None, None)
        self.a, self.b = self.lab.namespace("a"), self.lab.namespace("b")
        self.lab.link(self.a, "left", self.b, "right", quiet=True, addresses=("10.77.0.1/24", "10.77.0.2/24"))

    def assert_records(self, program):
        file = os.path.join(self.folder, "out.pcapng.zst")
        recorder = self.b.popen([program, "right", file, "3"], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        self.assertIn("right: recording", recorder.stderr.readline())
        self.a.output([TRAFFIC, "send", "-i", "left", "--count", str(PACKETS), "--rate", "5000"])
        said, errors = recorder.communicate(timeout=30)
        self.assertEqual((recorder.returncode, errors), (0, ""))
        self.assertEqual(said, f"captured {PACKETS} lost 0\n")
        self.assertEqual(subprocess.run(["zstd", "-tq", file], check=False).returncode, 0)
        about = subprocess.run(["capinfos", "-cTmr", file], text=True, capture_output=True, check=False)
        self.assertEqual((about.returncode, about.stderr), (0, ""))
        self.assertIn(str(PACKETS), re.split(r"[,\s]", about.stdout))

    def test_embedding_in_the_tree(self):
        self.assert_records(os.path.join(BUILD, "examples/embed"))

    def test_embedding_against_the_installed_library(self):
        root = os.path.join(self.folder, "root")
        subprocess.run(["meson", "install", "--no-rebuild", "-C", BUILD, "--destdir", root], check=True,
                       stdout=subprocess.DEVNULL)
        found = [where for where, _, files in os.walk(root) if "retina-xdp.pc" in files]
        self.assertEqual(len(found), 1)
        environment = dict(os.environ, PKG_CONFIG_PATH=found[0], PKG_CONFIG_SYSROOT_DIR=root)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "retina-xdp"], env=environment, text=True,
                               capture_output=True, check=True).stdout.split()
        program = os.path.join(self.folder, "embed")
        built = subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-o", program,
                                os.path.join(SOURCE, "examples/embed.c"), *flags], text=True, capture_output=True,
                               check=False)
        self.assertEqual((built.returncode, built.stderr), (0, ""), " ".join(flags))
        self.assert_records(program)


if __name__ == "__main__":
    unittest.main()
