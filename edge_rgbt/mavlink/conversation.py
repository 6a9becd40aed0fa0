"""The thread in which components take part: one call at a time, whatever comes in and from wherever."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from edge_rgbt.mavlink.exchange import (
    Closing,
    Component,
    LinkAware,
    Outgoing,
    Received,
    VehicleAware,
)
from edge_rgbt.mavlink.links import Peer

LOG = logging.getLogger(__name__)
DUE_EVERY_S = 0.02
_MOST_WAITING = 2000
_AT_ONCE = 64
_TOLD_EVERY_NS = 10_000_000_000

Send = Callable[[Outgoing, str | None, Peer | None], None]
"""a message; the endpoint and the peer that it answers, None where it answers nobody"""


class Conversation:
    """Hands components what happens, asks them what is due, and sends what they return.

    faults: times that a component raised, which is told and survived. overrun: messages that came faster than
    the components took them.
    """

    def __init__(
        self, components: Sequence[Component], send: Send, after_turn: Callable[[], None] | None = None
    ) -> None:
        """after_turn: called whenever the components were asked what is due."""
        self._components, self._send, self._after_turn = list(components), send, after_turn
        self._system: int | None = None
        self._wake = threading.Condition()
        self._events: deque[Callable[[], None]] = deque()
        self._woken = self._closing = False
        self.faults = self.overrun = 0
        self._told_ns = -_TOLD_EVERY_NS
        self._thread = threading.Thread(target=self._run, name="mavlink-station", daemon=True)

    # From any thread; none of these blocks.

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Asks the components now what is due."""
        with self._wake:
            self._woken = True
            self._wake.notify()

    def add(self, component: Component) -> None:
        """One more, told of the vehicle if it is known."""

        def welcome() -> None:
            self._components.append(component)
            if self._system is not None:
                self._tell_vehicle(component, self._system)

        self._put(welcome)

    def heard(self, received: Received, peer: Peer) -> None:
        """A message; lost if more wait than the components can take."""
        with self._wake:
            if len(self._events) >= _MOST_WAITING:
                self.overrun += 1
                return
        self._put(lambda: self._hand_out(received, peer))

    def link_changed(self, endpoint: str, up: bool) -> None:
        self._put(lambda: self._tell_link(endpoint, up))

    def vehicle_changed(self, system: int) -> None:
        def tell() -> None:
            self._system = system
            for component in self._components:
                self._tell_vehicle(component, system)

        self._put(tell)

    def close(self, timeout_s: float) -> None:
        """Ends with the components' last words; gives up waiting for one that hangs."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _put(self, event: Callable[[], None]) -> None:
        with self._wake:
            self._events.append(event)
            self._wake.notify()

    # In the thread of this conversation.

    def _run(self) -> None:
        due_s = time.monotonic()
        while True:
            with self._wake:
                if not self._events and not self._woken and not self._closing:
                    self._wake.wait(max(0.0, due_s - time.monotonic()))
                events = [self._events.popleft() for _ in range(min(_AT_ONCE, len(self._events)))]
                woken, self._woken = self._woken, False
                closing = self._closing
            for event in events:
                event()
            if closing:
                break
            if woken or time.monotonic() >= due_s:
                self._ask_due()
                due_s = time.monotonic() + DUE_EVERY_S
        for component in self._components:
            if isinstance(component, Closing):
                self._exchange(component.closing)

    def _ask_due(self) -> None:
        now_ns = time.monotonic_ns()
        for component in self._components:
            self._exchange(lambda component=component: component.due(now_ns))
        if self._after_turn is not None:
            try:
                self._after_turn()
            except Exception as fault:
                self._tell(fault)

    def _hand_out(self, received: Received, peer: Peer) -> None:
        for component in self._components:
            self._exchange(lambda component=component: component.receive(received), received.endpoint, peer)

    def _tell_link(self, endpoint: str, up: bool) -> None:
        for component in self._components:
            if isinstance(component, LinkAware):
                self._exchange(lambda component=component: component.link_changed(endpoint, up))

    def _tell_vehicle(self, component: Component, system: int) -> None:
        if isinstance(component, VehicleAware):
            self._exchange(lambda: component.vehicle_changed(system))

    def _exchange(
        self, call: Callable[[], list[Outgoing]], endpoint: str | None = None, peer: Peer | None = None
    ) -> None:
        try:
            for outgoing in call() or ():
                self._send(outgoing, endpoint, peer)
        except (
            Exception
        ) as fault:  # one component's fault must silence neither the others nor its own next word
            self._tell(fault)

    def _tell(self, fault: Exception) -> None:
        self.faults += 1
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns >= _TOLD_EVERY_NS:
            self._told_ns = now_ns
            LOG.error("a MAVLink component failed (%d times so far)", self.faults, exc_info=fault)
