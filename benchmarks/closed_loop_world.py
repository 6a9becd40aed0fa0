"""A walking target, a vehicle with a gimbal and our steering, on one exact clock and without pictures.

Autopilot, cables, time synchronisation, telemetry, geolocation and steering are the real ones. Only camera
and tracker are stood in for: the target is projected through a pinhole, delivered late and with noise, and
lost while it is hidden or out of the picture. `Flight` is played by `benchmarks/closed_loop.py` and by tests.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edge_rgbt.geolocation import (
    AutopilotClock,
    GeolocationSettings,
    Geolocator,
    MountSettings,
    NoPosition,
    Telemetry,
)
from edge_rgbt.geolocation.camera_attitude import CameraMount
from edge_rgbt.geolocation.optics import Optics, OpticsBook
from edge_rgbt.geolocation.rotations import conjugated, from_euler, rotated
from edge_rgbt.mavlink.autopilot import (
    ARDUCOPTER,
    AutopilotSettings,
    FlightMode,
    Pilot,
    SimulatedAutopilot,
    Stack,
)
from edge_rgbt.mavlink.autopilot.lockstep import Cable, Lockstep, Spoken
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.identity import BEACON_SYSTEM
from edge_rgbt.mavlink.steering import ControlRecord, Senses, SteeringComponent
from edge_rgbt.mavlink.steering.orders import ENGAGE
from edge_rgbt.mavlink.telemetry import TelemetryReader
from edge_rgbt.mavlink.timesync import TimeSync
from edge_rgbt.sim.vehicle import Vehicle, VehicleSettings
from edge_rgbt.sim.vehicle.state import VehicleState
from edge_rgbt.steering.settings import ACKNOWLEDGEMENT, ControlSettings, GuidedSettings
from edge_rgbt.steering.target_watch import NOTHING, Observation
from edge_rgbt.types import Box, TrackState, TrackStatus, Usable

SYSTEM, COMPANION, GROUND = 7, 191, 255
WIDTH, HEIGHT, HFOV_DEG = 1280, 720, 60.0
FRAME_NS = 33_333_333
SECOND = 1_000_000_000
BODY_M = (0.6, 1.75)  # width and height of the one who walks
STEERED = frozenset(
    (
        "GIMBAL_MANAGER_SET_ATTITUDE", "FOLLOW_TARGET", "SET_POSITION_TARGET_GLOBAL_INT",
        "SET_POSITION_TARGET_LOCAL_NED",
    )
)  # fmt: skip
STEERING_COMMANDS = frozenset((1001, 1000, 195, 197, 192))


class Walker:
    """Stands for a while, then walks and turns by up to 120 degrees every few seconds.

    Metres north and east of home. waits_s: until the track has been selected.
    """

    _STEP_S = 0.05

    def __init__(
        self, seed: int, start: tuple[float, float], speed_m_s: float = 2.0, waits_s: float = 5.0
    ) -> None:
        rng = np.random.default_rng(seed)
        self._path = [start]
        heading = wanted = float(rng.uniform(0, math.tau))
        turn_s = waits_s
        north, east = start
        for step in range(8000):
            now_s = step * self._STEP_S
            if now_s >= turn_s:
                wanted = heading + float(rng.uniform(-1, 1)) * math.radians(120)
                turn_s = now_s + float(rng.uniform(4, 9))
            if now_s >= waits_s:
                heading += min(max(wanted - heading, -0.08), 0.08)  # 90 degrees/s
                north += speed_m_s * self._STEP_S * math.cos(heading)
                east += speed_m_s * self._STEP_S * math.sin(heading)
            self._path.append((north, east))

    def at(self, t_ns: int) -> tuple[float, float]:
        place = min(t_ns * 1e-9 / self._STEP_S, len(self._path) - 2.0)
        index = int(place)
        (n0, e0), (n1, e1) = self._path[index : index + 2]
        return n0 + (n1 - n0) * (place - index), e0 + (e1 - e0) * (place - index)


@dataclass
class TrackerManners:
    """How the tracker that is stood in for behaves. latency_ns: from exposure to its answer.

    hold_s: how long it says uncertain before it says lost. find_s: how long a visible target takes to be
    found again. noise: of the box, as a share of its side, one sigma. hidden: the target from others' sight,
    stalled: the pictures; seconds of flight, from and to.
    """

    latency_ns: int = 100_000_000
    hold_s: float = 0.8
    find_s: float = 0.3
    noise: float = 0.05
    hidden: list[tuple[float, float]] = field(default_factory=list)
    stalled: list[tuple[float, float]] = field(default_factory=list)
    usable: Usable = Usable.BOTH


class StandIn:
    """Camera and tracker: the target through a pinhole, a while ago."""

    def __init__(self, vehicle: Vehicle, walker: Walker, manners: TrackerManners, seed: int) -> None:
        self.vehicle, self.walker, self.manners = vehicle, walker, manners
        self.optics = Optics.from_field_of_view(HFOV_DEG, WIDTH, HEIGHT)
        self._rng = np.random.default_rng(seed + 1)
        self.track_id: int | None = None
        self._status = TrackStatus.IDLE
        self._box = Box(600, 300, 20, 60)
        self._drift = (0.0, 0.0)
        self._confirmed_ns = self._visible_since_ns = self._next_ns = 0
        self._under_way: deque[tuple[int, TrackState]] = deque()

    def start(self, track_id: int) -> None:
        """The operator draws a box round the target, which has to be in view."""
        self.track_id, self._status = track_id, TrackStatus.TRACKING

    def stop(self) -> None:
        self.track_id, self._status = None, TrackStatus.IDLE
        self._under_way.clear()

    def project(self, state: VehicleState, t_ns: int) -> Box | None:
        """Where the target is in the picture, whole or not; None behind the camera."""
        north, east = self.walker.at(t_ns)
        pn, pe, pd = state.position
        turn = from_euler(state.gimbal_roll_rad, state.gimbal_pitch_rad, state.gimbal_yaw_rad)
        width_m, height_m = BODY_M
        forward, right, down = rotated(conjugated(turn), (north - pn, east - pe, -height_m / 2 - pd))
        if forward < 1.0:
            return None
        fx = self.optics.focal_x
        depression = math.atan2(-pd, math.hypot(north - pn, east - pe))
        w = fx * width_m / forward
        h = fx * (height_m * math.cos(depression) + width_m * math.sin(depression)) / forward
        u, v = self.optics.centre_x + fx * right / forward, self.optics.centre_y + fx * down / forward
        return Box(u - w / 2, v - h / 2, w, h)

    def step(self, now_ns: int, t_ns: int) -> list[TrackState]:
        """Takes a picture if one is due; the states that are ready now."""
        if t_ns >= self._next_ns:
            self._next_ns += FRAME_NS
            stalled = any(a <= t_ns * 1e-9 < b for a, b in self.manners.stalled)
            if self.track_id is not None and not stalled:
                state = self._look(now_ns, t_ns)
                self._under_way.append((now_ns + self.manners.latency_ns, state))
        ready = []
        while self._under_way and self._under_way[0][0] <= now_ns:
            ready.append(self._under_way.popleft()[1])
        return ready

    def visible(self, t_ns: int) -> Box | None:
        """The true box if the target can be seen."""
        box = self.project(self.vehicle.at(t_ns), t_ns)
        hidden = any(a <= t_ns * 1e-9 < b for a, b in self.manners.hidden)
        inside = box is not None and 0 <= box.cx < WIDTH and 0 <= box.cy < HEIGHT
        return box if inside and not hidden else None

    def _look(self, now_ns: int, t_ns: int) -> TrackState:
        true, manners = self.visible(t_ns), self.manners
        if true is None:
            self._visible_since_ns = t_ns
        seen_ns = t_ns - self._visible_since_ns
        found = self._status is not TrackStatus.LOST or seen_ns >= manners.find_s * 1e9
        if true is not None and found:
            du, dv = self._rng.normal(0, manners.noise, 2)
            box = Box(true.x + du * true.w, true.y + dv * true.h, true.w, true.h)
            self._drift = (box.cx - self._box.cx, box.cy - self._box.cy) if self._confirmed_ns else (0.0, 0.0)
            self._box, self._confirmed_ns, self._status = box, now_ns, TrackStatus.TRACKING
            return TrackState(box, 0.9, self._status, now_ns, confidence=0.9, usable=manners.usable)
        unseen_ns = now_ns - self._confirmed_ns
        if self._status is not TrackStatus.LOST:
            lost = unseen_ns > manners.hold_s * 1e9
            self._status = TrackStatus.LOST if lost else TrackStatus.UNCERTAIN
        confidence = 0.0 if self._status is TrackStatus.LOST else 0.4
        return TrackState(
            self._box, 0.1, self._status, now_ns, confidence=confidence, usable=manners.usable,
            unconfirmed_ns=unseen_ns,
        )  # fmt: skip


def guided_control(**guided: Any) -> ControlSettings:
    """The level `guided`, acknowledged, that goes on when the target is found again."""
    return ControlSettings(level="guided", auto_resume=True, guided=GuidedSettings(ACKNOWLEDGEMENT, **guided))


class Flight:
    """Everything together. `fly` goes on where the last call ended; times in seconds of flight."""

    def __init__(
        self,
        control: ControlSettings,
        stack: Stack = ARDUCOPTER,
        *,
        seed: int = 0,
        manners: TrackerManners | None = None,
        walker: Walker | None = None,
        vehicle: VehicleSettings | None = None,
        cable: Cable | None = None,
        target: str = "person",
    ) -> None:
        self.control = control
        vehicle = vehicle or VehicleSettings(position=(0.0, 0.0, -20.0), gimbal_pitch_rad=math.radians(-45))
        self.vehicle = Vehicle(vehicle, seed)
        self.autopilot = SimulatedAutopilot(
            self.vehicle, stack, AutopilotSettings(system=SYSTEM), began_ns=5_000 * SECOND
        )
        self.pilot = Pilot(self.autopilot)
        self.walker = walker or Walker(seed, (20.0, 0.0))
        self.eyes = StandIn(self.vehicle, self.walker, manners or TrackerManners(), seed)
        telemetry, clock, mount = Telemetry(), AutopilotClock(), MountSettings()
        places = GeolocationSettings(hfov_deg=HFOV_DEG, target=target, target_height_m=BODY_M[1])  # type: ignore[arg-type]
        self.locator = Geolocator(telemetry, places, mount)
        self.records: list[ControlRecord] = []
        senses = Senses(telemetry, clock, CameraMount(mount), OpticsBook(hfov_deg=HFOV_DEG))
        beacon = control.beacon_sysid or BEACON_SYSTEM
        self.steering = SteeringComponent(control, senses, self.records.append, beacon_system=beacon)
        parts = [TimeSync(clock), TelemetryReader(telemetry, clock, places, mount), self.steering]
        self.steps = Lockstep(self.autopilot, parts, cable=cable, seed=seed, beacon_system=beacon)
        self.steps.ticks.append(self._tick)
        self.ground_beats = True
        self._beat_ns = 0
        self.observation = NOTHING

    @property
    def t_s(self) -> float:
        return self.steps.t_ns * 1e-9

    def fly(self, seconds: float) -> Flight:
        self.steps.run(seconds)
        return self

    def start(self, mode: FlightMode | None = None, level: float = 0.0) -> Flight:
        """Waits for the clock, selects the target, changes the mode and engages. Fails if it may not."""
        self.fly(4.0)
        self.select(1)
        self.fly(1.5)
        if mode is not None:
            assert self.pilot.mode(mode) == dialect.MAV_RESULT_ACCEPTED
            self.fly(1.2)
        result = self.order(1.0, level)
        assert result == dialect.MAV_RESULT_ACCEPTED, (result, self.texts())
        return self

    def select(self, track_id: int) -> None:
        """As the camera component would after CAMERA_TRACK_RECTANGLE."""
        self.eyes.start(track_id)

    def stop_track(self) -> None:
        self.eyes.stop()
        self.observation = NOTHING
        self.steering.seen(self.observation)

    def order(self, engage: float, level: float = 0.0, system: int = GROUND) -> int | None:
        """MAV_CMD_USER_1 to the companion, from the ground station's link; the result that came back."""
        before = len(self.steps.ground)
        values = (engage, level, 0.0, 0.0, 0.0, 0.0, 0.0)
        message = dialect.MAVLink_command_long_message(SYSTEM, COMPANION, ENGAGE, 0, *values)
        self.steps.say(message, system)
        self.fly(0.2)
        acks = [s.message for s in self.steps.ground[before:] if s.kind == "COMMAND_ACK"]
        results = [ack.result for ack in acks if ack.command == ENGAGE]
        return results[-1] if results else None

    def texts(self) -> list[str]:
        """What the operator was told."""
        whole: list[str] = []
        for spoken in self.steps.said:
            if spoken.kind == "STATUSTEXT" and spoken.message.chunk_seq:
                whole[-1] += spoken.message.text
            elif spoken.kind == "STATUSTEXT":
                whole.append(spoken.message.text)
        return whole

    def steered(self, since_s: float = 0.0) -> list[Spoken]:
        """Control messages that went out, requests for telemetry left out."""
        return [
            spoken
            for spoken in self.steps.said
            if spoken.t_ns >= since_s * 1e9
            and (spoken.kind in STEERED or getattr(spoken.message, "command", None) in STEERING_COMMANDS)
            and spoken.kind != "COMMAND_ACK"
        ]

    def off_centre(self) -> float:
        """How far the target is from the middle of the true picture, as a share of its half side: 1 is an
        edge. Infinite behind the camera."""
        box = self.eyes.project(self.vehicle.at(self.steps.t_ns), self.steps.t_ns)
        if box is None:
            return math.inf
        return max(abs(box.cx / WIDTH - 0.5), abs(box.cy / HEIGHT - 0.5)) * 2

    def distance_m(self) -> float:
        """Over ground, from the vehicle to the target."""
        north, east = self.walker.at(self.steps.t_ns)
        here = self.vehicle.at(self.steps.t_ns).position
        return math.hypot(north - here[0], east - here[1])

    def _tick(self, now_ns: int) -> None:
        if self.ground_beats and now_ns >= self._beat_ns:
            self._beat_ns = now_ns + SECOND
            beat = dialect.MAVLink_heartbeat_message(dialect.MAV_TYPE_GCS, 8, 0, 0, 4, 3)
            self.steps.say(beat, GROUND)
        for state in self.eyes.step(now_ns, self.steps.t_ns):
            track_id = self.eyes.track_id
            if track_id is None:
                continue
            found = self.locator.locate(state, track_id, WIDTH, HEIGHT)
            position = None if isinstance(found, NoPosition) else found
            self.observation = Observation(track_id, state, WIDTH, HEIGHT, position)
            self.steering.seen(self.observation)


def spoiled(observation: Observation, **changes: Any) -> Observation:
    """The same picture with another outcome."""
    assert observation.state is not None
    return replace(observation, state=replace(observation.state, **changes))
