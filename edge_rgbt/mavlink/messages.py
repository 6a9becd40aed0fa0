"""MAVLink messages from our own types. Pure functions over pymavlink's version 2 dialect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.types import Box, TrackStatus

NAN = float("nan")


class Health(Enum):
    """MAV_STATE of the camera's heartbeat."""

    BOOT = dialect.MAV_STATE_BOOT
    STANDBY = dialect.MAV_STATE_STANDBY
    ACTIVE = dialect.MAV_STATE_ACTIVE
    CRITICAL = dialect.MAV_STATE_CRITICAL
    POWEROFF = dialect.MAV_STATE_POWEROFF


class TargetPhase(Enum):
    """Every state of the target that a ground station can be told."""

    IDLE = "idle"
    ACQUIRING = "acquiring"  # accepted, no output yet
    TRACKING = "tracking"
    COASTING = "coasting"  # hidden or doubtful, box not confirmed by the picture
    LOST = "lost"
    SENSOR_FAILURE = "sensor failure"


PHASES = {
    TrackStatus.IDLE: TargetPhase.IDLE,
    TrackStatus.TRACKING: TargetPhase.TRACKING,
    TrackStatus.UNCERTAIN: TargetPhase.COASTING,
    TrackStatus.LOST: TargetPhase.LOST,
}
_ACTIVE = dialect.CAMERA_TRACKING_STATUS_FLAGS_ACTIVE
_ERROR = dialect.CAMERA_TRACKING_STATUS_FLAGS_ERROR
_COASTING = 8  # CAMERA_TRACKING_STATUS_FLAGS_COASTING, younger than some pymavlink releases we accept
_STATUS_FLAGS = {
    TargetPhase.IDLE: 0,
    TargetPhase.ACQUIRING: _ACTIVE,
    TargetPhase.TRACKING: _ACTIVE,
    TargetPhase.COASTING: _ACTIVE | _COASTING,
    TargetPhase.LOST: _ERROR,
    TargetPhase.SENSOR_FAILURE: _ERROR,
}


def status_flags(phase: TargetPhase) -> int:
    """CAMERA_TRACKING_STATUS_FLAGS of a phase."""
    return _STATUS_FLAGS[phase]


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """How the target is reported.

    coasting: flag predicted boxes as the standard says; QGroundControl up to 5.0 hides them then (R-TS-4).
    report_point: POINT instead of RECTANGLE (R-TS-1). drawn_in_video: the stream already shows the box.
    """

    coasting: bool = True
    report_point: bool = False
    drawn_in_video: bool = False


def target_status(
    phase: TargetPhase, box: Box | None, width: int, height: int, options: StatusOptions | None = None
) -> Any:
    """CAMERA_TRACKING_IMAGE_STATUS of a phase. NaN and mode NONE unless active (R-TS-2)."""
    options = options or StatusOptions()
    flags = _STATUS_FLAGS[phase]
    if not options.coasting:
        flags &= ~_COASTING
    if not flags & _ACTIVE or box is None:
        return _image_status(flags & ~(_ACTIVE | _COASTING), dialect.CAMERA_TRACKING_MODE_NONE, 0)
    data = dialect.CAMERA_TRACKING_TARGET_DATA_IN_STATUS
    if options.drawn_in_video:
        data |= dialect.CAMERA_TRACKING_TARGET_DATA_RENDERED
    left, top, right, bottom = fractions(box, width, height)
    if not options.report_point:
        mode = dialect.CAMERA_TRACKING_MODE_RECTANGLE
        return _image_status(flags, mode, data, rectangle=(left, top, right, bottom))
    circle = ((left + right) / 2, (top + bottom) / 2, (right - left) / 2)
    return _image_status(flags, dialect.CAMERA_TRACKING_MODE_POINT, data, circle)


def _image_status(
    flags: int,
    mode: int,
    data: int,
    circle: tuple[float, float, float] = (NAN, NAN, NAN),
    rectangle: tuple[float, float, float, float] = (NAN, NAN, NAN, NAN),
) -> Any:
    x, y, radius = circle
    return dialect.MAVLink_camera_tracking_image_status_message(flags, mode, data, x, y, radius, *rectangle)


def fractions(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom as fractions of the picture, in 0..1 and at least a pixel apart (R-TS-3)."""
    left, right = _span(box.x / width, (box.x + box.w) / width, 1 / width)
    top, bottom = _span(box.y / height, (box.y + box.h) / height, 1 / height)
    return left, top, right, bottom


def _span(low: float, high: float, pixel: float) -> tuple[float, float]:
    low, high = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
    if high - low < pixel:
        low = min(max((low + high - pixel) / 2, 0.0), 1.0 - pixel)
        high = low + pixel
    return low, high


@dataclass(frozen=True, slots=True)
class VehiclePose:
    """Where a (simulated) vehicle is: WGS84 degrees, metres, metres per second north-east-down, radians."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    height_m: float
    velocity_ned_mps: tuple[float, float, float] = (0.0, 0.0, 0.0)
    roll_rad: float = 0.0
    pitch_rad: float = 0.0
    yaw_rad: float = 0.0


def autopilot_heartbeat() -> Any:
    """HEARTBEAT of a simulated multicopter in flight: armed, guided, a generic autopilot."""
    mode = dialect.MAV_MODE_FLAG_SAFETY_ARMED | dialect.MAV_MODE_FLAG_HIL_ENABLED
    return dialect.MAVLink_heartbeat_message(
        dialect.MAV_TYPE_QUADROTOR, dialect.MAV_AUTOPILOT_GENERIC, mode, 0, dialect.MAV_STATE_ACTIVE, 3
    )


def attitude(pose: VehiclePose, time_boot_ms: int) -> Any:
    """ATTITUDE; turning rates are not simulated and 0."""
    yaw = math.remainder(pose.yaw_rad, math.tau)
    return dialect.MAVLink_attitude_message(time_boot_ms, pose.roll_rad, pose.pitch_rad, yaw, 0.0, 0.0, 0.0)


def global_position(pose: VehiclePose, time_boot_ms: int) -> Any:
    """GLOBAL_POSITION_INT in its integer units: degrees * 1e7, mm, cm/s, hundredths of a degree."""
    north, east, down = (round(v * 100) for v in pose.velocity_ned_mps)
    return dialect.MAVLink_global_position_int_message(
        time_boot_ms,
        round(pose.latitude_deg * 1e7),
        round(pose.longitude_deg * 1e7),
        round(pose.altitude_m * 1000),
        round(pose.height_m * 1000),
        north,
        east,
        down,
        round(math.degrees(pose.yaw_rad) % 360 * 100) % 36000,
    )
