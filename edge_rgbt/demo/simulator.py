"""The demo's flight: it renders ahead while the tracker works, and steers by what the tracker saw.

An observation takes effect a fixed number of frames after its own, however fast the machine is, so that a
seed always flies the same flight.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edge_rgbt.cameras.flight_process import (
    FlightOrder,
    FlightProcess,
    Observation,
    OpenCamera,
    ReadFrame,
    SimulatedFrame,
    TargetTruth,
)
from edge_rgbt.cameras.synthetic import USUAL_RGB, USUAL_TIR
from edge_rgbt.types import Modality

__all__ = ["RATE_HZ", "FlightInfo", "Observation", "SimulatedFlight", "SimulatedFrame", "TargetTruth"]

RATE_HZ = 30.0
LAG_FRAMES = 6  # both cameras together: 100 ms from capture to steering, as on a real link
TIR_PHASE_NS = 4_000_000  # the thermal camera is not triggered by the other one


@dataclass(frozen=True, slots=True)
class FlightInfo:
    """Known before take-off. registration: 3x3, thermal px -> RGB px. tir_clock_ns: its clock minus RGB's."""

    registration: np.ndarray
    rgb_size: tuple[int, int]
    tir_size: tuple[int, int]
    tir_clock_ns: int
    scene: dict[str, Any]


class SimulatedFlight:
    """The simulator's process, seen from the tracker's side. A context manager.

    Raises EdgeRgbtError (also for a bad preset) once `info` or the frames are asked for.
    """

    def __init__(self, seed: int, preset: str | None, seconds: float) -> None:
        self._seed = seed
        self._process = FlightProcess(FlightOrder(seed, preset, seconds, steering="tracker"))
        self._frames: queue.Queue[SimulatedFrame | Exception | None] = queue.Queue()

    @property
    def pid(self) -> int | None:
        """Of the simulator's process."""
        return self._process.pid

    @cached_property
    def info(self) -> FlightInfo:
        """Waits until the world is built."""
        flight = self._process.info
        self._process.ask(OpenCamera(Modality.RGB, RATE_HZ, USUAL_RGB))
        self._process.ask(OpenCamera(Modality.TIR, RATE_HZ, USUAL_TIR, TIR_PHASE_NS))
        (rgb_width, rgb_height), (tir_width, tir_height) = flight.rgb_size, flight.tir_size
        scene = {
            "seed": self._seed,
            "preset": flight.preset,
            "target": flight.target.replace("_", " "),
            "height": f"{flight.altitude_m:.0f} m",
            "rgb_camera": f"{rgb_width}x{rgb_height} at {RATE_HZ:g} Hz",
            "thermal_camera": f"{tir_width}x{tir_height} 16 bit at {RATE_HZ:g} Hz, "
            f"clock {USUAL_TIR.clock_offset_ns / 1e6:+.0f} ms",
        }
        return FlightInfo(
            flight.registration, flight.rgb_size, flight.tir_size, USUAL_TIR.clock_offset_ns, scene
        )

    def frames(self) -> Iterator[SimulatedFrame]:
        """Frames of both cameras in the order of capture. Each must be answered by one `acknowledge`."""
        assert "info" in self.__dict__, "ask for info first"
        for _ in range(LAG_FRAMES):
            self._process.send(ReadFrame())
        reader = threading.Thread(target=self._read, name="simulator-frames", daemon=True)
        reader.start()
        while (item := self._frames.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def acknowledge(self, observations: list[Observation]) -> None:
        """Answers the oldest unanswered frame with what it led to; the vehicle steers by it."""
        self._process.send(ReadFrame(observed=tuple(observations)))

    def close(self) -> None:
        """Ends the process, in the middle of the flight if need be."""
        self._process.close()

    def __enter__(self) -> SimulatedFlight:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read(self) -> None:
        # Acknowledgements bound how far the simulator runs ahead, so this queue never holds more than that.
        try:
            while True:
                item = self._process.receive()
                self._frames.put(item)
                if item is None:
                    return
        except Exception as error:  # carried to the consumer's thread, whatever it is
            self._frames.put(error)
