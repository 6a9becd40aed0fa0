"""Small pictures with a known target for tests that need something to track."""

from __future__ import annotations

import numpy as np

from edge_rgbt.types import Box, Frame, FramePair, Modality

FRAME_NS = 33_333_333


def square_pair(
    t: int,
    box: Box | None,
    size: tuple[int, int] = (320, 256),
    thermal_dtype: type = np.uint8,
    thermal_size: tuple[int, int] | None = None,
) -> FramePair:
    """Frame t of a bright, warm rectangle on dark, cool, textured ground; box None: the ground alone."""
    width, height = size
    rng = np.random.default_rng(7)
    rgb = rng.integers(30, 50, (height, width, 3), np.uint8)
    tir = rng.integers(40, 60, (height, width), np.uint8)
    if box is not None:
        x, y = round(box.x), round(box.y)
        area = np.s_[max(0, y) : max(0, y + round(box.h)), max(0, x) : max(0, x + round(box.w))]
        rgb[area] = (220, 200, 210)
        tir[area] = 230
    if thermal_dtype is np.uint16:
        tir = tir.astype(np.uint16) * 20 + 20_000
    if thermal_size is not None:
        columns = np.arange(thermal_size[0]) * width // thermal_size[0]
        rows = np.arange(thermal_size[1]) * height // thermal_size[1]
        tir = np.ascontiguousarray(tir[rows][:, columns])
    stamp = t * FRAME_NS
    raw = thermal_dtype is np.uint16 or thermal_size is not None
    return FramePair(
        Frame(rgb, Modality.RGB, stamp, t, "square rgb"),
        Frame(tir, Modality.TIR, stamp, t, "square tir"),
        aligned=not raw,
    )


def path_box(t: int) -> Box:
    """A 24 px square that moves by up to 4 px per frame."""
    return Box(100.0 + 3.0 * t, 90.0 + 15.0 * np.sin(t / 5.0), 24.0, 24.0)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    common = max(0.0, w) * max(0.0, h)
    return common / (a.w * a.h + b.w * b.h - common)
