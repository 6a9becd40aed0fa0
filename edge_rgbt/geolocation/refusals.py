"""Why there is no target position."""

from __future__ import annotations

from enum import Enum


class NoPosition(Enum):
    """The gates of section 8.6; the value is what people read, short enough for one STATUSTEXT."""

    NO_TARGET = "no target is tracked"
    COASTED_TOO_LONG = "the target has not been seen for too long"
    NOTHING_TO_COAST_ON = "the target was not seen since its track began"
    PICTURE_SIZE = "the calibration is not for pictures of this size"
    OUTSIDE_LENS = "the lens calibration ends before the target"
    NO_VEHICLE_ATTITUDE = "the vehicle's attitude is missing or stale"
    NO_CAMERA_ATTITUDE = "the gimbal's attitude is missing or stale"
    NO_VEHICLE_POSITION = "the vehicle's position is missing or stale"
    NO_FIX = "no satellite fix in three dimensions"
    UNHEALTHY = "the autopilot does not trust its own position"
    NO_GROUND = "no source of ground height is fresh"
    TOO_LOW = "the camera is not above the ground"
    NEAR_HORIZON = "the line of sight is too flat"
    MISSES_GROUND = "the line of sight meets no ground within range"
    TOO_FAR = "the target is too far away"
    TOO_UNCERTAIN = "the position would be too uncertain"
