"""Targets made of parts cut from other pictures, and pasting them into both modalities of a scene.

Tall things (people) are part above part; a tracker trained on single patches shrinks to one of the parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.types import Box
from training.data.samples import AlignedImages

MAX_ASPECT = 3.5
SPRITE_LONG_SIDE_PX = 64


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One patch of a target with its shape, placed in the unit square of the target."""

    rgb: np.ndarray
    tir: np.ndarray
    mask: np.ndarray
    centre: tuple[float, float]
    size: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A thing that can be pasted: its parts from back to front and its width divided by its height."""

    parts: tuple[Part, ...]
    aspect: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Where and how a sprite stands in a frame: centre and size in pixels, angle in degrees, posture.

    sway: how far parts move against each other, as a fraction of the sprite; gain/bias apply per modality.
    """

    cx: float
    cy: float
    w: float
    h: float
    angle: float
    sway: float
    posture_seed: int
    rgb_gain: float = 1.0
    tir_bias: float = 0.0


def random_sprite(bank: Sequence[AlignedImages], rng: np.random.Generator) -> Sprite:
    """A target of one to four parts, compact or tall, with its own heat."""
    kind = rng.choice(["compact", "tall", "wide"], p=[0.4, 0.35, 0.25])
    aspect = {"compact": math.exp(rng.normal(0, 0.25)), "tall": 1 / rng.uniform(1.6, MAX_ASPECT)}.get(
        kind, rng.uniform(1.3, MAX_ASPECT)
    )
    heat = rng.choice([-1, 1], p=[0.3, 0.7]) * rng.uniform(20, 110) if rng.random() < 0.65 else 0.0
    if kind == "compact" and rng.random() < 0.5:
        layout = [((0.5, 0.5), (1.0, 1.0))]
    else:
        layout = _stacked_layout(int(rng.integers(2, 5)), vertical=aspect < 1, rng=rng)
    source = bank[int(rng.integers(len(bank)))]
    parts = []
    for centre, size in layout:
        if rng.random() < 0.4:
            source = bank[int(rng.integers(len(bank)))]
        part_heat = heat * rng.uniform(0.5, 1.1)
        parts.append(_random_part(source, centre, size, part_heat, rng))
    return Sprite(tuple(parts), aspect)


