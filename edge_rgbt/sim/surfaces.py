"""Turns the painted ground into what the cameras see: colours in the light of the hour, and temperatures."""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.layout import PERIOD_M, Block, Layout
from edge_rgbt.sim.materials import HARD, SURFACES, VEGETATION, Material
from edge_rgbt.sim.noise import fractal_noise, generator
from edge_rgbt.sim.terrain import MAP_PX, Canvas

PX_PER_M = MAP_PX / PERIOD_M


def add_grain(materials: np.ndarray, layout: Layout, seed: int) -> np.ndarray:
    """The whole ground as one uint8 map: material in the high nibble, tone 0..15 in the low one."""
    rng = generator(seed, "tones")
    slow = fractal_noise(rng, MAP_PX, 12, 7, 0.62)
    fine = np.tile(fractal_noise(rng, MAP_PX // 3, 256, 3, 1.1), (3, 3))
    low = np.zeros(256, np.float32)
    high = np.zeros(256, np.float32)
    for material, surface in SURFACES.items():
        low[material], high[material] = surface.slow * 3.4, surface.fine * 3.0
    tone = cv2.multiply(slow, cv2.LUT(materials, low))
    tone += cv2.multiply(fine, cv2.LUT(materials, high))
    for block in layout.blocks:
        if block.kind == "field":
            _add_rows(tone, materials, block, rng)
    tone += 7.5
    np.maximum(tone, 0, out=tone)
    quantised = np.minimum(cv2.convertScaleAbs(tone), 15)
    return (materials << 4) | quantised


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


def _daylight_colours(rng: np.random.Generator) -> np.ndarray:
    """sRGB of every material and tone, uint8 `[256, 3]`; the season and the place vary with the seed."""
    season = rng.normal(0, 1, 3) * (9, 6, 5)
    table = np.zeros((256, 3), np.float32)
    steps = (np.arange(16) - 7.5) / 7.5
    for material, surface in SURFACES.items():
        base = np.array(surface.rgb, np.float32) + rng.normal(0, 6) + rng.normal(0, 1.5, 3)
        if material in VEGETATION:
            base += season
        rows = base + steps[:, None] * np.array(surface.spread) * 1.15
        if material not in HARD:  # slight changes of hue between tones
            rows[:, 0] += 5 * np.sin(np.arange(16) * 2.1)
        table[material * 16 : material * 16 + 16] = rows
    return np.clip(table, 0, 255).astype(np.uint8)


def colour_map(
    index: np.ndarray, paint: np.ndarray, layout: Layout, conditions: Conditions, seed: int
) -> np.ndarray:
    """The ground in the light of the hour, uint8 RGB `[MAP_PX, MAP_PX, 3]`."""
    rng = generator(seed, "colours")
    table = _daylight_colours(rng)
    worn = 0.95 - 0.5 * rng.random() * np.clip((np.arange(256) % 16 - 6) / 9, 0, 1)
    coverage = cv2.multiply(paint, cv2.LUT(index, np.round(255 * worn).astype(np.uint8)), scale=1 / 255)
    clear = cv2.bitwise_not(coverage)
    white = np.array(SURFACES[Material.PAINT].rgb) + rng.normal(0, 6)
    planes = []
    for c in range(3):
        plane = cv2.multiply(cv2.LUT(index, np.ascontiguousarray(table[:, c])), clear, scale=1 / 255)
        planes.append(cv2.scaleAdd(coverage, float(white[c] / 255), plane))
    albedo = cv2.merge(planes)
    light = np.array(conditions.light, np.float32)
    if conditions.lamps:
        warm = np.array([1.0, 0.80, 0.52], np.float32) * 0.85
        gain = light + lamp_light(layout)[..., None] * warm
        gain8 = np.clip(gain * 160, 0, 255).astype(np.uint8)
        full = cv2.resize(np.pad(gain8, ((1, 1), (1, 1), (0, 0)), mode="wrap"), None, fx=8, fy=8)[8:-8, 8:-8]
        lit = cv2.multiply(albedo, np.ascontiguousarray(full), scale=1 / 160)
    else:
        tables = [np.clip(np.arange(256) * g, 0, 255).astype(np.uint8) for g in light]
        lit = cv2.LUT(albedo, np.stack(tables, -1)[None])
    shade = _shade(layout, conditions)
    if shade is None:
        return lit
    full = cv2.resize(shade, (MAP_PX, MAP_PX), interpolation=cv2.INTER_LINEAR)
    dark = np.arange(256) / 255
    tint = [np.clip(255 * (1 - (1 - dark) * k), 0, 255).astype(np.uint8) for k in (1.06, 1.0, 0.88)]
    veil = cv2.LUT(cv2.merge([full] * 3), np.stack(tint, -1)[None])  # the sky lights the shadows blue
    return cv2.multiply(lit, veil, scale=1 / 255)


def temperature_map(
    index: np.ndarray, paint: np.ndarray, layout: Layout, conditions: Conditions, seed: int
) -> np.ndarray:
    """Apparent ground temperature above the air, float32 kelvin, `[MAP_PX // 2, MAP_PX // 2]`."""
    rng = generator(seed, "heat")
    heat_gain = conditions.heat
    table = np.zeros(256, np.float32)
    stored = max(0.0, 0.4 - heat_gain) * 8 if heat_gain > 0.05 else 0.0  # dusk: hard ground is still warm
    for material, surface in SURFACES.items():
        base = heat_gain * (surface.noon_k if heat_gain > 0 else surface.night_k) + rng.normal(0, 0.5)
        base += stored if material in HARD else 0.0
        spread = (0.5 + 1.6 * abs(heat_gain)) * (0.25 if material == Material.WATER else 1.0)
        table[material * 16 : material * 16 + 16] = base + np.linspace(-1, 1, 16) * spread
    half = MAP_PX // 2
    heat = cv2.resize(cv2.LUT(index, table), (half, half), interpolation=cv2.INTER_AREA)
    lines = cv2.resize(paint, (half, half), interpolation=cv2.INTER_AREA)
    cooler = -(0.6 + 4.5 * max(heat_gain, 0)) if heat_gain > -0.1 else 0.7  # white paint mirrors sun and sky
    heat = cv2.addWeighted(heat, 1.0, lines.astype(np.float32) * (cooler / 255), 1.0, 0)
    heat += fractal_noise(rng, half, 12, 5, 0.6) * (0.35 + 0.5 * abs(heat_gain))
    shade = _shade(layout, conditions)
    if shade is not None:
        heat += (shade.astype(np.float32) - 255) * (1 / 255 * max(heat_gain, 0) * 9)
    return heat * conditions.thermal_contrast
