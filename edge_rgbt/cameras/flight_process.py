"""The simulated flight in a process of its own: the world is built there, and both cameras look at it there.

Rendering is thousands of short calls that hold Python's lock; in the tracker's process they would show up as
latency. Every command gets one answer, in order; commands may be sent ahead of the answers.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge_rgbt.cameras.synthetic import PERFECT, SyntheticCamera, TimingFaults
from edge_rgbt.errors import CameraError, EdgeRgbtError, UsageError
from edge_rgbt.processes import children_spared, end_with_parent
from edge_rgbt.sim import Pose, PoseSource, Scenario, make_scenario
from edge_rgbt.types import Box, Frame, Modality, TimeSource

_STOP_TIMEOUT_S = 5.0
# Called in the simulator's process with the flight and the monotonic time of its beginning; gives the poses
# of a vehicle and its gimbal. A function of a module, or a functools.partial of one. Poses are asked for in
# the order of rendering, up to a frame period ahead of time; the answer may wait until it is known.
MakePoses = Callable[[Scenario, int], PoseSource]


@dataclass(frozen=True, slots=True)
class FlightOrder:
    """Which flight; see `make_scenario`. vehicle: takes the place of the drone that follows the target."""

    seed: int
    preset: str | None
    seconds: float
    rgb_size: tuple[int, int] = (640, 512)
    tir_size: tuple[int, int] = (640, 512)
    steering: str = "truth"
    vehicle: MakePoses | None = None


@dataclass(frozen=True, slots=True)
class FlightInfo:
    """Known before take-off. began_ns: monotonic time of the flight's beginning.

    registration: 3x3, thermal px -> RGB px. target: its kind. altitude_m: that the drone wants to keep.
    """

    began_ns: int
    registration: np.ndarray
    rgb_size: tuple[int, int]
    tir_size: tuple[int, int]
    preset: str
    target: str
    altitude_m: float


@dataclass(frozen=True, slots=True)
class TargetTruth:
    """Where the target is in an RGB frame, None outside the picture; visible: share not covered, 0..1."""

    box: Box | None
    visible: float


@dataclass(frozen=True, slots=True)
class Observation:
    """What the tracker says about the RGB frame of this time; None: target lost."""

    timestamp_ns: int
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class OpenCamera:
    """Starts a camera from its first frame; answered by None. faults and phase_ns: see `SyntheticCamera`."""

    modality: Modality
    rate_hz: float
    faults: TimingFaults = PERFECT
    phase_ns: int = 0


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """Answered by a SimulatedFrame, or None at the end of the flight.

    modality: whose frame; None: of the camera that took its one first. live: frames from before now are left
    out. observed: told to the drone before anything is rendered.
    """

    modality: Modality | None = None
    live: bool = False
    observed: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """A frame, the flight time at which it was taken, and for RGB ones the truth about it and the pose."""

    frame: Frame
    capture_ns: int
    truth: TargetTruth | None
    pose: Pose | None


class FlightProcess:
    """The simulator's process, seen from outside; it ends with `close`, and with this process at the latest.

    A flight that cannot be (UsageError) is told by every call, one command that cannot be by its answer; all
    raise CameraError once the process has died.
    """

    def __init__(self, order: FlightOrder) -> None:
        # Not a fork: this process has threads already, and their locks would be copied as they stand.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_fly, args=(theirs, order), name="edge-rgbt-simulator", daemon=True
        )
        with children_spared(signal.SIGINT):  # `close` ends it
            self._process.start()
        theirs.close()
        self._asking = threading.Lock()
        self._info: FlightInfo | None = None
        self._impossible: EdgeRgbtError | None = None

    @property
    def info(self) -> FlightInfo:
        """Waits until the world is built, which takes seconds."""
        if self._info is not None:
            return self._info
        with self._asking:
            return self._built()

    def ask(self, command: OpenCamera | ReadFrame) -> SimulatedFrame | None:
        """Sends a command and waits for its answer; from any thread, one at a time."""
        with self._asking:
            self._built()
            self.send(command)
            return self.receive()

    def send(self, command: OpenCamera | ReadFrame) -> None:
        """Sends a command ahead; for one thread that also calls `receive` as often, and no `ask` between."""
        with suppress(OSError):  # the process has ended, which `receive` tells
            self._pipe.send(command)

    def receive(self) -> SimulatedFrame | None:
        """The answer to the oldest command that was sent."""
        answer = self._answer()
        if not isinstance(answer, _Header):
            return answer
        image = np.empty(answer.shape, answer.dtype)
        with self._death_told():
            self._pipe.recv_bytes_into(image.data.cast("B"))
        modality = Modality(answer.modality)
        frame = Frame(
            image, modality, answer.timestamp_ns, answer.sequence, f"synthetic-{modality.value}",
            time_source=TimeSource.SENSOR, time_uncertainty_ns=answer.time_uncertainty_ns,
        )  # fmt: skip
        return SimulatedFrame(frame, answer.capture_ns, answer.truth, answer.pose)

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def close(self) -> None:
        """Ends the process, in the middle of the flight if need be; from any thread."""
        self._process.terminate()
        self._process.join(_STOP_TIMEOUT_S)

    def _built(self) -> FlightInfo:
        if self._impossible is not None:
            raise self._impossible
        if self._info is not None:
            return self._info
        try:
            info: FlightInfo = self._answer()
        except UsageError as error:
            self._impossible = error
            raise
        self._info = info
        return info

    def _answer(self) -> Any:
        with self._death_told():
            answer = self._pipe.recv()
        if isinstance(answer, EdgeRgbtError):
            raise answer
        return answer

    @contextmanager
    def _death_told(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            self._process.join(_STOP_TIMEOUT_S)
            code = self._process.exitcode
            text = f"the simulator stopped unexpectedly (exit code {code}); is memory short?"
            raise CameraError(text) from error


@dataclass(frozen=True, slots=True)
class _Header:
    """Goes before the bytes of a picture."""

    modality: str
    timestamp_ns: int
    sequence: int
    time_uncertainty_ns: int
    capture_ns: int
    shape: tuple[int, ...]
    dtype: str
    truth: TargetTruth | None
    pose: Pose | None


def _fly(pipe: Any, order: FlightOrder) -> None:
    """The simulator's process: builds the world, then renders what it is asked for."""
    end_with_parent()
    cv2.setNumThreads(1)  # the other cores belong to the tracker
    with suppress(BrokenPipeError, ConnectionResetError, EOFError):  # nobody is there any more
        try:
            flight = _Flight(order)
        except UsageError as error:
            pipe.send(error)
            return
        pipe.send(flight.info)
        while True:
            _answer(pipe, flight, pipe.recv())


