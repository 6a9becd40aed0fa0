"""Writing packs: shard after shard is appended, so that a stopped or killed run goes on where it was."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.files import write_json_atomic
from training.data.packed import FORMAT, PACK_FILE, PICTURES_FILE, ROW, ROWS_FILE

JOURNAL_FILE = "journal.jsonl"


@dataclass
class ShardBytes:
    """One shard in memory; `start` in its rows counts from the beginning of its own `pictures`."""

    name: str
    rows: np.ndarray
    pictures: bytes
    faults: Sequence[str] = ()


class ShardBuilder:
    """Collects pictures and rows of one shard."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rows: list[np.ndarray] = []
        self._pictures: list[bytes] = []
        self._size = 0

    def add_pair(self, rgb: bytes, tir: bytes) -> tuple[int, int, int]:
        """Appends two encoded pictures; returns what `add_row` wants to know about them."""
        place = (self._size, len(rgb), len(tir))
        self._pictures += [rgb, tir]
        self._size += len(rgb) + len(tir)
        return place

    def add_row(
        self,
        frame: int,
        place: tuple[int, int, int] = (0, 0, 0),
        box: Sequence[float] = (0, 0, 0, 0),
        object_id: int = 0,
        visibility: float = 1.0,
        is_target: bool = True,
        moving: bool = True,
    ) -> None:
        """One record; without a place there is no picture and the target counts as invisible."""
        record = (*place, frame, object_id, tuple(box), visibility, is_target, moving)
        self._rows.append(np.array([record], ROW))

    def build(self, faults: Sequence[str] = ()) -> ShardBytes:
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, ROW)
        return ShardBytes(self.name, rows, b"".join(self._pictures), faults)


def encode(image: np.ndarray, quality: int) -> bytes:
    """JPEG of an RGB `[H, W, 3]` or one-channel picture."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise EdgeRgbtError(f"a picture of {image.shape[1]}x{image.shape[0]} cannot be written as JPEG")
    return data.tobytes()


class PackWriter:
    """Appends shards to a pack. What a killed run left half-written is cut off and made again.

    settings: how pictures are made; a run that continues another must have the same.
    """

    def __init__(self, out: Path, kind: str, settings: dict[str, Any]) -> None:
        self.out = out
        self.head = {"kind": kind, "format": FORMAT, "settings": settings}
        if (out / PACK_FILE).is_file():
            raise UsageError(f"{out}: holds a finished pack; choose another --out or remove it")
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._entries = self._resume()
        except OSError as error:
            raise _disk_error(out, error) from error

    @property
    def done(self) -> set[str]:
        """Names of the shards that are there."""
        return {entry["name"] for entry in self._entries}

    def add(self, shard: ShardBytes) -> None:
        """Appends one shard whole. Raises EdgeRgbtError when the disk refuses."""
        rows = shard.rows.copy()
        rows["start"] += self._end("pictures")
        entry = {
            "name": shard.name,
            "pictures": self._end("pictures") + len(shard.pictures),
            "rows": self._end("rows") + len(rows),
        }
        try:
            for name, data in ((PICTURES_FILE, shard.pictures), (ROWS_FILE, rows.tobytes())):
                with (self.out / name).open("ab") as file:
                    file.write(data)
            with (self.out / JOURNAL_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")  # last: a shard counts once its line is whole
        except OSError as error:
            raise _disk_error(self.out, error) from error
        self._entries.append(entry)

    def finish(self) -> int:
        """Writes the index, after which the pack can be opened. Returns the bytes of its pictures."""
        if self._end("rows") == 0:
            raise EdgeRgbtError(f"{self.out}: nothing was packed; look at what was skipped")
        index = {
            **self.head,
            "picture_bytes": self._end("pictures"),
            "shards": [[entry["name"], entry["rows"]] for entry in self._entries],
        }
        write_json_atomic(self.out / PACK_FILE, index)
        (self.out / JOURNAL_FILE).unlink()
        return self._end("pictures")

    def _end(self, what: str) -> int:
        return self._entries[-1][what] if self._entries else 0

    def _resume(self) -> list[dict[str, Any]]:
        """Entries of whole shards; data files are cut to them. Starts afresh where there is no journal."""
        journal = self.out / JOURNAL_FILE
        lines = journal.read_bytes().split(b"\n")[:-1] if journal.is_file() else []  # a torn last line is cut
        head, entries = (
            (json.loads(lines[0]), [json.loads(line) for line in lines[1:]]) if lines else ({}, [])
        )
        if lines and head != json.loads(json.dumps(self.head)):
            raise UsageError(f"{self.out}: was begun with other settings; repeat those or remove the folder")
        journal.write_text("".join(json.dumps(v) + "\n" for v in (self.head, *entries)), encoding="utf-8")
        ends = (entries[-1]["pictures"], entries[-1]["rows"] * ROW.itemsize) if entries else (0, 0)
        for name, end in zip((PICTURES_FILE, ROWS_FILE), ends, strict=True):
            with (self.out / name).open("ab") as file:
                file.truncate(end)
        return entries


@dataclass(frozen=True)
class ShardJob:
    """A shard that can be made, perhaps in another process: `make` and all that it holds is copied there."""

    name: str
    make: Callable[[], ShardBytes]


def write_shards(writer: PackWriter, jobs: Sequence[ShardJob], workers: int, unit: str) -> list[str]:
    """Makes and appends all shards that are not there yet, in order. Returns their faults."""
    todo = [job.make for job in jobs if job.name not in writer.done]
    faults: list[str] = []
    with tqdm(initial=len(jobs) - len(todo), total=len(jobs), desc="pack", unit=unit) as progress:
        for shard in _ahead(todo, workers):
            writer.add(shard)
            faults += shard.faults
            progress.update()
    return faults


def _ahead(todo: Sequence[Callable[[], ShardBytes]], workers: int) -> Iterator[ShardBytes]:
    """Results in order; only so many wait in memory as there are workers."""
    if workers <= 1:
        for make in todo:
            yield make()
        return
    waiting: deque[Future[ShardBytes]] = deque()
    cv2.setNumThreads(1)  # OpenCV's threads do not survive a fork; the workers would wait for them
    with ProcessPoolExecutor(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for make in todo:
            waiting.append(pool.submit(make))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _disk_error(out: Path, error: OSError) -> EdgeRgbtError:
    return EdgeRgbtError(
        f"cannot write {out}: {error.strerror or error}; free space and run the same command again"
    )
