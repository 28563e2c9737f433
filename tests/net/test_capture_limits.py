#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Small machines: a locked-memory limit, a CPU quota, a memory limit; and what the recorder itself takes."""

import resource
import time
import unittest

import recorder
from recorder import IN, CaptureTest, load

MIB = 1 << 20


class LimitsTest(CaptureTest):
    def paced(self, recording, *args):
        """A moderate load; all of it must be in the file."""
        sent = self.send("--size", 200, "--flows", 50, *args)
        recording.stop()
        self.assertEqual(recording.status, 0, recording.text())
        totals = self.assert_balanced(recording)
        self.assertEqual((totals["captured"], totals["lost"]["packets"]), ({"packets": sent["packets"], "bytes": sent["bytes"]}, 0))
        self.check(recording.path, sent)
        self.assert_sound(recording.path, sent["packets"])
        return recording

    def test_little_locked_memory(self):
        for limit in (64 << 10, 0):
            for caps in ([], ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]):
                with self.subTest(limit=limit, caps=caps):
                    recording = self.record(name=f"{limit}{len(caps)}.pcapng.zst", under=caps,
                                            preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit)))
                    self.paced(recording, "--count", load(5000), "--rate", load(20000))

    def test_few_descriptors(self):
        recording = self.record(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        self.paced(recording, "--count", 1000, "--rate", load(20000))

    def test_a_tenth_of_a_cpu_and_300_mib(self):
        try:
            with self.lab.cpu_quota(10, 300 * MIB) as quota:
                recording = self.record(preexec_fn=quota.enter)
                time.sleep(0.3)
                sent = self.send("--size", 200, "--flows", 50, "--rate", load(20000), "--duration", 4)
                peak = recording.memory_peak()
                recording.stop()
                usage = quota.usage()
        except recorder.labs.Unavailable as error:
            self.skipTest(str(error))
        self.assertEqual(recording.status, 0, recording.text())
        totals = self.assert_balanced(recording)
        self.assertEqual((totals["captured"]["packets"], totals["lost"]["packets"]), (sent["packets"], 0))
        self.check(recording.path, sent)
        self.assertEqual(usage["oom_kills"], 0)
        self.assertLess(usage["memory_max_bytes"], 300 * MIB)
        if not recorder.SLOW:  # sanitizers take far more
            self.assertLessEqual(peak, 96 * MIB)

    @unittest.skipIf(recorder.SLOW, "sanitizers take far more memory")
    def test_resident_memory_once_the_rings_have_wrapped(self):
        recording = self.record("--duration", "60s")
        senders = [self.sender("--cpu", cpu, "--size", 1400, "--rate", 25000, "--duration", 3.5) for cpu in (0, 1)]
        sent = [s.close(stop=False) for s in senders]
        peak = recording.memory_peak()
        recording.stop()
        self.assert_balanced(recording)
        # Twice the rings of 64 MiB have passed, on both CPUs.
        self.assertGreater(sum(s["bytes"] for s in sent), 128 * MIB)
        self.assertLessEqual(peak, 96 * MIB, f"{peak / MIB:.1f} MiB")

    def test_it_costs_nothing_while_nothing_comes(self):
        recording = self.record()
        time.sleep(2)
        recording.stop()
        cpu = recording.summary["cpu"]
        # Setting up counts too: loading the programs takes some hundredths.
        self.assertLess(cpu["user_s"] + cpu["system_s"], 0.5 if recorder.SLOW else 0.25)
        self.assertEqual({r["direction"]: r["seen"]["packets"] for r in recording.summary["interfaces"]}[IN], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
