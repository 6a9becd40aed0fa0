"""TCP as links: client of one server, and server of one or more clients (R-EP-4)."""

from __future__ import annotations

import errno
import socket
import time

from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.links import IpLink, Outlet, Peer, readable, resolved
from edge_rgbt.mavlink.streams import ByteStream

CONNECT_TIMEOUT_S = 2.0
MAX_CLIENTS = 16
_READ_SIZE = 65536
_CLIENT_PENDING_BYTES = 16384  # about three seconds of everything that is sent
_SEND_BUFFER_BYTES = 16384  # what waits in the kernel is old when a stalled peer goes on
_GONE_AFTER_MS = 10_000


class Tcp(IpLink):
    """Client of one server."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.peers = []

    def open(self) -> None:
        until_s = time.monotonic() + CONNECT_TIMEOUT_S
        trouble = OSError(errno.ETIMEDOUT, "no address of the host answers")
        for family, address in resolved(self._endpoint, socket.SOCK_STREAM):
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
        return readable(self._socket, bool(self._stream.pending))

    def outlets(self) -> list[Outlet]:
        return [] if self._socket is None else [Outlet(self._socket.fileno())]

    @property
    def ready(self) -> bool:
        return not self._stream.pending

    @property
    def drained(self) -> bool:
        return not self._stream.pending


class TcpIn(IpLink):
    """Server of one or more clients; one that goes away or stalls does not touch the others."""

    binds = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._clients: dict[Peer, tuple[socket.socket, ByteStream]] = {}

    @property
    def peers(self) -> list[Peer]:  # type: ignore[override]
        return list(self._clients)

    def open(self) -> None:
        family, address = resolved(self._endpoint, socket.SOCK_STREAM, passive=True)[0]
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
        return readable(self._socket) + [
            wait for sock, stream in self._clients.values() for wait in readable(sock, bool(stream.pending))
        ]

    def outlets(self) -> list[Outlet]:
        return [Outlet(sock.fileno()) for sock, _ in self._clients.values()]

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
