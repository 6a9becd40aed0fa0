"""What the autopilot tells of itself: one function per message, from one report of everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_rgbt.geolocation.rotations import from_euler
from edge_rgbt.mavlink.autopilot.stacks import Stack
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.sim.vehicle import Condition, Home, SensorErrors, VehicleState

_UNKNOWN = 65535
_FLAG_LOCKS = dialect.GIMBAL_DEVICE_FLAGS_ROLL_LOCK | dialect.GIMBAL_DEVICE_FLAGS_PITCH_LOCK
YAW_IN_VEHICLE_FRAME, YAW_IN_EARTH_FRAME = 32, 64
_CHANNELS = 18
_RANGE_CM = (20, 10_000)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything at one moment. state: as the autopilot believes it to be; true_height_m: above the ground.

    boot_ns: on the autopilot's clock. unix_us: 0 without GPS. landed: MAV_LANDED_STATE. gimbal_flags: of 285.
    control: system and component that hold the gimbal.
    """

    stack: Stack
    boot_ns: int
    unix_us: int
    state: VehicleState
    true_height_m: float
    condition: Condition
    errors: SensorErrors
    home: Home
    landed: int
    gimbal_flags: int
    control: tuple[int, int]

    @property
    def boot_ms(self) -> int:
        return self.boot_ns // 1_000_000 & 0xFFFFFFFF


def gimbal_flags(locked: bool, stack: Stack, frame: int | None = None) -> int:
    """Flags of 285. PX4 gives a locked yaw from north; ArduPilot any yaw from the nose, with 44 or 60.

    frame: only this flag, 32 or 64, as simple gimbals report.
    """
    if frame is not None:
        return frame
    flags = _FLAG_LOCKS | (dialect.GIMBAL_DEVICE_FLAGS_YAW_LOCK if locked else 0)
    earth = locked and not stack.floods_and_learns
    return flags | (YAW_IN_EARTH_FRAME if earth else YAW_IN_VEHICLE_FRAME)


def _attitude(r: Report) -> Any:
    s = r.state
    yaw = math.remainder(s.yaw_rad, math.tau)
    return dialect.MAVLink_attitude_message(
        r.boot_ms, s.roll_rad, s.pitch_rad, yaw, 0.0, 0.0, s.yaw_rate_rad_s
    )


def _attitude_quaternion(r: Report) -> Any:
    s = r.state
    q = from_euler(s.roll_rad, s.pitch_rad, s.yaw_rad)
    return dialect.MAVLink_attitude_quaternion_message(r.boot_ms, *q, 0.0, 0.0, s.yaw_rate_rad_s)


def _local_position(r: Report) -> Any:
    return dialect.MAVLink_local_position_ned_message(r.boot_ms, *r.state.position, *r.state.velocity)


def _global_position(r: Report) -> Any:
    latitude, longitude = r.home.degrees(*r.state.position[:2])
    height = r.state.height_m
    north, east, down = (round(v * 100) for v in r.state.velocity)
    heading = round(math.degrees(r.state.yaw_rad) % 360 * 100) % 36000
    return dialect.MAVLink_global_position_int_message(
        r.boot_ms, round(latitude * 1e7), round(longitude * 1e7),
        round((r.home.altitude_m + height) * 1000), round(height * 1000), north, east, down, heading,
    )  # fmt: skip


def _gps_raw(r: Report) -> Any:
    latitude, longitude = r.home.degrees(*r.state.position[:2])
    north, east, _ = r.state.velocity
    known = r.condition.gps_fix >= 2
    accuracy = max(r.errors.position_m, 0.5), max(r.errors.height_m, 0.8)
    return dialect.MAVLink_gps_raw_int_message(
        r.boot_ns // 1000,
        r.condition.gps_fix,
        round(latitude * 1e7) if known else 0,
        round(longitude * 1e7) if known else 0,
        round((r.home.altitude_m + r.state.height_m) * 1000),
        80 if known else _UNKNOWN,
        120 if known else _UNKNOWN,
        round(math.hypot(north, east) * 100),
        round(math.degrees(math.atan2(east, north)) % 360 * 100) % 36000,
        r.condition.satellites if known else 0,
        h_acc=round(accuracy[0] * 1000) if known else 0xFFFFFFFF,
        v_acc=round(accuracy[1] * 1000) if known else 0xFFFFFFFF,
    )


def _system_time(r: Report) -> Any:
    return dialect.MAVLink_system_time_message(r.unix_us, r.boot_ms)


def _extended_state(r: Report) -> Any:
    return dialect.MAVLink_extended_sys_state_message(dialect.MAV_VTOL_STATE_UNDEFINED, r.landed)


def _home_position(r: Report) -> Any:
    latitude, longitude = round(r.home.latitude_deg * 1e7), round(r.home.longitude_deg * 1e7)
    altitude = round(r.home.altitude_m * 1000)
    return dialect.MAVLink_home_position_message(
        latitude, longitude, altitude, 0.0, 0.0, 0.0, [1.0, 0.0, 0.0, 0.0], 0.0, 0.0, 0.0
    )


def _fence_status(r: Report) -> Any:
    breached = r.condition.fence_breached
    kind = dialect.FENCE_BREACH_BOUNDARY if breached else dialect.FENCE_BREACH_NONE
    return dialect.MAVLink_fence_status_message(
        int(breached), r.condition.fence_breaches, kind, r.boot_ms if breached else 0
    )


def _rc_channels(r: Report) -> Any:
    sticks = r.condition.sticks
    if sticks is None:
        return dialect.MAVLink_rc_channels_message(r.boot_ms, 0, *[_UNKNOWN] * _CHANNELS, rssi=0)
    # Forward is a stick pushed away, which lowers the second channel.
    values = {1: sticks.roll, 2: -sticks.pitch, 3: sticks.throttle, 4: sticks.yaw, **sticks.switches}
    raw = [round(1500 + 500 * values.get(number, 0.0)) for number in range(1, 17)] + [_UNKNOWN] * 2
    return dialect.MAVLink_rc_channels_message(r.boot_ms, 16, *raw, rssi=230)


