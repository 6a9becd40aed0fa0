"""Pairs of pictures in recorded order: image folders and video files, decoded ahead of the tracker."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge_rgbt.errors import SequenceError
from edge_rgbt.replay.images import read_rgb, read_thermal
from edge_rgbt.types import Frame, FramePair, Modality

DEFAULT_FPS = 30.0
# FFmpeg prints its own lines about a damaged file; ours says the same with the name. Read once by OpenCV.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class PairSource(ABC):
    """A finite recording of pairs.

    count: pairs that it promises (video containers only estimate). fps: rate of the RGB pictures.
    """

    count: int
    fps: float

    @abstractmethod
    def read(self, index: int) -> FramePair | None:
        """Decodes one pair, raw and unregistered; None past the end. Raises SequenceError naming the file."""

    @property
    def parallel(self) -> bool:
        """True if pairs may be read in any order from several threads."""
        return False

    def close(self) -> None:
        """Releases files. May be called twice."""


@dataclass(frozen=True)
class ImagePairs(PairSource):
    """Two lists of image files of equal length, paired by position."""

    rgb: tuple[Path, ...]
    tir: tuple[Path, ...]
    fps: float = DEFAULT_FPS

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self.rgb)

    @property
    def parallel(self) -> bool:
        return True

    def read(self, index: int) -> FramePair | None:
        if index >= len(self.rgb):
            return None
        stamp = round(index * 1e9 / self.fps)
        rgb, tir = self.rgb[index], self.tir[index]
        return FramePair(
            Frame(read_rgb(rgb), Modality.RGB, stamp, index, str(rgb)),
            Frame(read_thermal(tir), Modality.TIR, stamp, index, str(tir)),
        )


class VideoPair(PairSource):
    """Two video files on one clock: each RGB picture takes the thermal one nearest in time.

    Ends with the RGB file, or once the thermal one has been over for half a frame.
    """

    def __init__(self, rgb: Path, tir: Path, fps: float | None = None) -> None:
        self._files = {Modality.RGB: rgb, Modality.TIR: tir}
        self._rgb = _open_video(rgb)
        self._tir = _open_video(tir)
        self.fps = fps or _rate(self._rgb) or DEFAULT_FPS
        self._tir_fps = _rate(self._tir) or self.fps
        self.count = max(0, int(self._rgb.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._now: Frame | None = None
        self._next = self._grab_tir(0)

    def read(self, index: int) -> FramePair | None:
        rgb = self._grab(self._rgb, Modality.RGB, index, self.fps)
        if rgb is None:
            if index == 0:
                raise SequenceError(f"{self._files[Modality.RGB]}: holds no picture")
            return None
        while self._next is not None and self._comes_nearer(rgb.timestamp_ns):
            self._now, self._next = self._next, self._grab_tir(self._next.sequence + 1)
        if self._now is None:
            raise SequenceError(f"{self._files[Modality.TIR]}: holds no picture")
        ended = self._next is None and rgb.timestamp_ns - self._now.timestamp_ns > 0.75e9 / self._tir_fps
        return None if ended else FramePair(rgb, self._now)

    def close(self) -> None:
        self._rgb.release()
        self._tir.release()

    def _comes_nearer(self, moment_ns: int) -> bool:
        if self._now is None or self._next is None:
            return True
        return abs(self._next.timestamp_ns - moment_ns) <= abs(self._now.timestamp_ns - moment_ns)

    def _grab_tir(self, index: int) -> Frame | None:
        return self._grab(self._tir, Modality.TIR, index, self._tir_fps)

    def _grab(self, video: cv2.VideoCapture, modality: Modality, index: int, fps: float) -> Frame | None:
        good, image = video.read()
        if not good:
            return None
        if modality is Modality.RGB:
            picture = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        else:
            picture = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return Frame(picture, modality, round(index * 1e9 / fps), index, f"{self._files[modality]}#{index}")


def decode_ahead(source: PairSource, threads: int | None = None) -> Generator[FramePair, None, None]:
    """Pairs in order, decoded by background threads while the caller works on the one before.

    threads: None takes half the processors, at most four; a source that is not `parallel` gets one.
    At most `threads + 2` pairs wait in memory. An error is raised where its pair would have come.
    """
    threads = min(4, max(1, (os.cpu_count() or 2) // 2)) if threads is None else threads
    threads = threads if source.parallel else 1
    pending: deque[Future[FramePair | None]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        submitted = 0
        while True:
            while len(pending) < threads + 2:
                pending.append(pool.submit(source.read, submitted))
                submitted += 1
            pair = pending.popleft().result()
            if pair is None:
                return
            yield pair
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _open_video(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise SequenceError(f"{path}: no such video file")
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise SequenceError(f"{path}: is not a readable video file")
    return video


def _rate(video: cv2.VideoCapture) -> float | None:
    fps = video.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps < 1000 else None
