"""Packs: thousands of small picture files as one file with an index, made by `python -m training pack`.

A pack is a folder: `pictures.bin` holds encoded pictures one after another, `rows.bin` one record per box
(or pair), `pack.json`, written last, says what it is. Without `pack.json` it is not finished.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.types import Box
from training.data.samples import AlignedImages, Moment

FORMAT = 1
PACK_FILE, PICTURES_FILE, ROWS_FILE = "pack.json", "pictures.bin", "rows.bin"
SEQUENCES, FLIGHTS, PAIRS = "sequences", "flights", "pairs"
# The thermal picture follows the RGB one. A row without a target has no picture and a box of zeros; rows
# of one picture (several objects) repeat its place. Boxes are in pixels of the picture as stored.
ROW = np.dtype(
    [
        ("start", "<i8"),
        ("rgb_bytes", "<i4"),
        ("tir_bytes", "<i4"),
        ("frame", "<i4"),
        ("object", "<i4"),
        ("box", "<f4", (4,)),
        ("visibility", "<f4"),
        ("is_target", "?"),
        ("moving", "?"),
    ]
)


@dataclass(frozen=True)
class Shard:
    """One sequence, flight or folder of pairs of a pack: its name and its records."""

    name: str
    rows: np.ndarray


class Pack:
    """A finished pack, opened for reading. Its picture file is mapped once per process."""

    def __init__(self, folder: Path, kind: str, about: dict[str, Any], shards: list[Shard]) -> None:
        self.folder = folder
        self.kind = kind
        self.about = about
        self.shards = shards
        self._bytes: np.ndarray = np.memmap(folder / PICTURES_FILE, np.uint8, "r")

    def images(self, shard: Shard, row: int) -> AlignedImages:
        """The row's pictures. Raises SequenceError naming pack, shard and frame if they are damaged."""
        record = shard.rows[row]
        middle = int(record["start"]) + int(record["rgb_bytes"])
        rgb = _decode(self._bytes[int(record["start"]) : middle], cv2.IMREAD_COLOR)
        tir = _decode(self._bytes[middle : middle + int(record["tir_bytes"])], cv2.IMREAD_GRAYSCALE)
        if rgb is None or tir is None:
            raise SequenceError(
                f"{self.folder}/{PICTURES_FILE}: frame {record['frame']} of {shard.name} is damaged"
            )
        if rgb.shape[:2] != tir.shape:
            raise SequenceError(
                f"{self.folder}/{PICTURES_FILE}: frame {record['frame']} of {shard.name} is "
                f"{rgb.shape[1]}x{rgb.shape[0]} in RGB but {tir.shape[1]}x{tir.shape[0]} in thermal"
            )
        return AlignedImages(cv2.cvtColor(rgb, cv2.COLOR_BGR2RGB), tir)


class PackedTrack:
    """One packed sequence as a training source sees it (a `Track`)."""

    def __init__(self, pack: Pack, shard: Shard) -> None:
        self.name = shard.name
        self.visible = shard.rows["rgb_bytes"] > 0
        self._pack, self._shard = pack, shard

    def moment(self, row: int) -> Moment:
        """Raises SequenceError naming what is damaged."""
        box = Box(*map(float, self._shard.rows["box"][row]))
        return Moment(self._pack.images(self._shard, row), box)


def is_pack(folder: Path) -> bool:
    """True for a pack, finished or not."""
    return (folder / PICTURES_FILE).is_file()


def open_pack(folder: Path, kind: str) -> Pack:
    """Opens a finished pack of a kind. Raises UsageError where it is none, unfinished or of another size."""
    if not (folder / PACK_FILE).is_file():
        raise UsageError(f"{folder}: the pack is not finished; run its `python -m training pack` again")
    try:
        about = json.loads((folder / PACK_FILE).read_text(encoding="utf-8"))
        found, version = about["kind"], about["format"]
        ends = [(str(name), int(end)) for name, end in about["shards"]]
        sizes = {PICTURES_FILE: about["picture_bytes"], ROWS_FILE: ends[-1][1] * ROW.itemsize}
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(f"{folder}/{PACK_FILE}: is not the index of a pack; pack the data again") from error
    if version != FORMAT:
        raise UsageError(f"{folder}: is a pack of format {version}, this is {FORMAT}; pack the data again")
    if found != kind:
        raise UsageError(f"{folder}: is a pack of {found} where {kind} belong")
    for name, size in sizes.items():
        actual = (folder / name).stat().st_size if (folder / name).is_file() else 0
        if actual != size:
            raise UsageError(f"{folder / name}: holds {actual} bytes instead of {size}; copy the pack again")
    rows = np.fromfile(folder / ROWS_FILE, ROW)
    shards, first = [], 0
    for name, end in ends:
        shards.append(Shard(name, rows[first:end]))
        first = end
    return Pack(folder, kind, about, shards)


def _decode(data: np.ndarray, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        return None
