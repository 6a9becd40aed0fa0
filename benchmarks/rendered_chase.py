"""Closed-loop following on rendered pictures: a walker, our tracker, our steering, the simulated autopilot.

    python benchmarks/rendered_chase.py --seeds 5
    python benchmarks/rendered_chase.py --seeds 10 --stack arducopter --level guided --hidden 22,25

Everything runs in one thread on one exact clock, so the machine's speed changes nothing but the waiting: the
tracker's answer always comes `--latency-ms` after the exposure. The walker sets off at 2 m/s when it has been
selected, and turns every few seconds; while hidden it is taken out of the world and everything else goes on.
Of many walks the one that stays most in the open is taken; what trees and houses hide all the same is counted
as covered. Wind, gusts and the errors of sensors are on. Prints a
table, or one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_rgbt.bundle import Bundle, load_bundle  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.geolocation import (  # noqa: E402
    AutopilotClock,
    GeolocationSettings,
    Geolocator,
    MountSettings,
    NoPosition,
    Telemetry,
)
from edge_rgbt.geolocation.camera_attitude import CameraMount  # noqa: E402
from edge_rgbt.geolocation.optics import OpticsBook  # noqa: E402
from edge_rgbt.mavlink.autopilot import (  # noqa: E402
    ARDUCOPTER,
    STACKS,
    AutopilotSettings,
    FlightMode,
    Pilot,
    SimulatedAutopilot,
    Stack,
)
from edge_rgbt.mavlink.autopilot.lockstep import Lockstep  # noqa: E402
from edge_rgbt.mavlink.dialect import common as dialect  # noqa: E402
from edge_rgbt.mavlink.steering import Senses, SteeringComponent  # noqa: E402
from edge_rgbt.mavlink.steering.orders import ENGAGE  # noqa: E402
from edge_rgbt.mavlink.telemetry import TelemetryReader  # noqa: E402
from edge_rgbt.mavlink.timesync import TimeSync  # noqa: E402
from edge_rgbt.metrics.measures import overlap  # noqa: E402
from edge_rgbt.register import Registration  # noqa: E402
from edge_rgbt.runtime.stages import open_loop  # noqa: E402
from edge_rgbt.sim import make_scenario  # noqa: E402
from edge_rgbt.sim.layout import PERIOD_M, Layout, make_layout  # noqa: E402
from edge_rgbt.sim.noise import generator  # noqa: E402
from edge_rgbt.sim.objects import Mover  # noqa: E402
from edge_rgbt.sim.vehicle import USUAL, Vehicle, VehicleSettings, Wind  # noqa: E402
from edge_rgbt.sim.vehicle.start import starts_like  # noqa: E402
from edge_rgbt.sim.vehicle.walker import Walker  # noqa: E402
from edge_rgbt.steering.settings import ACKNOWLEDGEMENT, ControlSettings, GuidedSettings  # noqa: E402
from edge_rgbt.steering.target_watch import Observation  # noqa: E402
from edge_rgbt.types import Box, Frame, FramePair, Modality, TrackState, TrackStatus  # noqa: E402

SYSTEM, GROUND = 7, 255
SECOND = 1_000_000_000
STARTS_AT_S = 5.0  # by then the clocks are synchronised; the operator draws the box
SETTLED_S = 6.0  # after the engagement, before anything is counted
BACK_WITHIN_S = 5.0
WALKS = 60  # to choose one from that stays in the open


@dataclass
class Account:
    """What a chase was like. Shares are of the pictures that count: after settling, hidden spans left out."""

    seed: int
    stack: str
    centred: list[bool] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    distance_m: list[float] = field(default_factory=list)
    back_after_s: float | None = None
    covered: int = 0
    engaged: bool = False
    texts: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        near = np.abs(np.array(self.distance_m) - 20.0) < 5.0
        return {
            "seed": self.seed,
            "stack": self.stack,
            "pictures": len(self.centred),
            "centred": round(float(np.mean(self.centred)), 4) if self.centred else None,
            "box_right": round(float(np.mean(self.right)), 4) if self.right else None,
            "at_20_m": round(float(np.mean(near)), 4) if len(near) else None,
            "covered": self.covered,
            "engaged": self.engaged,
            "back_after_s": self.back_after_s,
        }


class RenderedChase:
    """One flight, played picture by picture. `fly` goes on where the last call ended; seconds of flight."""

    def __init__(
        self,
        bundle: Bundle,
        seed: int,
        seconds: float,
        stack: Stack = ARDUCOPTER,
        level: str = "gimbal",
        hidden: tuple[tuple[float, float], ...] = (),
        rate_hz: float = 15.0,
        latency_ns: int = 120_000_000,
    ) -> None:
        self.account = Account(seed, stack.name)
        self._seconds, self._hidden = seconds + 2, hidden
        self.scenario = make_scenario(seed, "day", seconds + 2, target_kind="person", course=self._course)
        settings = VehicleSettings(wind=Wind(2.0, 1.0, 0.5), errors=USUAL, tremble_rad=math.radians(0.03))
        self.vehicle = Vehicle(starts_like(self.scenario)(settings), seed)
        self.scenario.fly_by(self.vehicle)
        autopilot = SimulatedAutopilot(
            self.vehicle, stack, AutopilotSettings(system=SYSTEM), began_ns=900 * SECOND
        )
        self.pilot, self.level = Pilot(autopilot), level
        self._camera, self._period_ns, self._latency_ns = self.scenario.rig.rgb, 1e9 / rate_hz, latency_ns
        self._loop = open_loop(bundle)
        size = (self._camera.width, self._camera.height)
        self._loop.registration = Registration(
            self.scenario.nominal_registration(),
            size,
            (self.scenario.rig.tir.width, self.scenario.rig.tir.height),
        )
        self.steps = Lockstep(autopilot, self._companion(), seed=seed)
        self.steps.ticks.append(self._tick)
        self._pictures = 0
        self._waiting: list[tuple[int, TrackState]] = []
        self._beat_ns = 0
        self._tracking = False

    def _course(self, mover: Mover) -> np.ndarray:
        """The clearest of many walks, each from another place: what hides it shall be our choice."""
        seed, layout = self.account.seed, make_layout(self.account.seed)
        walks = [
            Walker(seed * WALKS + k, self._seconds, 2.0, hidden=self._hidden, starts_s=STARTS_AT_S)
            for k in range(WALKS)
        ]
        tracks = [walk.course(mover) for walk in walks]
        for track, shift in zip(
            tracks, generator(seed, "places").uniform(0, PERIOD_M, (WALKS, 2)), strict=True
        ):
            track[:, :2] += shift
        best = min(range(WALKS), key=lambda k: covered_share(tracks[k][:, :2], layout))
        self.walker = walks[best]
        return tracks[best]

    def _companion(self) -> list:
        telemetry, clock, mount = Telemetry(), AutopilotClock(), MountSettings()
        fov = self._camera.horizontal_fov_deg
        places = GeolocationSettings(hfov_deg=fov, target="person", target_height_m=1.75)
        self._locator = Geolocator(telemetry, places, mount)
        control = ControlSettings(
            level=self.level,  # type: ignore[arg-type]
            auto_resume=True,
            guided=GuidedSettings(ACKNOWLEDGEMENT, distance_m=20.0, prime_s=20.0),
        )
        senses = Senses(telemetry, clock, CameraMount(mount), OpticsBook(hfov_deg=fov))
        self._steering = SteeringComponent(control, senses)
        return [TimeSync(clock), TelemetryReader(telemetry, clock, places, mount), self._steering]

    def fly(self, seconds: float) -> Account:
        """The whole chase: waits, draws the box, engages, and follows until the end."""
        self.steps.run(STARTS_AT_S)
        self._tracking = True
        self.steps.run(1.0)
        self._engage()
        self.steps.run(seconds - self.steps.t_ns / SECOND)
        self.account.texts = [s.message.text for s in self.steps.said if s.kind == "STATUSTEXT"]
        return self.account

    def _engage(self) -> None:
        guided_first = (
            self.level == "guided" and not self.steps.autopilot.stack.understands.guided_silence_leaves_mode
        )
        if guided_first:
            self.pilot.mode(FlightMode.GUIDED)
            self.steps.run(1.2)
        for _ in range(5):  # as an operator would who is told that the track is not confident yet
            self.steps.say(
                dialect.MAVLink_command_long_message(SYSTEM, 191, ENGAGE, 0, 1, 0, 0, 0, 0, 0, 0), GROUND
            )
            self.steps.run(1.0)
            if self._steering.machine.engagement is not None:
                self.account.engaged = True
                break
        if self.level == "guided" and not guided_first:
            self.pilot.mode(FlightMode.GUIDED)  # Offboard, which wants set-points before

    def _tick(self, now_ns: int) -> None:
        if now_ns >= self._beat_ns:
            self._beat_ns = now_ns + SECOND
            self.steps.say(dialect.MAVLink_heartbeat_message(dialect.MAV_TYPE_GCS, 8, 0, 0, 4, 3), GROUND)
        capture_ns = round(self._pictures * self._period_ns)
        if capture_ns <= self.steps.t_ns:
            self._pictures += 1
            if self._tracking:
                self._look(capture_ns)
        while self._waiting and self._waiting[0][0] <= now_ns:
            self._steering.seen(self._observation(self._waiting.pop(0)[1]))

    def _look(self, t_ns: int) -> None:
        hidden = self.walker.at(t_ns / SECOND).hidden
        gone = frozenset({self.scenario.world.target_id}) if hidden else frozenset()
        stamp = self.steps.autopilot.began_ns + t_ns
        rgb = Frame(self.scenario.render_rgb(t_ns, gone), Modality.RGB, stamp, self._pictures, "sim")
        tir = Frame(self.scenario.render_tir(t_ns, gone), Modality.TIR, stamp, self._pictures, "sim")
        truth = self.scenario.truth(t_ns, Modality.RGB)
        started = self._loop.tracker.status is not TrackStatus.IDLE
        box = None if started else truth.box
        if not started and box is None:
            return
        state = self._loop.step(FramePair(rgb, tir), box)
        self._waiting.append((stamp + self._latency_ns, state))
        self._count(t_ns / SECOND, state, truth.full_box, truth.visibility, hidden)

    def _count(self, t_s: float, state: TrackState, true: Box | None, visible: float, hidden: bool) -> None:
        right = true is not None and state.status is TrackStatus.TRACKING and _overlap(state.box, true) > 0.3
        ends = [end for _, end in self.walker.hidden if t_s >= end]
        account = self.account
        if ends and right and account.back_after_s is None:
            account.back_after_s = round(t_s - max(ends), 2)
        if hidden or t_s < STARTS_AT_S + SETTLED_S or any(t_s < end + BACK_WITHIN_S for end in ends):
            return
        if visible < 0.3:
            account.covered += 1
        off = math.inf
        if true is not None:
            off = max(abs(true.cx / self._camera.width - 0.5), abs(true.cy / self._camera.height - 0.5))
        account.centred.append(off < 0.2)
        account.right.append(right)
        here, there = self.vehicle.newest.position, self.scenario.world.movers[self.scenario.world.target_id]
        x, y = there.at(self.steps.t_ns / SECOND)[:2]
        account.distance_m.append(math.hypot(here[0] - y, here[1] - x))

    def _observation(self, state: TrackState) -> Observation:
        width, height = self._camera.width, self._camera.height
        found = self._locator.locate(state, 1, width, height)
        return Observation(1, state, width, height, None if isinstance(found, NoPosition) else found)


def covered_share(places: np.ndarray, layout: Layout) -> float:
    """Share of these places [n, 2] that houses or trees may hide from a camera obliquely above."""
    covered = np.zeros(len(places), bool)
    for house in layout.buildings:
        away = _apart(places, house.x, house.y)
        covered |= away < math.hypot(house.length, house.width) / 2 + 0.7 * house.height
    for tree in layout.trees:
        covered |= _apart(places, tree.x, tree.y) < tree.radius + 0.7 * tree.height
    return float(covered.mean())


def _apart(places: np.ndarray, x: float, y: float) -> np.ndarray:
    """Metres to a thing that stands once in every period of the world."""
    away = places - (x, y)
    away -= PERIOD_M * np.round(away / PERIOD_M)
    return np.hypot(away[:, 0], away[:, 1])


def _overlap(a: Box, b: Box) -> float:
    return float(overlap(np.array([a.as_tuple()]), np.array([b.as_tuple()]))[0])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many flights")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--stack", choices=list(STACKS), default="arducopter")
    parser.add_argument("--level", choices=("gimbal", "guided"), default="gimbal")
    parser.add_argument("--hidden", metavar="FROM,TO", help="seconds of flight in which the walker is away")
    parser.add_argument("--rate-hz", type=float, default=15.0)
    parser.add_argument("--latency-ms", type=float, default=120.0)
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    hidden = ()
    if args.hidden:
        begin, end = (float(part) for part in args.hidden.split(","))
        hidden = ((begin, end),)
    bundle, rows = load_bundle(args.bundle), []
    for seed in tqdm(range(args.first, args.first + args.seeds), disable=args.json):
        chase = RenderedChase(
            bundle, seed, args.seconds, STACKS[args.stack], args.level, hidden, args.rate_hz,
            round(args.latency_ms * 1e6),
        )  # fmt: skip
        rows.append(chase.fly(args.seconds).row())
    if args.json:
        print(json.dumps({"level": args.level, "hidden": args.hidden, "flights": rows}))
    else:
        print("  ".join(f"{name:>12}" for name in rows[0]))
        for row in rows:
            print("  ".join(f"{value!s:>12}" for value in row.values()))
    return 0


if __name__ == "__main__":
    sys.exit(run_reporting_errors("rendered_chase", main))
