"""Paints the plan of the world into one map of materials, then into its colours and its temperatures."""

from __future__ import annotations

import itertools
from enum import IntEnum

import cv2
import numpy as np

from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.layout import PERIOD_M, SIDEWALK_M, Block, Layout, Road
from edge_rgbt.sim.noise import fractal_noise, generator

MAP_PX = 3072
PX_PER_M = MAP_PX / PERIOD_M
SHIFT = 4


class Material(IntEnum):
    ASPHALT = 0
    ASPHALT_OLD = 1
    PAVING = 2
    PAINT = 3
    LAWN = 4
    MEADOW = 5
    SOIL = 6
    CROP_GREEN = 7
    CROP_RIPE = 8
    GRAVEL = 9
    WATER = 10
    DIRT = 11
    KERB = 12
    PATCH = 13
    SHRUB = 14
    FOUNDATION = 15


# sRGB in plain daylight; change along the tone axis (-1..1); weight of slow and of fine noise; degrees above
# air at noon sun, and loss towards a clear night sky (both per unit of stored heat)
_TABLE: dict[Material, tuple[tuple[int, int, int], tuple[int, int, int], float, float, float, float]] = {
    Material.ASPHALT: ((92, 92, 95), (16, 16, 16), 0.30, 0.42, 21.0, -9.0),
    Material.ASPHALT_OLD: ((122, 120, 116), (20, 20, 19), 0.40, 0.45, 19.0, -8.0),
    Material.PAVING: ((158, 152, 143), (22, 21, 20), 0.30, 0.42, 14.0, -5.0),
    Material.PAINT: ((212, 211, 204), (30, 30, 28), 0.25, 0.55, 13.0, -6.5),
    Material.LAWN: ((92, 118, 60), (34, 30, 20), 0.62, 0.45, 3.0, 5.0),
    Material.MEADOW: ((128, 132, 78), (42, 34, 26), 0.70, 0.48, 6.0, 4.0),
    Material.SOIL: ((140, 114, 86), (34, 30, 26), 0.55, 0.45, 13.0, 1.0),
    Material.CROP_GREEN: ((88, 112, 54), (34, 32, 20), 0.35, 0.40, 2.0, 5.0),
    Material.CROP_RIPE: ((184, 162, 102), (34, 32, 26), 0.35, 0.42, 7.0, 3.5),
    Material.GRAVEL: ((168, 160, 146), (26, 25, 24), 0.35, 0.60, 14.0, -3.0),
    Material.WATER: ((52, 72, 78), (10, 12, 12), 0.55, 0.22, -5.0, -14.0),
    Material.DIRT: ((150, 126, 96), (30, 28, 24), 0.50, 0.50, 12.0, -1.0),
    Material.KERB: ((178, 175, 168), (18, 18, 18), 0.25, 0.40, 12.0, -5.0),
    Material.PATCH: ((74, 74, 77), (12, 12, 12), 0.30, 0.42, 23.0, -9.5),
    Material.SHRUB: ((66, 88, 44), (34, 32, 20), 0.45, 0.60, 2.0, 3.0),
    Material.FOUNDATION: ((110, 106, 100), (16, 16, 16), 0.3, 0.4, 8.0, -4.0),
}


