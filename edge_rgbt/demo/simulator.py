"""The simulated vehicle in a process of its own: it renders both cameras while this one tracks.

Rendering is thousands of short calls that hold Python's lock; in the tracker's process they would show up as
latency. Frames come over a pipe, what the tracker saw goes back. An observation takes effect a fixed number
of frames after its own, however fast the machine is, so that a seed always flies the same flight.
"""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge_rgbt.cameras.synthetic import USUAL_RGB, USUAL_TIR, SyntheticCamera, in_capture_order
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.processes import children_spared
from edge_rgbt.sim import Pose, Scenario, make_scenario
from edge_rgbt.types import Box, Frame, Modality, TimeSource

RATE_HZ = 30.0
LAG_FRAMES = 6  # both cameras together: 100 ms from capture to steering, as on a real link
TIR_PHASE_NS = 4_000_000  # the thermal camera is not triggered by the other one
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class FlightInfo:
    """Known before take-off. registration: 3x3, thermal px -> RGB px. tir_clock_ns: its clock minus RGB's."""

    registration: np.ndarray
    rgb_size: tuple[int, int]
    tir_size: tuple[int, int]
    tir_clock_ns: int
    scene: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TargetTruth:
    """Where the target is in an RGB frame, None outside the picture; visible: share not covered, 0..1."""

    box: Box | None
    visible: float


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """A frame, and for RGB ones the truth about it and the vehicle's pose at its capture."""

    frame: Frame
    truth: TargetTruth | None
    pose: Pose | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the tracker says about the RGB frame of this time; None: target lost."""

    timestamp_ns: int
    box: tuple[float, float, float, float] | None


class SimulatedFlight:
    """The simulator's process, seen from the tracker's side. A context manager.

    Raises EdgeRgbtError (also for a bad preset) once `info` or the frames are asked for.
    """

    def __init__(self, seed: int, preset: str | None, seconds: float) -> None:
        # Not a fork: this process has threads already, and their locks would be copied as they stand.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_fly, args=(theirs, seed, preset, seconds), name="edge-rgbt-simulator", daemon=True
        )
        with children_spared(signal.SIGINT):  # `close` ends it
            self._process.start()
        theirs.close()
        self._frames: queue.Queue[SimulatedFrame | Exception | None] = queue.Queue()
        self._info: FlightInfo | None = None

    @property
    def info(self) -> FlightInfo:
        """Waits until the world is built."""
        if self._info is None:
            answer = self._receive()
            assert isinstance(answer, FlightInfo)
            self._info = answer
        return self._info

    def frames(self) -> Iterator[SimulatedFrame]:
        """Frames of both cameras in the order of capture. Each must be answered by one `acknowledge`."""
        assert self._info is not None, "ask for info first"
        reader = threading.Thread(target=self._read, name="simulator-frames", daemon=True)
        reader.start()
        while (item := self._frames.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def acknowledge(self, observations: list[Observation]) -> None:
        """Answers the oldest unanswered frame with what it led to; the vehicle steers by it."""
        with suppress(OSError):  # the simulator has ended; what it sent last is still in the queue
            self._pipe.send(observations)

    def close(self) -> None:
        """Ends the process, in the middle of the flight if need be."""
        self._process.terminate()
        self._process.join(_STOP_TIMEOUT_S)
        self._pipe.close()

    def __enter__(self) -> SimulatedFlight:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _read(self) -> None:
        # Acknowledgements bound how far the simulator runs ahead, so this queue never holds more than that.
        try:
            while True:
                item = self._receive()
                self._frames.put(item)
                if item is None:
                    return
        except Exception as error:  # carried to the consumer's thread, whatever it is
            self._frames.put(error)

    def _receive(self) -> Any:
        try:
            answer = self._pipe.recv()
            if isinstance(answer, EdgeRgbtError):
                raise answer
            if isinstance(answer, _Header):
                return self._frame(answer)
            return answer
        except (EOFError, OSError) as error:
            self._process.join(_STOP_TIMEOUT_S)
            raise EdgeRgbtError(
                f"the simulator stopped unexpectedly (exit code {self._process.exitcode}); is memory short?"
            ) from error

    def _frame(self, header: _Header) -> SimulatedFrame:
        image = np.empty(header.shape, header.dtype)
        self._pipe.recv_bytes_into(image.data.cast("B"))
        modality = Modality(header.modality)
        frame = Frame(
            image, modality, header.timestamp_ns, header.sequence, f"synthetic-{modality.value}",
            time_source=TimeSource.SENSOR, time_uncertainty_ns=header.time_uncertainty_ns,
        )  # fmt: skip
        return SimulatedFrame(frame, header.truth, header.pose)


@dataclass(frozen=True, slots=True)
class _Header:
    """Goes before the bytes of a picture."""

    modality: str
    timestamp_ns: int
    sequence: int
    time_uncertainty_ns: int
    shape: tuple[int, ...]
    dtype: str
    truth: TargetTruth | None
    pose: Pose | None


def _fly(pipe: Any, seed: int, preset: str | None, seconds: float) -> None:
    """The simulator's process: builds the world, then renders as fast as it is acknowledged."""
    cv2.setNumThreads(1)  # the other cores belong to the tracker
    try:
        try:
            scenario = make_scenario(seed, preset, seconds, steering="tracker")
        except UsageError as error:
            pipe.send(error)
            return
        rgb = SyntheticCamera(scenario, Modality.RGB, RATE_HZ, USUAL_RGB)
        tir = SyntheticCamera(scenario, Modality.TIR, RATE_HZ, USUAL_TIR, phase_ns=TIR_PHASE_NS)
        pipe.send(_info(scenario))
        _send_frames(pipe, scenario, rgb, tir)
    except (BrokenPipeError, ConnectionResetError, EOFError):
        return  # the tracker has ended


