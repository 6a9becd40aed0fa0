"""Where on earth the tracked target is: telemetry, lines of sight, ground, and the target's motion."""

from edge_rgbt.geolocation.clock import AutopilotClock
from edge_rgbt.geolocation.locator import CameraView, Geolocator, LocatorReport
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.settings import GeolocationSettings, MountSettings
from edge_rgbt.geolocation.telemetry import Fix, GimbalAttitude, Telemetry, VehiclePosition

__all__ = [
    "AutopilotClock",
    "CameraView",
    "Fix",
    "GeolocationSettings",
    "Geolocator",
    "GimbalAttitude",
    "LocatorReport",
    "MountSettings",
    "NoPosition",
    "Telemetry",
    "VehiclePosition",
]
