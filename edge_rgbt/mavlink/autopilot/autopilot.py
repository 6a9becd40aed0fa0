"""The simulated autopilot: bytes of its links in, bytes out, a vehicle and its gimbal moved between.

It does no input or output and has no clock, so that a closed loop runs with exact times and faster than
real ones. `server` gives it sockets; `lockstep` flies it together with the companion's components.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.autopilot import telemetry
from edge_rgbt.mavlink.autopilot.camera_client import CameraClient
from edge_rgbt.mavlink.autopilot.commands import Command, Commands
from edge_rgbt.mavlink.autopilot.flight import Flight
from edge_rgbt.mavlink.autopilot.gimbal_manager import GimbalManager, information
from edge_rgbt.mavlink.autopilot.modes import base_mode
from edge_rgbt.mavlink.autopilot.parameters import Parameters
from edge_rgbt.mavlink.autopilot.routing import ArduPilotRouter, Packet, Px4Router
from edge_rgbt.mavlink.autopilot.stacks import PX4, Stack
from edge_rgbt.mavlink.autopilot.streams import Streams
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.framing import Decoder, FrameCounters, FrameReader, FrameWriter
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT, Identity
from edge_rgbt.sim.vehicle import Vehicle

COMPANION_PORT, GROUND_PORT = "companion", "ground"
HEARTBEAT_NS = 1_000_000_000
BOOT_TAKES_NS = 1_500_000_000
_REMEMBERED_STAMPS = 64


@dataclass(frozen=True)
class AutopilotSettings:
    """system: its MAVLink id. ports: its links, in the order of MAV_0, MAV_1 or SERIAL1, SERIAL2.

    clock_ppm: how much faster its clock runs. unix_s: GPS time at boot. gimbal_frame: report only this flag
    in 285, 32 or 64, whatever the stack would say.
    """

    system: int = 1
    ports: tuple[str, ...] = (COMPANION_PORT, GROUND_PORT)
    clock_ppm: float = 0.0
    unix_s: float = 1_790_000_000.0
    gimbal_frame: int | None = None


@dataclass(slots=True)
class TimesyncCounters:
    """Answers to its own TIMESYNC requests. wrong: with a stamp that it never sent."""

    right: int = 0
    wrong: int = 0
    worst_rtt_ns: int = 0


class SimulatedAutopilot:
    """One autopilot with its vehicle. Times are nanoseconds of the host's monotonic clock.

    began_ns: when flight time and the autopilot's clock begin. Not for two threads at once.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        stack: Stack = PX4,
        settings: AutopilotSettings | None = None,
        began_ns: int = 0,
    ) -> None:
        self.settings = settings or AutopilotSettings()
        self.stack, self.vehicle, self.began_ns = stack, vehicle, began_ns
        ports = self.settings.ports
        self.parameters = Parameters(stack, len(ports), self.settings.system)
        self.gimbal = GimbalManager(stack, vehicle, lambda: self.system)
        self.flight = Flight(stack, vehicle, self.parameters, self.gimbal)
        self.streams = Streams(ports, stack.streams, telemetry.MESSAGES)
        self.router = ArduPilotRouter(ports) if stack.floods_and_learns else Px4Router(ports, self._forwards)
        self.commands = Commands(stack, vehicle, self.flight, self.gimbal, self.streams, self)
        self.timesync = TimesyncCounters()
        self._camera = CameraClient()
        self._booted_with = self.settings.system
        self._boot_ns = self._now_ns = self._next_beat_ns = self._next_sync_ns = began_ns
        self._up_ns = began_ns  # before, it is booting
        self._stamps: deque[int] = deque(maxlen=_REMEMBERED_STAMPS)
        self._readers = {port: FrameReader(FrameCounters()) for port in ports}
        self._writers = {port: FrameWriter() for port in ports}
        self._decoder = Decoder()
        self._outbox: list[tuple[str, Any]] = []  # messages of its own, bytes of others
        vehicle.on_step = self.flight.step

    @property
    def system(self) -> int:
        """Its MAVLink system id; ArduPilot takes a new one at once, PX4 with its next boot."""
        if self.stack.floods_and_learns:
            return int(self.parameters[self.parameters.system_name])
        return self._booted_with

    @property
    def flight_ns(self) -> int:
        """Time of the flight."""
        return self._now_ns - self.began_ns

    @property
    def boot_ns(self) -> int:
        """Time on its own clock."""
        return round((self._now_ns - self._boot_ns) * (1 + self.settings.clock_ppm * 1e-6))

    def receive(self, port: str, data: bytes, now_ns: int) -> None:
        """Bytes that came in on a port. What they lead to is fetched with `due`."""
        self._advance(now_ns)
        for frame in self._readers[port].feed(data, now_ns):
            if now_ns >= self._up_ns:
                self._take_in(Packet(port, frame, self._decoder.decode(frame)))

    def due(self, now_ns: int) -> list[tuple[str, bytes]]:
        """Plays the flight up to now; frames to send, with their ports."""
        self._advance(now_ns)
        if now_ns >= self._up_ns:
            self._beat()
            self._ask_time()
            self._stream()
        outbox, self._outbox = self._outbox, []
        own = Identity(self.system, AUTOPILOT_COMPONENT)
        return [
            (port, item if isinstance(item, bytes) else self._writers[port].write(own, item))
            for port, item in outbox
        ]

    def send(self, port: str, message: Any) -> None:
        """As the autopilot, on one port."""
        self._outbox.append((port, message))

    def request_message(self, number: int, port: str) -> bool:
        message = self._one_shot(number)
        if message is not None:
            self.send(port, message)
        return message is not None

    def reboot(self) -> None:
        """Falls silent, forgets routes, intervals and who held the gimbal, and counts time from zero again.

        The vehicle hovers meanwhile, which a real one would not.
        """
        self._boot_ns = self._now_ns
        self._up_ns = self._now_ns + BOOT_TAKES_NS
        self._next_beat_ns = self._next_sync_ns = self._up_ns
        self._booted_with = int(self.parameters[self.parameters.system_name])
        self.router.forget()
        self.streams.reset()
        self.gimbal.restart()
        self._stamps.clear()
        self._camera = CameraClient()

    def report(self) -> telemetry.Report:
        """What telemetry is made of, now."""
        vehicle, flight_ns = self.vehicle, self.flight_ns
        condition = vehicle.condition
        unix_us = round(self.settings.unix_s * 1e6) + self.boot_ns // 1000
        flags = telemetry.gimbal_flags(vehicle.gimbal.yaw_locked, self.stack, self.settings.gimbal_frame)
        return telemetry.Report(
            stack=self.stack,
            boot_ns=self.boot_ns,
            unix_us=unix_us if condition.gps_fix >= 3 else 0,
            state=vehicle.sensed(flight_ns),
            true_height_m=vehicle.at(flight_ns).height_m,
            condition=condition,
            errors=vehicle.settings.errors,
            home=vehicle.home,
            landed=self.flight.landed,
            gimbal_flags=flags,
            control=self.gimbal.control,
        )

    def _advance(self, now_ns: int) -> None:
        self._now_ns = max(self._now_ns, now_ns)
        self.vehicle.advance(self.flight_ns)

    def _forwards(self, port: str) -> bool:
        return bool(self.parameters[f"MAV_{self.settings.ports.index(port)}_FORWARD"])

    def _take_in(self, packet: Packet) -> None:
        local, onward = self.router.route(packet, self.system)
        for port in onward:
            self._outbox.append((port, packet.frame.data))
        if local and packet.message is not None:
            self._read(packet)

    def _read(self, packet: Packet) -> None:
        message: Any = packet.message
        kind, sender, t_ns = packet.kind, packet.source, self.flight_ns
        if kind in ("COMMAND_LONG", "COMMAND_INT"):
            self._execute(Command.of(message, sender, packet.port))
        elif kind == "GIMBAL_MANAGER_SET_ATTITUDE":
            self.gimbal.set_attitude(sender, message, t_ns)
        elif kind == "GIMBAL_MANAGER_SET_PITCHYAW":
            self.gimbal.set_pitchyaw(sender, message, t_ns)
        elif kind == "GIMBAL_MANAGER_SET_MANUAL_CONTROL":
            self.gimbal.manual_control(sender, message, t_ns)
        elif kind in ("SET_POSITION_TARGET_GLOBAL_INT", "SET_POSITION_TARGET_LOCAL_NED"):
            self.flight.position_target(message, t_ns)
        elif kind == "FOLLOW_TARGET":
            self.flight.beacon(sender[0], self.system, message, t_ns)
        elif kind == "SET_MODE":  # old, not answered, and still what Mission Planner and QGroundControl send
            mode = self.stack.mode_of(message.custom_mode)
            if mode is not None:
                self.flight.change_mode(mode, t_ns)
        elif kind == "TIMESYNC":
            self._answer_time(message, packet.port)
        elif kind.startswith("PARAM_"):
            self._answer_parameters(message, kind, packet.port)
        elif self.stack.floods_and_learns:
            self._look_for_camera(message, kind, packet)

    def _execute(self, command: Command) -> None:
        before = len(self._outbox)
        result = self.commands.execute(command, self.flight_ns)
        ack = dialect.MAVLink_command_ack_message(command.number, result, 0, 0, *command.sender)
        self._outbox.insert(before, (command.port, ack))  # the answer goes before what it announces

    def _answer_time(self, message: Any, port: str) -> None:
        if message.tc1 == 0:
            self.send(port, dialect.MAVLink_timesync_message(self.boot_ns, message.ts1))
        elif message.ts1 in self._stamps:
            self.timesync.right += 1
            rtt_ns = self.boot_ns - self._sent_ns(message.ts1)
            self.timesync.worst_rtt_ns = max(self.timesync.worst_rtt_ns, rtt_ns)
        else:
            self.timesync.wrong += 1

    def _sent_ns(self, stamp: int) -> int:
        return stamp - self.system if self.stack.timesync_carries_system else stamp

    def _answer_parameters(self, message: Any, kind: str, port: str) -> None:
        if kind not in ("PARAM_REQUEST_LIST", "PARAM_REQUEST_READ", "PARAM_SET"):
            return
        for answer in self.parameters.answer(message):
            self.send(port, answer)
        if kind == "PARAM_SET":
            self.flight.refresh_parameters()

    def _look_for_camera(self, message: Any, kind: str, packet: Packet) -> None:
        if self.parameters["CAM1_TYPE"] != 6:
            return
        if kind == "HEARTBEAT":
            armed = self.vehicle.condition.armed
            self._camera.heartbeat(packet.source, message.type, self.system, armed, self.boot_ns)
        elif kind == "CAMERA_INFORMATION":
            text = self._camera.heard(packet.source, message)
            for port in self.settings.ports if text is not None else ():
                self.send(port, text)

    def _one_shot(self, number: int) -> Any | None:
        if number == dialect.MAVLINK_MSG_ID_GIMBAL_MANAGER_INFORMATION:
            return information(self.report().boot_ms, self.vehicle)
        if number == dialect.MAVLINK_MSG_ID_AUTOPILOT_VERSION:
            return self._version()
        if number == dialect.MAVLINK_MSG_ID_CAMERA_INFORMATION:
            return self._camera.information
        build = telemetry.MESSAGES.get(number)
        return None if build is None else build(self.report())

    def _version(self) -> Any:
        abilities = (
            dialect.MAV_PROTOCOL_CAPABILITY_MAVLINK2
            | dialect.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
            | dialect.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_LOCAL_NED
            | dialect.MAV_PROTOCOL_CAPABILITY_SET_POSITION_TARGET_GLOBAL_INT
        )
        nothing = [0] * 8
        return dialect.MAVLink_autopilot_version_message(
            abilities, self.stack.version, 0, 0, 0, nothing, nothing, nothing, 0, 0, self.system
        )

    def _beat(self) -> None:
        if self._now_ns < self._next_beat_ns:
            return
        self._next_beat_ns = max(self._next_beat_ns + HEARTBEAT_NS, self._now_ns)
        condition, flight = self.vehicle.condition, self.flight
        status = dialect.MAV_STATE_ACTIVE if condition.armed else dialect.MAV_STATE_STANDBY
        if condition.failsafe:
            status = dialect.MAV_STATE_CRITICAL
        beat = dialect.MAVLink_heartbeat_message(
            dialect.MAV_TYPE_QUADROTOR, self.stack.autopilot, base_mode(flight.mode, condition.armed),
            self.stack.modes[flight.mode], status, 3,
        )  # fmt: skip
        for port in self.settings.ports:
            self.send(port, beat)

    def _ask_time(self) -> None:
        if self._now_ns >= self._next_sync_ns:
            self._next_sync_ns = max(self._next_sync_ns + round(1e9 / self.stack.timesync_hz), self._now_ns)
            stamp = self.boot_ns + (self.system if self.stack.timesync_carries_system else 0)
            self._stamps.append(stamp)
            for port in self.settings.ports:
                self.send(port, dialect.MAVLink_timesync_message(0, stamp))
        if self.stack.floods_and_learns:
            request = self._camera.due(self.boot_ns)
            for port in self.settings.ports if request is not None else ():
                self.send(port, request)

    def _stream(self) -> None:
        due = self.streams.due(self.flight_ns)
        if not due:
            return
        report, built = self.report(), {}
        for port, number in due:
            if number not in built:
                built[number] = telemetry.MESSAGES[number](report)
            if built[number] is not None:
                self.send(port, built[number])
