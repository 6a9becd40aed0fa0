"""Keeps the gimbal still when this process dies or hangs, by a small process beside it (R-GM-3).

SIGKILL leaves no time for last words, and ArduPilot turns on with the last rate for ever. So the last words
are written down beforehand, ready to be sent, in a process that holds copies of our open sockets and serial
lines: an exclusive line needs not be opened again, a TCP connection outlives us, and datagrams come from the
address that the other side knows.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.identity import ONBOARD_COMPUTER_COMPONENT, Identity
from edge_rgbt.mavlink.links import Outlet
from edge_rgbt.mavlink.steering import guard_child

LOG = logging.getLogger(__name__)
Sign = Callable[[bytes], bytes]
# Seconds after the end: zero rates over 300 ms, then the release, twice for a line that loses frames.
_ZEROS_S, _RELEASES_S = (0.0, 0.1, 0.2, 0.3), (0.35, 0.5)
_BEAT_NS = 50_000_000
_SIGN_AGAIN_NS = 10_000_000_000  # signatures older than a minute are refused
_START_AGAIN_NS = 5_000_000_000
_START_S = 5.0


class GuardProcess:
    """The guard and its process. `outlets` is called by the connections' threads, `beat` by the station's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outlets: dict[str, list[Outlet]] = {}  # copies, which never change their meaning
        self._signs: dict[str, Sign | None] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._told: tuple[Any, ...] | None = None  # what the process would say
        self._told_ns = self._beat_ns = self._started_ns = 0
        self._closed = False

    def start(self) -> None:
        """Starts the process and waits until it listens. Raises OSError."""
        with self._lock:
            self._start()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def outlets(self, url: str, outlets: list[Outlet], sign: Sign | None = None) -> None:
        """Where an endpoint's frames go now; none while it is closed, and before it closes.

        sign: signs in a stream of its own, for a frame may come later than others that were signed after it.
        """
        with self._lock:
            for old in self._outlets.pop(url, []):
                os.close(old.descriptor)
            if not self._closed:
                self._outlets[url] = [Outlet(os.dup(one.descriptor), one.peer) for one in outlets]
                self._signs[url] = sign
                self._send_outlets(url)

    def beat(self, now_ns: int, endpoint: str | None, words: tuple[Any, Any] | None) -> None:
        """See `component.Guard`."""
        with self._lock:
            if self._closed:
                return
            if self._channel is None and now_ns - self._started_ns > _START_AGAIN_NS:
                self._started_ns = now_ns
                self._start_again()
            key = None if words is None else (endpoint, *(_content(word) for word in words))
            signed = endpoint is not None and self._signs.get(endpoint) is not None
            if key != self._told or (key and signed and now_ns - self._told_ns > _SIGN_AGAIN_NS):
                if self._send(self._words(endpoint, words)):
                    self._told, self._told_ns, self._beat_ns = key, now_ns, now_ns
            elif now_ns - self._beat_ns >= _BEAT_NS:
                self._beat_ns = now_ns
                self._send({})

    def close(self, timeout_s: float = 1.0) -> None:
        """Ends the process; what it was told last, it says. Blocks up to the timeout. May be called twice."""
        with self._lock:
            self._closed = True
            self._drop_channel()
            for outlets in self._outlets.values():
                for one in outlets:
                    os.close(one.descriptor)
            self._outlets.clear()
        process = self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)

    def __enter__(self) -> GuardProcess:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # All below with the lock held.

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard_child.__file__, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for us
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        if not select.select([ours], [], [], _START_S)[0]:
            ours.close()
            raise OSError(f"the guard's process {self._process.pid} does not answer")
        ours.recv(16)
        self._channel, self._told = ours, None
        for url in self._outlets:
            self._send_outlets(url)

    def _start_again(self) -> None:
        """The process was killed: the flight goes on with another one."""
        if self._process is not None:
            self._process.poll()
        LOG.error("the gimbal's guard is gone; starting another")
        try:
            self._start()
        except OSError as error:
            LOG.error("the gimbal's guard cannot be started: %s", error)

    def _words(self, endpoint: str | None, words: tuple[Any, Any] | None) -> dict[str, Any]:
        if words is None or endpoint is None:
            return {"frames": [], "endpoint": ""}
        zero, release = words
        identity = Identity(zero.target_system, ONBOARD_COMPUTER_COMPONENT)
        writer = FrameWriter(self._signs.get(endpoint))
        frames = [(delay_s, writer.write(identity, zero).hex()) for delay_s in _ZEROS_S]
        frames += [(delay_s, writer.write(identity, release).hex()) for delay_s in _RELEASES_S]
        return {"frames": frames, "endpoint": endpoint}

    def _send_outlets(self, url: str) -> None:
        outlets = self._outlets[url][: guard_child.MOST_DESCRIPTORS]
        self._send(
            {"outlets": url, "peers": [one.peer for one in outlets]}, [one.descriptor for one in outlets]
        )

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> bool:
        if self._channel is None:
            return False
        data = json.dumps(message).encode()
        try:
            if descriptors:
                socket.send_fds(self._channel, [data], descriptors)
            else:
                self._channel.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            LOG.error("the gimbal's guard does not listen any more: %s", error.strerror or error)
            self._drop_channel()
            self._started_ns = time.monotonic_ns() - _START_AGAIN_NS
            return False
        return True

    def _drop_channel(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _content(message: Any) -> tuple[Any, ...]:
    """What tells one message from another; NaN equals NaN here."""
    return (message.get_msgId(), str(message.to_dict()))
