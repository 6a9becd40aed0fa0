"""How often the target really is inside the published 95 % ellipse, on simulated flights with known truth.

    python benchmarks/geolocation.py --flights 12 --draws 5
    python benchmarks/geolocation.py --flights 10 --tracker

Telemetry goes through real MAVLink frames: late, noisy, biased by the sigmas that are published, on a clock
of its own that is synchronised by TIMESYNC. Boxes are the truth with noise, or with --tracker those of the
bundle's tracker on rendered pictures. Every flight is flown with several draws of the errors, half of which
are constant over a flight; the four ways in which gimbals report their yaw take turns.

Then each gate is made to fail for two seconds of every flight, and positions that come out meanwhile are
counted. Prints tables, or with --json one object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.flight_telemetry import FLAGS, MS, SECOND, Conversation, Fault, NoisyAutopilot  # noqa: E402
from edge_rgbt.bundle import Bundle, load_bundle  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.engine import open_engine  # noqa: E402
from edge_rgbt.errors import UsageError  # noqa: E402
from edge_rgbt.geolocation import (  # noqa: E402
    GeolocationSettings,
    Geolocator,
    MountSettings,
    NoPosition,
)
from edge_rgbt.geolocation.earth import LocalFrame  # noqa: E402
from edge_rgbt.metrics.measures import overlap  # noqa: E402
from edge_rgbt.register import Registration  # noqa: E402
from edge_rgbt.sim import Scenario, make_scenario  # noqa: E402
from edge_rgbt.sim.objects import PERSON_KINDS, SIZES  # noqa: E402
from edge_rgbt.thermal import ThermalRange  # noqa: E402
from edge_rgbt.tracker import Tracker  # noqa: E402
from edge_rgbt.types import (  # noqa: E402
    Box,
    Frame,
    FramePair,
    Modality,
    TargetPosition,
    TrackState,
    TrackStatus,
)

FIRST_SEED = 500  # training flights start at 10 000
VISIBLE = 0.5  # share of the target in sight for a truth box to count as confirmed by the picture
INSIDE_95 = 5.991  # squared Mahalanobis distance, two dimensions
LOST_AFTER_NS = 1_000 * MS
PROCESSED_AFTER_NS = 60 * MS
STAMP_SIGMA_NS = 3 * MS
FAULT_SECONDS = 2.0
# kind of fault -> for how long after its start what was told before still holds, at most
GATES = {
    "GLOBAL_POSITION_INT": 300 * MS,
    "ATTITUDE": 300 * MS,
    "GIMBAL_DEVICE_ATTITUDE_STATUS": 300 * MS,
    "no fix": 1_100 * MS,  # told once a second
    "unhealthy": 1_100 * MS,
}


@dataclass(frozen=True)
class Sighting:
    """A track state of one picture and where the target really was: metres east and north, and its speed.

    right: the box overlaps the true one by more than half.
    """

    state: TrackState
    east_m: float
    north_m: float
    velocity_ne_mps: tuple[float, float]
    right: bool


@dataclass
class Flown:
    """What came of one flight with one draw of errors; errors are north, east in metres."""

    label: str
    pictures: int = 0
    errors: list[tuple[float, float]] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    covariances: list[tuple[float, float, float]] = field(default_factory=list)
    velocity_errors: list[float] = field(default_factory=list)
    velocity_sigmas: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    times_ns: list[int] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)

    @property
    def distances(self) -> np.ndarray:
        """Squared Mahalanobis distances of the truth."""
        found = []
        for (n, e), (nn, ne, ee) in zip(self.errors, self.covariances, strict=True):
            found.append((ee * n * n - 2 * ne * n * e + nn * e * e) / (nn * ee - ne * ne))
        return np.array(found)


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flights", type=int, default=12)
    parser.add_argument("--draws", type=int, default=5, help="draws of the errors per flight")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate-hz", type=float, default=30.0)
    parser.add_argument("--target-height", type=float, help="metres, as configured; the true one if left out")
    parser.add_argument("--tracker", action="store_true", help="boxes from the tracker on rendered pictures")
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    args = parser.parse_args(argv)
    return run_reporting_errors("geolocation", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Flies everything and prints."""
    if args.flights < 1 or args.draws < 1 or args.seconds < 8:
        raise UsageError("at least one flight of 8 seconds and one draw are needed")
    bundle = load_bundle(args.bundle) if args.tracker else None
    flown: list[Flown] = []
    faulty: dict[str, list[Flown]] = {kind: [] for kind in GATES}
    for seed in tqdm(range(args.first_seed, args.first_seed + args.flights), unit="flight"):
        scenario = make_scenario(seed, seconds=args.seconds)
        seen = sightings(scenario, args.rate_hz, seed, bundle)
        for draw in range(args.draws):
            flags = FLAGS[(seed + draw) % len(FLAGS)]
            flown.append(fly(scenario, seen, seed * 100 + draw, flags, height_m=args.target_height))
        for kind in GATES:
            fault = Fault(kind, round(args.seconds / 2 * SECOND), round((args.seconds / 2 + 2) * SECOND))
            faulty[kind].append(fly(scenario, seen, seed * 100, 32, fault))
    summary = summarised(flown) | {"boxes": "tracker" if args.tracker else "truth with noise"}
    gates = {kind: gate_summary(kind, found, args.seconds / 2) for kind, found in faulty.items()}
    if args.json:
        print(json.dumps({"summary": summary, "gates": gates}, indent=2))
    else:
        print_tables(summary, gates, flown)
    return 0


