"""What stands in view, ready to be drawn or masked: vehicles and people, buildings, trees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.sim.buildings import Facade
from edge_rgbt.sim.drawing import FRACTION_BITS, fixed
from edge_rgbt.sim.objects import Mover
from edge_rgbt.sim.trees import SLICES


@dataclass
class FaceItem:
    """A vehicle or a person: convex polygons in drawing order.

    polygons: `[n, k, 2]` pixels; roles `[n]`; normals `[n, 3]` in the world; base: ground xy;
    shadow: outline on the ground in pixels.
    """

    depth: float
    mover: Mover
    polygons: np.ndarray
    roles: np.ndarray
    normals: np.ndarray
    base: np.ndarray
    height_px: float
    shadow: np.ndarray
    lamps: np.ndarray | None  # `[4, 2]`: head left and right, tail left and right
    beam: np.ndarray | None  # ground quad lit by the headlights
    facing: float  # cosine between forward and the direction to the camera

    def bounds(self) -> np.ndarray:
        points = self.polygons.reshape(-1, 2)
        return np.concatenate([points.min(0), points.max(0)])

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        for polygon in self.polygons:
            points = fixed((polygon - origin) * scale)
            cv2.fillConvexPoly(mask, points, value, cv2.LINE_8, FRACTION_BITS)


@dataclass
class VisibleFace:
    """One face of a building: its corners in pixels `[4, 2]`, and which size of its pictures fits."""

    facade: Facade
    quad: np.ndarray
    level: int


@dataclass
class BuildingItem:
    depth: float
    faces: list[VisibleFace]

    def bounds(self) -> np.ndarray:
        points = np.concatenate([face.quad for face in self.faces])
        return np.concatenate([points.min(0), points.max(0)])

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        for face in self.faces:
            points = fixed((face.quad - origin) * scale)
            cv2.fillConvexPoly(mask, points, value, cv2.LINE_8, FRACTION_BITS)


@dataclass
class TreeItem:
    """A stack of discs.

    centres, rights, ups: `[SLICES, 2]`, middle and half axes of each disc in pixels. windows: per disc the
    window (x0, y0, x1, y1) inside the image, empty when x1 <= x0 or y1 <= y0. size_px: half size of
    the widest.
    """

    depth: float
    index: int
    species: int
    centres: np.ndarray
    rights: np.ndarray
    ups: np.ndarray
    root: np.ndarray
    windows: list[list[int]]
    size_px: float

    def levels(self) -> Iterable[int]:
        return range(SLICES) if self.size_px > 40 else (0, 2, 4) if self.size_px > 13 else (1, 3)

    def bounds(self) -> np.ndarray:
        reach = np.abs(self.rights) + np.abs(self.ups)
        return np.concatenate([(self.centres - reach).min(0), (self.centres + reach).max(0)])

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        """A canopy covers an ellipse of 0.84 of each disc, as its leaves do on average."""
        turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for k in self.levels():
            ring = self.centres[k] + 0.84 * (
                np.cos(turn)[:, None] * self.rights[k] + np.sin(turn)[:, None] * self.ups[k]
            )
            cv2.fillConvexPoly(mask, fixed((ring - origin) * scale), value, cv2.LINE_8, FRACTION_BITS)


Item = FaceItem | BuildingItem | TreeItem


def capsules(ends: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Eight-sided outlines `[S, 8, 2]` of thick lines; ends `[S, 2, 2]` and radii `[S]` in pixels."""
    along = ends[:, 1] - ends[:, 0]
    norm = np.linalg.norm(along, axis=1, keepdims=True)
    t = np.where(norm > 1e-6, along / np.maximum(norm, 1e-6), np.array([0.0, 1.0]))
    n = np.stack([-t[:, 1], t[:, 0]], -1)
    r = radii[:, None]
    a, b = ends[:, 0], ends[:, 1]
    return np.stack(
        [
            a - 0.45 * r * n - r * t,
            a - r * n - 0.3 * r * t,
            b - r * n + 0.3 * r * t,
            b - 0.45 * r * n + r * t,
            b + 0.45 * r * n + r * t,
            b + r * n + 0.3 * r * t,
            a + r * n - 0.3 * r * t,
            a + 0.45 * r * n - r * t,
        ],
        axis=1,
    )  # fmt: skip
