"""What is really to be seen: boxes and visible shares of the objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_rgbt.sim.camera_model import Intrinsics
from edge_rgbt.sim.items import FaceItem, Item
from edge_rgbt.types import Box, Modality


@dataclass(frozen=True)
class Truth:
    """One object in one image at one time.

    box: its full outline (hidden parts included) cut to the image, in pixels of the modality's own image;
    None when outside. full_box: the same before cutting. visibility: share of its outline that is
    inside the image and not covered, 0..1. world_position: metres, x east, y north, z up; course in
    degrees from north.
    """

    object_id: int
    kind: str
    modality: Modality
    t_ns: int
    box: Box | None
    full_box: Box | None
    visibility: float
    world_position: tuple[float, float, float]
    speed_m_s: float
    course_deg: float
    is_target: bool
    moving: bool


def clipped(bounds: np.ndarray, k: Intrinsics) -> Box | None:
    """The box of pixel bounds (x0, y0, x1, y1) inside the image; None when less than a pixel is left."""
    x0, y0 = max(float(bounds[0]), -0.5), max(float(bounds[1]), -0.5)
    x1, y1 = min(float(bounds[2]), k.width - 0.5), min(float(bounds[3]), k.height - 0.5)
    if x1 - x0 < 1.0 or y1 - y0 < 1.0:
        return None
    return Box(x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0)


def visibility(item: FaceItem, items: list[Item], k: Intrinsics) -> float:
    """Share of the item's outline inside the image and not covered by nearer items, from small masks."""
    left, top, right, bottom = item.box
    bounds = np.array(item.box)
    size = np.maximum(bounds[2:] - bounds[:2], 1e-3)
    scale = float(np.clip(40 / size.max(), 0.25, 8.0))
    origin = bounds[:2] - 1
    shape = tuple(int(v) for v in np.ceil((size[::-1] + 3) * scale))
    mask = np.zeros(shape, np.uint8)
    item.add_to_mask(mask, origin, scale, 255)
    total = int((mask > 0).sum())
    if total == 0:
        return 0.0
    start = next(n for n, other in enumerate(items) if other is item) + 1
    for other in items[start:]:
        x0, y0, x1, y1 = other.box
        if x0 > right or x1 < left or y0 > bottom or y1 < top:
            continue
        other.add_to_mask(mask, origin, scale, 0)
    ys, xs = np.nonzero(mask)
    px, py = xs / scale + origin[0], ys / scale + origin[1]
    inside = (px >= -0.5) & (px <= k.width - 0.5) & (py >= -0.5) & (py <= k.height - 0.5)
    return float(inside.sum() / total)
