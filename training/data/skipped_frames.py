"""Frames that could not be read: named once, counted, known to every loader process."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import RawArray
from typing import TypeVar

import numpy as np

from edge_rgbt.errors import SequenceError
from training.data.samples import RejectedSample

log = logging.getLogger(__name__)
T = TypeVar("T")


class SkippedFrames:
    """One flag per frame of every sequence, and a line about each that was given up.

    Both are shared with the worker processes that are started later, and with nobody else.
    """

    def __init__(self, frames_per_sequence: Sequence[int]) -> None:
        self._first = np.concatenate([[0], np.cumsum(frames_per_sequence)])
        # One byte each, set once and never cleared: no lock is needed.
        self._flags = RawArray("B", int(self._first[-1]))
        # Without a name and gone with the last process; appending keeps lines of several processes whole.
        self._lines = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115, open as long as this lives
        fcntl.fcntl(self._lines, fcntl.F_SETFL, os.O_APPEND)
        self._told = 0

    @property
    def count(self) -> int:
        """How many frames were given up so far, by all processes that share this object."""
        return int(np.count_nonzero(np.frombuffer(self._flags, np.uint8)))

    def news(self) -> list[str]:
        """The frames given up since this was last asked, each with its sequence, its path and the reason."""
        unread = os.pread(self._lines.fileno(), os.fstat(self._lines.fileno()).st_size, self._told)
        *lines, begun = unread.split(b"\n")
        self._told += len(unread) - len(begun)
        return [line.decode() for line in lines]

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
            # File names may be any bytes; a log and a page are text.
            reason = f"{name}: {error}".replace("\n", " ").encode(errors="backslashreplace").decode()
            self._lines.write(f"{reason}\n".encode())
            log.warning("frame skipped (%d so far): %s", self.count, reason)
            raise RejectedSample(reason) from error
