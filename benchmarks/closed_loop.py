"""A walking target kept in the middle by the gimbal and followed at a distance, also after it was hidden.

    python benchmarks/closed_loop.py --seeds 10
    python benchmarks/closed_loop.py --seeds 10 --stack px4 --level beacon

A simulated autopilot, wind with gusts and the usual errors of sensors; the target walks at 2 m/s and turns by
up to 120 degrees every 4 to 9 s. See `closed_loop_world` for what is real. Level `guided` flies by our
velocities at 20 m; `beacon` leaves distance and height to PX4's parameters, which are set to 20 m each. PX4
is not taken up again in `guided`: it leaves Offboard a second after the set-points stop, as the safety table
wants them to.

Per seed and over all: the share of the time in which the target is within 20 % of the picture's middle (of
half a side, the true target in the true picture), and the distance over ground, both from 10 s after the
engagement on; then a second flight in which the target is hidden for 3 s: whether it was taken up again, that
is, engaged and within 20 % of the middle within 5 s of coming back, and still 5 s later.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.closed_loop_world import Flight, guided_control  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, FlightMode, Stack  # noqa: E402
from edge_rgbt.sim.vehicle import VehicleSettings, Wind  # noqa: E402
from edge_rgbt.sim.vehicle.sensors import USUAL  # noqa: E402
from edge_rgbt.steering.situation import State  # noqa: E402

DISTANCE_M, MIDDLE = 20.0, 0.2
SETTLES_S, LOOK_S = 10.0, 0.05
_STACKS = {"arducopter": ARDUCOPTER, "px4": PX4}
HIDDEN_S, TAKEN_UP_WITHIN_S, STAYS_S = 3.0, 5.0, 5.0


@dataclass(frozen=True)
class Outcome:
    """One seed. middle: share of the time within 20 % of the middle. again_s: from the target's return until
    it was taken up again, None if it was not."""

    seed: int
    middle: float
    nearest_m: float
    farthest_m: float
    median_m: float
    again_s: float | None


@dataclass(frozen=True)
class Case:
    """Whose autopilot, and what is engaged."""

    stack: Stack
    level: str

    @property
    def mode(self) -> FlightMode:
        return FlightMode.GUIDED if self.level == "guided" else FlightMode.FOLLOW


def engaged(case: Case, seed: int) -> Flight:
    """In flight, the target selected and just beginning to walk."""
    vehicle = VehicleSettings(
        position=(0.0, 0.0, -20.0),
        gimbal_pitch_rad=math.radians(-45),
        wind=Wind(1.5, 1.0, 0.7),
        errors=USUAL,
    )
    primes = case == Case(PX4, "guided")
    control = guided_control(distance_m=DISTANCE_M, prime_s=20.0 if primes else 0.0)
    control = replace(control, level=case.level)
    flight = Flight(control, case.stack, seed=seed, vehicle=vehicle)
    if case == Case(PX4, "beacon"):  # distance and height are the autopilot's own parameters
        flight.autopilot.parameters["FLW_TGT_DST"] = DISTANCE_M
        flight.autopilot.parameters["FLW_TGT_HT"] = 20.0
        flight.autopilot.flight.refresh_parameters()
    if primes:
        flight.start().fly(0.5)
        flight.pilot.mode(FlightMode.GUIDED)
        return flight.fly(1.0)
    return flight.start(case.mode)


def follow(case: Case, seed: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """How far off the middle and at which distance, every 50 ms once it has settled."""
    flight = engaged(case, seed).fly(SETTLES_S)
    off, distance = [], []
    for _ in range(round(seconds / LOOK_S)):
        flight.fly(LOOK_S)
        off.append(flight.off_centre())
        distance.append(flight.distance_m())
    return np.array(off), np.array(distance)


def take_up(case: Case, seed: int) -> float | None:
    """Seconds from the end of the occlusion until the target is in the middle again, and stays."""
    flight = engaged(case, seed).fly(SETTLES_S)
    flight.eyes.manners.hidden.append((flight.t_s, flight.t_s + HIDDEN_S))
    flight.fly(HIDDEN_S)
    back_s = flight.t_s
    while flight.t_s - back_s < TAKEN_UP_WITHIN_S:
        flight.fly(LOOK_S)
        if flight.steering.machine.state is State.ENGAGED and flight.off_centre() < MIDDLE:
            taken_s = flight.t_s - back_s
            flight.fly(STAYS_S)
            stays = flight.steering.machine.state is State.ENGAGED and flight.off_centre() < MIDDLE
            return taken_s if stays else None
    return None


def main(argv: list[str] | None = None) -> int:
    """Prints a line per seed; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=40.0, help="of following in each flight")
    parser.add_argument("--stack", choices=list(_STACKS), default="arducopter")
    parser.add_argument("--level", choices=["guided", "beacon"], default="guided")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args(argv)
    return run_reporting_errors("closed_loop", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    logging.disable(logging.WARNING)
    case = Case(_STACKS[args.stack], args.level)
    outcomes, all_off, all_distance = [], [], []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        off, distance = follow(case, seed, args.seconds)
        outcome = Outcome(
            seed, float((off < MIDDLE).mean()), float(distance.min()), float(distance.max()),
            float(np.median(distance)), take_up(case, seed),
        )  # fmt: skip
        outcomes.append(outcome)
        all_off.append(off)
        all_distance.append(distance)
        if not args.json:
            again = (
                "not taken up again" if outcome.again_s is None else f"again after {outcome.again_s:.2f} s"
            )
            print(
                f"seed {seed}: in the middle {outcome.middle:.1%}, {outcome.nearest_m:.1f} to "
                f"{outcome.farthest_m:.1f} m, median {outcome.median_m:.1f}; hidden for 3 s: {again}",
                flush=True,
            )
    off, distance = np.concatenate(all_off), np.concatenate(all_distance)
    summary = {
        "seeds": args.seeds,
        "middle": float((off < MIDDLE).mean()),
        "within_5_m": float((np.abs(distance - DISTANCE_M) <= 5.0).mean()),
        "taken_up": sum(outcome.again_s is not None for outcome in outcomes),
    }
    if args.json:
        print(json.dumps({**summary, "flights": [asdict(outcome) for outcome in outcomes]}))
    else:
        print(
            f"{args.seeds} seeds: in the middle {summary['middle']:.1%} of the time, within 5 m of "
            f"{DISTANCE_M:g} m {summary['within_5_m']:.1%}, taken up again "
            f"{summary['taken_up']} of {args.seeds}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
