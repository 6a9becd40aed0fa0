"""Houses and office blocks: walls with windows, flat or gabled roofs, in both modalities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.heat import to_steps
from edge_rgbt.sim.layout import Building
from edge_rgbt.sim.noise import generator

TEXEL_PER_M = 7.0


@dataclass(frozen=True)
class Facade:
    """One face: corners `[4, 3]` (bottom-left, bottom-right, top-right, top-left from outside), normal,
    and its pictures from fine to coarse: RGB `[h, w, 4]` (the fourth channel unused) and heat `[h, w]` in
    steps, uint8. plain: it has no picture but one colour; rgb_mean, heat_mean: what fills it when small."""

    quad: np.ndarray
    normal: np.ndarray
    rgb: tuple[np.ndarray, ...]
    heat: tuple[np.ndarray, ...]

    @cached_property
    def plain(self) -> bool:
        return min(self.heat[0].shape) <= 2

    @cached_property
    def rgb_mean(self) -> tuple[float, ...]:
        return tuple(cv2.mean(self.rgb[-1]))

    @cached_property
    def heat_mean(self) -> tuple[float, ...]:
        return tuple(cv2.mean(self.heat[-1]))


def _normal(quad: np.ndarray) -> np.ndarray:
    n = np.cross(quad[1] - quad[0], quad[3] - quad[0])
    return n / max(float(np.linalg.norm(n)), 1e-9)


def _windows(length: float, height: float, style: int) -> list[tuple[float, float, float, float]]:
    """Window rectangles in metres (x0, y0 from the ground, x1, y1)."""
    floor, found = 3.1, []
    pitch, width, tall = ((2.6, 1.4, 1.5), (3.4, 2.4, 1.4), (1.9, 1.1, 1.9), (4.2, 3.4, 1.2))[style]
    count = max(1, int((length - 0.8) // pitch))
    start = (length - count * pitch) / 2
    for storey in range(max(1, int((height - 0.4) // floor))):
        sill = storey * floor + 0.95
        if sill + tall > height - 0.2:
            break
        found += [
            (
                start + k * pitch + (pitch - width) / 2,
                sill,
                start + k * pitch + (pitch + width) / 2,
                sill + tall,
            )
            for k in range(count)
        ]
    return found


def _blocks(rows: list[tuple[float, float, float, float]], height: float) -> list[tuple[slice, slice]]:
    scaled = []
    for x0, y0, x1, y1 in rows:
        top, bottom = (height - y1) * TEXEL_PER_M, (height - y0) * TEXEL_PER_M
        scaled.append(
            (
                slice(max(int(top), 0), int(bottom)),
                slice(max(int(x0 * TEXEL_PER_M), 0), int(x1 * TEXEL_PER_M)),
            )
        )
    return scaled


def _mips(picture: np.ndarray) -> tuple[np.ndarray, ...]:
    out = [picture]
    for _ in range(2):
        h, w = out[-1].shape[:2]
        out.append(cv2.resize(out[-1], (max(w // 2, 2), max(h // 2, 2)), interpolation=cv2.INTER_AREA))
    return tuple(out)


def _colours(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_RGB2RGBA)


def _shading(normal: np.ndarray, conditions: Conditions) -> float:
    if conditions.sun is None:
        return 0.72 + 0.22 * float(normal[2])
    return 0.55 + 0.50 * max(0.0, float(normal @ np.array(conditions.sun)))


def _wall(
    b: Building, quad: np.ndarray, conditions: Conditions, rng: np.random.Generator, lit: np.ndarray
) -> Facade:
    length = float(np.linalg.norm(quad[1] - quad[0]))
    h, w = max(4, int(b.height * TEXEL_PER_M)), max(4, int(length * TEXEL_PER_M))
    normal = _normal(quad)
    shade = _shading(normal, conditions)
    grain = cv2.resize(rng.normal(0, 1, (max(h // 5, 2), max(w // 9, 2))).astype(np.float32), (w, h))
    wall = np.array(b.wall_rgb) * lit * shade
    picture = wall + (grain * 5)[..., None] * lit
    picture[-int(0.5 * TEXEL_PER_M) :] *= 0.75
    heat = np.full(
        (h, w), conditions.heat * (9 if conditions.heat > 0 else 2.0) * shade + b.warmth, np.float32
    )
    heat += grain * 0.3
    night = conditions.lamps
    for rows, cols in _blocks(_windows(length, b.height, b.style), b.height):
        if night and rng.random() < 0.3:
            glass = np.array((255, 214, 150)) * rng.uniform(0.35, 0.95)
        else:
            glass = np.array((58, 68, 78)) * lit * (0.6 + 0.8 * shade) * rng.uniform(0.75, 1.2)
        picture[rows, cols] = glass
        picture[rows.start : rows.start + 1, cols] = wall * 0.6
        heat[rows, cols] += rng.normal(1.5 if conditions.air_c < 18 else -0.5, 0.5)
    heat *= conditions.thermal_contrast
    return Facade(quad, normal, _mips(_colours(picture)), _mips(to_steps(heat)))


def _roof(
    b: Building,
    quad: np.ndarray,
    conditions: Conditions,
    rng: np.random.Generator,
    lit: np.ndarray,
    flat: bool,
) -> Facade:
    width, depth = (float(np.linalg.norm(quad[k] - quad[0])) for k in (1, 3))
    h, w = max(4, int(depth * TEXEL_PER_M)), max(4, int(width * TEXEL_PER_M))
    normal = _normal(quad)
    shade = _shading(normal, conditions) * 1.05
    grain = cv2.resize(rng.normal(0, 1, (max(h // 6, 2), max(w // 6, 2))).astype(np.float32), (w, h))
    fine = rng.normal(0, 1, (h, w)).astype(np.float32)
    level = grain * 6 + fine * 5
    if not flat:  # courses of tiles
        level += (7 * np.sin(np.arange(h) * 2 * np.pi / (0.42 * TEXEL_PER_M)))[:, None]
    colour = np.array(b.roof_rgb) * lit * shade
    picture = colour + level[..., None] * lit * shade
    sky = conditions.heat * (16 if conditions.heat > 0 else 13)
    heat = (sky * max(0.4, shade) + b.warmth + grain * 0.5).astype(np.float32)
    if flat:
        edge = max(2, int(0.45 * TEXEL_PER_M))
        for part in (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:]):
            picture[part] = np.array(b.wall_rgb) * lit * shade * 1.05
        for _ in range(int(rng.integers(2, 9))):  # plant rooms, vents, skylights
            rw, rh = (rng.uniform(0.8, 3.6, 2) * TEXEL_PER_M).astype(int)
            x, y = int(rng.uniform(0.08, 0.85) * w), int(rng.uniform(0.08, 0.85) * h)
            picture[y + rh // 4 : y + rh + rh // 4, x + rw // 4 : x + rw + rw // 4] *= 0.62
            picture[y : y + rh, x : x + rw] = rng.uniform(90, 215) * lit * shade
            heat[y : y + rh, x : x + rw] += rng.normal(2.0, 3.0)
    elif rng.random() < 0.6:  # a chimney or a roof window
        y, x = int(h * rng.uniform(0.3, 0.6)), int(w * rng.uniform(0.2, 0.8))
        picture[y : y + 9, x : x + 7] = np.array((70, 78, 86)) * lit
        heat[y : y + 9, x : x + 7] += 2.0
    heat = heat * np.float32(conditions.thermal_contrast)
    return Facade(quad, normal, _mips(_colours(picture)), _mips(to_steps(heat)))


def make_facades(b: Building, conditions: Conditions, lamp: float, seed: int) -> list[Facade]:
    """All outer faces of a building. lamp: street-lamp light that reaches its walls."""
    rng = generator(seed, "building", int(b.x * 100), int(b.y * 100))
    lit = np.array(conditions.light) + lamp * np.array([0.9, 0.72, 0.47])
    foot = b.corners()
    low = np.column_stack([foot, np.zeros(4)])
    high = low + np.array([0, 0, b.height])
    faces = []
    for k in range(4):  # footprint runs counter-clockwise: outside is to the right of k -> k + 1
        n = (k + 1) % 4
        faces.append(_wall(b, np.array([low[k], low[n], high[n], high[k]]), conditions, rng, lit))
    roof_light = np.array(conditions.light) * (1.15 if conditions.lamps else 1.0)
    if not b.gabled:
        faces.append(_roof(b, high[[2, 3, 0, 1]], conditions, rng, roof_light, True))
        return faces
    over = np.column_stack([b.corners(0.45), np.full(4, b.height - 0.15)])
    rise = np.array([0, 0, b.width * 0.36])
    ridge_front = (over[0] + over[3]) / 2 + rise
    ridge_back = (over[1] + over[2]) / 2 + rise
    faces.append(_gable(b, high[3], high[0], ridge_front, conditions, lit))
    faces.append(_gable(b, high[1], high[2], ridge_back, conditions, lit))
    faces.append(
        _roof(b, np.array([over[0], over[1], ridge_back, ridge_front]), conditions, rng, roof_light, False)
    )
    faces.append(
        _roof(b, np.array([over[2], over[3], ridge_front, ridge_back]), conditions, rng, roof_light, False)
    )
    return faces


def _gable(
    b: Building, left: np.ndarray, right: np.ndarray, top: np.ndarray, conditions: Conditions, lit: np.ndarray
) -> Facade:
    quad = np.array([left, right, top, top])
    normal = _normal(np.array([left, right, top, top]))
    shade = _shading(normal, conditions)
    colour = _colours(np.tile(np.array(b.wall_rgb) * lit * shade, (2, 2, 1)))
    heat = (
        conditions.heat * (9 if conditions.heat > 0 else 2.0) * shade + b.warmth
    ) * conditions.thermal_contrast
    return Facade(quad, normal, (colour,), (to_steps(np.full((2, 2), heat, np.float32)),))
