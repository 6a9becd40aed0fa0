"""A folder of result files against a benchmark's ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_rgbt import __version__
from edge_rgbt.errors import EdgeRgbtError, SequenceError, UsageError
from edge_rgbt.metrics import rule_set
from edge_rgbt.metrics.boxes import read_result
from edge_rgbt.metrics.rules import RuleSet, SequenceScore
from edge_rgbt.metrics.truth import TruthFiles, find_truths

_NAMED = 5  # names shown in a one-line message


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one results folder; `faults` are lines about sequences that could not be scored.

    unscored: sequences without a result. unmatched: results of which the ground truth knows nothing.
    """

    rules: RuleSet
    split: str
    scores: tuple[SequenceScore, ...]
    overall: Mapping[str, float]
    faults: tuple[str, ...] = ()
    unscored: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def short(self) -> list[SequenceScore]:
        """Sequences whose result ends before the last annotated frame, which the rules reward."""
        return [score for score in self.scores if score.missing]

    def as_json(self) -> dict[str, Any]:
        """The object that `eval --json` prints."""
        return {
            "dataset": self.rules.name,
            "split": self.split,
            "rules": self.rules.label,
            "tool": f"edge-rgbt {__version__}",
            "sequences": len(self.scores),
            **self.overall,
            "short": [
                {"sequence": s.name, "scored": s.frames, "annotated": s.frames + s.missing}
                for s in self.short
            ],
            "unscored": list(self.unscored),
            "unmatched": list(self.unmatched),
            "faults": list(self.faults),
            "per_sequence": {score.name: dict(score.values) for score in self.scores},
        }


def evaluate(
    results: Path, dataset: str, data: Path, split: str | None = None, partial: bool = False
) -> Evaluation:
    """Scores every sequence of a benchmark.

    partial: True scores the sequences that have a result file and lists the others in `unscored`.
    Raises UsageError if folders or ground truth are absent, EdgeRgbtError naming missing result files.
    """
    rules = rule_set(dataset)
    if not results.is_dir():
        raise UsageError(f"{results}: no such results folder")
    split_name, truths = find_truths(data, dataset, split)
    _refuse_duplicates(truths)
    absent = [t.name for t in truths if not (results / f"{t.name}.txt").is_file()]
    if absent and not partial:
        raise EdgeRgbtError(
            f"{results}: {len(absent)} of {len(truths)} result files are missing: "
            f"{name_some([name + '.txt' for name in absent])}; run them, or score the others with --partial"
        )
    if len(absent) == len(truths):
        raise EdgeRgbtError(f"{results}: holds no result file of the {len(truths)} sequences in {data}")
    scores, faults = _score_all(results, [t for t in truths if t.name not in set(absent)], rules)
    if not scores:
        raise EdgeRgbtError(faults[0])
    return Evaluation(
        rules=rules,
        split=split_name,
        scores=tuple(scores),
        overall=rules.score_dataset(scores),
        faults=tuple(faults),
        unscored=tuple(absent),
        unmatched=tuple(_unmatched(results, truths)),
    )


def _unmatched(results: Path, truths: Sequence[TruthFiles]) -> list[str]:
    """Result files of no known sequence: of another split, or their sequence lacks its box file."""
    known = {truth.name for truth in truths}
    names = sorted(path.stem for path in results.glob("*.txt") if not path.stem.endswith("_time"))
    return [name for name in names if name not in known]


def _score_all(
    results: Path, truths: Sequence[TruthFiles], rules: RuleSet
) -> tuple[list[SequenceScore], list[str]]:
    scores: list[SequenceScore] = []
    faults: list[str] = []
    for files in truths:
        try:
            scores.append(rules.score_sequence(files.read(), read_result(results / f"{files.name}.txt")))
        except SequenceError as error:
            faults.append(f"{files.name}: {error}")
    return scores, faults


def _refuse_duplicates(truths: Sequence[TruthFiles]) -> None:
    for first, second in pairwise(truths):
        if first.name == second.name:
            raise UsageError(
                f"two sequences are named {first.name}: {first.visible.parent} and {second.visible.parent}; "
                "choose one with --split"
            )


def name_some(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