def _info(scenario: Scenario) -> FlightInfo:
    rgb, tir = scenario.rig.rgb, scenario.rig.tir
    target = scenario.world.movers[scenario.world.target_id]
    scene = {
        "seed": scenario.seed,
        "preset": scenario.conditions.preset,
        "target": target.kind.replace("_", " "),
        "height": f"{scenario.drone.plan.altitude_m:.0f} m",
        "rgb_camera": f"{rgb.width}x{rgb.height} at {RATE_HZ:g} Hz",
        "thermal_camera": f"{tir.width}x{tir.height} 16 bit at {RATE_HZ:g} Hz, "
        f"clock {USUAL_TIR.clock_offset_ns / 1e6:+.0f} ms",
    }
    return FlightInfo(
        registration=scenario.nominal_registration(),
        rgb_size=(rgb.width, rgb.height),
        tir_size=(tir.width, tir.height),
        tir_clock_ns=USUAL_TIR.clock_offset_ns,
        scene=scene,
    )


def _send_frames(pipe: Any, scenario: Scenario, rgb: SyntheticCamera, tir: SyntheticCamera) -> None:
    frames = in_capture_order(rgb, tir)
    sent = 0
    while True:
        if sent >= LAG_FRAMES:
            # One answer per frame and in order, even if more have arrived: that keeps the lag fixed.
            for seen in pipe.recv():
                scenario.observe(seen.box, seen.timestamp_ns)
        frame = next(frames, None)
        if frame is None:
            pipe.send(None)
            return
        truth = pose = None
        if frame.modality is Modality.RGB:
            at_ns = rgb.capture_ns(frame.sequence)
            found = scenario.truth(at_ns, Modality.RGB)
            truth, pose = TargetTruth(found.box, found.visibility), scenario.pose(at_ns)
        image = np.ascontiguousarray(frame.image)
        pipe.send(
            _Header(
                frame.modality.value,
                frame.timestamp_ns,
                frame.sequence,
                frame.time_uncertainty_ns,
                image.shape,
                image.dtype.str,
                truth,
                pose,
            )
        )
        pipe.send_bytes(image.data.cast("B"))
        sent += 1
