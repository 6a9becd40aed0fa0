"""Random faults in simulated flights, and whether steering ever said what section 9 forbids.

    python benchmarks/fault_runs.py --runs 100

Each run draws an autopilot, a level, an operator who engages again and again, and about one fault a second:
hidden, stopped and changed targets, modes, sticks, failsafes, fences, satellites, a taken gimbal, cut cables,
stalled pictures, a dead camera, silent ground stations, a control loop that stands still, reboots.
`steering_referee` judges every message. Prints a line per run and the sum; exit status 1 if anything was
forbidden.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.closed_loop_world import GROUND, SYSTEM, Flight, TrackerManners, Walker  # noqa: E402
from benchmarks.steering_referee import Manners, Referee, Told  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, FlightMode  # noqa: E402
from edge_rgbt.steering.settings import ACKNOWLEDGEMENT, ControlSettings, GuidedSettings  # noqa: E402
from edge_rgbt.types import Usable  # noqa: E402

MODES = {"gimbal": None, "roi": None, "beacon": FlightMode.FOLLOW, "guided": FlightMode.GUIDED}


@dataclass
class Run:
    """One flight with its faults. outcome: what happened in it."""

    flight: Flight
    referee: Referee
    faults: Counter[str]


class Mischief:
    """Draws faults and undoes them later."""

    def __init__(self, flight: Flight, rng: np.random.Generator, mode: FlightMode | None) -> None:
        self._flight, self._rng, self._mode = flight, rng, mode
        self._undo: list[tuple[float, Callable[[], object]]] = []
        self.done: Counter[str] = Counter()
        self.track_id = 1
        self._table: dict[str, Callable[[float], object]] = {
            "hidden": self._hide,
            "stopped": self._stop_track,
            "another target": self._another,
            "mode": self._change_mode,
            "sticks": self._sticks,
            "radio": self._radio,
            "failsafe": lambda s: self._for(s, flight.pilot.failsafe, lambda: flight.pilot.failsafe(False)),
            "fence": lambda s: self._for(
                s, flight.pilot.fence_breach, lambda: flight.pilot.fence_breach(False)
            ),
            "satellites": lambda s: self._for(s, lambda: flight.pilot.gps(1), lambda: flight.pilot.gps(3)),
            "estimator": self._estimator,
            "gimbal taken": lambda s: flight.pilot.take_gimbal(),
            "cable": lambda s: self._for(s, flight.steps.cut_cable, lambda: flight.steps.cut_cable(False)),
            "pictures": lambda s: flight.eyes.manners.stalled.append((flight.t_s, flight.t_s + s)),
            "one camera": self._one_camera,
            "ground": self._ground,
            "loop": self._stand_still,
            "disengage": lambda s: self._order(0.0),
            "reboot": lambda s: flight.pilot.reboot(),
        }

    def strike(self) -> None:
        """One fault, or one order of the operator; what is over ends."""
        now_s = self._flight.t_s
        due = [undo for at_s, undo in self._undo if at_s <= now_s]
        self._undo = [(at_s, undo) for at_s, undo in self._undo if at_s > now_s]
        for undo in due:
            undo()
        if self._rng.random() < 0.55:
            self.engage()
            return
        name = str(self._rng.choice(sorted(self._table)))
        self.done[name] += 1
        self._table[name](float(self._rng.choice([0.15, 0.4, 1.0, 2.5, 7.0])))

    def engage(self) -> None:
        """The operator tries again, mostly after having put things right."""
        if self._rng.random() < 0.7:
            self._recover()
        self._order(1.0)

    def _recover(self) -> None:
        flight = self._flight
        if flight.eyes.track_id is None:
            self.track_id += 1
            flight.select(self.track_id)
        if self._mode is not None and self._rng.random() < 0.8:
            flight.pilot.mode(self._mode)
        if not self._undo:
            flight.pilot.sticks()
        flight.fly(0.6)

    def _order(self, engage: float) -> None:
        level = float(self._rng.choice([0, 0, 0, 1]))
        self._flight.order(engage, level)

    def _for(self, seconds: float, do: Callable[[], object], undo: Callable[[], object]) -> None:
        do()
        self._undo.append((self._flight.t_s + seconds, undo))

    def _hide(self, seconds: float) -> None:
        self._flight.eyes.manners.hidden.append((self._flight.t_s, self._flight.t_s + seconds))

    def _stop_track(self, seconds: float) -> None:
        self._flight.stop_track()

    def _another(self, seconds: float) -> None:
        self.track_id += 1
        self._flight.select(self.track_id)

    def _change_mode(self, seconds: float) -> None:
        modes = [FlightMode.POSITION, FlightMode.HOLD, FlightMode.FOLLOW, FlightMode.GUIDED]
        self._flight.pilot.mode(modes[int(self._rng.integers(len(modes)))])

    def _sticks(self, seconds: float) -> None:
        pilot, push = self._flight.pilot, float(self._rng.choice([-1, 1]) * self._rng.uniform(0.3, 1))
        name = str(self._rng.choice(["roll", "pitch", "yaw"]))
        self._for(seconds, lambda: pilot.sticks(**{name: push}), pilot.sticks)

    def _radio(self, seconds: float) -> None:
        self._for(seconds, self._flight.pilot.radio_lost, self._flight.pilot.sticks)

    def _estimator(self, seconds: float) -> None:
        pilot = self._flight.pilot
        self._for(seconds, lambda: pilot.estimator(False), lambda: pilot.estimator(True))

    def _fence(self, seconds: float) -> None:
        pilot = self._flight.pilot
        self._for(seconds, pilot.fence_breach, lambda: pilot.fence_breach(False))

    def _one_camera(self, seconds: float) -> None:
        manners = self._flight.eyes.manners
        manners.usable = Usable.TIR
        self._undo.append((self._flight.t_s + seconds, lambda: setattr(manners, "usable", Usable.BOTH)))

    def _ground(self, seconds: float) -> None:
        self._flight.ground_beats = False
        self._undo.append((self._flight.t_s + seconds, lambda: setattr(self._flight, "ground_beats", True)))

    def _stand_still(self, seconds: float) -> None:
        """Steering is not called for a while; what comes meanwhile is lost to it: worse than real."""
        parts, steering = self._flight.steps.components, self._flight.steering
        if steering in parts:
            parts.remove(steering)
            self._undo.append((self._flight.t_s + min(seconds, 2.5), lambda: parts.append(steering)))


def play(seed: int, seconds: float = 25.0) -> Run:
    """One run, judged."""
    rng = np.random.default_rng(seed)
    level = ("gimbal", "roi", "beacon", "guided")[seed % 4]
    stack = PX4 if seed // 4 % 2 else ARDUCOPTER
    auto_resume = bool(rng.random() < 0.5)
    prime_s = 20.0 if stack is PX4 else 0.0
    control = ControlSettings(
        level=level, auto_resume=auto_resume, guided=GuidedSettings(ACKNOWLEDGEMENT, prime_s=prime_s)
    )
    manners = TrackerManners(hold_s=float(rng.choice([0.0, 0.4, 0.8])))
    flight = Flight(control, stack, seed=seed, manners=manners, walker=Walker(seed, (20.0, 0.0), 1.5))
    told = watched(flight)
    flight.fly(4.0)
    flight.select(1)
    flight.fly(1.5)
    mode = MODES[level]
    mischief = Mischief(flight, rng, mode)
    if mode is not None:
        flight.pilot.mode(mode)
        flight.fly(1.2)
    flight.order(1.0)
    if prime_s and level == "guided":
        flight.fly(0.5)
        flight.pilot.mode(FlightMode.GUIDED)
    while flight.t_s < seconds:
        flight.fly(float(rng.uniform(0.2, 1.2)))
        mischief.strike()
    return Run(flight, judge(flight, told, Manners(level, auto_resume, prime_s > 0)), mischief.done)


def watched(flight: Flight) -> list[Told]:
    """What steering is told from now on; it grows with the flight."""
    told: list[Told] = []
    flight.steps.ticks.append(lambda now_ns: _note(flight, told))
    return told


def _note(flight: Flight, told: list[Told]) -> None:
    """What steering has been told, whenever that changes."""
    seen = flight.observation
    state, position = seen.state, seen.position
    entry = Told(
        flight.steps.t_ns,
        0 if state is None else state.timestamp_ns - flight.autopilot.began_ns,
        seen.track_id,
        "idle" if state is None else state.status.value,
        0.0 if state is None else state.confidence,
        0 if state is None else state.unconfirmed_ns,
        state is None or state.usable is Usable.BOTH,
        None if position is None else (position.horizontal_m, position.range_m),
    )
    if not told or (entry.captured_ns, entry.track_id) != (told[-1].captured_ns, told[-1].track_id):
        told.append(entry)


def judge(flight: Flight, told: list[Told], manners: Manners) -> Referee:
    """Everything once more in the order of time; what comes in at a moment counts before what goes out."""
    referee = Referee(manners, SYSTEM)
    events: list[tuple[int, int, Callable[[], None]]] = []
    for entry in told:
        events.append((entry.t_ns, 1, lambda e=entry: referee.told(e)))
    for s in flight.steps.heard:
        events.append((s.t_ns, 0, lambda s=s: referee.heard(s.t_ns, s.system, s.component, s.message)))
    for s in flight.steps.said:
        events.append((s.t_ns, 2, lambda s=s: referee.said(s.t_ns, s.system, s.message)))
    for _, _, happen in sorted(events, key=lambda event: event[:2]):
        happen()
    referee.finish()
    return referee


def main(argv: list[str] | None = None) -> int:
    """Prints a line per run; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=25.0, help="of flight in each run")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    args = parser.parse_args(argv)
    return run_reporting_errors("fault_runs", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    logging.disable(logging.WARNING)  # what operators are told thousands of times here
    total: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    for seed in range(args.first_seed, args.first_seed + args.runs):
        run = play(seed, args.seconds)
        referee = run.referee
        total.update(
            runs=1, messages=referee.judged, engagements=referee.engagements, forbidden=len(referee.faults)
        )
        struck += run.faults
        if not args.json:
            print(
                f"run {seed}: {run.flight.autopilot.stack.name} {run.flight.control.level}, "
                f"{sum(run.faults.values())} faults, {referee.engagements} engagements, "
                f"{referee.judged} control messages, {len(referee.faults)} forbidden",
                flush=True,
            )
            for fault in referee.faults[:5]:
                print("   ", fault)
    if args.json:
        print(json.dumps({**total, "faults": dict(struck)}))
    else:
        print(f"{dict(total)}; faults: {dict(struck)}; ground station {GROUND}")
    return 1 if total["forbidden"] else 0


if __name__ == "__main__":
    sys.exit(main())
