"""Crop, window, decode, clip: the arithmetic between pictures and boxes, for training, replay and flight.

One function per step, numpy and OpenCV only. The rounding, the extra padded row and column, and the
half-pixel conventions are those of the published CKD tracker: networks trained with them expect them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.types import Box


@dataclass(frozen=True, slots=True)
class CropGeometry:
    """A square cut from a picture around a box and resized to `out_size`.

    side, x1, y1: the square in picture pixels (integers; it may reach outside the picture).
    scale: crop pixels per picture pixel, out_size / side.
    cx, cy: centre of the box, not rounded; the way back from the crop starts here, not at the square.
    """

    side: int
    x1: int
    y1: int
    scale: float
    out_size: int
    cx: float
    cy: float

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The part of the square that lies in the picture: x1, y1, x2, y2, ends exclusive.

        Where the square reaches the right or bottom edge, the last column or row counts as outside.
        x2 <= x1 or y2 <= y1 if nothing lies inside.
        """
        right, bottom = self.x1 + self.side, self.y1 + self.side
        x2 = width - 1 if right >= width else right
        y2 = height - 1 if bottom >= height else bottom
        return max(0, self.x1), max(0, self.y1), x2, y2


def crop_geometry(box: Box, factor: float, out_size: int) -> CropGeometry:
    """The square around the box, `factor` times its mean side. Raises ValueError if that is under a pixel."""
    side = math.ceil(math.sqrt(box.w * box.h) * factor)
    if side < 1:
        raise ValueError(f"box {box.as_tuple()} is too small to cut out")
    # Python's round takes halves to the even integer; that is meant.
    x1 = round(box.x + 0.5 * box.w - 0.5 * side)
    y1 = round(box.y + 0.5 * box.h - 0.5 * side)
    return CropGeometry(side, x1, y1, out_size / side, out_size, box.cx, box.cy)


