"""What the peers of one endpoint say: each one's bytes apart, and floods at the cost of who makes them."""

from __future__ import annotations

import time

from edge_rgbt.mavlink.framing import Frame, FrameCounters, FrameReader
from edge_rgbt.mavlink.links import Peer

FRAMES_PER_S = 1500  # of one peer; a busy autopilot sends some hundreds
ALL_FRAMES_PER_S = 4000  # of all peers
_GARBAGE_BYTES = 40  # take about as long to read as a frame


class Hearing:
    """Frames out of the bytes of several peers.

    bytes: how many came. flooded: how many of them were thrown away because their peer sent more than
    anybody honest does.
    """

    def __init__(self) -> None:
        self.frames = FrameCounters()
        self.bytes = self.flooded = 0
        self._readers: dict[Peer, _PeerReader] = {}
        self._allowance = _Allowance(ALL_FRAMES_PER_S)

    def take_in(self, chunks: list[tuple[Peer, bytes]], peers: list[Peer]) -> list[tuple[Peer, Frame]]:
        """The frames that these bytes complete, and who sent them. peers: who is there; others are forgotten.

        Call it without bytes now and then, so that false starts are given up.
        """
        now_ns = time.monotonic_ns()
        for peer in self._readers.keys() - peers:
            del self._readers[peer]
        for peer, data in chunks:
            self.bytes += len(data)
            if peer not in self._readers:
                self._readers[peer] = _PeerReader(self.frames)
        self._allowance.earn(now_ns)
        # Whoever sent least so far goes first.
        order = sorted(chunks, key=lambda chunk: -self._readers[chunk[0]].allowance.earn(now_ns))
        order += [(peer, b"") for peer in self._readers.keys() - {peer for peer, _ in chunks}]
        return [(peer, frame) for peer, data in order for frame in self._read(peer, data, now_ns)]

    def forget(self) -> None:
        """The link was closed: what had begun to come ends there."""
        self._readers.clear()

    def _read(self, peer: Peer, data: bytes, now_ns: int) -> list[Frame]:
        one = self._readers[peer]
        if min(one.allowance.left, self._allowance.left) < 1:
            self.flooded += len(data)
            return []
        skipped = self.frames.skipped_bytes
        frames = one.reader.feed(data, now_ns)
        cost = len(frames) + (self.frames.skipped_bytes - skipped) / _GARBAGE_BYTES
        one.allowance.left -= cost
        self._allowance.left -= cost
        return frames


class _Allowance:
    """How many frames may still be heard, up to a second's worth."""

    def __init__(self, per_s: int) -> None:
        self._per_s, self.left = per_s, float(per_s)
        self._at_ns = time.monotonic_ns()

    def earn(self, now_ns: int) -> float:
        self.left = min(self.left + (now_ns - self._at_ns) * 1e-9 * self._per_s, self._per_s)
        self._at_ns = now_ns
        return self.left


class _PeerReader:
    def __init__(self, counters: FrameCounters) -> None:
        self.reader = FrameReader(counters)
        self.allowance = _Allowance(FRAMES_PER_S)
