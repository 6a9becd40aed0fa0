"""The simulated multicopter: played forward in fixed steps, with its poses of the last minute."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_rgbt.sim.drone import Pose
from edge_rgbt.sim.noise import SmoothSignal, generator
from edge_rgbt.sim.vehicle.airframe import Airframe, AirframeLimits, Wind
from edge_rgbt.sim.vehicle.condition import Condition
from edge_rgbt.sim.vehicle.earth import Home
from edge_rgbt.sim.vehicle.gimbal import Gimbal, GimbalLimits
from edge_rgbt.sim.vehicle.sensors import PERFECT, UPDATE_NS, SensorErrors, Sensors
from edge_rgbt.sim.vehicle.setpoint import STAND_STILL, Setpoint, Vector
from edge_rgbt.sim.vehicle.state import VehicleState

STEP_NS = 10_000_000
_REMEMBERED_STEPS = 6000


@dataclass(frozen=True)
class VehicleSettings:
    """How the vehicle is built and where it starts: north, east, down of home; radians.

    tremble_rad: what the gimbal leaves of the motors' vibration, one sigma.
    """

    home: Home = field(default_factory=Home)
    position: Vector = (0.0, 0.0, -30.0)
    yaw_rad: float = 0.0
    gimbal_pitch_rad: float = math.radians(-45)
    gimbal_yaw_rad: float = 0.0  # from the vehicle's nose
    limits: AirframeLimits = field(default_factory=AirframeLimits)
    gimbal: GimbalLimits = field(default_factory=GimbalLimits)
    wind: Wind = field(default_factory=Wind)
    errors: SensorErrors = PERFECT
    tremble_rad: float = 0.0


class Vehicle:
    """A multicopter with gimbal. It flies `setpoint`; `gimbal.command` moves the camera.

    Times are nanoseconds since the start of the flight. What has been played stays: a setpoint takes effect
    with the next step. on_step: called before each step with its time; flight modes live there. Not for two
    threads at once.
    """

    def __init__(self, settings: VehicleSettings | None = None, seed: int = 0) -> None:
        self.settings = s = settings or VehicleSettings()
        self.home = s.home
        self.airframe = Airframe(s.position, s.yaw_rad, s.limits, s.wind, generator(seed, "airframe"))
        self.gimbal = Gimbal(s.gimbal_pitch_rad, s.yaw_rad + s.gimbal_yaw_rad, s.gimbal)
        self.condition = Condition(armed=s.position[2] < 0.0)
        self.setpoint: Setpoint = STAND_STILL
        self.on_step: Callable[[int], None] | None = None
        self._sensors = Sensors(s.errors, generator(seed, "sensors"))
        rng = generator(seed, "tremble")
        self._tremble = [SmoothSignal(rng, 0.9, 0.08, 5) for _ in range(2)]
        self._steps = 0
        self._history: deque[VehicleState] = deque([self._now()], maxlen=_REMEMBERED_STEPS)

    @property
    def t_ns(self) -> int:
        """How far the flight has been played."""
        return self._steps * STEP_NS

    @property
    def newest(self) -> VehicleState:
        return self._history[-1]

    def advance(self, t_ns: int) -> None:
        """Plays the flight up to a time, or a little beyond; nothing if it has been played already."""
        while self.t_ns < t_ns:
            if self.on_step is not None:
                self.on_step(self.t_ns)
            self._step()

    def at(self, t_ns: int) -> VehicleState:
        """The true state at a time; the flight is played on if need be. Of forgotten times, the oldest."""
        self.advance(t_ns)
        oldest = self._history[0].t_ns
        index = (t_ns - oldest) // STEP_NS
        if index < 0:
            return self._history[0]
        if index + 1 >= len(self._history):
            return self._history[-1]
        part = (t_ns - oldest - index * STEP_NS) / STEP_NS
        return self._history[index].between(self._history[index + 1], part, t_ns)

    def sensed(self, t_ns: int) -> VehicleState:
        """The state at a time as the autopilot believes it to be."""
        return self._sensors.apply(self.at(t_ns))

    def pose(self, t_ns: int) -> Pose:
        """The true pose, as the cameras of the simulator take it (x east, y north, z up; degrees)."""
        state = self.at(t_ns)
        north, east, down = state.position
        vn, ve, vd = state.velocity
        t_s = t_ns / 1e9
        shake = [self.settings.tremble_rad * signal(t_s) for signal in self._tremble]
        latitude, longitude = self.home.degrees(north, east)
        return Pose(
            t_ns,
            (east, north, -down),
            (ve, vn, -vd),
            math.degrees(state.roll_rad),
            math.degrees(state.pitch_rad),
            math.degrees(state.yaw_rad) % 360,
            math.degrees(state.gimbal_roll_rad),
            math.degrees(state.gimbal_pitch_rad + shake[0]),
            math.degrees(state.gimbal_yaw_rad + shake[1]) % 360,
            latitude,
            longitude,
            self.home.altitude_m - down,
        )

    def _step(self) -> None:
        frame, dt_s = self.airframe, STEP_NS / 1e9
        if frame.on_ground and not self.condition.armed:
            frame.rest()
        else:
            frame.step(self.setpoint, self.t_ns / 1e9, dt_s)
        self.gimbal.step(frame.position, frame.roll_rad, frame.yaw_rad, frame.yaw_rate_rad_s, dt_s)
        self._steps += 1
        if self.t_ns % UPDATE_NS == 0:
            self._sensors.update()
        self._history.append(self._now())

    def _now(self) -> VehicleState:
        frame, gimbal = self.airframe, self.gimbal
        return VehicleState(
            self.t_ns,
            frame.position,
            frame.velocity,
            frame.roll_rad,
            frame.pitch_rad,
            frame.yaw_rad,
            frame.yaw_rate_rad_s,
            gimbal.roll_rad,
            gimbal.pitch_rad,
            gimbal.yaw_rad,
            gimbal.pitch_rate_rad_s,
            gimbal.yaw_rate_rad_s,
            gimbal.yaw_locked,
        )
