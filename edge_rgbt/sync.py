"""Pairs RGB and thermal frames by capture time, never by index, and counts everything that goes wrong."""

from __future__ import annotations

import bisect
import dataclasses
from collections import deque
from dataclasses import dataclass

import numpy as np

from edge_rgbt.types import Frame, FramePair, Modality

# Frames of one camera that wait for the other; one more drops the oldest, so live pictures never queue up.
QUEUE_LENGTH = 8
# A clock that goes back by more than this was restarted; less is a frame out of order.
CLOCK_RESTART_NS = 1_000_000_000
_INTERVALS = 15


@dataclass(slots=True)
class SyncCounters:
    """What became of the frames pushed so far.

    paired: pairs handed out. reused: those whose thermal frame had served before (thermal is slower).
    dropped_rgb: no thermal frame within the tolerance. dropped_tir: no RGB frame wanted it.
    late: older than what had been settled. repeated: same time or number as a frame before.
    missing: gaps in the cameras' own numbering. frozen: pictures equal to the one before, bit by bit.
    restarts: clocks that jumped back.
    """

    paired: int = 0
    reused: int = 0
    dropped_rgb: int = 0
    dropped_tir: int = 0
    late: int = 0
    repeated: int = 0
    missing: int = 0
    frozen: int = 0
    restarts: int = 0

    @property
    def dropped(self) -> int:
        return self.dropped_rgb + self.dropped_tir


