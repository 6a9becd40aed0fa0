"""Fills a world with vehicles and people and chooses which of them is the target."""

from __future__ import annotations

import numpy as np

from edge_rgbt.sim.layout import PERIOD_M, Layout
from edge_rgbt.sim.noise import generator
from edge_rgbt.sim.objects import KINDS, PERSON_KINDS, VEHICLE_KINDS, Look, Mover, make_look
from edge_rgbt.sim.people import pavement_course, stroll_course
from edge_rgbt.sim.traffic import Driver, Traffic

STEP_S = 0.1
LEAD_IN_S = 4.0
COUNTS = {"city": (24, 34), "suburb": (16, 22), "country": (9, 10)}


def _kind(rng: np.random.Generator) -> str:
    return str(rng.choice(VEHICLE_KINDS, p=(0.5, 0.2, 0.13, 0.1, 0.07)))


def _drivers(rng: np.random.Generator, layout: Layout, target_kind: str) -> list[Driver]:
    """Vehicles spread over the lanes, some in small groups of the same kind."""
    drivers: list[Driver] = []
    taken: list[np.ndarray] = []
    wanted = COUNTS[layout.style][0]
    for _attempt in range(wanted * 12):
        if len(drivers) >= wanted:
            break
        index = int(rng.integers(len(layout.roads)))
        road = layout.roads[index]
        direction = int(rng.choice((-1, 1)))
        s = float(rng.uniform(0, PERIOD_M))
        kind = target_kind if not drivers and target_kind in VEHICLE_KINDS else _kind(rng)
        group = int(rng.integers(2, 5)) if not drivers or rng.random() < 0.3 else 1
        for k in range(group):
            lane = int(rng.integers(road.lanes))
            cruise = float(rng.uniform(7, 14) if road.surface == "asphalt" else rng.uniform(5, 8))
            if kind in ("truck", "bus"):
                cruise *= 0.8
            at = s - direction * k * rng.uniform(11, 17)
            side = direction if rng.random() < 0.75 else -direction
            driver = Driver(kind, index, side, lane, at, cruise, float(rng.uniform(0.02, 0.15)))
            spot = road.point(at, side * (lane + 0.5) * 3.4) % PERIOD_M
            near = any(np.abs((spot - o + PERIOD_M / 2) % PERIOD_M - PERIOD_M / 2).max() < 9.5 for o in taken)
            on_crossing = any(
                abs((at - (c[2] if road.axis == "y" else c[3]) + PERIOD_M / 2) % PERIOD_M - PERIOD_M / 2) < 16
                for c in layout.crossings
                if index in c[:2]
            )
            if not near and not on_crossing:
                taken.append(spot)
                drivers.append(driver)
    return drivers


def _walkers(
    rng: np.random.Generator, layout: Layout, target_kind: str, samples: int
) -> list[tuple[str, np.ndarray]]:
    found: list[tuple[str, np.ndarray]] = []
    wanted = COUNTS[layout.style][1]
    asphalt = [k for k, r in enumerate(layout.roads) if r.surface == "asphalt"]

    def speed(kind: str) -> float:
        return float(rng.uniform(3.0, 5.5) if kind == "cyclist" else np.clip(rng.normal(1.4, 0.25), 0.8, 2.6))

    if target_kind in PERSON_KINDS:  # a group of similar people, the target among them
        road = int(rng.choice(asphalt))
        start, side = float(rng.uniform(0, PERIOD_M)), int(rng.choice((-1, 1)))
        open_land = rng.random() < 0.4 and target_kind == "person"
        spot = rng.uniform(0, PERIOD_M, 2)
        for _ in range(int(rng.integers(4, 8))):
            if open_land:
                close = spot + rng.normal(0, 4, 2)
                course = stroll_course(rng, layout, samples, STEP_S, speed(target_kind), (close[0], close[1]))
            else:
                near = (road, start + float(rng.normal(0, 7)), side if rng.random() < 0.8 else -side)
                course = pavement_course(
                    rng, layout, samples, STEP_S, speed(target_kind), near, target_kind == "cyclist"
                )
            found.append((target_kind, course))
    while len(found) < wanted:
        kind = "cyclist" if rng.random() < 0.18 else "person"
        if kind == "cyclist" or rng.random() < 0.62:
            course = pavement_course(rng, layout, samples, STEP_S, speed(kind), None, kind == "cyclist")
        else:
            course = stroll_course(rng, layout, samples, STEP_S, speed(kind))
        found.append((kind, course))
    return found


def _similar(rng: np.random.Generator, look: Look, kind: str) -> Look:
    """Nearly the same look, for things that are easily confused with the target."""
    other = make_look(rng, kind)
    red, green, blue = (int(np.clip(c + rng.normal(0, 9), 0, 255)) for c in look.colour)
    return Look(other.size, (red, green, blue), look.second, other.engine_k, other.body_k, other.skin_k)


def choose_target_kind(seed: int) -> str:
    rng = generator(seed, "target kind")
    return str(rng.choice(KINDS, p=(0.33, 0.12, 0.08, 0.07, 0.06, 0.24, 0.10)))


def _choose_target(rng: np.random.Generator, movers: list[Mover], kind: str) -> int:
    """One of the kind that keeps moving for most of the time, if there is one."""
    same = [m for m in movers if m.kind == kind and not m.parked]
    if not same:
        same = [m for m in movers if not m.parked]
    lively = [m for m in same if (m.track[:, 3] > 0.3).mean() > 0.7]
    pool = lively or [max(same, key=lambda m: float(m.track[-1, 4]))]
    first = pool[: 4 if kind in PERSON_KINDS else 3]  # the first ones were set down as a group
    return first[int(rng.integers(len(first)))].id


def populate(seed: int, layout: Layout, seconds: float, target_kind: str) -> tuple[list[Mover], int]:
    """Every object of the world and the id of the target; ids are positions in the list."""
    rng = generator(seed, "population")
    start, end = -LEAD_IN_S, seconds + 3.0
    samples = round((end - start) / STEP_S) + 1
    walkers = _walkers(rng, layout, target_kind, samples)
    tracks = np.array([w[1] for w in walkers])
    drivers = _drivers(rng, layout, target_kind)
    courses = Traffic(layout, drivers, rng).play(start, end, STEP_S, tracks)
    movers: list[Mover] = []
    for kind, course in [(d.kind, c) for d, c in zip(drivers, courses, strict=True)] + walkers:
        movers.append(Mover(len(movers), kind, make_look(rng, kind), course, start, STEP_S))
    for x, y, heading in layout.parked:
        kind = str(rng.choice(("car", "car", "suv", "van")))
        row = np.array([[x, y, heading, 0.0, 0.0]])
        movers.append(Mover(len(movers), kind, make_look(rng, kind, True), row, start, STEP_S, True))
    target = _choose_target(rng, movers, target_kind)
    chosen = movers[target]
    near = sorted(
        (m for m in movers if m.kind == chosen.kind and m.id != target),
        key=lambda m: float(np.hypot(*(m.at(0)[:2] - chosen.at(0)[:2]))),
    )
    for m in near[: int(rng.integers(1, 4))]:
        movers[m.id] = Mover(
            m.id, m.kind, _similar(rng, chosen.look, m.kind), m.track, m.start_s, m.step_s, m.parked
        )
    return movers, target