def _sys_status(r: Report) -> Any:
    gps, estimate, radio = (
        dialect.MAV_SYS_STATUS_SENSOR_GPS,
        dialect.MAV_SYS_STATUS_AHRS,
        dialect.MAV_SYS_STATUS_SENSOR_RC_RECEIVER,
    )
    present = gps | estimate | radio | dialect.MAV_SYS_STATUS_SENSOR_3D_GYRO
    health = present
    health &= ~gps if r.condition.gps_fix < 3 else health
    health &= ~estimate if not r.condition.estimator_ok else health
    health &= ~radio if r.condition.sticks is None else health
    percent = r.condition.battery_percent
    volts = 14_000 + round(28 * percent)
    return dialect.MAVLink_sys_status_message(
        present, present, health, 300, volts, 1500, round(percent), 0, 0, 0, 0, 0, 0
    )


def _estimator_status(r: Report) -> Any:
    flags = dialect.ESTIMATOR_ATTITUDE | dialect.ESTIMATOR_VELOCITY_VERT | dialect.ESTIMATOR_POS_VERT_ABS
    if r.condition.position_ok:
        flags |= dialect.ESTIMATOR_VELOCITY_HORIZ | dialect.ESTIMATOR_POS_HORIZ_REL
        flags |= dialect.ESTIMATOR_POS_HORIZ_ABS
    ratio = 0.1 if r.condition.estimator_ok else 1.5
    accuracy = (max(r.errors.position_m, 0.3), max(r.errors.height_m, 0.5))
    return dialect.MAVLink_estimator_status_message(
        r.boot_ns // 1000, flags, ratio, ratio, ratio, ratio, 0.0, 0.0, *accuracy
    )


def _battery(r: Report) -> Any:
    cells = [3500 + round(7 * r.condition.battery_percent)] * 4 + [_UNKNOWN] * 6
    return dialect.MAVLink_battery_status_message(
        0, dialect.MAV_BATTERY_FUNCTION_ALL, dialect.MAV_BATTERY_TYPE_LIPO, 3000, cells, 1500, -1, -1,
        round(r.condition.battery_percent),
    )  # fmt: skip


def _distance(r: Report) -> Any | None:
    if not r.condition.rangefinder:
        return None
    tilt = math.cos(r.state.roll_rad) * math.cos(r.state.pitch_rad)
    measured = round(r.true_height_m / max(tilt, 0.1) * 100)
    if not _RANGE_CM[0] <= measured <= _RANGE_CM[1]:
        measured = _RANGE_CM[1] + 1
    return dialect.MAVLink_distance_sensor_message(
        r.boot_ms, *_RANGE_CM, measured, dialect.MAV_DISTANCE_SENSOR_LASER, 0,
        dialect.MAV_SENSOR_ROTATION_PITCH_270, 255,
    )  # fmt: skip


def _gimbal_attitude(r: Report) -> Any:
    s = r.state
    in_earth = bool(r.gimbal_flags & YAW_IN_EARTH_FRAME)
    yaw = s.gimbal_yaw_rad if in_earth else s.gimbal_yaw_rad - s.yaw_rad
    rate = s.gimbal_yaw_rate_rad_s if in_earth else s.gimbal_yaw_rate_rad_s - s.yaw_rate_rad_s
    rates = (0.0, s.gimbal_pitch_rate_rad_s, rate)
    if r.stack.floods_and_learns:
        rates = (math.nan, math.nan, math.nan)
    return dialect.MAVLink_gimbal_device_attitude_status_message(
        0, 0, r.boot_ms, r.gimbal_flags,
        from_euler(s.gimbal_roll_rad, s.gimbal_pitch_rad, math.remainder(yaw, math.tau)), *rates, 0,
        math.nan, math.nan, 1,
    )  # fmt: skip


def _gimbal_status(r: Report) -> Any:
    return dialect.MAVLink_gimbal_manager_status_message(r.boot_ms, r.gimbal_flags, 1, *r.control, 0, 0)


MESSAGES: Mapping[int, Callable[[Report], Any | None]] = {
    dialect.MAVLINK_MSG_ID_SYS_STATUS: _sys_status,
    dialect.MAVLINK_MSG_ID_SYSTEM_TIME: _system_time,
    dialect.MAVLINK_MSG_ID_GPS_RAW_INT: _gps_raw,
    dialect.MAVLINK_MSG_ID_ATTITUDE: _attitude,
    dialect.MAVLINK_MSG_ID_ATTITUDE_QUATERNION: _attitude_quaternion,
    dialect.MAVLINK_MSG_ID_LOCAL_POSITION_NED: _local_position,
    dialect.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: _global_position,
    dialect.MAVLINK_MSG_ID_RC_CHANNELS: _rc_channels,
    dialect.MAVLINK_MSG_ID_DISTANCE_SENSOR: _distance,
    dialect.MAVLINK_MSG_ID_BATTERY_STATUS: _battery,
    dialect.MAVLINK_MSG_ID_FENCE_STATUS: _fence_status,
    dialect.MAVLINK_MSG_ID_ESTIMATOR_STATUS: _estimator_status,
    dialect.MAVLINK_MSG_ID_HOME_POSITION: _home_position,
    dialect.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: _extended_state,
    dialect.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: _gimbal_attitude,
    dialect.MAVLINK_MSG_ID_GIMBAL_MANAGER_STATUS: _gimbal_status,
}
"""What can be asked for at an interval, or once."""
