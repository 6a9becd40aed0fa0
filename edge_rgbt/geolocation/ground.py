"""How high the ground is where the camera looks: the sources of section 8.3 in the configured order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.errors import UsageError
from edge_rgbt.geolocation.elevation import ElevationFile
from edge_rgbt.geolocation.intersection import Plane
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.rotations import Vector, up_share
from edge_rgbt.geolocation.settings import GeolocationSettings, HeightSource
from edge_rgbt.geolocation.telemetry import USUAL_VERTICAL_M, Moment

_STEEPEST_RANGE = math.cos(math.radians(45))  # a sensor tilted farther does not measure the height
_RANGE_SHARE = 0.01  # a rangefinder is off by its sigma and this share of what it measures


@dataclass(frozen=True, slots=True)
class CameraPlace:
    """Where the camera is; altitude above mean sea level."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground in sight. sigma_m: of its height; drop_sigma_m: of the camera's height above it."""

    plane: Plane
    sigma_m: float
    drop_sigma_m: float
    source: HeightSource


class GroundHeights:
    """Asks the sources one after the other.

    base: folder where a relative elevation_file starts. Raises UsageError if that file cannot be used.
    """

    def __init__(self, settings: GeolocationSettings, base: Path | None = None) -> None:
        self._settings = settings
        self._file: ElevationFile | None = None
        self._sources = {
            "elevation": self._from_file,
            "terrain": self._from_terrain,
            "rangefinder": self._from_range,
            "home": self._from_home,
            "fixed": self._fixed,
        }
        if settings.elevation_file is not None and "elevation" in settings.heights:
            path = settings.elevation_file if base is None else base / settings.elevation_file
            if not path.is_file():
                raise UsageError(f"{path}: no such elevation file; see geolocation.elevation_file")
            self._file = ElevationFile(path, settings.max_range_m)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def seen(self, moment: Moment, camera: CameraPlace, direction: Vector) -> Ground | NoPosition:
        """The ground along a line of sight by the first source that has it."""
        for name in self._settings.heights:
            found = self._sources[name](moment, camera, direction)
            if found is not None:
                return found
        return NoPosition.NO_GROUND

    def _flat(
        self, altitude_m: float, camera: CameraPlace, sigma: float, drop_sigma: float, source: HeightSource
    ) -> Ground:
        aim = self._settings.target_height_m / 2
        return Ground(Plane(camera.altitude_m - altitude_m - aim), sigma, drop_sigma, source)

    def _from_file(
        self, moment: Moment, camera: CameraPlace, direction: Vector
    ) -> Ground | NoPosition | None:
        patch = None
        if self._file is not None:
            patch = self._file.around(camera.latitude_deg, camera.longitude_deg)
        if patch is None:
            return None
        north, east = patch.frame.metres(camera.latitude_deg, camera.longitude_deg)
        aim = self._settings.target_height_m / 2
        hit = patch.meet((north, east, camera.altitude_m - aim), direction, self._settings.max_range_m)
        if hit is None or isinstance(hit, NoPosition):
            return hit
        plane = Plane(camera.altitude_m - aim - hit.altitude_m, hit.north_rise, hit.east_rise)
        sigma = self._settings.elevation_sigma_m
        return Ground(plane, sigma, math.hypot(sigma, _vertical_m(moment)), "elevation")

    def _from_terrain(self, moment: Moment, camera: CameraPlace, direction: Vector) -> Ground | None:
        told = moment.terrain
        if told is None:
            return None
        # the autopilot's own height above its map: an error of its altitude is in both and drops out
        sigma = self._settings.terrain_sigma_m
        return self._flat(told.position.altitude_m - told.height_m, camera, sigma, sigma, "terrain")

    def _from_range(self, moment: Moment, camera: CameraPlace, direction: Vector) -> Ground | None:
        told = moment.range
        if told is None or told.attitude is None:
            return None
        upright = up_share(told.attitude)
        if upright < _STEEPEST_RANGE:
            return None
        height = told.height_m * upright
        sigma = self._settings.rangefinder_sigma_m + _RANGE_SHARE * height
        return self._flat(told.position.altitude_m - height, camera, sigma, sigma, "rangefinder")

    def _from_home(self, moment: Moment, camera: CameraPlace, direction: Vector) -> Ground | None:
        if moment.position is None:
            return None
        position, sigma = moment.position.value, self._settings.home_sigma_m
        return self._flat(position.altitude_m - position.relative_m, camera, sigma, sigma, "home")

    def _fixed(self, moment: Moment, camera: CameraPlace, direction: Vector) -> Ground | None:
        altitude, sigma = self._settings.target_altitude_m, self._settings.fixed_sigma_m
        if altitude is None:
            return None
        return self._flat(altitude, camera, sigma, math.hypot(sigma, _vertical_m(moment)), "fixed")


def _vertical_m(moment: Moment) -> float:
    """How uncertain the vehicle's own altitude above sea level is."""
    return USUAL_VERTICAL_M if moment.fix is None else moment.fix.vertical_m
