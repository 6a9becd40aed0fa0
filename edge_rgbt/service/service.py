"""The frame loop of the service: frames in, pairs, tracks out, and everything counted.

Camera threads fill the inbox; this thread judges, pairs, tracks and hands out; recorder, MAVLink and health
work in threads of their own behind queues that never make it wait.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_rgbt.bundle import Bundle, load_bundle
from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.health import AlarmSettings, HealthMonitor, HealthRecord, HealthSettings, Watchdog
from edge_rgbt.recording import FlightContext, FlightRecorder
from edge_rgbt.recording.recorder import recorded_step
from edge_rgbt.runtime.loop import StageStatistics, TrackingLoop
from edge_rgbt.runtime.stages import STAGES, open_loop
from edge_rgbt.service.accounts import WINDOW, Accounts
from edge_rgbt.service.airlink import AirLink
from edge_rgbt.service.alignment import Alignment
from edge_rgbt.service.cameras import CameraThreads, MakeCamera
from edge_rgbt.service.inbox import Arrival, Inbox
from edge_rgbt.service.intake import Intake
from edge_rgbt.service.pairing import make_synchroniser
from edge_rgbt.service.selections import Selections, Wish
from edge_rgbt.service.settings import ServicePlan
from edge_rgbt.types import Box, FramePair, Modality, TrackState, TrackStatus, Usable

if TYPE_CHECKING:
    from edge_rgbt.cameras.flight_process import MakePoses
    from edge_rgbt.cameras.playback import Playback

LOG = logging.getLogger(__name__)
_WAIT_S = 0.05  # the loop never sleeps longer, so that watchdog and status go on without frames
_FAULT_EVERY_NS = 1_000_000_000
# Threads take turns; Python's usual turn of 5 ms would delay heartbeats and answers by as much each.
SWITCH_INTERVAL_S = 0.001
MIN_START_VISIBLE = 0.6  # an operator draws the first box round a target that he sees


@dataclass(frozen=True)
class ServiceReport:
    """What a run came to. pairs: handed to the tracker. tracked: answered. counters: as `Accounts.flat`."""

    seconds: float
    pairs: int
    tracked: int
    status: TrackStatus
    recording: Path | None
    counters: dict[str, int]


class Service:
    """One flight. Made before anything is opened; `run` opens, flies and closes everything."""

    def __init__(
        self,
        plan: ServicePlan,
        bundle: Bundle,
        record_folder: Path | None = None,
        make: MakeCamera = make_camera,
    ) -> None:
        """bundle: the plan's, loaded. record_folder: takes the place of the configured one. make: what makes
        the cameras of their settings."""
        self.plan, self.bundle = plan, bundle
        self._folder = record_folder or plan.record_folder
        self._make = make
        self._stop = threading.Event()
        self._inbox = Inbox()
        self._selections = Selections()
        if (box := plan.settings.target.box()) is not None:
            self.select(box)
        self._follows_simulated = plan.settings.target.simulated
        self._track_id: int | None = None
        self._status = TrackStatus.IDLE
        self._usable = Usable.BOTH
        self._fault_told_ns = 0
        self.statistics = StageStatistics(WINDOW)
        self._spent_ns: Counter[str] = Counter()  # since the last track, by stage
        self._playback: Playback | None = None  # of simulator cameras, whose mount and target are known
        self._alignment = Alignment(plan)
        self._sync = make_synchroniser(plan)
        offsets = {Modality.RGB: 0, Modality.TIR: self._sync.tir_offset_ns}
        cameras = plan.settings.cameras.by_modality()
        self._intakes = {m: Intake(m, camera, offsets[m]) for m, camera in cameras.items()}
        self.accounts = Accounts(self._inbox, self._intakes, self._sync)
        self.recorder: FlightRecorder | None = None

    def stop(self) -> None:
        """Ends `run` after the pair at hand; from any thread or a signal handler."""
        self._stop.set()

    def select(self, box: Box) -> None:
        """Tracks what lies in this box from the next usable pair on; from any thread."""
        self._selections.ask(Wish(box))

    def run(self, seconds: float | None = None) -> ServiceReport:
        """Flies until `stop`, the end of both recordings or `seconds`. Raises EdgeRgbtError before take-off
        only, for what no waiting mends; afterwards faults are counted and survived."""
        with ExitStack() as stack:
            stack.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            watchdog = Watchdog.from_environment()
            stack.callback(watchdog.close)
            link = stack.enter_context(AirLink(self.plan, self._selections))
            tracking = self.plan.settings.tracking
            loop = open_loop(self.bundle, tracking.engine, tracking.threads)
            stack.callback(loop.close)
            loop.statistics = self.statistics
            self.recorder = self._open_recorder(loop)
            if self.recorder is not None:
                stack.callback(self.recorder.close)
            link.recorder = self.recorder
            cameras = CameraThreads(self.plan.settings.cameras, self._inbox, self._make, self._vehicle(stack))
            stack.callback(cameras.close)
            accounts = self.accounts
            accounts.cameras, accounts.recorder, accounts.link = cameras, self.recorder, link
            self._playback = cameras.playback if self.plan.settings.cameras.simulated else None
            self._alignment.playback = self._playback
            cameras.start()
            monitor = HealthMonitor(
                self._health_settings(),
                lambda: accounts.numbers(self.statistics),
                lambda record: self._record(record, link),
            )
            stack.enter_context(monitor)
            about = self.bundle.manifest
            LOG.info("engine %s, bundle %s %s", loop.engine_info, about.name, about.version)
            link.ready()
            watchdog.ready()
            LOG.info("ready")
            began_s = time.monotonic()
            self._fly(loop, link, watchdog, None if seconds is None else began_s + seconds)
            watchdog.stopping()
            self._require_possible(cameras)
            flown_s = time.monotonic() - began_s
        counts = accounts.counts
        return ServiceReport(
            round(flown_s, 3),
            counts["pairs"],
            counts["tracked"],
            self._status,
            None if self.recorder is None else self.recorder.path,
            accounts.flat(),
        )

    def _require_possible(self, cameras: CameraThreads) -> None:
        """A camera that can never deliver is a mistake of the configuration; once the service has tracked
        anything, it goes on with the other one."""
        if not self.accounts.counts["tracked"]:
            cameras.require_possible()

    def _fly(self, loop: TrackingLoop, link: AirLink, watchdog: Watchdog, until_s: float | None) -> None:
        cameras = self.accounts.cameras
        assert cameras is not None
        while not self._stop.is_set() and not self._inbox.ended:
            self._require_possible(cameras)
            if until_s is not None and time.monotonic() >= until_s:
                break
            for pair in self._paired(self._inbox.take(self._patience_s())):
                self._track(loop, link, pair)
            watchdog.alive()

    def _patience_s(self) -> float:
        deadline_ns = self._sync.deadline_ns
        if deadline_ns is None:
            return _WAIT_S
        return min(max((deadline_ns - time.monotonic_ns()) / 1e9, 0.0), _WAIT_S)

    def _paired(self, arrivals: list[Arrival]) -> list[FramePair]:
        pairs: list[FramePair] = []
        spent = self._spent_ns
        for arrival in arrivals:
            t0 = time.perf_counter_ns()
            if self.recorder is not None:
                self.recorder.frame(arrival.frame)
            t1 = time.perf_counter_ns()
            judged = self._intakes[arrival.frame.modality].take(arrival)
            t2 = time.perf_counter_ns()
            if judged is not None:
                pairs += self._sync.push(judged.frame, judged.fault, time.monotonic_ns())
            spent["record"] += t1 - t0
            spent["judge"] += t2 - t1
            spent["pair"] += time.perf_counter_ns() - t2
        return pairs or self._sync.poll(time.monotonic_ns())

    def _track(self, loop: TrackingLoop, link: AirLink, pair: FramePair) -> None:
        self.accounts.counts["pairs"] += 1
        self._note_usable(pair.usable)
        if not self._fit_registration(loop, pair):
            return
        start = None
        if pair.usable is not Usable.NONE:  # else selections wait for a picture
            self._selections.seen(pair)
            start = self._selected(loop, link, pair)
        if self._status is TrackStatus.IDLE and start is None:
            if self.recorder is not None:
                self.recorder.pair(pair)
            link.idle(pair, loop.registration)
            return
        try:
            state = self._step(loop, pair, start)
        except EdgeRgbtError as error:
            self._survive(str(error))
            return
        except Exception as error:
            self._survive(f"{type(error).__name__}: {error}", own_fault=True)
            return
        began_ns = time.perf_counter_ns()
        position = link.tracked(state, pair, loop.aligned, self._track_id)
        if position is not None:
            self._alignment.follow(position.range_m)
        self._note(state, pair)
        self._spent_ns["output"] += time.perf_counter_ns() - began_ns
        for stage, duration_ns in self._spent_ns.items():
            loop.statistics.record(stage, duration_ns)
        self._spent_ns.clear()

    def _selected(self, loop: TrackingLoop, link: AirLink, pair: FramePair) -> Box | None:
        """The box to start on in this pair, if somebody asked for one; a wish to stop is carried out."""
        wish = self._selections.take()
        if wish is None:
            box = self._simulated_target(pair) if self._status is TrackStatus.IDLE else None
            wish = None if box is None else Wish(box)
        if wish is None:
            return None
        self._follows_simulated = False  # whatever happens to it, the operator decides from now on
        if wish.box is None:
            self._stop_tracking(loop)
            return None
        self._track_id = link.begin() if wish.track_id is None else wish.track_id
        self._event("selection", {"track": self._track_id, "box": list(wish.box.as_tuple())})
        return wish.box

    def _stop_tracking(self, loop: TrackingLoop) -> None:
        if self._status is TrackStatus.IDLE:
            return
        loop.tracker.stop()
        LOG.info("tracking stopped")
        self._event("status", {"from": self._status.value, "to": TrackStatus.IDLE.value})
        self._status, self._track_id = TrackStatus.IDLE, None

    def _step(self, loop: TrackingLoop, pair: FramePair, start: Box | None) -> TrackState:
        if self.recorder is None:
            return loop.step(pair, start)
        began_ns = time.perf_counter_ns()
        state = recorded_step(loop, self.recorder, pair, start)
        inside_ns = sum(timing.duration_ns for timing in state.timings)
        self._spent_ns["record"] += time.perf_counter_ns() - began_ns - inside_ns
        return state

    def _note(self, state: TrackState, pair: FramePair) -> None:
        counts = self.accounts.counts
        counts["tracked"] += 1
        counts[f"with_{state.usable.value}"] += 1
        self.accounts.add_age(time.monotonic_ns() - max(pair.rgb.timestamp_ns, pair.tir.timestamp_ns))
        if state.status is not self._status:
            LOG.info("target %s, confidence %.2f", state.status.value, state.confidence)
            self._event("status", {"from": self._status.value, "to": state.status.value})
        self._status = state.status

    def _note_usable(self, usable: Usable) -> None:
        """Which cameras can be believed is an event of the flight when it changes."""
        if usable is not self._usable:
            self.accounts.counts["mode_changes"] += 1
            self._event("mode", {"from": self._usable.value, "to": usable.value})
            self._usable = usable

    def _event(self, name: str, what: dict[str, Any]) -> None:
        if self.recorder is not None:
            self.recorder.event(name, what)

    def _survive(self, fault: str, own_fault: bool = False) -> None:
        """A step that failed is counted; its reason is logged once a second at most, a mistake of ours with
        where it happened."""
        self.accounts.counts["failed_steps"] += 1
        now_ns = time.monotonic_ns()
        if now_ns - self._fault_told_ns >= _FAULT_EVERY_NS:
            LOG.error("pair not tracked: %s", fault, exc_info=own_fault)
            self._fault_told_ns = now_ns

    def _fit_registration(self, loop: TrackingLoop, pair: FramePair) -> bool:
        """Once both cameras have shown what size they really have. False if the calibration is for others:
        then nothing can be tracked, and before anything was, the service had better not start."""
        try:
            loop.registration = self._alignment.fit(pair)
        except UsageError as error:
            if not self.accounts.counts["tracked"]:
                raise UsageError(f"pairing.calibration: {error}") from None
            self._survive(str(error))
            return False
        return True

    def _simulated_target(self, pair: FramePair) -> Box | None:
        """Where the simulator's target is in this pair, once enough of it is in view."""
        if self._playback is None or not self._follows_simulated:
            return None
        truth = self._playback.truth(pair.rgb.sequence)
        return truth.box if truth is not None and truth.visible >= MIN_START_VISIBLE else None

    def _vehicle(self, stack: ExitStack) -> MakePoses | None:
        """The simulated vehicle's process, where one carries the simulator's cameras."""
        settings = self.plan.settings.simulator.vehicle
        if settings is None:
            return None
        from edge_rgbt.mavlink.autopilot.process import VehicleProcess

        seed = self.plan.settings.cameras.rgb.seed or 0
        return stack.enter_context(VehicleProcess(settings.order(seed))).make_poses

    def _open_recorder(self, loop: TrackingLoop) -> FlightRecorder | None:
        if self._folder is None:
            return None
        context = FlightContext(self.bundle, loop.engine_info, self.plan.text, self.plan.calibration_text)
        return FlightRecorder(self._folder, self.plan.settings.recording, context)

    def _health_settings(self) -> HealthSettings:
        budgets = {stage.name: stage.budget_ms for stage in STAGES if stage.budget_ms is not None}
        limits = AlarmSettings(stage_budgets_ms=budgets, **asdict(self.plan.settings.limits))
        return HealthSettings(disk_folder=self._folder or Path("/"), alarms=limits)

    def _record(self, record: HealthRecord, link: AirLink) -> None:
        self.accounts.add_health_cost(round(record.cost_ms * 1e6))
        link.health(record)
        if self.recorder is not None:
            self.recorder.health(record.to_dict())


def require_startable(plan: ServicePlan) -> Bundle:
    """The plan's bundle, once all is checked that can fail without touching a device. Raises UsageError."""
    bundle = load_bundle(plan.bundle)
    for modality, camera in plan.settings.cameras.by_modality().items():
        for key in ("path", "timestamps"):
            place = getattr(camera, key)
            if place is not None and not Path(place).exists():
                raise UsageError(
                    f"cameras.{modality.value}.{key}: {place} is not there; give what shall be played"
                )
    return bundle
