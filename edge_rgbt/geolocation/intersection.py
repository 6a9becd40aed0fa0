"""Where a line of sight meets the ground, and how uncertain that is (sections 8.4 and 8.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.geolocation.rotations import Vector, crossed

Covariance = tuple[float, float, float]  # of north and east: nn, ne, ee


@dataclass(frozen=True, slots=True)
class Plane:
    """The ground where the line of sight meets it. drop_m: how far below the camera; rise per metre north and
    east: 0 for flat ground."""

    drop_m: float
    north_rise: float = 0.0
    east_rise: float = 0.0


@dataclass(frozen=True, slots=True)
class Sigmas:
    """What the inputs are off by, one sigma each."""

    tilt_rad: float
    heading_rad: float
    height_m: float
    position_m: float
    time_s: float


@dataclass(frozen=True, slots=True)
class Movement:
    """How camera and line of sight move: what an error in time does."""

    velocity_ned_mps: Vector
    turn_rad_s: Vector  # about the axes of the earth frame


class Sight:
    """One line of sight from the camera onto a plane.

    direction: unit vector north-east-down, pointing below the horizon.
    """

    def __init__(self, direction: Vector, plane: Plane) -> None:
        self.direction = direction
        self.plane = plane
        self.range_m = plane.drop_m / direction[2]
        self.north_m = self.range_m * direction[0]
        self.east_m = self.range_m * direction[1]

    def covariance(
        self, pixel_turns: tuple[tuple[Vector, Vector], ...], sigmas: Sigmas, movement: Movement
    ) -> Covariance:
        """Of the point on the ground, by central differences through the intersection.

        pixel_turns: for right and down the directions one pixel sigma to either side.
        """
        gradients = [_half_difference(self._hit(a), self._hit(b)) for a, b in pixel_turns]
        d, small = self.direction, 1e-4
        for axis, sigma in (
            ((1.0, 0.0, 0.0), sigmas.tilt_rad),
            ((0.0, 1.0, 0.0), sigmas.tilt_rad),
            ((0.0, 0.0, 1.0), sigmas.heading_rad),
        ):
            turn = crossed(axis, d)
            ahead, behind = self._hit(_moved(d, turn, small)), self._hit(_moved(d, turn, -small))
            gradients.append(_half_difference(ahead, behind, sigma / small))
        if self.plane.north_rise == self.plane.east_rise == 0.0:
            gradients += [(sigmas.position_m, 0.0), (0.0, sigmas.position_m)]
        else:
            for north, east in ((1.0, 0.0), (0.0, 1.0)):
                ahead, behind = self._hit(d, (north, east, 0.0)), self._hit(d, (-north, -east, 0.0))
                gradients.append(_half_difference(ahead, behind, sigmas.position_m))
        higher, lower = self._hit(d, (0.0, 0.0, -0.1)), self._hit(d, (0.0, 0.0, 0.1))
        gradients.append(_half_difference(higher, lower, sigmas.height_m / 0.1))
        step_s = 1e-3
        (vn, ve, vd), turn = movement.velocity_ned_mps, crossed(movement.turn_rad_s, d)
        later = self._hit(_moved(d, turn, step_s), (vn * step_s, ve * step_s, vd * step_s))
        sooner = self._hit(_moved(d, turn, -step_s), (-vn * step_s, -ve * step_s, -vd * step_s))
        gradients.append(_half_difference(later, sooner, sigmas.time_s / step_s))
        return (
            sum(n * n for n, _ in gradients),
            sum(n * e for n, e in gradients),
            sum(e * e for _, e in gradients),
        )

    def _hit(self, d: Vector, camera: Vector = (0.0, 0.0, 0.0)) -> tuple[float, float]:
        """North and east of where another line, from a camera moved so far, meets the same plane."""
        a, b = self.plane.north_rise, self.plane.east_rise
        north, east, down = camera
        above = self.plane.drop_m - down - a * (north - self.north_m) - b * (east - self.east_m)
        # a line almost along the ground meets it nowhere; far away says so in the covariance
        reach = above / max(d[2] + a * d[0] + b * d[1], 1e-6)
        return north + reach * d[0], east + reach * d[1]


def largest_sigma(covariance: Covariance) -> float:
    """Square root of the larger eigenvalue: the long half axis of the one-sigma ellipse."""
    nn, ne, ee = covariance
    return math.sqrt((nn + ee) / 2 + math.hypot((nn - ee) / 2, ne))


def _moved(d: Vector, along: Vector, amount: float) -> Vector:
    return (d[0] + along[0] * amount, d[1] + along[1] * amount, d[2] + along[2] * amount)


def _half_difference(
    ahead: tuple[float, float], behind: tuple[float, float], scale: float = 1.0
) -> tuple[float, float]:
    return (ahead[0] - behind[0]) / 2 * scale, (ahead[1] - behind[1]) / 2 * scale
