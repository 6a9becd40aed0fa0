"""Replays recordings: in this process or over several, with results, video, MAVLink and the run's report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.files import require_writable, write_json_atomic
from edge_rgbt.machine import describe_machine
from edge_rgbt.replay.layouts import Collection, Recording, find_recordings
from edge_rgbt.replay.options import ReplayOptions
from edge_rgbt.replay.progress import Progress
from edge_rgbt.replay.recording import Outcome, outcome_of
from edge_rgbt.replay.results import build_report, report_series
from edge_rgbt.replay.tracking import open_tracking
from edge_rgbt.replay.workers import outcomes_in_workers


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
    require_writable(options.out)
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


def _outcomes(
    options: ReplayOptions, recordings: Sequence[Recording], progress: Progress
) -> Iterator[Outcome]:
    """Every sequence's outcome in the order of the source, told to `progress` as they come."""
    workers = min(options.workers, len(recordings))
    if workers > 1:
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
        if options.mavlink is not None:
            from edge_rgbt.mavlink import TrackPublisher

            publisher = stack.enter_context(TrackPublisher(options.mavlink))
        tracking = open_tracking(options.bundle, options.engine, options.threads)
        stack.callback(tracking.close)
        if publisher is not None:
            publisher.ready()
        for recording in recordings:
            yield outcome_of(tracking, recording, options, publisher, progress.advance)


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
    if options.mavlink is not None and options.workers > 1:
        raise UsageError("--mavlink reports one track; leave --workers at 1")
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: at least 1 is needed")
    if options.fps is not None and not 0 < options.fps <= 10_000:
        raise UsageError(f"--fps {options.fps:g}: wanted above 0, at most 10000")
