"""The plan of the world: roads, blocks between them, buildings, trees, lamps and parked cars.

The world is periodic: it repeats every `PERIOD_M` metres in x and y, so a flight never reaches an edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge_rgbt.sim.noise import generator

PERIOD_M = 307.2
LANE_M = 3.4
SIDEWALK_M = 3.2
STYLES = ("city", "suburb", "country")


@dataclass(frozen=True)
class Road:
    """A road that crosses the whole world along one axis ("x" or "y"), gently curved.

    s runs along the axis; lateral is metres to the right of travel in +s direction.
    """

    axis: str
    centre: float
    lanes: int  # per direction
    amplitude: float
    phase: float
    has_sidewalk: bool
    surface: str  # "asphalt" or "dirt"

    @property
    def half_width(self) -> float:
        return self.lanes * LANE_M + 0.4

    def point(self, s: np.ndarray | float, lateral: np.ndarray | float = 0.0) -> np.ndarray:
        """World xy `[..., 2]`."""
        s = np.asarray(s, float)
        omega = 2 * np.pi / PERIOD_M
        across = self.centre + self.amplitude * np.sin(omega * s + self.phase)
        slope = self.amplitude * omega * np.cos(omega * s + self.phase)
        norm = np.sqrt(1 + slope**2)
        if self.axis == "y":  # heading north; right is east
            return np.stack([across + lateral / norm, s - lateral * slope / norm], -1)
        return np.stack([s + lateral * slope / norm, across - lateral / norm], -1)

    def heading(self, s: float, direction: int) -> float:
        """Course in radians (0 = +x, counter-clockwise) when travelling in +s (1) or -s (-1)."""
        omega = 2 * np.pi / PERIOD_M
        slope = self.amplitude * omega * np.cos(omega * s + self.phase)
        angle = np.arctan2(slope, 1.0) if self.axis == "x" else np.arctan2(1.0, slope)
        return float(angle if direction > 0 else angle + np.pi)


@dataclass(frozen=True)
class Building:
    """A box on the ground: centre, full size along its own axes, turn, height, and how it is finished."""

    x: float
    y: float
    length: float
    width: float
    angle: float
    height: float
    gabled: bool
    wall_rgb: tuple[int, int, int]
    roof_rgb: tuple[int, int, int]
    style: int
    warmth: float

    def corners(self, grow: float = 0.0) -> np.ndarray:
        """Footprint `[4, 2]`, counter-clockwise."""
        half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (
            self.length / 2 + grow,
            self.width / 2 + grow,
        )
        c, s = np.cos(self.angle), np.sin(self.angle)
        return half @ np.array([[c, s], [-s, c]]) + (self.x, self.y)


@dataclass(frozen=True)
class Tree:
    x: float
    y: float
    radius: float
    height: float
    species: int
    tint: float


@dataclass(frozen=True)
class Block:
    """The land between roads: its rectangle (may reach past the period) and what is on it."""

    x0: float
    y0: float
    x1: float
    y1: float
    kind: str
    angle: float
    paths: tuple[np.ndarray, ...] = ()
    pond: np.ndarray | None = None
    slots: tuple[tuple[float, float, float], ...] = ()


@dataclass
class Layout:
    style: str
    roads: list[Road] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    lamps: list[tuple[float, float]] = field(default_factory=list)
    parked: list[tuple[float, float, float]] = field(default_factory=list)
    crossings: list[tuple[int, int, float, float]] = field(default_factory=list)


def _roads(rng: np.random.Generator, style: str) -> list[Road]:
    counts = {"city": (3, 3), "suburb": (3, 2), "country": (2, 1)}[style]
    roads = []
    for axis, count in zip("yx", counts, strict=True):
        pitch = PERIOD_M / count
        for i in range(count):
            main = i == 0
            lanes = 2 if (main and style != "country") or (style == "city" and rng.random() < 0.35) else 1
            surface = "dirt" if style == "country" and not main and axis == "y" else "asphalt"
            amplitude = rng.uniform(0, 3) if style == "city" else rng.uniform(3, 9)
            centre = pitch * (i + 0.5) + rng.uniform(-0.12, 0.12) * pitch
            walk = style == "city" or (style == "suburb" and main) or rng.random() < 0.3
            roads.append(
                Road(
                    axis,
                    centre,
                    lanes,
                    amplitude,
                    rng.uniform(0, 6.28),
                    walk and surface == "asphalt",
                    surface,
                )
            )
    return roads


def find_crossings(roads: list[Road]) -> list[tuple[int, int, float, float]]:
    """(index of the y road, index of the x road, s on the y road, s on the x road) of each intersection."""
    found = []
    for i, a in enumerate(roads):
        for j, b in enumerate(roads):
            if a.axis == "y" and b.axis == "x":
                x, y = a.centre, b.centre
                for _ in range(12):
                    x = float(a.point(y)[0])
                    y = float(b.point(x)[1])
                found.append((i, j, y, x))
    return found


def distance_to_roads(roads: list[Road], x: float, y: float) -> float:
    """Metres from a point to the nearest road edge (negative on a road)."""
    best = 1e9
    for road in roads:
        s, across = (y, x) if road.axis == "y" else (x, y)
        centre = road.centre + road.amplitude * np.sin(2 * np.pi / PERIOD_M * s + road.phase)
        gap = abs((across - centre + PERIOD_M / 2) % PERIOD_M - PERIOD_M / 2) - road.half_width
        best = min(best, gap)
    return best


WALLS = ((196, 186, 170), (168, 150, 132), (150, 152, 156), (205, 203, 198), (142, 104, 88), (178, 170, 150))
ROOFS = ((122, 118, 112), (150, 148, 144), (92, 92, 96), (134, 84, 68), (156, 98, 74), (112, 104, 98))


def _building(
    rng: np.random.Generator, x: float, y: float, length: float, width: float, angle: float, house: bool
) -> Building:
    roofs = ROOFS[3:] if house else ROOFS[:3]
    return Building(
        x, y, length, width, angle,
        float(rng.uniform(3.2, 5.0) if house else rng.choice((4.5, 7.5, 10.5, 13.5, 17.0))),
        house, WALLS[rng.integers(len(WALLS))], roofs[rng.integers(len(roofs))],
        int(rng.integers(4)), float(rng.normal(0, 1.2)),
    )  # fmt: skip


def _path(rng: np.random.Generator, block: tuple[float, float, float, float]) -> np.ndarray:
    x0, y0, x1, y1 = block
    across = rng.random() < 0.5
    along = np.linspace(0, 1, 24)
    wobble = 0.5 + rng.uniform(-0.22, 0.22) + 0.1 * np.sin(along * rng.uniform(4, 9) + rng.uniform(0, 6))
    return np.stack(
        [x0 + along * (x1 - x0), y0 + wobble * (y1 - y0)]
        if across
        else [x0 + wobble * (x1 - x0), y0 + along * (y1 - y0)],
        -1,
    )


def _plant(
    rng: np.random.Generator, layout: Layout, x: float, y: float, scale: float, clear: float, species: int
) -> None:
    radius = float(np.clip(rng.lognormal(np.log(2.6), 0.3) * scale, 1.1, 5.5))
    if distance_to_roads(layout.roads, x, y) < clear:
        return
    for b in layout.buildings:
        reach = max(b.length, b.width) / 2 + radius * 0.6
        if abs(b.x - x) < reach and abs(b.y - y) < reach:
            return
    height = radius * float(rng.uniform(1.9, 2.7))
    layout.trees.append(Tree(x % PERIOD_M, y % PERIOD_M, radius, height, species, float(rng.normal(0, 1))))


def _fill_block(
    rng: np.random.Generator, layout: Layout, rect: tuple[float, float, float, float], kind: str
) -> None:
    x0, y0, x1, y1 = rect
    w, h = x1 - x0, y1 - y0
    angle = float(rng.uniform(0, np.pi))
    paths: list[np.ndarray] = []
    pond = None
    slots: list[tuple[float, float, float]] = []
    species = int(rng.integers(3))
    if kind == "park":
        paths = [_path(rng, rect) for _ in range(int(rng.integers(2, 5)))]
        if rng.random() < 0.5:
            a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            r = (
                min(w, h)
                * rng.uniform(0.1, 0.2)
                * (1 + 0.22 * np.sin(2 * a + 1) + 0.12 * np.sin(3 * a + angle))
            )
            centre = (x0 + w * rng.uniform(0.3, 0.7), y0 + h * rng.uniform(0.3, 0.7))
            pond = np.stack([centre[0] + 1.4 * r * np.cos(a), centre[1] + r * np.sin(a)], -1)
        for _ in range(int(rng.integers(3, 8))):  # clumps
            cx, cy = rng.uniform(x0, x1), rng.uniform(y0, y1)
            for _ in range(int(rng.integers(2, 8))):
                _plant(rng, layout, cx + rng.normal(0, 7), cy + rng.normal(0, 7), 1.15, 3.0, species)
    elif kind == "field":
        for edge in range(int(rng.integers(0, 3))):
            n = int(w / rng.uniform(5, 12))
            for k in range(n):
                _plant(
                    rng, layout, x0 + (k + 0.5) * w / n + rng.normal(0, 1.2),
                    (y0 + 6, y1 - 6, y0 + h * 0.5)[edge] + rng.normal(0, 1.2), 0.95, 3.0, species,
                )  # fmt: skip
    elif kind == "parking":
        bay = 2.6
        rows = np.arange(y0 + 14, y1 - 16, 17.0)
        for row in rows:
            for side, heading in ((-2.6, -np.pi / 2), (2.6, np.pi / 2)):
                for x in np.arange(x0 + 13, x1 - 13, bay):
                    slots.append((float(x), float(row + side), float(heading)))
        for slot in slots:
            if rng.random() < 0.32:
                flip = np.pi if rng.random() < 0.4 else 0.0
                layout.parked.append(
                    (slot[0], slot[1] + rng.normal(0, 0.15), slot[2] + flip + rng.normal(0, 0.02))
                )
    elif kind == "houses":
        for y in np.arange(y0 + 20, y1 - 14, 27.0):
            for x in np.arange(x0 + 20, x1 - 14, 24.0):
                if rng.random() < 0.8:
                    turn = float(rng.choice((0.0, np.pi / 2)) + rng.normal(0, 0.06))
                    spot = (float(x + rng.normal(0, 1.5)), float(y + rng.normal(0, 1.5)))
                    layout.buildings.append(
                        _building(rng, *spot, rng.uniform(10, 15), rng.uniform(7.5, 10), turn, True)
                    )
        for _ in range(int(w * h / 260)):
            _plant(rng, layout, rng.uniform(x0, x1), rng.uniform(y0, y1), 0.8, 3.0, int(rng.integers(3)))
    else:  # large buildings on paving, with a parking strip
        count = max(1, int(w // 48))
        for k in range(count):
            length, width = min(w / count - 12, rng.uniform(22, 40)), min(h - 34, rng.uniform(14, 30))
            if length > 8 and width > 8:
                spot = (x0 + (k + 0.5) * w / count, y0 + h / 2 + rng.normal(0, 3))
                layout.buildings.append(_building(rng, *spot, length, width, rng.normal(0, 0.03), False))
        for x in np.arange(x0 + 14, x1 - 14, 2.6):
            slots.append((float(x), float(y0 + 12.0), float(np.pi / 2)))
            if rng.random() < 0.4:
                layout.parked.append(
                    (float(x), float(y0 + 12.0), float(np.pi / 2 * (1 if rng.random() < 0.7 else -1)))
                )
        for _ in range(int(w * h / 700)):
            _plant(rng, layout, rng.uniform(x0, x1), rng.uniform(y0 + 20, y1), 0.85, 3.0, species)
    layout.blocks.append(Block(x0, y0, x1, y1, kind, angle, tuple(paths), pond, tuple(slots)))


def _line_roads(rng: np.random.Generator, layout: Layout) -> None:
    """Avenue trees that overhang the kerb, and street lamps."""
    for road in layout.roads:
        step = rng.uniform(8, 13)
        density = rng.uniform(0.15, 0.9)
        species = int(rng.integers(3))
        for side in (-1, 1):
            for s in np.arange(rng.uniform(0, step), PERIOD_M, step):
                if rng.random() < density:
                    x, y = road.point(s, side * (road.half_width + rng.uniform(1.2, 2.4)))
                    _plant(rng, layout, float(x), float(y), 0.95, 0.9, species)
        if road.surface == "asphalt":
            for k, s in enumerate(np.arange(12, PERIOD_M, 27.0)):
                x, y = road.point(s, (1 if k % 2 else -1) * (road.half_width + 0.7))
                layout.lamps.append((float(x) % PERIOD_M, float(y) % PERIOD_M))


def make_layout(seed: int) -> Layout:
    """Plans one world of `PERIOD_M` by `PERIOD_M` metres; the seed chooses the style too."""
    rng = generator(seed, "layout")
    style = str(rng.choice(STYLES, p=(0.45, 0.33, 0.22)))
    layout = Layout(style, roads=_roads(rng, style))
    layout.crossings = find_crossings(layout.roads)
    kinds = {
        "city": (("offices", "park", "parking"), (0.5, 0.3, 0.2)),
        "suburb": (("houses", "park", "field", "parking"), (0.45, 0.25, 0.15, 0.15)),
        "country": (("field", "park", "houses"), (0.7, 0.15, 0.15)),
    }[style]
    xs = sorted((r.centre, r.half_width) for r in layout.roads if r.axis == "y")
    ys = sorted((r.centre, r.half_width) for r in layout.roads if r.axis == "x")
    for (xa, wa), (xb, wb) in zip(xs, [*xs[1:], (xs[0][0] + PERIOD_M, xs[0][1])], strict=True):
        for (ya, ha), (yb, hb) in zip(ys, [*ys[1:], (ys[0][0] + PERIOD_M, ys[0][1])], strict=True):
            kind = str(rng.choice(kinds[0], p=kinds[1]))
            _fill_block(rng, layout, (xa + wa, ya + ha, xb - wb, yb - hb), kind)
    _line_roads(rng, layout)
    return layout
