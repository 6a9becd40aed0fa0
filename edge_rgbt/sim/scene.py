"""What a camera has in view at one moment, as items sorted from far to near."""

from __future__ import annotations

import numpy as np

from edge_rgbt.sim.buildings import Facade, make_facades
from edge_rgbt.sim.camera_model import View
from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.crowd import Crowd
from edge_rgbt.sim.drawing import fixed
from edge_rgbt.sim.items import BuildingItem, FaceItem, Item, TreeItem, VisibleFace
from edge_rgbt.sim.layout import PERIOD_M, Layout
from edge_rgbt.sim.objects import Mover
from edge_rgbt.sim.trees import HEIGHTS, RADII, SLICES, SPRITE_PX, Forest

SHIFTS = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]) * PERIOD_M
FARTHEST_M = 420.0


class Scene:
    """Everything that stands on the ground, and where the moving part of it is."""

    def __init__(
        self, layout: Layout, movers: list[Mover], conditions: Conditions, lamp_light: np.ndarray, seed: int
    ) -> None:
        self.movers = movers
        self.conditions = conditions
        self.forest = Forest(layout)
        self.lamp_posts = np.array(layout.lamps).reshape(-1, 2)
        self._lamp_light = lamp_light
        self._moving = np.array([m.id for m in movers if not m.parked], int)
        self._tracks = np.array([movers[k].track for k in self._moving])  # all sampled alike
        self._still = np.array([m.track[0] for m in movers])
        self._mover_reach = np.array([m.look.size[0] for m in movers]) + 2
        self._crowd = Crowd(movers, conditions)
        self._place_buildings(layout, seed)

    def _place_buildings(self, layout: Layout, seed: int) -> None:
        self._building_xy = np.array([[b.x, b.y] for b in layout.buildings]).reshape(-1, 2)
        reaches = [np.hypot(b.length, b.width) / 2 + b.height for b in layout.buildings]
        self._building_reach = np.array(reaches)
        self._facades = []
        self._facade_of: list[np.ndarray] = []
        for b in layout.buildings:
            faces = make_facades(b, self.conditions, self.lamp_at(b.x, b.y), seed)
            self._facade_of.append(np.arange(len(faces)) + len(self._facades))
            self._facades += faces
        self._face_quads = np.array([f.quad for f in self._facades]).reshape(-1, 4, 3)
        self._face_normals = np.array([f.normal for f in self._facades]).reshape(-1, 3)
        self._face_sizes = np.array([_sizes(f) for f in self._facades]).reshape(-1, 3, 2)

    def rows(self, t_s: float) -> np.ndarray:
        """Where every mover is: `[movers, 5]`, rows as in Mover."""
        rows = self._still.copy()
        if len(self._moving):
            first = self.movers[self._moving[0]]
            last = self._tracks.shape[1] - 1
            position = min(max((t_s - first.start_s) / first.step_s, 0.0), last)
            low = min(int(position), last - 1)
            part = position - low
            rows[self._moving] = self._tracks[:, low] * (1 - part) + self._tracks[:, low + 1] * part
        return rows

    def lamp_at(self, x: float, y: float) -> float:
        """Street-lamp light at a ground point; 0 when the lamps are off."""
        if not self.conditions.lamps:
            return 0.0
        size = self._lamp_light.shape[0]
        scale = size / PERIOD_M
        return float(self._lamp_light[int(y * scale) % size, int(x * scale) % size])

    def near(self, view: View, xy: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices `[n]` and xy of the copies `[n, 2]` of what may be in view; things repeat with the world.

        reach: metres around each xy that belong to it.
        """
        if len(xy) == 0:
            return np.zeros(0, int), np.zeros((0, 2))
        low, high = view.footprint(FARTHEST_M)
        home = np.floor((view.position[:2] - xy) / PERIOD_M + 0.5) * PERIOD_M + xy
        # home lies within half a period of the camera, so few of its copies can be in view
        room, half = reach.max(), PERIOD_M / 2
        centres = view.position[:2] + SHIFTS
        shifts = SHIFTS[((centres + half > low - room) & (centres - half < high + room)).all(1)]
        room = reach[:, None]
        inside = np.ones((len(xy), len(shifts)), bool)
        for axis in (0, 1):
            along = home[:, axis, None] + shifts[:, axis]  # [n, copies]
            inside &= (along > low[axis] - room) & (along < high[axis] + room)
        index, copy = np.nonzero(inside)
        spots, reach = home[index] + shifts[copy], reach[index]
        k = view.intrinsics
        camera = (spots - view.position[:2]) @ view.rotation[:, :2].T - view.rotation[:, 2] * view.position[2]
        scale = k.focal_px / np.maximum(camera[:, 2], 0.5)
        margin = reach * scale
        ok = (camera[:, 2] > 3) & (camera[:, 2] < FARTHEST_M)
        ok &= np.abs(camera[:, 0] * scale) < k.width / 2 + margin
        ok &= np.abs(camera[:, 1] * scale) < k.height / 2 + margin
        return index[ok], spots[ok]

    def items(
        self, view: View, t_s: float, hide: frozenset[int] = frozenset(), marks: bool = True
    ) -> list[Item]:
        """All items in view at a time, far to near. hide: ids of movers to leave out. marks: see Crowd."""
        found: list[Item] = [
            *self._tree_items(view),
            *self._building_items(view),
            *self.mover_items(view, t_s, hide, marks),
        ]
        found.sort(key=lambda item: -item.depth)
        return found

    def mover_items(
        self, view: View, t_s: float, hide: frozenset[int] = frozenset(), marks: bool = True
    ) -> list[FaceItem]:
        rows = self.rows(t_s)
        index, spots = self.near(view, rows[:, :2], self._mover_reach)
        if hide:
            keep = ~np.isin(index, list(hide))
            index, spots = index[keep], spots[keep]
        return self._crowd.items(view, rows, index, spots, marks)

    def _building_items(self, view: View) -> list[BuildingItem]:
        index, spots = self.near(view, self._building_xy, self._building_reach)
        if not len(index):
            return []
        shifts = np.column_stack([spots - self._building_xy[index], np.zeros(len(index))])
        faces = np.concatenate([self._facade_of[i] for i in index])
        owner = np.repeat(np.arange(len(index)), [len(self._facade_of[i]) for i in index])
        quads = self._face_quads[faces] + shifts[owner][:, None]
        turned = np.einsum("ij,ij->i", view.position - quads[:, 0], self._face_normals[faces]) > 0
        faces, owner, quads = faces[turned], owner[turned], quads[turned]
        pixels, depth = view.project(quads)
        limit = np.array([view.intrinsics.width, view.intrinsics.height])
        low = np.clip(np.floor(pixels.min(1)).astype(int) - 1, 0, limit)
        high = np.clip(np.ceil(pixels.max(1)).astype(int) + 2, 0, limit)
        keep = np.nonzero((high > low).all(1) & (depth.min(1) > 2))[0]
        if not len(keep):
            return []
        faces, owner, quads, pixels = faces[keep], owner[keep], quads[keep], pixels[keep]
        low, high = low[keep], high[keep]
        sides = pixels[:, 1:] - pixels[:, :-1]
        width = np.maximum(np.sqrt((sides[:, 0::2] ** 2).sum(-1)).max(1), 1.0)
        sizes = self._face_sizes[faces]
        levels = np.clip(np.round(np.log2(sizes[:, 0, 0] / width)), 0, 2).astype(int)
        to_texture = _texture_maps(view, quads, sizes[np.arange(len(faces)), levels], low)
        outlines = fixed(pixels - low[:, None])
        windows = np.concatenate([low, high], 1).tolist()
        bounds = np.concatenate([pixels.min(1), pixels.max(1)], 1)
        starts = np.nonzero(np.diff(owner, prepend=-1))[0]
        boxes = np.concatenate(
            [np.minimum.reduceat(bounds[:, :2], starts), np.maximum.reduceat(bounds[:, 2:], starts)], 1
        ).tolist()
        distance = np.sqrt(((view.position[:2] - spots) ** 2).sum(1) + view.position[2] ** 2).tolist()
        ends = [*starts[1:].tolist(), len(faces)]
        found = []
        for a, b, box in zip(starts.tolist(), ends, boxes, strict=True):
            group = [
                VisibleFace(
                    self._facades[faces[f]], pixels[f], outlines[f], int(levels[f]), windows[f], to_texture[f]
                )
                for f in range(a, b)
            ]
            found.append(BuildingItem(distance[owner[a]], box, group))
        return found

    def _tree_items(self, view: View) -> list[TreeItem]:
        forest = self.forest
        index, xy = self.near(view, forest.base[:, :2], forest.radius + forest.height)
        if not len(index):
            return []
        radius, height, turn = forest.radius[index], forest.height[index], forest.turn[index]
        points = np.zeros((len(index), SLICES, 3, 3))  # middle and the ends of two axes of each disc
        points[..., :2] = xy[:, None, None]
        points[..., 2] = (height[:, None] * HEIGHTS)[..., None]
        spans = radius[:, None] * RADII
        angle = turn[:, None] + np.arange(SLICES) * 2.1
        along, across = np.cos(angle) * spans, np.sin(angle) * spans
        points[:, :, 1, 0] += along
        points[:, :, 1, 1] += across
        points[:, :, 2, 0] -= across
        points[:, :, 2, 1] += along
        pixels, _ = view.project(points)
        root, _ = view.project(np.column_stack([xy, np.zeros(len(xy))]))
        distance = np.linalg.norm(view.position - points[:, 2, 0], axis=1) - 0.7 * radius
        middles = pixels[:, :, 0]
        rights, ups = pixels[:, :, 1] - middles, pixels[:, :, 2] - middles
        reach = np.sqrt(rights**2 + ups**2)  # of the ellipse with these half axes along x and y
        box = np.concatenate([(middles - reach).min(1), (middles + reach).max(1)], 1).tolist()
        limit = np.array([view.intrinsics.width, view.intrinsics.height])
        low = np.clip(np.floor(middles - reach).astype(int), 0, limit)
        high = np.clip(np.ceil(middles + reach).astype(int) + 1, 0, limit)
        windows = np.concatenate([low, high], -1).tolist()
        seen = np.nonzero((high > low).all(-1).any(-1))[0]
        sizes = (np.abs(rights[:, 1]) + np.abs(ups[:, 1])).max(-1)
        mips = np.where(sizes > 56, 0, np.where(sizes > 24, 1, 2))
        to_sprite = _sprite_maps(middles - low, rights, ups, (SPRITE_PX >> mips) / 2)
        trunks = fixed(np.stack([root, middles[:, 0]], 1)).tolist()
        return [
            TreeItem(
                float(distance[k]), box[k], int(index[k]), int(forest.species[index[k]]), middles[k],
                rights[k], ups[k], trunks[k], windows[k], to_sprite[k], float(sizes[k]), int(mips[k]),
            )
            for k in seen.tolist()
        ]  # fmt: skip


def _sizes(facade: Facade) -> list[tuple[int, int]]:
    """Width and height of a facade's pictures, fine to coarse; the last one stands for what is missing."""
    sizes = [(picture.shape[1], picture.shape[0]) for picture in facade.rgb]
    return (sizes + [sizes[-1]] * 2)[:3]


def _texture_maps(view: View, quads: np.ndarray, sizes: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Homographies `[f, 3, 3]` from pixels, counted from `corners` `[f, 2]`, to texture pixels of flat
    rectangles `[f, 4, 3]` in the world that carry pictures of `sizes` (width, height)."""
    across = (quads[:, 1] - quads[:, 0]) / sizes[:, :1]
    down = (quads[:, 0] - quads[:, 3]) / sizes[:, 1:]
    first = quads[:, 3] + 0.5 * (across + down) - view.position  # the middle of the first texel
    plane = np.stack([across, down, first], -1)
    camera = np.tile(view.intrinsics.matrix, (len(quads), 1, 1))
    camera[:, :2, 2] -= corners
    to_pixels = camera @ (view.rotation @ plane)
    flat = np.abs(np.linalg.det(to_pixels)) < 1e-9  # a gable's pointed quad; it is filled, not textured
    to_pixels[flat] = np.eye(3)
    return np.linalg.inv(to_pixels)


def _sprite_maps(middles: np.ndarray, rights: np.ndarray, ups: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Affine maps `[n, SLICES, 2, 3]` from pixels to leaf pictures of half size `half` `[n]`.

    middles, rights, ups: `[n, SLICES, 2]`, where the picture's middle lands and its half axes.
    """
    scale = half[:, None] / (rights[..., 0] * ups[..., 1] - rights[..., 1] * ups[..., 0])
    maps = np.empty((*scale.shape, 2, 3))
    maps[..., 0, 0], maps[..., 0, 1] = ups[..., 1] * scale, -ups[..., 0] * scale
    maps[..., 1, 0], maps[..., 1, 1] = -rights[..., 1] * scale, rights[..., 0] * scale
    maps[..., 2] = (half - 0.5)[:, None, None]
    maps[..., 2] -= (maps[..., :2] * middles[..., None, :]).sum(-1)
    return maps
