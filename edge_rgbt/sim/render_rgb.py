"""The visible camera: the scene in the light of the hour, then what lens and sensor do to it. 8-bit RGB."""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.sim.camera_model import Intrinsics, View
from edge_rgbt.sim.drawing import (
    FRACTION_BITS,
    add_glow,
    add_light,
    darken,
    fill,
    glow_picture,
    headlight_picture,
    lay_disc,
    motion_blur,
    textured_quad,
)
from edge_rgbt.sim.ground import GroundMap
from edge_rgbt.sim.items import BuildingItem, FaceItem, Item, TreeItem
from edge_rgbt.sim.meshes import Role
from edge_rgbt.sim.noise import frame_generator, generator
from edge_rgbt.sim.scene import Scene
from edge_rgbt.sim.trees import TreeBank

_FIXED_COLOURS = {
    Role.GLASS: (44, 54, 64),
    Role.WHEEL: (26, 26, 28),
    Role.HEADLAMP: (226, 228, 224),
    Role.TAILLAMP: (150, 22, 22),
    Role.GRILLE: (32, 33, 35),
    Role.EXHAUST: (40, 40, 42),
    Role.TRIM: (86, 88, 90),
    Role.SKIN: (196, 150, 122),
}
_HAIR = ((40, 30, 24), (70, 52, 34), (24, 22, 22), (120, 96, 60))


HAZE_ROWS = 12  # fewest rows that share their haze
HAZE_STEP = 0.006  # share of haze by which it changes from band to band, where there are more


