"""Pinhole geometry: where a point of the world lands in an image, and which ground point a pixel sees.

World: metres, x east, y north, z up. Attitude: yaw clockwise from north, pitch up, roll right; degrees.
Image: x right, y down, pixel centres at whole numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    """World-to-camera rotation `[3, 3]`; rows are the camera's right, down and forward axes."""
    (sy, cy), (sp, cp), (s, c) = (
        (math.sin(a), math.cos(a))
        for a in (math.radians(yaw_deg), math.radians(pitch_deg), math.radians(roll_deg))
    )
    level = np.array([[cy, -sy, 0.0], [sp * sy, sp * cy, -cp], [sy * cp, cy * cp, sp]])  # without the roll
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]]) @ level


def small_rotation(x_rad: float, y_rad: float, z_rad: float) -> np.ndarray:
    """Rotation by small angles about the camera's own axes (exact, by Rodrigues' formula)."""
    axis = np.array([x_rad, y_rad, z_rad])
    angle = float(np.linalg.norm(axis))
    if angle < 1e-12:
        return np.eye(3)
    k = axis / angle
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


@dataclass(frozen=True)
class Intrinsics:
    """Size in pixels and focal length in pixels (square pixels, principal point in the middle)."""

    width: int
    height: int
    focal_px: float

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_fov_deg: float) -> Intrinsics:
        return cls(width, height, width / 2 / float(np.tan(np.radians(horizontal_fov_deg) / 2)))

    @cached_property
    def matrix(self) -> np.ndarray:
        cx, cy = (self.width - 1) / 2, (self.height - 1) / 2
        return np.array([[self.focal_px, 0, cx], [0, self.focal_px, cy], [0, 0, 1]])

    @property
    def horizontal_fov_deg(self) -> float:
        return float(np.degrees(2 * np.arctan(self.width / 2 / self.focal_px)))


@dataclass(frozen=True)
class View:
    """A camera at one moment: intrinsics, position `[3]` and world-to-camera rotation `[3, 3]`."""

    intrinsics: Intrinsics
    position: np.ndarray
    rotation: np.ndarray

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels `[..., 2]` and depths `[...]` in metres of points `[..., 3]`; depth <= 0 lies behind."""
        camera = (points - self.position) @ self.rotation.T
        depth = camera[..., 2]
        safe = np.where(depth > 0.5, depth, 0.5)
        k = self.intrinsics
        scale = k.focal_px / safe
        pixels = camera[..., :2] * scale[..., None]
        pixels += ((k.width - 1) / 2, (k.height - 1) / 2)
        return pixels, depth

    def ground_to_image(self) -> np.ndarray:
        """Homography `[3, 3]` from ground metres (x, y, z = 0) to pixels."""
        columns = np.stack([self.rotation[:, 0], self.rotation[:, 1], -self.rotation @ self.position], axis=1)
        return self.intrinsics.matrix @ columns

    def ground_point(self, x_px: float, y_px: float) -> np.ndarray | None:
        """The ground point `[2]` that a pixel sees; None above the horizon."""
        k = self.intrinsics
        ray = np.array(
            [(x_px - (k.width - 1) / 2) / k.focal_px, (y_px - (k.height - 1) / 2) / k.focal_px, 1.0]
        )
        direction = self.rotation.T @ ray
        if direction[2] >= -1e-3:
            return None
        return (self.position - direction * (self.position[2] / direction[2]))[:2]

    def footprint(self, farthest_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest x, y `[2]` of the ground in view, no farther than `farthest_m` away."""
        k = self.intrinsics
        x, y = k.width / 2 / k.focal_px, k.height / 2 / k.focal_px
        rays = np.array([[-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]]) @ self.rotation
        down = np.maximum(-rays[:, 2], 1e-6)
        spots = rays[:, :2] * (self.position[2] / down)[:, None]
        length = np.sqrt((spots**2).sum(1))
        spots *= np.minimum(1.0, farthest_m / np.maximum(length, 1e-6))[:, None]
        return spots.min(0) + self.position[:2], spots.max(0) + self.position[:2]
