"""Where the target is seen from the camera: yaw from north, pitch from the horizon, and how both change."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SETTLE_S = 0.25  # time constant of the filter
_LONGEST_GAP_NS = 500_000_000
_SMALLEST_COSINE = 0.2  # of the pitch: nearer to straight down a yaw error says nothing


@dataclass(frozen=True, slots=True)
class CameraAngles:
    """Radians: roll clockwise as the camera sees it, pitch up from the horizon, yaw from north."""

    roll_rad: float
    pitch_rad: float
    yaw_rad: float


@dataclass(frozen=True, slots=True)
class Sighting:
    """The middle of the box in one picture, as angles right and down of the optical axis (undistorted).

    confirmed: by this picture, not predicted.
    """

    captured_ns: int
    right_rad: float
    down_rad: float
    confirmed: bool = True


def wrapped(angle_rad: float) -> float:
    """The same direction within -pi..pi."""
    return math.remainder(angle_rad, math.tau)


def direction(sighting: Sighting, camera: CameraAngles) -> tuple[float, float]:
    """Yaw and pitch of the target; camera: where it looked when the picture was taken.

    The error is turned by the camera's roll, and its horizontal part widened by the pitch (9.2).
    """
    cos, sin = math.cos(camera.roll_rad), math.sin(camera.roll_rad)
    right = sighting.right_rad * cos - sighting.down_rad * sin
    down = sighting.right_rad * sin + sighting.down_rad * cos
    widened = right / max(math.cos(camera.pitch_rad), _SMALLEST_COSINE)
    return camera.yaw_rad + widened, camera.pitch_rad - down


class _Axis:
    """A filtered angle and its rate, from noisy angles (alpha-beta, critically damped)."""

    def __init__(self, angle_rad: float) -> None:
        self.angle_rad, self.rate_rad_s = angle_rad, 0.0

    def update(self, angle_rad: float, elapsed_s: float) -> None:
        kept = math.exp(-elapsed_s / _SETTLE_S)
        expected = self.angle_rad + self.rate_rad_s * elapsed_s
        surprise = wrapped(angle_rad - expected)
        self.angle_rad = expected + (1 - kept * kept) * surprise
        self.rate_rad_s += (1 - kept) ** 2 * surprise / elapsed_s


class LineOfSight:
    """Follows the direction from picture to picture; rates are learned from confirmed pictures only."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets the target."""
        self._axes: tuple[_Axis, _Axis] | None = None
        self._at_ns = 0
        self.confirmed_ns = 0

    def see(self, sighting: Sighting, camera: CameraAngles) -> None:
        """Takes in one picture; one that is not newer than the last is passed over."""
        if not sighting.confirmed or sighting.captured_ns <= self._at_ns:
            return
        yaw, pitch = direction(sighting, camera)
        elapsed_ns = sighting.captured_ns - self._at_ns
        if self._axes is None or elapsed_ns > _LONGEST_GAP_NS:
            self._axes = (_Axis(yaw), _Axis(pitch))
        else:
            for axis, angle in zip(self._axes, (yaw, pitch), strict=True):
                axis.update(angle, elapsed_ns * 1e-9)
        self._at_ns = self.confirmed_ns = sighting.captured_ns

    @property
    def known(self) -> bool:
        return self._axes is not None

    def at(self, t_ns: int) -> tuple[float, float]:
        """Expected yaw and pitch at a time; only while known."""
        assert self._axes is not None
        ahead_s = (t_ns - self._at_ns) * 1e-9
        yaw, pitch = self._axes
        return yaw.angle_rad + yaw.rate_rad_s * ahead_s, pitch.angle_rad + pitch.rate_rad_s * ahead_s

    @property
    def rates(self) -> tuple[float, float]:
        """Of yaw and pitch, radians per second; zero while nothing is known."""
        if self._axes is None:
            return 0.0, 0.0
        return self._axes[0].rate_rad_s, self._axes[1].rate_rad_s
