"""Free memory goes back to the machine, wherever it lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edge_rgbt.health.memory import return_free_memory


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="needs glibc")
def test_memory_freed_between_blocks_that_stay_is_returned():
    blocks = [np.ones(100_000, np.uint8) for _ in range(1000)]  # too small to be mapped one by one
    kept = blocks[::2]
    del blocks
    before_mb = resident_mb()
    return_free_memory()
    assert resident_mb() < before_mb - 30
    assert all(block[0] == 1 for block in kept)
