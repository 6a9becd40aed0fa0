"""A track on MAVLink with one call per picture: a station with a camera component."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.mavlink.camera.component import CameraComponent
from edge_rgbt.mavlink.camera.control import TrackControl
from edge_rgbt.mavlink.camera.profile import CameraProfile, Reporting
from edge_rgbt.mavlink.connection import LinkCounters
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.exchange import Speaker
from edge_rgbt.mavlink.identity import CAMERA_COMPONENT, Identity, camera_identity
from edge_rgbt.mavlink.messages import StatusOptions
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.mavlink.station import Station
from edge_rgbt.types import TrackState


class TrackPublisher:
    """A MAVLink camera component that reports one track.

    url: one endpoint URL or several. system_id: the vehicle's; None learns it from the autopilot's heartbeat
    and stays silent as a camera until then. rate_hz: statuses per second until a ground station asks for
    another rate, None for every published state; a change of the track's status goes out at once whatever the
    rate. control: who obeys selections of ground stations; without one they are refused for now.

    Heartbeats start here, as BOOT, from a timer thread that waits for nobody. `publish` only stores the state
    and returns; it may be called from any thread. Raises UsageError for a bad URL, id or a port in use.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        system_id: int | None = 1,
        component_id: int = CAMERA_COMPONENT,
        rate_hz: float | None = 30.0,
        options: StatusOptions | None = None,
        allow_odd_component: bool = False,
        control: TrackControl | None = None,
    ) -> None:
        options = options or StatusOptions()
        urls = (url,) if isinstance(url, str) else tuple(url)
        for one in urls:
            parse_endpoint(one)
        camera_identity(system_id or 1, component_id, allow_odd_component)
        try:
            settings = MavlinkSettings(
                url=urls,
                sysid="auto" if system_id is None else system_id,
                camera_compid=component_id,
                allow_odd_compid=allow_odd_component,
            )
            reporting = Reporting(
                image_status_hz=rate_hz,
                coasting=options.coasting,
                report_point=options.report_point,
                drawn_in_video=options.drawn_in_video,
            )
        except ValueError as error:
            raise UsageError(f"MAVLink: {error}") from error
        self.camera = CameraComponent(CameraProfile(reporting=reporting), control, component_id)
        self.station = Station(
            settings, [self.camera], health=lambda: self.camera.health(time.monotonic_ns())
        )
        self._closed = False
        self.station.start()

    @property
    def counters(self) -> LinkCounters:
        """Sums over the endpoints."""
        each = [endpoint.counters for endpoint in self.station.status().endpoints]
        return LinkCounters(
            **{f.name: sum(getattr(one, f.name) for one in each) for f in fields(LinkCounters)}
        )

    @property
    def urls(self) -> list[str]:
        return [endpoint.url for endpoint in self.station.status().endpoints]

    @property
    def problem(self) -> str:
        """The last trouble of each endpoint that is not connected, or nothing."""
        return self.station.status().problem

    @property
    def identity(self) -> Identity | None:
        """The camera's numbers, None while the vehicle's system id is not known."""
        return self.station.identity(Speaker.CAMERA)

    def ready(self) -> None:
        """Model and cameras are there: the heartbeat goes from BOOT to STANDBY."""
        self.camera.ready()

    def publish(
        self,
        state: TrackState,
        width: int,
        height: int,
        track_id: int | None = None,
        captured_ns: int | None = None,
    ) -> None:
        """Reports a state; width and height are those of the picture whose pixels the box counts (R-TS-8).

        track_id: of the `StartRequest` that is tracked, or from `camera.begin` for a track of our own; None
        where nobody else can start one. captured_ns: of the newer picture, on the monotonic clock.
        """
        if not self._closed:
            self.camera.publish(state, width, height, time.monotonic_ns(), track_id, captured_ns)
            self.station.wake()

    def post(self, identity: Identity, message: Any) -> None:
        """Sends any other message on every endpoint, newest of its kind first and only."""
        self.station.send_as(identity, message)

    def close(self) -> None:
        """Sends a last status (idle, R-TS-7) and a POWEROFF heartbeat, then closes. May be called twice."""
        self._closed = True
        self.station.close()

    def __enter__(self) -> TrackPublisher:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
