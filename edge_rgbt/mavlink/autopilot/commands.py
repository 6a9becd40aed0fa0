"""COMMAND_LONG and COMMAND_INT to the autopilot: what each does and how it is answered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edge_rgbt.mavlink.autopilot.flight import ACCEPTED, DENIED, FAILED, Flight
from edge_rgbt.mavlink.autopilot.gimbal_manager import GimbalManager
from edge_rgbt.mavlink.autopilot.guided import down_of
from edge_rgbt.mavlink.autopilot.modes import FlightMode
from edge_rgbt.mavlink.autopilot.stacks import UNSUPPORTED, Stack
from edge_rgbt.mavlink.autopilot.streams import Streams
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.sim.vehicle import Vehicle
from edge_rgbt.sim.vehicle.setpoint import Vector

_REPOSITION_SWITCHES_MODE = 1
_LAST_MESSAGE = 0xFFFF  # that MESSAGE_INTERVAL can name


@dataclass(frozen=True, slots=True)
class Command:
    """One command from either message. parameters: all seven; frame: None in a COMMAND_LONG."""

    number: int
    parameters: tuple[float, ...]
    frame: int | None
    sender: tuple[int, int]
    port: str

    @classmethod
    def of(cls, message: Any, sender: tuple[int, int], port: str) -> Command:
        first = (message.param1, message.param2, message.param3, message.param4)
        if message.get_type() == "COMMAND_INT":
            rest = (float(message.x), float(message.y), message.z)
            return cls(message.command, (*first, *rest), message.frame, sender, port)
        rest = (message.param5, message.param6, message.param7)
        return cls(message.command, (*first, *rest), None, sender, port)


class Desk(Protocol):
    """What commands need of the autopilot beside flight and gimbal."""

    def request_message(self, number: int, port: str) -> bool:
        """Sends one message; False if there is none of this number."""
        ...

    def send(self, port: str, message: Any) -> None: ...

    def reboot(self) -> None: ...


class Commands:
    """Carries out commands. `execute` gives a MAV_RESULT."""

    def __init__(
        self,
        stack: Stack,
        vehicle: Vehicle,
        flight: Flight,
        gimbal: GimbalManager,
        streams: Streams,
        desk: Desk,
    ) -> None:
        self._stack, self._vehicle, self._flight = stack, vehicle, flight
        self._gimbal, self._streams, self._desk = gimbal, streams, desk
        track = (2004, 2005, 2010)
        self._table: dict[int, Callable[[Command, int], int]] = {
            dialect.MAV_CMD_COMPONENT_ARM_DISARM: self._arm,
            dialect.MAV_CMD_DO_SET_MODE: self._set_mode,
            dialect.MAV_CMD_NAV_TAKEOFF: lambda c, t: flight.take_off(c.parameters[6], t),
            dialect.MAV_CMD_NAV_LAND: lambda c, t: flight.change_mode(FlightMode.LAND, t),
            dialect.MAV_CMD_NAV_RETURN_TO_LAUNCH: lambda c, t: flight.change_mode(FlightMode.RETURN, t),
            dialect.MAV_CMD_DO_REPOSITION: self._reposition,
            dialect.MAV_CMD_DO_SET_ROI_LOCATION: self._look_at,
            dialect.MAV_CMD_DO_SET_ROI_NONE: self._look_nowhere,
            dialect.MAV_CMD_DO_GIMBAL_MANAGER_CONFIGURE: self._configure_gimbal,
            dialect.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW: self._pitchyaw,
            dialect.MAV_CMD_SET_MESSAGE_INTERVAL: self._set_interval,
            dialect.MAV_CMD_GET_MESSAGE_INTERVAL: self._get_interval,
            dialect.MAV_CMD_REQUEST_MESSAGE: self._request,
            dialect.MAV_CMD_PREFLIGHT_REBOOT_SHUTDOWN: self._reboot,
            **{number: lambda c, t: stack.understands.track_commands for number in track},
        }

    def execute(self, command: Command, t_ns: int) -> int:
        """t_ns: flight time."""
        action = self._table.get(command.number)
        return UNSUPPORTED if action is None else action(command, t_ns)

    def place(self, command: Command) -> Vector | None:
        """Parameters 5 to 7 as north, east, down of home; None if they are none."""
        x, y, z = command.parameters[4:]
        home = self._vehicle.home
        if command.frame is None:
            above_home = self._stack.understands.long_altitude_above_home
            down = -z if above_home else home.altitude_m - z
        else:
            x, y = x / 1e7, y / 1e7
            found = down_of(z, command.frame, home)
            if found is None:
                return None
            down = found
        if not all(math.isfinite(value) for value in (x, y, down)):
            return None
        north, east = home.metres(x, y)
        return north, east, down

    @staticmethod
    def _message_number(command: Command) -> int | None:
        number = command.parameters[0]
        return int(number) if 0 <= number <= _LAST_MESSAGE else None

    def _arm(self, command: Command, t_ns: int) -> int:
        arm = command.parameters[0] == 1
        if not arm and self._flight.in_air:
            return FAILED
        self._vehicle.condition.armed = arm
        return ACCEPTED

    def _set_mode(self, command: Command, t_ns: int) -> int:
        _, main, sub = (int(p) if math.isfinite(p) else 0 for p in command.parameters[:3])
        number = main
        if not self._stack.floods_and_learns:
            number = main << 16 | sub << 24
        mode = self._stack.mode_of(number)
        return DENIED if mode is None else self._flight.change_mode(mode, t_ns)

    def _reposition(self, command: Command, t_ns: int) -> int:
        place = self.place(command)
        if place is None:
            return DENIED
        flags = int(command.parameters[1]) if math.isfinite(command.parameters[1]) else 0
        switch = bool(flags & _REPOSITION_SWITCHES_MODE)
        return self._flight.reposition(place, command.parameters[0], command.parameters[3], switch, t_ns)

    def _look_at(self, command: Command, t_ns: int) -> int:
        place = self.place(command)
        if place is None:
            return DENIED
        self._gimbal.look_at(place)
        return ACCEPTED

    def _look_nowhere(self, command: Command, t_ns: int) -> int:
        self._gimbal.look_nowhere()
        return ACCEPTED

    def _configure_gimbal(self, command: Command, t_ns: int) -> int:
        return self._gimbal.configure(command.sender, command.parameters[0], command.parameters[1])

    def _pitchyaw(self, command: Command, t_ns: int) -> int:
        return self._gimbal.pitchyaw_command(command.sender, command.parameters, t_ns)

    def _set_interval(self, command: Command, t_ns: int) -> int:
        number, interval_us = self._message_number(command), command.parameters[1]
        if number is None or not math.isfinite(interval_us):
            return DENIED
        done = self._streams.set(command.port, number, interval_us, t_ns)
        return ACCEPTED if done else self._stack.unknown_message

    def _get_interval(self, command: Command, t_ns: int) -> int:
        number = self._message_number(command)
        if number is None:
            return DENIED
        interval_us = self._streams.interval_us(command.port, number)
        self._desk.send(command.port, dialect.MAVLink_message_interval_message(number, interval_us))
        return ACCEPTED

    def _request(self, command: Command, t_ns: int) -> int:
        number = self._message_number(command)
        if number is None or not self._desk.request_message(number, command.port):
            return self._stack.unknown_message
        return ACCEPTED

    def _reboot(self, command: Command, t_ns: int) -> int:
        if command.parameters[0] != 1:
            return DENIED
        self._desk.reboot()
        return ACCEPTED
