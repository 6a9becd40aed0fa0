"""Things that stand out by their heat, cut out of aligned image pairs along their own outline.

People, vehicles and posts in thermal pictures are often warmer than all that surrounds them; where such a
patch has the shape of one body, its outline also cuts the thing out of the visible picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.types import Box
from training.data.samples import AlignedImages
from training.data.sprites import SPRITE_LONG_SIDE_PX, Part, Sprite

HEAT_STEPS = (35, 60, 90)  # grey levels above the surroundings; a lower one takes in more of a body
BACKGROUND_WINDOW_PX = 92  # things wider than this are surroundings
SHORT_SIDE_PX, LONG_SIDE_PX = 11, 150
LEAST_LONG_SIDE_PX = 26
ASPECT = (0.2, 3.5)
LEAST_FILL = 0.45  # of its box
LEAST_SOLIDITY = 0.78  # of its convex hull
BORDER_PX = 2


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A warm thing: the picture it stands in (a place in the bank), its box there, and its own look."""

    source: int
    box: Box
    sprite: Sprite


def find_cutouts(bank: list[AlignedImages]) -> list[Cutout]:
    """All things of a bank, none overlapping another of the same picture."""
    found = []
    for number, pair in enumerate(bank):
        for box, outline in _warm_bodies(pair.tir):
            found.append(Cutout(number, box, _as_sprite(pair, box, outline)))
    return found


def _warm_bodies(tir: np.ndarray) -> list[tuple[Box, np.ndarray]]:
    """Boxes and outlines (uint8 0 or 1, as large as the box) of bodies warmer than their surroundings."""
    height, width = tir.shape
    small = cv2.resize(tir, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BACKGROUND_WINDOW_PX // 4,) * 2)
    surroundings = cv2.resize(cv2.morphologyEx(small, cv2.MORPH_OPEN, window), (width, height))
    warmth = cv2.GaussianBlur(cv2.subtract(tir, surroundings), (0, 0), 1.0)
    kept: list[tuple[Box, np.ndarray]] = []
    for step in HEAT_STEPS:
        count, labels, stats, _ = cv2.connectedComponentsWithStats((warmth > step).astype(np.uint8))
        for label in range(1, count):
            x, y, w, h, area = (int(v) for v in stats[label])
            outside = min(x, y, width - x - w, height - y - h) < BORDER_PX
            if outside or not _fits(w, h, area):
                continue
            outline = (labels[y : y + h, x : x + w] == label).astype(np.uint8)
            box = Box(x, y, w, h)
            if _is_solid(outline) and not any(_overlap(box, other) for other, _ in kept):
                kept.append((box, outline))
    return kept


def _fits(w: int, h: int, area: int) -> bool:
    return (
        min(w, h) >= SHORT_SIDE_PX
        and LEAST_LONG_SIDE_PX <= max(w, h) <= LONG_SIDE_PX
        and ASPECT[0] < w / h < ASPECT[1]
        and area >= LEAST_FILL * w * h
    )


def _is_solid(outline: np.ndarray) -> bool:
    contours, _ = cv2.findContours(outline, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    return cv2.contourArea(largest) >= LEAST_SOLIDITY * cv2.contourArea(cv2.convexHull(largest))


def _overlap(a: Box, b: Box) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def _as_sprite(pair: AlignedImages, box: Box, outline: np.ndarray) -> Sprite:
    x, y, w, h = (int(v) for v in box.as_tuple())
    to = (SPRITE_LONG_SIDE_PX, SPRITE_LONG_SIDE_PX)
    rgb, tir, mask = (
        cv2.resize(image, to, interpolation=cv2.INTER_LINEAR)
        for image in (pair.rgb[y : y + h, x : x + w], pair.tir[y : y + h, x : x + w], outline * 255)
    )
    return Sprite((Part(rgb, tir, mask, (0.5, 0.5), (1.0, 1.0)),), w / h)
