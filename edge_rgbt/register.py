"""Brings the thermal picture into the RGB picture's geometry with a homography measured beforehand."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.types import FramePair

# Pixels; a map that moves no corner by more than this is the identity.
_NEGLIGIBLE_PX = 1e-3


class Registration:
    """A fixed map from thermal pixels to RGB pixels (pixel centres at whole numbers).

    matrix: 3x3 homography. rgb_size, tir_size: (width, height) it was measured for; tir_size None takes any.
    Raises UsageError if the matrix cannot be such a map.
    """

    def __init__(
        self, matrix: np.ndarray, rgb_size: tuple[int, int], tir_size: tuple[int, int] | None = None
    ) -> None:
        self.matrix = _checked(matrix)
        self.rgb_size = rgb_size
        self.tir_size = tir_size
        self._to_thermal = np.linalg.inv(self.matrix)
        corners = _corners(rgb_size)
        weights = corners @ self._to_thermal[2]
        if weights.min() <= 0 <= weights.max() or not np.isfinite(weights).all():
            raise UsageError(
                "registration matrix has its horizon inside the RGB picture; measure the registration again"
            )
        moved = (corners @ self._to_thermal.T)[:, :2] / weights[:, None]
        self._is_identity = bool(np.abs(moved - corners[:, :2]).max() < _NEGLIGIBLE_PX)
        self._seen_from: tuple[int, int] | None = None

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

        Aligned data of equal size are passed on without a copy. Raises EdgeRgbtError if the pictures are not
        of the size the registration was measured for.
        """
        tir = pair.tir
        size = (tir.width, tir.height)
        if (pair.rgb.width, pair.rgb.height) != self.rgb_size or self.tir_size not in (None, size):
            raise EdgeRgbtError(self._size_fault(pair))
        if self._is_identity and size == self.rgb_size:
            return dataclasses.replace(pair, aligned=True)
        if self._seen_from != size:
            self._require_overlap(size)
        warped = cv2.warpPerspective(
            tir.image, self._to_thermal, self.rgb_size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        return FramePair(pair.rgb, dataclasses.replace(tir, image=warped), aligned=True)

    def _require_overlap(self, tir_size: tuple[int, int]) -> None:
        """Raises if the thermal picture lies wholly beside the RGB picture; asked once per thermal size."""
        mask = np.full((tir_size[1], tir_size[0]), 255, np.uint8)
        seen = cv2.warpPerspective(
            mask, self._to_thermal, self.rgb_size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        )
        if not seen.any():
            raise EdgeRgbtError(
                f"registration puts the {tir_size[0]}x{tir_size[1]} thermal picture wholly outside the RGB "
                "picture; measure the registration again"
            )
        self._seen_from = tir_size

    def _size_fault(self, pair: FramePair) -> str:
        found = f"RGB {pair.rgb.width}x{pair.rgb.height}, thermal {pair.tir.width}x{pair.tir.height}"
        expected = f"RGB {self.rgb_size[0]}x{self.rgb_size[1]}"
        if self.tir_size is not None:
            expected += f", thermal {self.tir_size[0]}x{self.tir_size[1]}"
        return f"pictures are {found}; the registration is for {expected}: use the one measured for this size"


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
