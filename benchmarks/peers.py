"""PR and SR of a bundle beside NanoTrack V2, the small RGB tracker that one would pick instead.

    python benchmarks/peers.py --data ../shared/data [--bundle B] [--json]

Tracks the sequences below DATA/sequences with the bundle, also with either camera's pictures replaced by
grey from the first frame on (the tracker knows that the camera is gone, or, "untold", takes the grey for
what it sees), and with NanoTrack (OpenCV's TrackerNano, networks from DATA/peers/nanotrack_v2) once on the
RGB and once on the thermal pictures. PR is the share of annotated frames with a centre error up to 20 px,
SR the mean share over 21 overlap thresholds. They are given twice: against the better of the two
modalities' boxes in each frame, as RGB-T benchmarks do, and against the boxes of the modality that the
tracker was started on (thermal for thermal, visible for all others). Milliseconds are the median per frame
from decoded picture to box, on this machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# OpenCV's network engine warns about every option that it ignores.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_rgbt.cli import run_reporting_errors  # noqa: E402
from edge_rgbt.errors import EdgeRgbtError, UsageError  # noqa: E402
from edge_rgbt.metrics import Truth, rule_set  # noqa: E402
from edge_rgbt.replay.layouts import Sequence, find_recordings  # noqa: E402
from edge_rgbt.replay.sources import decode_ahead  # noqa: E402
from edge_rgbt.replay.tracking import Tracking, open_tracking  # noqa: E402
from edge_rgbt.types import Box, FramePair, Modality, Usable  # noqa: E402

RULES = rule_set("vtuav")  # 20 px, 21 thresholds, annotated frames only: fits every one of the sequences
GREY = 128
PEER = "NanoTrack V2"
NETWORKS = {"backbone": "backbone.onnx", "neckhead": "head.onnx"}


@dataclass(frozen=True)
class Removal:
    """Which camera is gone, if any, and whether the tracker knows."""

    name: str
    camera: Modality | None = None
    told: bool = False

    def pair(self, pair: FramePair) -> FramePair:
        """The pair with that camera's picture replaced by even grey."""
        if self.camera is None:
            return pair
        frame = pair.frame(self.camera)
        grey = dataclasses.replace(frame, image=np.full_like(frame.image, GREY))
        usable = Usable.of(self.camera is Modality.TIR, self.camera is Modality.RGB)
        changes: dict[str, Any] = {self.camera.value: grey, "usable": usable if self.told else pair.usable}
        return dataclasses.replace(pair, **changes)


REMOVALS = (
    Removal("RGB-T"),
    Removal("thermal removed", Modality.TIR, told=True),
    Removal("thermal removed, untold", Modality.TIR),
    Removal("RGB removed", Modality.RGB, told=True),
    Removal("RGB removed, untold", Modality.RGB),
)


@dataclass(frozen=True)
class Row:
    """One tracker on one sequence."""

    sequence: str
    tracker: str
    pr: float
    sr: float
    own_pr: float
    own_sr: float
    frame_ms: float


