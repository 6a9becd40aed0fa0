"""The simulated autopilot on real endpoints, in real time: for the service and for ground stations."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from edge_rgbt.mavlink.autopilot.autopilot import SimulatedAutopilot
from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.links import Link, make_link, open_at_start
from edge_rgbt.sim import Pose

LOG = logging.getLogger(__name__)
_TURN_MS = 5
_RETRY_S = 1.0


class AutopilotServer:
    """One thread that carries bytes between an autopilot and its endpoints.

    endpoints: one for each of the autopilot's ports, in their order. Raises UsageError for a port in use.
    One client at a time on a `tcpin` endpoint. While it runs, others reach the autopilot only through
    `autopilot()` and `pose`.
    """

    def __init__(self, autopilot: SimulatedAutopilot, endpoints: Sequence[Endpoint]) -> None:
        ports = autopilot.settings.ports
        self._autopilot = autopilot
        self._links = {port: _Line(endpoint) for port, endpoint in zip(ports, endpoints, strict=True)}
        self._lock = threading.RLock()
        self._closing = False
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        for line in self._links.values():
            line.bind()
        self._thread = threading.Thread(target=self._run, name="simulated-autopilot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the thread and closes the endpoints."""
        self._closing = True
        with suppress(OSError):
            self._clapper.send(b"\0")
        if self._thread.is_alive():
            self._thread.join(3.0)
        for line in self._links.values():
            line.link.close()
        self._bell.close()
        self._clapper.close()

    def __enter__(self) -> AutopilotServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def autopilot(self) -> Iterator[SimulatedAutopilot]:
        """`with server.autopilot() as autopilot:` from any thread; nothing moves meanwhile."""
        with self._lock:
            yield self._autopilot

    def pose(self, t_ns: int) -> Pose:
        """The true pose at a time of the flight, from any thread. A time to come is played at once: what is
        commanded until then takes effect after it."""
        with self._lock:
            return self._autopilot.vehicle.pose(t_ns)

    def _run(self) -> None:
        while not self._closing:
            self._wait()
            now_s = time.monotonic()
            for port, line in self._links.items():
                heard = line.hear(now_s)
                if heard:
                    with self._lock:
                        self._autopilot.receive(port, heard, time.monotonic_ns())
            with self._lock:
                outgoing = self._autopilot.due(time.monotonic_ns())
            for port, frame in outgoing:
                self._links[port].say(frame)

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        for line in self._links.values():
            for descriptor, _ in line.link.waits() if line.open else ():
                poller.register(descriptor, select.POLLIN)
        poller.poll(_TURN_MS)


class _Line:
    """One endpoint, opened again when it broke."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.link: Link = make_link(endpoint)
        self.open = False
        self._retry_s = 0.0

    def bind(self) -> None:
        if self.link.binds:
            self.open = open_at_start(self.link, self.endpoint)

    def hear(self, now_s: float) -> bytes:
        if not self.open and now_s >= self._retry_s:
            self._try_open(now_s)
        if not self.open:
            return b""
        try:
            return b"".join(data for _, data in self.link.receive())
        except OSError as error:
            self._broke(error)
            return b""

    def say(self, frame: bytes) -> None:
        """Frames that a slow line has no room for are lost, as on a real one."""
        if not self.open or not self.link.ready:
            return
        try:
            self.link.send(frame)
        except OSError as error:
            self._broke(error)

    def _try_open(self, now_s: float) -> None:
        self._retry_s = now_s + _RETRY_S
        try:
            self.link.open()
        except OSError:
            return
        self.open = True

    def _broke(self, error: OSError) -> None:
        LOG.info("simulated autopilot, %s: %s", self.endpoint, error.strerror or error)
        self.link.close()
        self.open = False
