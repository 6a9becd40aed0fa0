"""Byte transports under a MAVLink connection. None ever waits for a peer, except to connect (2 s at most).

A link that breaks raises OSError; whoever owns it closes it and opens it again later.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from abc import ABC, abstractmethod
from typing import Any

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.mavlink.endpoint import Endpoint

CONNECT_TIMEOUT_S = 2.0
PEER_SILENCE_S = 15.0
MAX_PEERS = 16
MAX_CLIENTS = 16
MAX_PENDING_BYTES = 16384  # about three seconds of everything that is sent
_READ_SIZE = 65536
_PASSING = (
    errno.ECONNREFUSED,
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENOBUFS,
)  # UDP: the peer may come back


class Link(ABC):
    """One transport. All methods belong to one thread."""

    opens_at_start = True  # False: connecting may take a while or fail for now, so it is left to the sender

    @abstractmethod
    def open(self) -> None:
        """Acquires the socket or device. Raises OSError when it cannot now."""

    @abstractmethod
    def send(self, frame: bytes) -> int:
        """Hands a whole frame to every peer; how many took it. Raises OSError when the link is broken."""

    @abstractmethod
    def receive(self) -> bytes:
        """What has arrived, possibly nothing. Raises OSError when the link is broken."""

    @abstractmethod
    def close(self) -> None:
        """May be called twice."""


def make_link(endpoint: Endpoint) -> Link:
    """The transport of an endpoint, not yet open. Raises EdgeRgbtError if it can never work."""
    return _LINKS[endpoint.scheme](endpoint)


def _resolve(endpoint: Endpoint, kind: int, passive: bool = False) -> tuple[int, Any]:
    flags = socket.AI_PASSIVE if passive else 0
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=flags)
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(errno.EADDRNOTAVAIL, f"host '{endpoint.host}' is not known") from error
    family, _, _, _, address = found[0]
    return family, address


class UdpOut(Link):
    """Datagrams to one fixed address, from a port the system picks."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._socket: socket.socket | None = None

    def open(self) -> None:
        family, self._peer = _resolve(self._endpoint, socket.SOCK_DGRAM)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def send(self, frame: bytes) -> int:
        return _send_datagram(self._socket, frame, self._peer)

    def receive(self) -> bytes:
        return b"".join(data for data, _ in _datagrams(self._socket))

    def close(self) -> None:
        self._socket = _closed(self._socket)


class UdpIn(Link):
    """Bound to an address; sends to everybody heard from in the last 15 s (R-EP-5)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._socket: socket.socket | None = None
        self.peers: dict[Any, float] = {}

    def open(self) -> None:
        family, address = _resolve(self._endpoint, socket.SOCK_DGRAM, passive=True)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address)

    def send(self, frame: bytes) -> int:
        return sum(_send_datagram(self._socket, frame, peer) for peer in self.peers)

    def receive(self) -> bytes:
        now, heard = time.monotonic(), []
        for data, peer in _datagrams(self._socket):
            heard.append(data)
            if peer in self.peers or len(self.peers) < MAX_PEERS:
                self.peers[peer] = now
        for peer in [peer for peer, last in self.peers.items() if now - last > PEER_SILENCE_S]:
            del self.peers[peer]
        return b"".join(heard)

    def close(self) -> None:
        self._socket = _closed(self._socket)
        self.peers.clear()


class _Stream:
    """A byte stream that keeps what a full send buffer left of a frame, so that frames are never torn."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = b""

    def send(self, frame: bytes) -> int:
        """1 if the frame was taken, 0 if the peer is too slow and loses it."""
        if len(self._pending) > MAX_PENDING_BYTES:
            self._flush()
            if len(self._pending) > MAX_PENDING_BYTES:
                return 0
        self._pending += frame
        self._flush()
        return 1

    def _flush(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._descriptor, self._pending) :]
        except BlockingIOError:
            pass


class Tcp(Link):
    """Client of one server."""

    opens_at_start = False

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._socket: socket.socket | None = None

    def open(self) -> None:
        _, address = _resolve(self._endpoint, socket.SOCK_STREAM)
        self._socket = socket.create_connection(address[:2], timeout=CONNECT_TIMEOUT_S)
        self._stream = _prepare_stream(self._socket)

    def send(self, frame: bytes) -> int:
        return self._stream.send(frame)

    def receive(self) -> bytes:
        return _receive_stream(self._socket)

    def close(self) -> None:
        self._socket = _closed(self._socket)


