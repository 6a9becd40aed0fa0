"""Vehicles as faces in space: bodies, cabins, glass, wheels, lamps. Local axes: x forward, y left, z up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from edge_rgbt.sim.objects import Mover


class Role(IntEnum):
    """What a face is made of; colour and heat follow from it."""

    BODY = 0
    SECOND = 1
    GLASS = 2
    WHEEL = 3
    HEADLAMP = 4
    TAILLAMP = 5
    GRILLE = 6
    HOOD = 7
    ROOF = 8
    EXHAUST = 9
    TRIM = 10
    SKIN = 11
    HAIR = 12
    SHIRT = 13
    TROUSERS = 14


@dataclass(frozen=True)
class Mesh:
    """quads `[F, 4, 3]` seen from outside: bottom-left, bottom-right, top-right, top-left; roles `[F]`;
    part `[F]`: faces of one convex part; parts after the first are drawn far to near, on top of the first."""

    quads: np.ndarray
    roles: np.ndarray
    part: np.ndarray
    detail: np.ndarray  # [F] bool: left out when the vehicle is small in the image

    @cached_property
    def centres(self) -> np.ndarray:
        return self.quads.mean(1)

    @cached_property
    def normals(self) -> np.ndarray:
        a = self.quads[:, 1] - self.quads[:, 0]
        b = self.quads[:, 3] - self.quads[:, 0]
        n = np.cross(a, b)
        return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)

    @cached_property
    def part_centres(self) -> np.ndarray:
        return np.array([self.centres[self.part == p].mean(0) for p in range(int(self.part.max()) + 1)])


class _Builder:
    def __init__(self) -> None:
        self.quads: list[np.ndarray] = []
        self.roles: list[int] = []
        self.parts: list[int] = []
        self.details: list[bool] = []

    def face(self, quad: np.ndarray, role: Role, part: int, detail: bool = False) -> np.ndarray:
        self.quads.append(np.asarray(quad, float))
        self.roles.append(int(role))
        self.parts.append(part)
        self.details.append(detail)
        return self.quads[-1]

    def decal(
        self,
        quad: np.ndarray,
        u0: float,
        u1: float,
        v0: float,
        v1: float,
        role: Role,
        part: int,
        detail: bool = True,
    ) -> None:
        """A patch on a face in its own coordinates: u to the right, v up, both 0..1."""

        def at(u: float, v: float) -> np.ndarray:
            low = quad[0] * (1 - u) + quad[1] * u
            high = quad[3] * (1 - u) + quad[2] * u
            return low * (1 - v) + high * v

        self.face(np.array([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)]), role, part, detail)

    def frustum(
        self, x: tuple[float, float], half: float, z: tuple[float, float],
        top_x: tuple[float, float], top_half: float, role: Role, part: int, top_role: Role | None = None,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """A box whose top may be smaller: returns its faces by name."""
        (r, f), (tr, tf), (z0, z1) = x, top_x, z
        b = {"rl": (r, half, z0), "rr": (r, -half, z0), "fl": (f, half, z0), "fr": (f, -half, z0)}
        t = {
            "rl": (tr, top_half, z1),
            "rr": (tr, -top_half, z1),
            "fl": (tf, top_half, z1),
            "fr": (tf, -top_half, z1),
        }
        faces = {
            "front": (b["fr"], b["fl"], t["fl"], t["fr"]),
            "rear": (b["rl"], b["rr"], t["rr"], t["rl"]),
            "left": (b["fl"], b["rl"], t["rl"], t["fl"]),
            "right": (b["rr"], b["fr"], t["fr"], t["rr"]),
        }
        out = {n: self.face(np.array(q), role, part) for n, q in faces.items()}
        top = np.array([t["rr"], t["fr"], t["fl"], t["rl"]])  # u forward, v left
        out["top"] = self.face(top, top_role if top_role is not None else role, part)
        return out

    def build(self) -> Mesh:
        return Mesh(np.array(self.quads), np.array(self.roles), np.array(self.parts), np.array(self.details))


def _wheels(
    b: _Builder, faces: dict[str, np.ndarray], spots: tuple[float, ...], reach: float, drop: float
) -> None:
    for name in ("left", "right"):
        for spot in spots:
            u = 1 - spot if name == "right" else spot  # spot counts from the front
            b.decal(faces[name], u - reach, u + reach, -drop, 0.42, Role.WHEEL, 0, False)


def _ends(b: _Builder, faces: dict[str, np.ndarray]) -> None:
    front, rear = faces["front"], faces["rear"]
    b.decal(front, 0.3, 0.7, 0.1, 0.6, Role.GRILLE, 0)
    for u in ((0.04, 0.24), (0.76, 0.96)):
        b.decal(front, *u, 0.5, 0.85, Role.HEADLAMP, 0)
        b.decal(rear, *u, 0.5, 0.88, Role.TAILLAMP, 0)
    b.decal(rear, 0.35, 0.65, 0.3, 0.55, Role.TRIM, 0)
    b.decal(rear, 0.1, 0.4, -0.1, 0.12, Role.EXHAUST, 0)


def _car(b: _Builder, size: tuple[float, float, float], boxy: bool) -> None:
    length, width, height = size
    r, f, half = -length / 2, length / 2, width / 2
    belt = 0.60 * height
    low = b.frustum((r, f), half, (0.22, belt), (r + 0.12, f - 0.22), half - 0.07, Role.BODY, 0)
    b.decal(low["top"], 0.70, 0.985, 0.06, 0.94, Role.HOOD, 0, False)
    _wheels(b, low, (0.20, 0.80), 0.072, 0.38)
    _ends(b, low)
    back = (0.06, 0.10) if boxy else (0.10, 0.24)
    cabin = b.frustum(
        (r + back[0] * length, f - 0.29 * length), half - 0.09, (belt, height),
        (r + back[1] * length, f - 0.43 * length), half - 0.24, Role.BODY, 1, Role.ROOF,
    )  # fmt: skip
    b.decal(cabin["front"], 0.05, 0.95, 0.08, 0.94, Role.GLASS, 1, False)
    b.decal(cabin["rear"], 0.08, 0.92, 0.15, 0.92, Role.GLASS, 1, False)
    for name in ("left", "right"):
        b.decal(cabin[name], 0.06, 0.48, 0.12, 0.86, Role.GLASS, 1, False)
        b.decal(cabin[name], 0.53, 0.93, 0.12, 0.86, Role.GLASS, 1, False)


def _van(b: _Builder, size: tuple[float, float, float]) -> None:
    length, width, height = size
    r, f, half = -length / 2, length / 2, width / 2
    low = b.frustum((r, f), half, (0.28, 1.15), (r + 0.03, f - 0.12), half - 0.03, Role.BODY, 0)
    b.decal(low["top"], 0.85, 0.99, 0.05, 0.95, Role.HOOD, 0, False)
    _wheels(b, low, (0.17, 0.80), 0.065, 0.36)
    _ends(b, low)
    top = b.frustum(
        (r + 0.03, f - 0.14 * length), half - 0.03, (1.15, height),
        (r + 0.08, f - 0.27 * length), half - 0.16, Role.BODY, 1, Role.ROOF,
    )  # fmt: skip
    b.decal(top["front"], 0.06, 0.94, 0.12, 0.9, Role.GLASS, 1, False)
    b.decal(top["rear"], 0.12, 0.46, 0.4, 0.85, Role.GLASS, 1)
    b.decal(top["rear"], 0.54, 0.88, 0.4, 0.85, Role.GLASS, 1)
    b.decal(top["left"], 0.06, 0.22, 0.25, 0.85, Role.GLASS, 1, False)
    b.decal(top["right"], 0.78, 0.94, 0.25, 0.85, Role.GLASS, 1, False)
    b.decal(top["top"], 0.25, 0.28, 0.1, 0.9, Role.TRIM, 1)


def _truck(b: _Builder, size: tuple[float, float, float]) -> None:
    length, width, height = size
    r, f, half = -length / 2, length / 2, width / 2
    low = b.frustum((r, f), half, (0.45, 0.95), (r, f), half, Role.TRIM, 0)
    _wheels(b, low, (0.13, 0.66, 0.80), 0.05, 0.85)
    _ends(b, low)
    cab = b.frustum(
        (f - 0.24 * length, f), half - 0.03, (0.95, 0.82 * height), (f - 0.23 * length, f - 0.2), half - 0.12,
        Role.BODY, 1, Role.HOOD,
    )  # fmt: skip
    b.decal(cab["front"], 0.06, 0.94, 0.45, 0.92, Role.GLASS, 1, False)
    b.decal(cab["front"], 0.15, 0.85, 0.02, 0.35, Role.GRILLE, 1)
    b.decal(cab["left"], 0.12, 0.7, 0.48, 0.9, Role.GLASS, 1, False)
    b.decal(cab["right"], 0.3, 0.88, 0.48, 0.9, Role.GLASS, 1, False)
    box = b.frustum(
        (r, f - 0.27 * length), half, (0.95, height), (r + 0.01, f - 0.275 * length), half - 0.02,
        Role.SECOND, 2, Role.SECOND,
    )  # fmt: skip
    b.decal(box["rear"], 0.485, 0.515, 0.02, 0.98, Role.TRIM, 2)
    for u in (0.25, 0.5, 0.75):
        b.decal(box["top"], u - 0.008, u + 0.008, 0.02, 0.98, Role.TRIM, 2)


def _bus(b: _Builder, size: tuple[float, float, float]) -> None:
    length, width, height = size
    r, f, half = -length / 2, length / 2, width / 2
    low = b.frustum((r, f), half, (0.3, 1.25), (r, f), half, Role.BODY, 0)
    _wheels(b, low, (0.20, 0.74), 0.045, 0.28)
    _ends(b, low)
    top = b.frustum((r, f), half, (1.25, height), (r + 0.1, f - 0.15), half - 0.1, Role.BODY, 1, Role.ROOF)
    b.decal(top["front"], 0.04, 0.96, 0.05, 0.82, Role.GLASS, 1, False)
    b.decal(top["rear"], 0.12, 0.88, 0.35, 0.85, Role.GLASS, 1, False)
    for name in ("left", "right"):
        for k in range(6):
            b.decal(top[name], 0.03 + k * 0.16, 0.165 + k * 0.16, 0.1, 0.72, Role.GLASS, 1, False)
    for u in (0.18, 0.62):  # roof units
        b.decal(top["top"], u, u + 0.2, 0.22, 0.78, Role.SECOND, 1, False)
        b.decal(top["top"], u + 0.03, u + 0.17, 0.3, 0.7, Role.TRIM, 1)


def vehicle_mesh(mover: Mover) -> Mesh:
    """The faces of one vehicle in its own axes, from its kind and size."""
    builder = _Builder()
    size = mover.look.size
    if mover.kind in ("car", "suv"):
        _car(builder, size, boxy=mover.kind == "suv")
    else:
        {"van": _van, "truck": _truck, "bus": _bus}[mover.kind](builder, size)
    return builder.build()


def person_limbs(mover: Mover, distance_m: float, speed: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends `[S, 2, 3]`, radii `[S]` and roles `[S]` of a person's limbs at a point of the stride."""
    scale = mover.look.size[2] / 1.75
    riding = mover.kind == "cyclist"
    phase = distance_m * 2 * np.pi / (2.2 if riding else 1.45 * scale)
    swing = min(1.0, speed / 1.2)
    hip, shoulder = 0.92 + (0.12 if riding else 0.0), 1.40 + (0.05 if riding else 0.0)
    lean = 0.28 if riding else 0.04 * swing
    ends, radii, roles = [], [], []

    def add(p0: tuple[float, ...], p1: tuple[float, ...], radius: float, role: Role) -> None:
        ends.append((p0, p1))
        radii.append(radius)
        roles.append(int(role))

    for side, shift in ((0.11, 0.0), (-0.11, np.pi)):
        if riding:
            a = 0.75 + 0.35 * np.sin(phase + shift)
            bend = 1.1 + 0.3 * np.cos(phase + shift)
        else:
            a = 0.52 * swing * np.sin(phase + shift)
            bend = 0.75 * swing * max(0.0, np.cos(phase + shift)) + 0.05
        knee = (0.45 * np.sin(a), side, hip - 0.45 * np.cos(a))
        foot = (knee[0] + 0.45 * np.sin(a - bend), side, max(0.04, knee[2] - 0.45 * np.cos(a - bend)))
        add((0, side, hip), knee, 0.095, Role.TROUSERS)
        add(knee, foot, 0.075, Role.TROUSERS)
    arm = 0.5 * swing * np.sin(phase)
    for side, angle in ((0.24, -arm), (-0.24, arm)):
        reach = (0.45, side * 0.9, shoulder - 0.4) if riding else (
            lean + 0.62 * np.sin(angle), side, shoulder - 0.62 * np.cos(angle)
        )  # fmt: skip
        add((lean, side * 0.8, shoulder - 0.05), reach, 0.055, Role.SHIRT)
    add((-0.02, 0, hip + 0.02), (lean * 0.9, 0, shoulder - 0.12), 0.20, Role.SHIRT)
    add((lean + 0.03, 0, shoulder + 0.13), (lean + 0.05, 0, shoulder + 0.2), 0.105, Role.SKIN)
    add((lean + 0.01, 0, shoulder + 0.19), (lean + 0.02, 0, shoulder + 0.26), 0.1, Role.HAIR)
    return np.array(ends) * scale, np.array(radii) * scale, np.array(roles)


def bicycle_tubes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends, radii and roles of a bicycle's rims and frame, as in `person_limbs`."""
    ends, radii, roles = [], [], []
    around = np.linspace(0, 2 * np.pi, 9)
    for hub in (-0.52, 0.52):
        rim = np.stack([hub + 0.34 * np.cos(around), np.zeros(9), 0.34 + 0.34 * np.sin(around)], -1)
        ends += [(rim[k], rim[k + 1]) for k in range(8)]
        radii += [0.035] * 8
        roles += [int(Role.WHEEL)] * 8
    rear, seat, pedals, head, front = (
        np.array([x, 0.0, z])
        for x, z in ((-0.52, 0.34), (-0.18, 0.9), (-0.02, 0.3), (0.42, 0.95), (0.52, 0.34))
    )
    for a, b in ((rear, seat), (seat, pedals), (pedals, head), (seat, head), (head, front), (rear, pedals)):
        ends.append((a, b))
        radii.append(0.03)
        roles.append(int(Role.TRIM))
    return np.array(ends), np.array(radii), np.array(roles)
