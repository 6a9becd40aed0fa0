"""Brings the thermal picture into the RGB picture's geometry with a map measured beforehand."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.types import ABSENT, FramePair, ValidRegion

# Pixels; a map that moves no corner by more than this is the identity.
_NEGLIGIBLE_PX = 1e-3
# Lens distortion is smooth: exact at every so many pixels and interpolated between them it is off by a few
# hundredths of a pixel, at a sixtieth of the time.
_TABLE_STEP = 8
# Undoing distortion has no formula; fixed-point steps converge to far below this for real lenses.
_UNDISTORT_STEPS = 40
_UNDISTORT_PX = 0.01


@dataclass(frozen=True)
class Lens:
    """A camera's lens: focal length and principal point in pixels (centres at whole numbers).

    distortion: k1, k2, p1, p2[, k3[, k4, k5, k6]] of the usual polynomial (OpenCV's order); () for none.
    """

    focal_px: tuple[float, float]
    centre_px: tuple[float, float]
    distortion: tuple[float, ...] = ()

    @property
    def matrix(self) -> np.ndarray:
        """3x3, from viewing rays to pixels of an undistorted picture."""
        (fx, fy), (cx, cy) = self.focal_px, self.centre_px
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    @property
    def distorts(self) -> bool:
        return any(self.distortion)

    def undistorted(self, pixels: np.ndarray) -> np.ndarray:
        """Where pixels `[N, 2]` would lie without distortion.

        Raises UsageError where the polynomial folds the picture over itself, as no lens does.
        """
        if not self.distorts:
            return pixels
        seen = (pixels - self.centre_px) / self.focal_px
        rays = seen
        for _ in range(_UNDISTORT_STEPS):
            scale, shift = self._polynomial(rays)
            rays = (seen - shift) / scale
        found = rays * self.focal_px + self.centre_px
        with np.errstate(invalid="ignore"):
            solved = np.abs(self.distorted(found) - pixels).max() < _UNDISTORT_PX
        if not solved:
            raise UsageError(
                f"distortion {list(self.distortion)} has no inverse over the whole picture; "
                "calibrate the lens with points near its corners, or leave the highest coefficient out"
            )
        return found

    def distorted(self, pixels: np.ndarray) -> np.ndarray:
        """Where pixels `[N, 2]` of an undistorted picture really lie."""
        if not self.distorts:
            return pixels
        rays = (pixels - self.centre_px) / self.focal_px
        scale, shift = self._polynomial(rays)
        return (rays * scale + shift) * self.focal_px + self.centre_px

    def _polynomial(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By what rays `[N, 2]` are scaled `[N, 1]` and shifted `[N, 2]`."""
        k1, k2, p1, p2, k3, k4, k5, k6 = (*self.distortion, *(0.0,) * 8)[:8]
        x, y = rays[:, :1], rays[:, 1:]
        r2 = x * x + y * y
        scale = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        shift_x = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        shift_y = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        return scale, np.hstack([shift_x, shift_y])


class Registration:
    """A fixed map from thermal pixels to RGB pixels (pixel centres at whole numbers).

    matrix: 3x3 homography. rgb_size, tir_size: (width, height) it was measured for; tir_size None takes any.
    lenses: of the RGB and the thermal camera, if they distort; the matrix then holds between pictures without
    distortion. The RGB picture stays as the camera gives it.
    Raises UsageError if the matrix cannot be such a map.
    """

    def __init__(
        self,
        matrix: np.ndarray,
        rgb_size: tuple[int, int],
        tir_size: tuple[int, int] | None = None,
        lenses: tuple[Lens, Lens] | None = None,
    ) -> None:
        self.matrix = _checked(matrix)
        self.rgb_size = rgb_size
        self.tir_size = tir_size
        self.lenses = lenses if lenses is not None and any(lens.distorts for lens in lenses) else None
        self._to_thermal = np.linalg.inv(self.matrix)
        corners = _corners(rgb_size)
        weights = corners @ self._to_thermal[2]
        if weights.min() <= 0 <= weights.max() or not np.isfinite(weights).all():
            raise UsageError(
                "registration matrix has its horizon inside the RGB picture; measure the registration again"
            )
        moved = (corners @ self._to_thermal.T)[:, :2] / weights[:, None]
        same = bool(np.abs(moved - corners[:, :2]).max() < _NEGLIGIBLE_PX)
        self._is_identity = same and self.lenses is None
        self._table = None if self.lenses is None else _remap_table(self._to_thermal, rgb_size, self.lenses)
        self._region: tuple[tuple[int, int], ValidRegion] | None = None

    @classmethod
    def identity(cls, rgb_size: tuple[int, int]) -> Registration:
        """For pictures that are aligned already."""
        return cls(np.eye(3), rgb_size)

    @classmethod
    def stretch(cls, tir_size: tuple[int, int], rgb_size: tuple[int, int]) -> Registration:
        """All of the thermal picture over all of the RGB picture, for recordings of equal view."""
        sx, sy = rgb_size[0] / tir_size[0], rgb_size[1] / tir_size[1]
        matrix = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        return cls(matrix, rgb_size, tir_size)

    def apply(self, pair: FramePair) -> FramePair:
        """The aligned pair; thermal must be uint8. Where the thermal camera does not see, its picture is 0.

        Aligned data of equal size are passed on without a copy. The blank of a camera that has given nothing
        yet takes the RGB picture's size. Raises EdgeRgbtError if the pictures are not of the size the
        registration was measured for.
        """
        tir = pair.tir
        if tir.sequence == ABSENT:
            if (tir.width, tir.height) != (pair.rgb.width, pair.rgb.height):
                blank = np.zeros((pair.rgb.height, pair.rgb.width), np.uint8)
                tir = dataclasses.replace(tir, image=blank)
            return dataclasses.replace(pair, tir=tir, aligned=True)
        size = (tir.width, tir.height)
        if (pair.rgb.width, pair.rgb.height) != self.rgb_size or self.tir_size not in (None, size):
            raise EdgeRgbtError(self._size_fault(pair))
        if self._is_identity and size == self.rgb_size:
            return dataclasses.replace(pair, aligned=True)
        region = self.valid_region(size)
        warped = self._warp(tir.image, cv2.INTER_LINEAR)
        return dataclasses.replace(
            pair,
            tir=dataclasses.replace(tir, image=warped),
            aligned=True,
            tir_region=None if region.everywhere else region,
        )

    def valid_region(self, tir_size: tuple[int, int] | None = None) -> ValidRegion:
        """Where in the RGB picture the thermal camera sees; made once per thermal size.

        tir_size: where the registration takes any. Raises EdgeRgbtError if the thermal picture lies wholly
        beside the RGB picture.
        """
        size = tir_size or self.tir_size or self.rgb_size
        if self._region is not None and self._region[0] == size:
            return self._region[1]
        # Bilinear reading at the very edge takes part of its value from outside; that is not measured.
        seen = self._warp(np.full((size[1], size[0]), 255, np.uint8), cv2.INTER_LINEAR) == 255
        if not seen.any():
            raise EdgeRgbtError(
                f"registration puts the {size[0]}x{size[1]} thermal picture wholly outside the RGB "
                "picture; measure the registration again"
            )
        self._region = (size, ValidRegion(seen))
        return self._region[1]

    def _warp(self, image: np.ndarray, interpolation: int) -> np.ndarray:
        if self._table is not None:
            return cv2.remap(image, *self._table, interpolation)
        flags = interpolation | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(image, self._to_thermal, self.rgb_size, flags=flags)

    def _size_fault(self, pair: FramePair) -> str:
        found = f"RGB {pair.rgb.width}x{pair.rgb.height}, thermal {pair.tir.width}x{pair.tir.height}"
        expected = f"RGB {self.rgb_size[0]}x{self.rgb_size[1]}"
        if self.tir_size is not None:
            expected += f", thermal {self.tir_size[0]}x{self.tir_size[1]}"
        return f"pictures are {found}; the registration is for {expected}: use the one measured for this size"


def _remap_table(
    to_thermal: np.ndarray, rgb_size: tuple[int, int], lenses: tuple[Lens, Lens]
) -> tuple[np.ndarray, np.ndarray]:
    """For every RGB pixel the thermal pixel to read, in OpenCV's fixed-point form."""
    width, height = rgb_size
    columns, rows = (math.ceil((side - 1) / _TABLE_STEP) + 1 for side in (width, height))
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    straight = lenses[0].undistorted(grid * float(_TABLE_STEP))
    moved = np.column_stack([straight, np.ones(len(straight))]) @ to_thermal.T
    coarse = lenses[1].distorted(moved[:, :2] / moved[:, 2:]).reshape(rows, columns, 2)
    # Between grid points: bilinear, sampled so that grid point k lies exactly on pixel k * _TABLE_STEP.
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) / _TABLE_STEP for side in (width, height)))
    fine = cv2.remap(coarse.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.convertMaps(fine, None, cv2.CV_16SC2)  # type: ignore[call-overload]


def _checked(matrix: np.ndarray) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise UsageError(f"registration matrix is {list(matrix.shape)}, expected 3x3 finite numbers")
    if matrix[2, 2] == 0 or np.linalg.cond(matrix) > 1e12:
        raise UsageError("registration matrix has no inverse; measure the registration again")
    return matrix / matrix[2, 2]


def _corners(size: tuple[int, int]) -> np.ndarray:
    """Homogeneous corner pixels `[4, 3]` of a picture."""
    right, bottom = size[0] - 1.0, size[1] - 1.0
    return np.array([[0, 0, 1], [right, 0, 1], [0, bottom, 1], [right, bottom, 1]], np.float64)
