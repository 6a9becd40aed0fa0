"""Shows the ground map through a camera: a homography per band of rows, from the fitting map size."""

from __future__ import annotations

import itertools
import math

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
        level = round(2 * math.log2(max(metres_per_px / texel, 1e-3)))
        return min(max(level, 0), len(self._levels) - 1)

    @staticmethod
    def _probe(to_ground: np.ndarray, edges: list[int], width: int) -> np.ndarray:
        """Ground xy `[bands, 7, 2]`: each band's middle, the pixels right of it and below it, its corners."""
        tops, bottoms = np.array(edges[:-1]), np.array(edges[1:])
        x, y = np.full(len(tops), width / 2), (tops + bottoms) / 2
        left, right = np.zeros(len(tops)), np.full(len(tops), width)
        columns = np.stack([x, x + 1, x, left, right, left, right])
        rows = np.stack([y, y, y + 1, tops, tops, bottoms, bottoms])
        points = np.stack([columns, rows, np.ones_like(rows)], -1) @ to_ground.T  # [7, bands, 3]
        return (points[..., :2] / points[..., 2:]).swapaxes(0, 1)

    def render(self, view: View) -> np.ndarray:
        """The ground as this camera sees it, same type as the map (four channels for a map of colours)."""
        k = view.intrinsics
        to_ground = np.linalg.inv(view.ground_to_image())
        first = self._levels[0]
        out = np.empty((k.height, k.width, *first.shape[2:]), first.dtype)
        edges = np.linspace(0, k.height, self._bands + 1).astype(int).tolist()
        spots = self._probe(to_ground, edges, k.width)
        for n, (top, bottom) in enumerate(itertools.pairwise(edges)):
            here, right, below, *corners = spots[n].tolist()
            across, along = math.dist(here, right), math.dist(here, below)
            source = self._levels[self._level_for(across**0.6 * along**0.4)]
            scale = source.shape[0] / PERIOD_M
            low = [math.floor(min(c[axis] for c in corners) * scale) - 3 for axis in (0, 1)]
            high = [math.ceil(max(c[axis] for c in corners) * scale) + 4 for axis in (0, 1)]
            part, corner = _cut(source, low, high)
            to_map = np.array([[scale, 0, -corner[0] - 0.5], [0, scale, -corner[1] - 0.5], [0, 0, 1]])
            down = np.array([[1, 0, 0], [0, 1, top], [0, 0, 1.0]])
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
