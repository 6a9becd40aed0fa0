"""What to show the network in place of a camera that is gone for a while, by measurement.

    python benchmarks/missing_modality.py --data ../shared/data --flights 2
    python benchmarks/missing_modality.py --data ../shared/data --only bus1 --flights 0 --seconds 0.3 1

Each run starts on the true box, sees both cameras for a second, loses one of them for so many seconds, and
then has both again. "told" rows know that the camera cannot be used (it is removed, or its pictures were
found to be frozen or late) and show the network a stand-in; the others do not notice and go on with its last
picture ("frozen") or with pictures that are 0.3 s old ("late"). Prints the mean overlap with the truth while
the camera is gone and in the two seconds afterwards, as means over sequences.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rendered import Moment, render  # noqa: E402
from edge_rgbt.bundle import Bundle, load_bundle  # noqa: E402
from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.engine import open_engine  # noqa: E402
from edge_rgbt.engine.base import Engine  # noqa: E402
from edge_rgbt.errors import SequenceError, UsageError  # noqa: E402
from edge_rgbt.manifest import STAND_INS  # noqa: E402
from edge_rgbt.metrics import Truth  # noqa: E402
from edge_rgbt.outputs.overlay import overlap  # noqa: E402
from edge_rgbt.register import Registration  # noqa: E402
from edge_rgbt.replay.layouts import Sequence, find_recordings  # noqa: E402
from edge_rgbt.replay.sources import decode_ahead  # noqa: E402
from edge_rgbt.tracker import Tracker  # noqa: E402
from edge_rgbt.types import Box, Frame, FramePair, Modality, Usable  # noqa: E402

FIRST_SEED = 600  # training flights start at 10 000
RATE_HZ = 15.0  # of the simulated flights
LATE_S = 0.3
UNTOLD = ("frozen", "late")
BEFORE_S, AFTER_S = 1.0, 2.0
VISIBLE = 0.3  # share of the target that must be in sight for its overlap to count


@dataclass(frozen=True)
class Run:
    """One fault in one sequence: mean overlaps, None where no annotated frame lies."""

    sequence: str
    missing: str
    seconds: float
    way: str
    during: float | None
    after: float | None


def main(argv: list[str] | None = None) -> int:
    """Prints the tables; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--only", action="append", metavar="NAME", help="just this sequence; may be repeated")
    parser.add_argument("--flights", type=int, default=2, help="simulated flights beside them (default 2)")
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[0.3, 1.0, 5.0], help="lengths of a fault"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    args = parser.parse_args(argv)
    return run_reporting_errors("missing_modality", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Runs every way on every sequence."""
    if min(args.seconds) <= 0:
        raise UsageError("a fault lasts longer than 0 seconds")
    cv2.setNumThreads(1)
    bundle = load_bundle(args.bundle)
    engine = open_engine(bundle)
    longest_s = BEFORE_S + max(args.seconds) + AFTER_S
    runs: list[Run] = []
    names: list[str] = []
    for name, moments in sequences(args, longest_s):
        names.append(name)
        runs += runs_of(name, moments, bundle, engine, args)
    engine.close()
    if not runs:
        raise UsageError("nothing to track; see --data, --only and --flights")
    if args.json:
        rows = [dataclasses.asdict(run) for run in runs]
        print(json.dumps({"bundle": bundle.manifest.name, "sequences": names, "runs": rows}))
    else:
        print(f"{bundle.manifest.name} {bundle.manifest.version}; {', '.join(names)}")
        print_tables(runs, args.seconds)
    return 0


def sequences(args: argparse.Namespace, longest_s: float) -> Iterator[tuple[str, list[Moment]]]:
    """The beginnings of the recorded sequences and of the flights."""
    for recording in find_recordings(str(args.data / "sequences")).recordings:
        if not args.only or recording.name in args.only:
            yield recording.name, recorded(recording.load(), longest_s)
    for seed in range(FIRST_SEED, FIRST_SEED + args.flights):
        yield f"flight {seed}", list(render(seed, longest_s, RATE_HZ))


def recorded(sequence: Sequence, longest_s: float) -> list[Moment]:
    """Aligned pairs of a sequence with their annotated boxes."""
    if sequence.truth is None:
        raise SequenceError(f"{sequence.name}: has no annotated boxes to compare with")
    boxes, moments = visible_boxes(sequence.truth), []
    source = sequence.open()
    registration: Registration | None = None
    for index, pair in enumerate(islice(decode_ahead(source), round(longest_s * source.fps))):
        sizes = (pair.tir.width, pair.tir.height), (pair.rgb.width, pair.rgb.height)
        registration = registration or Registration.stretch(*sizes)
        aligned = (
            registration.apply(pair) if sizes[0] != sizes[1] else dataclasses.replace(pair, aligned=True)
        )
        box = boxes.get(index)
        moments.append(Moment(aligned, box, 0.0 if box is None else 1.0))
    return moments


def visible_boxes(truth: Truth) -> dict[int, Box]:
    """Annotated frames -> box in the RGB picture, those without area left out."""
    rows = zip(truth.frames().tolist(), truth.visible.tolist(), strict=True)
    return {frame: Box(*row) for frame, row in rows if row[2] > 0 and row[3] > 0}


def runs_of(
    name: str, moments: list[Moment], bundle: Bundle, engine: Engine, args: argparse.Namespace
) -> Iterator[Run]:
    """All ways, both cameras, all lengths on one sequence, and the undisturbed run beside them."""
    first = next((n for n, m in enumerate(moments) if m.truth is not None and m.visibility > 0.8), None)
    if first is None:
        raise SequenceError(f"{name}: its target never comes into full view")
    ways = ("nothing missing", *UNTOLD, *STAND_INS)
    work = [(way, missing, s) for way in ways for missing in Modality for s in args.seconds]
    for way, missing, seconds in tqdm(work, desc=name, unit="run", disable=args.json):
        settings = bundle.manifest.tracker
        if way in STAND_INS:
            settings = dataclasses.replace(settings, stand_in=way)
        tracker = Tracker(dataclasses.replace(bundle.manifest, tracker=settings), engine)
        during, after = overlaps(tracker, moments[first:], way, missing, seconds)
        yield Run(name, missing.value, seconds, way, during, after)


def overlaps(
    tracker: Tracker, moments: list[Moment], way: str, missing: Modality, seconds: float
) -> tuple[float | None, float | None]:
    """Mean overlap while the camera is gone, and afterwards."""
    start_s = moments[0].pair.timestamp_ns / 1e9
    during: list[float] = []
    after: list[float] = []
    past: list[Frame] = []  # of the missing camera, up to LATE_S old
    for number, moment in enumerate(moments):
        now_s = moment.pair.timestamp_ns / 1e9 - start_s
        if now_s >= BEFORE_S + seconds + AFTER_S:
            break
        if number == 0:
            assert moment.truth is not None
            tracker.start(moment.pair, moment.truth)
            continue
        gone = BEFORE_S <= now_s < BEFORE_S + seconds
        frame = moment.pair.frame(missing)
        if not (gone and way == "frozen"):
            past.append(frame)
        while past[-1].timestamp_ns - past[0].timestamp_ns > LATE_S * 1e9:
            past.pop(0)
        pair = disturbed(moment.pair, way, missing, past) if gone else moment.pair
        state = tracker.update(pair)
        if moment.truth is not None and moment.visibility >= VISIBLE and now_s >= BEFORE_S:
            (during if gone else after).append(overlap(state.box, moment.truth))
    return _mean(during), _mean(after)


def disturbed(pair: FramePair, way: str, missing: Modality, past: list[Frame]) -> FramePair:
    """The pair as the tracker gets it while the camera is gone."""
    if way == "nothing missing":
        return pair
    if way in UNTOLD:
        old = past[-1] if way == "frozen" else past[0]
        return with_frame(pair, missing, dataclasses.replace(old, timestamp_ns=pair.timestamp_ns))
    frame = pair.frame(missing)
    black = dataclasses.replace(frame, image=np.zeros_like(frame.image))
    usable = Usable.RGB if missing is Modality.TIR else Usable.TIR
    return dataclasses.replace(with_frame(pair, missing, black), usable=usable)


def with_frame(pair: FramePair, modality: Modality, frame: Frame) -> FramePair:
    """The pair with another frame of one camera."""
    if modality is Modality.RGB:
        return dataclasses.replace(pair, rgb=frame)
    return dataclasses.replace(pair, tir=frame)


def print_tables(runs: list[Run], lengths: list[float]) -> None:
    """A table per missing camera, and one of the means over both."""
    for title, kept in (("RGB gone", "rgb"), ("thermal gone", "tir"), ("either gone", None)):
        chosen = [run for run in runs if kept in (None, run.missing)]
        heads = [f"{s:g} s, {when}" for s in lengths for when in ("during", "after")]
        print(f"\n| {title} | " + " | ".join(heads) + " | mean |\n|" + "---|" * (len(heads) + 2))
        for way in dict.fromkeys(run.way for run in chosen):
            cells = []
            for seconds in lengths:
                mine = [run for run in chosen if run.way == way and run.seconds == seconds]
                cells += [_mean([r.during for r in mine]), _mean([r.after for r in mine])]
            told = f"{way}, told" if way in STAND_INS else way
            texts = ["" if cell is None else f"{cell:.3f}" for cell in (*cells, _mean(cells))]
            print(f"| {told} | " + " | ".join(texts) + " |")


def _mean(values: list[float] | list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


if __name__ == "__main__":
    sys.exit(main())
