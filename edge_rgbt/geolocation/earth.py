"""WGS84: metres north and east of a place as degrees, and back. Good to centimetres within kilometres."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SEMI_MAJOR_M = 6_378_137.0
_FLATTENING = 1 / 298.257223563
_ECCENTRICITY_2 = _FLATTENING * (2 - _FLATTENING)


@dataclass(frozen=True, slots=True)
class LocalFrame:
    """Metres about a place, by the ellipsoid's radii of curvature there; height is ignored."""

    latitude_deg: float
    longitude_deg: float
    north_m_per_deg: float
    east_m_per_deg: float

    @classmethod
    def at(cls, latitude_deg: float, longitude_deg: float) -> LocalFrame:
        phi = math.radians(latitude_deg)
        flat = 1 - _ECCENTRICITY_2 * math.sin(phi) ** 2
        across = _SEMI_MAJOR_M / math.sqrt(flat)
        along = across * (1 - _ECCENTRICITY_2) / flat
        # at the very pole east has no length; a millionth of it keeps divisions alive
        east = max(across * math.cos(phi), 1e-6 * _SEMI_MAJOR_M)
        return cls(latitude_deg, longitude_deg, math.radians(along), math.radians(east))

    def degrees(self, north_m: float, east_m: float) -> tuple[float, float]:
        """Latitude and longitude of a place so many metres away."""
        longitude = self.longitude_deg + east_m / self.east_m_per_deg
        return self.latitude_deg + north_m / self.north_m_per_deg, wrapped_longitude(longitude)

    def metres(self, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
        """How far north and east a place is."""
        east_deg = wrapped_longitude(longitude_deg - self.longitude_deg)
        return (latitude_deg - self.latitude_deg) * self.north_m_per_deg, east_deg * self.east_m_per_deg


def wrapped_longitude(longitude_deg: float) -> float:
    """Degrees in -180..180."""
    return math.remainder(longitude_deg, 360.0)
