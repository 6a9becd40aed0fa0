"""Every frame is asked for its shape, time and picture before it is paired, and every refusal counts."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.service.inbox import Arrival
from edge_rgbt.service.intake import Intake
from edge_rgbt.types import Frame, Modality, PictureFault

MS = 1_000_000
START = 10**12
CAMERA = CameraSettings("files", name="left eye", path="anywhere")


def picture(k: int, size: tuple[int, int] = (160, 120)) -> np.ndarray:
    """A scene that moves: large shapes, and a little noise."""
    rng = np.random.default_rng(k)
    columns, rows = np.meshgrid(np.arange(size[0]) + 3 * k, np.arange(size[1]))
    shapes = 60 * np.sin(columns / 17) + 60 * np.cos(rows / 11) + 128
    return (shapes + rng.integers(0, 4, shapes.shape)).astype(np.uint8)


def arrival(k: int, image: np.ndarray | None = None, stamp_ns: int | None = None) -> Arrival:
    taken_ns = START + k * 33 * MS
    shown = picture(k) if image is None else image
    frame = Frame(shown, Modality.TIR, taken_ns if stamp_ns is None else stamp_ns, k, "eye")
    return Arrival(frame, taken_ns + 5 * MS)


@pytest.fixture
def intake() -> Intake:
    return Intake(Modality.TIR, CAMERA)


def test_good_frames_pass_as_they_are(intake):
    for k in range(20):
        given = arrival(k)
        judged = intake.take(given)
        assert judged is not None
        assert (judged.frame, judged.fault) == (given.frame, None)
    assert not any(intake.counters.values())


def test_frames_of_another_size_are_left_out_counted_and_said_once_a_second(intake, caplog):
    intake.take(arrival(0))
    assert [intake.take(arrival(k, picture(k, (80, 60)))) for k in range(1, 6)] == [None] * 5
    assert intake.take(arrival(6)) is not None
    assert (intake.counters["misshapen"], intake.refused) == (5, 5)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "left eye: delivers 80x60 GRAY8 after 160x120 GRAY8" in line


def test_frames_of_another_format_are_left_out(intake):
    intake.take(arrival(0))
    assert intake.take(arrival(1, picture(1).astype(np.uint16) * 100)) is None
    assert intake.counters["misshapen"] == 1


def test_an_impossible_time_is_counted_as_untimely(intake):
    for k in range(10):
        intake.take(arrival(k))
    assert intake.take(arrival(10, stamp_ns=START + 10**12)) is None
    assert (intake.counters["untimely"], intake.refused) == (1, 1)


def test_a_clock_that_jumps_is_counted_and_its_frames_get_their_right_time(intake):
    for k in range(40):
        intake.take(arrival(k))
    judged = [intake.take(arrival(k, stamp_ns=k * 33 * MS)) for k in range(40, 50)]
    assert [one is None for one in judged] == [True, True] + [False] * 8
    assert judged[-1] is not None
    assert judged[-1].frame.timestamp_ns == START + 49 * 33 * MS
    assert (intake.counters["clock_jumps"], intake.counters["untimely"]) == (1, 2)


def test_pictures_that_show_nothing_are_counted_by_their_fault(intake):
    intake.take(arrival(0))
    judged = [intake.take(arrival(k, np.zeros((120, 160), np.uint8))) for k in range(1, 4)]
    assert [one and one.fault for one in judged] == [PictureFault.BLACK] * 3
    assert intake.counters["black"] == 3


def test_recordings_that_are_not_paced_keep_their_times():
    intake = Intake(Modality.TIR, CameraSettings("files", path="anywhere", paced=False))
    for k in range(10):
        judged = intake.take(arrival(k, stamp_ns=k * MS))
        assert judged is not None
        assert judged.frame.timestamp_ns == k * MS
