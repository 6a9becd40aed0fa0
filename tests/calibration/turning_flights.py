"""Simulated flights that turn left and right and nod, or hover, as motion tracks and as recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from calibration.motion import MotionMeter, MotionTrack
from edge_rgbt.cameras.synthetic import USUAL_RGB, USUAL_TIR, SyntheticCamera, in_capture_order
from edge_rgbt.sim import Pose, Scenario, make_scenario
from edge_rgbt.sim.noise import SmoothSignal, generator
from edge_rgbt.types import Frame, Modality

TRUE_OFFSET_MS = -USUAL_TIR.clock_offset_ns / 1e6


class Turning:
    """Stands where the flight begins and looks about it."""

    def __init__(self, start: Pose, seed: int, degrees: float) -> None:
        rng = generator(seed, "turning about")
        self._start, self._degrees = start, degrees
        self._yaw, self._pitch = (SmoothSignal(rng, 3.0, 0.5) for _ in range(2))

    def pose(self, t_ns: int) -> Pose:
        t_s = t_ns / 1e9
        return dataclasses.replace(
            self._start,
            t_ns=t_ns,
            camera_yaw_deg=self._start.camera_yaw_deg + self._degrees * self._yaw(t_s),
            camera_pitch_deg=self._start.camera_pitch_deg + 0.5 * self._degrees * self._pitch(t_s),
        )


def turning_flight(seed: int, seconds: float, degrees: float = 8.0, preset: str | None = None) -> Scenario:
    flight = make_scenario(seed, preset, seconds, rgb_size=(320, 256), tir_size=(320, 256))
    flight.fly_by(Turning(flight.pose(0), seed, degrees))
    return flight


def frames(flight: Scenario, tir_hz: float) -> Iterator[Frame]:
    """Of both cameras with the usual faults of their clocks, in the order of capture."""
    rgb = SyntheticCamera(flight, Modality.RGB, 30.0, USUAL_RGB)
    tir = SyntheticCamera(flight, Modality.TIR, tir_hz, USUAL_TIR)
    return in_capture_order(rgb, tir)


def tracks(flight: Scenario, tir_hz: float = 25.0) -> tuple[MotionTrack, MotionTrack]:
    meters = {modality: MotionMeter() for modality in Modality}
    for frame in frames(flight, tir_hz):
        meters[frame.modality].add(frame)
    return meters[Modality.RGB].track(), meters[Modality.TIR].track()
