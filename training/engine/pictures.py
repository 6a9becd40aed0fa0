"""Crops as one picture, with the true and the predicted box on each."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

TRUE_COLOUR, PREDICTED_COLOUR = (60, 220, 120), (255, 90, 70)  # RGB
CELL = 192  # side of one crop in the picture, pixels
GAP = 4


def draw_crops(
    columns: Sequence[np.ndarray], truth: np.ndarray, predicted: np.ndarray | None = None
) -> np.ndarray:
    """One row per sample, one column per kind of picture (RGB, thermal, fused ...); RGB uint8.

    columns: uint8 `[B, S, S, 3]` or `[B, S, S]` each. truth: xywh, predicted: cxcywh, `[B, 4]`, fractions;
    without predictions only the true box is drawn.
    """
    rows = []
    for i in range(len(truth)):
        x, y, w, h = truth[i]
        boxes: list[tuple[tuple[float, ...], tuple[int, int, int]]] = [((x, y, x + w, y + h), TRUE_COLOUR)]
        if predicted is not None:
            cx, cy, pw, ph = predicted[i]
            boxes.append(((cx - pw / 2, cy - ph / 2, cx + pw / 2, cy + ph / 2), PREDICTED_COLOUR))
        cells = [_cell(column[i], boxes) for column in columns]
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def as_pixels(pictures: Tensor) -> np.ndarray:
    """`[B, 3, H, W]` in 0..1 to uint8 `[B, H, W, 3]`."""
    return (pictures.detach().float().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _cell(crop: np.ndarray, boxes: Sequence[tuple[tuple[float, ...], tuple[int, int, int]]]) -> np.ndarray:
    if crop.ndim == 2:
        crop = np.repeat(crop[..., None], 3, axis=-1)
    picture = cv2.resize(np.ascontiguousarray(crop), (CELL, CELL), interpolation=cv2.INTER_LINEAR)
    for corners, colour in boxes:
        points = np.clip(np.nan_to_num(np.asarray(corners, float)), -1, 2) * CELL
        left, top, right, bottom = (round(float(p)) for p in points)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
    return cv2.copyMakeBorder(picture, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(24, 24, 24))
