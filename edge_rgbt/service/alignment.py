"""Which map from thermal to RGB holds: the calibration's, the simulator's own, or equal views."""

from __future__ import annotations

from edge_rgbt.cameras.playback import Playback
from edge_rgbt.register import Registration
from edge_rgbt.rig import RangeFollower
from edge_rgbt.service.settings import ServicePlan
from edge_rgbt.types import ABSENT, FramePair


class Alignment:
    """Chosen once both cameras have shown what size they really have. From then on it follows the target's
    range, where the calibration knows how the cameras are mounted."""

    def __init__(self, plan: ServicePlan) -> None:
        self._plan = plan
        self._follower: RangeFollower | None = None
        self.playback: Playback | None = None  # of simulator cameras, whose mount is known
        self.registration: Registration | None = None

    def fit(self, pair: FramePair) -> Registration | None:
        """The map for this pair, None while a camera has given nothing. Raises UsageError if the calibration
        is for pictures of another size."""
        if self.registration is None and ABSENT not in (pair.rgb.sequence, pair.tir.sequence):
            self.registration = self._chosen(pair)
        return self.registration

    def follow(self, range_m: float | None) -> Registration | None:
        """The map for a target at this distance, made anew only where that moves pixels visibly."""
        if self._follower is not None and range_m is not None:
            self.registration = self._follower.registration(range_m)
        return self.registration

    def _chosen(self, pair: FramePair) -> Registration:
        rgb, tir = (pair.rgb.width, pair.rgb.height), (pair.tir.width, pair.tir.height)
        if self._plan.rig is not None:
            rig = self._plan.rig.for_sizes(rgb, tir)
            if rig.mount is not None:
                self._follower = RangeFollower(rig)
                return self._follower.registration(self._plan.settings.pairing.range_m)
            return rig.registration(self._plan.settings.pairing.range_m)
        if self.playback is not None and self.playback.info is not None:
            return Registration(self.playback.info.registration, rgb)
        return Registration.stretch(tir, rgb)
