"""Courses of vehicles: lanes, car following, traffic lights, turns at crossings, overtaking."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edge_rgbt.sim.layout import LANE_M, PERIOD_M, Layout
from edge_rgbt.sim.objects import SIZES

GREEN_S, CLEAR_S = 7.0, 1.5


@dataclass
class Driver:
    """The state of one vehicle while the traffic is played forward."""

    kind: str
    road: int
    direction: int
    lane: int
    s: float
    cruise: float
    patience: float
    speed: float = 0.0
    lateral: float = 0.0
    turn: np.ndarray | None = None  # points of the curve it is on
    turn_legs: np.ndarray | None = None
    turn_gone: float = 0.0
    next_road: tuple[int, int, int, float] | None = None  # road, direction, lane, s
    decided: int = -1
    choice: str = "straight"
    xy: np.ndarray = field(default_factory=lambda: np.zeros(2))
    heading: float = 0.0
    origin: np.ndarray = field(default_factory=lambda: np.zeros(2))  # whole periods gone

    @property
    def length(self) -> float:
        return SIZES[self.kind][0]


def lane_lateral(direction: int, lane: int) -> float:
    return direction * (lane + 0.5) * LANE_M


def _green(road_axis: str, t_s: float, phase: float) -> bool:
    cycle = 2 * (GREEN_S + CLEAR_S)
    at = (t_s + phase) % cycle
    return at < GREEN_S if road_axis == "y" else GREEN_S + CLEAR_S <= at < cycle - CLEAR_S


class Traffic:
    """Plays all vehicles forward in fixed steps; deterministic for one generator."""

    def __init__(self, layout: Layout, drivers: list[Driver], rng: np.random.Generator) -> None:
        self.layout = layout
        self.drivers = drivers
        self._rng = rng
        self._phase = rng.uniform(0, 17, len(layout.crossings))
        self._lights = layout.style != "country"
        for d in drivers:
            d.lateral = lane_lateral(d.direction, d.lane)
            d.speed = d.cruise * 0.9
            self._place(d)

    def _place(self, d: Driver) -> None:
        road = self.layout.roads[d.road]
        d.xy = road.point(d.s, d.lateral)
        d.heading = road.heading(d.s, d.direction)

    def _next_crossing(self, d: Driver) -> tuple[int, float]:
        """Index of the crossing ahead and the metres to its middle (1e9 when there is none)."""
        best, at = 1e9, -1
        for k, (i, j, s_a, s_b) in enumerate(self.layout.crossings):
            if d.road not in (i, j):
                continue
            s = s_a if d.road == i else s_b
            ahead = ((s - d.s) * d.direction) % PERIOD_M
            if ahead < best:
                best, at = ahead, k
        return at, best

    def _decide(self, d: Driver, crossing: int, ahead: float) -> None:
        if crossing != d.decided and ahead < 40:
            d.decided = crossing
            d.choice = str(self._rng.choice(("straight", "left", "right"), p=(0.6, 0.17, 0.23)))

    def _begin_turn(self, d: Driver, crossing: int) -> None:
        i, j, s_a, s_b = self.layout.crossings[crossing]
        other = j if d.road == i else i
        here, there = self.layout.roads[d.road], self.layout.roads[other]
        s_there = s_b if d.road == i else s_a
        heading = here.heading(d.s, d.direction) + (np.pi / 2 if d.choice == "left" else -np.pi / 2)
        direction = 1 if np.cos(heading - there.heading(s_there, 1)) > 0 else -1
        lane = there.lanes - 1 if d.choice == "right" else 0
        exit_s = s_there + direction * (here.half_width + 5.0)
        p0, p3 = here.point(d.s, d.lateral), there.point(exit_s, lane_lateral(direction, lane))
        reach = 0.55 * float(np.linalg.norm(p3 - p0))
        out = there.heading(exit_s, direction)
        p1 = p0 + reach * np.array([np.cos(d.heading), np.sin(d.heading)])
        p2 = p3 - reach * np.array([np.cos(out), np.sin(out)])
        u = np.linspace(0, 1, 24)[:, None]
        d.turn = (1 - u) ** 3 * p0 + 3 * u * (1 - u) ** 2 * p1 + 3 * u**2 * (1 - u) * p2 + u**3 * p3
        d.turn_legs = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(d.turn, axis=0).T))])
        d.turn_gone = 0.0
        d.next_road = (other, direction, lane, exit_s)

    def _gap(self, d: Driver, others: np.ndarray, lengths: np.ndarray, me: int) -> tuple[float, float]:
        """Free metres to the nearest road user in the path, and its speed along it."""
        delta = others[:, :2] - d.xy
        delta -= PERIOD_M * np.round(delta / PERIOD_M)
        c, s = np.cos(d.heading), np.sin(d.heading)
        ahead = delta[:, 0] * c + delta[:, 1] * s
        across = np.abs(-delta[:, 0] * s + delta[:, 1] * c)
        mask = (ahead > 0.3) & (ahead < 45) & (across < 1.75 + 0.012 * ahead)
        mask[me] = False
        if not mask.any():
            return 1e9, 0.0
        free = np.where(mask, ahead - lengths / 2 - d.length / 2, 1e9)
        k = int(free.argmin())
        return float(free[k]), float(max(0.0, others[k, 3] * np.cos(others[k, 2] - d.heading)))

    def _overtake(self, d: Driver, gap: float, others: np.ndarray, me: int, step_s: float) -> None:
        """Moves over on a road with two lanes a side when held up and the other lane is free."""
        road = self.layout.roads[d.road]
        target = lane_lateral(d.direction, d.lane)
        if road.lanes > 1 and gap < 16 and d.speed < 0.8 * d.cruise and abs(d.lateral - target) < 0.2:
            other = 1 - d.lane
            shift = lane_lateral(d.direction, other) - d.lateral
            delta = others[:, :2] - d.xy
            delta -= PERIOD_M * np.round(delta / PERIOD_M)
            c, s = np.cos(d.heading), np.sin(d.heading)
            ahead = delta[:, 0] * c + delta[:, 1] * s
            right = delta[:, 0] * s - delta[:, 1] * c
            busy = (np.abs(ahead) < 13) & (np.abs(right - shift * d.direction) < 1.6)
            busy[me] = False
            if not busy.any() and self._rng.random() < d.patience:
                d.lane = other
        rate = np.clip(lane_lateral(d.direction, d.lane) - d.lateral, -1.3 * step_s, 1.3 * step_s)
        d.lateral += float(rate) * min(1.0, d.speed / 3)

    def _advance(self, d: Driver, step_s: float) -> None:
        if d.turn is not None and d.turn_legs is not None and d.next_road is not None:
            d.turn_gone += d.speed * step_s
            if d.turn_gone >= d.turn_legs[-1]:
                left = d.turn_gone - d.turn_legs[-1]
                d.road, d.direction, d.lane, d.s = d.next_road
                d.s += d.direction * left
                d.lateral = lane_lateral(d.direction, d.lane)
                d.turn = None
                d.decided = -1
                self._place(d)
                return
            before = d.xy
            d.xy = np.array([np.interp(d.turn_gone, d.turn_legs, d.turn[:, k]) for k in range(2)])
            move = d.xy - before
            if np.hypot(*move) > 1e-3:
                d.heading = float(np.arctan2(move[1], move[0]))
            return
        d.s += d.direction * d.speed * step_s
        before_lateral = d.xy
        self._place(d)
        move = d.xy - before_lateral
        if d.speed > 1.0 and 0.02 < np.hypot(*move) < 5:
            d.heading = float(np.arctan2(move[1], move[0]))

    def _drive(
        self, d: Driver, t_s: float, others: np.ndarray, lengths: np.ndarray, me: int, step_s: float
    ) -> None:
        gap, lead_speed = self._gap(d, others, lengths, me)
        limit = d.cruise
        if d.turn is not None:
            limit = min(limit, 6.0)
        else:
            crossing, ahead = self._next_crossing(d)
            if crossing >= 0:
                self._decide(d, crossing, ahead)
                i, j, *_ = self.layout.crossings[crossing]
                other = self.layout.roads[j if d.road == i else i]
                line = ahead - other.half_width - 6.5 - d.length / 2
                axis = self.layout.roads[d.road].axis
                red = self._lights and not _green(axis, t_s, self._phase[crossing])
                if red and max(-1.0, d.speed**2 / 9 - 2) < line < 60:  # near, and there is room to brake
                    gap, lead_speed = min((gap, lead_speed), (line + 1.5, 0.0))
                if d.choice != "straight" and crossing == d.decided:
                    reach = other.half_width + 5.0
                    if ahead < 30 + reach:
                        limit = min(limit, np.sqrt(36 + 2 * 2.0 * max(ahead - reach, 0)))
                    if reach - 2 < ahead <= reach + d.speed * step_s:
                        self._begin_turn(d, crossing)
            if d.turn is None:
                self._overtake(d, gap, others, me, step_s)
        # Intelligent driver model: free acceleration against the wish to keep 1.3 s of headway
        wish = 2.2 + max(0.0, d.speed * 1.2 + d.speed * (d.speed - lead_speed) / (2 * np.sqrt(2.0 * 3.0)))
        accel = 2.0 * (1 - (d.speed / max(limit, 0.5)) ** 4 - (wish / max(gap, 0.4)) ** 2)
        d.speed = max(0.0, d.speed + float(np.clip(accel, -8.0, 2.5)) * step_s)
        self._advance(d, step_s)

    def play(self, start_s: float, end_s: float, step_s: float, walkers: np.ndarray | None) -> np.ndarray:
        """Tracks `[vehicles, samples, 5]` (see Mover). walkers: `[people, samples, 5]` whom drivers heed."""
        n = round((end_s - start_s) / step_s) + 1
        count = len(self.drivers)
        out = np.zeros((count, n, 5))
        lengths = np.array([d.length for d in self.drivers])
        unwrapped = np.array([d.xy for d in self.drivers])
        gone = np.zeros(count)
        for k in range(n):
            users = np.array([[*d.xy, d.heading, d.speed] for d in self.drivers])
            sizes = lengths
            if walkers is not None and len(walkers):
                users = np.concatenate([users, walkers[:, k, :4]])
                sizes = np.concatenate([lengths, np.ones(len(walkers))])
            out[:, k, 0:2], out[:, k, 2], out[:, k, 3] = unwrapped, users[:count, 2], users[:count, 3]
            out[:, k, 4] = gone
            for me, d in enumerate(self.drivers):
                before = d.xy.copy()
                self._drive(d, start_s + k * step_s, users, sizes, me, step_s)
                move = d.xy - before
                unwrapped[me] += move - PERIOD_M * np.round(move / PERIOD_M)
                gone[me] += d.speed * step_s
        out[:, :, 2] = np.unwrap(out[:, :, 2], axis=1)
        kernel = np.ones(5) / 5
        for row in out:
            row[:, 2] = np.convolve(np.pad(row[:, 2], 2, mode="edge"), kernel, mode="valid")
        return out
