"""Reads a soak's finished recordings, file by file, in a process of its own, and removes them.

Run as a program: file names on standard input, one JSON line for each on standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from soak_world import TimeCheck

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.recording import open_recording, topics
from edge_rgbt.recording.reader import RecordedFrame, RecordedNote, RecordedPair


def examined(path: Path) -> dict[str, Any]:
    """What one file holds; `wrong`: recorded tracks whose time is not the truth's."""
    found: Counter[str] = Counter()
    health: dict[str, Any] = {}
    try:
        recording = open_recording(path)
        for entry in recording:
            if isinstance(entry, RecordedFrame):
                found["frames"] += 1
            elif isinstance(entry, RecordedPair) and entry.step is not None and entry.step.state is not None:
                found["tracks"] += 1
                found["wrong"] += _wrong(entry)
            elif isinstance(entry, RecordedNote) and entry.topic == topics.EVENT:
                found[f"event {entry.value['name']}"] += 1
            elif isinstance(entry, RecordedNote) and entry.topic in topics.MAVLINK.values():
                found["mavlink"] += 1
            elif isinstance(entry, RecordedNote) and entry.topic == topics.HEALTH:
                found["health"] += 1
                health = dict(entry.value)
        found["whole"] += all(end.whole for end in recording.ends.values())
        found["opened"] += 1
    except EdgeRgbtError as error:
        return {"refused": str(error)}
    counters = (health.get("service") or {}).get("counters", {})
    return {**found, "counters": counters}


def _wrong(entry: RecordedPair) -> bool:
    about = entry.about[entry.about["paced_by"]]
    state = entry.step.state if entry.step else None
    assert state is not None
    stamp_ns, uncertain_ns = state.timestamp_ns, about["time_uncertainty_ns"]
    return TimeCheck.of(about["source"], stamp_ns, about["time_source"], uncertain_ns).wrong


class Janitor:
    """Takes finished files away from the small disk while the flight goes on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._done = folder, folder / "done"
        self._done.mkdir()
        self.totals: Counter[str] = Counter()
        self.refused: list[str] = []
        self.last_counters: dict[str, int] = {}
        self.last_whole = False
        self._process = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def run(self, ended: threading.Event) -> None:
        while not ended.wait(1.0):
            self.sweep(keep=1)

    def sweep(self, keep: int) -> None:
        """Examines and removes all files but the newest `keep`."""
        files = sorted(self._folder.glob("*.mcap"), key=lambda path: path.stat().st_mtime_ns)
        for path in files[: len(files) - keep]:
            moved = self._done / path.name
            path.rename(moved)
            self._examine(moved)

    def _examine(self, path: Path) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.totals["files"] += 1
        print(path, file=self._process.stdin, flush=True)
        found = json.loads(self._process.stdout.readline())
        if refused := found.pop("refused", None):
            self.refused.append(refused)
        self.last_counters = found.pop("counters", None) or self.last_counters
        self.totals.update(found)
        self.last_whole = bool(found.get("whole"))
        with suppress(FileNotFoundError):
            path.unlink()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # whatever the soak itself runs with
    for line in sys.stdin:
        print(json.dumps(examined(Path(line.strip()))), flush=True)
