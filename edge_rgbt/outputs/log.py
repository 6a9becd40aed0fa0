"""The track as a table: one line per pair, as JSON Lines or CSV by the file's ending."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from edge_rgbt.errors import UsageError
from edge_rgbt.files import atomic_path
from edge_rgbt.outputs.overlay import overlap
from edge_rgbt.types import Box, TrackState, TrackStatus

BOX_FIELDS = ("x", "y", "w", "h")


class TrackLog:
    """Writes one line per state; the file appears under its name at `close`, whole or not at all.

    path ends in .jsonl or .csv. A CSV file is written at the end, when all its columns are known.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        writers: dict[str, Callable[[dict[str, Any]], None]] = {
            ".jsonl": self._write_json,
            ".csv": self._write_csv,
        }
        if self.path.suffix not in writers:
            raise UsageError(f"{self.path}: a track log ends in .jsonl or .csv")
        self._write_row = writers[self.path.suffix]
        self.lines = 0
        self._start_ns: int | None = None
        self._table: list[dict[str, Any]] = []
        self._files = ExitStack()
        part = self._files.enter_context(atomic_path(self.path))
        self._text: TextIO = self._files.enter_context(part.open("w", encoding="utf-8", newline=""))

    def write(
        self,
        state: TrackState,
        truth: Box | None = None,
        visible: bool | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds one line. truth: where the target really is; visible: whether it can be seen there."""
        if self._start_ns is None:
            self._start_ns = state.timestamp_ns
        row = {"frame": self.lines, **track_row(state, self._start_ns, truth, visible), **(extra or {})}
        try:
            self._write_row(row)
        except OSError as error:
            self._close(error)
        self.lines += 1

    def close(self) -> None:
        """Finishes the file. May be called twice."""
        self.__exit__(None, None, None)

    def __enter__(self) -> TrackLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._table:
            self._write_table()
        self._files.__exit__(kind, error, trace)

    def _close(self, error: OSError) -> None:
        """Removes the unfinished file and raises the disk's refusal as one line."""
        self._files.__exit__(type(error), error, error.__traceback__)

    def _write_json(self, row: dict[str, Any]) -> None:
        self._text.write(json.dumps(row, allow_nan=False) + "\n")

    def _write_csv(self, row: dict[str, Any]) -> None:
        self._table.append(dict(flatten(row)))

    def _write_table(self) -> None:
        columns = list(dict.fromkeys(name for row in self._table for name in row))
        table = csv.DictWriter(self._text, columns, restval="")
        try:
            table.writeheader()
            table.writerows(self._table)
        except OSError as error:
            self._close(error)
        self._table.clear()


def track_row(
    state: TrackState, start_ns: int, truth: Box | None = None, visible: bool | None = None
) -> dict[str, Any]:
    """One state as plain values: seconds since `start_ns`, RGB pixels, ms; None where unknown."""
    return {
        "time_s": round((state.timestamp_ns - start_ns) / 1e9, 6),
        "timestamp_ns": state.timestamp_ns,
        "status": state.status.value,
        "score": round(state.score, 4),
        "confidence": round(state.confidence, 4),
        "usable": state.usable.value,
        "unconfirmed_ms": round(state.unconfirmed_ns / 1e6, 3),
        "box": _numbers(state.box),
        "truth": None if truth is None else _numbers(truth),
        "visible": visible,
        "overlap": _overlap_or_none(state, truth),
        "skew_ms": round(state.skew_ns / 1e6, 3),
        "total_ms": round(state.total_ms, 3),
        "stages_ms": {timing.stage: round(timing.duration_ns / 1e6, 3) for timing in state.timings},
    }


def flatten(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Boxes become four columns and stage times one each, so that a row fits a table."""
    cells: list[tuple[str, Any]] = []
    for name, value in row.items():
        if name in ("box", "truth"):
            cells += [
                (f"{name}_{axis}", None if value is None else value[i]) for i, axis in enumerate(BOX_FIELDS)
            ]
        elif isinstance(value, Mapping):
            cells += [
                (f"{key}_ms" if name == "stages_ms" else f"{name}_{key}", v) for key, v in value.items()
            ]
        else:
            cells.append((name, value))
    return cells


def _overlap_or_none(state: TrackState, truth: Box | None) -> float | None:
    if truth is None or state.status is TrackStatus.IDLE:
        return None
    return round(overlap(state.box, truth), 4)


def _numbers(box: Box) -> list[float]:
    return [round(float(value), 3) for value in box.as_tuple()]
