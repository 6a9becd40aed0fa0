"""Flight modes: what the vehicle is told to fly in each of them, and what changes them."""

from __future__ import annotations

import math
from typing import Any

from edge_rgbt.mavlink.autopilot.gimbal_manager import GimbalManager
from edge_rgbt.mavlink.autopilot.guided import GuidedTarget
from edge_rgbt.mavlink.autopilot.modes import FlightMode
from edge_rgbt.mavlink.autopilot.parameters import Parameters
from edge_rgbt.mavlink.autopilot.stacks import Stack
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.sim.vehicle import STAND_STILL, Setpoint, Sticks, Vehicle
from edge_rgbt.sim.vehicle.following import (
    ArduFollower,
    ArduFollowSettings,
    BeaconReport,
    Follower,
    Px4Follower,
    Px4FollowSettings,
)
from edge_rgbt.sim.vehicle.setpoint import Vector
from edge_rgbt.sim.vehicle.vehicle import STEP_NS

ACCEPTED, DENIED = dialect.MAV_RESULT_ACCEPTED, dialect.MAV_RESULT_DENIED
REFUSED_NOW, FAILED = dialect.MAV_RESULT_TEMPORARILY_REJECTED, dialect.MAV_RESULT_FAILED
_STICKS_OVERRIDE = 0.3
_STICK_SPEED_M_S, _STICK_CLIMB_M_S, _STICK_YAW_RAD_S = 5.0, 2.0, math.radians(60)
_RETURN_HEIGHT_M, _LANDING_M_S, _ARRIVED_M = 30.0, 0.7, 1.0
_HIGHEST_M = 1000.0
_HANDED_BACK_BY_STICKS = (
    FlightMode.HOLD, FlightMode.MISSION, FlightMode.RETURN, FlightMode.LAND, FlightMode.TAKEOFF,
)  # fmt: skip


