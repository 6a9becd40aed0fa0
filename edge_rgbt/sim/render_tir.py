"""The thermal camera: a picture of temperatures, then optics, fixed pattern and noise. 16-bit counts.

Drawing happens in 8 bits (one step is `STEP_K`), because OpenCV's soft edges need it; the ground keeps its
full precision: the finished temperature is ground + step * (drawn - ground in 8 bits).
"""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.sim.camera_model import Intrinsics, View
from edge_rgbt.sim.drawing import fill, lay_disc, motion_blur, textured_quad
from edge_rgbt.sim.ground import GroundMap
from edge_rgbt.sim.heat import STEP_K, step_values, to_steps
from edge_rgbt.sim.items import BuildingItem, FaceItem, Item, TreeItem
from edge_rgbt.sim.meshes import Role
from edge_rgbt.sim.noise import SmoothSignal, frame_generator, generator
from edge_rgbt.sim.scene import Scene
from edge_rgbt.sim.trees import SLICES, TreeBank


class TirRenderer:
    """Draws one scene for one thermal camera. Counts: about 30000 + 100 per kelvin, with its own drift."""

    def __init__(
        self, scene: Scene, ground: GroundMap, trees: TreeBank, intrinsics: Intrinsics, seed: int
    ) -> None:
        c = scene.conditions
        rng = generator(seed, "thermal sensor")
        self._scene, self._ground, self._conditions, self._seed = scene, ground, c, seed
        self._size = (intrinsics.width, intrinsics.height)
        self._gain = float(rng.uniform(55, 105))  # counts per kelvin
        self._offset = float(rng.uniform(19000, 24000))
        self._drift = SmoothSignal(rng, 70, 20)
        canopy = 2.0 * max(c.heat, 0) - (0.5 if c.heat >= 0 else c.heat * 5.0)
        self._canopy = float(canopy + rng.normal(0, 0.4)) * c.thermal_contrast
        self._leaves = self._warm_leaves(trees)
        self._heat = np.array([self._palette(m.id) for m in scene.movers]).reshape(-1, len(Role))
        h, w = intrinsics.height, intrinsics.width
        noise_k = c.thermal_noise_k
        noise = rng.normal(0, noise_k, (h + 64, w + 64)) + rng.normal(0, 0.25 * noise_k, (h + 64, 1))
        self._noise = noise.astype(np.float32)
        columns = rng.normal(0, 0.55 * noise_k, (1, w)) + 0.4 * noise_k * np.sin(np.arange(w) * 0.9)[None]
        pattern = columns + rng.normal(0, 0.3 * noise_k, (h, 1)) + rng.normal(0, 0.35 * noise_k, (h, w))
        y, x = np.mgrid[0:h, 0:w]
        r2 = (
            ((x - w * rng.uniform(0.45, 0.55)) ** 2 + (y - h * rng.uniform(0.45, 0.55)) ** 2)
            / (w * w + h * h)
            * 4
        )
        self._pattern = (
            self._gain * (pattern - rng.uniform(0.3, 1.1) * r2 * (0.4 + 0.6 * c.thermal_contrast))
        ).astype(np.float32)
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
        if not mover.is_vehicle:  # a bicycle is as warm as the air
            table[:] = 2 * sun
        warmth = float(np.clip((31 - c.air_c) / 20, 0.12, 1.2))  # people stand out less in warm air
        table[Role.SKIN] = look.skin_k * warmth + 2 * sun
        table[Role.HAIR] = 0.7 * look.skin_k * warmth + 3 * sun
        table[Role.SHIRT] = 0.55 * look.skin_k * warmth + 4 * sun
        table[Role.TROUSERS] = 0.42 * look.skin_k * warmth + 3 * sun
        ground = 0.35 * c.heat * 18  # what stands about on warm ground takes on some of its warmth
        return (ground + (table - ground) * c.object_contrast) * c.thermal_contrast

    def scene_image(self, view: View, items: list[Item]) -> np.ndarray:
        """Temperatures above the air before optics and sensor, float32 kelvin."""
        ground = self._ground.render(view)
        before = to_steps(ground)
        image = before.copy()
        values = iter(self._face_steps([i for i in items if isinstance(i, FaceItem)]))
        for item in items:
            if isinstance(item, FaceItem):
                for outline in item.outlines:
                    fill(image, outline, next(values))
            elif isinstance(item, TreeItem):
                self._draw_tree(image, item)
            else:
                self._draw_building(image, item)
        change = cv2.subtract(image, before, dtype=cv2.CV_32F)
        return cv2.scaleAdd(change, STEP_K, ground)

    def _face_steps(self, movers: list[FaceItem]) -> list[float]:
        """Heat of all polygons of the movers, in order, in steps."""
        if not movers:
            return []
        c = self._conditions
        counts = [len(item.roles) for item in movers]
        roles = np.concatenate([item.roles for item in movers])
        kelvin = self._heat[np.repeat([item.mover.id for item in movers], counts), roles]
        if c.sun is not None:
            facing = np.maximum(np.concatenate([item.normals for item in movers]) @ np.array(c.sun), 0)
            vehicle = np.repeat([item.mover.is_vehicle for item in movers], counts)
            kelvin = kelvin + 5.0 * max(c.heat, 0) * c.thermal_contrast * facing * vehicle
        return step_values(kelvin).tolist()

    def _draw_tree(self, image: np.ndarray, item: TreeItem) -> None:
        for level in (0, 2, 4) if item.size_px > 30 else (1, 3):
            sprite = self._leaves[item.species][level][item.mip]
            lay_disc(image, sprite, item.windows[level], item.to_sprite[level])

    def _warm_leaves(self, trees: TreeBank) -> list[list[list[np.ndarray]]]:
        """The leaf pictures of the bank as heat: steps in the first channel, 255 - coverage in the last."""
        contrast = self._conditions.thermal_contrast
        bank = []
        for covers, grains in zip(trees.covers, trees.grains, strict=True):
            rows = []
            for level in range(SLICES):
                row = []
                for cover, grain in zip(covers[level], grains[level], strict=True):
                    steps = step_values(self._canopy + (0.3 * level + 0.55 * grain) * contrast)
                    heat = np.round(steps * (cover / 255)).astype(np.uint8)
                    row.append(np.dstack([heat, heat, heat, 255 - cover]))
                rows.append(row)
            bank.append(rows)
        return bank

    def _draw_building(self, image: np.ndarray, item: BuildingItem) -> None:
        for face in item.faces:
            if face.is_small:
                x0, y0, x1, y1 = face.window
                fill(image[y0:y1, x0:x1], face.outline, face.facade.heat_mean)
            else:
                picture = face.facade.heat[face.level]
                textured_quad(image, picture, face.outline, face.window, face.to_texture)

    def finish(self, kelvin: np.ndarray, t_ns: int, blur: np.ndarray) -> np.ndarray:
        """Optics, fixed pattern, noise and counts."""
        rng = frame_generator(self._seed, "thermal frame", t_ns)
        image = motion_blur(kelvin, blur)
        image = cv2.GaussianBlur(image, (5, 5), self._blur)
        dx, dy = (int(v) for v in rng.integers(0, 64, 2))
        noise = self._noise[dy : dy + self._size[1], dx : dx + self._size[0]]
        level = self._offset + self._gain * self._conditions.air_c + 60 * self._drift(t_ns / 1e9)
        counts = cv2.addWeighted(image, self._gain, noise, self._gain, level, dst=image)
        return cv2.add(counts, self._pattern, dtype=cv2.CV_16U)
