"""Frames into a byte stream that may be slow: whole or not at all."""

from __future__ import annotations

import os


class ByteStream:
    """Keeps what a full send buffer left of a frame, so that frames are never torn.

    descriptor: non-blocking. pending_bytes: how much may wait here before frames are refused.
    """

    def __init__(self, descriptor: int, pending_bytes: int) -> None:
        self._descriptor, self._most = descriptor, pending_bytes
        self.pending = b""

    def send(self, frame: bytes) -> int:
        """1 if the frame was taken, 0 if the peer is too slow for it. Raises OSError when it is gone."""
        self.flush()
        if len(self.pending) > self._most:
            return 0
        self.pending += frame
        self.flush()
        return 1

    def flush(self) -> None:
        """Writes what the other side takes now."""
        try:
            while self.pending:
                self.pending = self.pending[os.write(self._descriptor, self.pending) :]
        except BlockingIOError:
            pass
