"""A target on foot: walks at a steady pace, turns every few seconds, is hidden now and then. Flat ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_rgbt.sim.noise import generator
from edge_rgbt.sim.objects import Mover

_STEP_S = 0.05
_TURN_RAD_S = math.radians(90)


@dataclass(frozen=True, slots=True)
class WalkerState:
    """Metres and m/s north and east of home; course from north, radians. hidden: nothing of it is seen."""

    north: float
    east: float
    v_north: float
    v_east: float
    course_rad: float
    hidden: bool


class Walker:
    """A course that depends on the seed only.

    hidden: spans (begin, end) in seconds. legs_s: how long it walks straight; turns_rad: how far it turns.
    size_m: length, width, height. starts_s: it stands until then.
    """

    def __init__(
        self,
        seed: int,
        seconds: float,
        speed_m_s: float = 2.0,
        start: tuple[float, float] = (0.0, 0.0),
        hidden: tuple[tuple[float, float], ...] = (),
        legs_s: tuple[float, float] = (4.0, 9.0),
        turns_rad: tuple[float, float] = (math.radians(30), math.radians(120)),
        size_m: tuple[float, float, float] = (0.5, 0.55, 1.75),
        starts_s: float = 0.0,
    ) -> None:
        rng = generator(seed, "walker")
        self.speed_m_s, self.hidden, self.size_m, self.starts_s = speed_m_s, hidden, size_m, starts_s
        count = math.ceil(seconds / _STEP_S) + 2
        course = np.empty(count)
        now = wanted = float(rng.uniform(-math.pi, math.pi))
        left_s = float(rng.uniform(*legs_s))
        for k in range(count):
            course[k] = now
            left_s -= _STEP_S
            if left_s <= 0:
                wanted = now + float(rng.choice((-1, 1)) * rng.uniform(*turns_rad))
                left_s = float(rng.uniform(*legs_s))
            now += min(max(wanted - now, -_TURN_RAD_S * _STEP_S), _TURN_RAD_S * _STEP_S)
        steps = speed_m_s * _STEP_S * np.column_stack([np.cos(course), np.sin(course)])
        self._course = course
        self._track = np.vstack([np.zeros(2), np.cumsum(steps[:-1], axis=0)]) + np.array(start)

    def at(self, t_s: float) -> WalkerState:
        """The state at a time; it stands at the end of its course."""
        place = min(max((t_s - self.starts_s) / _STEP_S, 0.0), len(self._track) - 1.001)
        low = int(place)
        part = place - low
        north, east = (self._track[low] * (1 - part) + self._track[low + 1] * part).tolist()
        course = float(self._course[low] * (1 - part) + self._course[low + 1] * part)
        speed = self.speed_m_s if t_s >= self.starts_s else 0.0
        v_north, v_east = speed * math.cos(course), speed * math.sin(course)
        hidden = any(begin <= t_s < end for begin, end in self.hidden)
        return WalkerState(north, east, v_north, v_east, course, hidden)

    def course(self, mover: Mover) -> np.ndarray:
        """This walk as the track of a mover of the simulated world, from where that one stands at first.

        See `make_scenario`. Before the flight begins it stands still.
        """
        begin, origin = mover.at(0.0), self.at(0.0)
        rows = np.empty_like(mover.track)
        for k in range(len(rows)):
            t_s = max(mover.start_s + k * mover.step_s, 0.0)
            state, gone_m = self.at(t_s), self.speed_m_s * max(t_s - self.starts_s, 0.0)
            x, y = begin[0] + state.east - origin.east, begin[1] + state.north - origin.north
            speed = math.hypot(state.v_north, state.v_east)
            rows[k] = (x, y, math.pi / 2 - state.course_rad, speed, gone_m)
        return rows
