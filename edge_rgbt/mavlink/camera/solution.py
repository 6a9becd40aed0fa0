"""The target's place on earth, from the first solution to the message that ends it (R-GS-1, R-GS-2)."""

from __future__ import annotations

from typing import Any

from edge_rgbt.mavlink.camera.geo import geo_status
from edge_rgbt.mavlink.messages import TargetPhase, status_flags
from edge_rgbt.types import TargetPosition

STALE_NS = 1_000_000_000
_FOLLOWED = (TargetPhase.TRACKING, TargetPhase.COASTING)


class Solution:
    """The newest position of the current track, as long as it may be told."""

    def __init__(self) -> None:
        self._position: TargetPosition | None = None
        self._at_ns = 0
        self._last_told: TargetPosition | None = None
        self.fresh = False

    def found(self, position: TargetPosition | None, now_ns: int) -> None:
        """None: the gates failed."""
        self._position, self._at_ns = position, now_ns
        self.fresh = position is not None

    def valid(self, phase: TargetPhase, now_ns: int) -> bool:
        """True while there is a position and somebody confirms it."""
        return self._position is not None and phase in _FOLLOWED and now_ns - self._at_ns <= STALE_NS

    def message(self, phase: TargetPhase, now_ns: int) -> Any | None:
        """CAMERA_TRACKING_GEO_STATUS, None without a solution; never a made-up place (R-GS-1)."""
        position = self._position
        if position is None or not self.valid(phase, now_ns):
            return None
        self._last_told, self.fresh = position, False
        if not position.confirmed:
            phase = TargetPhase.COASTING
        return geo_status(position, status_flags(phase))

    def ending(self, phase: TargetPhase, now_ns: int) -> Any | None:
        """The one message that ends a solution which was told: its last place, no longer active (R-GS-2)."""
        if self._last_told is None or self.valid(phase, now_ns):
            return None
        position, self._last_told, self._position = self._last_told, None, None
        ended = TargetPhase.IDLE if phase is TargetPhase.IDLE else TargetPhase.LOST
        return geo_status(position, status_flags(ended))

    def discard(self) -> None:
        """A new track: what is known is of the old one."""
        self._position = None