class _Stream:
    """Waiting frames of one camera, oldest first, and what is known about it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.last_sequence: int | None = None
        self.newest_ns: int | None = None
        self.newest: Frame | None = None
        self.frozen = False
        self.intervals: deque[int] = deque(maxlen=_INTERVALS)

    def expected_next_ns(self) -> int | None:
        """When the next frame is due, judged by the recent intervals' median."""
        if self.newest_ns is None or not self.intervals:
            return None
        return self.newest_ns + sorted(self.intervals)[len(self.intervals) // 2]


class PairSynchroniser:
    """Gives every RGB frame the thermal frame nearest in time, if one lies within the tolerance.

    tir_offset_ns is added to thermal times and brings them to the RGB camera's clock; pairs carry such times.
    A thermal frame serves several RGB frames when the thermal camera is the slower one. An RGB frame waits
    only while a nearer thermal frame can still be expected. Used from one thread.
    """

    def __init__(self, tolerance_ms: float, tir_offset_ns: int = 0) -> None:
        if not tolerance_ms > 0:
            raise ValueError(f"pairing tolerance is {tolerance_ms} ms, expected more than 0")
        self.tolerance_ns = round(tolerance_ms * 1e6)
        self.tir_offset_ns = tir_offset_ns
        self.counters = SyncCounters()
        self._streams = {modality: _Stream() for modality in Modality}
        self._settled_ns: int | None = None
        self._served_ns: set[int] = set()  # thermal frames that wait and have been in a pair

    @property
    def paired(self) -> int:
        return self.counters.paired

    @property
    def dropped(self) -> int:
        return self.counters.dropped

    @property
    def late(self) -> int:
        return self.counters.late

    @property
    def repeated(self) -> int:
        return self.counters.repeated

    def frozen(self, modality: Modality) -> bool:
        """True while this camera repeats its picture, as thermal cameras do during flat-field correction."""
        return self._streams[modality].frozen

    def push(self, frame: Frame) -> list[FramePair]:
        """Takes in one frame of either camera; returns the pairs that are settled by it, in order of time."""
        if frame.modality is Modality.TIR and self.tir_offset_ns:
            frame = dataclasses.replace(frame, timestamp_ns=frame.timestamp_ns + self.tir_offset_ns)
        return self._settle(final=False) if self._accept(frame) else []

    def flush(self) -> list[FramePair]:
        """Settles what still waits; for the end of a recording."""
        pairs = self._settle(final=True)
        for frame in self._streams[Modality.TIR].frames:
            self._drop(frame)
        self._streams[Modality.TIR].frames.clear()
        return pairs

    def _accept(self, frame: Frame) -> bool:
        """Sorts the frame in; False if it cannot be used."""
        stream = self._streams[frame.modality]
        time_ns = frame.timestamp_ns
        if stream.newest_ns is not None and time_ns < stream.newest_ns - CLOCK_RESTART_NS:
            self._restart()
            stream = self._streams[frame.modality]
        if any(time_ns == f.timestamp_ns for f in stream.frames) or time_ns == stream.newest_ns:
            self.counters.repeated += 1
            return False
        if stream.newest_ns is not None and time_ns < stream.newest_ns:
            oldest = stream.frames[0].timestamp_ns if stream.frames else stream.newest_ns
            settled = self._settled_ns if frame.modality is Modality.RGB else oldest
            if settled is not None and time_ns < settled:
                self.counters.late += 1
                return False
        else:
            if not self._is_news(stream, frame):
                return False
            if stream.newest_ns is not None:
                stream.intervals.append(time_ns - stream.newest_ns)
            stream.newest_ns, stream.newest = time_ns, frame
        bisect.insort(stream.frames, frame, key=lambda f: f.timestamp_ns)
        if len(stream.frames) > QUEUE_LENGTH:
            self._drop(stream.frames.pop(0))
        return True

    def _is_news(self, stream: _Stream, frame: Frame) -> bool:
        """Keeps the books on numbering and freezes; False for a frame delivered twice under a new time."""
        last = stream.last_sequence
        if last is not None and frame.sequence == last:
            self.counters.repeated += 1
            return False
        if last is not None and frame.sequence > last + 1:
            self.counters.missing += frame.sequence - last - 1
        stream.last_sequence = frame.sequence
        stream.frozen = stream.newest is not None and _same_picture(stream.newest.image, frame.image)
        self.counters.frozen += stream.frozen
        return True

    def _settle(self, final: bool) -> list[FramePair]:
        pairs = []
        rgb_frames, tir = self._streams[Modality.RGB].frames, self._streams[Modality.TIR]
        while rgb_frames:
            rgb = rgb_frames[0]
            nearest = min(tir.frames, key=lambda f: abs(f.timestamp_ns - rgb.timestamp_ns), default=None)
            if not final and self._worth_waiting(rgb, nearest):
                break
            rgb_frames.pop(0)
            self._settled_ns = rgb.timestamp_ns
            if nearest is None or abs(nearest.timestamp_ns - rgb.timestamp_ns) > self.tolerance_ns:
                self.counters.dropped_rgb += 1
            else:
                pairs.append(self._pair(rgb, nearest))
            self._forget_before(nearest, rgb)
        return pairs

    def _worth_waiting(self, rgb: Frame, nearest: Frame | None) -> bool:
        """True while a thermal frame nearer to `rgb` than `nearest` may still come."""
        tir = self._streams[Modality.TIR]
        if tir.newest_ns is not None and tir.newest_ns >= rgb.timestamp_ns:
            return False
        due = tir.expected_next_ns()
        if nearest is not None and due is not None:
            gap_now, gap_due = abs(nearest.timestamp_ns - rgb.timestamp_ns), abs(due - rgb.timestamp_ns)
            if gap_now <= gap_due and gap_now <= self.tolerance_ns:
                return False
        # A stalled thermal camera holds nothing up for longer than its next frame could have been in time.
        newest_rgb_ns = self._streams[Modality.RGB].newest_ns or rgb.timestamp_ns
        return newest_rgb_ns - rgb.timestamp_ns <= self.tolerance_ns

    def _pair(self, rgb: Frame, tir: Frame) -> FramePair:
        self.counters.paired += 1
        self.counters.reused += tir.timestamp_ns in self._served_ns
        self._served_ns.add(tir.timestamp_ns)
        return FramePair(rgb, tir)

    def _forget_before(self, nearest: Frame | None, rgb: Frame) -> None:
        """Drops thermal frames that no later RGB frame can want: all before the nearest to this one."""
        tir = self._streams[Modality.TIR]
        limit = rgb.timestamp_ns - self.tolerance_ns
        if nearest is not None:
            limit = max(limit, min(nearest.timestamp_ns, rgb.timestamp_ns))
        while tir.frames and tir.frames[0].timestamp_ns < limit:
            self._drop(tir.frames.pop(0))

    def _drop(self, frame: Frame) -> None:
        if frame.modality is Modality.RGB:
            self.counters.dropped_rgb += 1
        elif frame.timestamp_ns in self._served_ns:
            self._served_ns.discard(frame.timestamp_ns)
        else:
            self.counters.dropped_tir += 1

    def _restart(self) -> None:
        """A clock was set back: nothing that waits can be compared with what comes."""
        self.counters.restarts += 1
        for stream in self._streams.values():
            for frame in stream.frames:
                self._drop(frame)
        self._streams = {modality: _Stream() for modality in Modality}
        self._settled_ns = None
        self._served_ns.clear()


def _same_picture(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit-equal; a coarse grid decides in microseconds for live pictures, which always hold some noise."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return np.array_equal(a[::16, ::16], b[::16, ::16]) and np.array_equal(a, b)