class TcpIn(Link):
    """Server of one or more clients; one that goes away or stalls does not touch the others."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._server: socket.socket | None = None
        self._clients: list[tuple[socket.socket, _Stream]] = []

    def open(self) -> None:
        family, address = _resolve(self._endpoint, socket.SOCK_STREAM, passive=True)
        self._server = socket.socket(family, socket.SOCK_STREAM)
        self._server.setblocking(False)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(address)
        self._server.listen(MAX_CLIENTS)

    def send(self, frame: bytes) -> int:
        taken = 0
        for client in list(self._clients):
            try:
                taken += client[1].send(frame)
            except OSError:
                self._drop(client)
        return taken

    def receive(self) -> bytes:
        self._accept()
        heard = []
        for client in list(self._clients):
            try:
                heard.append(_receive_stream(client[0]))
            except OSError:
                self._drop(client)
        return b"".join(heard)

    def _accept(self) -> None:
        assert self._server is not None
        while True:
            try:
                accepted, _ = self._server.accept()
            except (BlockingIOError, ConnectionError):
                return
            if len(self._clients) >= MAX_CLIENTS:
                accepted.close()
            else:
                self._clients.append((accepted, _prepare_stream(accepted)))

    def _drop(self, client: tuple[socket.socket, _Stream]) -> None:
        self._clients.remove(client)
        client[0].close()

    def close(self) -> None:
        for client in list(self._clients):
            self._drop(client)
        self._server = _closed(self._server)


class Serial(Link):
    """A serial line, opened exclusively and by its configured name, so that by-id names survive a replug."""

    opens_at_start = False

    def __init__(self, endpoint: Endpoint) -> None:
        try:
            import serial
        except ImportError as missing:
            raise EdgeRgbtError(
                f"MAVLink endpoint '{endpoint}' needs pyserial: pip install 'edge-rgbt[mavlink]'"
            ) from missing
        self._library = serial
        self._endpoint = endpoint
        self._port: Any = None

    def open(self) -> None:
        try:
            self._port = self._library.Serial(
                self._endpoint.device,
                self._endpoint.baud,
                rtscts=self._endpoint.rtscts,
                exclusive=True,
                timeout=0,
            )
        except ValueError as error:  # a rate the driver refuses
            raise OSError(errno.EINVAL, str(error)) from error
        self._stream = _Stream(self._port.fileno())

    def send(self, frame: bytes) -> int:
        # Straight to the descriptor: pyserial's own non-blocking write spins while the buffer is full.
        return self._stream.send(frame)

    def receive(self) -> bytes:
        # A replug can leave a descriptor that neither reads nor fails.
        if not os.path.exists(self._endpoint.device):
            raise OSError(errno.ENODEV, f"{self._endpoint.device} is gone")
        try:
            return os.read(self._port.fileno(), _READ_SIZE)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


_LINKS: dict[str, Any] = {"udpout": UdpOut, "udpin": UdpIn, "tcp": Tcp, "tcpin": TcpIn, "serial": Serial}


def open_at_start(link: Link, endpoint: Endpoint) -> None:
    """Opens a link that must work from the beginning. Raises UsageError: port in use, unknown host."""
    try:
        link.open()
    except OSError as error:
        link.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = f"port {endpoint.port} is in use by another program; stop it or choose another port"
        raise UsageError(f"MAVLink endpoint '{endpoint}': {reason}") from error


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
    while len(found) < 256:  # a flood must not keep us from sending
        try:
            found.append(sock.recvfrom(_READ_SIZE))
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            break
    return found


def _prepare_stream(sock: socket.socket) -> _Stream:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return _Stream(sock.fileno())


def _receive_stream(sock: socket.socket | None) -> bytes:
    assert sock is not None
    try:
        data = sock.recv(_READ_SIZE)
    except BlockingIOError:
        return b""
    if not data:
        raise ConnectionResetError(errno.ECONNRESET, "the other side closed the connection")
    return data


def _closed(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.close()
