"""One pair in, one track out, with the time of every stage on the way. Draws, writes and logs nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

import numpy as np

from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.pixels import for_tracker
from edge_rgbt.register import Registration
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, FramePair, Modality, StageTiming, TrackState

TOTAL = "total"


class TrackingLoop:
    """What happens between decoded pairs and outputs; the same in flight, replay, demo and bench."""

    def __init__(
        self, tracker: Tracker, thermal: ThermalRange, registration: Registration | None = None
    ) -> None:
        self.tracker = tracker
        self.thermal = thermal
        self.registration = registration
        self.statistics = StageStatistics()
        self.aligned: FramePair | None = None  # the last pair as the tracker saw it; outputs draw on it

    @property
    def engine_info(self) -> EngineInfo:
        """What really runs the network."""
        return self.tracker.engine.info

    @property
    def adapter_info(self) -> EngineInfo | None:
        """What really fuses the crops, for bundles that have an adapter."""
        return None if self.tracker.adapter is None else self.tracker.adapter.info

    def step(self, pair: FramePair, box: Box | None = None) -> TrackState:
        """Tracks one pair; a box starts (or restarts) on the target in it.

        The state's timings hold every stage of this pair. Raises EdgeRgbtError with what went wrong; the loop
        can go on with the next pair.
        """
        t0 = time.perf_counter_ns()
        if not pair.aligned:
            pair = dataclasses.replace(pair, rgb=for_tracker(pair.rgb), tir=for_tracker(pair.tir))
        t1 = time.perf_counter_ns()
        if not pair.aligned:
            pair = dataclasses.replace(pair, tir=self.thermal.apply(pair.tir, pair.usable.has(Modality.TIR)))
        t2 = time.perf_counter_ns()
        self.aligned = aligned = pair if pair.aligned else self._register(pair)
        t3 = time.perf_counter_ns()
        state = self.tracker.update(aligned) if box is None else self.tracker.start(aligned, box)
        before = (
            StageTiming("convert", t1 - t0),
            StageTiming("thermal", t2 - t1),
            StageTiming("register", t3 - t2),
        )
        state = dataclasses.replace(state, timings=before + state.timings)
        if box is None:  # a start runs no network and would flatter the average
            self.statistics.add(state.timings)
        return state

    def restart(self) -> None:
        """Forgets target and thermal scene, for the next sequence; the statistics go on."""
        self.tracker.stop()
        self.thermal.reset()

    def close(self) -> None:
        """Stops tracking and releases the engine."""
        self.tracker.close()

    def _register(self, pair: FramePair) -> FramePair:
        if self.registration is not None:
            return self.registration.apply(pair)
        rgb, tir = pair.rgb, pair.tir
        if (rgb.width, rgb.height) != (tir.width, tir.height):
            raise EdgeRgbtError(
                f"thermal picture is {tir.width}x{tir.height}, RGB picture {rgb.width}x{rgb.height}, and no "
                "registration was given; measure one with `python -m calibration register`"
            )
        return dataclasses.replace(pair, aligned=True)


class StageStatistics:
    """Mean, median, 99th percentile per stage over the last `window` pairs; `frames` counts all of them."""

    def __init__(self, window: int = 2000) -> None:
        self._window = window
        self._rings: dict[str, np.ndarray] = {}
        self._counts: dict[str, int] = {}

    @property
    def frames(self) -> int:
        return self._counts.get(TOTAL, 0)

    def add(self, timings: Iterable[StageTiming]) -> None:
        """Takes in one pair's stages; their sum becomes the stage `total`."""
        total = 0
        for timing in timings:
            self.record(timing.stage, timing.duration_ns)
            total += timing.duration_ns
        self.record(TOTAL, total)

    def record(self, stage: str, duration_ns: int) -> None:
        """Takes in one duration of a stage that is not part of the step, such as `pair` or `output`."""
        ring = self._rings.get(stage)
        if ring is None:
            ring = self._rings[stage] = np.zeros(self._window, np.int64)
        count = self._counts.get(stage, 0)
        ring[count % self._window] = duration_ns
        self._counts[stage] = count + 1

    def durations_ns(self, stage: str) -> list[int]:
        """The stage's kept durations, oldest first."""
        count, ring = self._counts.get(stage, 0), self._rings[stage]
        start = count % self._window if count > self._window else 0
        return [int(v) for v in np.roll(ring, -start)[: min(count, self._window)]]

    def summary(self) -> dict[str, dict[str, float]]:
        """stage -> mean_ms, p50_ms, p99_ms, frames; stages in the order in which they came."""
        out = {}
        for stage, ring in self._rings.items():
            count = self._counts[stage]
            values_ms = ring[: min(count, self._window)] / 1e6
            p50, p99 = np.percentile(values_ms, (50, 99))
            out[stage] = {
                "mean_ms": round(float(values_ms.mean()), 4),
                "p50_ms": round(float(p50), 4),
                "p99_ms": round(float(p99), 4),
                "frames": count,
            }
        return out

    def table(self) -> str:
        """The summary as text, a line per stage."""
        lines = [f"{'stage':<10}{'mean ms':>10}{'p50 ms':>10}{'p99 ms':>10}{'frames':>9}"]
        for stage, row in self.summary().items():
            numbers = "".join(f"{row[key]:>10.3f}" for key in ("mean_ms", "p50_ms", "p99_ms"))
            lines.append(f"{stage:<10}{numbers}{row['frames']:>9.0f}")
        return "\n".join(lines)
