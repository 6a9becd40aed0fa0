"""Pairs in recorded order: folders, videos, decoding ahead."""

import threading
import time

import numpy as np
import pytest
from miniatures import HEIGHT, WIDTH, picture, rgb_picture, write_image, write_video

from edge_rgbt.errors import SequenceError
from edge_rgbt.replay.sources import ImagePairs, PairSource, VideoPair, decode_ahead
from edge_rgbt.types import Frame, FramePair, Modality


def test_pairs_come_in_order_with_times_of_the_frame_rate(tmp_path):
    for frame in range(9):
        write_image(tmp_path / "v" / f"{frame}.png", rgb_picture(frame))
        write_image(tmp_path / "i" / f"{frame}.png", picture(frame))
    files = [tuple(sorted((tmp_path / side).iterdir())) for side in "vi"]
    pairs = list(decode_ahead(ImagePairs(*files, fps=50), threads=3))
    assert [p.rgb.sequence for p in pairs] == list(range(9))
    assert [p.timestamp_ns for p in pairs] == [20_000_000 * k for k in range(9)]
    assert all(np.array_equal(p.tir.image, picture(k)) for k, p in enumerate(pairs))


class SlowSource(PairSource):
    """Pairs of noise that remember which were decoded and on which thread."""

    fps = 30.0

    def __init__(self, count: int, fails_at: int = -1) -> None:
        self.count, self.fails_at = count, fails_at
        self.decoded: list[int] = []
        self.threads: set[str] = set()

    def read(self, index):
        if index >= self.count:
            return None
        if index == self.fails_at:
            raise SequenceError(f"{index}.png: is broken")
        self.decoded.append(index)
        self.threads.add(threading.current_thread().name)
        rgb = Frame(np.zeros((8, 8, 3), np.uint8), Modality.RGB, index, index)
        return FramePair(rgb, Frame(np.zeros((8, 8), np.uint8), Modality.TIR, index, index))


def test_decoding_runs_ahead_on_another_thread_but_not_far():
    source = SlowSource(50)
    pairs = decode_ahead(source, threads=1)
    next(pairs)
    deadline = time.monotonic() + 5
    while len(source.decoded) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert 3 <= len(source.decoded) <= 4
    assert threading.current_thread().name not in source.threads
    pairs.close()


def test_closing_early_leaves_no_thread_behind():
    pairs = decode_ahead(SlowSource(50), threads=2)
    next(pairs)
    pairs.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_a_decoding_error_comes_where_its_pair_would_have():
    pairs = decode_ahead(SlowSource(9, fails_at=4), threads=2)
    assert [next(pairs).rgb.sequence for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(SequenceError, match=r"4\.png"):
        next(pairs)


def test_videos_of_equal_rate_pair_frame_by_frame(tmp_path):
    rgb, tir = write_video(tmp_path / "rgb.mp4"), write_video(tmp_path / "tir.mp4", colour=False)
    pairs = list(decode_ahead(VideoPair(rgb, tir)))
    assert [(p.rgb.sequence, p.tir.sequence) for p in pairs] == [(k, k) for k in range(12)]
    assert all(p.skew_ns == 0 for p in pairs)
    assert pairs[0].tir.image.shape == (HEIGHT, WIDTH)
    assert pairs[5].rgb.image[65, 60].astype(int).tolist() == pytest.approx([220, 160, 90], abs=25)


def test_videos_of_different_rates_pair_by_time(tmp_path):
    rgb = write_video(tmp_path / "rgb.mp4", frames=30, fps=30)
    tir = write_video(tmp_path / "tir.mp4", frames=10, fps=10, colour=False)
    pairs = list(decode_ahead(VideoPair(rgb, tir)))
    assert len(pairs) >= 28
    assert [p.tir.sequence for p in pairs[:9]] == [0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert max(abs(p.skew_ns) for p in pairs[:28]) <= 51_000_000


def test_a_pair_of_videos_ends_with_the_shorter_one(tmp_path):
    rgb = write_video(tmp_path / "rgb.mp4", frames=20)
    tir = write_video(tmp_path / "tir.mp4", frames=12, colour=False)
    source = VideoPair(rgb, tir)
    assert len(list(decode_ahead(source))) == 12
    assert source.shortfall() == f"{tir}: ends after 12 of 20 pairs; the rest is not tracked"


def test_a_video_that_breaks_off_is_told(tmp_path):
    rgb, tir = write_video(tmp_path / "rgb.mp4", 30), write_video(tmp_path / "tir.mp4", 30, colour=False)
    data = rgb.read_bytes()
    hurt = slice(len(data) // 3, len(data) // 2)
    rgb.write_bytes(data[: hurt.start] + bytes(hurt.stop - hurt.start) + data[hurt.stop :])
    source = VideoPair(rgb, tir)
    delivered = len(list(decode_ahead(source)))
    assert delivered < 28
    assert source.shortfall().startswith(f"{rgb}: ends after {delivered} of 30 pairs")


def test_whole_videos_fall_short_of_nothing(tmp_path):
    rgb, tir = write_video(tmp_path / "rgb.mp4"), write_video(tmp_path / "tir.mp4", colour=False)
    source = VideoPair(rgb, tir)
    assert len(list(decode_ahead(source))) == 12
    assert source.shortfall() == ""


def test_a_file_that_is_no_video_is_named(tmp_path, capfd):
    rgb = write_video(tmp_path / "rgb.mp4")
    (tmp_path / "tir.mp4").write_bytes(b"nothing")
    with pytest.raises(SequenceError, match=r"tir\.mp4: is not a readable video"):
        VideoPair(rgb, tmp_path / "tir.mp4")
    assert capfd.readouterr().err == ""
