"""What the synchroniser knows about each camera, and the counters of what became of every frame."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from edge_rgbt.types import Frame, PictureFault

_INTERVALS = 15
_LOG_EVERY_NS = 1_000_000_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SyncCounters:
    """What became of the frames pushed so far.

    received: all of them. paired: pairs with both pictures usable. reused: those whose thermal frame had
    served before (thermal is slower). single_rgb, single_tir: frames handed out without a partner.
    blind: pairs without any usable picture. dropped_rgb, dropped_tir: not wanted, or pushed out of a full
    queue. late: older than what had been handed out. repeated: same time or number as a frame before.
    disordered: frames that came behind a newer one of their camera, whatever became of them.
    faulty_rgb, faulty_tir: refused for their picture; frozen: those of them that were frozen.
    missing: gaps in the cameras' own numbering. restarts: clocks that jumped back, or proved to differ.
    """

    received: int = 0
    paired: int = 0
    reused: int = 0
    single_rgb: int = 0
    single_tir: int = 0
    blind: int = 0
    dropped_rgb: int = 0
    dropped_tir: int = 0
    late: int = 0
    repeated: int = 0
    disordered: int = 0
    faulty_rgb: int = 0
    faulty_tir: int = 0
    frozen: int = 0
    missing: int = 0
    restarts: int = 0

    @property
    def dropped(self) -> int:
        return self.dropped_rgb + self.dropped_tir

    @property
    def accounted(self) -> int:
        """Frames whose fate is known; what `received` has more still waits."""
        rgb_used = self.paired + self.single_rgb
        tir_used = self.paired + self.single_tir - self.reused
        refused = self.dropped + self.late + self.repeated + self.faulty_rgb + self.faulty_tir
        return rgb_used + tir_used + refused


@dataclass(slots=True)
class Waiting:
    """A good frame that may still be wanted. served: it has been handed out before."""

    frame: Frame
    arrived_ns: int
    served: bool = False

    @property
    def time_ns(self) -> int:
        return self.frame.timestamp_ns


class Stream:
    """Waiting frames of one camera, oldest first, and what is known about it."""

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.last_sequence: int | None = None
        self.newest_ns: int | None = None  # capture time of the newest frame, good or not
        self.good: Frame | None = None  # the newest one that shows something
        self.fault: PictureFault | None = None  # of the newest frame
        self.floor_ns: int | None = None  # older frames come too late
        self.arrived_ns: int | None = None
        self.intervals: deque[int] = deque(maxlen=_INTERVALS)
        self.lags: deque[int] = deque(maxlen=_INTERVALS)  # from capture to arrival

    @property
    def interval_ns(self) -> int | None:
        """The usual distance of two frames, by the recent ones' median."""
        return _median(self.intervals)

    @property
    def lag_ns(self) -> int | None:
        """For how long pictures usually travel, by the clock that stamps them."""
        return _median(self.lags)

    def expected_near(self, time_ns: int) -> int | None:
        """The capture time nearest to `time_ns` at which a frame to come is due."""
        interval = self.interval_ns
        if self.newest_ns is None or interval is None:
            return None
        return self.newest_ns + interval * max(1, round((time_ns - self.newest_ns) / interval))

    def nearest(self, time_ns: int) -> Waiting | None:
        return min(self.waiting, key=lambda w: abs(w.time_ns - time_ns), default=None)


def _median(values: deque[int]) -> int | None:
    return sorted(values)[len(values) // 2] if values else None


class RefusalLog:
    """Says which times did not meet, once a second at most."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._kept_back = 0

    def say(self, rgb_ns: int, tir_ns: int | None, tolerance_ns: int, now_ns: int) -> None:
        """tir_ns: the nearest thermal frame's time, None if there never was one."""
        if self._last_ns is not None and 0 <= now_ns - self._last_ns < _LOG_EVERY_NS:
            self._kept_back += 1
            return
        nearest = "none yet" if tir_ns is None else f"{tir_ns} ns ({(tir_ns - rgb_ns) / 1e6:+.1f} ms)"
        log.warning(
            "RGB frame at %d ns: no thermal frame within %.1f ms; nearest: %s; %d more since last told",
            rgb_ns, tolerance_ns / 1e6, nearest, self._kept_back,
        )  # fmt: skip
        self._last_ns, self._kept_back = now_ns, 0
