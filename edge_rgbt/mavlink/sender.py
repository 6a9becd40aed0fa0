"""One endpoint's outgoing side: a bounded outbox and the thread that empties it into the link."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.links import make_link, open_at_start
from edge_rgbt.mavlink.messages import Encoder, HeartbeatReader

LOG = logging.getLogger(__name__)
BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 5.0)
HEALTHY_AFTER_S = 10.0
_IDLE_WAIT_S = 0.1
_PRIORITY = {"HEARTBEAT": 0, "CAMERA_TRACKING_IMAGE_STATUS": 1}  # the rest after them (R-EP-6)


@dataclass(slots=True)
class LinkCounters:
    """What was handed to a link. dropped: replaced by a newer one, or nobody was there to take it."""

    messages: int = 0
    statuses: int = 0
    heartbeats: int = 0
    bytes: int = 0
    dropped: int = 0
    errors: int = 0


class EndpointSender:
    """Sends on one endpoint from its own thread, reopening the link for ever when it breaks (R-EP-1, R-EP-2).

    The outbox holds the newest message per source and kind, so it is bounded and `post` never blocks.
    """

    def __init__(
        self, endpoint: Endpoint, on_heartbeat: Callable[[int, int, int], None] | None = None
    ) -> None:
        self.endpoint = endpoint
        self.counters = LinkCounters()
        self.problem = ""
        self._link = make_link(endpoint)
        self._open = self._link.opens_at_start
        if self._open:
            open_at_start(self._link, endpoint)
        self._encoder, self._reader, self._on_heartbeat = Encoder(), HeartbeatReader(), on_heartbeat
        self._outbox: dict[tuple[Identity, int], Any] = {}
        self._wake = threading.Condition()
        self._closing = False
        self._opened_s, self._retry_s, self._failures = time.monotonic(), 0.0, 0
        self._thread = threading.Thread(target=self._run, name=f"mavlink-{endpoint.scheme}", daemon=True)
        self._thread.start()

    def post(self, identity: Identity, message: Any) -> None:
        """Queues a message; one of the same source and kind that is still waiting is replaced and counted."""
        with self._wake:
            key = (identity, message.get_msgId())
            if key in self._outbox:
                self.counters.dropped += 1
            self._outbox[key] = message
            self._wake.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """Sends what is waiting if the link is open, then closes it."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._outbox and not self._closing:
                    self._wake.wait(_IDLE_WAIT_S)
                closing = self._closing
            if not self._open and not closing:
                self._try_open()
            if self._open:
                try:
                    self._exchange()
                except OSError as error:
                    self._failed(error)
            if closing:
                self._link.close()
                return
            if not self._open:
                with self._wake:
                    self._wake.wait(_IDLE_WAIT_S)

    def _exchange(self) -> None:
        heard = self._link.receive()
        if heard and self._on_heartbeat is not None:
            for heartbeat in self._reader.feed(heard):
                self._on_heartbeat(*heartbeat)
        with self._wake:
            waiting = sorted(self._outbox.items(), key=lambda item: _PRIORITY.get(item[1].get_type(), 9))
            self._outbox.clear()
        for position, ((identity, _), message) in enumerate(waiting):
            frame = self._encoder.encode(identity, message)
            try:
                peers = self._link.send(frame)
            except OSError:
                self.counters.dropped += len(waiting) - position
                raise
            self._count(message.get_type(), len(frame), peers)

    def _count(self, kind: str, size: int, peers: int) -> None:
        if not peers:
            self.counters.dropped += 1
            return
        self.counters.messages += 1
        self.counters.bytes += size * peers
        self.counters.statuses += kind == "CAMERA_TRACKING_IMAGE_STATUS"
        self.counters.heartbeats += kind == "HEARTBEAT"

    def _try_open(self) -> None:
        now = time.monotonic()
        if now < self._retry_s:
            return
        try:
            self._link.open()
        except OSError as error:
            self._failed(error)
        else:
            self._open, self._opened_s, self.problem = True, now, ""

    def _failed(self, error: OSError) -> None:
        """Closes the link and plans the next attempt: 0.5, 1, 2, 4, then 5 s, give or take a fifth."""
        now = time.monotonic()
        self.counters.errors += 1
        if self._open and now - self._opened_s > HEALTHY_AFTER_S:
            self._failures = 0
        self._link.close()
        self._open = False
        wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)] * random.uniform(0.8, 1.2)
        self._failures += 1
        self._retry_s = now + wait_s
        self.problem = error.strerror or str(error)
        LOG.warning("%s: %s; trying again in %.1f s", self.endpoint, self.problem, wait_s)
