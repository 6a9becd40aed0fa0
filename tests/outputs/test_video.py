"""The MP4 file, read back by the library's decoder."""

import subprocess
import sys
import textwrap
import time

import av
import numpy as np
import pytest
from outputs.pairs import PERIOD_NS, grey_pair, state_of

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.outputs.overlay import GREEN
from edge_rgbt.outputs.video import AnnotatedVideo
from edge_rgbt.types import Box


def write(path, count=12, fps=30.0, skip=()):
    with AnnotatedVideo(path, fps) as video:
        for index in range(count):
            if index not in skip:
                pair = grey_pair(index, 640, 480)
                video.write(pair, state_of(pair, Box(200, 100, 80, 60)), Box(210, 110, 80, 60))


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_every_pair_is_in_the_file_at_its_time_of_capture(tmp_path):
    write(tmp_path / "flight.mp4", skip=(4, 5, 6))
    with av.open(str(tmp_path / "flight.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    expected = [index * PERIOD_NS / 1e9 for index in range(12) if index not in (4, 5, 6)]
    np.testing.assert_allclose(times, expected, atol=1e-4)


def test_browsers_can_play_it_h264_yuv420_index_first(tmp_path):
    write(tmp_path / "flight.mp4")
    with av.open(str(tmp_path / "flight.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width % 2, stream.height % 2) == (0, 0)
    data = (tmp_path / "flight.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_decoded_picture_shows_the_box_in_its_colour(tmp_path):
    write(tmp_path / "flight.mp4")
    picture = decoded(tmp_path / "flight.mp4")[-1]
    corner = picture[99:103, 199:206].reshape(-1, 3).astype(int)
    assert np.abs(corner - GREEN).max(axis=1).min() < 60
    np.testing.assert_allclose(picture[300, 300], 60, atol=6)


def test_time_stamps_that_stand_still_become_the_nominal_rate(tmp_path):
    with AnnotatedVideo(tmp_path / "still.mp4", 10.0) as video:
        for _ in range(5):
            pair = grey_pair(0)
            video.write(pair, state_of(pair))
    with av.open(str(tmp_path / "still.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3, 0.4], atol=1e-4)


def test_an_interrupted_recording_leaves_nothing(tmp_path):
    def interrupted():
        with AnnotatedVideo(tmp_path / "flight.mp4", 30) as video:
            for index in range(40):
                pair = grey_pair(index)
                video.write(pair, state_of(pair))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_is_one_line_and_no_file(tmp_path):
    with pytest.raises(EdgeRgbtError, match="no frame was written"):
        AnnotatedVideo(tmp_path / "empty.mp4", 30).close()
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_frame_rate_is_refused(tmp_path):
    with pytest.raises(UsageError, match="0 frames per second"):
        AnnotatedVideo(tmp_path / "flight.mp4", 0)


def test_closing_twice_is_once(tmp_path):
    video = AnnotatedVideo(tmp_path / "flight.mp4", 30)
    pair = grey_pair(0)
    video.write(pair, state_of(pair))
    video.close()
    video.close()
    assert (tmp_path / "flight.mp4").is_file()


def test_writing_does_not_wait_for_the_encoder_while_the_queue_has_room(tmp_path):
    pairs = [grey_pair(index, 1280, 1024) for index in range(10)]
    with AnnotatedVideo(tmp_path / "flight.mp4", 30) as video:
        started = time.perf_counter()
        for pair in pairs:
            video.write(pair, state_of(pair))
        handed_over = time.perf_counter() - started
    assert handed_over < (time.perf_counter() - started) / 2


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    """A file size limit stands in for the disk: the kernel refuses the write in the same place."""
    script = """
        import resource, signal, sys
        import numpy as np
        from edge_rgbt.errors import EdgeRgbtError
        from edge_rgbt.outputs.video import AnnotatedVideo
        from edge_rgbt.types import *
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        rng = np.random.default_rng(1)
        try:
            with AnnotatedVideo(sys.argv[1], 30) as video:
                for i in range(60):
                    noise = rng.integers(0, 255, (240, 320, 3), np.uint8)
                    rgb = Frame(noise, Modality.RGB, i * 33_000_000, i)
                    tir = Frame(noise[..., 0], Modality.TIR, i * 33_000_000, i)
                    state = TrackState(Box(9, 9, 9, 9), 0.5, TrackStatus.TRACKING, i * 33_000_000)
                    video.write(FramePair(rgb, tir, aligned=True), state)
        except EdgeRgbtError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "flight.mp4")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.stderr == ""
    assert run.stdout.count("\n") == 1
    assert "cannot write" in run.stdout
    assert "flight.mp4" in run.stdout
    assert list(tmp_path.iterdir()) == []
