"""One demo flight: frames in, pairs, track, MAVLink, video; then the numbers and the page."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_rgbt.bundle import load_bundle
from edge_rgbt.demo.moments import Moments
from edge_rgbt.demo.options import DemoOptions
from edge_rgbt.demo.record import FlightRecord
from edge_rgbt.demo.results import TRACKS_NAME, VIDEO_NAME, Flown, build_report, write_results
from edge_rgbt.demo.simulator import RATE_HZ, Observation, SimulatedFlight, SimulatedFrame, TargetTruth
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.files import require_writable
from edge_rgbt.picture_faults import PictureWatch
from edge_rgbt.register import Registration
from edge_rgbt.runtime.loop import TrackingLoop
from edge_rgbt.runtime.stages import open_loop
from edge_rgbt.sync import PairSynchroniser
from edge_rgbt.types import FramePair, Modality, TrackState, TrackStatus

if TYPE_CHECKING:
    from edge_rgbt.mavlink import SimulatedVehicle, TrackPublisher
    from edge_rgbt.outputs.log import TrackLog
    from edge_rgbt.outputs.video import AnnotatedVideo
    from edge_rgbt.sim import Pose

TOLERANCE_MS = 20.0  # a little over half a frame period
MIN_START_VISIBLE = 0.6  # an operator draws the first box round a target that he sees
STATUS_RATE_HZ = 30.0
# Drawing runs beside the tracker and takes turns with it; Python's usual turn of 5 ms is a stage's worth.
SWITCH_INTERVAL_S = 0.0005


def run_demo(options: DemoOptions, on_pair: Callable[[int], None] = lambda pairs: None) -> dict[str, Any]:
    """Flies, tracks, writes video, tracks, page and report into `options.out`; returns the report.

    on_pair: called with the number of pairs tracked so far. Raises EdgeRgbtError with one line for whatever a
    user can mend; nothing half-written stays behind.
    """
    bundle = load_bundle(options.bundle)
    require_writable(options.out)
    with ExitStack() as stack:
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        # The world takes a second or two to build; meanwhile everything else is loaded.
        simulator = stack.enter_context(SimulatedFlight(options.seed, options.preset, options.seconds))
        outputs = _open_outputs(options, stack)
        loop = open_loop(bundle, threads=options.threads)
        stack.callback(loop.close)
        info = simulator.info
        loop.registration = Registration(info.registration, info.rgb_size, info.tir_size)
        outputs.publisher.ready()
        sync = PairSynchroniser(TOLERANCE_MS, -info.tir_clock_ns)
        flight = _Flight(loop, sync, outputs, options.realtime)
        wall_s = flight.fly(simulator, on_pair)
        if flight.record.pairs == 0:
            raise EdgeRgbtError(
                f"the target was not in view within {options.seconds:g} s; try another --seed"
            )
        flown = Flown(info.scene, str(loop.engine_info), wall_s, loop.statistics.summary(), sync.counters)
    # Closed, so that the last messages are counted and the video is whole.
    report = build_report(options, bundle, flown, flight.record, outputs.publisher)
    write_results(options.out, report, flight.record, flight.moments)
    return report


@dataclass
class _Outputs:
    publisher: TrackPublisher
    vehicle: SimulatedVehicle
    video: AnnotatedVideo
    log: TrackLog


class _Flight:
    """The loop over the simulator's frames."""

    def __init__(self, loop: TrackingLoop, sync: PairSynchroniser, outputs: _Outputs, realtime: bool) -> None:
        self.loop, self.sync, self.outputs, self.realtime = loop, sync, outputs, realtime
        self.watches = {modality: PictureWatch(modality) for modality in Modality}
        self.record, self.moments = FlightRecord(), Moments()
        self._truths: dict[int, TargetTruth] = {}
        self._started = False
        self._judged_ns = 0  # both cameras' frames since the last RGB one

    def fly(self, simulator: SimulatedFlight, on_pair: Callable[[int], None]) -> float:
        """Until the simulator lands; how many seconds that took."""
        began = time.perf_counter()
        for item in simulator.frames():
            if self.realtime:
                time.sleep(max(began + item.frame.sequence / RATE_HZ - time.perf_counter(), 0.0))
            simulator.acknowledge(self._handle(item))
            on_pair(self.record.pairs)
        for pair in self.sync.flush():
            self._track(pair)
        return time.perf_counter() - began

    def _handle(self, item: SimulatedFrame) -> list[Observation]:
        if item.truth is not None:
            self._truths[item.frame.sequence] = item.truth
        if item.pose is not None:
            self.outputs.vehicle.update(_vehicle_pose(item.pose))
        t0 = time.perf_counter_ns()
        fault = self.watches[item.frame.modality].judge(item.frame)
        t1 = time.perf_counter_ns()
        pairs = self.sync.push(item.frame, fault)
        t2 = time.perf_counter_ns()
        self._judged_ns += t1 - t0
        if item.frame.modality is Modality.RGB:
            self.loop.statistics.record("judge", self._judged_ns)
            self.loop.statistics.record("pair", t2 - t1)
            self._judged_ns = 0
        observations = [self._track(pair) for pair in pairs]
        return [one for one in observations if one is not None]

    def _track(self, pair: FramePair) -> Observation | None:
        """The first box is the truth's: it stands for the one that an operator draws."""
        truth = self._truths.pop(pair.rgb.sequence, None)
        if truth is None:  # thermal alone, while the RGB camera paused: truth comes with RGB frames
            return None
        if self._started:
            state = self.loop.step(pair)
        elif truth.box is not None and truth.visible >= MIN_START_VISIBLE:
            state = self.loop.step(pair, truth.box)
            self._started = True
        else:
            return None
        began_ns = time.perf_counter_ns()
        self._hand_out(self.loop.aligned or pair, state, truth)
        self.loop.statistics.record("output", time.perf_counter_ns() - began_ns)
        self.record.add(state, truth)
        lost = state.status is TrackStatus.LOST
        return Observation(pair.timestamp_ns, None if lost else state.box.as_tuple())

    def _hand_out(self, aligned: FramePair, state: TrackState, truth: TargetTruth) -> None:
        outputs = self.outputs
        outputs.publisher.publish(state, aligned.rgb.width, aligned.rgb.height)
        outputs.video.write(aligned, state, truth.box)
        outputs.log.write(state, truth.box, extra={"visible_share": round(truth.visible, 3)})
        self.moments.offer(aligned, state, truth)


