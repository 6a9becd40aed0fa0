"""Pairs of pictures in recorded order: image folders and video files, decoded ahead of the tracker."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edge_rgbt.cameras.images import read_rgb, read_thermal
from edge_rgbt.cameras.video import VideoCamera
from edge_rgbt.errors import SequenceError
from edge_rgbt.types import Frame, FramePair, Modality

DEFAULT_FPS = 30.0
COUNT_SLACK = 0.02  # containers tell their length in rounded seconds


class PairSource(ABC):
    """A finite recording of pairs; fps is the rate of the RGB pictures."""

    fps: float

    @abstractmethod
    def read(self, index: int) -> FramePair | None:
        """Decodes one pair, raw and unregistered; None past the end. Raises SequenceError naming the file."""

    @property
    def parallel(self) -> bool:
        """True if pairs may be read in any order from several threads."""
        return False

    def shortfall(self) -> str:
        """Once `read` gave None: what ended before the recording's own length; empty if nothing did."""
        return ""

    def close(self) -> None:
        """Releases files. May be called twice."""


class ImagePairs(PairSource):
    """Two lists of image files of equal length, paired by position."""

    def __init__(self, rgb: tuple[Path, ...], tir: tuple[Path, ...], fps: float = DEFAULT_FPS) -> None:
        self.fps = fps
        self._rgb, self._tir = rgb, tir

    @property
    def parallel(self) -> bool:
        return True

    def read(self, index: int) -> FramePair | None:
        if index >= len(self._rgb):
            return None
        stamp = round(index * 1e9 / self.fps)
        rgb, tir = self._rgb[index], self._tir[index]
        return FramePair(
            Frame(read_rgb(rgb), Modality.RGB, stamp, index, str(rgb)),
            Frame(read_thermal(tir), Modality.TIR, stamp, index, str(tir)),
        )


class VideoPair(PairSource):
    """Two video files on one clock: each RGB picture takes the thermal one nearest in time.

    fps: None takes what the RGB file promises. Ends with the RGB file, or with the thermal one's last period.
    """

    def __init__(self, rgb: Path, tir: Path, fps: float | None = None) -> None:
        self._rgb = VideoCamera(rgb, Modality.RGB)
        self._tir = VideoCamera(tir, Modality.TIR)
        try:
            self._rgb.open()
            self._tir.open()
            self.fps = fps or self._rgb.fps
            self._tir_period_ns = 1e9 / self._tir.fps
            self._now = self._next = self._tir.read()
            self._delivered, self._ended = 0, self._rgb
        except SequenceError:
            self.close()
            raise

    def read(self, index: int) -> FramePair | None:
        rgb = self._rgb.read()
        if rgb is None or self._now is None:
            return None
        while self._next is not None and self._is_nearer(self._next, rgb.timestamp_ns):
            self._now, self._next = self._next, self._tir.read()
        if self._next is None and rgb.timestamp_ns - self._now.timestamp_ns > 0.75 * self._tir_period_ns:
            self._ended = self._tir
            return None
        self._delivered += 1
        return FramePair(rgb, self._now)

    def shortfall(self) -> str:
        promised = self._rgb.promised
        if promised - self._delivered <= max(1.0, COUNT_SLACK * promised):
            return ""
        got = f"{self._delivered} of {promised} pairs"
        return f"{self._ended.name}: ends after {got}; the rest is not tracked"

    def close(self) -> None:
        self._rgb.close()
        self._tir.close()

    def _is_nearer(self, candidate: Frame, moment_ns: int) -> bool:
        assert self._now is not None
        return abs(candidate.timestamp_ns - moment_ns) <= abs(self._now.timestamp_ns - moment_ns)


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
