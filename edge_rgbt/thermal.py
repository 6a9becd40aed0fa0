"""16-bit thermal counts to 8 bits by a slow, bounded percentile map, the same in training and flight.

A map that follows every frame makes the target's grey level jump whenever something hot enters the picture; a
fixed one wastes most of the range. This one follows the scene's percentiles, slowly.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from edge_rgbt.types import Frame, PixelFormat

# Percentiles of so many pixels on a regular grid serve as well as those of all, at a fiftieth of the time.
_SAMPLES = 5_000
# After a pause the map moves on as if no more than this had passed.
_LONGEST_STEP_S = 0.5
# A pause this long was a closed shutter or an outage. The correction behind a shutter shifts all counts
# together, so the range is shifted with them, by this share of its span at most, before it moves on as usual.
_PAUSE_S = 0.25
_LARGEST_SHIFT = 0.5
# A clock that goes back by more than this was restarted; less is an older picture shown again.
_CLOCK_RESTART_NS = 1_000_000_000


class ThermalRange:
    """The range of counts shown as 0..255, and how it moves.

    low_percentile, high_percentile: what of the scene the range should enclose.
    headroom: share of that range added below and above, so that small hot targets do not saturate.
    min_span: counts; a scene with less contrast is not stretched further, or noise would look like detail.
    change_per_s: share of the span by which each end may move per second. Only a scene wholly outside the
    range, which would show as plain black or white, sets it anew at once.
    """

    def __init__(
        self,
        low_percentile: float = 1.0,
        high_percentile: float = 99.0,
        headroom: float = 0.1,
        min_span: float = 256.0,
        change_per_s: float = 0.5,
    ) -> None:
        if not 0.0 <= low_percentile < high_percentile <= 100.0:
            raise ValueError(f"percentiles {low_percentile} to {high_percentile} are not a range in 0..100")
        if not (math.isfinite(min_span) and min_span >= 1 and headroom >= 0 and change_per_s > 0):
            raise ValueError("min_span must be 1 or more, headroom 0 or more, change_per_s above 0")
        self._percentiles = (low_percentile, high_percentile)
        self._headroom = headroom
        self._min_span = min_span
        self._change_per_s = change_per_s
        self.reset()

    def reset(self) -> None:
        """Forgets the scene; the next picture sets the range at once."""
        self._range: tuple[float, float] | None = None
        self._timestamp_ns = 0

    @property
    def range(self) -> tuple[float, float] | None:
        """Counts shown as 0 and as 255; None before the first 16-bit picture."""
        return self._range

    @property
    def state(self) -> tuple[float, float, int] | None:
        """The range and the time of the picture that moved it last, for `restore`; None without a range."""
        return None if self._range is None else (*self._range, self._timestamp_ns)

    def restore(self, state: tuple[float, float, int] | None) -> None:
        """Goes on from a `state`, so that a replay maps as the flight did."""
        self.reset()
        if state is not None:
            self._range, self._timestamp_ns = (state[0], state[1]), state[2]

    def apply(self, frame: Frame, follow: bool = True) -> Frame:
        """The frame in 8 bits; one that has 8 bits comes back untouched.

        follow: False for a picture that is not to be believed; it is shown in the range as it is.
        """
        if frame.image.dtype == np.uint8:
            return frame
        image = self.map(frame.image, frame.timestamp_ns, follow)
        return dataclasses.replace(frame, image=image, pixel_format=PixelFormat.GRAY8)

    def map(self, image: np.ndarray, timestamp_ns: int = 0, follow: bool = True) -> np.ndarray:
        """uint16 `[H, W]` -> uint8 `[H, W]`; moves the range towards the picture's first."""
        if follow:
            self._range = self._follow(self._scene_range(image), timestamp_ns)
        shown = self._range or self._scene_range(image)
        assert shown is not None  # without a range every picture gives one
        low, high = shown
        floor = math.floor(low)
        # Two saturating passes; a table look-up over 65536 entries takes four times as long.
        # A column of four would be taken for a second scalar by OpenCV, so columns go in as rows.
        picture = image if image.shape[1] > 1 else image.reshape(1, -1)
        above = cv2.subtract(picture, (floor, 0.0, 0.0, 0.0))  # type: ignore[call-overload]
        return cv2.convertScaleAbs(above, alpha=255.0 / (high - floor)).reshape(image.shape)

    def _scene_range(self, image: np.ndarray) -> tuple[float, float] | None:
        """Where the range should be for this picture; None for a picture without any content."""
        step = max(1, math.isqrt(image.size // _SAMPLES))
        sample = image[::step, ::step].ravel()
        ranks = [round(p / 100 * (sample.size - 1)) for p in self._percentiles]
        low, high = (float(v) for v in np.partition(sample, ranks)[ranks])
        if self._range is not None and low == high and int(sample.min()) == int(sample.max()):
            return None  # a blank picture (shutter, dead camera) says nothing about the scene
        margin = (high - low) * self._headroom
        low, high = low - margin, high + margin
        lacking = max(0.0, self._min_span - (high - low)) / 2
        return low - lacking, high + lacking

    def _follow(self, scene: tuple[float, float] | None, timestamp_ns: int) -> tuple[float, float]:
        """Moves the range towards the scene's as far as the time since the last picture allows."""
        elapsed_s = (timestamp_ns - self._timestamp_ns) / 1e9
        if elapsed_s > 0 or timestamp_ns < self._timestamp_ns - _CLOCK_RESTART_NS:
            self._timestamp_ns = timestamp_ns
        now = self._range
        if now is None or (scene is not None and (scene[0] > now[1] or scene[1] < now[0])):
            now = scene
        elif scene is not None:
            span = now[1] - now[0]
            shift = 0.0
            if elapsed_s >= _PAUSE_S:
                most = _LARGEST_SHIFT * span
                shift = min(max((scene[0] + scene[1] - now[0] - now[1]) / 2, -most), most)
            most = self._change_per_s * min(max(0.0, elapsed_s), _LONGEST_STEP_S) * span
            low, high = (
                end + shift + min(max(goal - end - shift, -most), most)
                for end, goal in zip(now, scene, strict=True)
            )
            # The ends move on their own; while they do, they keep their distance.
            lacking = max(0.0, self._min_span - (high - low)) / 2
            now = (low - lacking, high + lacking)
        assert now is not None  # the first picture always gives a range
        return now
