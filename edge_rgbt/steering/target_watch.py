"""What the tracker and geolocation said of the target lately."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.types import TargetPosition, TrackState, TrackStatus, Usable


@dataclass(frozen=True, slots=True)
class Observation:
    """One picture's outcome. state: None when nothing is tracked. position: None where a gate failed.

    track_id: of the operator's selection; another one is another target. width, height: of the picture that
    the box counts in.
    """

    track_id: int | None
    state: TrackState | None
    width: int
    height: int
    position: TargetPosition | None = None


NOTHING = Observation(None, None, 0, 0)


class TargetWatch:
    """The newest observation, and what only a sequence of them tells."""

    def __init__(self) -> None:
        self.newest = NOTHING
        self.position: TargetPosition | None = None
        self.jump_m = 0.0
        self._one_sensor_since_ns: int | None = None

    def take(self, observation: Observation) -> None:
        """The next observation; a position of the same target stays until a newer one comes."""
        if observation.track_id != self.newest.track_id:
            self.position, self.jump_m, self._one_sensor_since_ns = None, 0.0, None
        self.newest = observation
        position, before = observation.position, self.position
        if position is not None and position.track_id == observation.track_id:
            self.jump_m = 0.0 if before is None else _apart_m(before, position)
            self.position = position
        state = observation.state
        if state is None or state.usable is Usable.BOTH:
            self._one_sensor_since_ns = None
        elif self._one_sensor_since_ns is None:
            self._one_sensor_since_ns = state.timestamp_ns

    @property
    def confirmed(self) -> bool:
        """True if the newest picture itself showed the target."""
        state = self.newest.state
        return state is not None and state.status is TrackStatus.TRACKING and state.unconfirmed_ns == 0

    def one_sensor_ns(self, now_ns: int) -> int:
        """For how long only one camera, or none, has shown anything."""
        return 0 if self._one_sensor_since_ns is None else max(now_ns - self._one_sensor_since_ns, 0)


def _apart_m(a: TargetPosition, b: TargetPosition) -> float:
    frame = LocalFrame.at(a.latitude_deg, a.longitude_deg)
    return math.hypot(*frame.metres(b.latitude_deg, b.longitude_deg))
