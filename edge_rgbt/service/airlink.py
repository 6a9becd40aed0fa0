"""What leaves the aircraft: a MAVLink camera with its senses and its steering, and video to the ground.

Made before the model loads, so that heartbeats begin early. What the frame loop calls takes microseconds and
waits for nobody; threads of the station, the guard and the video server do the rest.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_rgbt.geolocation.camera_attitude import CameraMount
from edge_rgbt.geolocation.clock import AutopilotClock
from edge_rgbt.geolocation.locator import Geolocator
from edge_rgbt.geolocation.optics import OpticsBook
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.telemetry import Telemetry
from edge_rgbt.mavlink.camera.about import CameraView, StorageState, StreamState
from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.diagnostics import ComputerStatus
from edge_rgbt.mavlink.camera.hosts import outward_host
from edge_rgbt.mavlink.camera.profile import CameraProfile, Reporting, StreamProfile
from edge_rgbt.mavlink.sources import SourcePolicy
from edge_rgbt.mavlink.station import Station
from edge_rgbt.mavlink.steering.component import SteeringComponent
from edge_rgbt.mavlink.steering.guard import GuardProcess
from edge_rgbt.mavlink.steering.senses import Senses
from edge_rgbt.mavlink.telemetry import TelemetryReader
from edge_rgbt.mavlink.timesync import TimeSync
from edge_rgbt.service.selections import Selections
from edge_rgbt.steering.situation import Level
from edge_rgbt.steering.target_watch import NOTHING, Observation
from edge_rgbt.streaming import Shown, StreamSettings, VideoServer, VideoSettings
from edge_rgbt.types import FramePair, TargetPosition, TrackState

if TYPE_CHECKING:
    from edge_rgbt.health import HealthRecord
    from edge_rgbt.mavlink.steering.journal import ControlRecord
    from edge_rgbt.recording import FlightRecorder
    from edge_rgbt.register import Registration
    from edge_rgbt.service.settings import ServicePlan

LOG = logging.getLogger(__name__)
_LOOK_EVERY_NS = 200_000_000
_STILL_S = 0.6  # the burst of zero rates takes 300 ms
_DEGRADED = ("frame-age", "stage-budget", "throttling", "temperature", "clock-cap", "over-current")  # alarms


class AirLink:
    """A context manager: opens endpoints and ports, and closes with last words.

    Raises UsageError for what a configuration can mend: a port in use, a lens that is not known, a key.
    """

    def __init__(self, plan: ServicePlan, selections: Selections) -> None:
        settings = plan.settings
        self.recorder: FlightRecorder | None = None
        self._stack = ExitStack()
        clock = AutopilotClock()
        own_begin_ns = time.monotonic_ns()

        def boot_ms(now_ns: int) -> int:
            known = clock.boot_ms(now_ns)
            return (now_ns - own_begin_ns) // 1_000_000 if known is None else known

        link = settings.mavlink
        if settings.control.beacon_sysid is not None:
            link = replace(link, beacon_sysid=settings.control.beacon_sysid)
        policy = SourcePolicy(settings.mavlink.allow_sources, settings.mavlink.allow_networks)
        self.camera = CameraComponent(
            camera_profile(plan),
            selections,
            settings.mavlink.camera_compid,
            boot_ms,
            lambda r: policy.allows((r.system, r.component), r.address, r.endpoint),
            outward_host,
        )
        components: list[Any] = [TimeSync(clock, settings.mavlink.camera_compid)]
        self.locator: Geolocator | None = None
        self.steering: SteeringComponent | None = None
        self._guard: GuardProcess | None = None
        if settings.geolocation is not None:
            rgb = None if plan.rig is None else plan.rig.rgb
            telemetry = Telemetry()
            self.locator = Geolocator(telemetry, settings.geolocation, settings.mount, rgb, plan.base)
            self._stack.callback(self.locator.close)
            components.append(TelemetryReader(telemetry, clock, settings.geolocation, settings.mount))
            if settings.control.most is not Level.OFF:
                optics = OpticsBook(rgb, settings.geolocation.hfov_deg)
                senses = Senses(telemetry, clock, CameraMount(settings.mount), optics)
                self._guard = None if settings.control.dry_run else GuardProcess()
                self.steering = SteeringComponent(
                    settings.control, senses, self._control_record, policy, self._guard, link.beacon_sysid
                )
        components.append(self.camera)
        if self.steering is not None:
            components.append(self.steering)
        self.station = Station(
            link,
            components,
            base=plan.base,
            health=lambda: self.camera.health(time.monotonic_ns()),
            on_bytes=self._bytes,
            on_outlets=None if self._guard is None else self._guard.outlets,
        )
        self.video = _video(plan)
        self._looked_ns = 0

    def __enter__(self) -> AirLink:
        try:
            if self._guard is not None:
                self._guard.start()
                self._stack.callback(self._guard.close)
            self.station.start()
            self._stack.callback(self.station.close)
            if self.video is not None:
                self.video.start()
                self._stack.callback(self.video.close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.steering is not None:
            self.steering.disengage("the service ends")
            self.steering.still(_STILL_S)
        self._stack.close()

    # What the frame loop says.

    def ready(self) -> None:
        """Model and cameras are there: the heartbeat goes from BOOT to STANDBY."""
        self.camera.ready()

    def begin(self) -> int:
        """A track that no ground station asked for; its number."""
        return self.camera.begin()

    def tracked(
        self, state: TrackState, pair: FramePair, aligned: FramePair | None, track_id: int | None
    ) -> TargetPosition | None:
        """A pair's outcome; where on earth the target is, if that is known."""
        now_ns, width, height = time.monotonic_ns(), pair.rgb.width, pair.rgb.height
        captured_ns = max(pair.rgb.timestamp_ns, pair.tir.timestamp_ns)
        self.camera.publish(state, width, height, now_ns, track_id, captured_ns)
        position = self._locate(state, track_id, width, height, now_ns)
        if self.steering is not None:
            self.steering.seen(Observation(track_id, state, width, height, position))
        self._show(aligned or pair, state, None)
        self._look(pair, now_ns)
        self.station.wake()
        return position

    def idle(self, pair: FramePair, registration: Registration | None) -> None:
        """A pair in which nothing is tracked."""
        self.camera.seeing(pair.usable)
        if self.steering is not None:
            self.steering.seen(NOTHING)
        self._show(pair, None, registration)
        self._look(pair, time.monotonic_ns())

    def _locate(
        self, state: TrackState, track_id: int | None, width: int, height: int, now_ns: int
    ) -> TargetPosition | None:
        if self.locator is None or track_id is None:
            return None
        found = self.locator.locate(state, track_id, width, height)
        position = found if isinstance(found, TargetPosition) else None
        self.camera.position(position, now_ns)
        return position

    def _show(self, pair: FramePair, state: TrackState | None, registration: Registration | None) -> None:
        if self.video is not None:
            self.video.offer(Shown(pair, state, registration))

    def _look(self, pair: FramePair, now_ns: int) -> None:
        """Where the camera looks, for whoever asks for CAMERA_FOV_STATUS."""
        if self.locator is None or now_ns - self._looked_ns < _LOOK_EVERY_NS:
            return
        self._looked_ns = now_ns
        view = self.locator.view(pair.timestamp_ns, pair.rgb.width, pair.rgb.height)
        if isinstance(view, NoPosition):
            self.camera.looking(None)
            return
        place = view.place
        position = (place.latitude_deg, place.longitude_deg, place.altitude_m)
        self.camera.looking(CameraView(position, view.rotation, view.ground, sky=view.ground is None))

    # What the health thread says, once a second.

    def health(self, record: HealthRecord) -> None:
        """The machine's numbers and the state of streams and recording, for ground stations that ask."""
        self.camera.degrade(any(alarm.startswith(_DEGRADED) for alarm in record.alarms))
        self.camera.computer(_computer(record))
        if self.video is not None:
            for stream in self.video.streams:
                self.camera.streaming(stream.name, StreamState(self.video.running(stream.name)))
        self.camera.storage(self._storage(record))

    def _storage(self, record: HealthRecord) -> StorageState | None:
        machine = record.machine
        if self.recorder is None or machine is None or machine.disk is None:
            return None
        disk, mib = machine.disk, 1e6 / 2**20
        return StorageState(disk.total_mb * mib, disk.free_mb * mib, self.recorder.path is not None)

    # What counts.

    @property
    def problem(self) -> str:
        """What keeps endpoints from being connected, or nothing."""
        return self.station.status().problem

    # Into the recording, from the threads of the station.

    def _bytes(self, endpoint: str, outgoing: bool, data: bytes, time_ns: int) -> None:
        if self.recorder is not None:
            self.recorder.mavlink(endpoint, outgoing, data, time_ns)

    def _control_record(self, record: ControlRecord) -> None:
        if self.recorder is not None:
            what = {"sent": record.sent, "message": record.message, "inputs": record.inputs}
            self.recorder.event(f"control {record.kind}", what)


