"""Vehicles and people in view: all their faces are turned, culled and projected in one go.

One mover at a time costs several times as much: wide views hold sixty, most of them a few pixels high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_rgbt.sim.camera_model import View
from edge_rgbt.sim.conditions import Conditions
from edge_rgbt.sim.drawing import fixed
from edge_rgbt.sim.items import FaceItem, capsules
from edge_rgbt.sim.meshes import bicycle_tubes, person_limbs, vehicle_mesh
from edge_rgbt.sim.objects import Mover

_DETAIL_PX = 9.0  # vehicles lower than this are drawn without small parts
_BICYCLE_PX = 10.0
_FOOT = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]], float)


@dataclass
class _Seen:
    """The movers in view, one row each: turn is the cosine and sine of the heading; offset leads from the
    mover's base to the camera."""

    index: np.ndarray
    base: np.ndarray  # [n, 2]
    row: np.ndarray  # [n, 5]
    cos: np.ndarray
    sin: np.ndarray
    offset: np.ndarray  # [n, 3]
    distance: np.ndarray
    height_px: np.ndarray

    def turned(self, points: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Points `[m, ..., 3]` of a mover's own axes in the world; of `[m]`: which row each belongs to."""
        shape = (-1,) + (1,) * (points.ndim - 2)
        c, s = self.cos[of].reshape(shape), self.sin[of].reshape(shape)
        out = np.empty_like(points)
        out[..., 0] = points[..., 0] * c - points[..., 1] * s
        out[..., 1] = points[..., 0] * s + points[..., 1] * c
        out[..., 2] = points[..., 2]
        return out

    def placed(self, points: np.ndarray, of: np.ndarray) -> np.ndarray:
        out = self.turned(points, of)
        out[..., :2] += self.base[of].reshape((-1,) + (1,) * (points.ndim - 2) + (2,))
        return out


class Crowd:
    """The faces of all vehicles in a few long arrays, and what is needed to pose people."""

    def __init__(self, movers: list[Mover], conditions: Conditions) -> None:
        self._movers, self._conditions = movers, conditions
        self._size = np.array([m.look.size for m in movers]).reshape(-1, 3)
        self._vehicle = np.array([m.is_vehicle for m in movers], bool)
        self._lit = self._vehicle & np.array([not m.parked for m in movers], bool)
        self._bicycle = bicycle_tubes()
        meshes = [vehicle_mesh(m) if m.is_vehicle else None for m in movers]
        found = [mesh for mesh in meshes if mesh is not None]
        self._count = np.array([0 if mesh is None else len(mesh.roles) for mesh in meshes], int)
        self._first = np.cumsum(self._count) - self._count
        self._quads = np.concatenate([m.quads for m in found] or [np.zeros((0, 4, 3))])
        self._normals = np.concatenate([m.normals for m in found] or [np.zeros((0, 3))])
        self._centres = np.concatenate([m.centres for m in found] or [np.zeros((0, 3))])
        self._roles = np.concatenate([m.roles for m in found] or [np.zeros(0, int)])
        self._detail = np.concatenate([m.detail for m in found] or [np.zeros(0, bool)])
        self._later_part = np.concatenate([m.part > 0 for m in found] or [np.zeros(0, bool)])
        self._part_centres = np.concatenate([m.part_centres[m.part] for m in found] or [np.zeros((0, 3))])

    def items(
        self, view: View, rows: np.ndarray, index: np.ndarray, spots: np.ndarray, marks: bool
    ) -> list[FaceItem]:
        """Items of the movers `index` `[n]`, whose base is at `spots` `[n, 2]`. rows: all movers' `[m, 5]`.

        marks: with shadows, lamps and beams, which the visible camera draws.
        """
        if not len(index):
            return []
        row, size = rows[index], self._size[index]
        offset = view.position - np.column_stack([spots, np.zeros(len(spots))])
        distance = np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2 + (offset[:, 2] - size[:, 2] / 2) ** 2)
        height_px = view.intrinsics.focal_px * size[:, 2] / distance
        seen = _Seen(index, spots, row, np.cos(row[:, 2]), np.sin(row[:, 2]), offset, distance, height_px)
        shadows = view.project(self._shadow_points(seen))[0] if marks else None
        facing = (seen.cos * offset[:, 0] + seen.sin * offset[:, 1]) / np.maximum(distance, 1.0)
        items: dict[int, FaceItem] = {}
        for of, polygons, roles, normals in (self._vehicle_faces(view, seen), self._people(view, seen)):
            if not len(of):
                continue
            outlines = fixed(polygons)
            starts = np.nonzero(np.diff(of, prepend=-1))[0]
            boxes = _bounds(polygons, starts)
            ends = [*starts[1:].tolist(), len(of)]
            for n, a, b, box in zip(of[starts].tolist(), starts.tolist(), ends, boxes, strict=True):
                items[n] = FaceItem(
                    float(distance[n]), box, self._movers[index[n]], polygons[a:b], outlines[a:b],
                    roles[a:b], normals[a:b], spots[n], float(height_px[n]),
                    None if shadows is None else shadows[n], float(facing[n]),
                )  # fmt: skip
        if marks and self._conditions.headlights:
            self._add_lights(view, seen, items)
        return list(items.values())

    def _vehicle_faces(
        self, view: View, seen: _Seen
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Faces turned to the camera: whose they are `[f]`, pixels `[f, 4, 2]`, roles, normals; in order."""
        count = self._count[seen.index]
        of = np.repeat(np.arange(len(count)), count)
        face = np.arange(len(of)) + np.repeat(self._first[seen.index] - (np.cumsum(count) - count), count)
        eye = seen.offset.copy()
        eye[:, 0] = seen.offset[:, 0] * seen.cos + seen.offset[:, 1] * seen.sin
        eye[:, 1] = seen.offset[:, 1] * seen.cos - seen.offset[:, 0] * seen.sin
        shown = np.einsum("ij,ij->i", eye[of] - self._centres[face], self._normals[face]) > 0
        shown &= ~self._detail[face] | (seen.height_px >= _DETAIL_PX)[of]
        face, of = face[shown], of[shown]
        away = self._part_centres[face] - eye[of]  # the parts that stand on the first: far ones first
        nearness = np.where(self._later_part[face], -np.einsum("ij,ij->i", away, away), -1e9)
        order = np.lexsort((nearness, of))
        face, of = face[order], of[order]
        pixels, _ = view.project(seen.placed(self._quads[face], of))
        return of, pixels, self._roles[face], seen.turned(self._normals[face], of)

    def _people(self, view: View, seen: _Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The same as `_vehicle_faces` for limbs and bicycles, as outlines of eight points."""
        whose, ends, radii, roles = [], [], [], []
        for n in np.nonzero(~self._vehicle[seen.index])[0].tolist():
            mover = self._movers[seen.index[n]]
            limbs, thick, kinds = person_limbs(mover, float(seen.row[n, 4]), float(seen.row[n, 3]))
            left = seen.cos[n] * seen.offset[n, 1] - seen.sin[n] * seen.offset[n, 0] > 0
            side = limbs[:7, :, 1].mean(1) * (1 if left else -1)
            order = np.concatenate([np.argsort(side, kind="stable"), np.arange(7, len(kinds))])
            parts = [(limbs[order], thick[order], kinds[order])]
            if mover.kind == "cyclist" and seen.height_px[n] > _BICYCLE_PX:
                parts.insert(0, self._bicycle)
            for part_ends, part_radii, part_roles in parts:
                whose.append(np.full(len(part_roles), n))
                ends.append(part_ends)
                radii.append(part_radii)
                roles.append(part_roles)
        if not whose:
            none = np.zeros(0, int)
            return none, np.zeros((0, 8, 2)), none, np.zeros((0, 3))
        of = np.concatenate(whose)
        pixels, depth = view.project(seen.placed(np.concatenate(ends), of))
        thick = np.concatenate(radii) * view.intrinsics.focal_px / np.maximum(depth.mean(1), 0.5)
        return of, capsules(pixels, thick), np.concatenate(roles), np.tile((0.0, 0.0, 0.6), (len(of), 1))

    def _shadow_points(self, seen: _Seen) -> np.ndarray:
        """Ground points `[n, 4 or 8, 3]` whose hull is the shadow of each mover."""
        size, sun = self._size[seen.index], self._conditions.sun
        grow = np.where(self._vehicle[seen.index], 0.12, -0.1)
        corners = np.zeros((len(size), 4, 3))
        corners[..., :2] = _FOOT * (size[:, :2] / 2 + grow[:, None])[:, None]
        of = np.arange(len(size))
        foot = seen.placed(corners, of)
        if sun is None:
            return foot
        top = seen.placed(corners * 0.75, of)
        top[..., :2] -= np.minimum(size[:, 2], 3.2)[:, None, None] * np.array(sun[:2]) / sun[2]
        return np.concatenate([foot, top], axis=1)

    def _add_lights(self, view: View, seen: _Seen, items: dict[int, FaceItem]) -> None:
        rows = [n for n in np.nonzero(self._lit[seen.index])[0].tolist() if n in items]
        if not rows:
            return
        points = np.zeros((len(rows), 8, 3))
        for k, n in enumerate(rows):
            length, width, _ = self._size[seen.index[n]].tolist()
            half = length / 2
            near, far = half + 0.4, half + 22
            points[k] = (
                (half, 0.35 * width, 0.65), (half, -0.35 * width, 0.65),
                (-half, 0.38 * width, 0.75), (-half, -0.38 * width, 0.75),
                (near, 5.5, 0), (near, -5.5, 0), (far, -5.5, 0), (far, 5.5, 0),
            )  # fmt: skip
        pixels, _ = view.project(seen.placed(points, np.array(rows)))
        for n, spots in zip(rows, pixels, strict=True):
            items[n].lamps, items[n].beam = spots[:4], spots[4:]


def _bounds(polygons: np.ndarray, starts: np.ndarray) -> list[list[float]]:
    """Bounds (x0, y0, x1, y1) of runs of polygons `[n, k, 2]` that begin at `starts`.

    Column by column, because numpy reduces short axes several times slower.
    """
    columns = np.ascontiguousarray(polygons.reshape(-1, 2).T)
    first = starts * polygons.shape[1]
    ends = [reduce.reduceat(column, first) for reduce in (np.minimum, np.maximum) for column in columns]
    return np.stack(ends, -1).tolist()
