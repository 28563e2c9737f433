#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The man pages: roff without a warning, and not an option less than --help has."""

import glob
import os
import re
import shutil
import subprocess
import unittest

BUILD = os.environ.get("RETINA_BUILD", "")
PROGRAM = os.path.join(BUILD, "tools/retina-xdpctl")
PAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs")


def render(roff):
    """Plain text of a page, and what groff has to complain about."""
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", "-P-b", "-P-u", "-rLL=200n"], input=roff, text=True,
                          capture_output=True, check=True)
    return done.stdout.replace("\u2010", "-").replace("\u2212", "-"), done.stderr


def output(*argv):
    return subprocess.run([PROGRAM, *argv], text=True, capture_output=True, check=True).stdout


@unittest.skipUnless(shutil.which("groff"), "needs groff")
class ManualTest(unittest.TestCase):
    def setUp(self):
        if not os.access(PROGRAM, os.X_OK):
            self.skipTest("RETINA_BUILD names no build with retina-xdpctl")

    def test_page_from_the_option_table_renders_without_a_warning(self):
        page, warnings = render(output("capture", "--man"))
        self.assertEqual(warnings, "")
        for heading in ("NAME", "SYNOPSIS", "EXAMPLES", "EXIT STATUS"):
            self.assertRegex(page, rf"(?m)^{heading}$")

    def test_page_has_every_option_of_the_help(self):
        for command, least in (("capture", 15), ("filter", 3), ("target", 2)):
            with self.subTest(command=command):
                self.has_every_option(command, least)

    def has_every_option(self, command, least):
        page, warnings = render(output(command, "--man"))
        self.assertEqual(warnings, "")
        options = re.findall(r"(?m)^  (?:-(\w), |    )--([\w-]+)(?: (\S+))?", output(command, "--help"))
        self.assertGreaterEqual(len(options), least)
        for letter, name, argument in options:
            line = (f"-{letter}, " if letter else "") + f"--{name}" + (f" {argument}" if argument and argument.isupper() else "")
            self.assertRegex(page, rf"(?m)^ *{re.escape(line)}\b")

    def test_page_is_found_under_its_name(self):
        self.assertRegex(output("capture", "--man"), r"(?m)^retina\\-xdpctl\\-capture \\- ")

    def test_written_pages_render_without_a_warning(self):
        pages = glob.glob(os.path.join(PAGES, "*.[1-8]"))
        self.assertNotEqual(pages, [])
        for path in pages:
            with self.subTest(page=os.path.basename(path)), open(path, encoding="utf-8") as f:
                self.assertEqual(render(f.read())[1], "")

    def test_written_page_has_every_command(self):
        commands = re.findall(r"(?m)^  ([a-z]+) ", output("--help"))
        self.assertIn("capture", commands)
        with open(os.path.join(PAGES, "retina-xdpctl.8"), encoding="utf-8") as f:
            page, _ = render(f.read())
        for command in commands:
            self.assertRegex(page, rf"(?m)^ *{command}\b")


if __name__ == "__main__":
    unittest.main()
