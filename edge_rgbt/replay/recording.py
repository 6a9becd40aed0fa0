"""One recording from its pictures to its result files, with video and MAVLink on the way."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.errors import SequenceError
from edge_rgbt.machine import peak_memory_mb
from edge_rgbt.replay.layouts import Recording
from edge_rgbt.replay.options import ReplayOptions
from edge_rgbt.replay.results import SequenceRun, score_boxes, write_boxes
from edge_rgbt.replay.tracking import Observer, Tracking, track_sequence
from edge_rgbt.types import Box, FramePair, TrackState

if TYPE_CHECKING:
    from edge_rgbt.mavlink import TrackPublisher


@dataclass(frozen=True)
class Outcome:
    """One sequence's end: a run, or the line that says why there is none."""

    run: SequenceRun | None
    fault: str
    engine: EngineInfo
    process: int
    peak_memory_mb: float


def run_recording(
    tracking: Tracking,
    recording: Recording,
    options: ReplayOptions,
    publisher: TrackPublisher | None = None,
    on_frame: Any = lambda: None,
) -> SequenceRun:
    """Tracks one recording and writes its files. Raises SequenceError if it cannot be read or tracked."""
    if recording.flight:
        return _run_flight(tracking, recording, options, publisher, on_frame)
    sequence = recording.load()
    with ExitStack() as stack:
        source = stack.enter_context(closing(sequence.open(options.fps)))
        observers = _observers(stack, sequence.name, options, publisher, source.fps)
        run = track_sequence(
            tracking, sequence, source, options.init, options.realtime, tuple(observers), on_frame
        )
    path = write_boxes(options.out, run, options.integer_boxes)
    if sequence.truth is None:
        return run
    score, overlaps = score_boxes(path, sequence.truth, sequence.dataset)
    return replace(run, score=score, overlaps=overlaps)


def _run_flight(
    tracking: Tracking,
    recording: Recording,
    options: ReplayOptions,
    publisher: TrackPublisher | None,
    on_frame: Any,
) -> SequenceRun:
    from edge_rgbt.replay.flight import refuse_other_options, track_flight

    refuse_other_options(options.realtime)
    with ExitStack() as stack:

        def observers(fps: float) -> tuple[Observer, ...]:
            return tuple(_observers(stack, recording.name, options, publisher, fps))

        run = track_flight(
            tracking, recording.place, recording.name, options.init, options.fps, observers, on_frame
        )
    write_boxes(options.out, run, options.integer_boxes)
    return run


def _observers(
    stack: ExitStack, name: str, options: ReplayOptions, publisher: TrackPublisher | None, fps: float
) -> list[Observer]:
    """Video and MAVLink, where asked for; `stack` ends them."""
    observers: list[Observer] = []
    if options.video:
        from edge_rgbt.outputs.video import AnnotatedVideo

        video = AnnotatedVideo(options.out / f"{name}.mp4", fps)
        observers.append(stack.enter_context(video).write)
    if publisher is not None:
        observers.append(_publishing(publisher, options.realtime))
    return observers


def outcome_of(
    tracking: Tracking, recording: Recording, options: ReplayOptions, publisher: Any, on_frame: Any
) -> Outcome:
    """Runs one recording; a SequenceError becomes its fault."""
    run, fault = None, ""
    try:
        run = run_recording(tracking, recording, options, publisher, on_frame)
    except SequenceError as error:
        fault = str(error)
    return Outcome(run, fault, tracking.engine_info, os.getpid(), peak_memory_mb())


def _publishing(publisher: TrackPublisher, paced: bool) -> Observer:
    """Reports every pair; paced: as the recording's clock has it, else as fast as the tracker goes."""
    started: list[tuple[int, float]] = []

    def observe(pair: FramePair, state: TrackState, truth: Box | None) -> None:
        if not started:
            started.append((pair.timestamp_ns, time.monotonic()))
        if paced:
            due = started[0][1] + (pair.timestamp_ns - started[0][0]) / 1e9
            time.sleep(max(0.0, due - time.monotonic()))
        publisher.publish(state, pair.rgb.width, pair.rgb.height)

    return observe
