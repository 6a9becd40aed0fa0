"""Frames that could not be read: logged once, counted, known to every loader process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from multiprocessing import RawArray

import numpy as np

log = logging.getLogger(__name__)


class SkippedFrames:
    """One flag per row of every track, in memory that worker processes share."""

    def __init__(self, rows_per_track: Sequence[int]) -> None:
        self._first = np.concatenate([[0], np.cumsum(rows_per_track)])
        # One byte each, set once and never cleared: no lock is needed.
        self._flags = RawArray("B", int(self._first[-1]))

    @property
    def count(self) -> int:
        """How many frames were given up so far, by all processes that share this object."""
        return int(np.count_nonzero(np.frombuffer(self._flags, np.uint8)))

    def is_known(self, track: int, row: int) -> bool:
        """True if the frame was given up before."""
        return self._flags[int(self._first[track]) + row] != 0

    def add(self, track: int, row: int, reason: str) -> None:
        """Gives a frame up and logs it. reason: with the path."""
        self._flags[int(self._first[track]) + row] = 1
        log.warning("frame skipped (%d so far): %s", self.count, reason)
