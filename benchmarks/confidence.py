"""How honest the tracking state is on simulated flights, and the fit of the bundle's confidence curve.

    python benchmarks/confidence.py                             # judges the shipped bundle
    python benchmarks/confidence.py --bundle DIR --fit          # fits DIR's curve, writes it, then judges

Every flight takes the target out of the world for two seconds. Judged are flights that no fit has seen: how
often boxes of a stated confidence are right (overlap above one half), how long LOST takes to be said once the
target is gone, what is taken up again afterwards, and how often that is something else. A fit tracks other
flights without ever giving up, starts again where it was wrong for long, weighs the features by logistic
regression and keeps those that help on flights left out. Tracking the same flights with that curve then tells
how often what is taken up again is the target.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import confidence_curve as curves  # noqa: E402
from benchmarks.rendered import Moment, render  # noqa: E402
from edge_rgbt.bundle import Bundle, ConfidenceCurve, Manifest, load_bundle  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.engine import open_engine  # noqa: E402
from edge_rgbt.errors import UsageError  # noqa: E402
from edge_rgbt.files import atomic_path  # noqa: E402
from edge_rgbt.outputs.overlay import overlap  # noqa: E402
from edge_rgbt.tracker import Tracker  # noqa: E402
from edge_rgbt.tracker.confidence import FEATURES  # noqa: E402
from edge_rgbt.types import TrackStatus  # noqa: E402

JUDGED_SEED, FITTED_SEED = 600, 700  # training flights start at 10 000
START_VISIBLE = 0.8
RIGHT, WRONG = 0.5, 0.1  # overlaps above and below which a box is right, and on something else
GIVE_UP_S = 1.5  # a fit starts again after so long on something else
SET = 6  # flights whose calibration error is also given by itself
BACK_WITHIN_S = 3.0  # of being in sight again
IN_SIGHT = 0.3  # share of the target that shows
HELPS = 0.99  # a feature is kept if it brings the log loss on flights left out below this share


@dataclasses.dataclass(frozen=True)
class Flight:
    """One value per tracked pair. overlap: with the truth, 0 where there is none. present: there is one."""

    seed: int
    time_s: np.ndarray
    overlap: np.ndarray
    present: np.ndarray
    visible: np.ndarray
    status: np.ndarray
    confidence: np.ndarray
    features: np.ndarray  # [n, len(FEATURES)]


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--fit", action="store_true", help="fit the curve and write it into the manifest")
    parser.add_argument("--flights", type=int, default=24, help="to judge, and as many to fit (default 24)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a flight (default 10)")
    parser.add_argument("--rate-hz", type=float, default=15.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    args = parser.parse_args(argv)
    return run_reporting_errors("confidence", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Fits if asked to, judges, prints."""
    if args.flights < 2 or args.seconds < 6.0:
        raise UsageError("at least two flights of six seconds are needed")
    bundle = load_bundle(args.bundle)
    if args.fit:
        require_writable(bundle)
        seeds = range(FITTED_SEED, FITTED_SEED + args.flights)
        curve, choices = fit(tracked(args, bundle, seeds, fitting=True))
        store(bundle, curve)
        bundle = load_bundle(bundle.path)
        found = absence(tracked(args, bundle, seeds, fitting=False))
        good, bad = found["taken_up_again"], found["something_else_taken_up"]
        curve = dataclasses.replace(curve, found_right=round((good + 1) / (good + bad + 2), 3))
        store(bundle, curve)
        bundle = load_bundle(bundle.path)
        if not args.json:
            print_fit(curve, choices)
    seeds = range(JUDGED_SEED, JUDGED_SEED + args.flights)
    result = judge(tracked(args, bundle, seeds, fitting=False))
    if args.json:
        print(json.dumps({"bundle": bundle.manifest.name, "version": bundle.manifest.version, **result}))
    else:
        print_judgement(result)
    return 0


def tracked(args: argparse.Namespace, bundle: Bundle, seeds: range, fitting: bool) -> list[Flight]:
    """All flights, spread over processes."""
    job = partial(fly, bundle=bundle.path, seconds=args.seconds, rate_hz=args.rate_hz, fitting=fitting)
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        work = tqdm(pool.map(job, seeds), total=len(seeds), desc="flights", unit="flight", disable=args.json)
        return [flight for flight in work if flight is not None]


