"""Cameras that look at a simulated flight, with the faults of real ones: clocks, jitter, drops, freezes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge_rgbt.cameras.base import Camera
from edge_rgbt.errors import UsageError
from edge_rgbt.sim.noise import generator
from edge_rgbt.sim.scenario import Scenario
from edge_rgbt.types import Frame, Modality, TimeSource


@dataclass(frozen=True)
class TimingFaults:
    """How a camera's timing differs from a perfect one.

    clock_offset_ns: its clock minus the flight's clock. capture_jitter_ns: standard deviation of the moment
    of capture; stamp_jitter_ns: of the timestamp around it. drop_rate: share of frames that never arrive (a
    gap in the sequence numbers). freeze_every_s, freeze_s: mean distance and range of lengths of shutter
    freezes, in which the last picture repeats with new timestamps (0 = none).
    """

    clock_offset_ns: int = 0
    capture_jitter_ns: int = 0
    stamp_jitter_ns: int = 0
    drop_rate: float = 0.0
    freeze_every_s: float = 0.0
    freeze_s: tuple[float, float] = (0.3, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.drop_rate < 1:
            raise UsageError(f"drop_rate {self.drop_rate} is outside 0..1")
        if self.freeze_every_s < 0 or not 0 <= self.freeze_s[0] <= self.freeze_s[1]:
            raise UsageError(f"freezes every {self.freeze_every_s} s lasting {self.freeze_s} s cannot be")


PERFECT = TimingFaults()
USUAL_RGB = TimingFaults(0, 300_000, 150_000, 0.004)
USUAL_TIR = TimingFaults(37_000_000, 700_000, 250_000, 0.01, 9.0)


class SyntheticCamera(Camera):
    """One camera of a Scenario as an ordinary source.

    rate_hz: nominal frame rate. phase_ns: when its first frame is taken. realtime: `read` waits until each
    frame would have arrived. The same scenario, arguments and (closed loop) boxes give the same frames.
    """

    def __init__(
        self,
        scenario: Scenario,
        modality: Modality,
        rate_hz: float = 30.0,
        faults: TimingFaults = PERFECT,
        *,
        phase_ns: int = 0,
        realtime: bool = False,
        seed: int | None = None,
    ) -> None:
        if rate_hz <= 0:
            raise UsageError(f"rate_hz is {rate_hz}; it must be greater than 0")
        self.modality = modality
        self.name = f"synthetic-{modality.value}"
        self.scenario, self.rate_hz, self.faults, self.realtime = scenario, rate_hz, faults, realtime
        rng = generator(scenario.seed if seed is None else seed, "timing", modality.value)
        count = max(0, int(np.ceil((scenario.duration_ns - phase_ns) * rate_hz / 1e9)))
        period_ns = 1e9 / rate_hz
        nominal = phase_ns + np.arange(count) * period_ns
        limit = 0.45 * period_ns  # jitter never puts frames out of order
        jitter = np.clip(rng.normal(0, 1, count) * faults.capture_jitter_ns, -limit, limit)
        self._captures = np.maximum(np.round(nominal + jitter), 0).astype(np.int64)
        most = 0.04 * period_ns
        stamp = np.clip(rng.normal(0, 1, count) * faults.stamp_jitter_ns, -most, most)
        self._uncertainty_ns = round(min(3 * faults.stamp_jitter_ns, most))
        self._stamps = np.round(self._captures + stamp).astype(np.int64) + faults.clock_offset_ns
        self._dropped = rng.random(count) < faults.drop_rate
        self._dropped[:1] = False
        self._freezes = _freezes(rng, faults, scenario.seconds)
        self._next = 0
        self._held: tuple[int, np.ndarray] | None = None
        self._started_ns = 0

    def open(self) -> None:
        """Starts again from the first frame."""
        self._next, self._held = 0, None
        self._started_ns = time.monotonic_ns()

    @property
    def next_capture_ns(self) -> int | None:
        """Flight time of the next frame that `read` gives; None at the end."""
        while self._next < len(self._captures) and self._dropped[self._next]:
            self._next += 1
        return int(self._captures[self._next]) if self._next < len(self._captures) else None

    def skip_before(self, flight_ns: int) -> None:
        """Leaves out frames taken before this flight time, which a live camera would have dropped."""
        self._next = max(self._next, int(np.searchsorted(self._captures, flight_ns)))

    def capture_ns(self, sequence: int) -> int:
        """Flight time at which a frame was really taken, for scoring against the truth."""
        return int(self._captures[sequence])

    def seen_ns(self, sequence: int) -> int:
        """Flight time of the picture in a frame: earlier than its capture while the shutter is frozen."""
        at = int(self._captures[sequence])
        for start, end in self._freezes:
            if start <= at < end:
                before = self._captures[:sequence][
                    (self._captures[:sequence] < start) & ~self._dropped[:sequence]
                ]
                return int(before[-1]) if len(before) else at
        return at

    def frozen(self, sequence: int) -> bool:
        """True while the shutter is closed (flat-field correction)."""
        return any(start <= self._captures[sequence] < end for start, end in self._freezes)

    def read(self) -> Frame | None:
        """The next frame that was not dropped; None once the flight has ended."""
        if self.next_capture_ns is None:
            return None
        k = self._next
        self._next += 1
        seen = self.seen_ns(k)
        if self.realtime:
            wait_ns = self._started_ns + int(self._captures[k]) - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
        if self._held is None or self._held[0] != seen:
            render = self.scenario.render_rgb if self.modality is Modality.RGB else self.scenario.render_tir
            self._held = (seen, render(seen))
        return Frame(
            self._held[1], self.modality, int(self._stamps[k]), k, self.name,
            time_source=TimeSource.SENSOR, time_uncertainty_ns=self._uncertainty_ns,
        )  # fmt: skip


def _freezes(rng: np.random.Generator, faults: TimingFaults, seconds: float) -> list[tuple[int, int]]:
    """Start and end of every shutter freeze, flight nanoseconds."""
    found, at = [], 0.0
    if faults.freeze_every_s <= 0:
        return found
    while True:
        at += faults.freeze_every_s * rng.uniform(0.6, 1.4)
        if at >= seconds:
            return found
        length = rng.uniform(*faults.freeze_s)
        found.append((int(at * 1e9), int((at + length) * 1e9)))
        at += length


def in_capture_order(*cameras: SyntheticCamera) -> Iterator[Frame]:
    """Frames of several cameras of one flight in the order in which they were taken.

    A closed loop calls `Scenario.observe` between two frames; the next one is rendered only when asked for.
    """
    while True:
        waiting = [(c.next_capture_ns, n) for n, c in enumerate(cameras) if c.next_capture_ns is not None]
        if not waiting:
            return
        _, first = min(waiting)
        frame = cameras[first].read()
        if frame is not None:
            yield frame
