"""What to show the network in place of a camera that is gone for a while, by measurement.

    python benchmarks/missing_modality.py --data ../shared/data --results missing_modality.jsonl
    python benchmarks/missing_modality.py --data ../shared/data --only bus1 --flights 0 --seconds 0.3 1

Each run starts on the true box, sees both cameras for a second, loses one of them for so many seconds, and
then has both again. In rows named after a stand-in the tracker is told that the camera cannot be used (it
is removed, or its pictures were found to be frozen or late) and shows the network that stand-in; in
"untold" rows it takes what comes: black, the last picture again and again, or pictures that are 0.3 s old.
Prints the mean overlap with the truth while the camera is gone and in the two seconds afterwards, as means
over windows; the difference of each row to the bundle's own stand-in, window by window, with its standard
error; and how often boxes of a confidence of one half or more are right (overlap above one half) with one
camera.

About 25 minutes of one core with twelve flights. With --results every window's outcome is kept in that file,
and a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.modality_windows import (  # noqa: E402
    FIRST_SEED,
    NOTHING,
    UNTOLD,
    WAYS,
    Boxes,
    Fault,
    Run,
    flight_name,
    flown_window,
    longest_window_s,
    recorded_starts,
    recorded_windows,
    runs_of,
)
from edge_rgbt.bundle import Bundle, load_bundle  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.engine import open_engine  # noqa: E402
from edge_rgbt.errors import UsageError  # noqa: E402
from edge_rgbt.types import Modality  # noqa: E402

LENGTHS_S = (0.3, 1.0, 3.0, 5.0)
CAMERAS = {"rgb": "RGB gone", "tir": "thermal gone"}


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--only", action="append", metavar="NAME", help="just this sequence; may be repeated")
    parser.add_argument("--flights", type=int, default=12, help="simulated flights beside them (default 12)")
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=list(LENGTHS_S), help="lengths of a fault"
    )
    parser.add_argument("--results", type=Path, help="file of outcomes, added to and gone on with")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    args = parser.parse_args(argv)
    return run_reporting_errors("missing_modality", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Runs every way on every window and prints what came out."""
    if min(args.seconds) <= 0:
        raise UsageError("a fault lasts longer than 0 seconds")
    cv2.setNumThreads(1)
    bundle = load_bundle(args.bundle)
    runs = measure(args, bundle, Results(args.results, bundle, args.seconds))
    if not runs:
        raise UsageError("nothing to track; see --data, --only and --flights")
    if args.json:
        rows = [dataclasses.asdict(run) for run in runs]
        print(json.dumps({"bundle": bundle.manifest.name, "version": bundle.manifest.version, "runs": rows}))
    else:
        print_all(runs, bundle, sorted(args.seconds))
    return 0


class Results:
    """What was measured so far, in a file of one JSON object a line; without a file, in memory."""

    def __init__(self, file: Path | None, bundle: Bundle, lengths: Sequence[float]) -> None:
        manifest = bundle.manifest.to_dict()
        about = {
            "seconds": sorted(lengths),
            **{key: manifest[key] for key in ("files", "tracker", "confidence")},
        }
        self._file = file
        self.runs: list[Run] = []
        if file is None:
            return
        if not file.exists():
            file.write_text(json.dumps(about) + "\n", encoding="utf-8")
        # A line that was cut off when the run was ended is measured again.
        head, *lines = file.read_text(encoding="utf-8").rsplit("\n", 1)[0].split("\n")
        if json.loads(head) != json.loads(json.dumps(about)):
            raise UsageError(
                f"{file}: holds results of another bundle or of other --seconds; take another file"
            )
        file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        for line in lines:
            self.runs += [_run(value) for value in json.loads(line)]

    def add(self, runs: list[Run]) -> None:
        """All runs of one window."""
        self.runs += runs
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps([dataclasses.asdict(run) for run in runs]) + "\n")


def _run(value: dict) -> Run:
    faults = tuple(Fault(**fault) for fault in value["faults"])
    return Run(**{**value, "faults": faults, "boxes": Boxes(**value["boxes"])})


def measure(args: argparse.Namespace, bundle: Bundle, results: Results) -> list[Run]:
    """Goes through all windows that the results do not hold yet."""
    engine = open_engine(bundle, threads=1)
    longest_s = longest_window_s(args.seconds)
    starts = list(recorded_starts(args.data, args.only))
    seeds = range(FIRST_SEED, FIRST_SEED + args.flights)
    chosen = {one.recording.name for one in starts} | {flight_name(seed) for seed in seeds}
    done = {run.window for run in results.runs}
    flown = {run.sequence for run in results.runs}
    recorded = chain.from_iterable(recorded_windows(one, longest_s) for one in starts)
    flights = (flown_window(seed, longest_s) for seed in seeds if flight_name(seed) not in flown)
    work = len(WAYS) * len(Modality)
    total = work * (sum(len(one.frames) for one in starts) + sum(flight_name(s) not in flown for s in seeds))
    with tqdm(total=total, unit="run", disable=args.json) as bar:
        for window in chain(recorded, flights):
            if window is None or window.name in done:
                bar.update(work)
                continue
            bar.set_description(window.name)
            runs = []
            for run in runs_of(window, bundle, engine, args.seconds):
                runs.append(run)
                bar.update()
            results.add(runs)
    engine.close()
    return [run for run in results.runs if run.sequence in chosen]


