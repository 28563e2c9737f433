# SPDX-License-Identifier: MIT
"""Memory that is really there when a contestant starts to write.

In a virtual machine whose balloon reports free pages, memory that was free for two seconds belongs to the host again, and
its next first touch costs some ten microseconds a page: page cache then fills at 0.3 GB/s instead of 4, and what is measured
is the hypervisor. So the harness holds a pool of touched pages and frees it just before the traffic; the file takes those.
"""

import mmap

MAP_POPULATE = 0x8000


class WarmMemory:
    """A pool in pieces: hold() fills it up, release() gives some of it to whoever writes next. What is released and not
    used gets cold, so release no more than will be written."""

    PIECE = 64 << 20

    def __init__(self):
        self._pieces = []

    def hold(self, size):
        """Have that many bytes, or a third of what the machine can spare."""
        with open("/proc/meminfo", encoding="ascii") as f:
            available = next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))
        size = min(size, available // 3 + len(self._pieces) * self.PIECE)
        while len(self._pieces) * self.PIECE < size:
            self._pieces.append(mmap.mmap(-1, self.PIECE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_POPULATE))

    def release(self, size):
        for _ in range(min(len(self._pieces), -(-size // self.PIECE))):
            self._pieces.pop().close()
