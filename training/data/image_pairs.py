"""Aligned visible/thermal image pairs in memory: RoadScene, LLVIP and others in that folder layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge_rgbt.errors import SequenceError, UsageError
from training.data.samples import AlignedImages

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
LONG_SIDE_PX = 640


def load_image_pairs(folders: Sequence[Path | str]) -> list[AlignedImages]:
    """Reads `<folder>/{visible,infrared}/NAME` by sorted name, shrunk to at most 640 px on the long side.

    Raises UsageError for a folder without pairs, SequenceError for an image that cannot be read.
    """
    pairs: list[AlignedImages] = []
    for folder in map(Path, folders):
        names = sorted(_image_names(folder / "visible") & _image_names(folder / "infrared"))
        if not names:
            raise UsageError(
                f"{folder}: no image stands in both visible/ and infrared/; give a folder of pairs"
            )
        for name in tqdm(names, desc=f"pairs {folder.name}", unit="pair", leave=False):
            pairs.append(_load_pair(folder / "visible" / name, folder / "infrared" / name))
    return pairs


def _image_names(folder: Path) -> set[str]:
    return (
        {p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES} if folder.is_dir() else set()
    )


def _load_pair(visible: Path, infrared: Path) -> AlignedImages:
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
