"""Overlap of a bundle with the truth on simulated flights unseen in training; compares tracker settings.

    python benchmarks/simulated_flights.py --flights 20
    python benchmarks/simulated_flights.py --flights 20 --window 0.5 1.0 --penalty 0 2
    python benchmarks/simulated_flights.py --flights 20 --target person --size-rate 0 0.3

The drone follows the truth, so that all settings see the same pictures. Prints, per setting, the mean overlap
while the target is visible (over flights), its worst flight, the share of frames with an overlap above one
half (SR@0.5) and the mean success over 21 thresholds (SR); for the first setting also every flight, and how
high the score is where the box is right and where it is wrong, which is what `lost_threshold` rests on.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_rgbt.bundle import Bundle, TrackerSettings, load_bundle  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.engine import open_engine  # noqa: E402
from edge_rgbt.errors import UsageError  # noqa: E402
from edge_rgbt.metrics.measures import OVERLAP_THRESHOLDS, overlap  # noqa: E402
from edge_rgbt.register import Registration  # noqa: E402
from edge_rgbt.sim import Scenario, make_scenario  # noqa: E402
from edge_rgbt.thermal import ThermalRange  # noqa: E402
from edge_rgbt.tracker import Tracker  # noqa: E402
from edge_rgbt.types import Frame, FramePair, Modality  # noqa: E402

FIRST_SEED = 500  # training flights start at 10 000
VISIBLE = 0.3  # share of the target that must be in sight for its overlap to count
RIGHT, WRONG = 0.5, 0.1  # overlaps above and below which a box counts as right or wrong


@dataclasses.dataclass(frozen=True)
class Flight:
    """Overlaps and scores of one setting on one flight, frames with a visible target only."""

    seed: int
    conditions: str
    kind: str
    overlaps: np.ndarray
    scores: np.ndarray


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--flights", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--rate-hz", type=float, default=30.0)
    parser.add_argument("--target", help="kind of target in every flight, such as person; drawn if left out")
    parser.add_argument("--window", type=float, nargs="+", help="window weights to compare")
    parser.add_argument("--penalty", type=float, nargs="+", help="shape penalties to compare")
    parser.add_argument("--size-rate", type=float, nargs="+", help="rates of the size memory to compare")
    parser.add_argument("--band", type=float, nargs="+", help="bands of the size memory to compare")
    parser.add_argument("--smoothing", type=float, nargs="+", help="size smoothings to compare")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    args = parser.parse_args(argv)
    return run_reporting_errors("simulated_flights", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Flies all flights once, with every setting side by side."""
    if args.flights < 1 or args.seconds * args.rate_hz < 2:
        raise UsageError("at least one flight of two frames is needed")
    bundle = load_bundle(args.bundle)
    own = bundle.manifest.tracker
    compared = {
        "window_weight": args.window,
        "shape_penalty": args.penalty,
        "size_rate_per_s": args.size_rate,
        "size_band": args.band,
        "size_smoothing": args.smoothing,
    }
    compared = {name: values for name, values in compared.items() if values}
    settings = [
        dataclasses.replace(own, **dict(zip(compared, values, strict=True)))
        for values in itertools.product(*compared.values())
    ]
    results: list[list[Flight]] = [[] for _ in settings]
    seeds = range(args.first_seed, args.first_seed + args.flights)
    for seed in tqdm(seeds, desc="flights", unit="flight"):
        scenario = make_scenario(seed, seconds=args.seconds, target_kind=args.target)
        for found, flight in zip(results, fly(scenario, bundle, settings, args.rate_hz), strict=True):
            found.append(flight)
    rows = [summary(setting, flights) for setting, flights in zip(settings, results, strict=True)]
    if args.json:
        per_flight = [
            {
                "seed": f.seed,
                "conditions": f.conditions,
                "target": f.kind,
                "overlap": float(f.overlaps.mean()),
            }
            for f in results[0]
        ]
        print(json.dumps({"bundle": bundle.manifest.name, "settings": rows, "flights": per_flight}, indent=2))
    else:
        print_tables(rows, results[0])
    return 0


