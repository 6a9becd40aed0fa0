"""Track logs read back."""

import csv
import json
from dataclasses import replace

import pytest
from outputs.pairs import grey_pair, state_of

from edge_rgbt.errors import UsageError
from edge_rgbt.outputs.log import TrackLog
from edge_rgbt.types import Box, TrackStatus


def write(path, count=3):
    with TrackLog(path) as log:
        for index in range(count):
            pair = grey_pair(index)
            log.write(state_of(pair), truth=Box(16, 12, 24, 10) if index else None, visible=bool(index))


def test_a_json_line_holds_the_state_the_truth_and_their_overlap(tmp_path):
    write(tmp_path / "track.jsonl")
    first, second, _ = [json.loads(line) for line in (tmp_path / "track.jsonl").read_text().splitlines()]
    assert (first["frame"], first["time_s"], first["truth"], first["overlap"]) == (0, 0.0, None, None)
    assert (second["frame"], second["time_s"], second["visible"]) == (1, 0.033333, True)
    assert second["box"] == [16, 12, 24, 20]
    assert second["overlap"] == 0.5
    assert (second["status"], second["score"], second["skew_ms"]) == ("tracking", 0.75, 2.0)
    assert (second["total_ms"], second["stages_ms"]) == (11.5, {"crop": 2.0, "network": 9.5})


def test_a_csv_file_has_the_same_in_columns(tmp_path):
    write(tmp_path / "track.csv")
    with open(tmp_path / "track.csv", newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == 3
    assert (rows[0]["truth_x"], rows[0]["overlap"], rows[1]["truth_x"]) == ("", "", "16.0")
    assert (rows[1]["box_h"], rows[1]["network_ms"], rows[1]["overlap"]) == ("20.0", "9.5", "0.5")


def test_a_stage_that_first_runs_later_has_its_column(tmp_path):
    with TrackLog(tmp_path / "track.csv") as log:
        log.write(replace(state_of(grey_pair(0)), timings=()))
        log.write(state_of(grey_pair(1)))
    with open(tmp_path / "track.csv", newline="") as text:
        assert [row["network_ms"] for row in csv.DictReader(text)] == ["", "9.5"]


def test_an_idle_tracker_has_no_overlap(tmp_path):
    with TrackLog(tmp_path / "track.jsonl") as log:
        log.write(state_of(grey_pair(0), status=TrackStatus.IDLE), truth=Box(16, 12, 24, 10))
    assert json.loads((tmp_path / "track.jsonl").read_text())["overlap"] is None


def test_nothing_stands_under_the_name_before_the_end(tmp_path):
    log = TrackLog(tmp_path / "track.jsonl")
    log.write(state_of(grey_pair(0)))
    assert not (tmp_path / "track.jsonl").exists()
    log.close()
    log.close()
    assert (tmp_path / "track.jsonl").is_file()


def test_a_failing_run_leaves_no_log(tmp_path):
    def fail():
        with TrackLog(tmp_path / "track.csv") as log:
            log.write(state_of(grey_pair(0)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"\.jsonl or \.csv"):
        TrackLog(tmp_path / "track.txt")