class Flight:
    """The commander of one vehicle. Times: flight time in nanoseconds. `step` comes before the vehicle's."""

    def __init__(self, stack: Stack, vehicle: Vehicle, parameters: Parameters, gimbal: GimbalManager) -> None:
        self.mode = FlightMode.HOLD
        self.guided = GuidedTarget(vehicle.home)
        self._stack, self._vehicle, self._parameters, self._gimbal = stack, vehicle, parameters, gimbal
        self.follower = self._make_follower()
        self._place: Vector = vehicle.newest.position  # where this mode began, or where it was sent
        self._yaw_rad: float | None = None
        self._speed_m_s = 5.0
        self._take_off_height_m = 10.0

    @property
    def landed(self) -> int:
        """MAV_LANDED_STATE."""
        if self._vehicle.airframe.on_ground:
            return dialect.MAV_LANDED_STATE_ON_GROUND
        if self.mode is FlightMode.LAND:
            return dialect.MAV_LANDED_STATE_LANDING
        if self.mode is FlightMode.TAKEOFF:
            return dialect.MAV_LANDED_STATE_TAKEOFF
        return dialect.MAV_LANDED_STATE_IN_AIR

    @property
    def in_air(self) -> bool:
        return not self._vehicle.airframe.on_ground

    def change_mode(self, mode: FlightMode, t_ns: int) -> int:
        """As asked for by pilot, command or failsafe; a MAV_RESULT."""
        if mode not in self._stack.modes:
            return DENIED
        if mode is FlightMode.GUIDED and self._needs_stream and not self.guided.streaming(t_ns):
            return REFUSED_NOW
        if mode is FlightMode.FOLLOW and not self._may_follow:
            return FAILED
        self.mode = mode
        self._place, self._yaw_rad = self._vehicle.newest.position, None
        if mode is FlightMode.GUIDED and not self._needs_stream:
            self.guided.clear()
        if mode is FlightMode.FOLLOW:
            self.follower.restart(self._vehicle.newest)
        return ACCEPTED

    def reposition(self, place: Vector, speed_m_s: float, yaw_rad: float, switch: bool, t_ns: int) -> int:
        """DO_REPOSITION. switch: bit 0 of its second parameter."""
        home_mode = FlightMode.HOLD
        if self._stack.understands.reposition_needs_guided:
            home_mode = FlightMode.GUIDED
            if self.mode is not home_mode and not switch:
                return DENIED
        if switch and self.mode is not home_mode:
            self.change_mode(home_mode, t_ns)
        yaw = yaw_rad if math.isfinite(yaw_rad) else None
        speed = speed_m_s if math.isfinite(speed_m_s) and speed_m_s > 0 else 5.0
        self._place, self._yaw_rad, self._speed_m_s = place, yaw, speed
        if home_mode is FlightMode.GUIDED:
            self.guided.set(Setpoint(place, yaw_rad=yaw, speed_m_s=speed), t_ns)
        return ACCEPTED

    def take_off(self, height_m: float, t_ns: int) -> int:
        if not self._vehicle.condition.armed or not 0 < height_m < _HIGHEST_M:
            return FAILED
        place = self._vehicle.newest.position
        if FlightMode.TAKEOFF in self._stack.modes:
            self.change_mode(FlightMode.TAKEOFF, t_ns)
            self._take_off_height_m = height_m
        elif self.mode is not FlightMode.GUIDED:
            return FAILED
        else:
            self.guided.set(Setpoint((place[0], place[1], -height_m)), t_ns)
        return ACCEPTED

    def position_target(self, message: Any, t_ns: int) -> None:
        """SET_POSITION_TARGET_*; ArduPilot hears it in Guided only, PX4 counts it before Offboard too."""
        if self._needs_stream or self.mode is FlightMode.GUIDED:
            self.guided.heard(message, self._vehicle.newest, t_ns)

    def beacon(self, system: int, own: int, message: Any, t_ns: int) -> None:
        """FOLLOW_TARGET."""
        numbers = (message.alt, message.lat, message.lon)
        if not all(math.isfinite(number) for number in numbers):
            return
        velocity: Vector | None = (message.vel[0], message.vel[1], message.vel[2])
        if not self._stack.understands.beacon_of_any_system:
            if system == own or system != self._parameters["FOLL_SYSID"] or not (message.lat or message.lon):
                return
            if not message.est_capabilities & 2:
                velocity = None
        if velocity is not None and not all(math.isfinite(v) for v in velocity):
            velocity = None
        home = self._vehicle.home
        north, east = home.metres(message.lat / 1e7, message.lon / 1e7)
        place = (north, east, home.altitude_m - message.alt)
        self.follower.heard(BeaconReport(place, velocity, t_ns / 1e9))

    def step(self, t_ns: int) -> None:
        """Looks at what changed, then tells the vehicle what to fly."""
        self._gimbal.tick(t_ns)
        sticks = self._vehicle.condition.sticks
        self._leave_mode_if_need_be(sticks, t_ns)
        self._vehicle.setpoint = self._setpoint(sticks or Sticks(), t_ns)

    def refresh_parameters(self) -> None:
        """After a change: the follower's geometry."""
        fresh = self._make_follower()
        if isinstance(fresh, Px4Follower) and isinstance(self.follower, Px4Follower):
            self.follower.settings = fresh.settings
        elif isinstance(fresh, ArduFollower) and isinstance(self.follower, ArduFollower):
            self.follower.settings = fresh.settings
            self.follower.restart(self._vehicle.newest)

    @property
    def _needs_stream(self) -> bool:
        return self._stack.understands.guided_silence_leaves_mode

    @property
    def _may_follow(self) -> bool:
        return "FOLL_ENABLE" not in self._parameters or self._parameters["FOLL_ENABLE"] == 1

    def _make_follower(self) -> Follower:
        p = self._parameters
        if self._stack.understands.beacon_of_any_system:
            numbers = (p[name] for name in ("FLW_TGT_DST", "FLW_TGT_HT", "FLW_TGT_FA", "FLW_TGT_MAX_VEL"))
            return Px4Follower(Px4FollowSettings(*(float(number) for number in numbers)))
        x, y, z = (float(p[name]) for name in ("FOLL_OFS_X", "FOLL_OFS_Y", "FOLL_OFS_Z"))
        offset = (x, y, z) if any((x, y, z)) else None
        return ArduFollower(ArduFollowSettings(float(p["FOLL_DIST_MAX"]), offset, float(p["FOLL_POS_P"])))

    def _leave_mode_if_need_be(self, sticks: Sticks | None, t_ns: int) -> None:
        if self.mode is FlightMode.GUIDED and self._needs_stream:
            if self.guided.age_s(t_ns) > float(self._parameters["COM_OF_LOSS_T"]):
                self.change_mode(FlightMode.POSITION, t_ns)
        elif (
            self._stack.sticks_end_automatic_modes
            and self.mode in _HANDED_BACK_BY_STICKS
            and sticks is not None
            and sticks.moved > _STICKS_OVERRIDE
        ):
            self.change_mode(FlightMode.POSITION, t_ns)
        elif self.mode is FlightMode.TAKEOFF:
            if self._vehicle.newest.height_m > 0.95 * self._take_off_height_m:
                self.change_mode(FlightMode.HOLD, t_ns)
        elif self.mode is FlightMode.RETURN:
            if math.hypot(*self._vehicle.newest.position[:2]) < _ARRIVED_M:
                self.change_mode(FlightMode.LAND, t_ns)
        elif self.mode is FlightMode.LAND and self._vehicle.airframe.on_ground:
            self._vehicle.condition.armed = False

    def _setpoint(self, sticks: Sticks, t_ns: int) -> Setpoint:
        north, east, down = self._place
        if self.mode in (FlightMode.POSITION, FlightMode.STABILIZE):
            return self._by_hand(sticks)
        if self.mode is FlightMode.GUIDED:
            end_s = None if self._needs_stream else float(self._parameters["GUID_TIMEOUT"])
            return self.guided.setpoint(t_ns, end_s)
        if self.mode is FlightMode.FOLLOW:
            return self._following(sticks, t_ns)
        if self.mode is FlightMode.RETURN:
            return Setpoint((0.0, 0.0, min(down, -_RETURN_HEIGHT_M)))
        if self.mode is FlightMode.LAND:
            return Setpoint((north, east, None), (0.0, 0.0, _LANDING_M_S))
        if self.mode is FlightMode.TAKEOFF:
            return Setpoint((north, east, -self._take_off_height_m))
        return Setpoint(self._place, yaw_rad=self._yaw_rad, speed_m_s=self._speed_m_s)

    def _by_hand(self, sticks: Sticks) -> Setpoint:
        yaw = self._vehicle.newest.yaw_rad
        forward, right = _STICK_SPEED_M_S * sticks.pitch, _STICK_SPEED_M_S * sticks.roll
        velocity = (
            forward * math.cos(yaw) - right * math.sin(yaw),
            forward * math.sin(yaw) + right * math.cos(yaw),
            -_STICK_CLIMB_M_S * sticks.throttle,
        )
        return Setpoint(velocity=velocity, yaw_rate_rad_s=_STICK_YAW_RAD_S * sticks.yaw)

    def _following(self, sticks: Sticks, t_ns: int) -> Setpoint:
        state = self._vehicle.newest
        if isinstance(self.follower, Px4Follower) and sticks.moved > 0.1:
            self.follower.adjust(sticks.pitch, sticks.roll, sticks.throttle, STEP_NS / 1e9)
        setpoint = self.follower.setpoint(t_ns / 1e9, state)
        target = self.follower.target
        if setpoint is not STAND_STILL and target is not None:
            north, east, _ = (there - here for there, here in zip(target, state.position, strict=True))
            self._gimbal.follow_mode_points(-math.atan2(state.height_m, math.hypot(north, east)))
        return setpoint
