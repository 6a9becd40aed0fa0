"""Trees as stacks of leafy discs: each disc lies at its own height, so canopies have depth and parallax."""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.sim.layout import Layout
from edge_rgbt.sim.noise import fractal_noise, generator

SPRITE_PX = 96
SLICES = 5
HEIGHTS = np.array([0.46, 0.60, 0.74, 0.87, 0.97])
RADII = np.array([0.80, 1.00, 0.96, 0.76, 0.42])
LEAVES = ((70, 96, 44), (58, 84, 48), (98, 108, 52))


class TreeBank:
    """Leaf pictures for every species and height, in three sizes.

    sprites: uint8 `[n, n, 4]`, colour premultiplied by its coverage, and 255 - coverage; covers: coverage,
    uint8; grains: the leaves' texture, float32, about zero. Each as [species][level][size].
    """

    def __init__(self, seed: int, light: np.ndarray, sun: tuple[float, float, float] | None) -> None:
        rng = generator(seed, "leaves")
        self.sprites: list[list[list[np.ndarray]]] = []
        self.covers: list[list[list[np.ndarray]]] = []
        self.grains: list[list[list[np.ndarray]]] = []
        direct = 0.0 if sun is None else 0.38
        yy, xx = (np.mgrid[0:SPRITE_PX, 0:SPRITE_PX] - (SPRITE_PX - 1) / 2) / (SPRITE_PX / 2)
        reach = np.hypot(xx, yy)
        for leaf in LEAVES:
            colour = np.array(leaf) + rng.normal(0, 6, 3)
            rows, cover_rows, grain_rows = [], [], []
            for level in range(SLICES):
                clumps = fractal_noise(rng, SPRITE_PX, 6, 4, 0.75)
                leaves = fractal_noise(rng, SPRITE_PX, 24, 3, 1.0)
                edge = 0.86 - reach + 0.13 * clumps + 0.07 * leaves
                alpha = np.clip(edge * 7, 0, 1) * np.clip(1.6 + 1.1 * (clumps + 0.6 * leaves), 0, 1)
                alpha *= np.clip((1 - reach) * 12, 0, 1)  # nothing outside the disc: windows end there
                shade = 0.42 + 0.13 * level + 0.10 * clumps + 0.12 * leaves
                if sun is not None:  # the side towards the sun is lit
                    shade = shade + direct * (xx * sun[0] + yy * sun[1] + 0.3) * (0.5 + 0.12 * level)
                picture = colour * np.clip(shade, 0.15, 1.7)[..., None] * light
                mips, covers, grains = [], [], []
                for size in (SPRITE_PX, SPRITE_PX // 2, SPRITE_PX // 4):
                    a = cv2.resize(alpha.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
                    p = cv2.resize((picture * alpha[..., None]).astype(np.float32), (size, size),
                                   interpolation=cv2.INTER_AREA)  # fmt: skip
                    clear = np.round(255 * (1 - a)).astype(np.uint8)
                    mips.append(np.dstack([np.clip(p, 0, 255).astype(np.uint8), clear]))
                    covers.append(np.round(255 * a).astype(np.uint8))
                    grains.append(
                        cv2.resize(clumps + 0.6 * leaves, (size, size), interpolation=cv2.INTER_AREA)
                    )
                rows.append(mips)
                cover_rows.append(covers)
                grain_rows.append(grains)
            self.sprites.append(rows)
            self.covers.append(cover_rows)
            self.grains.append(grain_rows)


class Forest:
    """Positions of all trees as arrays, ready for projection."""

    def __init__(self, layout: Layout) -> None:
        t = layout.trees
        self.count = len(t)
        self.base = np.array([[k.x, k.y, 0.0] for k in t]).reshape(-1, 3)
        self.radius = np.array([k.radius for k in t])
        self.height = np.array([k.height for k in t])
        self.species = np.array([k.species for k in t], int)
        self.turn = np.array([np.modf(k.x * 12.9898 + k.y * 78.233)[0] * 2 * np.pi for k in t])
