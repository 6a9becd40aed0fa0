"""One recording through the tracking loop, pair by pair, as a drone would have lived it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.errors import EngineError, SequenceError, UsageError
from edge_rgbt.metrics import Truth
from edge_rgbt.register import Registration
from edge_rgbt.replay.layouts import Sequence
from edge_rgbt.replay.results import SequenceRun
from edge_rgbt.replay.sources import PairSource, decode_ahead
from edge_rgbt.runtime import STEP_STAGES, TrackingLoop, open_loop
from edge_rgbt.types import Box, FramePair, TrackState, TrackStatus

# Sees every pair after it was tracked (or dropped), with the annotated box where there is one.
Observer = Callable[[FramePair, TrackState, "Box | None"], None]


class Tracking:
    """A bundle ready to track recordings one after another.

    Thermal pictures of another size than the RGB ones are stretched over them: benchmarks ship registered
    pictures, and recordings of unregistered cameras need a measured map.
    """

    def __init__(self, bundle: Bundle, loop: TrackingLoop) -> None:
        self.bundle = bundle
        self.loop = loop

    @property
    def engine_info(self) -> EngineInfo:
        return self.loop.engine_info

    def step(self, pair: FramePair, box: Box | None = None) -> TrackState:
        """Tracks one pair; a box starts on it and forgets what was tracked before."""
        if box is not None:
            self.loop.restart()
        self.fit_registration(pair)
        return self.loop.step(pair, box)

    def close(self) -> None:
        self.loop.close()

    def fit_registration(self, pair: FramePair) -> None:
        """Stretches thermal pictures of another size over the RGB ones."""
        rgb, tir = (pair.rgb.width, pair.rgb.height), (pair.tir.width, pair.tir.height)
        known = self.loop.registration
        if rgb == tir:
            self.loop.registration = None
        elif known is None or (known.rgb_size, known.tir_size) != (rgb, tir):
            self.loop.registration = Registration.stretch(tir, rgb)


def open_tracking(bundle: Path | None, engine: str = "onnx", threads: int | None = None) -> Tracking:
    """Loads and checks a bundle (None: the shipped one) and its engine."""
    loaded = load_bundle(bundle)
    return Tracking(loaded, open_loop(loaded, engine, threads))


class FlightClock:
    """Which frames a drone would have missed: those that a newer one replaced while the tracker was busy.

    Time is the recording's own, so a run takes no longer and its outcome depends on latencies alone.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._free_s = 0.0
        self._next = 0

    def misses(self, index: int) -> bool:
        """True if the tracker never gets to see this frame."""
        return index != self._next

    def tracked(self, index: int, seconds: float) -> None:
        """The tracker took so long for this frame; it goes on with the newest one there is by then."""
        self._free_s = max(self._free_s, index / self._fps) + seconds
        self._next = max(index + 1, math.floor(self._free_s * self._fps))


class RunRecord:
    """Per-frame columns of a run while it grows."""

    def __init__(self) -> None:
        self.boxes: list[tuple[float, float, float, float]] = []
        self.seconds: list[float] = []
        self.scores: list[float] = []
        self.tracked: list[bool] = []
        self.lost: list[bool] = []
        self.stages: dict[str, list[float]] = {stage: [] for stage in STEP_STAGES}
        self.size = (0, 0)

    def add(self, pair: FramePair, state: TrackState, seconds: float, tracked: bool) -> None:
        first = not self.boxes
        self.boxes.append(state.box.as_tuple())
        self.seconds.append(seconds)
        self.scores.append(state.score)
        self.tracked.append(tracked)
        self.lost.append(state.status is TrackStatus.LOST)
        self.size = (pair.rgb.width, pair.rgb.height)
        if tracked and not first:
            for timing in state.timings:
                self.stages.setdefault(timing.stage, []).append(timing.duration_ns / 1e6)

    def run(self, name: str, dataset: str | None, fps: float, wall_s: float, note: str) -> SequenceRun:
        """The finished run."""
        return SequenceRun(
            name=name,
            dataset=dataset,
            boxes=np.array(self.boxes),
            seconds=np.array(self.seconds),
            scores=np.array(self.scores),
            tracked=np.array(self.tracked),
            lost=np.array(self.lost),
            stages={name: np.array(values) for name, values in self.stages.items() if values},
            fps=fps,
            wall_s=wall_s,
            width=self.size[0],
            height=self.size[1],
            note=note,
        )


def track_sequence(
    tracking: Tracking,
    sequence: Sequence,
    source: PairSource,
    init: Box | None = None,
    realtime: bool = False,
    observers: tuple[Observer, ...] = (),
    on_frame: Callable[[], None] = lambda: None,
) -> SequenceRun:
    """Tracks a recording from its first pair on.

    source: the opened sequence. init: first box, else the annotated one. realtime: drop what a drone would
    have dropped at the source's rate. Observers run outside the timed part.
    Raises SequenceError naming sequence and file, UsageError for an impossible `init`.
    """
    start = init or sequence.init
    if start is None:
        raise SequenceError(f"{sequence.name}: no box to start on; give one with --init x,y,w,h")
    began = time.perf_counter()
    record = RunRecord()
    truths = _truth_boxes(sequence.truth)
    pairs = _tracked_pairs(tracking, source, start, FlightClock(source.fps) if realtime else None)
    try:
        for index, (pair, state, seconds, seen) in enumerate(pairs):
            record.add(pair, state, seconds, seen)
            for observe in observers:
                observe(pair, state, truths.get(index))
            on_frame()
    except UsageError as error:
        if init is not None:
            raise
        raise SequenceError(f"{sequence.name}: {error}") from error
    except (SequenceError, EngineError) as error:
        raise SequenceError(f"{sequence.name}: {error}") from error
    finally:
        pairs.close()
    wall_s = time.perf_counter() - began
    return record.run(sequence.name, sequence.dataset, source.fps, wall_s, source.shortfall())


def _tracked_pairs(
    tracking: Tracking, source: PairSource, start: Box, clock: FlightClock | None
) -> Generator[tuple[FramePair, TrackState, float, bool], None, None]:
    """Every pair (aligned if it was tracked), the state after it, its seconds, and whether it was tracked."""
    pairs = decode_ahead(source)
    try:
        state, seconds = None, 0.0
        for index, pair in enumerate(pairs):
            seen = state is None or clock is None or not clock.misses(index)
            if state is None or seen:
                state, seconds = _timed_step(tracking, pair, start if state is None else None)
                if clock is not None:
                    clock.tracked(index, seconds)
            aligned = tracking.loop.aligned if seen else None
            yield aligned or pair, state, seconds, seen
    finally:
        pairs.close()


def _timed_step(tracking: Tracking, pair: FramePair, box: Box | None) -> tuple[TrackState, float]:
    """The state and the seconds from decoded pair to box."""
    before = time.perf_counter_ns()
    state = tracking.step(pair, box)
    return state, (time.perf_counter_ns() - before) / 1e9


def _truth_boxes(truth: Truth | None) -> dict[int, Box]:
    """Annotated frames -> visible box; boxes without area (target out of view) are left out."""
    if truth is None:
        return {}
    rows = zip(truth.frames().tolist(), truth.visible.tolist(), strict=True)
    return {frame: Box(*row) for frame, row in rows if row[2] > 0 and row[3] > 0}
