"""Recordings with their original timing."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from miniatures import write_image

from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.recorded import PacedCamera
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import CameraError, SequenceError
from edge_rgbt.types import Modality, TimeSource

MS = 1_000_000
START = 7_000 * MS


@pytest.fixture
def folder(tmp_path):
    for i in range(4):
        write_image(tmp_path / f"{i}.png", np.full((24, 32), 1000 * i + 500, np.uint16))
    return tmp_path


def _camera(folder, **changes):
    return make_camera(CameraSettings(kind="files", path=str(folder), **changes), Modality.TIR)


def _frames(camera):
    with camera:
        return list(iter(camera.read, None))


def _times(folder, text, name="timestamps.txt"):
    (folder / name).write_text(text)


def test_pictures_have_the_times_of_the_file_beside_them(folder):
    _times(folder, "# thermal\n\n10\n30\n31\n90\n")
    frames = _frames(_camera(folder, paced=False))
    assert [f.timestamp_ns for f in frames] == [10, 30, 31, 90]
    assert {(f.time_source, f.time_uncertainty_ns) for f in frames} == {(TimeSource.RECORDED, 0)}


def test_times_may_come_with_names_in_any_order_from_any_file(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("times")
    _times(other, "3.png 40\n0.png 10\nother.png 99\n1.png 20\n2.png 30\n", "tir.txt")
    frames = _frames(_camera(folder, paced=False, timestamps=str(other / "tir.txt")))
    assert [f.timestamp_ns for f in frames] == [10, 20, 30, 40]


def test_without_a_time_file_the_rate_gives_the_times(folder):
    frames = _frames(_camera(folder, paced=False, rate_hz=100.0))
    assert [f.timestamp_ns for f in frames] == [0, 10 * MS, 20 * MS, 30 * MS]
    assert frames[0].time_uncertainty_ns == 5 * MS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1\n2\n3\n", r"timestamps\.txt: has times for 3 of 4 pictures"),
        ("0.png 1\n1.png 2\n2.png 3\nx.png 4\n", "has times for 3 of 4 pictures"),
        ("1\n2\n2.5\n3\n", r"timestamps\.txt:3: '2\.5' is not"),
        ("1\n3\n2\n4\n", r"the time of 2\.png is not after"),
        ("a b c\n", r"timestamps\.txt:1: 'a b c'"),
    ],
)
def test_a_time_file_that_does_not_fit_is_told(folder, text, said):
    _times(folder, text)
    with pytest.raises(SequenceError, match=said):
        _camera(folder).open()


def test_a_time_file_that_is_not_there_is_told(folder):
    with pytest.raises(SequenceError, match=r"none\.txt: cannot be read"):
        _camera(folder, timestamps="none.txt").open()


def test_a_paced_recording_comes_at_its_own_speed_on_this_clock(folder):
    _times(folder, "\n".join(str(START + t * MS) for t in (0, 40, 60, 160)))
    with _camera(folder) as camera:
        frames = []
        for _ in range(4):
            frame = camera.read()
            frames.append((frame, time.monotonic_ns()))
        assert camera.read() is None
    stamps = [f.timestamp_ns for f, _ in frames]
    assert [s - stamps[0] for s in stamps] == [0, 40 * MS, 60 * MS, 160 * MS]
    assert all(read_ns >= f.timestamp_ns for f, read_ns in frames)  # none before its time
    assert frames[-1][1] - stamps[0] < 5_000 * MS  # on this computer's clock, not the recording's


def test_a_slow_reader_of_a_paced_recording_gets_what_is_due_now(folder):
    _times(folder, "\n".join(str(START + t * MS) for t in (0, 30, 60, 1500)))
    with _camera(folder) as camera:
        assert camera.read().sequence == 0
        time.sleep(0.2)
        assert camera.read().sequence == 2


def test_a_damaged_picture_of_a_paced_recording_costs_itself_only(folder):
    (folder / "1.png").write_bytes(b"damaged")
    with _camera(folder, rate_hz=50.0) as camera:
        seen = []
        for _ in range(5):
            try:
                frame = camera.read()
            except SequenceError:
                continue
            seen.append(None if frame is None else frame.sequence)
    assert seen[0] == 0
    assert seen[-1] is None
    assert set(seen) <= {0, 2, 3, None}


def test_recordings_that_play_together_keep_their_distance_in_time(folder):
    _times(folder, "\n".join(str(START + t * MS) for t in (0, 10, 20, 30)))
    shared = Playback({})
    settings = CameraSettings(kind="files", path=str(folder))
    first = make_camera(settings, Modality.TIR, shared)
    with first:
        a = first.read()
    time.sleep(0.02)
    _times(folder, "\n".join(str(START + t * MS) for t in (500, 510, 520, 530)))
    second = make_camera(settings, Modality.TIR, shared)
    with second:
        b = second.read()
    assert (b.timestamp_ns - a.timestamp_ns) % (10 * MS) == 0
    assert b.timestamp_ns - a.timestamp_ns >= 500 * MS


def test_recordings_of_different_clocks_are_refused(folder):
    shared = Playback({})
    shared.offset_ns(0, "rgb")
    _times(folder, "\n".join(str(10**18 + t) for t in range(4)))
    camera = make_camera(CameraSettings(kind="files", path=str(folder)), Modality.TIR, shared)
    with (
        camera,
        pytest.raises(CameraError, match=r"was taken \d+ s after the other camera's; recordings that"),
    ):
        camera.read()


def test_a_video_file_is_played_with_its_own_times(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50.0, (64, 48))
    for i in range(4):
        writer.write(np.full((48, 64, 3), 60 * i, np.uint8))
    writer.release()
    camera = _camera(path)
    assert isinstance(camera, PacedCamera)
    frames = _frames(camera)
    assert frames[-1].timestamp_ns - frames[0].timestamp_ns == frames[-1].sequence * 20 * MS


def test_a_recording_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SequenceError, match="nowhere: no such folder"):
        _camera(tmp_path / "nowhere").open()