def sightings(scenario: Scenario, rate_hz: float, seed: int, bundle: Bundle | None) -> list[Sighting]:
    """The track of a flight, by the tracker or from the truth with noise."""
    states = truth_states(scenario, rate_hz, seed) if bundle is None else tracked(scenario, rate_hz, bundle)
    target = scenario.world.movers[scenario.world.target_id]
    found = []
    for state in states:
        x, y, heading, speed, _ = target.at(state.timestamp_ns / 1e9).tolist()
        velocity = (speed * math.sin(heading), speed * math.cos(heading))
        truth = scenario.truth(state.timestamp_ns, Modality.RGB).box
        found.append(Sighting(state, x, y, velocity, truth is not None and _overlap(state.box, truth) > 0.5))
    return found


def _overlap(box: Box, truth: Box) -> float:
    one, other = np.array([box.as_tuple()]), np.array([truth.as_tuple()])
    return float(overlap(one, other)[0])


def truth_states(scenario: Scenario, rate_hz: float, seed: int) -> list[TrackState]:
    """Boxes as a good tracker gives them: off by the published pixel sigma, part of it for seconds."""
    rng = np.random.default_rng([seed, 92])
    wander = rng.normal(0, 1, 2)
    states: list[TrackState] = []
    confirmed_ns, box = None, None
    for number in range(int(scenario.seconds * rate_hz)):
        t_ns = round(number * 1e9 / rate_hz)
        truth = scenario.truth(t_ns, Modality.RGB)
        kept = math.exp(-1 / rate_hz / 0.5)
        wander = kept * wander + rng.normal(0, math.sqrt(1 - kept * kept), 2)
        if truth.box is not None and truth.visibility >= VISIBLE:
            b = truth.box
            x = b.x + wander[0] * max(2.0, 0.05 * b.w)
            y = b.y + wander[1] * max(2.0, 0.05 * b.h)
            box, confirmed_ns = Box(x, y, b.w, b.h), t_ns
            states.append(TrackState(box, 0.9, TrackStatus.TRACKING, t_ns, confidence=0.9))
        elif box is not None and confirmed_ns is not None:
            unseen = t_ns - confirmed_ns
            status = TrackStatus.UNCERTAIN if unseen < LOST_AFTER_NS else TrackStatus.LOST
            states.append(TrackState(box, 0.2, status, t_ns, unconfirmed_ns=unseen))
    return states


def tracked(scenario: Scenario, rate_hz: float, bundle: Bundle) -> list[TrackState]:
    """The bundle's tracker on rendered pictures, started on the truth."""
    engine = open_engine(bundle)
    tracker = Tracker(bundle.manifest, engine)
    thermal, registration = ThermalRange(), None
    states: list[TrackState] = []
    for number in range(int(scenario.seconds * rate_hz)):
        t_ns = round(number * 1e9 / rate_hz)
        rgb = Frame(scenario.render_rgb(t_ns), Modality.RGB, t_ns, number, "sim")
        tir = thermal.apply(Frame(scenario.render_tir(t_ns), Modality.TIR, t_ns, number, "sim"))
        registration = registration or Registration(scenario.nominal_registration(), (rgb.width, rgb.height))
        pair = registration.apply(FramePair(rgb, tir))
        if states:
            states.append(tracker.update(pair))
            continue
        truth = scenario.truth(t_ns, Modality.RGB)
        if truth.box is not None and truth.visibility > 0.8:
            states.append(tracker.start(pair, truth.box))
    tracker.close()
    return states


def fly(
    scenario: Scenario,
    seen: list[Sighting],
    seed: int,
    flags: int,
    fault: Fault | None = None,
    height_m: float | None = None,
) -> Flown:
    """One flight with one draw of errors. height_m: of the target, as configured; None for the true one."""
    camera = scenario.rig.rgb
    kind = scenario.world.movers[scenario.world.target_id].kind
    settings = GeolocationSettings(
        hfov_deg=camera.horizontal_fov_deg,
        target="person" if kind in PERSON_KINDS else "vehicle",
        target_height_m=SIZES[kind][2] if height_m is None else height_m,
    )
    autopilot = NoisyAutopilot(scenario.pose, seed, flags=flags, fault=fault)
    conversation = Conversation(autopilot, settings)
    locator = Geolocator(conversation.telemetry, settings, MountSettings())
    rng, flown = np.random.default_rng([seed, 93]), Flown(f"{scenario.seed} {kind} flags {flags}")

    def see(sighting: Sighting) -> None:
        stamp = sighting.state.timestamp_ns + round(rng.normal(0, STAMP_SIGMA_NS))
        state = TrackState(
            sighting.state.box, 0.9, sighting.state.status, stamp,
            unconfirmed_ns=sighting.state.unconfirmed_ns,
        )  # fmt: skip
        before = time.perf_counter_ns()
        found = locator.locate(state, 1, camera.width, camera.height)
        flown.microseconds.append((time.perf_counter_ns() - before) / 1e3)
        note(flown, sighting, found, autopilot)

    moments = {s.state.timestamp_ns + PROCESSED_AFTER_NS: (lambda sighting=s: see(sighting)) for s in seen}
    conversation.play(round(scenario.seconds * SECOND), moments)
    return flown


