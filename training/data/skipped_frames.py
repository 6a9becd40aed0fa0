"""Frames that could not be read: logged once, counted, known to every loader process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from multiprocessing import RawArray
from typing import TypeVar

import numpy as np

from edge_rgbt.errors import SequenceError
from training.data.samples import RejectedSample

log = logging.getLogger(__name__)
T = TypeVar("T")


class SkippedFrames:
    """One flag per frame of every sequence, in memory that worker processes share."""

    def __init__(self, frames_per_sequence: Sequence[int]) -> None:
        self._first = np.concatenate([[0], np.cumsum(frames_per_sequence)])
        # One byte each, set once and never cleared: no lock is needed.
        self._flags = RawArray("B", int(self._first[-1]))

    @property
    def count(self) -> int:
        """How many frames were given up so far, by all processes that share this object."""
        return int(np.count_nonzero(np.frombuffer(self._flags, np.uint8)))

    def read(self, sequence: int, frame: int, name: str, read: Callable[[], T]) -> T:
        """What `read` returns. Where it raises SequenceError, or did before, raises RejectedSample instead.

        A frame known to be bad is refused where reading it would have failed, so that draws do not depend
        on who tried first. name: of the sequence, for the log.
        """
        place = int(self._first[sequence]) + frame
        if self._flags[place]:
            raise RejectedSample(f"{name}: a frame cannot be read")
        try:
            return read()
        except SequenceError as error:
            self._flags[place] = 1
            log.warning("frame skipped (%d so far): %s: %s", self.count, name, error)
            raise RejectedSample(f"{name}: {error}") from error