def _open_outputs(options: DemoOptions, stack: ExitStack) -> _Outputs:
    """Opens everything that could refuse, before anything is flown, and loads the libraries of the extras."""
    import edge_rgbt.report  # noqa: F401  a missing library is better heard of now than after the flight
    from edge_rgbt.mavlink import DEFAULT_URL, SimulatedVehicle, TrackPublisher
    from edge_rgbt.outputs.log import TrackLog
    from edge_rgbt.outputs.video import AnnotatedVideo

    url = DEFAULT_URL if options.mavlink is None else options.mavlink
    publisher = stack.enter_context(TrackPublisher(url, rate_hz=STATUS_RATE_HZ))
    return _Outputs(
        publisher,
        SimulatedVehicle(publisher),
        stack.enter_context(AnnotatedVideo(options.out / VIDEO_NAME, RATE_HZ)),
        stack.enter_context(TrackLog(options.out / TRACKS_NAME)),
    )


def _vehicle_pose(pose: Pose) -> Any:
    from edge_rgbt.mavlink import VehiclePose

    east, north, up = pose.velocity
    return VehiclePose(
        latitude_deg=pose.lat_deg,
        longitude_deg=pose.lon_deg,
        altitude_m=pose.alt_m,
        height_m=pose.position[2],
        velocity_ned_mps=(north, east, -up),
        roll_rad=math.radians(pose.roll_deg),
        pitch_rad=math.radians(pose.pitch_deg),
        yaw_rad=math.radians(pose.yaw_deg),
    )