def note(
    flown: Flown, sighting: Sighting, found: TargetPosition | NoPosition, autopilot: NoisyAutopilot
) -> None:
    """Keeps the outcome of one picture."""
    flown.pictures += 1
    if isinstance(found, NoPosition):
        flown.refused[found.name] = flown.refused.get(found.name, 0) + 1
        return
    true = autopilot.geodetic(sighting.east_m, sighting.north_m, 0.0)
    north, east = LocalFrame.at(*true).metres(found.latitude_deg, found.longitude_deg)
    flown.errors.append((north, east))
    flown.right.append(sighting.right)
    flown.covariances.append(found.covariance_ne_m2)
    flown.times_ns.append(sighting.state.timestamp_ns)
    if found.velocity_ned_mps is not None and found.speed_sigma_mps is not None:
        vn, ve, _ = found.velocity_ned_mps
        tn, te = sighting.velocity_ne_mps
        flown.velocity_errors.append(math.hypot(vn - tn, ve - te))
        flown.velocity_sigmas.append(found.speed_sigma_mps)


def summarised(flown: list[Flown]) -> dict[str, float | int]:
    """Over all flights and draws, every located picture counting alike."""
    distances = np.concatenate([f.distances for f in flown])
    right = np.array([r for f in flown for r in f.right], bool)
    errors = np.concatenate([np.hypot(*np.array(f.errors).T) for f in flown if f.errors])
    sigmas = [math.sqrt(nn + ee) for f in flown for nn, _, ee in f.covariances]
    speeds = np.array([v for f in flown for v in f.velocity_errors] or [math.nan])
    claimed = np.array([v for f in flown for v in f.velocity_sigmas] or [math.nan])
    pictures = sum(f.pictures for f in flown)
    return {
        "runs": len(flown),
        "pictures": pictures,
        "located": round(len(distances) / pictures, 4),
        "inside_95": round(float((distances <= INSIDE_95).mean()), 4),
        "right_boxes": round(float(right.mean()), 4),
        "inside_95_of_right": round(float((distances[right] <= INSIDE_95).mean()), 4),
        "runs_mean_inside_95": round(
            statistics.fmean(float((f.distances <= INSIDE_95).mean()) for f in flown if f.errors), 4
        ),
        "error_p50_m": round(float(np.percentile(errors, 50)), 2),
        "error_p95_m": round(float(np.percentile(errors, 95)), 2),
        "claimed_rms_m": round(float(np.sqrt(np.mean(np.square(sigmas)))), 2),
        "error_rms_m": round(float(np.sqrt(np.mean(np.square(errors)))), 2),
        "with_velocity": round(len(speeds) / max(len(distances), 1), 4),
        "velocity_error_p50_mps": round(float(np.percentile(speeds, 50)), 2),
        "velocity_error_p95_mps": round(float(np.percentile(speeds, 95)), 2),
        "velocity_inside_95": round(float((speeds**2 <= INSIDE_95 * claimed**2).mean()), 4),
        "locate_us_p50": round(statistics.median(u for f in flown for u in f.microseconds), 0),
    }


def gate_summary(kind: str, flown: list[Flown], start_s: float) -> dict[str, int]:
    """Positions that came out while a gate had to hold."""
    first, last = start_s * 1e9 + GATES[kind], (start_s + FAULT_SECONDS) * 1e9 - PROCESSED_AFTER_NS
    wrong = sum(first <= t < last for f in flown for t in f.times_ns)
    after = sum(t >= last + SECOND for f in flown for t in f.times_ns)
    return {"positions_while_failed": wrong, "positions_afterwards": after}


def print_tables(summary: dict, gates: dict[str, dict[str, int]], flown: list[Flown]) -> None:
    """The figures, the gates, and each flight."""
    for name, value in summary.items():
        print(f"{name:<24}{value}")
    print("\n| gate | positions while it failed | afterwards |\n|---|---|---|")
    for kind, row in gates.items():
        print(f"| {kind} | {row['positions_while_failed']} | {row['positions_afterwards']} |")
    print("\n| flight | located | inside 95 % | median error m | refused |\n|---|---|---|---|---|")
    for f in flown:
        if f.errors:
            inside, median = (f.distances <= INSIDE_95).mean(), np.median(np.hypot(*np.array(f.errors).T))
            print(f"| {f.label} | {len(f.errors)}/{f.pictures} | {inside:.3f} | {median:.1f} | {f.refused} |")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
