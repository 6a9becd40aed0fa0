"""From a pixel of the tracked picture to the direction in which the camera sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.errors import UsageError
from edge_rgbt.register import Lens
from edge_rgbt.rig import RigCamera

# Undoing distortion has no formula; real lenses need five to fifteen steps.
_MOST_STEPS = 40
_CONVERGED = 1e-9  # in units of the focal length: a millionth of a pixel


@dataclass(frozen=True, slots=True)
class Optics:
    """One lens for pictures of one size, as plain numbers: `Lens` works on arrays and takes a millisecond.

    Pixel positions here count from the picture's corner, as boxes do; the centre of the first pixel is 0.5.
    """

    width: int
    height: int
    focal_x: float
    focal_y: float
    centre_x: float
    centre_y: float
    distortion: tuple[float, ...] = ()

    @classmethod
    def from_field_of_view(cls, hfov_deg: float, width: int, height: int) -> Optics:
        """Square pixels, principal point in the middle, no distortion."""
        focal = width / 2 / math.tan(math.radians(hfov_deg) / 2)
        return cls(width, height, focal, focal, width / 2, height / 2)

    @classmethod
    def from_lens(cls, lens: Lens, width: int, height: int) -> Optics:
        (fx, fy), (cx, cy) = lens.focal_px, lens.centre_px
        # a lens counts from the centre of the first pixel
        distortion = (*lens.distortion, *(0.0,) * 8)[:8] if lens.distorts else ()
        return cls(width, height, fx, fy, cx + 0.5, cy + 0.5, distortion)

    def hfov_deg(self) -> float:
        """Across the whole picture, distortion left aside."""
        right = (self.width - self.centre_x) / self.focal_x
        return math.degrees(math.atan(right) + math.atan(self.centre_x / self.focal_x))

    def vfov_deg(self) -> float:
        down = (self.height - self.centre_y) / self.focal_y
        return math.degrees(math.atan(down) + math.atan(self.centre_y / self.focal_y))

    def slopes(self, u: float, v: float) -> tuple[float, float] | None:
        """How far right and down a pixel is seen at distance 1; None where the distortion has no inverse."""
        x, y = (u - self.centre_x) / self.focal_x, (v - self.centre_y) / self.focal_y
        return (x, y) if not self.distortion else self._undistorted(x, y)

    def _undistorted(self, seen_x: float, seen_y: float) -> tuple[float, float] | None:
        k1, k2, p1, p2, k3, k4, k5, k6 = self.distortion
        x, y = seen_x, seen_y
        for _ in range(_MOST_STEPS):
            r2 = x * x + y * y
            bend = 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
            scale = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / bend if bend else 0.0
            if not 0.05 < scale < 20 or not r2 < 100:  # the polynomial has left its picture
                return None
            next_x = (seen_x - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / scale
            next_y = (seen_y - p1 * (r2 + 2 * y * y) - 2 * p2 * x * y) / scale
            step = abs(next_x - x) + abs(next_y - y)
            x, y = next_x, next_y
            if step < _CONVERGED:
                return x, y
        return None


class OpticsBook:
    """The optics for any picture size, from a calibration or a field of view. Raises UsageError."""

    def __init__(self, camera: RigCamera | None = None, hfov_deg: float | None = None) -> None:
        if hfov_deg is None and (camera is None or camera.lens is None):
            raise UsageError(
                "geolocation needs the camera's lens: calibrate it, or give geolocation.hfov_deg"
            )
        self._camera = camera if camera is not None and camera.lens is not None else None
        self._hfov_deg = hfov_deg
        self._known: dict[tuple[int, int], Optics | None] = {}

    def optics(self, width: int, height: int) -> Optics | None:
        """None if the calibration is not for pictures of this size."""
        size = (width, height)
        if size not in self._known:
            self._known = {size: self._made(size)}  # a camera keeps its size; nothing piles up
        return self._known[size]

    def _made(self, size: tuple[int, int]) -> Optics | None:
        if self._hfov_deg is not None:
            return Optics.from_field_of_view(self._hfov_deg, *size)
        assert self._camera is not None
        if not self._camera.fits(size):
            return None
        lens = self._camera.scaled(size).lens
        assert lens is not None
        return Optics.from_lens(lens, *size)