def fly(seed: int, bundle: Path, seconds: float, rate_hz: float, fitting: bool) -> Flight | None:
    """Tracks one flight; None if its target never comes into full view."""
    cv2.setNumThreads(1)
    loaded = load_bundle(bundle)
    manifest = never_giving_up(loaded.manifest) if fitting else loaded.manifest
    tracker = Tracker(manifest, open_engine(loaded, threads=1))
    absent_s = (0.4 * seconds, 0.4 * seconds + 2.0)
    flight = follow(seed, tracker, render(seed, seconds, rate_hz, absent_s), restarting=fitting)
    tracker.close()
    return flight


def never_giving_up(manifest: Manifest) -> Manifest:
    """The same tracker without a curve, which always claims to be TRACKING."""
    settings = dataclasses.replace(manifest.tracker, uncertain_below=0.0)
    return dataclasses.replace(manifest, tracker=settings, confidence=None)


def follow(seed: int, tracker: Tracker, moments: Iterable[Moment], restarting: bool) -> Flight | None:
    """Tracks the target from its first full view on; restarting: also from later ones, where it was lost."""
    rows: list[tuple] = []
    features: list[list[float]] = []
    started, wrong_since_s = False, float("inf")
    for moment in moments:
        now_s = moment.pair.timestamp_ns / 1e9
        in_view = moment.truth is not None and moment.visibility >= START_VISIBLE
        if not started or (restarting and now_s - wrong_since_s > GIVE_UP_S):
            if in_view and moment.truth is not None:
                tracker.start(moment.pair, moment.truth)
                started, wrong_since_s = True, float("inf")
            continue
        state = tracker.update(moment.pair)
        shared = 0.0 if moment.truth is None else overlap(state.box, moment.truth)
        wrong_since_s = min(wrong_since_s, now_s) if shared < WRONG else float("inf")
        present = moment.truth is not None
        rows.append((now_s, shared, present, moment.visibility, state.status.value, state.confidence))
        features.append([getattr(tracker.evidence, name) for name in FEATURES])
    if not rows:
        return None
    return Flight(seed, *(np.array(column) for column in zip(*rows, strict=True)), np.array(features))


def fit(flights: list[Flight]) -> tuple[ConfidenceCurve, list[tuple[str, float]]]:
    """The curve, and the log loss on flights left out with each feature that was added."""
    features = np.concatenate([f.features for f in flights])
    right = np.concatenate([f.overlap > RIGHT for f in flights]).astype(float)
    owners = np.concatenate([np.full(len(f.time_s), f.seed) for f in flights])
    chosen = ["score"]
    choices = [("score", _loss(chosen, features, right, owners))]
    while len(chosen) < len(FEATURES):
        others = [name for name in FEATURES if name not in chosen]
        losses = {name: _loss([*chosen, name], features, right, owners) for name in others}
        best = min(losses, key=losses.__getitem__)
        if losses[best] > HELPS * choices[-1][1]:
            break
        chosen.append(best)
        choices.append((f"+ {best}", losses[best]))
    return curves.fit_curve(chosen, features[:, _columns(chosen)], right), choices


def _loss(names: list[str], features: np.ndarray, right: np.ndarray, owners: np.ndarray) -> float:
    return curves.cross_validated(names, features[:, _columns(names)], right, owners)


def _columns(names: list[str]) -> list[int]:
    return [FEATURES.index(name) for name in names]


def require_writable(bundle: Bundle) -> None:
    """A curve can only be written into an unsigned folder."""
    if not bundle.path.is_dir():
        raise UsageError(f"{bundle.path} is a packed bundle; fit the folder that it was packed from")
    if (bundle.path / "manifest.sig").exists():
        raise UsageError(f"{bundle.path} is signed; fit before signing")


def store(bundle: Bundle, curve: ConfidenceCurve) -> None:
    """Writes the curve into the bundle's manifest; the network and its hash stay as they are."""
    text = json.dumps(dataclasses.replace(bundle.manifest, confidence=curve).to_dict(), indent=2)
    with atomic_path(bundle.path / "manifest.json") as part:
        part.write_text(text + "\n", encoding="utf-8")


def judge(flights: list[Flight]) -> dict:
    """What the states were worth."""
    status = np.concatenate([f.status for f in flights])
    right = np.concatenate([f.overlap > RIGHT for f in flights])
    wrong = np.concatenate([f.overlap < WRONG for f in flights])
    confidence = np.concatenate([f.confidence for f in flights])
    claims = status != TrackStatus.LOST.value
    rows, error = curves.reliability(confidence[claims], right[claims])
    visible = np.concatenate([f.present & (f.visible >= IN_SIGHT) for f in flights])
    return {
        "flights": len(flights),
        "calibration_error": round(error, 4),
        "calibration_error_of_sets": [
            round(calibration_error(flights[k : k + SET]), 4) for k in range(0, len(flights) - SET + 1, SET)
        ],
        "reliability": rows,
        "status": [
            {
                "status": name,
                "frames": int((status == name).sum()),
                "right": _share(right[status == name]),
                "on_something_else": _share(wrong[status == name]),
            }
            for name in (TrackStatus.TRACKING.value, TrackStatus.UNCERTAIN.value, TrackStatus.LOST.value)
        ],
        "visible_frames_lost": _share(status[visible] == TrackStatus.LOST.value),
        "mean_overlap_visible": round(
            float(np.mean([f.overlap[f.present & (f.visible >= IN_SIGHT)].mean() for f in flights])), 4
        ),
        **absence(flights),
    }


