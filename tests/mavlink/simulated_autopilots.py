"""A simulated autopilot on a bench: a hand to speak as the companion, and eyes on what comes back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from edge_rgbt.mavlink.autopilot import AutopilotSettings, Pilot, SimulatedAutopilot, Stack
from edge_rgbt.mavlink.autopilot.lockstep import Cable, Lockstep, Spoken
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.sim.vehicle import Vehicle, VehicleSettings

NAN = math.nan
SYSTEM = 7
COMPANION = 191


class Voice:
    """A component that says what the test tells it to."""

    def __init__(self) -> None:
        self.waiting: list[Outgoing] = []

    def receive(self, received: Received) -> list[Outgoing]:
        return []

    def due(self, now_ns: int) -> list[Outgoing]:
        waiting, self.waiting = self.waiting, []
        return waiting


class Bench:
    """Autopilot, vehicle, pilot and a companion that obeys. The flight has run for 1.2 s: it is known."""

    def __init__(
        self,
        stack: Stack,
        vehicle: VehicleSettings | None = None,
        settings: AutopilotSettings | None = None,
        cable: Cable | None = None,
        seed: int = 0,
        quiet: bool = True,
    ) -> None:
        """quiet: nothing is streamed but what is asked for, which saves the test's time."""
        stack = replace(stack, streams={}) if quiet else stack
        self.vehicle = Vehicle(vehicle, seed)
        settings = settings or AutopilotSettings(system=SYSTEM)
        self.autopilot = SimulatedAutopilot(self.vehicle, stack, settings, began_ns=5_000_000_000_000)
        self.pilot = Pilot(self.autopilot)
        self.voice = Voice()
        self.steps = Lockstep(self.autopilot, [self.voice], cable=cable, seed=seed)
        self.run = self.steps.run
        self.run(1.2)

    def say(self, message: Any, speaker: Speaker = Speaker.COMPANION) -> None:
        self.voice.waiting.append(Outgoing(message, Priority.ONE_SHOT, speaker))

    def command(self, number: int, *parameters: float, target: int = 1) -> int:
        """Sends a COMMAND_LONG and gives the result that was acknowledged."""
        padded = (*parameters, *(0.0,) * (7 - len(parameters)))
        return self._acknowledged(dialect.MAVLink_command_long_message(SYSTEM, target, number, 0, *padded))

    def command_int(
        self, number: int, frame: int, parameters: tuple[float, ...], x: int, y: int, z: float
    ) -> int:
        padded = (*parameters, *(0.0,) * (4 - len(parameters)))
        return self._acknowledged(
            dialect.MAVLink_command_int_message(SYSTEM, 1, frame, number, 0, 0, *padded, x, y, z)
        )

    def _acknowledged(self, message: Any) -> int:
        before = len(self.steps.heard)
        self.say(message)
        self.run(0.1)
        answers = [s.message for s in self.steps.heard[before:] if s.kind == "COMMAND_ACK"]
        assert [a.command for a in answers] == [message.command], "one answer to one command"
        return answers[0].result

    def take_gimbal(self) -> int:
        return self.command(1001, SYSTEM, COMPANION, -1, -1)

    def rates(self, pitch: float, yaw: float, flags: int = 12) -> None:
        self.say(
            dialect.MAVLink_gimbal_manager_set_attitude_message(
                SYSTEM, 1, flags, 0, [NAN] * 4, 0.0, pitch, yaw
            )
        )

    def beacon(
        self, north: float, east: float, velocity: tuple[float, float, float], speaker=Speaker.BEACON, able=3
    ) -> None:
        home = self.vehicle.home
        latitude, longitude = home.degrees(north, east)
        self.say(
            dialect.MAVLink_follow_target_message(
                self.steps.t_ns // 1_000_000, able, round(latitude * 1e7), round(longitude * 1e7),
                home.altitude_m, list(velocity), [0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3, [1.0] * 3, 0,
            ),
            speaker,
        )  # fmt: skip

    def velocity(self, north: float, east: float, down: float = 0.0) -> None:
        """SET_POSITION_TARGET_GLOBAL_INT with velocity only, as section 9.5 says."""
        self.say(
            dialect.MAVLink_set_position_target_global_int_message(
                0, SYSTEM, 1, 6, 0x0DC7, 0, 0, 0.0, north, east, down, 0.0, 0.0, 0.0, 0.0, 0.0
            )
        )

    def stream(self, seconds: float, every_s: float, send: Any) -> None:
        """Calls `send` every so often while the flight goes on."""
        for _ in range(round(seconds / every_s)):
            send()
            self.run(every_s)

    def last(self, kind: str) -> Any:
        return self.steps.last(kind)

    def heard(self, kind: str) -> list[Spoken]:
        return [spoken for spoken in self.steps.heard if spoken.kind == kind]

    @property
    def speed(self) -> float:
        north, east, _ = self.vehicle.newest.velocity
        return math.hypot(north, east)

    def gimbal_moves(self, seconds: float = 0.5) -> bool:
        """True if the camera turns by itself during this time."""
        before = self.vehicle.newest
        self.run(seconds)
        after = self.vehicle.newest
        turned = abs(after.gimbal_pitch_rad - before.gimbal_pitch_rad)
        turned += abs(after.gimbal_yaw_rad - before.gimbal_yaw_rad)
        return turned > 1e-3
