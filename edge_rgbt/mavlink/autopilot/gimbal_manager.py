"""The gimbal manager inside the autopilot: who holds the gimbal, and which of the messages move it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edge_rgbt.mavlink.autopilot.stacks import PitchYawMessage, Stack, TakeControl
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT
from edge_rgbt.sim.vehicle import AngleCommand, PointCommand, RateCommand, Vehicle
from edge_rgbt.sim.vehicle.gimbal import KEEP
from edge_rgbt.sim.vehicle.setpoint import Vector

Sender = tuple[int, int]
NOBODY: Sender = (0, 0)
_YAW_LOCK = dialect.GIMBAL_MANAGER_FLAGS_YAW_LOCK | 64  # and yaw in the earth's frame
_MANUAL_RAD_S = math.radians(30)
_ACCEPTED, _DENIED, _FAILED = (
    dialect.MAV_RESULT_ACCEPTED,
    dialect.MAV_RESULT_DENIED,
    dialect.MAV_RESULT_FAILED,
)


class GimbalManager:
    """Moves the vehicle's gimbal as one of the stacks does. Times: flight time in nanoseconds.

    nan_rates: rates that were not numbers and would have reached ArduPilot's motors.
    """

    def __init__(self, stack: Stack, vehicle: Vehicle, system: Callable[[], int]) -> None:
        self._rules = stack.understands
        self._stack, self._vehicle, self._system = stack, vehicle, system
        self.control: Sender = NOBODY
        self.nan_rates = 0
        self._rates_since_ns: int | None = None

    def restart(self) -> None:
        """After a reboot nobody holds the gimbal, and it stands still."""
        self.control, self._rates_since_ns = NOBODY, None
        self._vehicle.gimbal.command = KEEP

    def tick(self, t_ns: int) -> None:
        """Ends rates that nobody renews, where the stack does."""
        limit_s, since_ns = self._rules.rates_end_after_s, self._rates_since_ns
        if limit_s is not None and since_ns is not None and t_ns - since_ns > limit_s * 1e9:
            self._rates_since_ns = None
            command = self._vehicle.gimbal.command
            if isinstance(command, RateCommand):
                self._vehicle.gimbal.command = RateCommand(0.0, 0.0, command.lock)

    def configure(self, sender: Sender, system: float, component: float) -> int:
        """DO_GIMBAL_MANAGER_CONFIGURE: a number, -1 as it is, -2 take, -3 release."""
        taker = sender
        if self._stack.minus_two_gives_to is TakeControl.AUTOPILOT:
            taker = (self._system(), AUTOPILOT_COMPONENT)
        chosen = []
        for index, number in enumerate((system, component)):
            held = self.control[index]
            if number == -2:
                chosen.append(taker[index])
            elif number == -3:
                chosen.append(0 if held == sender[index] else held)
            elif number == -1 or not math.isfinite(number):
                chosen.append(held)
            elif 0 <= number <= 255:
                chosen.append(int(number))
            else:
                return _DENIED
        self.control = (chosen[0], chosen[1])
        return _ACCEPTED

    def set_attitude(self, sender: Sender, message: Any, t_ns: int) -> None:
        """GIMBAL_MANAGER_SET_ATTITUDE: rates where the quaternion is NaN, else angles."""
        if not self._may(sender) or message.gimbal_device_id not in (0, 1):
            return
        lock = bool(message.flags & _YAW_LOCK)
        if all(math.isfinite(value) for value in message.q):
            _, pitch, yaw = euler(message.q)
            self._angles(pitch, yaw, lock)
            return
        rates = (message.angular_velocity_x, message.angular_velocity_y, message.angular_velocity_z)
        if not all(math.isfinite(rate) for rate in rates):
            self.nan_rates += 1
        self._rates(rates[1], rates[2], lock, t_ns)

    def set_pitchyaw(self, sender: Sender, message: Any, t_ns: int) -> None:
        """GIMBAL_MANAGER_SET_PITCHYAW, in radians."""
        if self._rules.pitchyaw_message is PitchYawMessage.IGNORED or not self._may(sender):
            return
        lock = bool(message.flags & _YAW_LOCK)
        self._both_axes(message.pitch, message.yaw, message.pitch_rate, message.yaw_rate, lock, t_ns)

    def pitchyaw_command(self, sender: Sender, parameters: tuple[float, ...], t_ns: int) -> int:
        """DO_GIMBAL_MANAGER_PITCHYAW, in degrees."""
        if self._rules.pitchyaw_needs_control and sender != self.control:
            return _DENIED
        pitch, yaw, pitch_rate, yaw_rate = (math.radians(value) for value in parameters[:4])
        flags = int(parameters[4]) if math.isfinite(parameters[4]) else 0
        done = self._both_axes(pitch, yaw, pitch_rate, yaw_rate, bool(flags & _YAW_LOCK), t_ns)
        return _ACCEPTED if done else _FAILED

    def manual_control(self, sender: Sender, message: Any, t_ns: int) -> None:
        """GIMBAL_MANAGER_SET_MANUAL_CONTROL: sticks from -1 to 1."""
        if not self._rules.manual_control or not self._may(sender):
            return
        rates = [message.pitch_rate, message.yaw_rate]
        if all(math.isfinite(rate) for rate in rates):
            lock = bool(message.flags & _YAW_LOCK)
            pitch, yaw = (min(max(rate, -1.0), 1.0) * _MANUAL_RAD_S for rate in rates)
            self._rates(pitch, yaw, lock, t_ns)

    def look_at(self, point: Vector) -> None:
        """A region of interest, for which no stack asks who holds the gimbal."""
        self._rates_since_ns = None
        self._vehicle.gimbal.command = PointCommand(point)

    def look_nowhere(self) -> None:
        """The end of a region of interest: PX4 looks ahead then, ArduPilot stays."""
        self._rates_since_ns = None
        if self._stack.roi_none_looks_ahead:
            self._vehicle.gimbal.command = AngleCommand(0.0, 0.0)
        elif isinstance(self._vehicle.gimbal.command, PointCommand):
            self._vehicle.gimbal.command = KEEP

    def follow_mode_points(self, pitch_rad: float) -> None:
        """PX4's follow mode tilts the camera to its target as long as nobody holds the gimbal."""
        if self._stack.follow_points_gimbal and self.control == NOBODY:
            self._angles(pitch_rad, 0.0, lock=False)

    def _may(self, sender: Sender) -> bool:
        return not self._rules.control_enforced or sender == self.control

    def _both_axes(
        self, pitch: float, yaw: float, pitch_rate: float, yaw_rate: float, lock: bool, t_ns: int
    ) -> bool:
        angles = [math.isfinite(pitch), math.isfinite(yaw)]
        rates = [math.isfinite(pitch_rate), math.isfinite(yaw_rate)]
        if all(angles) and not any(rates):
            self._angles(pitch, yaw, lock)
            return True
        if all(rates) and not any(angles):
            self._rates(pitch_rate, yaw_rate, lock, t_ns)
            return True
        return False

    def _angles(self, pitch: float, yaw: float, lock: bool) -> None:
        self._rates_since_ns = None
        self._vehicle.gimbal.command = AngleCommand(pitch, yaw, lock)

    def _rates(self, pitch: float, yaw: float, lock: bool, t_ns: int) -> None:
        finite = (pitch if math.isfinite(pitch) else 0.0, yaw if math.isfinite(yaw) else 0.0)
        self._rates_since_ns = t_ns
        self._vehicle.gimbal.command = RateCommand(*finite, lock)


def information(boot_ms: int, vehicle: Vehicle) -> Any:
    """GIMBAL_MANAGER_INFORMATION."""
    limits = vehicle.gimbal.limits
    abilities = (
        dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_NEUTRAL
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_ROLL_LOCK
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_PITCH_AXIS
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_PITCH_LOCK
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_YAW_AXIS
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_YAW_FOLLOW
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_HAS_YAW_LOCK
        | dialect.GIMBAL_MANAGER_CAP_FLAGS_CAN_POINT_LOCATION_GLOBAL
    )
    return dialect.MAVLink_gimbal_manager_information_message(
        boot_ms, abilities, 1, 0.0, 0.0, limits.pitch_low_rad, limits.pitch_high_rad, -limits.yaw_rad,
        limits.yaw_rad,
    )  # fmt: skip


def euler(q: Any) -> tuple[float, float, float]:
    """Roll, pitch, yaw of (w, x, y, z)."""
    w, x, y, z = q
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0))
    return roll, pitch, math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
