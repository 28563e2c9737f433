#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Filters in the kernel against libpcap's interpreter, over real captures (judge-corpus.c, corpus.py).

A bounded share by default. RETINA_ORACLE=N takes N times as many expressions, programs and frames; RETINA_SEED other random ones.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus  # noqa: E402  pylint: disable=wrong-import-position

BUILD = os.environ.get("RETINA_BUILD", "")
PROGRAM = os.path.join(BUILD, "tests/judge-corpus")
CACHE = os.environ.get("RETINA_CORPUS", os.path.join(BUILD, "corpus"))
SHARE = int(os.environ.get("RETINA_ORACLE", "1"))
SEED = int(os.environ.get("RETINA_SEED", "20261124"))


@unittest.skipIf(os.geteuid() != 0, "needs root")
class OracleTest(unittest.TestCase):
    def judge(self, captures, expressions, frames, programs, seed=SEED):
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
            f.write("".join(e + "\n" for e in expressions))
            f.flush()
            done = subprocess.run([PROGRAM, str(seed), str(frames), str(programs), f.name, *captures], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-4000:])
        result = json.loads(done.stdout.splitlines()[-1])
        print(f"# {json.dumps(result)}")
        # Both outcomes, whole and cut frames, and frames in several buffers have been there.
        self.assertGreater(result["matches"] * 50, result["verdicts"] // 3)
        self.assertLess(result["matches"] * 2, result["verdicts"])
        self.assertGreater(result["fragments"], 0)
        self.assertGreater(result["tagged"], 0)
        self.assertGreater(result["cut"], 0)
        return result

    def test_installed_captures(self):
        captures = corpus.installed_captures()
        self.assertGreater(len(captures), 10)
        result = self.judge(captures, corpus.MANUAL, 100 * SHARE, 20 * SHARE)
        self.assertGreater(result["expressions"], 120)
        self.assertGreaterEqual(result["longest"], 4000)

    def test_captures_of_tcpdump(self):
        try:
            source = corpus.fetch("tcpdump", CACHE)
        except (OSError, subprocess.SubprocessError, ValueError) as e:
            self.skipTest(f"the source package of tcpdump cannot be had: {getattr(e, 'stderr', None) or e}".strip().splitlines()[-1])
        captures = corpus.captures_below(source)
        expressions = corpus.MANUAL + corpus.test_list_expressions(source) + corpus.random_expressions(SEED, 400 * SHARE)
        result = self.judge(captures, expressions, 40 * SHARE, 50 * SHARE)
        self.assertGreater(result["captures"], 300)
        self.assertGreater(result["expressions"], 400)


if __name__ == "__main__":
    unittest.main()
