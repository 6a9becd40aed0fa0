"""`edge-rgbt replay`: tracks recordings and writes results, scores, video and a report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.metrics import RULE_SETS

NAME = "replay"
HELP = "track a sequence, a dataset, a pair of videos or a recorded flight; write results, scores, a report"
EXAMPLE = "edge-rgbt replay /data/RGBT234/elecbike3 --out results --video"

_METRICS = ("PR", "NPR", "SR", "MPR", "MSR")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="dataset root, sequence folder, folder of pairs, two videos as RGB.mp4,THERMAL.mp4, or a "
        "recorded flight.mcap",
    )
    parser.add_argument("--bundle", type=Path, metavar="B", help="model bundle; the shipped one if left out")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--export-dataset",
        type=Path,
        metavar="DIR",
        help="write the frames of recorded flights into this new folder in the VTUAV layout; without --out, "
        "do only that",
    )
    parser.add_argument("--dataset", choices=sorted(RULE_SETS), help="layout and scoring rules of SOURCE")
    parser.add_argument("--split", help="part of the dataset, e.g. train; 'all' takes every part")
    parser.add_argument(
        "--init", metavar="x,y,w,h", help="first box in RGB pixels, instead of the annotated one"
    )
    parser.add_argument("--video", action="store_true", help="write NAME.mp4 with both pictures and the box")
    parser.add_argument(
        "--mavlink",
        metavar="URL",
        nargs="?",
        const="udpout:127.0.0.1:14550",
        help="send the track to this endpoint (without URL: %(const)s)",
    )
    parser.add_argument(
        "--realtime", action="store_true", help="drop the frames that a drone would have missed while busy"
    )
    parser.add_argument("--fps", type=float, help="rate of the recording (default: the video's own, else 30)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes over sequences")
    parser.add_argument("--engine", default="onnx", help="inference engine (default: %(default)s)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the engine")
    parser.add_argument(
        "--integer-boxes", action="store_true", help="cut boxes to whole pixels, as published trackers do"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replays and prints a summary; 1 if a sequence failed."""
    from edge_rgbt.replay.layouts import read_box_argument
    from edge_rgbt.replay.options import ReplayOptions
    from edge_rgbt.replay.runner import replay

    if args.out is None and args.export_dataset is None:
        raise UsageError("--out is missing; give a folder for the results, or --export-dataset DIR")
    exported = None if args.export_dataset is None else _export(args)
    if args.out is None:
        if args.json:
            print(json.dumps(exported, indent=2))
        return 0
    options = ReplayOptions(
        source=args.source,
        out=args.out,
        bundle=args.bundle,
        engine=args.engine,
        threads=args.threads,
        dataset=args.dataset,
        split=args.split,
        init=None if args.init is None else read_box_argument(args.init),
        video=args.video,
        mavlink=args.mavlink,
        realtime=args.realtime,
        fps=args.fps,
        workers=args.workers,
        integer_boxes=args.integer_boxes,
    )
    report = replay(options)
    if exported is not None:
        report["exported"] = exported
    if args.json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        _print_summary(report, args.out)
    return 1 if report["faults"] else 0


def _export(args: argparse.Namespace) -> dict[str, Any]:
    """Writes the dataset; says so on standard error, which leaves standard output to the report."""
    from tqdm import tqdm

    from edge_rgbt.replay.export import describe, export_flights

    watched = sys.stderr.isatty()
    with tqdm(unit=" pairs", disable=not watched, file=sys.stderr) as bar:
        sequences = export_flights(args.source, args.export_dataset, bar.update)
    pairs = sum(len(sequence.boxes) for sequence in sequences)
    counted = "1 sequence" if len(sequences) == 1 else f"{len(sequences)} sequences"
    print(f"edge-rgbt replay: {counted}, {pairs} pairs in {args.export_dataset}", file=sys.stderr)
    return describe(sequences, args.export_dataset)


def _print_summary(report: dict[str, Any], out: Path) -> None:
    done, faults = len(report["sequences"]), len(report["faults"])
    failed = f", {faults} failed" if faults else ""
    counted = "1 sequence" if done == 1 else f"{done} sequences"
    print(f"{counted}, {report['frames']} frames{failed}; {report['engine']}, {report['device']}")
    latency = report["latency_ms"]
    if latency:
        print(
            f"whole frame {latency['mean']:.1f} ms mean, {latency['p50']:.1f} p50, {latency['p99']:.1f} p99: "
            f"{report['frames_per_second']:.1f} frames/s; peak memory {report['peak_memory_mb']:.0f} MB"
        )
    if report["realtime"]:
        print(f"{report['dropped_frames']} frames dropped as a drone would have dropped them")
    for entry in report["scores"]:
        values = ", ".join(f"{metric} {entry[metric]:.5f}" for metric in _METRICS if metric in entry)
        split = f" {entry['split']}" if entry["split"] else ""
        print(f"{entry['dataset'] or 'own recording'}{split}, rules {entry['rules']}: {values}")
    print(f"results in {out}")