class RgbRenderer:
    """Draws one scene for one visible camera; a pure function of time and view."""

    def __init__(
        self,
        scene: Scene,
        ground: GroundMap,
        trees: TreeBank,
        intrinsics: Intrinsics,
        seed: int,
    ) -> None:
        c = scene.conditions
        self._scene, self._ground = scene, ground
        self._conditions = c
        self._seed = seed
        self._trees = trees
        self._colours = np.array([self._palette(m.id) for m in scene.movers]).reshape(-1, len(Role), 3)
        self._bark = np.clip(np.array((84, 68, 52)) * c.light, 0, 255).tolist()
        rng = generator(seed, "rgb sensor")
        self._size = (intrinsics.width, intrinsics.height)
        self._vignette = _vignette(intrinsics, rng.uniform(0.08, 0.28), c.white_balance)
        noise = rng.normal(0, c.rgb_noise, (intrinsics.height + 96, intrinsics.width + 96, 3))
        noise = 0.8 * noise + 0.45 * rng.normal(0, c.rgb_noise, (*noise.shape[:2], 1))
        self._noise_up = np.clip(np.round(noise), 0, 255).astype(np.uint8)
        self._noise_down = np.clip(np.round(-noise), 0, 255).astype(np.uint8)
        self._glow_white = glow_picture((255, 240, 205))
        self._glow_red = glow_picture((200, 24, 16))
        self._glow_lamp = glow_picture((255, 196, 116))
        self._beam = headlight_picture()
        self._rain = _streaks(rng, intrinsics, c.rain) if c.rain > 0 else None

    def _palette(self, mover_id: int) -> np.ndarray:
        look = self._scene.movers[mover_id].look
        table = np.zeros((len(Role), 3))
        for role, colour in _FIXED_COLOURS.items():
            table[role] = colour
        body = np.array(look.colour, float)
        table[Role.BODY] = table[Role.SHIRT] = body
        table[Role.ROOF] = body * 1.04 + 6
        table[Role.HOOD] = body * 1.03 + 4
        table[Role.SECOND] = table[Role.TROUSERS] = look.second
        table[Role.HAIR] = _HAIR[mover_id % len(_HAIR)]
        return table

    def scene_image(self, view: View, t_s: float, items: list[Item], ground_blur: np.ndarray) -> np.ndarray:
        """The scene before haze, lens and sensor, RGB; it is drawn in four channels as GroundMap gives it."""
        image = self._ground.render(view)
        image = motion_blur(image, ground_blur)
        movers = [i for i in items if isinstance(i, FaceItem)]
        for item in movers:
            self._draw_shadow(image, item)
        if self._conditions.headlights:
            for item in movers:
                if item.beam is not None and item.height_px > 4:
                    add_light(image, self._beam, item.beam, 3.0 if self._conditions.lamps else 0.45)
        colours = iter(self._face_colours(movers))
        for item in items:
            if isinstance(item, FaceItem):
                for outline in item.outlines:
                    fill(image, outline, next(colours))
            elif isinstance(item, TreeItem):
                self._draw_tree(image, item)
            else:
                self._draw_building(image, item)
        if self._conditions.headlights:
            self._draw_lamps(image, view, movers)
        return cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)

    def _draw_shadow(self, image: np.ndarray, item: FaceItem) -> None:
        if item.height_px < 5 or item.shadow is None:
            return
        sun = self._conditions.sun is not None
        soften = 0 if item.height_px < 12 else 1 if sun else 2
        outline = cv2.convexHull(item.shadow.astype(np.float32))[:, 0]
        darken(image, outline, self._conditions.shadow if sun else 0.38, soften)

    def _face_colours(self, movers: list[FaceItem]) -> list[list[float]]:
        """Colours of all polygons of the movers, in order, in the light where they stand."""
        if not movers:
            return []
        c = self._conditions
        counts = [len(item.roles) for item in movers]
        roles = np.concatenate([item.roles for item in movers])
        normals = np.concatenate([item.normals for item in movers])
        light = np.tile(c.light, (len(movers), 1))
        if c.lamps:
            lamps = np.array([self._scene.lamp_at(*item.base) for item in movers])
            light = light + lamps[:, None] * (0.85, 0.68, 0.44)
        if c.sun is not None:
            shade = 0.60 + 0.48 * np.maximum(normals @ np.array(c.sun), 0)
        else:
            shade = 0.66 + 0.32 * np.maximum(normals[:, 2], -0.3)
        colours = self._colours[np.repeat([item.mover.id for item in movers], counts), roles]
        colours *= shade[:, None] * np.repeat(light, counts, axis=0)
        glass = roles == Role.GLASS  # glass mirrors the sky
        colours[glass] += np.maximum(normals[glass, 2:3], 0) * 60 * np.array(c.light)
        if c.headlights:
            lit = np.repeat([item.mover.is_vehicle and not item.mover.parked for item in movers], counts)
            colours[lit & (roles == Role.HEADLAMP)] = (255, 248, 225)
            colours[lit & (roles == Role.TAILLAMP)] = (225, 40, 30)
        return np.clip(colours, 0, 255).tolist()

    def _draw_tree(self, image: np.ndarray, item: TreeItem) -> None:
        root, crown = item.trunk
        cv2.line(image, root, crown, self._bark, max(1, int(item.size_px / 18)), cv2.LINE_AA, FRACTION_BITS)
        for level in item.levels():
            sprite = self._trees.sprites[item.species][level][item.mip]
            lay_disc(image, sprite, item.windows[level], item.to_sprite[level])

    def _draw_building(self, image: np.ndarray, item: BuildingItem) -> None:
        for face in item.faces:
            if face.is_small:
                x0, y0, x1, y1 = face.window
                fill(image[y0:y1, x0:x1], face.outline, face.facade.rgb_mean)
            else:
                picture = face.facade.rgb[face.level]
                textured_quad(image, picture, face.outline, face.window, face.to_texture)

    def _draw_lamps(self, image: np.ndarray, view: View, movers: list[FaceItem]) -> None:
        strong = 1.0 if self._conditions.lamps else 0.55
        for item in movers:
            if item.lamps is None:
                continue
            size = max(2.0, item.height_px * 0.75 * strong)
            if item.facing > 0.15:
                for spot in item.lamps[:2]:
                    add_glow(image, self._glow_white, spot, size * (0.6 + item.facing))
            elif item.facing < 0.1:
                for spot in item.lamps[2:]:
                    add_glow(image, self._glow_red, spot, size * 0.7)
        if self._conditions.lamps:
            posts = self._scene.lamp_posts
            for xy in self._scene.near(view, posts, np.full(len(posts), 9.0))[1]:
                top, depth = view.project(np.array([*xy, 8.0]))
                add_glow(image, self._glow_lamp, top, 1.3 * view.intrinsics.focal_px / float(depth))

    def finish(self, image: np.ndarray, view: View, t_ns: int, blur: np.ndarray) -> np.ndarray:
        """Haze, blur, lens and sensor."""
        c = self._conditions
        rng = frame_generator(self._seed, "rgb frame", t_ns)
        image = motion_blur(image, blur)
        image = self._haze(image, view)
        if self._rain is not None:
            streaks = self._rain[int(rng.integers(len(self._rain)))]
            dx, dy = rng.integers(0, 64, 2)
            image = cv2.add(image, streaks[dy : dy + self._size[1], dx : dx + self._size[0]])
        image = cv2.multiply(image, self._vignette, scale=1 / 200)
        dx, dy = (int(v) for v in rng.integers(0, 96, 2))
        window = np.s_[dy : dy + self._size[1], dx : dx + self._size[0]]
        cv2.add(image, self._noise_up[window], dst=image)
        cv2.subtract(image, self._noise_down[window], dst=image)
        if c.rgb_noise < 3:
            return image
        return cv2.GaussianBlur(image, (3, 3), 0.55)  # the camera's own noise reduction

    def _haze(self, image: np.ndarray, view: View) -> np.ndarray:
        c = self._conditions
        h = view.intrinsics.height
        rows = (np.arange(h) - (h - 1) / 2) / view.intrinsics.focal_px
        down = -(view.rotation[2, 2] + rows * view.rotation[1, 2])
        distance = view.position[2] / np.maximum(down, 0.05) * np.sqrt(1 + rows**2)
        clear = np.exp(-c.haze * distance)
        if clear.min() > 0.97:
            return image
        veil = float(np.mean(c.haze_rgb))
        step = int(np.clip(HAZE_STEP * h / np.ptp(clear), HAZE_ROWS, h))
        for top in range(0, h, step):  # within so few rows the change stays below a grey level or two
            share = float(clear[min(top + step // 2, h - 1)])
            part = image[top : top + step]
            cv2.convertScaleAbs(part, dst=part, alpha=share, beta=veil * (1 - share))
        return image


def _vignette(k: Intrinsics, depth: float, balance: tuple[float, float, float]) -> np.ndarray:
    y, x = np.mgrid[0 : k.height, 0 : k.width]
    r2 = ((x - k.width / 2) ** 2 + (y - k.height / 2) ** 2) / (k.width**2 / 4 + k.height**2 / 4)
    fall = 1 - depth * r2
    return np.clip(fall[..., None] * np.array(balance) * 200, 0, 255).astype(np.uint8)


def _streaks(rng: np.random.Generator, k: Intrinsics, amount: float) -> list[np.ndarray]:
    """Pictures of falling rain, larger than the image so that each frame takes another part."""
    pictures = []
    for _ in range(6):
        picture = np.zeros((k.height + 64, k.width + 64), np.uint8)
        slant = rng.normal(0.12, 0.04)
        for _ in range(int(260 * amount)):
            x, y = rng.uniform(0, picture.shape[1]), rng.uniform(0, picture.shape[0])
            length = rng.uniform(8, 34)
            end = np.array([x + slant * length, y + length])
            cv2.line(picture, (int(x * 16), int(y * 16)), tuple((end * 16).astype(int).tolist()),
                     int(rng.uniform(9, 30)), 1, cv2.LINE_AA, 4)  # fmt: skip
        pictures.append(cv2.merge([cv2.blur(picture, (2, 3))] * 3))
    return pictures
