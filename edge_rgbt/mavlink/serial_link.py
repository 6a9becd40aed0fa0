"""A serial line as a link; the only place that imports pyserial."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
import time
from contextlib import suppress
from typing import Any

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.mavlink.endpoint import Endpoint
from edge_rgbt.mavlink.links import Link, Outlet, Peer
from edge_rgbt.mavlink.streams import ByteStream

_READ_SIZE = 65536
_LOOK_EVERY_S = 0.2
_CONTROL_CHARACTERS = 6  # their place in what termios.tcgetattr returns
_PEER: Peer = ()


class Serial(Link):
    """Opened exclusively and by its configured name, so that by-id names survive a replug (R-EP-3)."""

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
        self._missing = False
        self._looked_s = 0.0
        self.peers = [_PEER]

    def open(self) -> None:
        try:
            self._port = self._library.Serial(
                self._endpoint.device,
                self._endpoint.baud,
                rtscts=self._endpoint.rtscts,
                exclusive=True,
                timeout=0,
            )
            descriptor = self._port.fileno()
            # The library's lock binds only those that ask for it; this binds everybody but root.
            fcntl.ioctl(descriptor, termios.TIOCEXCL)
            # As the library sets it, a read that finds nothing looks like one on an unplugged line.
            attributes = termios.tcgetattr(descriptor)
            attributes[_CONTROL_CHARACTERS][termios.VMIN] = 1
            termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
        except (
            ValueError,
            termios.error,
        ) as error:  # a rate that the driver refuses, a device that is no line
            raise OSError(errno.EINVAL, str(error)) from error
        self._stream = ByteStream(descriptor, 0)

    def send(self, frame: bytes, peer: Peer | None = None) -> int:
        # Straight to the descriptor: pyserial's own non-blocking write spins while the buffer is full.
        return self._stream.send(frame)

    def receive(self) -> list[tuple[Peer, bytes]]:
        now_s = time.monotonic()
        if now_s - self._looked_s > _LOOK_EVERY_S:
            # A replug can leave a descriptor that neither reads nor fails.
            self._looked_s = now_s
            if not os.path.exists(self._endpoint.device):
                raise OSError(errno.ENODEV, f"{self._endpoint.device} is gone")
        self._stream.flush()
        try:
            data = os.read(self._port.fileno(), _READ_SIZE)
        except BlockingIOError:
            return []
        if not data:
            raise OSError(errno.EIO, f"{self._endpoint.device} was hung up")
        return [(_PEER, data)]

    def waits(self) -> list[tuple[int, int]]:
        writing = select.POLLOUT if self._stream.pending else 0
        return [(self._port.fileno(), select.POLLIN | writing)]

    def outlets(self) -> list[Outlet]:
        return [] if self._port is None else [Outlet(self._port.fileno())]

    @property
    def ready(self) -> bool:
        return not self._stream.pending

    @property
    def drained(self) -> bool:
        if self._stream.pending:
            return False
        try:
            waiting = fcntl.ioctl(self._port.fileno(), termios.TIOCOUTQ, struct.pack("I", 0))
        except OSError:
            return True
        return struct.unpack("I", waiting)[0] == 0

    def came_back(self) -> bool:
        there = os.path.exists(self._endpoint.device)
        back, self._missing = there and self._missing, not there
        return back

    def close(self) -> None:
        if self._port is None:
            return
        with suppress(termios.error, OSError):  # unplugged
            # A line whose other side takes nothing would hold the close for half a minute.
            termios.tcflush(self._port.fileno(), termios.TCIOFLUSH)
        self._port.close()
        self._port = None
