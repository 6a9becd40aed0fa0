"""What is known of the target, as CAMERA_TRACKING_IMAGE_STATUS (275) tells it (section 4.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.camera.profile import Reporting
from edge_rgbt.mavlink.messages import PHASES, StatusOptions, TargetPhase, target_status
from edge_rgbt.types import Box, TrackState, TrackStatus

STALE_NS = 1_000_000_000  # a tracker silent for so long sees nothing
FOLLOWED = (TargetPhase.ACQUIRING, TargetPhase.TRACKING, TargetPhase.COASTING)
View = tuple[float, float, float, float]
WHOLE: View = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """Where the target was said to be. confirmed_ns: when a picture last said so. No state: as requested."""

    box: Box
    width: int
    height: int
    at_ns: int
    confirmed_ns: int
    state: TrackState | None


class TargetReport:
    """The track that the ground is told of, from the request to the stop."""

    def __init__(self, reporting: Reporting, view: View = WHOLE) -> None:
        """view: the part of the tracker's picture that the main stream shows (R-TS-8)."""
        self._options = StatusOptions(reporting.coasting, reporting.report_point, reporting.drawn_in_video)
        self._coasting_ns = round(reporting.coasting_s * 1e9)
        self.view = view
        self._seen: _Sighting | None = None
        self._stopped = False
        self.track_id = 0
        self.fresh = False  # a state came since the last status was built

    def begin(self) -> int:
        """The id of a new track, which takes the place of the last one."""
        self.track_id += 1
        self._stopped = False
        self._seen = None
        return self.track_id

    def requested(self, box: Box, width: int, height: int, now_ns: int) -> None:
        """What an operator drew, shown until the tracker answers for the current track."""
        self._seen = _Sighting(box, width, height, now_ns, now_ns, None)
        self.fresh = True

    def stopped(self) -> None:
        self._seen, self._stopped = None, True

    def published(
        self, state: TrackState, width: int, height: int, track_id: int | None, now_ns: int
    ) -> bool:
        """Takes in the tracker's state; False for one of a track that was replaced or stopped meanwhile."""
        if self._stopped or (track_id is not None and track_id != self.track_id):
            return False
        self._seen = _Sighting(state.box, width, height, now_ns, now_ns - state.unconfirmed_ns, state)
        self.fresh = True
        return True

    @property
    def shown(self) -> bool:
        """True if there is anything but idle to tell, or was a moment ago."""
        return self._seen is not None

    @property
    def waits(self) -> bool:
        """True while a request was not answered yet."""
        return self._seen is not None and self._seen.state is None

    def phase(self, now_ns: int) -> TargetPhase:
        """What may be claimed by now; an unconfirmed box not for long, and nothing of a silent tracker."""
        seen = self._seen
        if seen is None or (seen.state is not None and seen.state.status is TrackStatus.IDLE):
            return TargetPhase.IDLE
        if now_ns - seen.at_ns > STALE_NS:
            return TargetPhase.SENSOR_FAILURE
        if seen.state is None:
            return TargetPhase.ACQUIRING
        phase = PHASES[seen.state.status]
        if phase is TargetPhase.COASTING and now_ns - seen.confirmed_ns > self._coasting_ns:
            return TargetPhase.LOST
        return phase

    def message(self, now_ns: int) -> Any:
        """CAMERA_TRACKING_IMAGE_STATUS of this moment."""
        phase, seen = self.phase(now_ns), self._seen
        if seen is None or phase not in FOLLOWED:
            return target_status(phase, None, 1, 1, self._options)
        left, top, right, bottom = self.view
        if self.view == WHOLE:
            return target_status(phase, seen.box, seen.width, seen.height, self._options)
        # The stream's picture, in pixels of the tracker's.
        width, height = (right - left) * seen.width, (bottom - top) * seen.height
        box = Box(seen.box.x - left * seen.width, seen.box.y - top * seen.height, seen.box.w, seen.box.h)
        return target_status(phase, box, round(width), round(height), self._options)