def calibration_error(flights: list[Flight]) -> float:
    """Over the boxes that were claimed to be right."""
    claims = [f.status != TrackStatus.LOST.value for f in flights]
    claimed = np.concatenate([f.confidence[c] for f, c in zip(flights, claims, strict=True)])
    right = np.concatenate([f.overlap[c] > RIGHT for f, c in zip(flights, claims, strict=True)])
    return curves.reliability(claimed, right)[1]


def absence(flights: list[Flight]) -> dict:
    """What was said while the target was gone, and what was taken up again at any time."""
    delays, never, good, bad, back, in_sight, in_time = [], 0, 0, 0, [], 0, 0
    for f in flights:
        gone = np.flatnonzero(~f.present & (f.time_s < f.time_s[-1] - 3.0))
        lost = f.status == TrackStatus.LOST.value
        found = np.flatnonzero(lost[:-1] & ~lost[1:]) + 1
        good += int((f.overlap[found] > WRONG).sum())
        bad += int((f.overlap[found] <= WRONG).sum())
        if not len(gone) or f.overlap[gone[0] - 1] < RIGHT:
            continue  # was not on the target when it went
        said = np.flatnonzero(lost[gone])
        if len(said):
            delays.append(float(f.time_s[gone[said[0]]] - f.time_s[gone[0]]))
        else:
            never += 1
        after = f.time_s > f.time_s[gone[-1]]
        again = np.flatnonzero((f.overlap > RIGHT) & after)
        back.append(float(f.time_s[again[0]] - f.time_s[gone[-1]]) if len(again) else float("inf"))
        shown = np.flatnonzero(after & f.present & (f.visible >= IN_SIGHT))
        if len(shown) and f.time_s[shown[0]] + BACK_WITHIN_S <= f.time_s[-1]:
            soon = (f.time_s >= f.time_s[shown[0]]) & (f.time_s <= f.time_s[shown[0]] + BACK_WITHIN_S)
            in_sight += 1
            in_time += bool((soon & (f.overlap > RIGHT) & (f.status == TrackStatus.TRACKING.value)).any())
    return {
        "absences": len(back),
        "said_lost": len(delays),
        "never_said_lost": never,
        "lost_after_s": _median(delays),
        "back_on_target": int(np.isfinite(back).sum()),
        "back_after_s": _median([b for b in back if np.isfinite(b)]),
        "in_sight_again": in_sight,
        f"tracked_within_{BACK_WITHIN_S:g}_s": in_time,
        "taken_up_again": good,
        "something_else_taken_up": bad,
    }


def _share(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 3) if values else None


def print_fit(curve: ConfidenceCurve, choices: list[tuple[str, float]]) -> None:
    """Which features were kept, and the curve."""
    print("\n| features | log loss on flights left out |\n|---|---|")
    for name, loss in choices:
        print(f"| {name} | {loss:.4f} |")
    print(f"\nweights {json.dumps(curve.weights)}, taken up again and right {curve.found_right}")
    print("\n| evidence | right |\n|---|---|")
    for knot, probability in zip(curve.evidence, curve.probabilities, strict=True):
        print(f"| {knot:.3f} | {probability:.3f} |")


def print_judgement(result: dict) -> None:
    """Reliability, statuses, and what happened around the absence."""
    print("\n| confidence | frames | claimed | right |\n|---|---|---|---|")
    for row in result["reliability"]:
        print(f"| {row['from']:.1f} | {row['frames']} | {row['claimed']:.3f} | {row['right']:.3f} |")
    print("\n| status | frames | right | on something else |\n|---|---|---|---|")
    for row in result["status"]:
        print(f"| {row['status']} | {row['frames']} | {row['right']} | {row['on_something_else']} |")
    print()
    for key, value in result.items():
        if key not in ("reliability", "status"):
            print(f"{key.replace('_', ' ')}: {value}")


if __name__ == "__main__":
    sys.exit(main())
