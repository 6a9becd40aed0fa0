"""Where the camera looks: the sources of section 8.1, the first one that is there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge_rgbt.geolocation.history import Reading
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.rotations import (
    IDENTITY,
    Quaternion,
    Vector,
    from_degrees,
    heading_of,
    heading_rotation,
    multiplied,
    rotated,
)
from edge_rgbt.geolocation.settings import MountSettings
from edge_rgbt.geolocation.telemetry import GimbalAttitude, Moment


class AttitudeSource(str, Enum):
    """Who told where the camera looks."""

    GIMBAL = "gimbal"
    ORIENTATION = "mount orientation"
    AIRFRAME = "airframe"


@dataclass(frozen=True, slots=True)
class CameraAttitude:
    """rotation: camera axes (forward, right, down) to north-east-down, misalignment included."""

    rotation: Quaternion
    time_sigma_ns: int
    source: AttitudeSource


class CameraMount:
    """How the camera hangs on the vehicle."""

    def __init__(self, settings: MountSettings) -> None:
        self.settings = settings
        self._misalignment = from_degrees(*settings.misalignment_deg)
        self._on_airframe = from_degrees(*settings.attitude_deg)
        self._aligned = self._misalignment == IDENTITY

    def attitude(self, moment: Moment) -> CameraAttitude | NoPosition:
        """The camera's attitude, or what is missing to know it."""
        if self.settings.kind == "fixed":
            if moment.attitude is None:
                return NoPosition.NO_VEHICLE_ATTITUDE
            rotation = multiplied(moment.attitude.value, self._on_airframe)
            return self._turned(rotation, moment.attitude.time_sigma_ns, AttitudeSource.AIRFRAME)
        gimbal, source = moment.gimbal, AttitudeSource.GIMBAL
        if gimbal is None:
            gimbal, source = moment.orientation, AttitudeSource.ORIENTATION
        return NoPosition.NO_CAMERA_ATTITUDE if gimbal is None else self._stabilised(gimbal, moment, source)

    def _stabilised(
        self, gimbal: Reading[GimbalAttitude], moment: Moment, source: AttitudeSource
    ) -> CameraAttitude | NoPosition:
        rotation, sigma_ns = gimbal.value.rotation, gimbal.time_sigma_ns
        if not gimbal.value.from_north:
            if moment.attitude is None:
                return NoPosition.NO_VEHICLE_ATTITUDE
            heading = heading_rotation(heading_of(moment.attitude.value))
            rotation, sigma_ns = multiplied(heading, rotation), max(sigma_ns, moment.attitude.time_sigma_ns)
        return self._turned(rotation, sigma_ns, source)

    def _turned(self, rotation: Quaternion, sigma_ns: int, source: AttitudeSource) -> CameraAttitude:
        if not self._aligned:
            rotation = multiplied(rotation, self._misalignment)
        return CameraAttitude(rotation, sigma_ns, source)

    def lever_arm(self, moment: Moment) -> Vector | NoPosition:
        """From the vehicle's reference point to the camera: metres north, east, down."""
        arm = self.settings.lever_arm_m
        if arm == (0.0, 0.0, 0.0):
            return arm
        if moment.attitude is None:
            return NoPosition.NO_VEHICLE_ATTITUDE
        return rotated(moment.attitude.value, arm)
