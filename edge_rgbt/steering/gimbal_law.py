"""From where the target was seen to how fast the gimbal shall turn (9.2).

What was seen is old when it is known: the camera's attitude at capture gives the target's direction, and the
error is measured from the attitude of now, so that motion made in between is not commanded twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.steering.line_of_sight import CameraAngles, LineOfSight, Sighting, wrapped
from edge_rgbt.steering.settings import GimbalSettings

COAST_NS = 500_000_000
NADIR_RAD = math.radians(80)
_LONGEST_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Rates:
    """Radians per second: pitch up positive, yaw right positive and from north."""

    pitch_rad_s: float = 0.0
    yaw_rad_s: float = 0.0

    @property
    def zero(self) -> bool:
        return self.pitch_rad_s == 0.0 and self.yaw_rad_s == 0.0


STILL = Rates()


@dataclass(frozen=True, slots=True)
class Travel:
    """How far the gimbal turns: pitch from the horizon, yaw from the vehicle's nose. None: no limit known."""

    pitch_low_rad: float | None = None
    pitch_high_rad: float | None = None
    yaw_low_rad: float | None = None
    yaw_high_rad: float | None = None


class GimbalLaw:
    """Owns the line of sight and the last command, which acceleration is counted from."""

    def __init__(self, settings: GimbalSettings) -> None:
        self.settings = settings
        self.sight = LineOfSight()
        self._last, self._last_ns = STILL, 0
        self._coasting = False

    def reset(self) -> None:
        """Another target, or none: nothing of the old one counts."""
        self.sight.reset()

    def still(self, now_ns: int) -> Rates:
        """The command to stop, at once: no limit of acceleration holds it up."""
        self._last, self._last_ns = STILL, now_ns
        return STILL

    def see(self, sighting: Sighting, camera: CameraAngles) -> None:
        """Takes in one tracked picture; camera: its attitude when the picture was taken."""
        self._coasting = not sighting.confirmed
        self.sight.see(sighting, camera)

    def rates(self, now_ns: int, camera: CameraAngles, nose_yaw_rad: float | None, travel: Travel) -> Rates:
        """The command for now. camera: its attitude now; nose_yaw_rad: its yaw from the vehicle's nose."""
        wanted = self._wanted(now_ns, camera)
        if abs(camera.pitch_rad) > NADIR_RAD:
            wanted = Rates(wanted.pitch_rad_s, 0.0)  # near straight down yaw turns the picture, no more
        elapsed_s = min((now_ns - self._last_ns) * 1e-9, _LONGEST_STEP_S)
        step = math.radians(self.settings.acceleration_deg_s2) * max(elapsed_s, 0.0)
        limit = math.radians(self.settings.rate_deg_s)

        def limited(value: float, before: float) -> float:
            return _clamped(_clamped(value, before - step, before + step), -limit, limit)

        soft = math.radians(self.settings.soft_stop_deg)
        pitch = limited(wanted.pitch_rad_s, self._last.pitch_rad_s)
        yaw = limited(wanted.yaw_rad_s, self._last.yaw_rad_s)
        pitch *= _room(camera.pitch_rad, pitch, travel.pitch_low_rad, travel.pitch_high_rad, soft)
        if nose_yaw_rad is not None:
            yaw *= _room(nose_yaw_rad, yaw, travel.yaw_low_rad, travel.yaw_high_rad, soft)
        self._last, self._last_ns = Rates(pitch, yaw), now_ns
        return self._last

    def _wanted(self, now_ns: int, camera: CameraAngles) -> Rates:
        """Before any limit."""
        if not self.sight.known:
            return STILL
        yaw_rate, pitch_rate = self.sight.rates
        unconfirmed_ns = now_ns - self.sight.confirmed_ns
        if self._coasting:
            share = max(0.0, 1.0 - unconfirmed_ns / COAST_NS)
            return Rates(pitch_rate * share, yaw_rate * share)
        yaw, pitch = self.sight.at(now_ns)
        gain, band = self.settings.gain_per_s, math.radians(self.settings.dead_band_deg)
        right, up = wrapped(yaw - camera.yaw_rad), pitch - camera.pitch_rad
        # The dead band is one of the picture, where a turn about the vertical shows shortened.
        seen = right * max(math.cos(camera.pitch_rad), 0.2)
        return Rates(
            pitch_rate + (gain * up if abs(up) > band else 0.0),
            yaw_rate + (gain * right if abs(seen) > band else 0.0),
        )


def _clamped(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _room(angle: float, rate: float, low: float | None, high: float | None, soft: float) -> float:
    """Share of the rate that is left near the end of travel: none at it, all from `soft` before it on."""
    left = None
    if rate > 0 and high is not None:
        left = high - angle
    elif rate < 0 and low is not None:
        left = angle - low
    if left is None:
        return 1.0
    return _clamped(left / soft, 0.0, 1.0) if soft > 0 else float(left > 0)
