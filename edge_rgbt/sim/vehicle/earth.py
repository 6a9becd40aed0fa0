"""Metres around a home position, and degrees on the WGS84 ellipsoid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

EQUATOR_M = 6_378_137.0
ECCENTRICITY_SQUARED = 6.694379990141e-3


@dataclass(frozen=True)
class Home:
    """The origin of the vehicle's local frame: degrees and metres above mean sea level."""

    latitude_deg: float = 47.397742
    longitude_deg: float = 8.545594
    altitude_m: float = 488.0

    @cached_property
    def metres_per_deg(self) -> tuple[float, float]:
        """Along the meridian and along the parallel, from the radii of curvature at this latitude."""
        latitude = math.radians(self.latitude_deg)
        bend = 1 - ECCENTRICITY_SQUARED * math.sin(latitude) ** 2
        meridian = EQUATOR_M * (1 - ECCENTRICITY_SQUARED) / bend**1.5
        normal = EQUATOR_M / math.sqrt(bend)
        return math.radians(meridian), math.radians(normal * math.cos(latitude))

    def degrees(self, north_m: float, east_m: float) -> tuple[float, float]:
        """Latitude and longitude of a point near home."""
        per_north, per_east = self.metres_per_deg
        return self.latitude_deg + north_m / per_north, self.longitude_deg + east_m / per_east

    def metres(self, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
        """North and east of home."""
        per_north, per_east = self.metres_per_deg
        return (latitude_deg - self.latitude_deg) * per_north, (longitude_deg - self.longitude_deg) * per_east
