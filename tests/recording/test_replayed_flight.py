"""A recorded flight gives the same tracks again, and says what stood in the way where it does not."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from bundles import tiny_bundle
from flights import LOSSLESS, only_file, record_loop, without_message
from worlds import overlap, path_box

from edge_rgbt.commands import replay as replay_command
from edge_rgbt.errors import UsageError
from edge_rgbt.recording import RecorderSettings
from edge_rgbt.types import Box, TrackState

pytest.importorskip("mcap", reason="needs the record extra")
pytest.importorskip("google.protobuf", reason="needs the record extra")


@dataclasses.dataclass
class Replayed:
    status: int
    report: dict
    boxes: np.ndarray

    @property
    def flight(self) -> dict:
        return self.report["sequences"][0]["flight"]


def replay(source: Path, bundle: Path, out: Path, *options: str) -> Replayed:
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    arguments = [str(source), "--out", str(out), "--bundle", str(bundle), "--threads", "1", *options]
    status = replay_command.run(parser.parse_args(arguments))
    report = json.loads((out / "report.json").read_text())
    (name,) = [entry["name"] for entry in report["sequences"]] or [""]
    return Replayed(status, report, np.loadtxt(out / f"{name}.txt", delimiter=","))


def boxes_of(states: list[TrackState]) -> np.ndarray:
    return np.array([state.box.as_tuple() for state in states])


def test_a_lossless_flight_gives_the_same_tracks_to_the_last_bit(tmp_path):
    states = record_loop(tmp_path / "log", tmp_path / "bundle", steps=40)
    done = replay(only_file(tmp_path / "log"), tmp_path / "bundle", tmp_path / "out")
    assert done.status == 0
    assert done.flight["obstacles"] == []
    assert (done.flight["steps"], done.flight["compared"], done.flight["identical"]) == (38, 38, 38)
    assert (done.flight["largest_box_px"], done.flight["largest_score"]) == (0.0, 0.0)
    assert np.allclose(done.boxes, boxes_of(states), atol=1e-4)
    assert overlap(states[-1].box, path_box(39)) > 0.6  # it followed something, so equality means something
    assert "38 of 38 tracks are the flight's to the last bit" in done.report["sequences"][0]["note"]


def test_a_second_start_is_made_again_where_it_was(tmp_path):
    other = Box(40, 180, 30, 30)
    states = record_loop(tmp_path / "log", tmp_path / "bundle", 24, starts={2: path_box(2), 12: other})
    done = replay(only_file(tmp_path / "log"), tmp_path / "bundle", tmp_path / "out")
    assert states[10].box == other
    assert done.flight["identical"] == done.flight["compared"] == 22


def test_jpeg_is_compared_and_named_as_the_obstacle(tmp_path):
    settings = RecorderSettings(rgb="jpeg", min_free_mb=0)
    states = record_loop(tmp_path / "log", tmp_path / "bundle", 20, settings)
    done = replay(only_file(tmp_path / "log"), tmp_path / "bundle", tmp_path / "out")
    assert any("JPEG" in text for text in done.flight["obstacles"])
    assert done.flight["compared"] == 18
    assert 0 < done.flight["largest_box_px"] < 3
    assert np.abs(done.boxes - boxes_of(states)).max() < 3


def test_another_bundle_is_named_as_the_obstacle(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 12)
    tiny_bundle(tmp_path / "other", version="2", search_factor=3.0)
    done = replay(only_file(tmp_path / "log"), tmp_path / "other", tmp_path / "out")
    assert done.flight["identical"] < done.flight["compared"]


def test_a_frame_that_the_recording_lacks_is_counted_and_the_rest_goes_on(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 20, starts={2: path_box(2), 14: path_box(14)})
    holed = without_message(only_file(tmp_path / "log"), tmp_path / "holed.mcap", "/tir/image", 9)
    done = replay(holed, tmp_path / "bundle", tmp_path / "out")
    assert (done.flight["steps"], done.flight["lost"], done.flight["compared"]) == (18, 1, 17)
    assert done.flight["identical"] >= 7 + 6  # before the hole, and from the next start on
    assert any("lost frame" in text for text in done.flight["obstacles"])
    assert done.report["sequences"][0]["dropped_frames"] == 1
    assert len(done.boxes) == 18


def test_a_flight_that_was_cut_off_replays_as_far_as_it_goes(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 40, dataclasses.replace(LOSSLESS, flush_ms=10))
    path = only_file(tmp_path / "log")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    done = replay(path, tmp_path / "bundle", tmp_path / "out")
    assert 10 < done.flight["compared"] < 38
    assert done.flight["identical"] == done.flight["compared"]
    assert f"{path.name}: " in done.report["sequences"][0]["note"]


def test_a_flight_without_a_start_asks_for_one(tmp_path, capsys):
    record_loop(tmp_path / "log", tmp_path / "bundle", 6, starts={})
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    arguments = [str(only_file(tmp_path / "log")), "--bundle", str(tmp_path / "bundle"), "--out"]
    assert replay_command.run(parser.parse_args([*arguments, str(tmp_path / "out")])) == 1
    assert "nothing was tracked in this flight; give a start with --init" in capsys.readouterr().err


def test_a_given_start_tracks_every_pair(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 20, starts={})
    first = ",".join(str(v) for v in path_box(0).as_tuple())
    done = replay(only_file(tmp_path / "log"), tmp_path / "bundle", tmp_path / "out", "--init", first)
    assert len(done.boxes) == 20
    assert overlap(Box(*done.boxes[-1]), path_box(19)) > 0.6
    assert "flight" not in done.report["sequences"][0]


def test_a_folder_of_flights_is_replayed_flight_by_flight(tmp_path):
    small = dataclasses.replace(LOSSLESS, rgb="raw", segment_mb=1, flush_ms=10)
    record_loop(tmp_path / "log", tmp_path / "bundle", 6)
    record_loop(tmp_path / "log", tmp_path / "bundle", 16, small, before_step=lambda t, r: _wait())
    assert len(list((tmp_path / "log").iterdir())) > 3
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    arguments = [tmp_path / "log", "--bundle", tmp_path / "bundle", "--out", tmp_path / "out", "--threads", 1]
    assert replay_command.run(parser.parse_args([str(a) for a in arguments])) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert sorted(entry["flight"]["identical"] for entry in report["sequences"]) == [4, 14]


def test_realtime_makes_no_sense_with_a_flight(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 4)
    with pytest.raises(UsageError, match="--realtime"):
        replay(only_file(tmp_path / "log"), tmp_path / "bundle", tmp_path / "out", "--realtime")


def _wait() -> None:
    import time

    time.sleep(0.015)
