"""The ablation tables of a paper as a list of recipe variants, run one after another into one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch.distributed as dist

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.files import write_json_atomic, write_text_atomic
from training.engine.processes import leads_run
from training.engine.run_log import SUMMARY_FILE
from training.engine.run_state import LAST

Train = Callable[[str, bool, list[str]], int]  # recipe file, resume, overrides -> exit status
RESULTS, TABLE, STARTED = "ablations.json", "ablations.md", "ablation.json"


@dataclass(frozen=True)
class Variant:
    """One run: values to replace in the recipe. after: the variant whose last checkpoint it starts from."""

    text: str
    set: tuple[str, ...] = ()
    after: str = ""


@dataclass(frozen=True)
class Table:
    """Variants side by side, and what the paper says of each."""

    title: str
    rows: tuple[str, ...]
    published: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.published and len(self.published) != len(self.rows):
            raise ValueError(f"table {self.title}: {len(self.rows)} rows, {len(self.published)} published")


@dataclass(frozen=True)
class Ablations:
    """A list of variants of one family's recipe."""

    family: str
    variants: dict[str, Variant] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()

    def __post_init__(self) -> None:
        named = [v.after for v in self.variants.values() if v.after]
        named += [row for table in self.tables for row in table.rows]
        for name in named:
            if name not in self.variants:
                raise ValueError(f"variant {name!r} is named but not defined")

    def chosen(self, only: Sequence[str]) -> list[str]:
        """All variants, or some with what they start from, in an order that can be run."""
        unknown = [name for name in only if name not in self.variants]
        if unknown:
            raise UsageError(f"--only {unknown[0]}: no such variant; known: {', '.join(self.variants)}")
        order: list[str] = []
        for name in only or self.variants:
            chain = [name]
            while (before := self.variants[chain[0]].after) and before not in chain:
                chain.insert(0, before)
            order += [link for link in chain if link not in order]
        return order


def run_ablations(
    ablations: Ablations, train: Train, recipe: str, out: Path, only: Sequence[str], overrides: Sequence[str]
) -> dict[str, str]:
    """Runs what is not finished yet, each variant in a folder of its own; returns faults by variant.

    A variant that fails is named in the table and the others go on. overrides: for all variants.
    """
    faults: dict[str, str] = {}
    for name in ablations.chosen(only):
        variant, folder = ablations.variants[name], out / name
        settings = [*overrides, *variant.set, f"out={folder}"]
        if variant.after:
            settings.append(f"start_from={out / variant.after / LAST}")
        if variant.after in faults:
            faults[name] = f"{variant.after}, which it starts from, failed"
        elif not _finished(folder, recipe, settings):
            try:
                if leads_run():
                    write_json_atomic(folder / STARTED, {"recipe": recipe, "set": settings})
                train(recipe, True, settings)
            except EdgeRgbtError as error:
                if dist.is_initialized():  # the other processes may not have failed and wait for this one
                    raise
                faults[name] = str(error)
                print(f"{name}: {error}")
        if leads_run():
            write_tables(ablations, out, faults)
    return faults


def _finished(folder: Path, recipe: str, settings: list[str]) -> bool:
    """True after a whole run of the same settings. Raises UsageError if the folder has one of others."""
    started = folder / STARTED
    if not started.is_file():
        return False
    if json.loads(started.read_text(encoding="utf-8")) != {"recipe": recipe, "set": settings}:
        raise UsageError(f"{folder} holds a run of other settings; choose another --out or remove it")
    return (folder / SUMMARY_FILE).is_file()


def write_tables(ablations: Ablations, out: Path, faults: dict[str, str]) -> None:
    """`ablations.json` and `ablations.md` in `out`: every table with what is known so far."""
    measured = {name: _last_validation(out / name) for name in ablations.variants}
    rows: dict[str, Any] = {
        name: {"text": variant.text, "validation": measured[name], "fault": faults.get(name)}
        for name, variant in ablations.variants.items()
    }
    write_json_atomic(out / RESULTS, {"family": ablations.family, "variants": rows})
    columns = sorted({key for values in measured.values() for key in values or {} if key != "step"})
    lines = [f"# Ablations of {ablations.family}", ""]
    lines += ["Measured: on the recipe's held-out samples, not by the toolkit of the published figures.", ""]
    for table in ablations.tables:
        header = ["variant", *columns, "steps", "published"]
        lines += [f"## {table.title}", "", _row(header), _row(["---"] * len(header))]
        for name, published in zip(table.rows, table.published or [""] * len(table.rows), strict=True):
            values = measured[name]
            cells = [f"{values[c]:.4g}" if values and c in values else "" for c in columns]
            state = str(values["step"]) if values else faults.get(name, "not run")
            lines.append(_row([ablations.variants[name].text, *cells, state, published]))
        lines.append("")
    write_text_atomic(out / TABLE, "\n".join(lines))


def _last_validation(folder: Path) -> dict[str, Any] | None:
    path = folder / SUMMARY_FILE
    if not path.is_file():
        return None
    validations = json.loads(path.read_text(encoding="utf-8"))["validation"]
    return validations[-1] if validations else None


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
