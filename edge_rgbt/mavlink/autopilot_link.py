"""Which of the received messages are our autopilot's, where they may come over several links."""

from __future__ import annotations

from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT

SILENT_AFTER_NS = 3_000_000_000


class AutopilotLink:
    """Keeps to one link: the same message twice, at two times, would look like two.

    Another link takes over when the first has been silent for 3 s.
    """

    def __init__(self) -> None:
        self.system: int | None = None
        self.endpoint: str | None = None
        self._heard_ns = 0

    def belong_to(self, system: int) -> None:
        """The vehicle's id, from now on."""
        if system != self.system:
            self.system, self.endpoint = system, None

    def lose(self, endpoint: str) -> bool:
        """A link went down; True if it was the one in use."""
        if endpoint != self.endpoint:
            return False
        self.endpoint = None
        return True

    def heard(self, received: Received) -> bool:
        """True if the autopilot said this on the link in use. Other vehicles and components do not count."""
        if received.system != self.system or received.component != AUTOPILOT_COMPONENT:
            return False
        silent = received.arrival_ns - self._heard_ns > SILENT_AFTER_NS
        if self.endpoint is None or (silent and received.endpoint != self.endpoint):
            self.endpoint = received.endpoint
        if received.endpoint != self.endpoint:
            return False
        self._heard_ns = received.arrival_ns
        return True

    def request(self, message: Any, speaker: Speaker) -> list[Outgoing]:
        """A message to the autopilot, where it is heard; nothing while it is not."""
        if self.endpoint is None:
            return []
        return [Outgoing(message, Priority.ONE_SHOT, speaker, self.endpoint)]


class FollowsAutopilot:
    """What components that keep to one autopilot have in common: they begin anew with another vehicle, and
    when the link in use is lost or the autopilot restarts (R-EP-8, R-EP-9)."""

    def __init__(self) -> None:
        self._link = AutopilotLink()

    def vehicle_changed(self, system: int) -> list[Outgoing]:
        if system != self._link.system:
            self._link.belong_to(system)
            self._restart()
        return []

    def link_changed(self, endpoint: str, up: bool) -> list[Outgoing]:
        if not up and self._link.lose(endpoint):
            self._restart()
        return []

    def _restart(self) -> None:
        """Forgets what the last life of the autopilot said."""
        raise NotImplementedError


def set_message_interval(system: int, message_id: int, rate_hz: float) -> Any:
    """COMMAND_LONG that asks the autopilot for a message so many times per second."""
    command, interval_us = dialect.MAV_CMD_SET_MESSAGE_INTERVAL, round(1e6 / rate_hz)
    return dialect.MAVLink_command_long_message(
        system, AUTOPILOT_COMPONENT, command, 0, message_id, interval_us, 0, 0, 0, 0, 0
    )
