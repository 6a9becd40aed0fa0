"""Speaks to systemd: ready, status, watchdog, stopping. Datagrams to $NOTIFY_SOCKET, see sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

LOG = logging.getLogger(__name__)
_PATIENCE_S = 1.0
_FEEDS_PER_INTERVAL = 3


class Watchdog:
    """Silent where nobody listens (no NOTIFY_SOCKET), so that the service need not ask who started it.

    `alive` is for the frame loop and for nobody else: a watchdog fed by a thread would go on while the loop
    hangs. `status` may be called from any thread.
    """

    def __init__(self, address: str | None, interval_us: int | None = None) -> None:
        """address: path or `@name` of the socket. interval_us: systemd ends us after such a silence."""
        self._address = None if address is None else _native(address)
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._period_ns = interval_us * 1000 // _FEEDS_PER_INTERVAL if interval_us and self._socket else None
        self._next_ns = 0
        self._status = ""
        self._failing = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Watchdog:
        """As systemd set it up; a watchdog that is meant for another process is none of ours."""
        given = os.environ if environment is None else environment
        interval = given.get("WATCHDOG_USEC", "")
        meant = given.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        address = given.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":
            LOG.warning("NOTIFY_SOCKET is '%s', neither a path nor @name: systemd will hear nothing", address)
            address = None
        return cls(address, int(interval) if meant and interval.isascii() and interval.isdigit() else None)

    @property
    def interval_s(self) -> float | None:
        """How long `alive` may stay away, None if nobody watches."""
        return None if self._period_ns is None else self._period_ns * _FEEDS_PER_INTERVAL / 1e9

    def ready(self, status: str = "tracking") -> None:
        """The service is up: units that wait for it may start. Blocks for a second at most."""
        self._status = _one_line(status)
        self._send(f"READY=1\nSTATUS={self._status}", _PATIENCE_S)

    def alive(self) -> None:
        """Call for every frame; tells systemd at most every third of its interval. Never blocks."""
        if self._period_ns is None:
            return
        now_ns = time.monotonic_ns()
        if now_ns >= self._next_ns and self._send("WATCHDOG=1", 0.0):
            self._next_ns = now_ns + self._period_ns

    def status(self, text: str) -> None:
        """What `systemctl status` shows, one line; the same text is not sent twice. Never blocks."""
        if (line := _one_line(text)) != self._status and self._send(f"STATUS={line}", 0.0):
            self._status = line

    def stopping(self) -> None:
        """The service is on its way down. Blocks for a second at most."""
        self._send("STOPPING=1", _PATIENCE_S)

    def close(self) -> None:
        """Lets the socket go; what is called afterwards is silent. May be called twice."""
        self._period_ns = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str, patience_s: float) -> bool:
        """False if it did not get through, which is logged once until one does again."""
        if self._socket is None or self._address is None:
            return False
        try:
            if patience_s:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as patient:
                    patient.settimeout(patience_s)
                    patient.sendto(message.encode(), self._address)
            else:
                self._socket.sendto(message.encode(), socket.MSG_DONTWAIT, self._address)
        except OSError as error:
            if not self._failing:
                LOG.warning("systemd does not take '%s': %s", message.split("\n")[0], error.strerror or error)
            self._failing = True
            return False
        self._failing = False
        return True


def _native(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address


def _one_line(text: str) -> str:
    return " ".join(text.split())
