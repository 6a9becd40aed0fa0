"""What a camera has in view at one moment, as items sorted from far to near; each can be drawn or masked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.sim.buildings import Facade, make_facades
from edge_rgbt.sim.camera_model import View
from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.drawing import FRACTION_BITS, fixed
from edge_rgbt.sim.layout import PERIOD_M, Layout
from edge_rgbt.sim.meshes import Mesh, person_limbs, vehicle_mesh
from edge_rgbt.sim.objects import Mover
from edge_rgbt.sim.trees import HEIGHTS, RADII, SLICES, Forest

SHIFTS = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]) * PERIOD_M


@dataclass
class FaceItem:
    """A vehicle or a person: convex polygons in drawing order.

    polygons: `[n, k, 2]` pixels; roles `[n]`; normals `[n, 3]` in the world; base: ground xy;
    shadow: outline on the ground in pixels, or None.
    """

    depth: float
    mover: Mover
    polygons: np.ndarray
    roles: np.ndarray
    normals: np.ndarray
    base: np.ndarray
    height_px: float
    forward: np.ndarray
    shadow: np.ndarray | None
    lamps: np.ndarray | None  # `[4, 2]`: head left, head right, tail left, tail right
    beam: np.ndarray | None  # ground quad lit by the headlights
    facing: float  # cosine between forward and the direction to the camera

    def bounds(self) -> np.ndarray:
        points = self.polygons.reshape(-1, 2)
        return np.concatenate([points.min(0), points.max(0)])

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        for polygon in self.polygons:
            points = fixed((polygon - origin) * scale)
            cv2.fillConvexPoly(mask, points, value, cv2.LINE_8, FRACTION_BITS)


@dataclass
class BuildingItem:
    depth: float
    faces: list[tuple[Facade, np.ndarray]]

    def bounds(self) -> np.ndarray:
        points = np.concatenate([quad for _, quad in self.faces])
        return np.concatenate([points.min(0), points.max(0)])

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        for _, quad in self.faces:
            cv2.fillConvexPoly(mask, fixed((quad - origin) * scale), value, cv2.LINE_8, FRACTION_BITS)


@dataclass
class TreeItem:
    """centres `[SLICES, 2]`, rights and ups `[SLICES, 2]`: half axes of each disc in pixels."""

    depth: float
    index: int
    species: int
    centres: np.ndarray
    rights: np.ndarray
    ups: np.ndarray
    root: np.ndarray

    def levels(self) -> Iterable[int]:
        size = float(np.abs(self.rights[1]).max() + np.abs(self.ups[1]).max())
        return range(SLICES) if size > 14 else (0, 2, 4) if size > 6 else (1, 3)

    def bounds(self) -> np.ndarray:
        reach = np.abs(self.rights) + np.abs(self.ups)
        return np.concatenate([(self.centres - reach).min(0), (self.centres + reach).max(0)])

    def add_to_mask(self, mask: np.ndarray, origin: np.ndarray, scale: float, value: int) -> None:
        """A canopy covers an ellipse of 0.84 of each disc, as its leaves do on average."""
        turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for k in self.levels():
            ring = self.centres[k] + 0.84 * (
                np.cos(turn)[:, None] * self.rights[k] + np.sin(turn)[:, None] * self.ups[k]
            )
            cv2.fillConvexPoly(mask, fixed((ring - origin) * scale), value, cv2.LINE_8, FRACTION_BITS)


Item = FaceItem | BuildingItem | TreeItem


def _capsules(ends: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Eight-sided outlines `[S, 8, 2]` of thick lines; ends `[S, 2, 2]` and radii `[S]` in pixels."""
    along = ends[:, 1] - ends[:, 0]
    norm = np.linalg.norm(along, axis=1, keepdims=True)
    t = np.where(norm > 1e-6, along / np.maximum(norm, 1e-6), np.array([0.0, 1.0]))
    n = np.stack([-t[:, 1], t[:, 0]], -1)
    r = radii[:, None]
    a, b = ends[:, 0], ends[:, 1]
    return np.stack(
        [
            a - 0.45 * r * n - r * t,
            a - r * n - 0.3 * r * t,
            b - r * n + 0.3 * r * t,
            b - 0.45 * r * n + r * t,
            b + 0.45 * r * n + r * t,
            b + r * n + 0.3 * r * t,
            a + r * n - 0.3 * r * t,
            a + 0.45 * r * n - r * t,
        ],
        axis=1,
    )  # fmt: skip


