"""Every message that steering sends, built from plain numbers. Nothing here decides anything."""

from __future__ import annotations

import math
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT, ONBOARD_COMPUTER_COMPONENT
from edge_rgbt.steering.gimbal_law import Rates
from edge_rgbt.steering.situation import Stack
from edge_rgbt.steering.stand_off import Velocity
from edge_rgbt.types import TargetPosition

NAN = float("nan")
TAKE_CONTROL = dialect.MAV_CMD_DO_GIMBAL_MANAGER_CONFIGURE
ROI_LOCATION, ROI_NONE = dialect.MAV_CMD_DO_SET_ROI_LOCATION, dialect.MAV_CMD_DO_SET_ROI_NONE
_LOCKED = dialect.GIMBAL_MANAGER_FLAGS_ROLL_LOCK | dialect.GIMBAL_MANAGER_FLAGS_PITCH_LOCK
_LEAVE, _RELEASE = -1, -3
_GLOBAL_RELATIVE = 6  # MAV_FRAME_GLOBAL_RELATIVE_ALT_INT
# Velocity counts, nothing else; the second one lets the yaw rate count too.
VELOCITY_ONLY, VELOCITY_AND_TURN = 0x0DC7, 0x05C7
_POSITION_KNOWN, _VELOCITY_KNOWN, _ATTITUDE_KNOWN = 1, 2, 8


def gimbal_rates(system: int, component: int, rates: Rates, yaw_lock: bool) -> Any:
    """GIMBAL_MANAGER_SET_ATTITUDE (282): rates only, for both stacks (R-GM-1). x is zero, never NaN."""
    flags = _LOCKED | (dialect.GIMBAL_MANAGER_FLAGS_YAW_LOCK if yaw_lock else 0)
    return dialect.MAVLink_gimbal_manager_set_attitude_message(
        system, component, flags, 0, [NAN] * 4, 0.0, rates.pitch_rad_s, rates.yaw_rad_s
    )


def take_gimbal(system: int, component: int) -> Any:
    """DO_GIMBAL_MANAGER_CONFIGURE: we, the companion, become its primary control (R-GM-2)."""
    return _configure(system, component, system, ONBOARD_COMPUTER_COMPONENT)


def release_gimbal(system: int, component: int) -> Any:
    """The same with -3: released if it is ours (R-GM-3)."""
    return _configure(system, component, _RELEASE, _RELEASE)


def _configure(system: int, component: int, primary_system: int, primary_component: int) -> Any:
    return dialect.MAVLink_command_long_message(
        system, component, TAKE_CONTROL, 0, primary_system, primary_component, _LEAVE, _LEAVE, NAN, NAN, 0
    )


def roi_location(system: int, position: TargetPosition) -> Any:
    """DO_SET_ROI_LOCATION as COMMAND_INT: as COMMAND_LONG ArduPilot counts the altitude from home."""
    return dialect.MAVLink_command_int_message(
        system, AUTOPILOT_COMPONENT, dialect.MAV_FRAME_GLOBAL, ROI_LOCATION, 0, 0, 0, 0, 0, 0,
        round(position.latitude_deg * 1e7), round(position.longitude_deg * 1e7), position.altitude_m,
    )  # fmt: skip


def roi_none(system: int) -> Any:
    """DO_SET_ROI_NONE."""
    return dialect.MAVLink_command_int_message(
        system, AUTOPILOT_COMPONENT, dialect.MAV_FRAME_GLOBAL, ROI_NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0
    )


def follow_target(position: TargetPosition, boot_ms: int, stack: Stack) -> Any:
    """FOLLOW_TARGET (144). boot_ms: the autopilot's time of the measurement.

    An unknown velocity is NaN for PX4, which takes finite zeros for standing still, and zero for ArduPilot.
    """
    known, velocity, attitude = _POSITION_KNOWN, position.velocity_ned_mps, (1.0, 0.0, 0.0, 0.0)
    if velocity is not None:
        known |= _VELOCITY_KNOWN
        if position.course_rad is not None:
            known |= _ATTITUDE_KNOWN
            half = position.course_rad / 2
            attitude = (math.cos(half), 0.0, 0.0, math.sin(half))
    else:
        velocity = (NAN, NAN, NAN) if stack is Stack.PX4 else (0.0, 0.0, 0.0)
    return dialect.MAVLink_follow_target_message(
        boot_ms, known, round(position.latitude_deg * 1e7), round(position.longitude_deg * 1e7),
        position.altitude_m, list(velocity), [0.0] * 3, list(attitude), [0.0] * 3,
        [position.horizontal_m, position.horizontal_m, position.vertical_m], 0,
    )  # fmt: skip


def velocity_setpoint(system: int, velocity: Velocity, boot_ms: int, stack: Stack) -> Any:
    """SET_POSITION_TARGET_GLOBAL_INT for ArduPilot, _LOCAL_NED for PX4: a velocity, never a place (9.5)."""
    v, turn = velocity, velocity.yaw_rad_s
    mask = VELOCITY_ONLY if turn is None else VELOCITY_AND_TURN
    motion = (v.north, v.east, v.down, 0, 0, 0, 0, turn or 0.0)
    boot_ms %= 1 << 32
    if stack is Stack.PX4:
        return dialect.MAVLink_set_position_target_local_ned_message(
            boot_ms, system, AUTOPILOT_COMPONENT, dialect.MAV_FRAME_LOCAL_NED, mask, 0, 0, 0, *motion
        )
    return dialect.MAVLink_set_position_target_global_int_message(
        boot_ms, system, AUTOPILOT_COMPONENT, _GLOBAL_RELATIVE, mask, 0, 0, 0, *motion
    )


def request_message(system: int, component: int, message_id: int) -> Any:
    """REQUEST_MESSAGE, once."""
    return dialect.MAVLink_command_long_message(
        system, component, dialect.MAV_CMD_REQUEST_MESSAGE, 0, message_id, 0, 0, 0, 0, 0, 0
    )