def main(argv: list[str] | None = None) -> int:
    """Prints the table; see the module's text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, help="model bundle; the shipped one if left out")
    parser.add_argument("--only", action="append", metavar="NAME", help="just this sequence; may be repeated")
    parser.add_argument("--no-bundle", action="store_true", help="only the peers")
    parser.add_argument("--threads", type=int, help="threads of our engine and of OpenCV's")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args(argv)
    return run_reporting_errors("peers", lambda: report(args))


def report(args: argparse.Namespace) -> int:
    """Runs every tracker on every sequence and prints what came out."""
    if args.threads:
        cv2.setNumThreads(args.threads)
    networks = args.data / "peers" / "nanotrack_v2"
    for file in NETWORKS.values():
        if not (networks / file).is_file():
            raise UsageError(f"{networks / file}: missing; --data wants the folder that holds peers/")
    recordings = find_recordings(str(args.data / "sequences")).recordings
    chosen = [r for r in recordings if not args.only or r.name in args.only]
    rows = [row for recording in chosen for row in rows_of(recording.load(), networks, args)]
    if args.json:
        print(json.dumps({"rules": RULES.label, "rows": [dataclasses.asdict(row) for row in rows]}, indent=2))
    else:
        print_markdown(rows)
    return 0


def rows_of(sequence: Sequence, networks: Path, args: argparse.Namespace) -> Iterator[Row]:
    """All trackers on one sequence, ours first."""
    truth = sequence.truth
    if truth is None or truth.infrared is None:
        raise EdgeRgbtError(f"{sequence.name}: has no annotated boxes of both modalities to score against")
    for removal in () if args.no_bundle else REMOVALS:
        tracking = open_tracking(args.bundle, threads=args.threads)
        pairs = (removal.pair(pair) for pair in decode_ahead(sequence.open()))
        boxes, frame_ms = drive(pairs, truth.visible[0], partial(step_of, tracking))
        tracking.close()
        name = f"{tracking.bundle.manifest.name}, {removal.name}"
        yield score(sequence.name, name, truth, truth.visible, boxes, frame_ms)
    for modality, files, own in (
        ("RGB", sequence.rgb, truth.visible),
        ("thermal", sequence.tir, truth.infrared),
    ):
        pictures = (cv2.imread(str(path), cv2.IMREAD_COLOR) for path in files)
        boxes, frame_ms = drive(pictures, own[0], nanotrack(networks))
        yield score(sequence.name, f"{PEER}, {modality}", truth, own, boxes, frame_ms)


def step_of(tracking: Tracking, pair: FramePair, box: Box | None) -> Box:
    """The bundle's next box."""
    return tracking.step(pair, box).box


def drive(
    pictures: Iterable[Any], first: np.ndarray, step: Callable[[Any, Box | None], Box]
) -> tuple[np.ndarray, float]:
    """Boxes xywh `[frames, 4]` and the median milliseconds per frame after the first, which only starts."""
    boxes, seconds = [tuple(first.tolist())], []
    for index, picture in enumerate(pictures):
        start = time.perf_counter()
        box = step(picture, Box(*first.tolist()) if index == 0 else None)
        if index:
            seconds.append(time.perf_counter() - start)
            boxes.append(box.as_tuple())
    return np.array(boxes), float(np.median(seconds) * 1e3)


def nanotrack(networks: Path) -> Callable[[np.ndarray, Box | None], Box]:
    """OpenCV's TrackerNano on BGR pictures; it takes and gives whole pixels."""
    params = cv2.TrackerNano.Params()
    for attribute, file in NETWORKS.items():
        setattr(params, attribute, str(networks / file))
    tracker = cv2.TrackerNano.create(params)

    def step(picture: np.ndarray, box: Box | None) -> Box:
        if box is not None:
            tracker.init(picture, tuple(int(value) for value in box.as_tuple()))
            return box
        x, y, w, h = tracker.update(picture)[1]
        return Box(x, y, max(w, 1), max(h, 1))

    return step


def score(
    sequence: str, tracker: str, truth: Truth, own: np.ndarray, boxes: np.ndarray, frame_ms: float
) -> Row:
    """Both pairs of numbers; boxes are rounded as result files are when they are read."""
    result = np.rint(boxes)
    better = RULES.score_sequence(truth, result).values
    alone = RULES.score_sequence(dataclasses.replace(truth, visible=own, infrared=None), result).values
    return Row(sequence, tracker, better["PR"], better["SR"], alone["PR"], alone["SR"], round(frame_ms, 2))


def print_markdown(rows: list[Row]) -> None:
    """One line per sequence and tracker."""
    print("| sequence | tracker | PR@20 | SR | PR@20, own modality's boxes | SR, own | ms per frame |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        numbers = " | ".join(f"{value:.3f}" for value in (row.pr, row.sr, row.own_pr, row.own_sr))
        print(f"| {row.sequence} | {row.tracker} | {numbers} | {row.frame_ms:.1f} |")


if __name__ == "__main__":
    sys.exit(main())
