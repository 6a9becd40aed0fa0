"""Whoever else has a say over the vehicle: the pilot's hands and the faults of a flight, for tests."""

from __future__ import annotations

from edge_rgbt.mavlink.autopilot.autopilot import SimulatedAutopilot
from edge_rgbt.mavlink.autopilot.modes import FlightMode
from edge_rgbt.sim.vehicle import Sticks


class Pilot:
    """Levers. A fault changes only what it names; the mode that a real autopilot would enter, `mode` sets."""

    def __init__(self, autopilot: SimulatedAutopilot) -> None:
        self._autopilot = autopilot

    def mode(self, mode: FlightMode) -> int:
        """By the switch on the radio; a MAV_RESULT, as not every mode can be entered at any time."""
        return self._autopilot.flight.change_mode(mode, self._autopilot.flight_ns)

    def sticks(self, roll: float = 0.0, pitch: float = 0.0, throttle: float = 0.0, yaw: float = 0.0) -> None:
        """Moves the sticks and holds them; switches stay as they are."""
        held = self._autopilot.vehicle.condition.sticks
        switches = {} if held is None else held.switches
        self._autopilot.vehicle.condition.sticks = Sticks(roll, pitch, throttle, yaw, switches)

    def switch(self, channel: int, position: float) -> None:
        """Of a channel from 5 on, -1 to 1."""
        sticks = self._autopilot.vehicle.condition.sticks or Sticks()
        sticks.switches[channel] = position
        self._autopilot.vehicle.condition.sticks = sticks

    def radio_lost(self) -> None:
        self._autopilot.vehicle.condition.sticks = None

    def failsafe(self, on: bool = True) -> None:
        """system_status of the heartbeat becomes CRITICAL."""
        self._autopilot.vehicle.condition.failsafe = on

    def fence_breach(self, on: bool = True) -> None:
        condition = self._autopilot.vehicle.condition
        condition.fence_breaches += on and not condition.fence_breached
        condition.fence_breached = on

    def gps(self, fix: int) -> None:
        """3 is a full fix, 1 none."""
        self._autopilot.vehicle.condition.gps_fix = fix

    def estimator(self, ok: bool) -> None:
        self._autopilot.vehicle.condition.estimator_ok = ok

    def battery(self, percent: float) -> None:
        self._autopilot.vehicle.condition.battery_percent = percent

    def reboot(self) -> None:
        self._autopilot.reboot()

    def change_system_id(self, system: int) -> None:
        """Sets the parameter; PX4 takes the new id with its next boot, ArduPilot at once."""
        parameters = self._autopilot.parameters
        parameters[parameters.system_name] = system

    def take_gimbal(self, system: int = 255, component: int = 190) -> None:
        """As an operator who touches the gimbal on his screen."""
        self._autopilot.gimbal.configure((system, component), system, component)
