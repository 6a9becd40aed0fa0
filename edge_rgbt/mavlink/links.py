"""Byte transports under a MAVLink connection. None ever waits for a peer, except to connect (2 s at most).

A link that breaks raises OSError; whoever owns it closes it and opens it again later.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.endpoint import Endpoint

MAX_PEERS = 16
_ROUTES_HOLD_S = 30.0

Peer = tuple[Any, ...]
"""The address of the other end, its first item the host; empty on a serial line."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where another process can write a frame for us. peer: the address that datagrams need, else None."""

    descriptor: int
    peer: Peer | None = None


class Link(ABC):
    """One transport. All methods belong to one thread."""

    binds = False  # takes an address of this machine, which another program may hold
    peers: list[Peer]

    @abstractmethod
    def open(self) -> None:
        """Acquires the socket or device. Raises OSError when it cannot now."""

    @abstractmethod
    def send(self, frame: bytes, peer: Peer | None = None) -> int:
        """Hands a whole frame to one peer or to all; how many took it. Raises OSError when the link broke."""

    @abstractmethod
    def receive(self) -> list[tuple[Peer, bytes]]:
        """What has arrived and from whom, possibly nothing. Raises OSError when the link broke."""

    @abstractmethod
    def waits(self) -> list[tuple[int, int]]:
        """Descriptors and events of `select.poll` on which there is something to do."""

    @abstractmethod
    def outlets(self) -> list[Outlet]:
        """All that `send` writes to, while the link is open."""

    @abstractmethod
    def close(self) -> None:
        """May be called twice."""

    def proven(self, peer: Peer) -> None:
        """This peer has sent something valid."""

    @property
    def ready(self) -> bool:
        """False while the rest of a frame waits for a slow line; `send` would lose the next one."""
        return True

    @property
    def drained(self) -> bool:
        """True when nothing of ours waits on this machine any more."""
        return True

    def local_address(self, peer: Peer) -> str:
        """Our own address as that peer reaches it; empty on a serial line or if no route leads there."""
        return ""

    def came_back(self) -> bool:
        """True once after a missing device has appeared: no need to wait with opening it."""
        return False


class OutletWatch:
    """Tells where a link's frames go, whenever that changes. Belongs to the link's thread."""

    def __init__(self, link: Link, tell: Callable[[list[Outlet]], None] | None) -> None:
        self._link, self._tell = link, tell
        self._told: tuple[list[Outlet], list[Peer]] = [], []

    def look(self, is_open: bool) -> None:
        """Call it often, and with False before the link closes."""
        if self._tell is None:
            return
        outlets = self._link.outlets() if is_open else []
        # A descriptor's number may come back with another peer behind it.
        found = outlets, list(self._link.peers) if outlets else []
        if found != self._told:
            self._told = found
            self._tell(outlets)


class IpLink(Link):
    """What the links over IP have in common."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._socket: socket.socket | None = None
        self._facing: dict[Peer, str] = {}
        self._faced_s = 0.0

    def local_address(self, peer: Peer) -> str:
        now_s = time.monotonic()
        if now_s - self._faced_s > _ROUTES_HOLD_S or len(self._facing) > 4 * MAX_PEERS:
            self._facing.clear()
            self._faced_s = now_s
        if peer not in self._facing:
            self._facing[peer] = _address_facing(peer)
        return self._facing[peer]

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def make_link(endpoint: Endpoint) -> Link:
    """The transport of an endpoint, not yet open. Raises EdgeRgbtError if it can never work."""
    if endpoint.scheme == "serial":
        from edge_rgbt.mavlink.serial_link import Serial

        return Serial(endpoint)
    from edge_rgbt.mavlink.tcp_links import Tcp, TcpIn
    from edge_rgbt.mavlink.udp_links import UdpIn, UdpOut

    return {"udpout": UdpOut, "udpin": UdpIn, "tcp": Tcp, "tcpin": TcpIn}[endpoint.scheme](endpoint)


def open_at_start(link: Link, endpoint: Endpoint) -> bool:
    """Opens a link that takes an address of ours; False if it cannot now and is to be tried again (R-EP-1).

    Raises UsageError for what waiting does not mend: a port that another program holds, or a forbidden one.
    """
    try:
        link.open()
    except OSError as error:
        link.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            return False
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = f"port {endpoint.port} is in use by another program; stop it or choose another port"
        raise UsageError(f"MAVLink endpoint '{endpoint}': {reason}") from error
    return True


def resolved(endpoint: Endpoint, kind: int, passive: bool = False) -> list[tuple[int, Any]]:
    """Family and address of each way to reach or to bind to its host. Asks a name server; raises OSError."""
    flags = socket.AI_PASSIVE if passive else 0
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=flags)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(errno.EADDRNOTAVAIL, f"host '{endpoint.host}' is not known") from error
    return [(family, address) for family, _, _, _, address in found]


def readable(sock: socket.socket | None, writing: bool = False) -> list[tuple[int, int]]:
    """What `Link.waits` answers for a socket; writing: also until it takes bytes again."""
    assert sock is not None
    return [(sock.fileno(), select.POLLIN | (select.POLLOUT if writing else 0))]


def plain_address(address: str) -> str:
    """An IP address as people write it: a socket that takes both internets shows the old one in the new."""
    return address.removeprefix("::ffff:") if "." in address else address


def _address_facing(peer: Peer) -> str:
    """The address that the system would send from; asks its routes, sends nothing."""
    family = socket.AF_INET6 if len(peer) == 4 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(peer)
            return plain_address(str(probe.getsockname()[0]))
    except OSError:
        return ""
