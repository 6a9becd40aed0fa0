"""Shows the ground map through a camera: a homography per band of rows, from the fitting map size."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from edge_rgbt.sim.camera_model import View
from edge_rgbt.sim.layout import PERIOD_M


class GroundMap:
    """A periodic map in half-octave sizes: distant ground does not alias and near ground stays sharp."""

    def __init__(self, finest: np.ndarray, levels: int, bands: int) -> None:
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
        """The ground as this camera sees it, same type as the map."""
        k = view.intrinsics
        to_ground = np.linalg.inv(view.ground_to_image())
        first = self._levels[0]
        out = np.empty((k.height, k.width, *first.shape[2:]), first.dtype)
        edges = np.linspace(0, k.height, self._bands + 1).astype(int)
        for top, bottom in itertools.pairwise(edges):
            middle = (top + bottom) / 2
            probe = to_ground @ np.array(
                [[k.width / 2, k.width / 2 + 1, k.width / 2], [middle, middle, middle + 1], [1, 1, 1]]
            )
            probe = probe[:2] / probe[2]
            across = np.hypot(*(probe[:, 1] - probe[:, 0]))
            along = np.hypot(*(probe[:, 2] - probe[:, 0]))
            source = self._levels[self._level_for(float(across**0.6 * along**0.4))]
            scale = source.shape[0] / PERIOD_M
            # whole periods are taken off, so that the coordinates stay small
            origin = np.floor(probe[:, 0] / PERIOD_M) * PERIOD_M
            to_map = np.array(
                [[scale, 0, -origin[0] * scale - 0.5], [0, scale, -origin[1] * scale - 0.5], [0, 0, 1]]
            )
            down = np.array([[1, 0, 0], [0, 1, top], [0, 0, 1]])
            cv2.warpPerspective(
                source, to_map @ to_ground @ down, (k.width, int(bottom - top)), dst=out[top:bottom],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP,
            )  # fmt: skip
        return out