class Canvas:
    """A periodic 8-bit map that takes polygons in metres."""

    def __init__(self, size: int = MAP_PX, fill: int = 0) -> None:
        self.image = np.full((size, size), fill, np.uint8)
        self._scale = size / PERIOD_M

    def polygon(self, points_m: np.ndarray, value: int) -> None:
        low, high = points_m.min(0), points_m.max(0)
        for dx in (-PERIOD_M, 0.0, PERIOD_M):
            for dy in (-PERIOD_M, 0.0, PERIOD_M):
                if high[0] + dx < 0 or high[1] + dy < 0 or low[0] + dx > PERIOD_M or low[1] + dy > PERIOD_M:
                    continue
                px = (points_m + np.array([dx, dy])) * self._scale - 0.5
                cv2.fillPoly(
                    self.image, [np.round(px * (1 << SHIFT)).astype(np.int32)], value, cv2.LINE_8, SHIFT
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


def _paint_block(canvas: Canvas, block: Block, rng: np.random.Generator) -> None:
    base = {
        "park": Material.LAWN,
        "field": Material.MEADOW,
        "houses": Material.LAWN,
        "parking": Material.ASPHALT_OLD,
        "offices": Material.PAVING,
    }[block.kind]
    canvas.polygon(_rect(block.x0 - 9, block.y0 - 9, block.x1 + 9, block.y1 + 9), Material.MEADOW)
    canvas.polygon(_rect(block.x0 + 3, block.y0 + 3, block.x1 - 3, block.y1 - 3), base)
    if block.kind == "field":
        _paint_field(canvas, block, rng)
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
            canvas.polygon(_rect(x + dx - 0.07, y - 2.5, x + dx + 0.07, y + 2.5), Material.PAINT)


def _paint_road(canvas: Canvas, road: Road, rng: np.random.Generator) -> None:
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
    _paint_markings(canvas, road, s)


def _paint_markings(canvas: Canvas, road: Road, s: np.ndarray) -> None:
    lines = [(road.half_width - 0.35, False), (-road.half_width + 0.35, False)]
    if road.lanes > 1:
        lines += [(0.18, False), (-0.18, False), (3.4, True), (-3.4, True)]
    else:
        lines.append((0.0, True))
    for lateral, dashed in lines:
        if not dashed:
            canvas.strip(road.point(s, lateral + 0.075), road.point(s, lateral - 0.075), Material.PAINT)
            continue
        for start in np.arange(0, PERIOD_M, 9.0):
            part = np.array([start, start + 1.5, start + 3.0])
            canvas.strip(road.point(part, lateral + 0.075), road.point(part, lateral - 0.075), Material.PAINT)


def _paint_crossing(canvas: Canvas, a: Road, b: Road, s_a: float, s_b: float) -> None:
    ha, hb = a.half_width, b.half_width
    dirt = a.surface == "dirt" or b.surface == "dirt"
    canvas.polygon(
        np.array([[s_b - ha - 1.5, s_a - hb + 0.1], [s_b + ha + 1.5, s_a - hb + 0.1],
                  [s_b + ha + 1.5, s_a + hb - 0.1], [s_b - ha - 1.5, s_a + hb - 0.1]]),
        Material.ASPHALT,
    )  # fmt: skip
    if dirt:
        return
    canvas.polygon(_rect(s_b - ha + 0.1, s_a - hb - 1.5, s_b + ha - 0.1, s_a + hb + 1.5), Material.ASPHALT)
    for road, other_half, s in ((a, hb, s_a), (b, ha, s_b)):
        for side in (-1, 1):
            zebra = s + side * (other_half + 3.2)
            span = np.array([zebra - 1.5, zebra + 1.5])
            for lateral in np.arange(-road.half_width + 0.6, road.half_width - 0.4, 1.0):
                canvas.strip(road.point(span, lateral), road.point(span, lateral + 0.5), Material.PAINT)
            stop = np.array([zebra + side * 2.4, zebra + side * 2.8])
            lateral = -side * np.array([0.3, road.half_width - 0.5])
            canvas.strip(road.point(stop, lateral[0]), road.point(stop, lateral[1]), Material.PAINT)


def paint_materials(layout: Layout, seed: int) -> np.ndarray:
    """The map of materials, uint8 `[MAP_PX, MAP_PX]`; rows grow with y, columns with x."""
    rng = generator(seed, "paint")
    canvas = Canvas(fill=Material.MEADOW)
    for block in layout.blocks:
        _paint_block(canvas, block, rng)
    for road in sorted(layout.roads, key=lambda r: r.surface != "dirt"):
        _paint_road(canvas, road, rng)
    for i, j, s_a, s_b in layout.crossings:
        _paint_crossing(canvas, layout.roads[i], layout.roads[j], s_a, s_b)
    for building in layout.buildings:
        canvas.polygon(building.corners(1.2), Material.PAVING)
        canvas.polygon(building.corners(), Material.FOUNDATION)
    return canvas.image


def make_index(layout: Layout, seed: int) -> np.ndarray:
    """The whole ground as one uint8 map: material in the high nibble, tone 0..15 in the low one."""
    return _tones(paint_materials(layout, seed), layout, seed)


def _tones(materials: np.ndarray, layout: Layout, seed: int) -> np.ndarray:
    """Adds the grain of the ground to the map of materials."""
    rng = generator(seed, "tones")
    slow = fractal_noise(rng, MAP_PX, 12, 7, 0.62)
    fine = np.tile(fractal_noise(rng, MAP_PX // 3, 256, 3, 1.1), (3, 3))
    low = np.zeros(256, np.float32)
    high = np.zeros(256, np.float32)
    for material, row in _TABLE.items():
        low[material], high[material] = row[2] * 3.4, row[3] * 3.0
    tone = cv2.multiply(slow, cv2.LUT(materials, low))
    tone += cv2.multiply(fine, cv2.LUT(materials, high))
    for block in layout.blocks:
        if block.kind == "field":
            _add_rows(tone, materials, block, rng)
    tone += 7.5
    quantised = cv2.min(cv2.convertScaleAbs(cv2.max(tone, 0)), 15)
    return cv2.add(cv2.multiply(materials, 16), quantised)


def _add_rows(tone: np.ndarray, materials: np.ndarray, block: Block, rng: np.random.Generator) -> None:
    """Crop rows: a wave across the field, along its own direction, on the worked materials only."""
    pitch = rng.uniform(0.75, 1.6)
    cols = np.arange(int(block.x0 * PX_PER_M), int(block.x1 * PX_PER_M))
    rows = np.arange(int(block.y0 * PX_PER_M), int(block.y1 * PX_PER_M))
    k = 2 * np.pi / (pitch * PX_PER_M)
    cx, cy = np.cos(block.angle) * k, np.sin(block.angle) * k
    wave = np.outer(np.sin(rows * cy), np.cos(cols * cx)) + np.outer(np.cos(rows * cy), np.sin(cols * cx))
    window = np.ix_(rows % MAP_PX, cols % MAP_PX)
    part = materials[window]
    worked = (part == Material.CROP_GREEN) | (part == Material.CROP_RIPE) | (part == Material.SOIL)
    tone[window] += wave.astype(np.float32) * worked * 4.2


def _shade(layout: Layout, conditions: Conditions) -> np.ndarray | None:
    """Cast shadows of trees and buildings, uint8 at half size: 255 = lit. None without a sun."""
    if conditions.sun is None or conditions.shadow <= 0:
        return None
    sun = np.array(conditions.sun)
    per_metre = -sun[:2] / sun[2]
    canvas = Canvas(MAP_PX // 2, 255)
    dark = int(255 * (1 - conditions.shadow))
    for b in layout.buildings:
        foot = b.corners()
        top = foot + per_metre * min(b.height, 14)
        canvas.polygon(
            cv2.convexHull(np.concatenate([foot, top]).astype(np.float32))[:, 0].astype(float), dark
        )
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    for k, t in enumerate(layout.trees):
        ragged = t.radius * (1 + 0.14 * np.sin(angles * 3 + k) + 0.1 * np.sin(angles * 7 + 2 * k))
        ring = np.stack([np.cos(angles), np.sin(angles)], -1) * ragged[:, None]
        for part in (0.45, 0.6, 0.75):
            canvas.polygon(ring + (t.x, t.y) + per_metre * t.height * part, dark)
        foot = np.array([[t.x, t.y]]) + per_metre * np.array([[0], [t.height * 0.5]])
        side = np.array([-per_metre[1], per_metre[0]]) / max(np.linalg.norm(per_metre), 1e-6) * 0.18
        canvas.strip(foot + side, foot - side, dark)
    return cv2.GaussianBlur(canvas.image, (5, 5), 1.0)


def lamp_light(layout: Layout, size: int = 384) -> np.ndarray:
    """Street-lamp light on the ground, float32 `[size, size]`, about 1 under a lamp."""
    light = np.zeros((size, size), np.float32)
    scale = size / PERIOD_M
    reach = int(24 * scale)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1] / scale
    pool = (1.0 / (1 + (dx**2 + dy**2) / 50.0) ** 2).astype(np.float32)
    pool -= pool[0, reach]
    np.maximum(pool, 0, out=pool)
    for x, y in layout.lamps:
        rows = (np.arange(-reach, reach + 1) + int(y * scale)) % size
        cols = (np.arange(-reach, reach + 1) + int(x * scale)) % size
        light[np.ix_(rows, cols)] += pool
    return light


def colour_map(index: np.ndarray, layout: Layout, conditions: Conditions, seed: int) -> np.ndarray:
    """The ground in the light of the hour, uint8 RGB `[MAP_PX, MAP_PX, 3]`."""
    rng = generator(seed, "colours")
    season = rng.normal(0, 1, 3) * (9, 6, 5)
    table = np.zeros((256, 3), np.float32)
    steps = (np.arange(16) - 7.5) / 7.5
    for material, (colour, change, *_rest) in _TABLE.items():
        base = np.array(colour, np.float32) + rng.normal(0, 3, 3)
        if material in (Material.LAWN, Material.MEADOW, Material.CROP_GREEN, Material.SHRUB):
            base += season
        rows = base + steps[:, None] * np.array(change) * 1.15
        rows[:, 0] += 5 * np.sin(np.arange(16) * 2.1)  # slight changes of hue between tones
        table[material * 16 : material * 16 + 16] = rows
    albedo = cv2.merge([cv2.LUT(index, np.clip(table[:, c], 0, 255).astype(np.uint8)) for c in range(3)])
    shade = _shade(layout, conditions)
    light = np.array(conditions.light, np.float32)
    if conditions.lamps:
        lamps = lamp_light(layout)
        warm = np.array([1.0, 0.80, 0.52], np.float32) * 0.85
        gain = light + lamps[..., None] * warm
        gain8 = np.clip(gain * 160, 0, 255).astype(np.uint8)
        full = cv2.resize(np.pad(gain8, ((1, 1), (1, 1), (0, 0)), mode="wrap"), None, fx=8, fy=8)[8:-8, 8:-8]
        return cv2.multiply(albedo, np.ascontiguousarray(full), scale=1 / 160)
    tables = [np.clip(np.arange(256) * g, 0, 255).astype(np.uint8) for g in light]
    lit = cv2.LUT(albedo, np.stack(tables, -1)[None])
    if shade is None:
        return lit
    full = cv2.resize(shade, (MAP_PX, MAP_PX), interpolation=cv2.INTER_LINEAR)
    return cv2.multiply(lit, cv2.cvtColor(full, cv2.COLOR_GRAY2RGB), scale=1 / 255)


def temperature_map(index: np.ndarray, layout: Layout, conditions: Conditions, seed: int) -> np.ndarray:
    """Apparent ground temperature above the air, float32 kelvin, `[MAP_PX // 2, MAP_PX // 2]`."""
    rng = generator(seed, "heat")
    table = np.zeros(256, np.float32)
    for material, (*_rest, noon, night) in _TABLE.items():
        base = conditions.heat * noon if conditions.heat > 0 else conditions.heat * night
        base += rng.normal(0, 0.5)
        spread = (0.5 + 1.6 * abs(conditions.heat)) * (0.25 if material == Material.WATER else 1.0)
        table[material * 16 : material * 16 + 16] = base + np.linspace(-1, 1, 16) * spread
    if conditions.heat > 0.05:  # dusk: what stores heat is still warm
        stored = max(0.0, 0.4 - conditions.heat) * 8
        for material in (
            Material.PAINT,
            Material.ASPHALT,
            Material.PATCH,
            Material.ASPHALT_OLD,
            Material.PAVING,
            Material.KERB,
        ):
            table[material * 16 : material * 16 + 16] += stored
    half = MAP_PX // 2
    heat = cv2.resize(cv2.LUT(index, table), (half, half), interpolation=cv2.INTER_AREA)
    heat += fractal_noise(rng, half, 12, 5, 0.6) * (0.35 + 0.5 * abs(conditions.heat))
    shade = _shade(layout, conditions)
    if shade is not None:
        heat += (shade.astype(np.float32) - 255) * (1 / 255 * max(conditions.heat, 0) * 9)
    return heat * conditions.thermal_contrast
