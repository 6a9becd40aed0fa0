"""The thermal camera: a picture of temperatures, then optics, fixed pattern and noise. 16-bit counts.

Drawing happens in 8 bits (one step is `STEP_K`), because OpenCV's soft edges need it; the ground keeps its
full precision: the finished temperature is ground + step * (drawn - ground in 8 bits).
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.sim.camera_model import Intrinsics, View
from edge_rgbt.sim.drawing import fill, fixed, lay_sprite, textured_quad
from edge_rgbt.sim.ground import GroundMap
from edge_rgbt.sim.meshes import Role
from edge_rgbt.sim.noise import SmoothSignal, frame_generator, generator
from edge_rgbt.sim.render_rgb import _fitting, motion_blur
from edge_rgbt.sim.scene import BuildingItem, FaceItem, Item, Scene, TreeItem
from edge_rgbt.sim.trees import TreeBank

STEP_K = 0.25
ZERO_K = -22.0  # of the 8-bit scale, relative to the air


def to_step(kelvin_above_air: np.ndarray | float) -> np.ndarray:
    return (np.asarray(kelvin_above_air) - ZERO_K) / STEP_K


class TirRenderer:
    """Draws one scene for one thermal camera. Counts: about 30000 + 100 per kelvin, with its own drift."""

    def __init__(self, scene: Scene, ground: GroundMap, intrinsics: Intrinsics, seed: int) -> None:
        c = scene.conditions
        rng = generator(seed, "thermal sensor")
        self._scene, self._ground, self._conditions, self._seed = scene, ground, c, seed
        self._size = (intrinsics.width, intrinsics.height)
        self._gain = float(rng.uniform(55, 105))  # counts per kelvin
        self._offset = float(rng.uniform(19000, 24000))
        self._drift = SmoothSignal(rng, 70, 20)
        self._trees = TreeBank(seed, np.ones(3), None)
        canopy = 2.0 * max(c.heat, 0) - (0.5 if c.heat >= 0 else c.heat * 5.0)
        self._canopy = float(canopy + rng.normal(0, 0.4)) * c.thermal_contrast
        self._heat = {m.id: self._palette(m.id) for m in scene.movers}
        h, w = intrinsics.height, intrinsics.width
        noise_k = c.thermal_noise_k
        self._noise = rng.normal(0, noise_k, (h + 64, w + 64)).astype(np.float32)
        columns = rng.normal(0, 0.55 * noise_k, (1, w)) + 0.4 * noise_k * np.sin(np.arange(w) * 0.9)[None]
        pattern = columns + rng.normal(0, 0.3 * noise_k, (h, 1)) + rng.normal(0, 0.35 * noise_k, (h, w))
        y, x = np.mgrid[0:h, 0:w]
        r2 = (
            ((x - w * rng.uniform(0.45, 0.55)) ** 2 + (y - h * rng.uniform(0.45, 0.55)) ** 2)
            / (w * w + h * h)
            * 4
        )
        self._pattern = (pattern - rng.uniform(0.3, 1.1) * r2 * (0.4 + 0.6 * c.thermal_contrast)).astype(
            np.float32
        )
        self._blur = float(rng.uniform(0.55, 0.9))

    def _palette(self, mover_id: int) -> np.ndarray:
        """Kelvin above air for every role."""
        mover, c = self._scene.movers[mover_id], self._conditions
        look = mover.look
        sun = max(c.heat, 0.0)
        body = look.body_k + 9 * sun * (1.25 - sum(look.colour) / 765) + (0 if mover.parked else 1.8)
        table = np.full(len(Role), body)
        table[Role.ROOF] = body + 6 * sun - (4.0 if c.heat < 0 else 0.0)
        table[Role.SECOND] = look.body_k + 6 * sun
        table[Role.GLASS] = (
            look.body_k + 3 * sun - (1.5 if c.heat < 0 else 2.0) + (0 if mover.parked else 1.0)
        )
        table[Role.HOOD] = body + 0.55 * look.engine_k
        table[Role.GRILLE] = body + 1.1 * look.engine_k
        table[Role.EXHAUST] = body + 1.5 * look.engine_k
        table[Role.WHEEL] = body + 0.35 * look.engine_k + 2
        table[Role.HEADLAMP] = table[Role.TAILLAMP] = body + 0.3 * look.engine_k
        table[Role.TRIM] = body - 0.5
        warmth = float(np.clip((31 - c.air_c) / 20, 0.12, 1.2))  # people stand out less in warm air
        table[Role.SKIN] = look.skin_k * warmth + 2 * sun
        table[Role.HAIR] = 0.7 * look.skin_k * warmth + 3 * sun
        table[Role.SHIRT] = 0.55 * look.skin_k * warmth + 4 * sun
        table[Role.TROUSERS] = 0.42 * look.skin_k * warmth + 3 * sun
        return table * c.thermal_contrast

    def scene_image(self, view: View, items: list[Item]) -> np.ndarray:
        """Temperatures above the air before optics and sensor, float32 kelvin."""
        ground = self._ground.render(view)
        before = cv2.convertScaleAbs(ground, alpha=1 / STEP_K, beta=-ZERO_K / STEP_K)
        image = before.copy()
        for item in items:
            if isinstance(item, FaceItem):
                self._draw_mover(image, item)
            elif isinstance(item, TreeItem):
                self._draw_tree(image, item)
            else:
                self._draw_building(image, item)
        change = cv2.subtract(image, before, dtype=cv2.CV_32F)
        return cv2.scaleAdd(change, STEP_K, ground)

    def _draw_mover(self, image: np.ndarray, item: FaceItem) -> None:
        c = self._conditions
        kelvin = self._heat[item.mover.id][item.roles]
        if c.sun is not None and item.mover.is_vehicle:
            kelvin = kelvin + (
                5.0 * max(c.heat, 0) * c.thermal_contrast * np.maximum(item.normals @ np.array(c.sun), 0)
            )
        values = np.clip(to_step(kelvin), 1, 255).tolist()
        for polygon, value in zip(fixed(item.polygons), values, strict=True):
            fill(image, polygon, (value,))

    def _draw_tree(self, image: np.ndarray, item: TreeItem) -> None:
        size = float(np.abs(item.rights[1]).max() + np.abs(item.ups[1]).max())
        mip = 0 if size > 56 else 1 if size > 24 else 2
        for level in item.levels():
            cover = self._trees.covers[item.species][level][mip]
            picture, clear = self._warm_leaves(item.species, level, mip, cover)
            lay_sprite(image, picture, clear, item.centres[level], item.rights[level], item.ups[level])

    def _warm_leaves(
        self, species: int, level: int, mip: int, cover: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        key = (species, level, mip)
        cache = self.__dict__.setdefault("_leaf_cache", {})
        if key not in cache:
            green = self._trees.sprites[species][level][mip][0][..., 1].astype(np.float32)
            alpha = cover.astype(np.float32) / 255
            texture = (green / np.maximum(alpha, 0.05) / 90 - 1) * 1.2 * self._conditions.thermal_contrast
            value = np.clip(
                to_step(self._canopy + 0.25 * level * self._conditions.thermal_contrast + texture), 1, 255
            )
            cache[key] = (np.round(value * alpha).astype(np.uint8), 255 - cover)
        return cache[key]

    def _draw_building(self, image: np.ndarray, item: BuildingItem) -> None:
        for facade, quad in item.faces:
            texture = _fitting(facade.heat, quad)
            steps = cv2.convertScaleAbs(texture, alpha=1 / STEP_K, beta=-ZERO_K / STEP_K)
            textured_quad(image, steps, quad)

    def finish(self, kelvin: np.ndarray, t_ns: int, blur: np.ndarray) -> np.ndarray:
        """Optics, fixed pattern, noise and counts."""
        rng = frame_generator(self._seed, "thermal frame", t_ns)
        image = motion_blur(kelvin, blur)
        image = cv2.GaussianBlur(image, (5, 5), self._blur)
        dx, dy = (int(v) for v in rng.integers(0, 64, 2))
        cv2.add(image, self._noise[dy : dy + self._size[1], dx : dx + self._size[0]], dst=image)
        cv2.add(image, self._pattern, dst=image)
        rows = rng.normal(0, 0.25 * self._conditions.thermal_noise_k, (self._size[1], 1)).astype(np.float32)
        image += rows
        drift = 60 * self._drift(t_ns / 1e9)
        level = self._offset + self._gain * self._conditions.air_c + drift
        return np.clip(image * self._gain + level, 0, 65535).astype(np.uint16)
