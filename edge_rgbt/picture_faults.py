"""Finds pictures that show nothing trackable: frozen, black, saturated, torn or pure noise.

A false alarm takes a good camera away from the tracker, so every test is made to miss rather than to err: it
speaks only for pictures that no live scene gives. All of them look at a sparse grid of the brightness.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from edge_rgbt.types import Frame, Modality, PictureFault, PixelFormat

# A slow sensor behind a fast link repeats pictures; only a longer repetition is a frozen one.
FROZEN_AFTER_NS = 80_000_000
_SAMPLES = 12_000  # of a picture's pixels are looked at; a target of 16x16 still meets one of them
_FEW = 3  # samples that may differ: dead and hot pixels
_DARK, _BRIGHT = 16, 250  # of 0..255
_VIDEO_DARK, _VIDEO_BRIGHT = 30, 232  # where black is 16 and white 235
_FULL_SCALES = (16_383, 65_535)  # thermal counts end here or a little before
_SATURATED_SHARE = 0.9
_FLAT = 2  # grey levels or counts; live thermal pictures hold more noise than this
# Means over blocks of n samples of white noise vary by 1/n of the samples' variance; those of smeared or
# compressed noise by up to three times that, those of pictures by far more: 25 times in the poorest of 1458
# recorded ones. And a small target in an empty sky lifts one block above what noise can do.
_BLOCK = 8
_NOISE_RATIO = 3.0
_NOISE_PEAK = 6.0  # standard deviations of a block's mean
_VIDEO = (PixelFormat.NV12, PixelFormat.YUYV)


class PictureWatch:
    """Judges the frames of one camera in order; remembers a sparse copy of the last one."""

    def __init__(self, modality: Modality) -> None:
        self.modality = modality
        self.counts = dict.fromkeys(PictureFault, 0)
        self._seams = _SeamFinder()
        self.reset()

    def reset(self) -> None:
        """Forgets the last picture, as after a camera was opened again; counts go on."""
        self._last: np.ndarray | None = None
        self._still: np.ndarray | None = None  # bool per grid row: it repeated itself the last time, too
        self._live_ns = 0  # when the picture changed last
        self._content: PictureFault | None = None

    def judge(self, frame: Frame) -> PictureFault | None:
        """What is wrong with the frame's picture; None for a good one."""
        fault = self._fault(frame)
        if fault is not None:
            self.counts[fault] += 1
        return fault

    def _fault(self, frame: Frame) -> PictureFault | None:
        plane = _brightness(frame)
        self._seams.take(
            plane
        )  # first: it reads every row, which the rest then finds in the processor's cache
        step = max(1, math.isqrt(plane.size // _SAMPLES))
        grid = np.ascontiguousarray(plane[::step, ::step])
        last, still = self._last, self._still
        self._last, self._still, changed = grid, None, None
        if last is not None and last.shape == grid.shape and last.dtype == grid.dtype:
            changed = _row_means((grid != last).view(np.uint8))
            self._still = same = changed == 0
            if same.all():
                return self._repeated(frame)
        self._live_ns = frame.timestamp_ns
        self._content = _content_fault(grid, frame.pixel_format)
        if self._content is not None:
            return self._content
        if frame.held:
            return PictureFault.FROZEN
        if changed is not None and still is not None and _half_repeated(grid, changed, still):
            return PictureFault.TORN
        return PictureFault.TORN if self._seams.found(plane) else None

    def _repeated(self, frame: Frame) -> PictureFault | None:
        """The same picture again: as faulty as it was, and frozen if that lasts."""
        if self._content is not None:
            return self._content
        lasts_ns = frame.timestamp_ns - self._live_ns
        if lasts_ns < 0:  # the camera's clock was set back
            self._live_ns = frame.timestamp_ns
        return PictureFault.FROZEN if frame.held or lasts_ns >= FROZEN_AFTER_NS else None


def _brightness(frame: Frame) -> np.ndarray:
    """The picture's brightness or something close to it, `[H, W]`, without a copy."""
    image, pixel_format = frame.image, frame.pixel_format
    if pixel_format is PixelFormat.NV12:
        return image[: frame.height]
    if pixel_format is PixelFormat.YUYV:
        return image[..., 0]
    return image[..., 1] if image.ndim == 3 else image


def _content_fault(grid: np.ndarray, pixel_format: PixelFormat) -> PictureFault | None:
    """Black, saturated or noise, by one picture alone."""
    few = min(_FEW, grid.size // 1000)
    if grid.dtype == np.uint8:
        dark, bright = (_VIDEO_DARK, _VIDEO_BRIGHT) if pixel_format in _VIDEO else (_DARK, _BRIGHT)
        saturated = np.count_nonzero(grid >= bright)
        black = np.count_nonzero(grid > dark) <= few
    else:
        top = int(grid.max())
        at_end = any(0.99 * end <= top <= end for end in _FULL_SCALES)
        saturated = np.count_nonzero(grid == top) if at_end else 0
        black = False
    if saturated >= _SATURATED_SHARE * grid.size:
        return PictureFault.SATURATED
    if black or _is_flat(grid, few):
        return PictureFault.BLACK
    return PictureFault.NOISE if _is_noise(grid) else None


def _is_flat(grid: np.ndarray, few: int) -> bool:
    """One grey all over, but for a few pixels."""
    middle = int(grid[grid.shape[0] // 2, grid.shape[1] // 2])
    sample = grid[::8, ::8].ravel()
    if np.ptp(sample) > 64:  # most live pictures end here
        return False
    middle = int(np.partition(sample, sample.size // 2)[sample.size // 2])
    low, high = max(0, middle - _FLAT), min(int(np.iinfo(grid.dtype).max), middle + _FLAT)
    return grid.size - int(cv2.countNonZero(cv2.inRange(grid, low, high))) <= few  # type: ignore[call-overload]


def _is_noise(grid: np.ndarray) -> bool:
    """No structure larger than a few pixels: block means vary no more than chance lets them."""
    rows, columns = grid.shape[0] // _BLOCK, grid.shape[1] // _BLOCK
    if rows < 4 or columns < 4:
        return False
    pixels = grid[: rows * _BLOCK, : columns * _BLOCK]
    mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(pixels))
    if deviation == 0.0:
        return False
    # Deviations of the block means in units of what white noise gives them.
    blocks = cv2.resize(pixels.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    units = (blocks - mean) * (_BLOCK / deviation)
    return (
        cv2.norm(units, cv2.NORM_L2SQR) < _NOISE_RATIO * units.size
        and cv2.norm(units, cv2.NORM_INF) < _NOISE_PEAK
    )


def _row_means(values: np.ndarray) -> np.ndarray:
    """float32 `[H]` of `[H, W]`; five times as fast as numpy's."""
    return cv2.reduce(values, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]


_LEAST_PART = 0.08  # of the rows; a smaller part may be text that is drawn over the picture
_LIVE_CHANGE = 0.25  # share of a row's samples that change where a picture is live


def _half_repeated(grid: np.ndarray, changed: np.ndarray, still: np.ndarray) -> bool:
    """True if the top or bottom part is the last picture's, bit by bit, and all the rest is new.

    changed: share of changed samples per row. still: rows that repeated themselves the time before; they are
    bars and texts, no tear. Rows without content cannot tell and count for neither part.
    """
    rows = len(changed)
    same = changed == 0
    least = max(3, round(_LEAST_PART * rows))
    if not least <= np.count_nonzero(same) <= rows - least or (same & still).any():
        return False
    telling = np.ptp(grid, axis=1) > _FLAT
    same, live = same & telling, (changed >= _LIVE_CHANGE) & telling
    if np.count_nonzero(same) < least or np.count_nonzero(live) < least:
        return False
    if np.count_nonzero(same | live) < 0.95 * np.count_nonzero(telling):
        return False
    repeated, fresh = np.flatnonzero(same), np.flatnonzero(live)
    return bool(repeated[-1] < fresh[0] or fresh[-1] < repeated[0])


_SEAM_COLUMNS = 80
_SEAM_STEP = 2.2  # how much more two rows differ at a seam than their neighbours do
_SEAM_MATCH = 1.4  # times the usual difference of two rows is left once the shift is undone
_LARGEST_SHIFT = 40
_SEGMENTS = 4


class _SeamFinder:
    """Finds a line along which the lower part of a picture is shifted sideways against the upper one.

    So looks a picture of two moments while the camera pans. Edges of the scene do not: lenses blur them over
    more than one row, and no sideways shift mends them equally in all parts of the row.
    """

    def __init__(self) -> None:
        # Kept from picture to picture: taking and returning pages takes longer than the arithmetic on them.
        self._thin = self._gaps = np.empty((0, 0), np.uint8)

    def take(self, plane: np.ndarray) -> None:
        """Keeps a few columns of the next picture."""
        thin = plane[:, :: max(1, plane.shape[1] // _SEAM_COLUMNS)]
        if self._thin.shape != thin.shape or self._thin.dtype != thin.dtype:
            self._thin, self._gaps = np.empty(thin.shape, thin.dtype), np.empty(thin[1:].shape, thin.dtype)
        np.copyto(self._thin, thin)

    def found(self, plane: np.ndarray) -> bool:
        """True if the picture that was taken last, whole in `plane`, has such a line."""
        height, width = plane.shape
        if height < 16 or width < 4 * _LARGEST_SHIFT:
            return False
        cv2.absdiff(self._thin[1:], self._thin[:-1], dst=self._gaps)
        steps = _row_means(self._gaps)
        ratio = steps[4:-4] / np.maximum(_largest_around(steps)[1:-1], 1e-3)
        row = int(ratio.argmax())
        return bool(ratio[row] > _SEAM_STEP and self._shifted(plane, row + 4))

    def _shifted(self, plane: np.ndarray, row: int) -> bool:
        """True if the rows above and below differ by one and the same sideways shift all along."""
        rows = plane[row - 2 : row + 4].astype(np.float32)  # the seam lies between rows 2 and 3 of them
        usual = np.abs(np.diff(rows, axis=0))[[0, 1, 3, 4]].mean(axis=0)
        upper, lower = rows[2], rows[3]
        reach, width = _LARGEST_SHIFT, len(upper)
        inner = slice(reach, width - reach)
        windows = np.lib.stride_tricks.sliding_window_view(upper, width - 2 * reach)  # [2 * reach + 1, inner]
        gaps = np.abs(windows - lower[inner])
        found = []
        for part in np.array_split(np.arange(gaps.shape[1]), _SEGMENTS):
            by_shift = gaps[:, part].mean(axis=1)
            best = int(by_shift.argmin())
            mended = by_shift[best] <= _SEAM_MATCH * usual[inner][part].mean()
            if mended and by_shift[reach] >= _SEAM_STEP * by_shift[best] and abs(best - reach) >= 2:
                found.append(best)
        return len(found) >= _SEGMENTS - 1 and max(found) - min(found) <= 2


def _largest_around(steps: np.ndarray) -> np.ndarray:
    """`[n - 6]`: the largest of the three values before and the three after each, itself left out."""
    three = np.maximum(np.maximum(steps[:-2], steps[1:-1]), steps[2:])  # beginning at each
    return np.maximum(three[:-4], three[4:])
