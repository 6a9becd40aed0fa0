"""`edge-rgbt eval`: scores result files against ground truth."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge_rgbt import __version__
from edge_rgbt.metrics import RULE_SETS
from edge_rgbt.metrics.evaluate import Evaluation, evaluate, name_some

NAME = "eval"
HELP = "score a folder of result files with a benchmark's own rules"
EXAMPLE = "edge-rgbt eval results/ --dataset lasher --data /data/LasHeR"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("results", metavar="DIR", type=Path, help="folder with one NAME.txt per sequence")
    parser.add_argument("--dataset", required=True, choices=sorted(RULE_SETS), help="whose rules to apply")
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        metavar="ROOT",
        help="the benchmark's folder in its published layout; only the box files are needed",
    )
    parser.add_argument("--split", help="part of the benchmark, e.g. train; 'all' takes every part")
    parser.add_argument(
        "--partial", action="store_true", help="score only the sequences that have a result file"
    )
    parser.add_argument("--per-sequence", action="store_true", help="list every sequence in the table too")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Prints the scores; 1 if a sequence could not be scored."""
    evaluation = evaluate(args.results, args.dataset, args.data, args.split, args.partial)
    if args.json:
        print(json.dumps(evaluation.as_json(), indent=2, allow_nan=False))
    else:
        _print_table(evaluation, args.per_sequence)
    for fault in evaluation.faults:
        print(f"edge-rgbt eval: {fault}", file=sys.stderr)
    return 1 if evaluation.faults else 0


def _print_table(evaluation: Evaluation, per_sequence: bool) -> None:
    rules = evaluation.rules
    split = f" {evaluation.split}" if evaluation.split else ""
    count = len(evaluation.scores)
    counted = "1 sequence" if count == 1 else f"{count} sequences"
    print(f"{rules.title}{split}, {counted}, rules {rules.label}, edge-rgbt {__version__}")
    rows = [("overall", evaluation.overall)]
    if per_sequence:
        rows += [(score.name, score.values) for score in evaluation.scores]
    width = max(len(name) for name, _ in rows)
    print(f"{'':{width}}  " + "  ".join(f"{metric:>7}" for metric in rules.metrics))
    for name, values in rows:
        print(f"{name:{width}}  " + "  ".join(f"{values[metric]:7.5f}" for metric in rules.metrics))
    if evaluation.unscored:
        print(f"no result for {len(evaluation.unscored)}: {name_some(evaluation.unscored)}")
    if evaluation.unmatched:
        count = len(evaluation.unmatched)
        print(f"not scored, no ground truth for {count}: {name_some(evaluation.unmatched)}")
    if evaluation.short:
        listed = [f"{s.name} ({s.frames} of {s.frames + s.missing})" for s in evaluation.short]
        print(f"result ends early, scored over its own length, which flatters it: {name_some(listed)}")
