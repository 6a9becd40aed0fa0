"""One endpoint: the thread that opens its link again and again, hears on it and sends what waits for it."""

from __future__ import annotations

import logging
import random
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.framing import Decoder, Frame, FrameCounters, FrameWriter
from edge_rgbt.mavlink.hearing import Hearing
from edge_rgbt.mavlink.links import Outlet, OutletWatch, Peer, make_link, open_at_start, plain_address
from edge_rgbt.mavlink.outbox import Outbox, Parcel
from edge_rgbt.mavlink.signing import SignatureCounters, Signer

LOG = logging.getLogger(__name__)
BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 5.0)
HEALTHY_AFTER_NS = 10_000_000_000
UP_WITHIN_NS = 3_000_000_000
LOST_AFTER_NS = 5_000_000_000
_LONGEST_WAIT_S = 5.7  # a heartbeat is back within 6 s
_TURN_S = 0.25  # the longest that an unplugged line goes unnoticed
_THROTTLED_S = 0.02
_PARCELS_AT_ONCE = 64
_TOLD_AGAIN_NS = 60_000_000_000
_SETUP_SIGNING = 256


class LinkState(Enum):
    """CLOSED: no socket or device. SILENT: open, nothing valid heard yet. UP, QUIET, LOST: the last valid
    message is at most 3 s, at most 5 s, more than 5 s old (R-EP-8)."""

    CLOSED = "closed"
    SILENT = "silent"
    UP = "up"
    QUIET = "quiet"
    LOST = "lost"


@dataclass(slots=True)
class LinkCounters:
    """What became of messages on an endpoint.

    messages, bytes: sent, bytes to every peer. dropped: replaced by a newer one, too slow a line, or nobody
    there. errors: times that the link broke or could not be opened. unsendable: messages that no frame holds.
    flooded: bytes thrown away because their peer sent more than anybody honest does.
    """

    messages: int = 0
    statuses: int = 0
    heartbeats: int = 0
    bytes: int = 0
    dropped: int = 0
    errors: int = 0
    opened: int = 0
    unsendable: int = 0
    received: int = 0
    received_bytes: int = 0
    flooded: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame that may be heard and its message, None if we do not know it; peer: who sent it.

    signed: rightly. local_address: ours as the peer reaches it.
    """

    frame: Frame
    message: Any
    peer: Peer
    arrival_ns: int
    signed: bool = False
    local_address: str = ""

    @property
    def address(self) -> str:
        """The peer's IP address, empty on a serial line."""
        return plain_address(str(self.peer[0])) if self.peer else ""


@dataclass(frozen=True, slots=True)
class Ears:
    """Who is told, in the connection's thread: they must neither block nor raise.

    heard: every valid frame. link: the endpoint begins (True) and ceases (False) to be heard. tap: every
    valid frame's bytes with True if they went out, keys excepted. outlets: where frames go, whenever that
    changes; none before the link closes.
    """

    heard: Callable[[Connection, Heard], None] = lambda connection, heard: None
    link: Callable[[Connection, bool], None] = lambda connection, up: None
    tap: Callable[[Connection, bool, bytes, int], None] | None = None
    outlets: Callable[[Connection, list[Outlet]], None] | None = None