def _answer(pipe: Any, flight: _Flight, command: OpenCamera | ReadFrame) -> None:
    if isinstance(command, OpenCamera):
        try:
            flight.open(command)
        except UsageError as error:
            pipe.send(error)
        else:
            pipe.send(None)
        return
    found = flight.read(command)
    if found is None:
        pipe.send(None)
        return
    header, image = found
    pipe.send(header)
    pipe.send_bytes(image.data.cast("B"))


class _Flight:
    """The flight inside its process."""

    def __init__(self, order: FlightOrder) -> None:
        self._scenario = scenario = make_scenario(
            order.seed,
            order.preset,
            order.seconds,
            rgb_size=order.rgb_size,
            tir_size=order.tir_size,
            steering=order.steering,
        )
        self._cameras: dict[Modality, SyntheticCamera] = {}
        self.info = FlightInfo(
            began_ns=time.monotonic_ns(),
            registration=scenario.nominal_registration(),
            rgb_size=order.rgb_size,
            tir_size=order.tir_size,
            preset=scenario.conditions.preset,
            target=scenario.world.movers[scenario.world.target_id].kind,
            altitude_m=scenario.drone.plan.altitude_m,
        )
        if order.vehicle is not None:
            scenario.fly_by(order.vehicle(scenario, self.info.began_ns))

    def open(self, command: OpenCamera) -> None:
        self._cameras[command.modality] = SyntheticCamera(
            self._scenario, command.modality, command.rate_hz, command.faults, phase_ns=command.phase_ns
        )

    def read(self, command: ReadFrame) -> tuple[_Header, np.ndarray] | None:
        for seen in command.observed:
            self._scenario.observe(seen.box, seen.timestamp_ns)
        camera = self._earliest() if command.modality is None else self._cameras[command.modality]
        if camera is None:
            return None
        if command.live:
            camera.skip_before(time.monotonic_ns() - self.info.began_ns)
        frame = camera.read()
        if frame is None:
            return None
        capture_ns, truth, pose = camera.capture_ns(frame.sequence), None, None
        if frame.modality is Modality.RGB:
            found = self._scenario.truth(capture_ns, Modality.RGB)
            truth, pose = TargetTruth(found.box, found.visibility), self._scenario.pose(capture_ns)
        image = np.ascontiguousarray(frame.image)
        header = _Header(
            frame.modality.value, frame.timestamp_ns, frame.sequence, frame.time_uncertainty_ns, capture_ns,
            image.shape, image.dtype.str, truth, pose,
        )  # fmt: skip
        return header, image

    def _earliest(self) -> SyntheticCamera | None:
        waiting = [c for c in self._cameras.values() if c.next_capture_ns is not None]
        return min(waiting, key=lambda camera: camera.next_capture_ns or 0, default=None)
