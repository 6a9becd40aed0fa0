"""What the ground is told about steering, and the telemetry that steering asks for. Controls nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from edge_rgbt.mavlink.autopilot_link import set_message_interval
from edge_rgbt.mavlink.camera.notices import NOTICE, WARNING, Notices
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Speaker
from edge_rgbt.mavlink.steering.messages import request_message
from edge_rgbt.mavlink.steering.watch import VehicleWatch
from edge_rgbt.mavlink.telemetry_requests import TelemetryRequests, Wanted
from edge_rgbt.steering.machine import SafetyMachine, Text
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import Level, State

LOG = logging.getLogger(__name__)
STATES = {State.DISENGAGED: 0, State.ARMED: 1, State.ENGAGED: 2, State.HOLDING: 3}
_STATE_EVERY_NS = 1_000_000_000
_TRAVEL_EVERY_NS = 5_000_000_000
_TRAVEL = dialect.MAVLINK_MSG_ID_GIMBAL_MANAGER_INFORMATION


class Announcer:
    """Texts for the operator; `ctl_state` (0 disengaged, 1 armed, 2 engaged, 3 holding) and `ctl_level` once
    a second as NAMED_VALUE_FLOAT; requests to the autopilot until what is needed comes."""

    def __init__(self, settings: ControlSettings, machine: SafetyMachine, watch: VehicleWatch) -> None:
        self._machine, self._watch = machine, watch
        self._on = settings.most is not Level.OFF
        self._notices = Notices()
        self._requests = TelemetryRequests(_wanted(settings))
        self._told_state, self._told_ns = -1, 0
        self._travel_ns = 0

    def say(self, texts: Iterable[Text]) -> None:
        for text in texts:
            LOG.log(logging.WARNING if text.urgent else logging.INFO, "%s", text.text)
            self._notices.say(WARNING if text.urgent else NOTICE, text.text)

    def arrived(self, name: str, at_ns: int) -> None:
        """A message came from our vehicle."""
        self._requests.arrived(name, at_ns)

    def restart(self) -> None:
        """The autopilot has forgotten what it was asked for."""
        self._requests.restart()

    def due(self, now_ns: int, boot_ms: int) -> list[Outgoing]:
        """Nothing but texts while steering is not configured."""
        out = [_everywhere(message) for message in self._notices.due(now_ns)]
        return out + self._state(now_ns, boot_ms) + self._asking(now_ns) if self._on else out

    def _state(self, now_ns: int, boot_ms: int) -> list[Outgoing]:
        state, level = STATES[self._machine.state], int(self._machine.level)
        if state == self._told_state and now_ns - self._told_ns < _STATE_EVERY_NS:
            return []
        self._told_state, self._told_ns = state, now_ns
        numbers = ((b"ctl_state", state), (b"ctl_level", level))
        return [
            _everywhere(dialect.MAVLink_named_value_float_message(boot_ms % (1 << 32), name, value))
            for name, value in numbers
        ]

    def _asking(self, now_ns: int) -> list[Outgoing]:
        system, endpoint, out = self._watch.system, self._watch.link.endpoint, []
        if system is None or endpoint is None:
            return out
        for message_id, rate_hz in self._requests.due(now_ns):
            asked = set_message_interval(system, message_id, rate_hz)
            out.append(Outgoing(asked, Priority.ONE_SHOT, Speaker.COMPANION, endpoint))
        manager = self._watch.manager
        if manager is not None and not self._watch.travel_known and now_ns >= self._travel_ns:
            self._travel_ns = now_ns + _TRAVEL_EVERY_NS
            asked = request_message(system, manager[0], _TRAVEL)
            out.append(Outgoing(asked, Priority.ONE_SHOT, Speaker.COMPANION, manager[1]))
        return out


def _everywhere(message: Any) -> Outgoing:
    return Outgoing(message, Priority.DIAGNOSTIC, Speaker.COMPANION)


def _wanted(settings: ControlSettings) -> list[Wanted]:
    """Telemetry that steering needs beyond what geolocation asks for."""
    level, wanted = settings.most, [Wanted(("GIMBAL_MANAGER_STATUS",), 2.0)]
    if level is Level.GUIDED or settings.switch.channel is not None:
        wanted.append(Wanted(("RC_CHANNELS",), 10.0))
    if level.flies:
        wanted += [Wanted(("EXTENDED_SYS_STATE",), 1.0), Wanted(("FENCE_STATUS",), 1.0)]
    return wanted
