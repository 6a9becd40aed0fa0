"""One endpoint's outgoing side as `TrackPublisher` uses it: the newest message of each source and kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_rgbt.mavlink.connection import Connection, Ears, Heard, LinkCounters
from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.outbox import Parcel

__all__ = ["EndpointSender", "LinkCounters"]
_BYTES_PER_S = 20_000.0
_PRIORITY = {
    "HEARTBEAT": Priority.HEARTBEAT,
    "CAMERA_TRACKING_IMAGE_STATUS": Priority.SETPOINT,
}


class EndpointSender:
    """Sends on one endpoint from its own thread, reopening the link for ever (R-EP-1, R-EP-2)."""

    def __init__(
        self, endpoint: Endpoint, on_heartbeat: Callable[[int, int, int], None] | None = None
    ) -> None:
        self.endpoint = endpoint
        self._on_heartbeat = on_heartbeat
        self._connection = Connection(endpoint, _BYTES_PER_S, Ears(heard=self._heard))
        self._connection.bind()
        self._connection.start()

    @property
    def counters(self) -> LinkCounters:
        return self._connection.counters

    @property
    def problem(self) -> str:
        return self._connection.problem

    def post(self, identity: Identity, message: Any) -> None:
        """Queues a message; one of the same source and kind that is still waiting is replaced and counted."""
        priority = _PRIORITY.get(message.get_type(), Priority.STATUS)
        self._connection.post(Parcel(priority, identity, message, latest_wins=True))

    def close(self, timeout_s: float = 1.0) -> None:
        """Sends what is waiting if the link is open, then closes it."""
        self._connection.close(timeout_s)

    def _heard(self, connection: Connection, heard: Heard) -> None:
        message = heard.message
        if self._on_heartbeat is not None and message is not None and message.get_type() == "HEARTBEAT":
            self._on_heartbeat(heard.frame.system, heard.frame.component, message.autopilot)
