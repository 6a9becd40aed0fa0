"""Folders of pictures and video files as cameras."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_rgbt.cameras.files import FolderCamera
from edge_rgbt.cameras.video import VideoCamera
from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.types import Modality


def _frames(camera):
    with camera:
        return list(iter(camera.read, None))


@pytest.fixture
def folder(tmp_path):
    for i in (2, 0, 1):
        picture = np.zeros((24, 32, 3), np.uint8)
        picture[..., 2] = 10 * (i + 1)  # red, as OpenCV orders channels
        cv2.imwrite(str(tmp_path / f"{i:05}.png"), picture)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_folder_delivers_pictures_by_name_at_the_given_rate(folder):
    frames = _frames(FolderCamera(folder, Modality.RGB, fps=20, start_ns=7))
    assert [int(f.image[0, 0, 0]) for f in frames] == [10, 20, 30]
    assert [f.timestamp_ns for f in frames] == [7, 50_000_007, 100_000_007]
    assert [f.sequence for f in frames] == [0, 1, 2]


def test_folder_can_be_read_again_after_opening_again(folder):
    camera = FolderCamera(folder, Modality.RGB)
    assert len(_frames(camera)) == len(_frames(camera)) == 3


def test_sixteen_bit_thermal_pictures_keep_their_counts(tmp_path):
    counts = (np.arange(32 * 24).reshape(24, 32) + 20_000).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), counts)
    (frame,) = _frames(FolderCamera(tmp_path, Modality.TIR))
    assert np.array_equal(frame.image, counts)


def test_thermal_pictures_stored_in_three_channels_become_one(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (24, 32), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    (frame,) = _frames(FolderCamera(tmp_path, Modality.TIR))
    assert np.array_equal(frame.image, grey)


def test_sixteen_bit_picture_where_colour_is_due_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((24, 32, 3), 4000, np.uint16))
    with pytest.raises(SequenceError, match=r"a\.png.*8-bit"):
        _frames(FolderCamera(tmp_path, Modality.RGB))


def test_damaged_picture_is_named_and_the_next_one_still_comes(folder):
    (folder / "00001.png").write_bytes(b"nothing")
    with FolderCamera(folder, Modality.RGB) as camera:
        assert camera.read().sequence == 0
        with pytest.raises(SequenceError, match=r"00001\.png"):
            camera.read()
        assert camera.read().sequence == 2


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(SequenceError, match="nowhere"):
        _frames(FolderCamera(tmp_path / "nowhere", Modality.RGB))
    with pytest.raises(SequenceError, match="no picture"):
        _frames(FolderCamera(tmp_path, Modality.RGB))


def test_impossible_rate_is_refused(tmp_path):
    with pytest.raises(UsageError, match="rate above 0"):
        FolderCamera(tmp_path, Modality.RGB, fps=0)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    assert writer.isOpened()
    for i in range(6):
        writer.write(np.full((48, 64, 3), (0, 0, 40 * i), np.uint8))
    writer.release()
    return path


def test_video_delivers_pictures_at_the_container_times(video):
    frames = _frames(VideoCamera(video, Modality.RGB))
    assert [f.timestamp_ns for f in frames] == [i * 40_000_000 for i in range(6)]
    assert frames[5].image[0, 0, 0] > 180  # red comes first
    assert frames[5].image[0, 0, 2] < 20


def test_thermal_video_has_one_channel(video):
    assert all(f.image.ndim == 2 for f in _frames(VideoCamera(video, Modality.TIR)))


def test_closed_video_delivers_nothing(video):
    camera = VideoCamera(video, Modality.RGB)
    camera.open()
    camera.close()
    camera.close()
    assert camera.read() is None


def test_missing_and_damaged_videos_are_named(tmp_path):
    with pytest.raises(SequenceError, match=r"none\.mp4"):
        VideoCamera(tmp_path / "none.mp4", Modality.RGB).open()
    (tmp_path / "bad.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(SequenceError, match=r"bad\.mp4"):
        VideoCamera(tmp_path / "bad.mp4", Modality.RGB).open()