def print_all(runs: list[Run], bundle: Bundle, lengths: list[float]) -> None:
    """The overlaps, the differences, and the honesty of the confidence."""
    manifest = bundle.manifest
    windows = dict.fromkeys(run.window for run in runs)
    flown = sum(name.startswith("flight") for name in windows)
    print(f"{manifest.name} {manifest.version}, stand-in {manifest.tracker.stand_in}; ", end="")
    print(f"{len(windows) - flown} windows of recorded sequences, {flown} of simulated flights")
    print_overlaps(runs, lengths)
    print_differences(runs, manifest.tracker.stand_in)
    print_confidence(runs)


def print_overlaps(runs: list[Run], lengths: list[float]) -> None:
    """Mean overlaps by way: while a camera is gone for so long, and afterwards (all lengths together)."""
    columns = [*(f"{seconds:g} s" for seconds in lengths), "after"]
    heads = [f"{title} {column}" for title in CAMERAS.values() for column in columns]
    print(f"\n| | {' | '.join(heads)} |\n|" + "---|" * (len(heads) + 1))
    for way in _ways(runs):
        cells: list[float | None] = []
        for missing in CAMERAS:
            faults = [f for run in runs if (run.way, run.missing) == (way, missing) for f in run.faults]
            cells += [_mean(f.during for f in faults if f.seconds == s) for s in lengths]
            cells.append(_mean(f.after for f in faults))
        print(f"| {way} | " + " | ".join("" if cell is None else f"{cell:.3f}" for cell in cells) + " |")


def print_differences(runs: list[Run], own: str) -> None:
    """Every way against the bundle's own stand-in: mean over windows, and its standard error."""
    kinds: dict[str, Callable[[Run], bool]] = {
        "RGB gone": lambda run: run.missing == "rgb",
        "thermal gone": lambda run: run.missing == "tir",
        "recorded": lambda run: not run.window.startswith("flight"),
        "simulated": lambda run: run.window.startswith("flight"),
        "all": lambda run: True,
    }
    print(f"\n| difference to {own} | " + " | ".join(kinds) + " |\n|" + "---|" * (len(kinds) + 1))
    for way in _ways(runs):
        if way != own:
            cells = [_difference([run for run in runs if kind(run)], way, own) for kind in kinds.values()]
            print(f"| {way} | " + " | ".join(cells) + " |")


def _difference(runs: list[Run], way: str, own: str) -> str:
    """By window: mean of all overlaps of its faults, both parts."""
    means: dict[tuple[str, str], dict[str, list[float]]] = {}
    for run in runs:
        met = [value for f in run.faults for value in (f.during, f.after) if value is not None]
        for key in {way, own} & {run.way}:
            means.setdefault((run.sequence, key), {}).setdefault(run.missing, []).extend(met)
    by_sequence = []
    for name in dict.fromkeys(name for name, _ in means):
        pair = [np.mean([v for values in means[name, key].values() for v in values]) for key in (way, own)]
        by_sequence.append(float(pair[0] - pair[1]))
    if len(by_sequence) < 2:
        return ""
    error = float(np.std(by_sequence, ddof=1) / np.sqrt(len(by_sequence)))
    return f"{np.mean(by_sequence):+.3f} ± {error:.3f}"


def print_confidence(runs: list[Run]) -> None:
    """How often sure boxes are right, with both cameras and with one."""
    print(
        "\n| seen with | pairs | right | mean confidence | confidence >= 0.5 | of these right |\n|"
        + "---|" * 6
    )
    both = [run for run in runs if run.way == NOTHING and run.missing == "tir"]  # the same twice
    rows = [("both cameras", both)]
    for way in _ways(runs):
        if way != NOTHING and way not in UNTOLD:
            for missing, seen in (("tir", "RGB"), ("rgb", "thermal")):
                chosen = [run for run in runs if run.way == way and run.missing == missing]
                rows.append((f"{seen} alone, {way}", chosen))
    for name, chosen in rows:
        boxes = [run.boxes for run in chosen]
        pairs, sure = sum(b.pairs for b in boxes), sum(b.sure for b in boxes)
        right, sure_right = sum(b.right for b in boxes), sum(b.sure_right for b in boxes)
        mean = sum(b.confidence for b in boxes) / max(pairs, 1)
        shares = f"{right / max(pairs, 1):.3f} | {mean:.3f} | {sure / max(pairs, 1):.3f}"
        print(f"| {name} | {pairs} | {shares} | {sure_right / max(sure, 1):.3f} |")


def _ways(runs: list[Run]) -> list[str]:
    done = {run.way for run in runs}
    return [way for way in WAYS if way in done]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


if __name__ == "__main__":
    sys.exit(main())
