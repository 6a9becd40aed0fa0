"""Courses of people: along pavements, over crossings, through parks, with turns and pauses."""

from __future__ import annotations

import numpy as np

from edge_rgbt.sim.layout import PERIOD_M, Layout
from edge_rgbt.sim.noise import SmoothSignal


def _finish(xy: np.ndarray, step_s: float) -> np.ndarray:
    """Adds heading, speed and distance to a list of positions `[n, 2]`."""
    move = np.gradient(xy, axis=0) / step_s
    speed = np.hypot(move[:, 0], move[:, 1])
    heading = np.arctan2(move[:, 1], move[:, 0])
    for k in range(1, len(heading)):  # keep the last course while standing
        if speed[k] < 0.15:
            heading[k] = heading[k - 1]
    heading = np.unwrap(heading)
    kernel = np.ones(5) / 5
    heading = np.convolve(np.pad(heading, 2, mode="edge"), kernel, mode="valid")
    distance = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    return np.column_stack([xy, heading, speed, distance])


def _pace(rng: np.random.Generator, n: int, step_s: float, speed: float) -> np.ndarray:
    """Distance gone at each sample, with slow changes of pace and an occasional stop."""
    wave = SmoothSignal(rng, 14, 3)
    rate = np.array([speed * (1 + 0.12 * wave(k * step_s)) for k in range(n)])
    if rng.random() < 0.3:
        start, length = rng.uniform(0.2, 0.9) * n, rng.uniform(1.5, 5) / step_s
        k = np.arange(n)
        ramp = np.clip((np.abs(k - start - length / 2) - length / 2) / (0.6 / step_s), 0, 1)
        rate = rate * ramp
    return np.cumsum(np.maximum(rate, 0)) * step_s


def pavement_course(
    rng: np.random.Generator, layout: Layout, n: int, step_s: float, speed: float,
    near: tuple[int, float, int] | None = None, on_road: bool = False,
) -> np.ndarray:  # fmt: skip
    """Along one road's pavement (or its edge, for a cyclist); sometimes over to the other side.

    near: (road index, s, side) to start by.
    """
    if near is None:
        index, s0, side = (
            int(rng.integers(len(layout.roads))),
            rng.uniform(0, PERIOD_M),
            int(rng.choice((-1, 1))),
        )
    else:
        index, s0, side = near
    road = layout.roads[index]
    direction = side if on_road else int(rng.choice((-1, 1)))
    s = s0 + direction * _pace(rng, n, step_s, speed)
    offset = road.half_width + (-0.75 if on_road else rng.uniform(1.0, 2.6))
    lateral = np.full(n, side * offset)
    if not on_road and rng.random() < 0.45:  # walks over the road
        start = rng.uniform(0.1, 0.8) * n
        width = 2 * offset / speed / step_s
        over = np.clip((np.arange(n) - start) / width, 0, 1)
        over = over * over * (3 - 2 * over)
        lateral = side * offset * (1 - 2 * over)
        slow = 1 - 0.85 * np.sin(np.pi * np.clip((np.arange(n) - start) / width, 0, 1))
        s = s0 + direction * np.cumsum(np.maximum(np.gradient(np.abs(s - s0)), 0) * slow)
    sway = SmoothSignal(rng, 9, 2.5)
    lateral = lateral + np.array([0.25 * sway(k * step_s) for k in range(n)])
    return _finish(road.point(s, lateral), step_s)


def stroll_course(
    rng: np.random.Generator, layout: Layout, n: int, step_s: float, speed: float,
    near: tuple[float, float] | None = None,
) -> np.ndarray:  # fmt: skip
    """A walk over open land, along a park path where there is one."""
    parks = [b for b in layout.blocks if b.kind in ("park", "field", "parking")] or layout.blocks
    block = parks[int(rng.integers(len(parks)))]
    gone = _pace(rng, n, step_s, speed)
    if near is None and block.paths and rng.random() < 0.6:
        path = block.paths[int(rng.integers(len(block.paths)))]
        leg = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        total = leg[-1]
        phase = (gone + rng.uniform(0, total)) % (2 * total)
        along = np.where(phase > total, 2 * total - phase, phase)
        xy = np.stack([np.interp(along, leg, path[:, k]) for k in range(2)], -1)
        xy = xy + rng.normal(0, 0.5, 2)
        kernel = np.hanning(21) / np.hanning(21).sum()
        xy = np.stack([np.convolve(np.pad(c, 10, mode="edge"), kernel, mode="valid") for c in xy.T], -1)
        return _finish(xy, step_s)
    if near is None:
        near = (rng.uniform(block.x0 + 8, block.x1 - 8), rng.uniform(block.y0 + 8, block.y1 - 8))
    turn = SmoothSignal(rng, 25, 5)
    base = rng.uniform(0, 2 * np.pi)
    course = np.array([base + 0.8 * turn(k * step_s) for k in range(n)])
    move = np.diff(np.concatenate([[0.0], gone]))
    xy = np.array(near) + np.cumsum(np.stack([np.cos(course), np.sin(course)], -1) * move[:, None], 0)
    return _finish(xy, step_s)
