"""The last seconds of one kind of telemetry, read at the time of a picture (R-TM-4)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_NS = 3_000_000_000
EXTRAPOLATED_NS = 100_000_000
STALE_NS = 300_000_000
# Samples farther apart than this no longer tell what was between them.
_LONGEST_GAP_NS = 1_000_000_000
# Two samples nearer to each other than this (the same one over two links) tell no rate.
_SHORTEST_STEP_NS = 20_000_000
_MOST_SAMPLES = 3000


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value at an asked time. time_sigma_ns: how far off that time may be, waiting included."""

    value: T
    time_sigma_ns: int


class History(Generic[T]):
    """Samples in the order of their times.

    between: value of two samples and the share of the way from the first to the second; more than 1 when
    the time lies behind both. None where the two do not belong together: the nearer one is taken then.
    """

    def __init__(self, between: Callable[[T, T, float], T | None]) -> None:
        self._between = between
        self._times: list[int] = []
        self._values: list[T] = []
        self._sigmas: list[int] = []

    def __len__(self) -> int:
        return len(self._times)

    @property
    def newest_ns(self) -> int | None:
        return self._times[-1] if self._times else None

    def add(self, at_ns: int, value: T, time_sigma_ns: int = 0) -> None:
        """Takes in a sample; one of the same time replaces the old one, late ones find their place."""
        index = bisect_right(self._times, at_ns)
        if index and self._times[index - 1] == at_ns:
            self._values[index - 1], self._sigmas[index - 1] = value, time_sigma_ns
            return
        self._times.insert(index, at_ns)
        self._values.insert(index, value)
        self._sigmas.insert(index, time_sigma_ns)
        old = bisect_right(self._times, self._times[-1] - KEPT_NS - 1)
        old = max(old, len(self._times) - _MOST_SAMPLES)
        if old:
            del self._times[:old], self._values[:old], self._sigmas[:old]

    def clear(self) -> None:
        self._times, self._values, self._sigmas = [], [], []

    def at(self, t_ns: int) -> Reading[T] | None:
        """The value at a time; None if the samples are stale for it.

        Between two samples it is interpolated. Later than the last one it goes on at the same rate for
        100 ms and then stays, its time uncertain by the rest, until the sample is 0.3 s old.
        """
        index = bisect_right(self._times, t_ns)
        if index == 0:
            return self._before_the_first(t_ns)
        if index < len(self._times):
            return self._inside(index, t_ns)
        waited = t_ns - self._times[-1]
        if waited >= STALE_NS:
            return None
        ahead = min(waited, EXTRAPOLATED_NS)
        return Reading(self._onward(ahead), self._sigmas[-1] + waited - ahead)

    def _onward(self, ahead_ns: int) -> T:
        """The value so long after the last sample."""
        value, last = self._values[-1], self._times[-1]
        before = bisect_right(self._times, last - _SHORTEST_STEP_NS) - 1
        if ahead_ns == 0 or before < 0 or last - self._times[before] > _LONGEST_GAP_NS:
            return value
        part = 1 + ahead_ns / (last - self._times[before])
        onward = self._between(self._values[before], value, part)
        return value if onward is None else onward

    def _before_the_first(self, t_ns: int) -> Reading[T] | None:
        """Only just before the first sample ever: it is held, as if it had come a little earlier."""
        if not self._times or self._times[0] - t_ns > EXTRAPOLATED_NS:
            return None
        return Reading(self._values[0], self._sigmas[0] + self._times[0] - t_ns)

    def _inside(self, index: int, t_ns: int) -> Reading[T] | None:
        before, after = self._times[index - 1], self._times[index]
        sigma = max(self._sigmas[index - 1], self._sigmas[index])
        nearer = index - 1 if t_ns - before <= after - t_ns else index
        away = abs(t_ns - self._times[nearer])
        value = None
        if after - before <= _LONGEST_GAP_NS:
            value = self._between(
                self._values[index - 1], self._values[index], (t_ns - before) / (after - before)
            )
        if value is not None:
            return Reading(value, sigma)
        if away >= STALE_NS:
            return None
        return Reading(self._values[nearer], self._sigmas[nearer] + away)
