"""The target in the picture without a picture: its true outline projected, with the errors of a tracker.

Steering laws are tried over many seeds with it; the rendered world and the real tracker are for a few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_rgbt.sim.camera_model import Intrinsics, View, rotation
from edge_rgbt.sim.drone import Pose
from edge_rgbt.sim.noise import generator
from edge_rgbt.sim.truth import clipped
from edge_rgbt.sim.vehicle.vehicle import Vehicle
from edge_rgbt.sim.vehicle.walker import Walker
from edge_rgbt.types import Box, TrackState, TrackStatus

_USUAL_CAMERA = Intrinsics.from_fov(640, 512, 50.0)


@dataclass(frozen=True)
class SightSettings:
    """A camera with its tracker. latency_ns: from capture to the tracker's answer.

    noise_px: of the box's middle and size, new in each picture. uncertain_s: how long it goes on predicting
    a target that it does not see; finds_again_s: how long a target must be back in view to be taken up.
    """

    intrinsics: Intrinsics = _USUAL_CAMERA
    rate_hz: float = 30.0
    latency_ns: int = 100_000_000
    noise_px: float = 1.0
    uncertain_s: float = 1.0
    finds_again_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Sighting:
    """One answer of the tracker. true_box: the target's outline in the picture, hidden or not, uncut; None
    behind the camera. capture_ns: flight time."""

    capture_ns: int
    state: TrackState
    true_box: Box | None
    pose: Pose


def outline(pose: Pose, intrinsics: Intrinsics, walker: Walker, t_s: float) -> Box | None:
    """The walker's outline in the camera of this pose, also beyond the picture; None behind the camera."""
    state = walker.at(t_s)
    length, width, height = (half / 2 for half in walker.size_m)
    cos, sin = math.cos(state.course_rad), math.sin(state.course_rad)
    corners = [
        (
            state.east + along * length * sin + across * width * cos,
            state.north + along * length * cos - across * width * sin,
            height + up * height,
        )
        for along in (-1, 1)
        for across in (-1, 1)
        for up in (-1, 1)
    ]
    turn = rotation(pose.camera_yaw_deg, pose.camera_pitch_deg, pose.camera_roll_deg)
    pixels, depth = View(intrinsics, np.array(pose.position), turn).project(np.array(corners))
    if depth.min() <= 0.5:
        return None
    low, high = pixels.min(0) + 0.5, pixels.max(0) + 0.5
    return Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))


class Sight:
    """Answers of a tracker that was started on the walker. Ask `due` in order of time; flight time in ns.

    epoch_ns: added to the time stamps of the states, which are on the companion's monotonic clock.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        walker: Walker,
        settings: SightSettings | None = None,
        seed: int = 0,
        epoch_ns: int = 0,
    ) -> None:
        self.settings = settings or SightSettings()
        self._vehicle, self._walker, self._epoch_ns = vehicle, walker, epoch_ns
        self._rng = generator(seed, "sight")
        self._pictures = 0
        self._waiting: list[Sighting] = []
        self._last: Box | None = None
        self._seen_ns = 0
        self._back_since_ns: int | None = None
        self._lost = False

    def due(self, t_ns: int) -> list[Sighting]:
        """The answers that are there by now."""
        while (capture_ns := round(self._pictures * 1e9 / self.settings.rate_hz)) <= t_ns:
            self._waiting.append(self._look(capture_ns))
            self._pictures += 1
        ready = [s for s in self._waiting if s.capture_ns + self.settings.latency_ns <= t_ns]
        self._waiting = self._waiting[len(ready) :]
        return ready

    def _look(self, capture_ns: int) -> Sighting:
        pose = self._vehicle.pose(capture_ns)
        true = outline(pose, self.settings.intrinsics, self._walker, capture_ns / 1e9)
        visible = None if true is None or self._walker.at(capture_ns / 1e9).hidden else self._in_picture(true)
        state = self._judge(visible, capture_ns)
        return Sighting(capture_ns, state, true, pose)

    def _in_picture(self, true: Box) -> Box | None:
        bounds = np.array([true.x, true.y, true.x + true.w, true.y + true.h]) - 0.5
        noise = self._rng.standard_normal(4) * self.settings.noise_px
        bounds += np.array(
            [noise[0] - noise[2], noise[1] - noise[3], noise[0] + noise[2], noise[1] + noise[3]]
        )
        return clipped(bounds, self.settings.intrinsics)

    def _judge(self, seen: Box | None, capture_ns: int) -> TrackState:
        if seen is None:
            self._back_since_ns = None
        elif self._back_since_ns is None:
            self._back_since_ns = capture_ns
        back_ns = 0 if self._back_since_ns is None else capture_ns - self._back_since_ns
        if seen is not None and (not self._lost or back_ns >= self.settings.finds_again_s * 1e9):
            self._last, self._seen_ns, self._lost = seen, capture_ns, False
            return self._state(seen, TrackStatus.TRACKING, capture_ns, 0.9)
        unseen_ns = capture_ns - self._seen_ns
        if self._last is None:
            k = self.settings.intrinsics
            self._last = Box(k.width / 2 - 8, k.height / 2 - 16, 16, 32)
        self._lost = self._lost or unseen_ns > self.settings.uncertain_s * 1e9
        status = TrackStatus.LOST if self._lost else TrackStatus.UNCERTAIN
        return self._state(self._last, status, capture_ns, 0.0 if self._lost else 0.3, unseen_ns)

    def _state(
        self, box: Box, status: TrackStatus, capture_ns: int, confidence: float, unconfirmed_ns: int = 0
    ) -> TrackState:
        stamp = self._epoch_ns + capture_ns
        return TrackState(
            box, confidence, status, stamp, confidence=confidence, unconfirmed_ns=unconfirmed_ns
        )
