"""CAMERA_TRACKING_GEO_STATUS (276) from a position that passed all gates."""

from __future__ import annotations

import math
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.types import TargetPosition

NAN = float("nan")


def geo_status(position: TargetPosition, tracking_status: int) -> Any:
    """The target's place and motion. tracking_status: flags as in CAMERA_TRACKING_IMAGE_STATUS."""
    north, east, down = position.velocity_ned_mps or (NAN, NAN, NAN)
    return dialect.MAVLink_camera_tracking_geo_status_message(
        tracking_status,
        round(position.latitude_deg * 1e7),
        round(position.longitude_deg * 1e7),
        position.altitude_m,
        position.horizontal_m,
        position.vertical_m,
        north,
        east,
        down,
        NAN if position.speed_sigma_mps is None else position.speed_sigma_mps,
        position.range_m,
        _heading(position),
        NAN,
        0,
    )


def _heading(position: TargetPosition) -> float:
    """Course in 0..2 pi; NaN while the speed could be noise: below three times its sigma."""
    velocity, sigma = position.velocity_ned_mps, position.speed_sigma_mps
    if velocity is None or sigma is None:
        return NAN
    north, east, _ = velocity
    if math.hypot(north, east) < 3 * sigma:
        return NAN
    course = math.atan2(east, north) if position.course_rad is None else position.course_rad
    turned = course % math.tau
    return turned if turned < math.tau else 0.0  # a tiny negative angle wraps to tau itself