def _stacked_layout(
    count: int, vertical: bool, rng: np.random.Generator
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Centres and sizes of parts one beside the other along the long axis, slightly overlapping."""
    lengths = rng.uniform(0.4, 1.4, count)
    lengths /= lengths.sum()
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    widest = rng.integers(count)
    layout = []
    for i in range(count):
        across = 1.0 if i == widest else rng.uniform(0.45, 1.0)
        along = min(1.0, lengths[i] * 1.25)
        middle = float(np.clip(starts[i] + lengths[i] / 2, along / 2, 1 - along / 2))
        side = 0.5 + (1 - across) * rng.uniform(-0.5, 0.5)
        layout.append(((side, middle), (across, along)) if vertical else ((middle, side), (along, across)))
    return layout


def _random_part(
    source: AlignedImages,
    centre: tuple[float, float],
    size: tuple[float, float],
    heat: float,
    rng: np.random.Generator,
) -> Part:
    height, width = source.tir.shape
    side = int(rng.integers(12, 110))
    x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
    to = (SPRITE_LONG_SIDE_PX, SPRITE_LONG_SIDE_PX)
    rgb = cv2.resize(source.rgb[y : y + side, x : x + side], to, interpolation=cv2.INTER_LINEAR)
    tir = cv2.resize(source.tir[y : y + side, x : x + side], to, interpolation=cv2.INTER_LINEAR)
    gain = rng.uniform(0.6, 1.5, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0.7, 1.4))
    rgb = cv2.convertScaleAbs(rgb * gain.astype(np.float32))
    contrast = rng.uniform(0.3, 1.0)
    tir = np.clip((tir.astype(np.float32) - tir.mean()) * contrast + tir.mean() + heat, 0, 255).astype(
        np.uint8
    )
    return Part(rgb, tir, _random_mask(rng), centre, size)


def _random_mask(rng: np.random.Generator) -> np.ndarray:
    """`[64, 64]` uint8: an ellipse, a rectangle with round corners, or a polygon that fills the square."""
    n = SPRITE_LONG_SIDE_PX
    mask = np.zeros((n, n), np.uint8)
    kind = rng.integers(3)
    if kind == 0:
        cv2.ellipse(mask, (n // 2, n // 2), (n // 2 - 1, n // 2 - 1), 0, 0, 360, 255, -1)
    elif kind == 1:
        r = int(rng.integers(1, n // 4))
        cv2.rectangle(mask, (r, 1), (n - r - 1, n - 2), 255, -1)
        cv2.rectangle(mask, (1, r), (n - 2, n - r - 1), 255, -1)
        for corner in ((r, r), (n - r - 1, r), (r, n - r - 1), (n - r - 1, n - r - 1)):
            cv2.circle(mask, corner, r, 255, -1)
    else:
        angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(5, 9))))
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.8, 1.0, (len(angles), 1))
        low, high = points.min(axis=0), points.max(axis=0)
        points = (points - low) / (high - low) * (n - 3) + 1
        cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 255)
    return mask


def paste(scene: AlignedImages, sprite: Sprite, pose: Pose, tir_shift: tuple[float, float]) -> Box | None:
    """Draws a sprite into both images in place; the thermal one moved by `tir_shift` pixels.

    Returns the box of what it covers in the RGB image, clipped to it, or None if it lies outside.
    """
    covered = np.zeros(scene.tir.shape, np.uint8)
    posture = np.random.default_rng(pose.posture_seed)
    for part in sprite.parts:
        sway = posture.normal(0, pose.sway, 2)
        spin = posture.normal(0, 60 * pose.sway)
        matrix = _part_matrix(part, pose, sway, spin)
        _blend(scene.rgb, part.rgb, part.mask, matrix, pose.rgb_gain, 0.0, covered)
        matrix[:, 2] += tir_shift
        _blend(scene.tir, part.tir, part.mask, matrix, 1.0, pose.tir_bias, None)
    x, y, w, h = cv2.boundingRect(covered)
    return Box(x, y, w, h) if w > 0 and h > 0 else None


def _part_matrix(part: Part, pose: Pose, sway: np.ndarray, spin: float) -> np.ndarray:
    """2x3 map from the pixels of a part to the pixels of the frame."""
    n = SPRITE_LONG_SIDE_PX
    w, h = part.size[0] * pose.w, part.size[1] * pose.h
    turn, own = math.radians(pose.angle), math.radians(pose.angle + spin)
    dx, dy = (part.centre[0] - 0.5 + sway[0]) * pose.w, (part.centre[1] - 0.5 + sway[1]) * pose.h
    cx = pose.cx + dx * math.cos(turn) - dy * math.sin(turn)
    cy = pose.cy + dx * math.sin(turn) + dy * math.cos(turn)
    linear = np.array([[math.cos(own), -math.sin(own)], [math.sin(own), math.cos(own)]]) * [[w / n, h / n]]
    offset = np.array([cx, cy]) - linear @ np.array([(n - 1) / 2, (n - 1) / 2])
    return np.column_stack([linear, offset])


def _blend(
    image: np.ndarray,
    patch: np.ndarray,
    mask: np.ndarray,
    matrix: np.ndarray,
    gain: float,
    bias: float,
    covered: np.ndarray | None,
) -> None:
    """Warps a patch into the part of the image that it touches; soft edges come from the warped mask."""
    n = SPRITE_LONG_SIDE_PX
    corners = matrix[:, :2] @ np.array([[0, n, 0, n], [0, 0, n, n]]) + matrix[:, 2:]
    x0, y0 = np.maximum(np.floor(corners.min(axis=1)).astype(int) - 1, 0)
    x1 = min(math.ceil(corners[0].max()) + 2, image.shape[1])
    y1 = min(math.ceil(corners[1].max()) + 2, image.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    size = (int(x1 - x0), int(y1 - y0))
    shrinks = abs(np.linalg.det(matrix[:, :2])) < 0.25
    if shrinks:  # half the resolution first: bilinear sampling alone would alias
        patch, mask = cv2.pyrDown(patch), cv2.pyrDown(mask)
        local[:, :2] *= 2
    alpha = cv2.warpAffine(mask, local, size, flags=cv2.INTER_LINEAR).astype(np.float32) * (1 / 255)
    colour = cv2.warpAffine(patch, local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    region = image[y0:y1, x0:x1]
    if image.ndim == 3:
        alpha3 = alpha[:, :, None]
        blended = region * (1 - alpha3) + (colour * np.float32(gain)) * alpha3
    else:
        blended = region * (1 - alpha) + (colour * np.float32(gain) + np.float32(bias)) * alpha
    region[...] = np.clip(blended, 0, 255)
    if covered is not None:
        covered[y0:y1, x0:x1][alpha > 0.5] = 255
