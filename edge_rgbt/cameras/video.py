"""A video file as a camera, with the times that its container tells."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from edge_rgbt.cameras.base import Camera
from edge_rgbt.errors import SequenceError
from edge_rgbt.types import Frame, Modality

_FALLBACK_FPS = 30.0
# FFmpeg prints its own lines about a damaged file; ours says the same with the name.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class VideoCamera(Camera):
    """Delivers a file's pictures in order; times are the container's, made to rise if need be."""

    def __init__(self, path: Path | str, modality: Modality, start_ns: int = 0) -> None:
        self.modality = modality
        self.name = str(path)
        self._path = Path(path)
        self._start_ns = start_ns
        self._video: cv2.VideoCapture | None = None
        self._period_ns = 0
        self._promised = 0
        self._count = 0
        self._last_ns: int | None = None

    def open(self) -> None:
        """Opens the file. Raises SequenceError if it is missing or no video."""
        if not self._path.is_file():
            raise SequenceError(f"{self._path}: no such video file")
        video = cv2.VideoCapture(str(self._path))
        if not video.isOpened():
            raise SequenceError(f"{self._path}: is not a readable video file")
        fps = video.get(cv2.CAP_PROP_FPS)
        self._video = video
        self._period_ns = round(1e9 / (fps if 0 < fps < 1000 else _FALLBACK_FPS))
        self._promised = max(0, round(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._count, self._last_ns = 0, None

    @property
    def fps(self) -> float:
        """Pictures per second that the file promises; call after `open`."""
        return 1e9 / self._period_ns

    @property
    def promised(self) -> int:
        """How many pictures the file says it holds, 0 if it does not say; call after `open`."""
        return self._promised

    def read(self) -> Frame | None:
        """The next picture; None at the end. Raises SequenceError if the file holds none at all."""
        if self._video is None:
            return None
        good, image = self._video.read()
        if not good:
            if self._count == 0:
                raise SequenceError(f"{self._path}: holds no picture")
            return None
        stamp_ns = self._start_ns + round(self._video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if self._last_ns is not None and stamp_ns <= self._last_ns:
            stamp_ns = self._last_ns + self._period_ns
        frame = Frame(
            _as_modality(image, self.modality),
            self.modality,
            stamp_ns,
            self._count,
            f"{self._path}#{self._count}",
            time_uncertainty_ns=self._period_ns // 2,
        )
        self._count, self._last_ns = self._count + 1, stamp_ns
        return frame

    def close(self) -> None:
        if self._video is not None:
            self._video.release()
            self._video = None


def _as_modality(image: np.ndarray, modality: Modality) -> np.ndarray:
    """OpenCV's BGR or grey picture as this modality's layout."""
    grey = image.ndim == 2
    if modality is Modality.RGB:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB)
    return image if grey else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
