"""How a camera turned, from its own pictures: shift and roll between frames, summed up over time."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.pixels import for_tracker
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.types import Frame, Modality

WIDTH_PX = 320  # pictures are shrunk to it: enough for motion, and noise is averaged away
_CORNERS = 250
_FEWEST = 12
_LONGEST_GAP_NS = 500_000_000  # over a longer pause motion cannot be summed up
_ALIKE = 0.02  # grey levels: a shutter freeze repeats its picture


@dataclass(frozen=True)
class MotionTrack:
    """Where a camera looked, in pixels of a picture 320 wide.

    times_ns `[N]`. path `[N, 3]`: shift right, shift down, roll (radians times half the width, so that all
    three are pixels). piece `[N]`: numbers of stretches without a gap, across which paths mean nothing.
    """

    times_ns: np.ndarray
    path: np.ndarray
    piece: np.ndarray

    def __len__(self) -> int:
        return len(self.times_ns)


class MotionMeter:
    """Takes one camera's frames in their order and sums up how its picture moved."""

    def __init__(self) -> None:
        self._thermal = ThermalRange()
        self._last: np.ndarray | None = None
        self._last_ns = 0
        self._times: list[int] = []
        self._path: list[np.ndarray] = []
        self._pieces: list[int] = []
        self.frames = self.repeated = self.unmatched = 0

    def add(self, frame: Frame) -> None:
        """Frames that repeat the last picture are passed over: their times say nothing about it."""
        self.frames += 1
        picture = self._small(frame)
        gap_ns = frame.timestamp_ns - self._last_ns
        if self._last is None or not 0 < gap_ns <= _LONGEST_GAP_NS or picture.shape != self._last.shape:
            self._begin(frame.timestamp_ns)
        elif float(cv2.norm(picture, self._last, cv2.NORM_L1)) / picture.size < _ALIKE:
            self.repeated += 1
            return
        else:
            moved = _moved(self._last, picture)
            if moved is None:
                self.unmatched += 1
                self._begin(frame.timestamp_ns)
            else:
                self._times.append(frame.timestamp_ns)
                self._path.append(self._path[-1] + moved)
                self._pieces.append(self._pieces[-1])
        self._last, self._last_ns = picture, frame.timestamp_ns

    def track(self) -> MotionTrack:
        return MotionTrack(
            np.array(self._times, np.int64),
            np.array(self._path).reshape(-1, 3),
            np.array(self._pieces, np.int64),
        )

    def _begin(self, time_ns: int) -> None:
        self._times.append(time_ns)
        self._path.append(np.zeros(3))
        self._pieces.append(self._pieces[-1] + 1 if self._pieces else 0)

    def _small(self, frame: Frame) -> np.ndarray:
        frame = for_tracker(frame)
        if frame.modality is Modality.TIR:
            image = self._thermal.apply(frame).image
        else:
            image = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        height = max(round(image.shape[0] * WIDTH_PX / image.shape[1]), 1)
        return cv2.resize(image, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)


def _moved(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """Shift of the middle and roll from corners followed by optical flow; None if too few agree."""
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, 5)
    if corners is None or len(corners) < _FEWEST:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None)  # type: ignore[call-overload]
    good = (found[:, 0] == 1) & (again[:, 0] == 1) & (np.abs(back - corners).max(axis=(1, 2)) < 0.5)
    if int(good.sum()) < _FEWEST:
        return None
    # Most corners lie on the ground; what drives or walks is outvoted.
    fit, inliers = cv2.estimateAffinePartial2D(
        corners[good], there[good], method=cv2.RANSAC, ransacReprojThreshold=0.7
    )
    if fit is None or int(inliers.sum()) < _FEWEST:
        return None
    middle = np.array([before.shape[1] / 2, before.shape[0] / 2])
    shift = fit[:, :2] @ middle + fit[:, 2] - middle
    roll = float(np.arctan2(fit[1, 0], fit[0, 0]))
    return np.array([shift[0], shift[1], roll * WIDTH_PX / 2])
