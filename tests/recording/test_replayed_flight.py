"""A recorded flight gives the same tracks again, and says what stood in the way where it does not."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundles import tiny_bundle
from flights import LOSSLESS, only_file, record_loop, without_message
from worlds import overlap, path_box

from edge_rgbt.bundle import load_bundle
from edge_rgbt.commands import replay as replay_command
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.recording import RecorderSettings, open_recording
from edge_rgbt.replay.flight import track_flight
from edge_rgbt.replay.results import SequenceRun
from edge_rgbt.replay.tracking import Tracking
from edge_rgbt.runtime import open_loop
from edge_rgbt.types import Box

pytest.importorskip("mcap", reason="needs the record extra")
pytest.importorskip("google.protobuf", reason="needs the record extra")

STEPS, STARTS = 40, {2: path_box(2), 28: Box(40, 180, 30, 30)}


@dataclasses.dataclass(frozen=True)
class Flown:
    path: Path
    bundle: Path


@pytest.fixture(scope="module")
def flown(tmp_path_factory) -> Flown:
    """A lossless flight of several chunks, with a second start."""
    folder = tmp_path_factory.mktemp("flown")
    settings = dataclasses.replace(LOSSLESS, flush_ms=10)
    record_loop(folder / "log", folder / "bundle", STEPS, settings, starts=STARTS)
    return Flown(only_file(folder / "log"), folder / "bundle")


@pytest.fixture(scope="module")
def tracking(flown) -> Iterator[Tracking]:
    bundle = load_bundle(flown.bundle)
    tracking = Tracking(bundle, open_loop(bundle, threads=1))
    yield tracking
    tracking.close()


def compared(run: SequenceRun) -> dict:
    assert run.flight is not None
    return dict(run.flight)


def test_a_lossless_flight_gives_the_same_tracks_to_the_last_bit(flown, tracking):
    states = list(open_recording(flown.path).tracks())
    run = track_flight(tracking, flown.path, "flight")
    flight = compared(run)
    assert flight["obstacles"] == []
    assert (flight["steps"], flight["compared"], flight["identical"]) == (38, 38, 38)
    assert (flight["largest_box_px"], flight["largest_score"]) == (0.0, 0.0)
    assert run.boxes.tolist() == [list(state.box.as_tuple()) for state in states]
    assert overlap(states[25].box, path_box(27)) > 0.6  # it followed something, so equality means something
    assert states[26].box == STARTS[28]
    assert "38 of 38 tracks are the flight's to the last bit" in run.note


def test_a_cut_off_flight_replays_as_far_as_it_goes(flown, tracking, tmp_path):
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(flown.path.read_bytes()[: flown.path.stat().st_size * 2 // 3])
    run = track_flight(tracking, cut, "flight")
    flight = compared(run)
    assert 10 < flight["compared"] < 38
    assert flight["identical"] == flight["compared"]
    assert "cut.mcap: " in run.note


def test_a_frame_that_the_recording_lacks_is_counted_and_the_rest_goes_on(flown, tracking, tmp_path):
    holed = without_message(flown.path, tmp_path / "holed.mcap", "/tir/image", 9)
    run = track_flight(tracking, holed, "flight")
    flight = compared(run)
    assert (flight["steps"], flight["lost"], flight["compared"]) == (38, 1, 37)
    assert flight["identical"] >= 7 + 12  # before the hole, and from the next start on
    assert any("lost frame" in text for text in flight["obstacles"])
    assert (run.dropped, len(run.boxes)) == (1, 38)


def test_a_flight_that_begins_in_the_middle_waits_for_the_next_start(flown, tracking, tmp_path):
    later = without_message(flown.path, tmp_path / "later.mcap", "/pair", 2)
    flight = compared(track_flight(tracking, later, "flight"))
    assert (flight["skipped"], flight["compared"], flight["identical"]) == (25, 12, 12)


def test_jpeg_is_compared_and_named_as_the_obstacle(flown, tracking, tmp_path):
    settings = RecorderSettings(rgb="jpeg", min_free_mb=0)
    states = record_loop(tmp_path / "log", tmp_path / "bundle", 16, settings)
    run = track_flight(tracking, only_file(tmp_path / "log"), "flight")
    flight = compared(run)
    assert any("JPEG" in text for text in flight["obstacles"])
    assert flight["compared"] == 14
    assert 0 < flight["largest_box_px"] < 3
    assert flight["first_difference"] is not None
    assert np.abs(run.boxes - [state.box.as_tuple() for state in states]).max() < 3


def test_another_bundle_is_named_as_the_obstacle(flown, tmp_path):
    other = tiny_bundle(tmp_path / "other", search_factor=3.0)
    tracking = Tracking(other, open_loop(other, threads=1))
    try:
        flight = compared(track_flight(tracking, flown.path, "flight"))
    finally:
        tracking.close()
    assert flight["identical"] < flight["compared"] == 38
    assert any("bundle brightness-match 1, not this one" in text for text in flight["obstacles"])


def test_another_number_of_threads_is_named_as_the_obstacle(flown, tmp_path):
    bundle = load_bundle(flown.bundle)
    tracking = Tracking(bundle, open_loop(bundle, threads=2))
    try:
        flight = compared(track_flight(tracking, flown.path, "flight"))
    finally:
        tracking.close()
    assert any("threads 1" in text for text in flight["obstacles"])


def test_a_given_start_tracks_every_pair(flown, tracking):
    run = track_flight(tracking, flown.path, "flight", init=path_box(0))
    assert len(run.boxes) == STEPS
    assert overlap(Box(*run.boxes[-1]), path_box(STEPS - 1)) > 0.6
    assert run.flight is None


def test_a_flight_without_a_start_asks_for_one(tracking, tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 4, starts={})
    path = only_file(tmp_path / "log")
    with pytest.raises(
        SequenceError, match="x: nothing was tracked in this flight; give a start with --init"
    ):
        track_flight(tracking, path, "x")
    assert len(track_flight(tracking, path, "x", init=path_box(0)).boxes) == 4


def replay(source: Path, bundle: Path, out: Path, *options: str) -> tuple[int, dict]:
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    arguments = [str(source), "--out", str(out), "--bundle", str(bundle), "--threads", "1", *options]
    status = replay_command.run(parser.parse_args(arguments))
    return status, json.loads((out / "report.json").read_text())


def test_the_command_writes_results_and_the_comparison(flown, tmp_path):
    status, report = replay(flown.path, flown.bundle, tmp_path / "out")
    (entry,) = report["sequences"]
    assert status == 0
    assert (entry["name"], entry["frames"], entry["flight"]["identical"]) == (flown.path.stem, 38, 38)
    states = list(open_recording(flown.path).tracks())
    boxes = np.loadtxt(tmp_path / "out" / f"{flown.path.stem}.txt", delimiter=",")
    assert np.allclose(boxes, [state.box.as_tuple() for state in states], atol=1e-4)


def test_a_folder_of_flights_is_replayed_flight_by_flight(flown, tmp_path):
    small = dataclasses.replace(LOSSLESS, rgb="raw", segment_mb=1, flush_ms=10)
    folder = tmp_path / "log"
    record_loop(folder, tmp_path / "bundle", 4)
    record_loop(folder, tmp_path / "bundle", 12, small, before_step=lambda t, recorder: time.sleep(0.015))
    assert len(list(folder.iterdir())) > 3
    status, report = replay(folder, tmp_path / "bundle", tmp_path / "out")
    assert status == 0
    assert sorted(entry["flight"]["identical"] for entry in report["sequences"]) == [2, 10]


def test_realtime_makes_no_sense_with_a_flight(flown, tmp_path):
    with pytest.raises(UsageError, match="--realtime"):
        replay(flown.path, flown.bundle, tmp_path / "out", "--realtime")