def crop_square(image: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """The square, zero outside the picture, resized bilinearly without anti-aliasing.

    image `[H, W]` or `[H, W, C]` -> `[S, S]` or `[S, S, C]` of the same dtype. Only the square is read, and
    a square that lies inside the picture is not copied before resizing.
    """
    x1, y1, x2, y2 = geometry.inside(image.shape[1], image.shape[0])
    out = (geometry.out_size, geometry.out_size)
    side = geometry.side
    if x2 <= x1 or y2 <= y1:
        return np.zeros(out + image.shape[2:], image.dtype)
    square = image[y1:y2, x1:x2]
    if x2 - x1 != side or y2 - y1 != side:
        # Fresh zeros cost memory only where written, so a square far larger than the picture is cheap.
        canvas = np.zeros((side, side, *image.shape[2:]), image.dtype)
        canvas[y1 - geometry.y1 : y2 - geometry.y1, x1 - geometry.x1 : x2 - geometry.x1] = square
        square = canvas
    return cv2.resize(square, out, interpolation=cv2.INTER_LINEAR)


def crop_thermal(image: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """`crop_square` of a one-channel `[H, W]` picture, replicated afterwards: `[S, S, 3]`."""
    return cv2.cvtColor(crop_square(image, geometry), cv2.COLOR_GRAY2RGB)


def dim_surroundings(crop: np.ndarray, width: float, height: float, dimming: float) -> np.ndarray:
    """The crop with everything darker that lies outside a box of width x height in its middle.

    crop: uint8 `[S, S]` or `[S, S, C]`. width, height: fractions of its side. dimming: share of brightness
    that is lost, 0..1. A square crop does not show how wide or tall its box is; this does, like the
    foreground and background token types of LoRAT (ECCV 2024).
    """
    if dimming == 0.0:
        return crop
    size = crop.shape[0]
    x1, y1 = (max(0, round(0.5 * size * (1.0 - length))) for length in (width, height))
    dimmed = cv2.LUT(crop, np.rint(np.arange(256) * (1.0 - dimming)).astype(np.uint8))
    inside = np.s_[y1 : size - y1, x1 : size - x1]
    dimmed[inside] = crop[inside]
    return dimmed


def padding_mask(geometry: CropGeometry, width: int, height: int) -> np.ndarray:
    """bool `[S, S]`: True where a pixel of the crop takes any weight from outside the picture."""
    x1, y1, x2, y2 = geometry.inside(width, height)
    columns = _padded_positions(x1 - geometry.x1, x2 - geometry.x1, geometry)
    rows = _padded_positions(y1 - geometry.y1, y2 - geometry.y1, geometry)
    return rows[:, None] | columns[None, :]


def _padded_positions(start: int, stop: int, geometry: CropGeometry) -> np.ndarray:
    """bool `[S]` of one axis; bilinear weights are products, so the axes can be treated apart."""
    outside = np.ones((1, geometry.side), np.float32)
    outside[0, start : max(start, stop)] = 0.0
    return cv2.resize(outside, (geometry.out_size, 1), interpolation=cv2.INTER_LINEAR)[0] > 0


def hann_window(n: int) -> np.ndarray:
    """float32 `[n, n]`: outer product of a Hann window of n + 2 points without its two zero ends."""
    k = np.arange(1, n + 1, dtype=np.float64)
    line = 0.5 * (1.0 - np.cos(2.0 * math.pi * k / (n + 1)))
    return np.outer(line, line).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Peak:
    """The best cell of the maps and the box it stands for, as fractions of the search crop.

    score: the map's own maximum before the window, 0..1, wherever it lies.
    """

    row: int
    col: int
    cx: float
    cy: float
    w: float
    h: float
    score: float


def decode_peak(
    score: np.ndarray,
    size: np.ndarray,
    offset: np.ndarray,
    window: np.ndarray | None = None,
    window_weight: float = 1.0,
    prior: np.ndarray | None = None,
) -> Peak:
    """Box at the maximum of the windowed score (the first one in raster order when several are equal).

    score `[n, n]`, size `[2, n, n]` (w, h as fractions), offset `[2, n, n]` (x, y in cells), float32.
    response = score * (1 - window_weight + window_weight * window) * prior; without both the score itself.
    """
    n = score.shape[0]
    response = score if window is None else score * (1.0 - window_weight + window_weight * window)
    if prior is not None:
        response = response * prior
    row, col = divmod(int(response.argmax()), n)
    return Peak(
        row=row,
        col=col,
        cx=(col + float(offset[0, row, col])) / n,
        cy=(row + float(offset[1, row, col])) / n,
        w=float(size[0, row, col]),
        h=float(size[1, row, col]),
        score=float(score.max()),
    )


def shape_prior(size: np.ndarray, last_w: float, last_h: float, strength: float) -> np.ndarray:
    """`[n, n]`: how little each cell's box differs from the last one in scale and aspect, 1 down to 0.

    exp(-strength * (change of scale * change of aspect - 1)), a change being the larger over the smaller
    (the proposal ranking of SiamRPN, CVPR 2018). size `[2, n, n]`, last_w, last_h: fractions of the crop.
    """
    width, height = size
    scale = np.sqrt(width * height / (last_w * last_h))
    aspect = width / height * (last_h / last_w)
    change = np.maximum(scale, 1.0 / scale) * np.maximum(aspect, 1.0 / aspect)
    return np.exp(strength * (1.0 - change))


def picture_box(peak: Peak, geometry: CropGeometry) -> tuple[float, float, float, float]:
    """The peak as xywh in picture pixels, not clipped; measured from S/2 and the unrounded centre."""
    pixels = geometry.side  # out_size / scale
    half = 0.5 * pixels
    cx = peak.cx * pixels + geometry.cx - half
    cy = peak.cy * pixels + geometry.cy - half
    w, h = peak.w * pixels, peak.h * pixels
    return cx - 0.5 * w, cy - 0.5 * h, w, h


def clip_box(
    xywh: tuple[float, float, float, float], width: int, height: int, margin_px: float = 10.0
) -> Box:
    """The part of the box in a width x height picture; at least `margin_px` (or the whole side) remains."""
    x, y, w, h = xywh
    x, w = _clip_span(x, w, width, min(margin_px, width))
    y, h = _clip_span(y, h, height, min(margin_px, height))
    return Box(x, y, w, h)


def _clip_span(start: float, length: float, limit: int, margin: float) -> tuple[float, float]:
    end = min(max(margin, start + length), limit)
    start = min(max(0.0, start), limit - margin)
    return start, max(margin, end - start)
