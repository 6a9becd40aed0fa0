"""A recorded flight through the loop once more, step by step, and how that compares with the air."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt.bundle import MANIFEST
from edge_rgbt.errors import EdgeRgbtError, SequenceError, UsageError
from edge_rgbt.recording import FlightRecording, open_recording
from edge_rgbt.recording.reader import SAME_AS_BEFORE, RecordedPair, RecordedStep
from edge_rgbt.register import Registration
from edge_rgbt.replay.results import SequenceRun
from edge_rgbt.replay.sources import DEFAULT_FPS
from edge_rgbt.replay.tracking import Observer, RunRecord, Tracking
from edge_rgbt.types import Box, FramePair, TrackState

_RATE_PAIRS = 60
# What of an engine's description can change its numbers.
_ENGINE_KEYS = ("engine", "version", "precision", "device", "threads")


@dataclass
class Comparison:
    """Replayed tracks beside the recorded ones.

    steps: that the loop made in the air. skipped: before the recording's first start. lost: steps that cannot
    be made again because the recording lacks a frame. compared: the others. identical: everything that the
    tracker said, but for how long it took, equal to the last bit. first_difference: number of the pair, None
    if there is none.
    obstacles: why tracks need not be identical; empty means that they should be.
    """

    steps: int = 0
    skipped: int = 0
    lost: int = 0
    compared: int = 0
    identical: int = 0
    different_status: int = 0
    largest_box_px: float = 0.0
    largest_score: float = 0.0
    first_difference: int | None = None
    obstacles: list[str] = field(default_factory=list)

    def add(self, number: int, replayed: TrackState, recorded: TrackState) -> None:
        self.compared += 1
        box_px = np.abs(np.subtract(replayed.box.as_tuple(), recorded.box.as_tuple())).max()
        score = abs(replayed.score - recorded.score)
        other_status = replayed.status is not recorded.status
        self.largest_box_px = max(self.largest_box_px, float(box_px))
        self.largest_score = max(self.largest_score, score)
        self.different_status += other_status
        if dataclasses.replace(replayed, timings=()) == dataclasses.replace(recorded, timings=()):
            self.identical += 1
        elif self.first_difference is None:
            self.first_difference = number

    def summary(self) -> str:
        """One line for people."""
        if not self.compared:
            return "nothing of it could be compared with the flight"
        text = f"{self.identical} of {self.compared} tracks are the flight's to the last bit"
        if self.identical < self.compared:
            text += (
                f"; largest difference {self.largest_box_px:.3g} px, score {self.largest_score:.3g}, "
                f"first at pair {self.first_difference}"
            )
        if self.lost:
            text += f"; {self.lost} steps lack a frame in the recording"
        if self.obstacles:
            text += f" ({'; '.join(self.obstacles)})"
        return text


def track_flight(
    tracking: Tracking,
    place: Path,
    name: str,
    init: Box | None = None,
    fps: float | None = None,
    observers: Callable[[float], tuple[Observer, ...]] = lambda fps: (),
    on_frame: Callable[[], None] = lambda: None,
) -> SequenceRun:
    """Makes every step of the flight again, with its starts, thermal range and registration.

    init: track from the first pair on this box instead, through every pair, and compare nothing.
    observers: given the rate, those who see every pair, outside the timed part.
    Raises SequenceError naming the recording; UsageError for an impossible `init`.
    """
    flight = open_recording(place)
    rate = fps or recorded_rate(flight)
    record, comparison = RunRecord(), Comparison(obstacles=_obstacles(flight, tracking))
    watching = observers(rate)
    began = time.perf_counter()
    steps = _flown_again(tracking, flight, comparison) if init is None else _tracked(tracking, flight, init)
    try:
        for pair, state, seconds, tracked in steps:
            record.add(pair, state, seconds, tracked)
            for observe in watching:
                observe(pair, state, None)
            on_frame()
    except UsageError:
        raise  # of `init`: those of recorded starts have become SequenceErrors
    except EdgeRgbtError as error:
        raise SequenceError(f"{name}: {error}") from error
    finally:
        tracking.loop.registration = None
    if not record.boxes:
        raise SequenceError(f"{name}: nothing was tracked in this flight; give a start with --init x,y,w,h")
    run = record.run(name, None, rate, time.perf_counter() - began, flight.loss())
    if init is not None:
        return run
    note = "; ".join(part for part in (comparison.summary(), run.note) if part)
    return dataclasses.replace(run, note=note, flight=dataclasses.asdict(comparison))


def recorded_rate(flight: FlightRecording) -> float:
    """Pairs per second, by the median distance of the first ones."""
    times = [pair.about["rgb"]["timestamp_ns"] for pair in islice(flight.pairs(), _RATE_PAIRS)]
    steps = np.diff(times)
    steps = steps[steps > 0]
    return float(1e9 / np.median(steps)) if steps.size else DEFAULT_FPS


def registration_of(step: RecordedStep, before: Registration | None) -> Registration | None:
    """The registration that the step used; `before` is that of the step before."""
    return before if step.registration is SAME_AS_BEFORE else step.registration


_Tracked = tuple[FramePair, TrackState, float, bool]


def _flown_again(tracking: Tracking, flight: FlightRecording, comparison: Comparison) -> Iterator[_Tracked]:
    """Pair (aligned if it was tracked), state, seconds and whether it was tracked, of every step."""
    loop, last, lossy = tracking.loop, None, False
    for recorded in flight.pairs():
        step = recorded.step
        if step is None:
            continue
        comparison.steps += 1
        if last is None and step.start is None:
            comparison.skipped += 1
            continue
        loop.registration = registration_of(step, loop.registration)
        pair = recorded.decode()
        if pair is None:
            comparison.lost += 1
            if last is not None:
                yield (*last[:3], False)
            continue
        lossy = lossy or not recorded.lossless
        if step.start is not None:
            loop.restart()
            loop.thermal.restore(step.thermal)
        answer = _step(tracking, pair, recorded, step)
        if answer is None:
            continue
        if step.state is not None:
            comparison.add(recorded.number, answer[1], step.state)
        last = answer
        yield answer
    if lossy:
        comparison.obstacles.append("its pictures are JPEG, which is not what was tracked in the air")
    if comparison.lost:
        comparison.obstacles.append("after a lost frame, tracks may differ until the next start")


def _step(tracking: Tracking, pair: FramePair, recorded: RecordedPair, step: RecordedStep) -> _Tracked | None:
    """One step of the loop; None if it fails as it did in the air."""
    try:
        return _timed(tracking, pair, step.start)
    except EdgeRgbtError as error:
        if step.fault:
            return None
        raise SequenceError(f"pair {recorded.number}: {error}") from error


def _tracked(tracking: Tracking, flight: FlightRecording, init: Box) -> Iterator[_Tracked]:
    """Every pair from the first on, started on `init`; pairs that lack a frame are left out.

    Without a recorded registration, thermal pictures are stretched as those of other recordings are.
    """
    started = False
    tracking.loop.restart()
    for recorded in flight.pairs():
        if recorded.step is not None:
            now = tracking.loop.registration
            tracking.loop.registration = registration_of(recorded.step, now)
        pair = recorded.decode()
        if pair is None:
            continue
        if tracking.loop.registration is None:
            tracking.fit_registration(pair)
        yield _timed(tracking, pair, None if started else init)
        started = True


def _timed(tracking: Tracking, pair: FramePair, start: Box | None) -> _Tracked:
    began_ns = time.perf_counter_ns()
    state = tracking.loop.step(pair, start)
    seconds = (time.perf_counter_ns() - began_ns) / 1e9
    return tracking.loop.aligned or pair, state, seconds, True


def _obstacles(flight: FlightRecording, tracking: Tracking) -> list[str]:
    """What is known beforehand to make the replay another one than the flight."""
    found = []
    manifest = json.loads(json.dumps(tracking.bundle.manifest.to_dict()))  # holds the hash of every file
    if flight.attachments.get(MANIFEST) and json.loads(flight.attachments[MANIFEST]) != manifest:
        found.append(f"the flight used bundle {flight.metadata.get('bundle')}, not this one")
    recorded: dict[str, Any] | None = json.loads(flight.metadata.get("engine", "null"))
    if recorded is not None:
        here = dataclasses.asdict(tracking.engine_info)
        other = [f"{key} {recorded.get(key)}" for key in _ENGINE_KEYS if recorded.get(key) != here[key]]
        if other:
            found.append(f"the flight's engine was another: {', '.join(other)}")
    return found


def refuse_other_options(realtime: bool) -> None:
    """Raises UsageError for options that make no sense with a recorded flight."""
    if realtime:
        raise UsageError("--realtime: a recorded flight holds the frames that the drone took; leave it out")
