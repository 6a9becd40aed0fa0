"""The process that keeps the gimbal still when the service dies or hangs. Started by `guard`; nothing but
the standard library.

It holds copies of the service's open sockets and lines and the frames to be said on them. They are said when
the service is gone (its end of the socket pair closes, or its process ends), or has not given a sign of life
for 300 ms while there is something to stop. It outlives SIGTERM, SIGINT and SIGHUP, which a service manager
sends to all of a service's processes, for as long as that takes: well under a second.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time

MOST_BYTES = 65536
MOST_DESCRIPTORS = 32
HUNG_S = 0.3
_TURN_MS = 50
_PATIENCE_S = 0.2  # for one frame on a line whose buffer is full

Outlets = dict[str, list[tuple[int, "tuple[object, ...] | None"]]]


class Child:
    """What the service would say last, and where."""

    def __init__(self, channel: socket.socket, parent: int) -> None:
        self._channel, self._parent = channel, parent
        self._outlets: Outlets = {}
        self._endpoint, self._frames = "", []
        self._alive_s = time.monotonic()

    def run(self) -> None:
        """Until the service is gone, and a little longer if there is something to say."""
        poller = select.poll()
        poller.register(self._channel, select.POLLIN)
        while True:
            if poller.poll(_TURN_MS) and not self._listen():
                break
            if os.getppid() != self._parent:  # somebody else may hold the other end of the socket pair
                break
            if self._frames and time.monotonic() - self._alive_s > HUNG_S:
                self._speak()
        self._speak()

    def _listen(self) -> bool:
        """Takes in one message; False at the end."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, MOST_BYTES, MOST_DESCRIPTORS)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if not data:
            return False
        message = json.loads(data)
        if "outlets" not in message:  # those come from other threads, which may live while ours hangs
            self._alive_s = time.monotonic()
        if "outlets" in message:
            url, peers = message["outlets"], message["peers"]
            for descriptor, _ in self._outlets.pop(url, []):
                os.close(descriptor)
            self._outlets[url] = [
                (descriptor, None if peer is None else tuple(peer))
                for descriptor, peer in zip(descriptors, peers, strict=True)
            ]
        elif "frames" in message:
            self._endpoint = message["endpoint"]
            self._frames = [(delay_s, bytes.fromhex(text)) for delay_s, text in message["frames"]]
        return True

    def _speak(self) -> None:
        """Says the frames at their times; only once, until there is something new to say."""
        frames, self._frames = self._frames, []
        began_s = time.monotonic()
        for delay_s, frame in frames:
            time.sleep(max(0.0, began_s + delay_s - time.monotonic()))
            for descriptor, peer in self._outlets.get(self._endpoint, []):
                _write(descriptor, peer, frame)


def _write(descriptor: int, peer: tuple[object, ...] | None, frame: bytes) -> None:
    """One frame, whole if the other side takes it in time; one that is broken harms nobody."""
    until_s = time.monotonic() + _PATIENCE_S
    sock = None if peer is None else socket.socket(fileno=os.dup(descriptor))
    try:
        while frame and time.monotonic() < until_s:
            try:
                sent = os.write(descriptor, frame) if sock is None else sock.sendto(frame, peer or ())
                frame = frame[sent:]
            except BlockingIOError:
                select.select([], [descriptor], [], 0.02)
    except OSError:
        pass
    finally:
        if sock is not None:
            sock.close()


def main() -> None:
    """Arguments: descriptor of our end of the socket pair, process id of the service."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.setblocking(False)
    channel.send(b"{}")
    Child(channel, int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
