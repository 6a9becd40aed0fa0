"""The simulated vehicle in a process of its own, where neither rendering nor tracking delays its answers.

The process that renders asks for poses over a socket of this machine; a ground station or the service speaks
to the autopilot over its endpoints.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.mavlink.autopilot.autopilot import AutopilotSettings, SimulatedAutopilot
from edge_rgbt.mavlink.autopilot.flight import ACCEPTED
from edge_rgbt.mavlink.autopilot.modes import FlightMode
from edge_rgbt.mavlink.autopilot.server import AutopilotServer
from edge_rgbt.mavlink.autopilot.stacks import STACKS
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.processes import children_spared, end_with_parent
from edge_rgbt.sim import Pose, PoseSource, Scenario
from edge_rgbt.sim.vehicle import Vehicle, VehicleSettings
from edge_rgbt.sim.vehicle.start import starts_like

_STOP_TIMEOUT_S = 3.0
_START_TIMEOUT_S = 20.0
_REMEMBERED_POSES = 64


@dataclass(frozen=True)
class VehicleOrder:
    """Which vehicle. stack: "px4" or "arducopter". endpoints: URLs as in the configuration of the service.

    parameters: set before take-off, by the autopilot's own names. mode: that it flies in at first.
    vehicle: how it is built; with cameras, the flight's own start takes the place of home and position.
    """

    stack: str = "px4"
    endpoints: tuple[str, ...] = ("udpout:127.0.0.1:14540", "udpout:127.0.0.1:14550")
    system: int = 1
    seed: int = 0
    mode: FlightMode = FlightMode.HOLD
    parameters: tuple[tuple[str, float], ...] = ()
    vehicle: VehicleSettings = field(default_factory=VehicleSettings)

    def __post_init__(self) -> None:
        if self.stack not in STACKS:
            raise UsageError(f"autopilot {self.stack!r} is not simulated: choose one of {', '.join(STACKS)}")
        for url in self.endpoints:
            parse_endpoint(url)
        if not 1 <= self.system <= 250:
            raise UsageError(f"the vehicle's system id is {self.system}, expected 1 to 250")


def make_autopilot(order: VehicleOrder, began_ns: int) -> SimulatedAutopilot:
    """Builds it. Raises UsageError for a parameter or a mode that this autopilot does not have."""
    vehicle = Vehicle(order.vehicle, order.seed)
    settings = AutopilotSettings(system=order.system, ports=order.endpoints)
    autopilot = SimulatedAutopilot(vehicle, STACKS[order.stack], settings, began_ns)
    for name, value in order.parameters:
        if name not in autopilot.parameters:
            raise UsageError(f"the simulated {order.stack} has no parameter {name!r}")
        autopilot.parameters[name] = value
    autopilot.flight.refresh_parameters()
    if autopilot.flight.change_mode(order.mode, 0) != ACCEPTED:
        raise UsageError(f"the simulated {order.stack} cannot begin in mode {order.mode.value!r}; try hold")
    return autopilot


def serve(order: VehicleOrder, began_ns: int | None = None) -> AutopilotServer:
    """The vehicle in this process, on its endpoints, not yet started."""
    autopilot = make_autopilot(order, time.monotonic_ns() if began_ns is None else began_ns)
    return AutopilotServer(autopilot, [parse_endpoint(url) for url in order.endpoints])


class VehicleProcess:
    """A vehicle that waits for the cameras' flight and flies from then on. A context manager.

    Raises UsageError for what cannot be, EdgeRgbtError if the process does not start.
    """

    def __init__(self, order: VehicleOrder) -> None:
        make_autopilot(order, 0)  # tells here what would fail there
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        self._process = context.Process(
            target=_fly, args=(theirs, order), name="edge-rgbt-vehicle", daemon=True
        )
        with children_spared(signal.SIGINT):  # `close` ends it
            self._process.start()
        theirs.close()
        try:
            answer = mine.recv() if mine.poll(_START_TIMEOUT_S) else None
        except EOFError:
            answer = None
        mine.close()
        if not isinstance(answer, tuple):
            self.close()
            raise (
                answer
                if isinstance(answer, EdgeRgbtError)
                else EdgeRgbtError("the simulated vehicle's process did not start")
            )
        self._address, self._key = answer

    @property
    def make_poses(self) -> Callable[[Scenario, int], PoseSource]:
        """For the process that renders: see `edge_rgbt.cameras.flight_process`."""
        return functools.partial(_poses_of, self._address, self._key)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def close(self) -> None:
        self._process.terminate()
        self._process.join(_STOP_TIMEOUT_S)

    def __enter__(self) -> VehicleProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class RemotePoses:
    """Poses of a vehicle in another process. One question a frame and exposure; repeated ones are kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[int, Pose] = {}

    def pose(self, t_ns: int) -> Pose:
        """Raises EdgeRgbtError if the vehicle's process has ended."""
        known = self._known.get(t_ns)
        if known is not None:
            return known
        try:
            self._connection.send(t_ns)
            pose: Pose = self._connection.recv()
        except (EOFError, OSError) as error:
            raise EdgeRgbtError("the simulated vehicle's process has ended") from error
        self._known[t_ns] = pose
        while len(self._known) > _REMEMBERED_POSES:
            del self._known[next(iter(self._known))]
        return pose


def _poses_of(address: str, key: bytes, scenario: Scenario, began_ns: int) -> PoseSource:
    connection = Client(address, authkey=key)
    connection.send((starts_like(scenario), began_ns))
    return RemotePoses(connection)


def _fly(pipe: Connection, order: VehicleOrder) -> None:
    """The vehicle's process: waits for a flight to begin, serves it, and begins again with the next one."""
    end_with_parent()
    key = multiprocessing.current_process().authkey
    # An abstract name: nothing stays behind in the file system, however this process ends.
    listener = Listener(f"\0edge-rgbt-vehicle-{os.getpid()}", "AF_UNIX", authkey=key)
    try:
        serve(order).close()  # takes the ports once, so that one in use is told
    except EdgeRgbtError as error:
        pipe.send(error)
        return
    pipe.send((listener.address, bytes(key)))
    pipe.close()
    server: AutopilotServer | None = None
    while True:
        with suppress(EOFError, OSError, AuthenticationError):  # whoever knocks without the key goes away
            connection = listener.accept()
            start, began_ns = connection.recv()
            if server is not None:
                server.close()
            server = serve(replace(order, vehicle=start(order.vehicle)), began_ns)
            server.start()
            threading.Thread(target=_answer, args=(connection, server), daemon=True).start()


def _answer(connection: Connection, server: AutopilotServer) -> None:
    with suppress(EOFError, OSError):
        while True:
            connection.send(server.pose(connection.recv()))