def camera_profile(plan: ServicePlan) -> CameraProfile:
    """What the camera advertises, from the tables of the configuration."""
    settings = plan.settings
    link, rgb = settings.mavlink, settings.cameras.rgb
    size = None if rgb.width_px is None or rgb.height_px is None else (rgb.width_px, rgb.height_px)
    return CameraProfile(
        streams=tuple(_advertised(stream, settings.video) for stream in settings.stream),
        size_px=size,
        gimbal_device_id=1 if settings.geolocation is not None and settings.mount.kind == "gimbal" else 0,
        geolocates=settings.geolocation is not None,
        diagnostics=link.companion,
        public_host=settings.video.public_host,
        reporting=Reporting(
            image_status_hz=link.image_status_hz,
            geo_status_hz=link.geo_status_hz,
            coasting=link.coasting,
            report_point=link.report_point,
            drawn_in_video=any(stream.overlay for stream in settings.stream[:1]),
        ),
    )


def _advertised(stream: StreamSettings, video: VideoSettings) -> StreamProfile:
    # Side by side, the RGB picture is the left half: the stream shows twice its width.
    view = (0.0, 0.0, 2.0, 1.0) if stream.source == "side-by-side" else (0.0, 0.0, 1.0, 1.0)
    return StreamProfile(
        stream.name,
        f"rtsp://{video.reached_at}:{video.port}{stream.mount}",
        stream.size_px,
        stream.rate_hz,
        hfov_deg=stream.hfov_deg,
        thermal=stream.thermal,
        bitrate_kbit_s=stream.bitrate_kbps,
        view=view,
    )


def _video(plan: ServicePlan) -> VideoServer | None:
    if not plan.settings.stream:
        return None
    return VideoServer(plan.settings.video, plan.settings.stream)


def _computer(record: HealthRecord) -> ComputerStatus:
    machine = record.machine
    uptime_ms = record.time_ns // 1_000_000
    if machine is None:
        return ComputerStatus(uptime_ms)
    mib = 1e6 / 2**20
    disk, memory = machine.disk, machine.memory
    hottest = max((t.celsius for t in machine.temperatures.values()), default=None)
    return ComputerStatus(
        uptime_ms,
        board_c=hottest,
        memory_used_mib=None if memory.process_mb is None else memory.process_mb * mib,
        disk_used_mib=None if disk is None else (disk.total_mb - disk.free_mb) * mib,
        disk_total_mib=None if disk is None else disk.total_mb * mib,
    )
