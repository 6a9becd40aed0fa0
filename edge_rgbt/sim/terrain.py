"""Paints the plan of the world into a map of materials and a map of road paint."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from edge_rgbt.sim.layout import PERIOD_M, SIDEWALK_M, Block, Layout, Road
from edge_rgbt.sim.materials import HARD, Material
from edge_rgbt.sim.noise import fractal_noise, generator

MAP_PX = 3072
SHIFT = 4
_BUILT = np.array([255 if m in (*HARD, Material.FOUNDATION) else 0 for m in range(256)], np.uint8)


class Canvas:
    """A periodic 8-bit map that takes polygons in metres."""

    def __init__(self, size: int = MAP_PX, fill: int = 0, soft: bool = False) -> None:
        self.image = np.full((size, size), fill, np.uint8)
        self._line = cv2.LINE_AA if soft else cv2.LINE_8
        self._scale = size / PERIOD_M

    def polygon(self, points_m: np.ndarray, value: int) -> None:
        """Fills a polygon in metres, and its copies across the border of the period."""
        low, high = points_m.min(0), points_m.max(0)
        for dx in (-PERIOD_M, 0.0, PERIOD_M):
            for dy in (-PERIOD_M, 0.0, PERIOD_M):
                if high[0] + dx < 0 or high[1] + dy < 0 or low[0] + dx > PERIOD_M or low[1] + dy > PERIOD_M:
                    continue
                px = (points_m + np.array([dx, dy])) * self._scale - 0.5
                cv2.fillPoly(
                    self.image, [np.round(px * (1 << SHIFT)).astype(np.int32)], value, self._line, SHIFT
                )

    def strip(self, left: np.ndarray, right: np.ndarray, value: int) -> None:
        self.polygon(np.concatenate([left, right[::-1]]), value)


def _rect(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _stroke(canvas: Canvas, line: np.ndarray, width: float, value: int) -> None:
    tangent = np.gradient(line, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    canvas.strip(line + normal * width / 2, line - normal * width / 2, value)


def _paint_field(canvas: Canvas, block: Block, rng: np.random.Generator) -> None:
    crops = (Material.CROP_GREEN, Material.CROP_RIPE, Material.SOIL, Material.MEADOW, Material.CROP_GREEN)
    along_x = rng.random() < 0.5
    low, high = (block.x0, block.x1) if along_x else (block.y0, block.y1)
    edges = [low]
    while edges[-1] < high:
        edges.append(edges[-1] + rng.uniform(16, 55))
    for a, b in itertools.pairwise(edges):
        b = min(b, high) - 0.8
        tilt = rng.uniform(-6, 6)
        crop = int(rng.choice(crops))
        if along_x:
            quad = [
                [a, block.y0],
                [b, block.y0],
                [min(b + tilt, high), block.y1],
                [max(a + tilt, low), block.y1],
            ]
        else:
            quad = [
                [block.x0, a],
                [block.x0, b],
                [block.x1, min(b + tilt, high)],
                [block.x1, max(a + tilt, low)],
            ]
        canvas.polygon(np.array(quad), crop)


def _paint_block(canvas: Canvas, lines: Canvas, block: Block, rng: np.random.Generator) -> None:
    base = {
        "park": Material.LAWN,
        "field": Material.MEADOW,
        "houses": Material.LAWN,
        "parking": Material.ASPHALT_OLD,
        "offices": Material.LAWN,
    }[block.kind]
    canvas.polygon(_rect(block.x0 - 9, block.y0 - 9, block.x1 + 9, block.y1 + 9), Material.MEADOW)
    canvas.polygon(_rect(block.x0 + 3, block.y0 + 3, block.x1 - 3, block.y1 - 3), base)
    if block.kind == "field":
        _paint_field(canvas, block, rng)
    if block.kind == "offices":  # a car park along the street, and a way in
        canvas.polygon(_rect(block.x0 + 5, block.y0 + 5, block.x1 - 5, block.y0 + 21), Material.ASPHALT_OLD)
        middle = (block.x0 + block.x1) / 2
        canvas.polygon(_rect(middle - 3, block.y0 - 2, middle + 3, block.y1 + 2), Material.PAVING)
    if block.kind in ("park", "offices"):
        for _ in range(int(rng.integers(3, 9))):  # beds, worn grass, shrubs
            c = rng.uniform((block.x0 + 10, block.y0 + 10), (block.x1 - 10, block.y1 - 10))
            a = np.linspace(0, 2 * np.pi, 22, endpoint=False)
            r = rng.uniform(1.5, 7) * (1 + 0.25 * np.sin(2 * a + rng.uniform(0, 6)) + 0.15 * np.sin(5 * a))
            kinds = (Material.SHRUB, Material.MEADOW, Material.SOIL, Material.LAWN)
            canvas.polygon(c + np.stack([r * np.cos(a) * 1.5, r * np.sin(a)], -1), int(rng.choice(kinds)))
    for path in block.paths:
        _stroke(canvas, path, float(rng.uniform(1.6, 2.8)), Material.GRAVEL)
    if block.pond is not None:
        centre = block.pond.mean(0)
        canvas.polygon(centre + (block.pond - centre) * 1.06, Material.SOIL)
        canvas.polygon(block.pond, Material.WATER)
    for x, y, _ in block.slots:
        for dx in (-1.3, 1.3):
            lines.polygon(_rect(x + dx - 0.06, y - 2.5, x + dx + 0.06, y + 2.5), 255)


def _paint_road(canvas: Canvas, lines: Canvas, road: Road, rng: np.random.Generator) -> None:
    s = np.linspace(-8, PERIOD_M + 8, 170)
    half = road.half_width
    if road.has_sidewalk:
        edge = half + SIDEWALK_M
        canvas.strip(road.point(s, edge), road.point(s, -edge), Material.PAVING)
        canvas.strip(road.point(s, half + 0.25), road.point(s, -half - 0.25), Material.KERB)
    elif road.surface == "asphalt":
        canvas.strip(road.point(s, half + 0.9), road.point(s, -half - 0.9), Material.GRAVEL)
    surface = Material.DIRT if road.surface == "dirt" else int(rng.choice([0, 0, 1]))
    canvas.strip(road.point(s, half), road.point(s, -half), surface)
    if road.surface == "dirt":
        canvas.strip(road.point(s, 0.45), road.point(s, -0.45), Material.MEADOW)
        return
    for _ in range(14):  # repairs and stains
        a, lat = rng.uniform(0, PERIOD_M), rng.uniform(-half + 1, half - 1)
        length, width = rng.uniform(1, 12), rng.uniform(0.5, 1.6)
        part = np.linspace(a, a + length, 6)
        canvas.strip(road.point(part, lat + width / 2), road.point(part, lat - width / 2), Material.PATCH)
    _paint_markings(lines, road, s)


def _paint_markings(canvas: Canvas, road: Road, s: np.ndarray) -> None:
    marks = [(road.half_width - 0.35, False), (-road.half_width + 0.35, False)]
    if road.lanes > 1:
        marks += [(0.18, False), (-0.18, False), (3.4, True), (-3.4, True)]
    else:
        marks.append((0.0, True))
    for lateral, dashed in marks:
        if not dashed:
            canvas.strip(road.point(s, lateral + 0.075), road.point(s, lateral - 0.075), 255)
            continue
        for start in np.arange(0, PERIOD_M, 9.0):
            part = np.array([start, start + 1.5, start + 3.0])
            canvas.strip(road.point(part, lateral + 0.075), road.point(part, lateral - 0.075), 255)


def _paint_crossing(canvas: Canvas, lines: Canvas, a: Road, b: Road, s_a: float, s_b: float) -> None:
    ha, hb = a.half_width, b.half_width
    dirt = a.surface == "dirt" or b.surface == "dirt"
    wide = _rect(s_b - ha - 1.5, s_a - hb + 0.1, s_b + ha + 1.5, s_a + hb - 0.1)
    tall = _rect(s_b - ha + 0.1, s_a - hb - 1.5, s_b + ha - 0.1, s_a + hb + 1.5)
    canvas.polygon(wide, Material.ASPHALT)
    lines.polygon(wide, 0)
    if dirt:
        return
    canvas.polygon(tall, Material.ASPHALT)
    for road, other_half, s in ((a, hb, s_a), (b, ha, s_b)):
        for side in (-1, 1):
            zebra = s + side * (other_half + 3.2)
            low, high = sorted((s + side * (other_half - 0.5), zebra + side * 2.2))
            clear = np.linspace(low, high, 4)
            lines.strip(road.point(clear, road.half_width + 1), road.point(clear, -road.half_width - 1), 0)
            span = np.array([zebra - 1.5, zebra + 1.5])
            for lateral in np.arange(-road.half_width + 0.6, road.half_width - 0.4, 1.0):
                lines.strip(road.point(span, lateral), road.point(span, lateral + 0.5), 255)
            stop = np.array([zebra + side * 2.4, zebra + side * 2.8])
            lateral = -side * np.array([0.3, road.half_width - 0.5])
            lines.strip(road.point(stop, lateral[0]), road.point(stop, lateral[1]), 255)


def _paint_homes(canvas: Canvas, layout: Layout, rng: np.random.Generator) -> None:
    """Terraces, drives and hedges around houses."""
    for b in layout.buildings:
        canvas.polygon(b.corners(1.2 if b.gabled else 5.0), Material.PAVING)
        if b.gabled:
            c, s = np.cos(b.angle), np.sin(b.angle)
            turn = np.array([[c, s], [-s, c]])
            side = float(rng.choice((-1, 1)))
            drive = _rect(b.length * 0.18, 0, b.length * 0.18 + 3.2, side * (b.width / 2 + rng.uniform(5, 9)))
            canvas.polygon(drive @ turn + (b.x, b.y), int(rng.choice((Material.PAVING, Material.GRAVEL))))
            if rng.random() < 0.6:
                far = -side * (b.width / 2 + rng.uniform(5, 7))
                hedge = _rect(-b.length * 0.7, far, b.length * 0.7, far + 0.9)
                canvas.polygon(hedge @ turn + (b.x, b.y), Material.SHRUB)
        canvas.polygon(b.corners(), Material.FOUNDATION)


def _roughen(materials: np.ndarray, seed: int) -> np.ndarray:
    """Moves every border by a few centimetres to and fro, as grass does along a kerb."""
    rng = generator(seed, "borders")
    side = MAP_PX // 3
    wave = [np.tile(fractal_noise(rng, side, 128, 3, 0.8), (1, 3)) * 0.55 for _ in range(2)]
    cols = np.arange(MAP_PX, dtype=np.float32)
    out = np.empty_like(materials)
    for top in range(0, MAP_PX, side):
        rows = np.arange(top, top + side, dtype=np.float32)[:, None]
        out[top : top + side] = cv2.remap(
            materials, wave[0] + cols, wave[1] + rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_WRAP
        )
    # built edges stay straight; only what grows or crumbles is ragged
    keep = cv2.max(cv2.LUT(materials, _BUILT), cv2.LUT(out, _BUILT))
    cv2.copyTo(materials, keep, out)
    return out


def paint_ground(layout: Layout, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Materials and coverage by road paint, uint8 `[MAP_PX, MAP_PX]`; rows grow with y, columns with x."""
    rng = generator(seed, "paint")
    canvas, lines = Canvas(fill=Material.MEADOW), Canvas(soft=True)
    for block in layout.blocks:
        _paint_block(canvas, lines, block, rng)
    for road in sorted(layout.roads, key=lambda r: r.surface != "dirt"):
        _paint_road(canvas, lines, road, rng)
    for i, j, s_a, s_b in layout.crossings:
        _paint_crossing(canvas, lines, layout.roads[i], layout.roads[j], s_a, s_b)
    _paint_homes(canvas, layout, rng)
    return _roughen(canvas.image, seed), lines.image
