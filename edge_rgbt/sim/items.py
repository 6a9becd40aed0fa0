"""What stands in view, ready to be drawn or masked: vehicles and people, buildings, trees."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.sim.buildings import Facade
from edge_rgbt.sim.drawing import FRACTION_BITS, fixed
from edge_rgbt.sim.objects import Mover
from edge_rgbt.sim.trees import SLICES

_TEXTURED_PX = 60  # area of the window below which a face gets a plain colour
_RING = np.linspace(0, 2 * np.pi, 16, endpoint=False)
_RING_COS, _RING_SIN = np.cos(_RING)[:, None], np.sin(_RING)[:, None]


@dataclass
class FaceItem:
    """A vehicle or a person: convex polygons in drawing order.

    box: bounds (x0, y0, x1, y1) in pixels. polygons: `[n, k, 2]` pixels; outlines: the same as `fixed` gives
    them; roles `[n]`; normals `[n, 3]` in the world; base: ground xy; shadow: pixels of ground points whose
    hull is the shadow, None for a camera that sees none.
    """

    depth: float
    box: list[float]
    mover: Mover
    polygons: np.ndarray
    outlines: np.ndarray
    roles: np.ndarray
    normals: np.ndarray
    base: np.ndarray
    height_px: float
    shadow: np.ndarray | None
    facing: float  # cosine between forward and the direction to the camera
    lamps: np.ndarray | None = None  # `[4, 2]`: head left and right, tail left and right
    beam: np.ndarray | None = None  # ground quad lit by the headlights

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        for points in fixed((self.polygons - origin) * scale):
            cv2.fillConvexPoly(mask, points, value, cv2.LINE_8, FRACTION_BITS)


@dataclass
class VisibleFace:
    """One face of a building.

    quad: its corners in pixels `[4, 2]`; outline: the same as `fixed` gives them, from the window's corner.
    level: which size of its pictures fits. window: the whole pixels (x0, y0, x1, y1) it lies in.
    to_texture: homography `[3, 3]` from pixels of the window to texture pixels.
    """

    facade: Facade
    quad: np.ndarray
    outline: np.ndarray
    level: int
    window: list[int]
    to_texture: np.ndarray

    @property
    def is_small(self) -> bool:
        """True when a plain colour does."""
        x0, y0, x1, y1 = self.window
        return self.facade.plain or (x1 - x0) * (y1 - y0) < _TEXTURED_PX


@dataclass
class BuildingItem:
    """box: bounds (x0, y0, x1, y1) in pixels."""

    depth: float
    box: list[float]
    faces: list[VisibleFace]

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        for face in self.faces:
            points = fixed((face.quad - origin) * scale)
            cv2.fillConvexPoly(mask, points, value, cv2.LINE_8, FRACTION_BITS)


@dataclass
class TreeItem:
    """A stack of discs.

    box: bounds (x0, y0, x1, y1) in pixels. centres, rights, ups: `[SLICES, 2]`, middle and half axes of each
    disc in pixels. trunk: `fixed` ends. windows: per disc the window (x0, y0, x1, y1) inside the image, empty
    when x1 <= x0 or y1 <= y0. to_sprite: per disc the affine map `[2, 3]` from pixels of the window to pixels
    of the leaf picture of size `mip`. size_px: half size of the widest.
    """

    depth: float
    box: list[float]
    index: int
    species: int
    centres: np.ndarray
    rights: np.ndarray
    ups: np.ndarray
    trunk: list[list[int]]
    windows: list[list[int]]
    to_sprite: np.ndarray
    size_px: float
    mip: int

    def levels(self) -> tuple[int, ...]:
        return tuple(range(SLICES)) if self.size_px > 40 else (0, 2, 4) if self.size_px > 16 else (1, 3)

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        """A canopy covers an ellipse of 0.84 of each disc, as its leaves do on average."""
        for k in self.levels():
            ring = self.centres[k] + 0.84 * (_RING_COS * self.rights[k] + _RING_SIN * self.ups[k])
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
