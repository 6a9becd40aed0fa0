"""Replays recordings: in this process or over several, with results, video, MAVLink and the run's report."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.errors import EdgeRgbtError, SequenceError, UsageError
from edge_rgbt.files import write_json_atomic
from edge_rgbt.machine import describe_machine, peak_memory_mb
from edge_rgbt.replay.layouts import Collection, Recording, find_recordings
from edge_rgbt.replay.progress import Progress
from edge_rgbt.replay.results import SequenceRun, build_report, report_series, score_boxes, write_boxes
from edge_rgbt.replay.tracking import Observer, Tracking, open_tracking, track_sequence
from edge_rgbt.types import Box, FramePair, TrackState

if TYPE_CHECKING:
    from edge_rgbt.outputs.mavlink import TrackPublisher


@dataclass(frozen=True)
class ReplayOptions:
    """What `edge-rgbt replay` was asked to do; see its --help."""

    source: str
    out: Path
    bundle: Path | None = None
    engine: str = "onnx"
    threads: int | None = None
    dataset: str | None = None
    split: str | None = None
    init: Box | None = None
    video: bool = False
    mavlink: str | None = None
    realtime: bool = False
    fps: float | None = None
    workers: int = 1
    integer_boxes: bool = False


@dataclass(frozen=True)
class Outcome:
    """One sequence's end: a run, or the line that says why there is none."""

    run: SequenceRun | None
    fault: str
    engine: EngineInfo
    process: int
    peak_memory_mb: float


def replay(options: ReplayOptions) -> dict[str, Any]:
    """Tracks every sequence of the source, writes results and report, and returns the report.

    A sequence that cannot be read is named in the report's `faults` and on standard error; the others run.
    Raises EdgeRgbtError when nothing can run at all (bundle, source, output folder, port).
    """
    began = time.perf_counter()
    collection = find_recordings(options.source, options.dataset, options.split)
    recordings = collection.recordings
    _check_combination(options, len(recordings))
    bundle = load_bundle(options.bundle)
    _require_writable(options.out)
    frames = sum(recording.picture_count() for recording in recordings)
    with Progress(frames, len(recordings)) as progress:
        if collection.guessed and collection.dataset:
            progress.note(
                f"{options.source}: taken for {collection.dataset}; give --dataset if that is wrong"
            )
        outcomes = list(_outcomes(options, recordings, progress))
        report = _report(options, collection, bundle, outcomes, time.perf_counter() - began)
        write_json_atomic(options.out / "report.json", report)
        _write_page(options.out, report, outcomes, progress)
    return report


def run_recording(
    tracking: Tracking,
    recording: Recording,
    options: ReplayOptions,
    publisher: TrackPublisher | None = None,
    on_frame: Any = lambda: None,
) -> SequenceRun:
    """Tracks one recording and writes its files. Raises SequenceError if it cannot be read or tracked."""
    sequence = recording.load()
    with ExitStack() as stack:
        source = stack.enter_context(closing(sequence.open(options.fps)))
        observers: list[Observer] = []
        if options.video:
            from edge_rgbt.outputs.video import AnnotatedVideo

            path = options.out / f"{sequence.name}.mp4"
            observers.append(stack.enter_context(AnnotatedVideo(path, source.fps)).write)
        if publisher is not None:
            observers.append(_publishing(publisher, options.realtime))
        run = track_sequence(
            tracking, sequence, source, options.init, options.realtime, tuple(observers), on_frame
        )
    path = write_boxes(options.out, run, options.integer_boxes)
    if sequence.truth is None:
        return run
    score, overlaps = score_boxes(path, sequence.truth, sequence.dataset)
    return replace(run, score=score, overlaps=overlaps)


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


def _outcomes(
    options: ReplayOptions, recordings: Sequence[Recording], progress: Progress
) -> Iterator[Outcome]:
    """Every sequence's outcome in the order of the source, told to `progress` as they come."""
    workers = min(options.workers, len(recordings))
    if workers > 1:
        from edge_rgbt.replay.workers import outcomes_in_workers

        stream = outcomes_in_workers(options, recordings, workers, progress.advance)
    else:
        stream = _outcomes_here(options, recordings, progress)
    for outcome in stream:
        if outcome.run is not None:
            progress.finished(outcome.run)
        else:
            progress.failed(outcome.fault)
        yield outcome


def _outcomes_here(
    options: ReplayOptions, recordings: Sequence[Recording], progress: Progress
) -> Iterator[Outcome]:
    with ExitStack() as stack:
        publisher = None
        if options.mavlink:
            from edge_rgbt.outputs.mavlink import TrackPublisher

            publisher = stack.enter_context(TrackPublisher(options.mavlink))
        tracking = open_tracking(options.bundle, options.engine, options.threads)
        stack.callback(tracking.close)
        if publisher is not None:
            publisher.ready()
        for recording in recordings:
            yield outcome_of(tracking, recording, options, publisher, progress.advance)


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


def _report(
    options: ReplayOptions,
    collection: Collection,
    bundle: Bundle,
    outcomes: Sequence[Outcome],
    wall_s: float,
) -> dict[str, Any]:
    setting = {
        "machine": describe_machine(),
        "source": options.source,
        "dataset": collection.dataset,
        "split": collection.split,
        "workers": min(options.workers, len(collection.recordings)),
        "realtime": options.realtime,
    }
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    peaks: dict[int, float] = {}
    for outcome in outcomes:
        peaks[outcome.process] = max(peaks.get(outcome.process, 0.0), outcome.peak_memory_mb)
    engine = outcomes[0].engine if outcomes else None
    faults = [outcome.fault for outcome in outcomes if outcome.run is None]
    return build_report(runs, faults, bundle, engine, setting, wall_s, sum(peaks.values()))


def _write_page(out: Path, report: dict[str, Any], outcomes: Sequence[Outcome], progress: Progress) -> None:
    """`report.html`; without the libraries that draw it, a note says what to install."""
    try:
        from edge_rgbt.report import write_replay_report
    except EdgeRgbtError as missing:
        progress.note(f"{out / 'report.html'} not written: {missing}")
        return
    runs = [outcome.run for outcome in outcomes if outcome.run is not None]
    write_replay_report(out / "report.html", report, report_series(runs))


def _check_combination(options: ReplayOptions, recordings: int) -> None:
    if options.init is not None and recordings > 1:
        raise UsageError(f"--init fits one sequence, {options.source} holds {recordings}; replay one of them")
    if options.mavlink and options.workers > 1:
        raise UsageError("--mavlink reports one track; leave --workers at 1")
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: at least 1 is needed")
    if options.fps is not None and not 0 < options.fps <= 10_000:
        raise UsageError(f"--fps {options.fps:g}: wanted above 0, at most 10000")


def _require_writable(out: Path) -> None:
    """Fails before the work, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".write-test"):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"--out {out}: cannot be written ({reason}); choose another folder") from error
