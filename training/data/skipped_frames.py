"""Frames that could not be read: logged once, counted, known to every loader process."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

log = logging.getLogger(__name__)


class SkippedFrames:
    """One flag per row of every track, in memory that worker processes share."""

    def __init__(self, rows_per_track: Sequence[int]) -> None:
        self._first = np.concatenate([[0], np.cumsum(rows_per_track)])
        self._flags = torch.zeros(int(self._first[-1]), dtype=torch.uint8).share_memory_()

    @property
    def count(self) -> int:
        """How many frames were given up so far, by all processes that share this object."""
        return int(self._flags.sum())

    def is_known(self, track: int, row: int) -> bool:
        return bool(self._flags[self._first[track] + row])

    def add(self, track: int, row: int, reason: str) -> None:
        """Logs the frame unless it was logged before. reason: with the path."""
        self._flags[self._first[track] + row] = 1
        log.warning("frame skipped (%d so far): %s", self.count, reason)
