"""A copy of every valid frame for whoever records it, without a way to hold up or break the link."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

LOG = logging.getLogger(__name__)
OnBytes = Callable[[str, bool, bytes, int], None]
"""endpoint's URL, whether it went out, the frame, when on the monotonic clock in nanoseconds"""

_MOST_WAITING = 4096


class Tap:
    """Hands frames on from its own thread. lost: how many a slow listener did not get, the oldest."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self._on_bytes = on_bytes
        self._waiting: deque[tuple[str, bool, bytes, int]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.lost = self.failed = 0
        self._thread = threading.Thread(target=self._run, name="mavlink-tap", daemon=True)
        self._thread.start()

    def put(self, endpoint: str, outgoing: bool, data: bytes, t_ns: int) -> None:
        """From any thread; never blocks on the listener."""
        with self._wake:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append((endpoint, outgoing, data, t_ns))
            self._wake.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """Hands on what waits, as far as the listener takes it in time."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                batch = list(self._waiting)
                self._waiting.clear()
            if not batch:
                return
            for one in batch:
                try:
                    self._on_bytes(*one)
                except Exception:  # the listener's fault is not the link's
                    if not self.failed:
                        LOG.exception("the tap of MAVLink frames failed")
                    self.failed += 1