class Connection:
    """Sends and hears on one endpoint from its own thread, for ever (R-EP-1, R-EP-2).

    bytes_per_s: what its streams are held to (section 5.4). signer: None for an endpoint without signing.
    """

    def __init__(
        self, endpoint: Endpoint, bytes_per_s: float, ears: Ears, signer: Signer | None = None
    ) -> None:
        self.endpoint, self.url = endpoint, str(endpoint)
        self._counters, self._hearing = LinkCounters(), Hearing()
        self.problem = ""
        self._link = make_link(endpoint)
        self._open = False
        self._outbox = Outbox(bytes_per_s)
        self._ears = ears
        self.signer = signer
        self._decoder = Decoder()
        self._writer = FrameWriter(None if signer is None else signer.sign)
        self._state = LinkState.CLOSED
        self._up = False
        self._outlets = OutletWatch(self._link, ears.outlets and partial(ears.outlets, self))
        self._last_valid_ns = 0
        self._opened_ns = self._retry_ns = self._told_ns = self._heard_ns = 0
        self._failures = 0
        self._close_by_ns: int | None = None
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"mavlink-{endpoint.scheme}", daemon=True)

    def bind(self) -> None:
        """Takes the address of an endpoint that others come to. Raises UsageError: another program has it."""
        if self._link.binds and not self._open:
            self._open = open_at_start(self._link, self.endpoint)
            self._note_open()

    def start(self) -> None:
        self._thread.start()

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def counters(self) -> LinkCounters:
        """As of now."""
        return replace(
            self._counters,
            dropped=self._counters.dropped + self._outbox.dropped,
            received_bytes=self._hearing.bytes,
            flooded=self._hearing.flooded,
        )

    @property
    def frames(self) -> FrameCounters:
        return self._hearing.frames

    @property
    def signatures(self) -> SignatureCounters:
        return SignatureCounters() if self.signer is None else self.signer.counters

    @property
    def waiting(self) -> int:
        return len(self._outbox)

    @property
    def peers(self) -> int:
        return len(self._link.peers) if self._open else 0

    def post(self, parcel: Parcel) -> None:
        """Queues a message; from any thread, never blocks. While the link is closed only heartbeats wait."""
        if not self._open and parcel.priority is not Priority.HEARTBEAT:
            self._counters.dropped += 1
            return
        self._outbox.put(parcel)
        self._wake()

    def finish(self, timeout_s: float) -> None:
        """Begins to close: what waits is sent if the link takes it in time. Does not wait for it."""
        self._close_by_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        self._wake()

    def close(self, timeout_s: float = 1.0) -> None:
        """Finishes and waits for it. May be called twice."""
        if self._close_by_ns is None:
            self.finish(timeout_s)
        if self._thread.is_alive():
            self._thread.join(timeout_s + 0.5)  # resolving a host's name can hold it; the thread is a daemon
        else:
            self._link.close()
            self._bell.close()
            self._clapper.close()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already; closed: it needs no waking
            self._clapper.send(b"\0")

    def _run(self) -> None:
        arrived = True
        while self._close_by_ns is None:
            now_ns = time.monotonic_ns()
            if not self._open and (now_ns >= self._retry_ns or self._link.came_back()):
                self._try_open()
            if self._open:
                try:
                    self._take_turn(arrived)
                except OSError as error:
                    self._failed(error.strerror or str(error))
                except Exception as fault:  # R-EP-1: an endpoint outlives its own faults too
                    LOG.exception("%s: failed", self.url)
                    self._failed(repr(fault))
            else:
                self._silence_bell()
            self._judge(time.monotonic_ns())
            self._outlets.look(self._open)
            arrived = self._wait()
        self._finish(self._close_by_ns)

    def _take_turn(self, arrived: bool) -> None:
        """Beside a busy interpreter every system call waits milliseconds for its turn, so that what is ready
        to go does not queue behind calls that can come later."""
        self._speak()
        now_ns = time.monotonic_ns()
        if arrived or now_ns - self._heard_ns > _TURN_S * 1e9:
            self._heard_ns = now_ns
            self._hear()
        self._silence_bell()
        if len(self._outbox):  # nobody rings again for what came before
            self._speak()

    def _silence_bell(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _wait(self) -> bool:
        """Until something is to be heard (True), to be sent, or to be looked at."""
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        timeout_s = _TURN_S
        if self._open:
            for descriptor, events in self._link.waits():
                poller.register(descriptor, events)
            if len(self._outbox) and self._link.ready:
                timeout_s = _THROTTLED_S
        else:
            timeout_s = min(_TURN_S, max(0.0, (self._retry_ns - time.monotonic_ns()) * 1e-9))
        rung = self._bell.fileno()
        return any(descriptor != rung for descriptor, _ in poller.poll(timeout_s * 1000))

    def _hear(self) -> None:
        chunks = self._link.receive()
        now_ns = time.monotonic_ns()
        for peer, frame in self._hearing.take_in(chunks, self._link.peers):
            self._admit(frame, peer, now_ns)

    def _admit(self, frame: Frame, peer: Peer, now_ns: int) -> None:
        if self.signer is not None and not self.signer.admit(frame):
            return
        message = self._decoder.decode(frame)
        self._counters.received += 1
        self._link.proven(peer)
        self._last_valid_ns = now_ns
        if not self._up:
            self._up = True
            self._ears.link(self, True)
        if self._ears.tap is not None and frame.message_id != _SETUP_SIGNING:
            self._ears.tap(self, False, frame.data, now_ns)
        signed = frame.signed and self.signer is not None
        self._ears.heard(self, Heard(frame, message, peer, now_ns, signed, self._link.local_address(peer)))

    def _speak(self) -> None:
        for _ in range(_PARCELS_AT_ONCE):
            if not self._link.ready:
                return
            parcel = self._outbox.take(time.monotonic_ns())
            if parcel is None:
                return
            self._send(parcel)
        self._wake()  # the rest after hearing

    def _send(self, parcel: Parcel) -> None:
        frame, kind = parcel.frame, ""
        if not frame:
            assert parcel.identity is not None
            kind = parcel.message.get_type()
            try:
                frame = self._writer.write(parcel.identity, parcel.message)
            except Exception:  # one component's wrong message must not end the link for all
                if not self._counters.unsendable:
                    LOG.exception("%s: %s cannot be packed", self.url, kind)
                self._counters.unsendable += 1
                return
        try:
            peers = self._link.send(frame, parcel.peer)
        except OSError:
            self._counters.dropped += 1
            raise
        if not peers:
            self._counters.dropped += 1
            return
        if not parcel.frame:  # what is passed on for others is not ours to save
            self._outbox.budget.spend(len(frame) * peers)
        self._counters.messages += 1
        self._counters.bytes += len(frame) * peers
        self._counters.statuses += kind == "CAMERA_TRACKING_IMAGE_STATUS"
        self._counters.heartbeats += kind == "HEARTBEAT"
        if self._ears.tap is not None:
            self._ears.tap(self, True, frame, time.monotonic_ns())

    def _judge(self, now_ns: int) -> None:
        """How long ago we heard something valid, and what follows from it (R-EP-8)."""
        age_ns = now_ns - self._last_valid_ns
        if self._up and age_ns > LOST_AFTER_NS:
            self._up = False
            self._outbox.clear_one_shots()
            self._ears.link(self, False)
        if not self._open:
            self._state = LinkState.CLOSED
        elif not self._last_valid_ns:
            self._state = LinkState.SILENT
        elif age_ns <= UP_WITHIN_NS:
            self._state = LinkState.UP
        else:
            self._state = LinkState.QUIET if self._up else LinkState.LOST

    def _try_open(self) -> None:
        try:
            self._link.open()
        except OSError as error:
            self._failed(error.strerror or str(error))
        else:
            self._open = True
            self._note_open()

    def _note_open(self) -> None:
        if self._open:
            self._opened_ns, self.problem = time.monotonic_ns(), ""
            self._counters.opened += 1
            LOG.info("%s: open", self.url)

    def _failed(self, problem: str) -> None:
        """Closes the link and plans the next attempt: 0.5, 1, 2, 4, then 5 s, give or take a fifth."""
        now_ns = time.monotonic_ns()
        self._counters.errors += 1
        if self._open and now_ns - self._opened_ns > HEALTHY_AFTER_NS:
            self._failures = 0
        self._outlets.look(False)
        self._link.close()
        self._open = False
        self._hearing.forget()
        self._outbox.clear(but_heartbeats=True)
        wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)] * random.uniform(0.8, 1.2)
        wait_s = min(wait_s, _LONGEST_WAIT_S)
        self._failures += 1
        self._retry_ns = now_ns + round(wait_s * 1e9)
        if problem != self.problem or now_ns - self._told_ns > _TOLD_AGAIN_NS:
            LOG.warning("%s: %s; trying again", self.url, problem)
            self._told_ns = now_ns
        self.problem = problem

    def _finish(self, by_ns: int) -> None:
        try:
            while self._open and time.monotonic_ns() < by_ns:
                self._speak()
                if not len(self._outbox) and self._link.drained:
                    break
                time.sleep(0.005)
        except OSError as error:
            self.problem = error.strerror or str(error)
        finally:
            self._outlets.look(False)
            self._link.close()
            self._open = False
            self._state = LinkState.CLOSED
            self._bell.close()
            self._clapper.close()