def fly(scenario: Scenario, bundle: Bundle, settings: list[TrackerSettings], rate_hz: float) -> list[Flight]:
    """Tracks one flight's target with every setting, from its first frame in full view."""
    engine = open_engine(bundle)
    trackers = [Tracker(dataclasses.replace(bundle.manifest, tracker=s), engine) for s in settings]
    thermal, registration = ThermalRange(), None
    overlaps: list[list[float]] = [[] for _ in settings]
    scores: list[list[float]] = [[] for _ in settings]
    started = False
    for number in range(int(scenario.seconds * rate_hz)):
        t_ns = round(number * 1e9 / rate_hz)
        rgb = Frame(scenario.render_rgb(t_ns), Modality.RGB, t_ns, number, "sim")
        tir = thermal.apply(Frame(scenario.render_tir(t_ns), Modality.TIR, t_ns, number, "sim"))
        registration = registration or Registration(scenario.nominal_registration(), (rgb.width, rgb.height))
        pair = registration.apply(FramePair(rgb, tir))
        truth = scenario.truth(t_ns, Modality.RGB)
        if not started:
            if truth.box is not None and truth.visibility > 0.8:
                for tracker in trackers:
                    tracker.start(pair, truth.box)
                started = True
            continue
        for tracker, own_overlaps, own_scores in zip(trackers, overlaps, scores, strict=True):
            state = tracker.update(pair)
            if truth.box is not None and truth.visibility >= VISIBLE:
                boxes = np.array([truth.box.as_tuple(), state.box.as_tuple()], np.float32)
                own_overlaps.append(float(overlap(boxes[:1], boxes[1:])[0]))
                own_scores.append(state.score)
    engine.close()
    kind = scenario.world.movers[scenario.world.target_id].kind
    name = scenario.conditions.preset
    return [
        Flight(scenario.seed, name, kind, np.array(o or [0.0]), np.array(s or [0.0]))
        for o, s in zip(overlaps, scores, strict=True)
    ]


def summary(setting: TrackerSettings, flights: list[Flight]) -> dict[str, float]:
    """Means over flights, so that long and short visibility count alike."""
    means = [float(f.overlaps.mean()) for f in flights]
    success = [float((f.overlaps[:, None] > OVERLAP_THRESHOLDS).mean()) for f in flights]
    halves = [float((f.overlaps > 0.5).mean()) for f in flights]
    return {
        "window_weight": setting.window_weight,
        "shape_penalty": setting.shape_penalty,
        "size_rate_per_s": setting.size_rate_per_s,
        "size_band": setting.size_band,
        "size_smoothing": setting.size_smoothing,
        "mean_overlap": round(float(np.mean(means)), 4),
        "worst_flight": round(min(means), 4),
        "SR@0.5": round(float(np.mean(halves)), 4),
        "SR": round(float(np.mean(success)), 4),
    }


def print_tables(rows: list[dict[str, float]], flights: list[Flight]) -> None:
    """Settings, then flights and scores of the first setting."""
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:g}" for value in row.values()) + " |")
    print("\n| seed | conditions | target | mean overlap |\n|---|---|---|---|")
    for f in flights:
        print(f"| {f.seed} | {f.conditions} | {f.kind} | {f.overlaps.mean():.3f} |")
    overlaps = np.concatenate([f.overlaps for f in flights])
    scores = np.concatenate([f.scores for f in flights])
    print("\n| box | frames | score p5 | p25 | p50 | p75 | p95 |\n|---|---|---|---|---|---|---|")
    for name, chosen in (("right", overlaps > RIGHT), ("wrong", overlaps < WRONG)):
        if chosen.any():
            quantiles = " | ".join(f"{q:.3f}" for q in np.percentile(scores[chosen], (5, 25, 50, 75, 95)))
            print(f"| {name} | {int(chosen.sum())} | {quantiles} |")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
