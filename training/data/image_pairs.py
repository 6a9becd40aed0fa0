"""Aligned visible/thermal image pairs in memory: RoadScene, LLVIP and others in that folder layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge_rgbt.errors import SequenceError, UsageError
from training.data.packed import PAIRS, is_pack, open_pack
from training.data.samples import AlignedImages

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
LONG_SIDE_PX = 640


def load_image_pairs(folders: Sequence[Path | str]) -> list[AlignedImages]:
    """Reads `<folder>/{visible,infrared}/NAME` by sorted name, shrunk to at most 640 px on the long side.

    A folder may also be a pack of pairs.
    Raises UsageError for a folder without pairs, SequenceError for an image that cannot be read.
    """
    pairs: list[AlignedImages] = []
    for folder in map(Path, folders):
        if is_pack(folder):
            pack = open_pack(folder, PAIRS)
            pairs += [pack.images(shard, row) for shard in pack.shards for row in range(len(shard.rows))]
            continue
        for files in tqdm(list_image_pairs(folder), desc=f"pairs {folder.name}", unit="pair", leave=False):
            pairs.append(load_pair(*files))
    return pairs


def list_image_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Visible and infrared files by sorted name. Raises UsageError if there are none."""
    names = sorted(_image_names(folder / "visible") & _image_names(folder / "infrared"))
    if not names:
        raise UsageError(f"{folder}: no image stands in both visible/ and infrared/; give a folder of pairs")
    return [(folder / "visible" / name, folder / "infrared" / name) for name in names]


def _image_names(folder: Path) -> set[str]:
    return (
        {p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES} if folder.is_dir() else set()
    )


def load_pair(visible: Path, infrared: Path) -> AlignedImages:
    """One pair, shrunk. Raises SequenceError for an image that cannot be read."""
    rgb = cv2.imread(str(visible), cv2.IMREAD_COLOR)
    tir = cv2.imread(str(infrared), cv2.IMREAD_GRAYSCALE)
    if rgb is None or tir is None:
        path = visible if rgb is None else infrared
        raise SequenceError(f"{path}: cannot be read as an image; remove it or copy it again")
    scale = min(1.0, LONG_SIDE_PX / max(rgb.shape[:2]))
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    tir = cv2.resize(tir, size, interpolation=cv2.INTER_AREA)
    return AlignedImages(np.ascontiguousarray(rgb[:, :, ::-1]), tir)
