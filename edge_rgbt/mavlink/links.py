"""Byte transports under a MAVLink connection. None ever waits for a peer, except to connect (2 s at most).

A link that breaks raises OSError; whoever owns it closes it and opens it again later.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from abc import ABC, abstractmethod
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.streams import ByteStream

CONNECT_TIMEOUT_S = 2.0
PEER_SILENCE_S = 15.0
MAX_PEERS = 16
MAX_CLIENTS = 16
_READ_SIZE = 65536
_DATAGRAMS_AT_ONCE = 64  # a flood must not keep us from sending
_CLIENT_PENDING_BYTES = 16384  # about three seconds of everything that is sent
_SEND_BUFFER_BYTES = 16384  # what waits in the kernel is old when a stalled peer goes on
_GONE_AFTER_MS = 10_000
_ROUTES_HOLD_S = 30.0
# UDP: the peer or the network may come back
_PASSING = frozenset(
    (
        errno.ECONNREFUSED,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.ENOBUFS,
        errno.EPERM,  # a firewall's answer to sendto
    )
)

Peer = tuple[Any, ...]
"""The address of the other end, its first item the host; empty on a serial line."""


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


class _SocketLink(Link):
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


def _resolved(endpoint: Endpoint, kind: int, passive: bool = False) -> list[tuple[int, Any]]:
    flags = socket.AI_PASSIVE if passive else 0
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=flags)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(errno.EADDRNOTAVAIL, f"host '{endpoint.host}' is not known") from error
    return [(family, address) for family, _, _, _, address in found]


class UdpOut(_SocketLink):
    """Datagrams to one fixed address, from a port the system picks; hears that host only."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.peers = []

    def open(self) -> None:
        family, peer = _resolved(self._endpoint, socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.peers = [peer]
        host = str(peer[0])
        self._hears_all = host in ("0.0.0.0", "::") or host.endswith(".255") or host.startswith("ff")

    def send(self, frame: bytes, peer: Peer | None = None) -> int:
        # One peer by configuration: whoever asked is told where we always speak.
        return _send_datagram(self._socket, frame, self.peers[0])

    def receive(self) -> list[tuple[Peer, bytes]]:
        host = self.peers[0][0]
        found = _datagrams(self._socket)
        return [(self.peers[0], data) for data, peer in found if self._hears_all or peer[0] == host]

    def waits(self) -> list[tuple[int, int]]:
        return _readable(self._socket)


class UdpIn(_SocketLink):
    """Bound to an address; sends to everybody heard from in the last 15 s (R-EP-5).

    The table of peers is bounded. One that never sent anything valid makes room for a new one.
    """

    binds = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._heard_s: dict[Peer, float] = {}
        self._proven: set[Peer] = set()

    @property
    def peers(self) -> list[Peer]:  # type: ignore[override]
        return list(self._heard_s)

    def open(self) -> None:
        family, address = _resolved(self._endpoint, socket.SOCK_DGRAM, passive=True)[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address)

    def send(self, frame: bytes, peer: Peer | None = None) -> int:
        peers = self.peers if peer is None else [peer] if peer in self._heard_s else []
        return sum(_send_datagram(self._socket, frame, one) for one in peers)

    def receive(self) -> list[tuple[Peer, bytes]]:
        now, heard = time.monotonic(), []
        for peer in [one for one, last_s in self._heard_s.items() if now - last_s > PEER_SILENCE_S]:
            self._forget(peer)
        for data, peer in _datagrams(self._socket):
            if peer in self._heard_s or self._has_room():
                self._heard_s[peer] = now
                heard.append((peer, data))
        return heard

    def proven(self, peer: Peer) -> None:
        if peer in self._heard_s:
            self._proven.add(peer)

    def _has_room(self) -> bool:
        if len(self._heard_s) < MAX_PEERS:
            return True
        doubtful = [peer for peer in self._heard_s if peer not in self._proven]
        if doubtful:
            self._forget(min(doubtful, key=self._heard_s.__getitem__))
        return bool(doubtful)

    def _forget(self, peer: Peer) -> None:
        del self._heard_s[peer]
        self._proven.discard(peer)

    def waits(self) -> list[tuple[int, int]]:
        return _readable(self._socket)

    def close(self) -> None:
        super().close()
        self._heard_s.clear()
        self._proven.clear()


class Tcp(_SocketLink):
    """Client of one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.peers = []

    def open(self) -> None:
        until_s = time.monotonic() + CONNECT_TIMEOUT_S
        trouble = OSError(errno.ETIMEDOUT, "no address of the host answers")
        for family, address in _resolved(self._endpoint, socket.SOCK_STREAM):
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                break
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.settimeout(left_s)
            try:
                self._socket.connect(address)
            except OSError as error:
                self.close()
                trouble = error
                continue
            self._stream, self.peers = _prepared_stream(self._socket, 0), [address]
            return
        raise trouble

    def send(self, frame: bytes, peer: Peer | None = None) -> int:
        return self._stream.send(frame)

    def receive(self) -> list[tuple[Peer, bytes]]:
        self._stream.flush()
        data = _read_stream(self._socket)
        return [(self.peers[0], data)] if data else []

    def waits(self) -> list[tuple[int, int]]:
        return _readable(self._socket, self._stream)

    @property
    def ready(self) -> bool:
        return not self._stream.pending

    @property
    def drained(self) -> bool:
        return not self._stream.pending


class TcpIn(_SocketLink):
    """Server of one or more clients; one that goes away or stalls does not touch the others."""

    binds = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._clients: dict[Peer, tuple[socket.socket, ByteStream]] = {}

    @property
    def peers(self) -> list[Peer]:  # type: ignore[override]
        return list(self._clients)

    def open(self) -> None:
        family, address = _resolved(self._endpoint, socket.SOCK_STREAM, passive=True)[0]
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(address)
        self._socket.listen(MAX_CLIENTS)

    def send(self, frame: bytes, peer: Peer | None = None) -> int:
        taken = 0
        for one in self.peers if peer is None else [peer] if peer in self._clients else []:
            try:
                taken += self._clients[one][1].send(frame)
            except OSError:
                self._drop(one)
        return taken

    def receive(self) -> list[tuple[Peer, bytes]]:
        self._accept()
        heard = []
        for peer, (sock, stream) in list(self._clients.items()):
            try:
                stream.flush()
                if data := _read_stream(sock):
                    heard.append((peer, data))
            except OSError:
                self._drop(peer)
        return heard

    def waits(self) -> list[tuple[int, int]]:
        return _readable(self._socket) + [
            wait for sock, stream in self._clients.values() for wait in _readable(sock, stream)
        ]

    @property
    def drained(self) -> bool:
        return not any(stream.pending for _, stream in self._clients.values())

    def _accept(self) -> None:
        assert self._socket is not None
        while True:
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, ConnectionError):
                return
            if len(self._clients) >= MAX_CLIENTS:
                accepted.close()
            else:
                self._clients[peer] = accepted, _prepared_stream(accepted, _CLIENT_PENDING_BYTES)

    def _drop(self, peer: Peer) -> None:
        self._clients.pop(peer)[0].close()

    def close(self) -> None:
        for peer in self.peers:
            self._drop(peer)
        super().close()


def _address_facing(peer: Peer) -> str:
    """The address that the system would send from; asks its routes, sends nothing."""
    family = socket.AF_INET6 if len(peer) == 4 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(peer)
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _readable(sock: socket.socket | None, stream: ByteStream | None = None) -> list[tuple[int, int]]:
    assert sock is not None
    writing = select.POLLOUT if stream is not None and stream.pending else 0
    return [(sock.fileno(), select.POLLIN | writing)]


def _send_datagram(sock: socket.socket | None, frame: bytes, peer: Any) -> int:
    assert sock is not None
    try:
        sock.sendto(frame, peer)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno not in _PASSING:
            raise
        # Refused is an ICMP answer to an earlier datagram: nobody listens there yet (R-EP-5).
        return 1 if error.errno == errno.ECONNREFUSED else 0
    return 1


def _datagrams(sock: socket.socket | None) -> list[tuple[bytes, Any]]:
    assert sock is not None
    found: list[tuple[bytes, Any]] = []
    while len(found) < _DATAGRAMS_AT_ONCE:
        try:
            found.append(sock.recvfrom(_READ_SIZE))
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            break
    return found


def _prepared_stream(sock: socket.socket, pending_bytes: int) -> ByteStream:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # a peer that lost its radio acknowledges nothing
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER_MS)
    return ByteStream(sock.fileno(), pending_bytes)


def _read_stream(sock: socket.socket | None) -> bytes:
    assert sock is not None
    try:
        data = sock.recv(_READ_SIZE)
    except BlockingIOError:
        return b""
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")
    return data
