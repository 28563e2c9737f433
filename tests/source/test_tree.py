#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Rules about the source tree itself: layout, licence lines, public headers, and that no test is forgotten."""

import glob
import os
import re
import subprocess
import unittest

SOURCE = os.environ.get("RETINA_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))


def run(*argv, **kw):
    return subprocess.run(argv, cwd=SOURCE, text=True, capture_output=True, check=False, **kw)


def tracked(*patterns):
    listed = run("git", "-c", "safe.directory=*", "ls-files", "-z", *patterns)
    if listed.returncode != 0:
        raise unittest.SkipTest("not a git work tree")
    return [f for f in listed.stdout.split("\0") if f and os.path.isfile(os.path.join(SOURCE, f))]


def text(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8", errors="replace") as f:
        return f.read()


class TreeTest(unittest.TestCase):
    def test_code_has_the_layout_of_clang_format(self):
        files = tracked("*.c", "*.h")
        self.assertGreater(len(files), 50)
        done = run("clang-format", "--dry-run", "-Werror", *files)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_public_header_compiles_alone_in_c_and_cpp(self):
        headers = glob.glob("retina/*.h", root_dir=os.path.join(SOURCE, "engine/include"))
        self.assertGreaterEqual(len(headers), 3)
        for header in headers:
            for compiler in (["gcc", "-x", "c", "-std=c11"], ["g++", "-x", "c++", "-std=c++11"]):
                with self.subTest(header=header, compiler=compiler[0]):
                    done = run(*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iengine/include",
                               "-", input=f"#include <{header}>\n")
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_source_file_names_its_licence(self):
        code = tracked("*.c", "*.h", "*.py", "tools/dev", "tests/run-*", ".ci/*")
        missing = [f for f in code if "SPDX-License-Identifier: " not in text(f)[:200]]
        self.assertEqual(missing, [])

    def test_no_file_includes_upwards(self):
        upwards = [f for f in tracked("*.c", "*.h") if re.search(r'^\s*#\s*include\s*"\.\./', text(f), re.M)]
        self.assertEqual(upwards, [])

    def test_every_test_file_is_registered(self):
        build = text("tests/meson.build")
        words = set(re.findall(r"'([\w-]+)'", build.split("cmocka_dep")[0]))
        names = [re.match(r"test[-_](.*)\.(c|py)$", os.path.basename(f)) for f in glob.glob(f"{SOURCE}/tests/*/test*")]
        forgotten = [m[0] for m in names if m and m[1] not in words]
        self.assertEqual(forgotten, [])


if __name__ == "__main__":
    unittest.main()
