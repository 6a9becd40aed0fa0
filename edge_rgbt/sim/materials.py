"""What the ground is made of: its colour in daylight, its grain, and how warm it gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


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


@dataclass(frozen=True)
class Surface:
    """rgb: sRGB in plain daylight; spread: change along the tone axis (-1..1); slow, fine: weights of coarse
    and fine noise; noon_k: kelvin above the air at full sun; night_k: the same per unit of heat lost."""

    rgb: tuple[int, int, int]
    spread: tuple[int, int, int]
    slow: float
    fine: float
    noon_k: float
    night_k: float


SURFACES = {
    Material.ASPHALT: Surface((92, 92, 95), (16, 16, 16), 0.30, 0.42, 21.0, -9.0),
    Material.ASPHALT_OLD: Surface((122, 120, 116), (20, 20, 19), 0.40, 0.45, 19.0, -8.0),
    Material.PAVING: Surface((158, 152, 143), (22, 21, 20), 0.30, 0.42, 14.0, -5.0),
    Material.PAINT: Surface((212, 211, 204), (30, 30, 28), 0.25, 0.55, 13.0, -6.5),
    Material.LAWN: Surface((92, 118, 60), (34, 30, 20), 0.62, 0.45, 3.0, 5.0),
    Material.MEADOW: Surface((128, 132, 78), (42, 34, 26), 0.70, 0.48, 6.0, 4.0),
    Material.SOIL: Surface((140, 114, 86), (34, 30, 26), 0.55, 0.45, 13.0, 1.0),
    Material.CROP_GREEN: Surface((88, 112, 54), (34, 32, 20), 0.35, 0.40, 2.0, 5.0),
    Material.CROP_RIPE: Surface((184, 162, 102), (34, 32, 26), 0.35, 0.42, 7.0, 3.5),
    Material.GRAVEL: Surface((168, 160, 146), (26, 25, 24), 0.35, 0.60, 14.0, -3.0),
    Material.WATER: Surface((52, 72, 78), (10, 12, 12), 0.55, 0.22, -5.0, -14.0),
    Material.DIRT: Surface((150, 126, 96), (30, 28, 24), 0.50, 0.50, 12.0, -1.0),
    Material.KERB: Surface((178, 175, 168), (18, 18, 18), 0.25, 0.40, 12.0, -5.0),
    Material.PATCH: Surface((74, 74, 77), (12, 12, 12), 0.30, 0.42, 23.0, -9.5),
    Material.SHRUB: Surface((66, 88, 44), (34, 32, 20), 0.45, 0.60, 2.0, 3.0),
    Material.FOUNDATION: Surface((110, 106, 100), (16, 16, 16), 0.3, 0.4, 8.0, -4.0),
}
VEGETATION = (Material.LAWN, Material.MEADOW, Material.CROP_GREEN, Material.SHRUB)
HARD = (Material.ASPHALT, Material.ASPHALT_OLD, Material.PATCH, Material.PAVING, Material.KERB)
