"""How the camera sits on the vehicle and how targets are located: the tables [mount] and [geolocation]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HeightSource = Literal["elevation", "terrain", "rangefinder", "home", "fixed"]
Class = Literal["vehicle", "person"]
Triple = tuple[float, float, float]


def _require(settings: object, name: str, low: float, high: float) -> None:
    """A number within limits, or none."""
    value = getattr(settings, name)
    if value is not None and not low <= value <= high:
        raise ValueError(f"{name} is {value:g}, expected {low:g} to {high:g}")


@dataclass(frozen=True)
class MountSettings:
    """The camera on the vehicle. Angles are roll, pitch, yaw in degrees: pitch -90 looks down.

    kind: a `gimbal` that reports its attitude, or `fixed` to the airframe at attitude_deg. gimbal_component:
    whose report counts; left out, that of the first that is heard. misalignment_deg: of the camera against
    what the gimbal reports, calibrated. lever_arm_m: from the vehicle's reference point to the camera,
    forward, right, down. The sigmas are of roll and pitch, and of the heading.
    """

    kind: Literal["gimbal", "fixed"] = "gimbal"
    attitude_deg: Triple = (0.0, 0.0, 0.0)
    gimbal_component: int | None = None
    misalignment_deg: Triple = (0.0, 0.0, 0.0)
    lever_arm_m: Triple = (0.0, 0.0, 0.0)
    tilt_sigma_deg: float = 0.5
    heading_sigma_deg: float = 2.0

    def __post_init__(self) -> None:
        for name, limit in (("attitude_deg", 360.0), ("misalignment_deg", 20.0), ("lever_arm_m", 50.0)):
            values = getattr(self, name)
            if max(map(abs, values)) > limit:
                raise ValueError(f"{name} is {list(values)}, expected at most {limit:g} each")
        _require(self, "gimbal_component", 1, 250)
        _require(self, "tilt_sigma_deg", 0.01, 20)
        _require(self, "heading_sigma_deg", 0.01, 45)


@dataclass(frozen=True)
class GeolocationSettings:
    """Where the ground is, how much each input is believed, and when no position is given.

    hfov_deg: of the RGB picture; left out, the calibration's lens is used. heights: sources of the ground's
    height, the first fresh one counts. `elevation` needs elevation_file (any raster with heights above mean
    sea level), `fixed` needs target_altitude_m (the same); without, they are passed over. `home` takes the
    ground to be as high as home.
    target: decides how quickly it may change its course. target_height_m: the box's middle is taken to lie
    half as high above the ground; 0 puts it on the ground.
    link_latency_ms: of telemetry whose time cannot be told (no clock offset, another device's clock), and how
    far that may be off. capture_sigma_ms: of the pictures' own times.
    coast_ms: for so long a target that is not seen keeps a position.
    """

    hfov_deg: float | None = None
    heights: tuple[HeightSource, ...] = ("elevation", "terrain", "rangefinder", "home", "fixed")
    elevation_file: Path | None = None
    target_altitude_m: float | None = None
    elevation_sigma_m: float = 3.0
    terrain_sigma_m: float = 3.0
    rangefinder_sigma_m: float = 0.5
    home_sigma_m: float = 5.0
    fixed_sigma_m: float = 10.0
    target: Class = "vehicle"
    target_height_m: float = 0.0
    link_latency_ms: float = 20.0
    link_latency_sigma_ms: float = 40.0
    capture_sigma_ms: float = 5.0
    min_depression_deg: float = 3.0
    max_range_m: float = 1000.0
    max_horizontal_sigma_m: float = 50.0
    coast_ms: float = 500.0

    def __post_init__(self) -> None:
        if not self.heights or len(set(self.heights)) < len(self.heights):
            raise ValueError(f"heights is {list(self.heights)}, expected each source once, at least one")
        if self.heights == ("elevation",) and self.elevation_file is None:
            raise ValueError("heights asks for elevation alone, which needs elevation_file")
        if self.heights == ("fixed",) and self.target_altitude_m is None:
            raise ValueError("heights asks for fixed alone, which needs target_altitude_m")
        for name, low, high in (
            ("hfov_deg", 0.5, 175),
            ("target_altitude_m", -500, 9000),
            ("elevation_sigma_m", 0.01, 100),
            ("terrain_sigma_m", 0.01, 100),
            ("rangefinder_sigma_m", 0.01, 100),
            ("home_sigma_m", 0.01, 1000),
            ("fixed_sigma_m", 0.01, 1000),
            ("target_height_m", 0, 20),
            ("link_latency_ms", 0, 1000),
            ("link_latency_sigma_ms", 0, 1000),
            ("capture_sigma_ms", 0, 1000),
            ("min_depression_deg", 0.5, 89),
            ("max_range_m", 1, 20_000),
            ("max_horizontal_sigma_m", 0.1, 1000),
            ("coast_ms", 0, 2000),
        ):
            _require(self, name, low, high)
