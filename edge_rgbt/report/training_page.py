"""The page of one training run: curves, validations and sample pictures, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_rgbt.report import plots
from edge_rgbt.report.pages import machine_text, still, write_page

NOT_CURVES = ("step", "time", "samples_per_s", "validation")
FIRST = ("total", "iou", "giou", "l1", "focal")  # the order of curves; others follow by name


def write_training_report(
    path: Path | str,
    name: str,
    summary: Mapping[str, Any],
    log: Sequence[Mapping[str, Any]],
    pictures: Sequence[tuple[np.ndarray, str]] = (),
) -> None:
    """name: of the run. summary: recipe, machine, validation, skipped (how many frames, the first of them).

    log: its lines. pictures: RGB and caption.
    """
    training = [entry for entry in log if "total" in entry]
    validations = list(summary["validation"])
    write_page(
        Path(path),
        "training.html",
        title=f"Training of {name}",
        last=validations[-1] if validations else None,
        best=max((row["iou"] for row in validations if "iou" in row), default=None),
        speed=training[-1].get("samples_per_s") if training else None,
        curves=_curves("t", training),
        validation_curves=_curves("v", validations),
        stills=[still(picture, caption) for picture, caption in pictures],
        skipped=summary.get("skipped"),
        recipe=list(flat(summary["recipe"])),
        machine=machine_text(summary["machine"]),
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text) lines."""
    lines: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += flat(value, f"{prefix}{key}.")
        else:
            lines.append((prefix + key, str(value)))
    return lines


def _curves(key: str, entries: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(name, drawing) of every number that the lines hold at least twice."""
    found = {name for entry in entries for name, value in entry.items() if isinstance(value, (int, float))}
    names = [name for name in FIRST if name in found]
    names += sorted(found - set(FIRST) - set(NOT_CURVES))
    drawings = []
    for number, name in enumerate(names):
        points = [(entry["step"], entry[name]) for entry in entries if name in entry]
        if len(points) > 1:
            steps, values = zip(*points, strict=True)
            drawings.append((name, plots.curve(f"{key}{number}", steps, values, x_label="step")))
    return drawings