class Scene:
    """Everything that stands on the ground, and where the moving part of it is."""

    def __init__(
        self, layout: Layout, movers: list[Mover], conditions: Conditions, lamp_light: np.ndarray, seed: int
    ) -> None:
        self.movers = movers
        self.conditions = conditions
        self.forest = Forest(layout)
        self._lamp_light = lamp_light
        self._meshes: dict[int, Mesh] = {m.id: vehicle_mesh(m) for m in movers if m.is_vehicle}
        self._facades = [
            make_facades(b, conditions, float(self.lamp_at(b.x, b.y)), seed) for b in layout.buildings
        ]
        self._building_xy = np.array([[b.x, b.y] for b in layout.buildings]).reshape(-1, 2)
        self._building_reach = np.array(
            [np.hypot(b.length, b.width) / 2 + b.height for b in layout.buildings]
        )

    def lamp_at(self, x: float, y: float) -> float:
        """Street-lamp light at a ground point; 0 when the lamps are off."""
        if not self.conditions.lamps:
            return 0.0
        size = self._lamp_light.shape[0]
        scale = size / PERIOD_M
        return float(self._lamp_light[int(y * scale) % size, int(x * scale) % size])

    def _near(self, view: View, xy: np.ndarray, reach: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """(index, xy of the copy) of things that may be in view; things repeat with the world."""
        if len(xy) == 0:
            return []
        k = view.intrinsics
        home = np.floor((view.position[:2] - xy) / PERIOD_M + 0.5) * PERIOD_M + xy
        spots = home[:, None, :] + SHIFTS  # [n, 9, 2]
        pixels, depth = view.project(np.concatenate([spots, np.zeros((*spots.shape[:2], 1))], -1))
        margin = reach[:, None] * k.focal_px / np.maximum(depth, 1.0)
        ok = (depth > 3) & (depth < 420) & (np.abs(pixels[..., 0] - k.width / 2) < k.width / 2 + margin)
        ok &= np.abs(pixels[..., 1] - k.height / 2) < k.height / 2 + margin
        return [(int(i), spots[i, j]) for i, j in zip(*np.nonzero(ok), strict=True)]

    def items(self, view: View, t_s: float, hide: frozenset[int] = frozenset()) -> list[Item]:
        """All items in view at a time, far to near. hide: ids of movers to leave out."""
        found: list[Item] = []
        found += self._tree_items(view)
        found += self._building_items(view)
        found += self.mover_items(view, t_s, hide)
        found.sort(key=lambda item: -item.depth)
        return found

    def mover_items(self, view: View, t_s: float, hide: frozenset[int] = frozenset()) -> list[FaceItem]:
        rows = np.array([m.at(t_s) for m in self.movers])
        reach = np.array([m.look.size[0] for m in self.movers]) + 2
        near = self._near(view, rows[:, :2], reach)
        items = []
        for index, xy in near:
            mover = self.movers[index]
            if mover.id in hide:
                continue
            item = self._mover_item(view, mover, rows[index], xy)
            if item is not None:
                items.append(item)
        return items

    def _mover_item(self, view: View, mover: Mover, row: np.ndarray, xy: np.ndarray) -> FaceItem | None:
        c, s = np.cos(row[2]), np.sin(row[2])
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        base = np.array([xy[0], xy[1], 0.0])
        length, width, height = mover.look.size
        _, depth = view.project(base)
        if depth < 3:
            return None
        height_px = view.intrinsics.focal_px * height / float(depth)
        distance = float(np.linalg.norm(view.position - base - (0, 0, height / 2)))
        forward = turn[0]
        facing = float(forward @ (view.position - base) / max(distance, 1.0))
        lamps = beam = None
        if mover.is_vehicle:
            polygons, roles, normals = self._vehicle_faces(view, mover, turn, base, height_px)
            if not mover.parked and self.conditions.headlights:
                half = length / 2
                spots = np.array([[half, 0.35 * width, 0.65], [half, -0.35 * width, 0.65],
                                  [-half, 0.38 * width, 0.75], [-half, -0.38 * width, 0.75]])  # fmt: skip
                lamps = view.project(spots @ turn + base)[0]
                near, far = half + 0.4, half + 22
                reach = np.array([[near, 5.5, 0], [near, -5.5, 0], [far, -5.5, 0], [far, 5.5, 0]])
                beam = view.project(reach @ turn + base)[0]
        else:
            local, radii, roles = person_limbs(mover, float(row[4]), float(row[3]))
            pixels, depths = view.project(local @ turn + base)
            polygons = _capsules(pixels, radii * view.intrinsics.focal_px / depths.mean(1))
            normals = np.tile((0.0, 0.0, 0.6), (len(roles), 1))
            side = (local[:, :, 1].mean(1) * (1 if (turn[1] @ (view.position - base)) > 0 else -1))[:7]
            order = np.concatenate([np.argsort(side, kind="stable"), np.arange(7, len(roles))])
            polygons, roles, normals = polygons[order], roles[order], normals[order]
        shadow = self._shadow(view, mover, turn, base)
        return FaceItem(
            distance,
            mover,
            polygons,
            roles,
            normals,
            base[:2],
            height_px,
            forward,
            shadow,
            lamps,
            beam,
            facing,
        )

    def _vehicle_faces(
        self, view: View, mover: Mover, turn: np.ndarray, base: np.ndarray, height_px: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mesh = self._meshes[mover.id]
        eye = turn @ (view.position - base)
        seen = np.einsum("ij,ij->i", eye - mesh.centres, mesh.normals) > 0
        if height_px < 9:
            seen &= ~mesh.detail
        away = -np.linalg.norm(mesh.part_centres - eye, axis=1)
        away[0] = -1e9
        index = np.nonzero(seen)[0]
        index = index[np.argsort(away[mesh.part[index]], kind="stable")]
        polygons, _ = view.project(mesh.quads[index] @ turn + base)
        return polygons, mesh.roles[index], mesh.normals[index] @ turn

    def _shadow(self, view: View, mover: Mover, turn: np.ndarray, base: np.ndarray) -> np.ndarray | None:
        length, width, height = mover.look.size
        sun = self.conditions.sun
        grow = 0.12 if mover.is_vehicle else -0.1
        half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (length / 2 + grow, width / 2 + grow)
        foot = np.column_stack([half, np.zeros(4)]) @ turn + base
        if sun is not None:
            drop = min(height, 3.2) * -np.array([sun[0], sun[1]]) / sun[2]
            top = foot * 1.0
            top[:, :2] = base[:2] + (foot[:, :2] - base[:2]) * 0.75 + drop
            foot = np.concatenate([foot, top])
        pixels, _ = view.project(foot)
        return cv2.convexHull(pixels.astype(np.float32))[:, 0].astype(float)

    def _building_items(self, view: View) -> list[BuildingItem]:
        items = []
        for index, xy in self._near(view, self._building_xy, self._building_reach):
            shift = np.array([*(xy - self._building_xy[index]), 0.0])
            eye = view.position - shift
            faces = []
            for facade in self._facades[index]:
                if facade.normal @ (eye - facade.quad[0]) <= 0:
                    continue
                quad, depth = view.project(facade.quad + shift)
                if depth.min() > 2:
                    faces.append((facade, quad))
            if faces:
                centre = np.array([*xy, 0.0])
                items.append(BuildingItem(float(np.linalg.norm(view.position - centre)), faces))
        return items

    def _tree_items(self, view: View) -> list[TreeItem]:
        forest = self.forest
        near = self._near(view, forest.base[:, :2], forest.radius + forest.height)
        if not near:
            return []
        index = np.array([i for i, _ in near])
        xy = np.array([p for _, p in near])
        radius, height, turn = forest.radius[index], forest.height[index], forest.turn[index]
        centres = np.zeros((len(near), SLICES, 3))
        centres[..., :2] = xy[:, None]
        centres[..., 2] = height[:, None] * HEIGHTS
        spans = radius[:, None] * RADII
        level_turn = turn[:, None] + np.arange(SLICES) * 2.1
        east = np.stack([np.cos(level_turn), np.sin(level_turn), np.zeros_like(level_turn)], -1)
        north = np.stack([-np.sin(level_turn), np.cos(level_turn), np.zeros_like(level_turn)], -1)
        points = np.stack(
            [centres, centres + east * spans[..., None], centres + north * spans[..., None]], axis=2
        )
        pixels, _ = view.project(points)
        root, _ = view.project(np.column_stack([xy, np.zeros(len(xy))]))
        tops = centres[:, 2]
        distance = np.linalg.norm(view.position - tops, axis=1) - 0.7 * radius
        return [
            TreeItem(
                float(distance[k]), int(index[k]), int(forest.species[index[k]]), pixels[k, :, 0],
                pixels[k, :, 1] - pixels[k, :, 0], pixels[k, :, 2] - pixels[k, :, 0], root[k],
            )
            for k in range(len(near))
        ]  # fmt: skip
