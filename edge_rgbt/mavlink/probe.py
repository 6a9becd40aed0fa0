"""Looks at one endpoint from outside the service: who is there, and how the autopilot is set up.

Speaks as little as it can: heartbeats, and questions for the few parameters that decide whether a camera
behind the autopilot is found. Changes nothing.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_rgbt.mavlink.connection import Connection, Ears, Heard
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.exchange import Priority, Speaker
from edge_rgbt.mavlink.heartbeat import heartbeat
from edge_rgbt.mavlink.identity import (
    AUTOPILOT_COMPONENT,
    AUTOPILOT_INVALID,
    CAMERA_COMPONENT,
    ONBOARD_COMPUTER_COMPONENT,
    Identity,
)
from edge_rgbt.mavlink.messages import Health
from edge_rgbt.mavlink.outbox import Parcel

OPENS_WITHIN_S = 2.5
_ONE_BEAT_S = 1.2  # everybody who is there has spoken once
_ANSWERS_WITHIN_S = 2.5
_POLL_S = 0.02
_BYTES_PER_S = 5000
_INTEGER_TYPES = range(1, 9)  # MAV_PARAM_TYPE_UINT8 to _INT64
QUESTIONS = {
    dialect.MAV_AUTOPILOT_PX4: tuple(f"MAV_{n}_FORWARD" for n in range(3)),
    dialect.MAV_AUTOPILOT_ARDUPILOTMEGA: ("CAM1_TYPE",),
}


@dataclass
class Sight:
    """What was found. vehicles: system -> MAV_AUTOPILOT. others: everybody else by (system, component) ->
    MAV_TYPE. doubles: who spoke with the camera's numbers before we did. old: vehicles that kept to version 1
    after we had spoken version 2. echoed: our own messages came back. asked: somebody asked our camera for
    something. parameters: of the vehicle, where it answered."""

    opened: bool = False
    problem: str = ""
    received_bytes: int = 0
    frames: int = 0
    vehicles: dict[int, int] = field(default_factory=dict)
    others: dict[tuple[int, int], int] = field(default_factory=dict)
    doubles: set[tuple[int, int]] = field(default_factory=set)
    old: set[int] = field(default_factory=set)
    echoed: bool = False
    asked: bool = False
    parameters: dict[str, float] = field(default_factory=dict)

    @property
    def ground_stations(self) -> list[tuple[int, int]]:
        return sorted(who for who, kind in self.others.items() if kind == dialect.MAV_TYPE_GCS)


def look_at(endpoint: Endpoint, patience_s: float) -> Sight:
    """Waits so long for a vehicle, and a few seconds more for what it answers. Raises UsageError: a port that
    another program holds."""
    probe = _Probe(endpoint)
    try:
        probe.look(patience_s)
    finally:
        probe.connection.close(0.3)
    return probe.sight


class _Probe:
    def __init__(self, endpoint: Endpoint) -> None:
        self.sight = Sight()
        self.connection = Connection(endpoint, _BYTES_PER_S, Ears(heard=self._heard))
        self._lock = threading.Lock()
        self._speaker: Identity | None = None  # the first that we speak as is the companion
        self._versions: dict[int, set[int]] = {}  # of each vehicle's messages since we have spoken
        self._next_beat_s = 0.0

    def look(self, patience_s: float) -> None:
        sight, connection = self.sight, self.connection
        connection.bind()
        connection.start()
        self._until(lambda: connection.counters.opened > 0, OPENS_WITHIN_S)
        sight.opened, sight.problem = connection.counters.opened > 0, connection.problem
        if not sight.opened:
            return
        speaks_first = connection.endpoint.scheme not in ("udpin", "tcpin")
        if speaks_first:
            self._speaker = Identity(1, ONBOARD_COMPUTER_COMPONENT)
        self._until(lambda: bool(sight.vehicles), patience_s)
        sight.problem = connection.problem
        if sight.vehicles:
            self._until(lambda: False, _ONE_BEAT_S)
            self._question(min(sight.vehicles))
        with self._lock:
            sight.received_bytes, sight.frames = (
                connection.counters.received_bytes, connection.frames.frames,
            )  # fmt: skip
            sight.old = {system for system, versions in self._versions.items() if versions == {1}}

    def _question(self, system: int) -> None:
        """Speaks as the vehicle's camera and asks for the parameters of its kind."""
        names = QUESTIONS.get(self.sight.vehicles[system], ())
        with self._lock:
            self._speaker, self._next_beat_s = Identity(system, CAMERA_COMPONENT), 0.0
            self._versions = {}
        for name in names:
            message = dialect.MAVLink_param_request_read_message(
                system, AUTOPILOT_COMPONENT, name.encode(), -1
            )
            self._post(message, Priority.ONE_SHOT)
        began_s = time.monotonic()

        def settled() -> bool:
            return time.monotonic() - began_s > _ONE_BEAT_S and self.sight.parameters.keys() >= set(names)

        self._until(settled, _ANSWERS_WITHIN_S)

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not done() and time.monotonic() < until_s:
            if self._speaker is not None and time.monotonic() >= self._next_beat_s:
                self._next_beat_s = time.monotonic() + 1.0
                camera = self._speaker.component == CAMERA_COMPONENT
                kind = Speaker.CAMERA if camera else Speaker.COMPANION
                self._post(heartbeat(kind, Health.BOOT), Priority.HEARTBEAT)
            time.sleep(_POLL_S)

    def _post(self, message: Any, priority: Priority) -> None:
        self.connection.post(Parcel(priority, self._speaker, message))

    def _heard(self, connection: Connection, heard: Heard) -> None:
        frame, message, sight = heard.frame, heard.message, self.sight
        who = frame.system, frame.component
        with self._lock:
            if self._speaker is not None and who == (self._speaker.system, self._speaker.component):
                sight.echoed = True
                return
            if frame.component == AUTOPILOT_COMPONENT:
                self._versions.setdefault(frame.system, set()).add(frame.version)
            if message is None:
                return
            kind = message.get_type()
            if kind == "HEARTBEAT":
                self._note(who, message)
            elif kind == "PARAM_VALUE" and frame.system in sight.vehicles:
                name, value = _parameter(message, sight.vehicles[frame.system])
                sight.parameters[name] = value
            elif getattr(message, "target_component", 0) == CAMERA_COMPONENT:
                sight.asked = True

    def _note(self, who: tuple[int, int], message: Any) -> None:
        sight, (system, component) = self.sight, who
        if component == AUTOPILOT_COMPONENT and message.autopilot != AUTOPILOT_INVALID:
            sight.vehicles[system] = message.autopilot
            return
        sight.others[who] = message.type
        spoke_as_camera = self._speaker is not None and self._speaker.component == CAMERA_COMPONENT
        if component == CAMERA_COMPONENT and not spoke_as_camera:
            sight.doubles.add(who)


def _parameter(message: Any, autopilot: int) -> tuple[str, float]:
    """Name and value; PX4 puts the bytes of a whole number where others put the number."""
    name = message.param_id.rstrip("\0")
    if autopilot == dialect.MAV_AUTOPILOT_PX4 and message.param_type in _INTEGER_TYPES:
        return name, struct.unpack("<i", struct.pack("<f", message.param_value))[0]
    return name, message.param_value
