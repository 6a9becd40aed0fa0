"""Which box an operator means by a point or a rectangle, and why some are refused (section 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.mavlink.camera.control import Picture
from edge_rgbt.mavlink.camera.profile import StartRules
from edge_rgbt.mavlink.camera.target import View
from edge_rgbt.types import Box

STALE_PICTURE_NS = 1_000_000_000
_OUTSIDE = 0.05
_SLACK = 1e-6  # fractions come as float32


class Refused(Exception):
    """A selection that cannot be. for_now: the same one may be taken later."""

    def __init__(self, reason: str, for_now: bool = False) -> None:
        super().__init__(reason)
        self.for_now = for_now


@dataclass(frozen=True, slots=True)
class Selector:
    """From fractions of the main stream's picture to a box in pixels of the tracker's. view: the part of the
    tracker's picture that the stream shows."""

    rules: StartRules
    view: View

    def usable(self, picture: Picture | None, now_ns: int) -> Picture:
        """The picture to start on. Raises Refused without one younger than a second."""
        if picture is None:
            raise Refused("the tracker is not ready", for_now=True)
        if now_ns - picture.captured_ns > STALE_PICTURE_NS:
            raise Refused("no new picture for a second", for_now=True)
        return picture

    def rectangle(self, corners: tuple[float, ...], picture: Picture) -> Box:
        """Of two opposite corners (x, y, x, y), in any order. Raises Refused."""
        x1, y1, x2, y2 = _inside(corners)
        left, right = self._across(sorted((x1, x2)), picture)
        top, bottom = self._down(sorted((y1, y2)), picture)
        width, height = right - left, bottom - top
        least_area = self.rules.min_share * picture.width * picture.height
        if (
            min(width, height) < self.rules.min_side_px - _SLACK * picture.width
            or width * height < least_area
        ):
            raise Refused(f"the box is too small, {width:.0f} x {height:.0f} px")
        return Box(left, top, width, height)

    def point(self, x: float, y: float, radius: float, picture: Picture) -> Box:
        """A box round a point; radius as a share of the stream's width, NaN or 0 for the usual one. Raises
        Refused."""
        x, y = _inside((x, y))
        if math.isinf(radius) or not (math.isnan(radius) or 0 <= radius <= 1):
            raise Refused(f"a radius of {radius:g} is not a share of the picture")
        if math.isnan(radius) or radius == 0:
            radius = self.rules.point_radius
        scale = (self.view[2] - self.view[0]) * picture.width
        half = max(radius * scale, self.rules.min_side_px / 2)
        (centre_x,), (centre_y,) = self._across([x], picture), self._down([y], picture)
        left, right = _clipped(centre_x - half, centre_x + half, picture.width, self.rules.min_side_px)
        top, bottom = _clipped(centre_y - half, centre_y + half, picture.height, self.rules.min_side_px)
        return Box(left, top, right - left, bottom - top)

    def _across(self, fractions: list[float], picture: Picture) -> list[float]:
        return _mapped(fractions, self.view[0], self.view[2], picture.width)

    def _down(self, fractions: list[float], picture: Picture) -> list[float]:
        return _mapped(fractions, self.view[1], self.view[3], picture.height)


def _inside(fractions: tuple[float, ...]) -> tuple[float, ...]:
    """Clipped to the picture where they are a little outside. Raises Refused for anything else."""
    if not all(map(math.isfinite, fractions)):
        raise Refused("a coordinate is missing or not a number")
    if not all(-_OUTSIDE - _SLACK <= one <= 1 + _OUTSIDE + _SLACK for one in fractions):
        raise Refused("the selection lies outside the picture")
    return tuple(min(max(one, 0.0), 1.0) for one in fractions)


def _mapped(fractions: list[float], low: float, high: float, pixels: int) -> list[float]:
    """Fractions of the stream as pixels of the tracker's picture, which may end before the stream's does."""
    return [min(max(low + one * (high - low), 0.0), 1.0) * pixels for one in fractions]


def _clipped(low: float, high: float, pixels: int, least: float) -> tuple[float, float]:
    """Inside 0..pixels, and at least so long where there is room."""
    low, high = max(low, 0.0), min(high, float(pixels))
    if high - low < least:
        low = min(low, max(pixels - least, 0.0))
        high = min(low + least, float(pixels))
    return low, high
