"""What a camera has in view at one moment, as items sorted from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.sim.buildings import make_facades
from edge_rgbt.sim.camera_model import View
from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.items import BuildingItem, FaceItem, Item, TreeItem, VisibleFace, capsules
from edge_rgbt.sim.layout import PERIOD_M, Layout
from edge_rgbt.sim.meshes import Mesh, bicycle_tubes, person_limbs, vehicle_mesh
from edge_rgbt.sim.objects import Mover
from edge_rgbt.sim.trees import HEIGHTS, RADII, SLICES, Forest

SHIFTS = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]) * PERIOD_M
FARTHEST_M = 420.0


@dataclass
class _Shape:
    """A mover's points in the world before projection: faces or limbs `[n, k, 3]`; shadow, lamps, beam."""

    mover: Mover
    base: np.ndarray
    turn: np.ndarray
    distance: float
    height_px: float
    solid: np.ndarray
    roles: np.ndarray
    normals: np.ndarray
    radii: np.ndarray | None
    extras: list[np.ndarray]


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
        self._meshes: dict[int, Mesh] = {m.id: vehicle_mesh(m) for m in movers if m.is_vehicle}
        self._bicycle = bicycle_tubes()
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
        self._face_texels = np.array([f.rgb[0].shape[1] for f in self._facades])

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
        spots = home[:, None, :] + SHIFTS  # [n, 9, 2]
        room = reach[:, None, None]
        index, copy = np.nonzero(((spots > low - room) & (spots < high + room)).all(-1))
        spots, reach = spots[index, copy], reach[index]
        k = view.intrinsics
        camera = (spots - view.position[:2]) @ view.rotation[:, :2].T - view.rotation[:, 2] * view.position[2]
        scale = k.focal_px / np.maximum(camera[:, 2], 0.5)
        margin = reach * scale
        ok = (camera[:, 2] > 3) & (camera[:, 2] < FARTHEST_M)
        ok &= np.abs(camera[:, 0] * scale) < k.width / 2 + margin
        ok &= np.abs(camera[:, 1] * scale) < k.height / 2 + margin
        return index[ok], spots[ok]

    def items(self, view: View, t_s: float, hide: frozenset[int] = frozenset()) -> list[Item]:
        """All items in view at a time, far to near. hide: ids of movers to leave out."""
        found: list[Item] = [
            *self._tree_items(view),
            *self._building_items(view),
            *self.mover_items(view, t_s, hide),
        ]
        found.sort(key=lambda item: -item.depth)
        return found

    def mover_items(self, view: View, t_s: float, hide: frozenset[int] = frozenset()) -> list[FaceItem]:
        rows = self.rows(t_s)
        index, spots = self.near(view, rows[:, :2], self._mover_reach)
        shapes = [
            self._shape(view, self.movers[i], rows[i], xy)
            for i, xy in zip(index.tolist(), spots, strict=True)
            if i not in hide
        ]
        if not shapes:
            return []
        points = [part.reshape(-1, 3) for s in shapes for part in (s.solid, *s.extras)]
        pixels, depths = view.project(np.concatenate(points))  # one projection for all is much faster
        items, at = [], 0
        for shape in shapes:
            parts, spans = [], []
            for part in (shape.solid, *shape.extras):
                count = part.size // 3
                parts.append(pixels[at : at + count].reshape(*part.shape[:-1], 2))
                spans.append(depths[at : at + count].reshape(part.shape[:-1]))
                at += count
            items.append(self._face_item(view, shape, parts, spans[0]))
        return items

    def _shape(self, view: View, mover: Mover, row: np.ndarray, xy: np.ndarray) -> _Shape:
        c, s = float(np.cos(row[2])), float(np.sin(row[2]))
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        base = np.array([xy[0], xy[1], 0.0])
        length, width, height = mover.look.size
        offset = view.position - base
        distance = float(np.sqrt(offset[0] ** 2 + offset[1] ** 2 + (offset[2] - height / 2) ** 2))
        height_px = view.intrinsics.focal_px * height / distance
        extras = [self._shadow_outline(mover, turn, base)]
        if not mover.is_vehicle:
            local, radii, roles = person_limbs(mover, float(row[4]), float(row[3]))
            side = local[:7, :, 1].mean(1) * (1 if turn[1] @ offset > 0 else -1)
            order = np.concatenate([np.argsort(side, kind="stable"), np.arange(7, len(roles))])
            local, radii, roles = local[order], radii[order], roles[order]
            if mover.kind == "cyclist" and height_px > 10:
                parts = zip(self._bicycle, (local, radii, roles), strict=True)
                local, radii, roles = (np.concatenate(part) for part in parts)
            normals = np.tile((0.0, 0.0, 0.6), (len(roles), 1))
            return _Shape(
                mover, base, turn, distance, height_px, local @ turn + base, roles, normals, radii, extras
            )
        if not mover.parked and self.conditions.headlights:
            half = length / 2
            spots = np.array([[half, 0.35 * width, 0.65], [half, -0.35 * width, 0.65],
                              [-half, 0.38 * width, 0.75], [-half, -0.38 * width, 0.75]])  # fmt: skip
            near, far = half + 0.4, half + 22
            beam = np.array([[near, 5.5, 0], [near, -5.5, 0], [far, -5.5, 0], [far, 5.5, 0]])
            extras += [spots @ turn + base, beam @ turn + base]
        mesh = self._meshes[mover.id]
        eye = turn @ offset
        seen = ((eye - mesh.centres) * mesh.normals).sum(1) > 0
        if height_px < 9:
            seen &= ~mesh.detail
        index = np.nonzero(seen)[0]
        if len(mesh.part_centres) > 2:  # several parts stand on the first: far ones first
            away = -np.linalg.norm(mesh.part_centres - eye, axis=1)
            away[0] = -1e9
            index = index[np.argsort(away[mesh.part[index]], kind="stable")]
        return _Shape(
            mover, base, turn, distance, height_px, mesh.quads[index] @ turn + base,
            mesh.roles[index], mesh.normals[index] @ turn, None, extras,
        )  # fmt: skip

    def _shadow_outline(self, mover: Mover, turn: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Ground points `[4 or 8, 3]` whose hull is the shadow."""
        length, width, height = mover.look.size
        sun = self.conditions.sun
        grow = 0.12 if mover.is_vehicle else -0.1
        x, y = length / 2 + grow, width / 2 + grow
        foot = np.array([[x, y, 0], [-x, y, 0], [-x, -y, 0], [x, -y, 0]]) @ turn + base
        if sun is None:
            return foot
        top = (foot - base) * 0.75 + base
        top[:, 0] -= min(height, 3.2) * sun[0] / sun[2]
        top[:, 1] -= min(height, 3.2) * sun[1] / sun[2]
        return np.concatenate([foot, top])

    def _face_item(self, view: View, shape: _Shape, parts: list[np.ndarray], depths: np.ndarray) -> FaceItem:
        polygons = parts[0]
        if shape.radii is not None:
            polygons = capsules(polygons, shape.radii * view.intrinsics.focal_px / depths.mean(1))
        forward = shape.turn[0]
        facing = float(forward @ (view.position - shape.base) / max(shape.distance, 1.0))
        lamps, beam = parts[2:4] if len(parts) > 2 else (None, None)
        shadow = cv2.convexHull(parts[1].astype(np.float32))[:, 0].astype(float)
        return FaceItem(
            shape.distance, shape.mover, polygons, shape.roles, shape.normals, shape.base[:2],
            shape.height_px, shadow, lamps, beam, facing,
        )  # fmt: skip

    def _building_items(self, view: View) -> list[BuildingItem]:
        index, spots = self.near(view, self._building_xy, self._building_reach)
        if not len(index):
            return []
        shifts = np.column_stack([spots - self._building_xy[index], np.zeros(len(index))])
        faces = np.concatenate([self._facade_of[i] for i in index])
        owner = np.concatenate([np.full(len(self._facade_of[i]), n) for n, i in enumerate(index)])
        quads = self._face_quads[faces] + shifts[owner][:, None]
        turned = ((view.position - quads[:, 0]) * self._face_normals[faces]).sum(1) > 0
        pixels, depth = view.project(quads)
        low, high = pixels.min(1), pixels.max(1)
        k = view.intrinsics
        inside = (high > -1).all(1) & (low[:, 0] < k.width + 1) & (low[:, 1] < k.height + 1)
        keep = np.nonzero(turned & inside & (depth.min(1) > 2))[0]
        edges = pixels[:, 1:] - pixels[:, :-1]
        width = np.maximum(np.sqrt((edges[:, 0::2] ** 2).sum(-1)).max(1), 1.0)
        levels = np.round(np.log2(self._face_texels[faces] / width)).astype(int)
        groups: dict[int, list[VisibleFace]] = {}
        for f in keep.tolist():
            face = VisibleFace(self._facades[faces[f]], pixels[f], int(levels[f]))
            groups.setdefault(int(owner[f]), []).append(face)
        middles = np.column_stack([spots, np.zeros(len(spots))])
        distance = np.linalg.norm(view.position - middles, axis=1)
        return [BuildingItem(float(distance[n]), found) for n, found in groups.items()]

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
        reach = np.abs(rights) + np.abs(ups)
        limit = np.array([view.intrinsics.width, view.intrinsics.height])
        low = np.clip(np.floor(middles - reach).astype(int), 0, limit)
        high = np.clip(np.ceil(middles + reach).astype(int) + 1, 0, limit)
        windows = np.concatenate([low, high], -1).tolist()
        seen = np.nonzero((high > low).all(-1).any(-1))[0]
        sizes = reach[:, 1].max(-1)
        return [
            TreeItem(
                float(distance[k]), int(index[k]), int(forest.species[index[k]]), middles[k], rights[k],
                ups[k], root[k], windows[k], float(sizes[k]),
            )
            for k in seen
        ]  # fmt: skip
