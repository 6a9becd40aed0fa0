"""Exported flights are read back by our own VTUAV reader, and say that nobody annotated them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from flights import only_file, record_loop
from worlds import path_box

from edge_rgbt.cameras.images import read_rgb, read_thermal
from edge_rgbt.commands import replay as replay_command
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.recording import RecorderSettings, open_recording
from edge_rgbt.replay.export import export_flights
from edge_rgbt.replay.layouts import find_recordings
from edge_rgbt.types import Box, TrackStatus

pytest.importorskip("mcap", reason="needs the record extra")
pytest.importorskip("google.protobuf", reason="needs the record extra")


@pytest.fixture(scope="module")
def flight(tmp_path_factory) -> Path:
    """25 pairs from one start and 12 from a second one; pairs 0 and 1 come before any."""
    folder = tmp_path_factory.mktemp("flight")
    record_loop(folder / "log", folder / "bundle", 39, starts={2: path_box(2), 27: path_box(27)})
    return only_file(folder / "log")


@pytest.fixture(scope="module")
def exported(flight, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "dataset"
    export_flights(str(flight), folder)
    return folder


def test_every_start_becomes_a_sequence_that_our_reader_takes(flight, exported):
    found = find_recordings(str(exported))
    assert found.dataset == "vtuav"
    sequences = [recording.load() for recording in found.recordings]
    assert [s.name for s in sequences] == [f"{flight.stem}-01", f"{flight.stem}-02"]
    assert [len(s.rgb) for s in sequences] == [25, 12]
    assert [len(s.tir) for s in sequences] == [25, 12]
    for sequence, first in zip(sequences, (2, 27), strict=True):
        assert sequence.truth is not None
        assert sequence.init is not None
        assert np.allclose(sequence.init.as_tuple(), path_box(first).as_tuple(), atol=0.01)
        assert sequence.truth.frames().tolist() == list(range(0, len(sequence.rgb), 10))


def test_boxes_are_those_of_the_flight(flight, exported):
    states = list(open_recording(flight).tracks())
    rows = np.loadtxt(exported / f"{flight.stem}-01" / "rgb.txt", delimiter=",")
    assert np.allclose(rows, [states[k].box.as_tuple() for k in (0, 10, 20)], atol=0.01)
    assert (exported / f"{flight.stem}-01" / "ir.txt").read_text() == (
        exported / f"{flight.stem}-01" / "rgb.txt"
    ).read_text()


def test_pictures_are_what_the_tracker_saw(flight, exported):
    place = exported / f"{flight.stem}-01"
    pair = list(open_recording(flight).pairs())[7].decode()
    assert pair is not None
    assert np.array_equal(read_rgb(place / "rgb" / "000005.png"), pair.rgb.image)
    thermal = read_thermal(place / "ir" / "000005.png")
    assert (thermal.shape, thermal.dtype) == (pair.rgb.image.shape[:2], np.uint8)
    box = path_box(7)
    target = thermal[round(box.y) + 6 : round(box.y) + 18, round(box.x) + 6 : round(box.x) + 18]
    assert target.min() > np.median(thermal) + 60  # registered: warm where the target is


def test_the_readme_and_the_tables_say_where_boxes_come_from(exported):
    assert "NOT annotations" in (exported / "README.txt").read_text()
    about = [json.loads(path.read_text()) for path in sorted(exported.glob("*/sequence.json"))]
    assert [entry["pairs"] for entry in about] == [25, 12]
    assert about[0]["boxes"].startswith("the tracker's own")
    assert len(about[0]["timestamps_ns"]) == 25


def test_jpeg_pictures_are_passed_on_as_they_are(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 8, RecorderSettings(rgb="jpeg", min_free_mb=0))
    path = only_file(tmp_path / "log")
    (sequence,) = export_flights(str(path), tmp_path / "dataset")
    third = list(open_recording(path).pairs())[4]
    assert third.rgb is not None
    stored = (tmp_path / "dataset" / sequence.name / "rgb" / "000002.jpg").read_bytes()
    assert stored == third.rgb.picture.data


def test_a_lost_target_gets_no_box(tmp_path, monkeypatch):
    monkeypatch.setattr("flights.path_box", lambda t: path_box(t) if t < 8 else Box(-500, 0, 24, 24))
    starts = {0: path_box(0)}
    states = record_loop(tmp_path / "log", tmp_path / "bundle", 41, starts=starts)
    lost = [state.status is not TrackStatus.TRACKING for state in states]
    assert lost[40]
    (sequence,) = export_flights(str(only_file(tmp_path / "log")), tmp_path / "dataset")
    lines = (tmp_path / "dataset" / sequence.name / "rgb.txt").read_text().split()
    assert [line == "0,0,0,0" for line in lines] == lost[::10]


def test_a_flight_without_a_track_gives_pictures_without_boxes(tmp_path):
    record_loop(tmp_path / "log", tmp_path / "bundle", 5, starts={})
    (sequence,) = export_flights(str(only_file(tmp_path / "log")), tmp_path / "dataset")
    place = tmp_path / "dataset" / sequence.name
    assert len(list((place / "rgb").iterdir())) == len(list((place / "ir").iterdir())) == 5
    assert not (place / "rgb.txt").exists()
    assert cv2.imread(str(place / "ir" / "000004.png"), cv2.IMREAD_UNCHANGED).shape == (256, 320)


def test_an_existing_folder_is_never_replaced(flight, tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UsageError, match="is there already; name a new folder"):
        export_flights(str(flight), tmp_path)
    assert (tmp_path / "precious").read_text() == "x"


def test_a_failed_export_leaves_nothing(flight, tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise SequenceError("a picture is damaged")

    monkeypatch.setattr("edge_rgbt.replay.export._Export._write_tables", refuse)
    with pytest.raises(SequenceError, match=rf"{flight.stem}: a picture is damaged"):
        export_flights(str(flight), tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []


def test_only_flights_can_be_exported(tmp_path):
    (tmp_path / "visible").mkdir()
    with pytest.raises(UsageError, match="holds no recorded flight"):
        export_flights(str(tmp_path), tmp_path / "dataset")


def test_the_command_exports_without_tracking(flight, tmp_path, capsys):
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    arguments = [str(flight), "--export-dataset", str(tmp_path / "dataset"), "--json"]
    assert replay_command.run(parser.parse_args(arguments)) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert [entry["boxes"] for entry in report["sequences"]] == [3, 2]
    assert "2 sequences, 37 pairs" in printed.err


def test_the_command_wants_something_to_do(flight):
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    with pytest.raises(UsageError, match="--out is missing"):
        replay_command.run(parser.parse_args([str(flight)]))
