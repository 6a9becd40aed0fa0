"""Datagrams as links: to one fixed address, and from whoever speaks to ours."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.links import MAX_PEERS, IpLink, Outlet, Peer, readable, resolved

PEER_SILENCE_S = 15.0
_READ_SIZE = 65536
_DATAGRAMS_AT_ONCE = 64  # a flood must not keep us from sending
# the peer or the network may come back
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


class UdpOut(IpLink):
    """Datagrams to one fixed address, from a port the system picks; hears that host only."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._intake = _Intake()
        self.peers = []

    def open(self) -> None:
        family, peer = resolved(self._endpoint, socket.SOCK_DGRAM)[0]
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
        found = self._intake.take(self._socket)
        return [(self.peers[0], data) for data, peer in found if self._hears_all or peer[0] == host]

    def waits(self) -> list[tuple[int, int]]:
        return readable(self._socket)

    def outlets(self) -> list[Outlet]:
        return _outlets(self._socket, self.peers)


class UdpIn(IpLink):
    """Bound to an address; sends to everybody heard from in the last 15 s (R-EP-5).

    The table of peers is bounded. One that never sent anything valid makes room for a new one.
    """

    binds = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._intake = _Intake()
        self._heard_s: dict[Peer, float] = {}
        self._proven: set[Peer] = set()

    @property
    def peers(self) -> list[Peer]:  # type: ignore[override]
        return list(self._heard_s)

    def open(self) -> None:
        family, address = resolved(self._endpoint, socket.SOCK_DGRAM, passive=True)[0]
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
        for data, peer in self._intake.take(self._socket):
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
        return readable(self._socket)

    def outlets(self) -> list[Outlet]:
        return _outlets(self._socket, self.peers)

    def close(self) -> None:
        super().close()
        self._heard_s.clear()
        self._proven.clear()


def _outlets(sock: socket.socket | None, peers: list[Peer]) -> list[Outlet]:
    return [] if sock is None else [Outlet(sock.fileno(), peer) for peer in peers]


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


class _Intake:
    """Takes datagrams off a socket: few while they come singly, for asking once too often costs a system
    call and time; more and more while they queue; but a flood must not keep us from sending."""

    def __init__(self) -> None:
        self._most = 1

    def take(self, sock: socket.socket | None) -> list[tuple[bytes, Any]]:
        assert sock is not None
        found: list[tuple[bytes, Any]] = []
        while len(found) < self._most:
            try:
                found.append(sock.recvfrom(_READ_SIZE))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _PASSING:
                    raise
                break
        self._most = min(2 * self._most, _DATAGRAMS_AT_ONCE) if len(found) == self._most else 1
        return found
