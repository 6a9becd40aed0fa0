"""The log of a run, one JSON object a line, and its summary, small enough to be kept with the recipe."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from edge_rgbt.files import write_json_atomic, write_text_atomic

LOG_FILE, SUMMARY_FILE = "log.jsonl", "summary.json"
SUMMARY_ROWS = 12  # points of the training curve that a summary keeps
SUMMARY_SKIPPED = 5  # frames that could not be read which a summary names


def append_log(out: Path, entry: dict[str, Any]) -> None:
    """Adds one line with the wall clock; a torn last line after a crash harms nobody."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({**entry, "time": round(time.time())}) + "\n")


def read_log(out: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's log; none if there is no log yet."""
    path = out / LOG_FILE
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:  # the line a crash tore
            continue
    return entries


def rewind_log(out: Path, step: int) -> None:
    """Takes out what a stopped run logged after the checkpoint that it now goes on from."""
    kept = [entry for entry in read_log(out) if entry.get("step", 0) <= step]
    write_text_atomic(out / LOG_FILE, "".join(json.dumps(entry) + "\n" for entry in kept))


def skipped_frames(entries: list[dict[str, Any]]) -> list[str]:
    """The frames that a log names as unreadable, in its order."""
    return [entry["skipped"] for entry in entries if "skipped" in entry]


def write_summary(out: Path, recipe: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Writes and returns recipe, machine, a thinned training curve, every validation and skipped frames."""
    entries = read_log(out)
    skipped = skipped_frames(entries)
    curve = [entry for entry in entries if "total" in entry]
    stride = max(1, -(-len(curve) // SUMMARY_ROWS))
    summary = {
        "recipe": recipe,
        "machine": machine,
        "validation": [{"step": e["step"], **e["validation"]} for e in entries if "validation" in e],
        "curve": curve[stride - 1 :: stride],
        "skipped": {"frames": len(skipped), "first": skipped[:SUMMARY_SKIPPED]},
    }
    write_json_atomic(out / SUMMARY_FILE, summary)
    return summary
