"""Shows the ground map through a camera: a homography per band of rows, from the fitting map size."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from edge_rgbt.sim.camera_model import View
from edge_rgbt.sim.layout import PERIOD_M


class GroundMap:
    """A periodic map in half-octave sizes: distant ground does not alias and near ground stays sharp.

    A map of three channels is kept and shown with a fourth, unused one: OpenCV warps four several times
    faster than three.
    """

    def __init__(self, finest: np.ndarray, levels: int, bands: int) -> None:
        if finest.ndim == 3 and finest.shape[2] == 3:
            finest = cv2.cvtColor(finest, cv2.COLOR_RGB2RGBA)
        self._levels = [finest]
        self._bands = bands
        size = finest.shape[0]
        for level in range(1, levels):
            side = round(size / 2 ** (level / 2))
            source = self._levels[-2] if level >= 2 else finest
            self._levels.append(cv2.resize(source, (side, side), interpolation=cv2.INTER_AREA))

    def _level_for(self, metres_per_px: float) -> int:
        texel = PERIOD_M / self._levels[0].shape[0]
        return int(np.clip(round(2 * np.log2(max(metres_per_px / texel, 1e-3))), 0, len(self._levels) - 1))

    def render(self, view: View) -> np.ndarray:
        """The ground as this camera sees it, same type as the map (four channels for a map of colours)."""
        k = view.intrinsics
        to_ground = np.linalg.inv(view.ground_to_image())
        first = self._levels[0]
        out = np.empty((k.height, k.width, *first.shape[2:]), first.dtype)
        edges = np.linspace(0, k.height, self._bands + 1).astype(int).tolist()
        for top, bottom in itertools.pairwise(edges):
            x, y = k.width / 2, (top + bottom) / 2
            spots = to_ground @ np.array(
                [[x, x + 1, x, 0, k.width, 0, k.width], [y, y, y + 1, top, top, bottom, bottom], [1.0] * 7]
            )
            spots = spots[:2] / spots[2]
            across = np.hypot(*(spots[:, 1] - spots[:, 0]))
            along = np.hypot(*(spots[:, 2] - spots[:, 0]))
            source = self._levels[self._level_for(float(across**0.6 * along**0.4))]
            scale = source.shape[0] / PERIOD_M
            corners = spots[:, 3:] * scale
            low = np.floor(corners.min(1)).astype(int) - 3
            high = np.ceil(corners.max(1)).astype(int) + 4
            part, corner = _cut(source, low.tolist(), high.tolist())
            to_map = np.array([[scale, 0, -corner[0] - 0.5], [0, scale, -corner[1] - 0.5], [0, 0, 1]])
            down = np.array([[1, 0, 0], [0, 1, top], [0, 0, 1]])
            cv2.warpPerspective(
                part, to_map @ to_ground @ down, (k.width, bottom - top), dst=out[top:bottom],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP,
            )  # fmt: skip
        return out


def _cut(source: np.ndarray, low: list[int], high: list[int]) -> tuple[np.ndarray, list[int]]:
    """A picture that holds texels `low` to `high` (x, y) of a periodic map, and its first texel (x, y).

    It is the map itself where it can be; across the seam a copy is put together, because OpenCV reads over
    a border several times slower than inside a picture.
    """
    side = source.shape[0]
    shift = [side * (v // side) for v in low]
    (x0, y0), (x1, y1) = ((a - s for a, s in zip(ends, shift, strict=True)) for ends in (low, high))
    if x1 <= side and y1 <= side:
        return source, shift
    if max(x1 - x0, y1 - y0) > 3 * side:  # a camera at the horizon
        return source, shift
    rows = [source[max(y0 - n, 0) : min(y1 - n, side)] for n in range(0, y1, side)]
    strips = [
        [row[:, max(x0 - n, 0) : min(x1 - n, side)] for n in range(0, x1, side)] for row in rows if len(row)
    ]
    joined = [np.concatenate(strip, axis=1) if len(strip) > 1 else strip[0] for strip in strips]
    return np.concatenate(joined) if len(joined) > 1 else joined[0], low
