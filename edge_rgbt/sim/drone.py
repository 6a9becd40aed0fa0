"""The drone: follows an estimate of the target over the ground, in wind, with a gimbal that lags a little.

It is played forward in fixed steps and remembers every step, so its pose at a time never depends on when it
is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_rgbt.sim.noise import SmoothSignal, generator

STEP_NS = 20_000_000
MEASURE_EVERY = 5  # steps
_EARTH_M_PER_DEG = 111_319.49


@dataclass(frozen=True)
class FlightPlan:
    """How the drone wants to stand to its target: height, look-down angle, bearing, and their changes."""

    altitude_m: float
    pitch_deg: float
    bearing_deg: float
    orbit_deg_s: float
    climb_m: float
    aim_m: float  # how far the aim wanders off the target
    sway: float
    home_lat_deg: float = 47.397742
    home_lon_deg: float = 8.545594
    home_alt_m: float = 488.0


@dataclass(frozen=True)
class Pose:
    """Vehicle and camera at a time. Position in metres (x east, y north, z up); angles in degrees.

    roll, pitch, yaw: the vehicle's own attitude; camera_*: where the gimbal points (yaw from north).
    """

    t_ns: int
    position: tuple[float, float, float]
    velocity: tuple[float, float, float]
    roll_deg: float
    pitch_deg: float
    yaw_deg: float
    camera_roll_deg: float
    camera_pitch_deg: float
    camera_yaw_deg: float
    lat_deg: float
    lon_deg: float
    alt_m: float


@dataclass
class _State:
    position: np.ndarray  # [3]
    velocity: np.ndarray  # [3]
    target: np.ndarray  # [4]: estimated x, y, vx, vy
    camera_yaw: float
    camera_pitch: float
    vehicle_yaw: float
    tilt: np.ndarray  # [2]: acceleration along east and north


_FIELDS = tuple(_State.__dataclass_fields__)


def make_plan(seed: int, altitude_m: float, pitch_deg: float) -> FlightPlan:
    rng = generator(seed, "flight plan")
    return FlightPlan(
        altitude_m, pitch_deg, float(rng.uniform(0, 360)), float(rng.normal(0, 2.2)),
        float(rng.uniform(0.0, 0.14) * altitude_m), float(rng.uniform(0.02, 0.07) * altitude_m),
        float(rng.uniform(0.4, 1.3)),
    )  # fmt: skip


class Drone:
    """Position, attitude and gimbal over time.

    measure: called with a time in seconds every 0.1 s of flight; gives the target's ground xy or None. With
    it the drone follows the truth. Without it, `observe` feeds it: late estimates are carried forward.
    """

    def __init__(
        self,
        plan: FlightPlan,
        seed: int,
        start: np.ndarray,
        measure: Callable[[float], np.ndarray | None] | None,
    ) -> None:
        rng = generator(seed, "drone")
        self.plan = plan
        self._measure = measure
        self._pending: tuple[float, np.ndarray | None] | None = None
        self._last_seen_s = 0.0
        self._wind = [SmoothSignal(rng, 13, 2.2) for _ in range(3)]
        self._shake = [SmoothSignal(rng, 1.9, 0.16, 7) for _ in range(3)]
        self._slow = [SmoothSignal(rng, 17, 4.5, 4) for _ in range(4)]
        target = start.astype(float)
        position = self._wanted(target[:2], 0.0)
        yaw, pitch = self._look_at(position, self._aim(target, 0.0))
        self._history = [_State(position, np.array([*target[2:], 0.0]), target, yaw, pitch, yaw, np.zeros(2))]

    def _wanted(self, target: np.ndarray, t_s: float) -> np.ndarray:
        plan = self.plan
        altitude = plan.altitude_m + plan.climb_m * self._slow[0](t_s)
        pitch = np.radians(plan.pitch_deg + 3.0 * self._slow[3](t_s))
        distance = altitude / np.tan(-pitch)
        bearing = np.radians(plan.bearing_deg + plan.orbit_deg_s * t_s)
        return np.array(
            [target[0] - distance * np.sin(bearing), target[1] - distance * np.cos(bearing), altitude]
        )

    def _aim(self, target: np.ndarray, t_s: float) -> np.ndarray:
        wander = self.plan.aim_m * np.array([self._slow[1](t_s), self._slow[2](t_s)])
        return np.array([*(target[:2] + wander), 0.7])

    @staticmethod
    def _look_at(position: np.ndarray, point: np.ndarray) -> tuple[float, float]:
        d = point - position
        return float(np.degrees(np.arctan2(d[0], d[1]))), float(
            np.degrees(np.arctan2(d[2], np.hypot(d[0], d[1])))
        )

    def observe(self, ground_xy: np.ndarray | None, t_s: float) -> None:
        """Where the target was seen on the ground at a time; None when it was not seen."""
        self._pending = (t_s, ground_xy)

    def _correct(self, state: _State, seen_s: float, seen: np.ndarray, now_s: float) -> np.ndarray:
        index = int(np.clip(round(seen_s * 1e9 / STEP_NS), 0, len(self._history) - 1))
        error = seen - self._history[index].target[:2]
        if np.hypot(*error) > 40:  # no vehicle jumps that far: a wrong box
            error = error * (40 / np.hypot(*error))
        since = float(np.clip(now_s - self._last_seen_s, 0.02, 0.3))
        self._last_seen_s = now_s
        gain = 1 - np.exp(-since / 0.28)
        target = state.target.copy()
        target[:2] += gain * error
        target[2:] += 0.45 * gain * error / 0.28 * min(since / 0.1, 1.0)
        speed = float(np.hypot(*target[2:]))
        if speed > 24:
            target[2:] *= 24 / speed
        return target

    def _step(self) -> None:
        state = self._history[-1]
        k = len(self._history)
        dt, now = STEP_NS / 1e9, k * STEP_NS / 1e9
        target = state.target
        if self._measure is not None:
            if k % MEASURE_EVERY == 0:
                seen = self._measure(now - 0.12)
                if seen is not None:
                    target = self._correct(state, now - 0.12, seen, now)
        elif self._pending is not None:
            seen_s, spot = self._pending
            self._pending = None
            if spot is not None:
                target = self._correct(state, seen_s, spot, now)
        target = target.copy()
        if now - self._last_seen_s > 0.5:  # coast, and slow down
            target[2:] *= np.exp(-dt / 1.5)
        target[:2] += target[2:] * dt
        wanted = self._wanted(target[:2], now)
        command = np.array([*target[2:], 0.0]) + 0.55 * (wanted - state.position)
        limit = 24 / max(24.0, float(np.linalg.norm(command)))
        accel = 1.6 * (command * limit - state.velocity)
        strength = float(np.linalg.norm(accel))
        accel = accel * min(1.0, 5.0 / max(strength, 1e-6))
        velocity = state.velocity + accel * dt
        position = state.position + velocity * dt
        position[2] = max(position[2], 12.0)
        yaw, pitch = self._look_at(position, self._aim(target, now))
        follow = 1 - np.exp(-dt / 0.22)
        turn = (yaw - state.camera_yaw + 180) % 360 - 180
        camera_yaw = state.camera_yaw + float(np.clip(follow * turn, -90 * dt, 90 * dt))
        camera_pitch = state.camera_pitch + float(
            np.clip(follow * (pitch - state.camera_pitch), -60 * dt, 60 * dt)
        )
        body = (camera_yaw - state.vehicle_yaw + 180) % 360 - 180
        vehicle_yaw = state.vehicle_yaw + body * (1 - np.exp(-dt / 0.8))
        tilt = state.tilt + (accel[:2] + 0.06 * velocity[:2] - state.tilt) * (1 - np.exp(-dt / 0.25))
        self._history.append(_State(position, velocity, target, camera_yaw, camera_pitch, vehicle_yaw, tilt))

    def _between(self, t_ns: int) -> _State:
        low = max(t_ns, 0) // STEP_NS
        while len(self._history) < low + 2:
            self._step()
        a, b = self._history[low], self._history[low + 1]
        part = min(max((t_ns - low * STEP_NS) / STEP_NS, 0.0), 1.0)

        fields = {name: getattr(a, name) * (1 - part) + getattr(b, name) * part for name in _FIELDS}
        return _State(**fields)

    def pose(self, t_ns: int) -> Pose:
        """The pose at a time in nanoseconds since the start (times before it give the first pose)."""
        s, t_s, plan = self._between(t_ns), t_ns / 1e9, self.plan
        wind = [w(t_s) for w in self._wind]
        shake = [0.055 * plan.sway * w(t_s) for w in self._shake]
        gain = 0.35 * plan.sway
        x, y, z = s.position.tolist()
        x, y, z = x + gain * wind[0], y + gain * wind[1], z + 0.5 * gain * wind[2]
        cos, sin = math.cos(math.radians(s.vehicle_yaw)), math.sin(math.radians(s.vehicle_yaw))
        east, north = s.tilt.tolist()
        forward, right = east * sin + north * cos, east * cos - north * sin
        return Pose(
            t_ns, (x, y, z), tuple(s.velocity.tolist()),
            math.degrees(math.atan2(right, 9.81)) + 1.5 * plan.sway * wind[0],
            -math.degrees(math.atan2(forward, 9.81)) + 1.5 * plan.sway * wind[1],
            float(s.vehicle_yaw % 360),
            0.6 * plan.sway * self._slow[3](t_s) + shake[2],
            float(s.camera_pitch + shake[1]), float((s.camera_yaw + shake[0]) % 360),
            plan.home_lat_deg + y / _EARTH_M_PER_DEG,
            plan.home_lon_deg + x / (_EARTH_M_PER_DEG * math.cos(math.radians(plan.home_lat_deg))),
            plan.home_alt_m + z,
        )  # fmt: skip
