"""The tracker's voice on MAVLink: camera heartbeats and CAMERA_TRACKING_IMAGE_STATUS."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.identity import (
    CAMERA_COMPONENT,
    ONBOARD_COMPUTER_COMPONENT,
    Identity,
    SystemIdLearner,
    camera_identity,
)
from edge_rgbt.mavlink.messages import (
    Health,
    StatusOptions,
    TargetPhase,
    camera_heartbeat,
    provisional_heartbeat,
    target_status,
    tracking_image_status,
)
from edge_rgbt.mavlink.sender import EndpointSender, LinkCounters
from edge_rgbt.types import TrackState, TrackStatus, Usable

HEARTBEAT_PERIOD_S = 1.0
STALE_AFTER_S = 1.0
_SPEAKS_FIRST = ("udpout", "tcp", "serial")  # the other side cannot know us before we send


_FOLLOWING = (TrackStatus.TRACKING, TrackStatus.UNCERTAIN)


class TrackPublisher:
    """A MAVLink camera component that reports one track.

    url: one endpoint URL or several. system_id: the vehicle's; None learns it from the autopilot's heartbeat
    and stays silent as a camera until then. rate_hz: most statuses per second, None for every published
    state; a change of the track's status goes out at once whatever the rate.

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
    ) -> None:
        endpoints = [parse_endpoint(one) for one in ([url] if isinstance(url, str) else url)]
        camera_identity(system_id or 1, component_id, allow_odd_component)
        self._system, self._component, self._odd = system_id, component_id, allow_odd_component
        self._learner = SystemIdLearner()
        self._options = options or StatusOptions()
        self._period_s = 1.0 / rate_hz if rate_hz else 0.0
        self._health = Health.BOOT
        self._newest: tuple[TrackState, int, int] | None = None
        self._fresh, self._closed, self._stale = False, False, False
        self._published_s, self._next_status_s = 0.0, 0.0
        self._last_status: TrackStatus | None = None
        self._wake = threading.Condition()
        self._senders: list[EndpointSender] = []
        try:
            for endpoint in endpoints:
                self._senders.append(EndpointSender(endpoint, self._heard if system_id is None else None))
        except Exception:
            for sender in self._senders:
                sender.close()
            raise
        self._clock = threading.Thread(target=self._run_clock, name="mavlink-clock", daemon=True)
        self._clock.start()

    @property
    def counters(self) -> LinkCounters:
        """Sums over the endpoints."""
        names = [field.name for field in fields(LinkCounters)]
        return LinkCounters(**{n: sum(getattr(s.counters, n) for s in self._senders) for n in names})

    @property
    def urls(self) -> list[str]:
        return [str(sender.endpoint) for sender in self._senders]

    @property
    def problem(self) -> str:
        """The last trouble of each endpoint that is not connected, or nothing."""
        return "; ".join(f"{s.endpoint}: {s.problem}" for s in self._senders if s.problem)

    @property
    def identity(self) -> Identity | None:
        """The camera's numbers, None while the vehicle's system id is not known."""
        system = self._system if self._system is not None else self._learner.system
        return None if system is None else Identity(system, self._component)

    def ready(self) -> None:
        """Model and cameras are there: the heartbeat goes from BOOT to STANDBY."""
        with self._wake:
            if self._health is Health.BOOT:
                self._health = Health.STANDBY

    def publish(self, state: TrackState, width: int, height: int) -> None:
        """Reports a state; width and height are those of the picture whose pixels the box counts (R-TS-8)."""
        with self._wake:
            if self._closed:
                return
            self._newest, self._fresh, self._stale = (state, width, height), True, False
            self._published_s = time.monotonic()
            self._health = _health(state)
            if state.status is not self._last_status:
                self._next_status_s = 0.0
            self._wake.notify()

    def post(self, identity: Identity, message: Any) -> None:
        """Sends any other message on every endpoint, newest of its kind first and only."""
        for sender in self._senders:
            sender.post(identity, message)

    def close(self) -> None:
        """Sends a last status (idle, R-TS-7) and a POWEROFF heartbeat, then closes. May be called twice."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
        self._clock.join()
        camera = self.identity
        if camera is not None:
            if self._newest is not None:
                self.post(camera, target_status(TargetPhase.IDLE, None, 1, 1))
            self.post(camera, camera_heartbeat(Health.POWEROFF))
        for sender in self._senders:
            sender.close()

    def __enter__(self) -> TrackPublisher:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _heard(self, system: int, component: int, autopilot: int) -> None:
        with self._wake:
            self._learner.heard(system, component, autopilot, time.monotonic())

    def _run_clock(self) -> None:
        next_beat_s = time.monotonic()
        while True:
            with self._wake:
                now = time.monotonic()
                wait_s = min(next_beat_s, self._status_due_s()) - now
                if wait_s > 0 and not self._closed:
                    self._wake.wait(wait_s)
                if self._closed:
                    return
                now = time.monotonic()
                beat = now >= next_beat_s
                status = self._take_status(now)
                health, camera = self._health, self.identity
            if beat:
                next_beat_s = max(next_beat_s + HEARTBEAT_PERIOD_S, now)
                self._beat(camera, health)
            if status is not None and camera is not None:
                self.post(camera, status)

    def _status_due_s(self) -> float:
        if self._newest is None:
            return float("inf")
        if self._fresh:
            return self._next_status_s
        tracking = self._newest[0].status in _FOLLOWING
        return self._published_s + STALE_AFTER_S if tracking and not self._stale else float("inf")

    def _take_status(self, now: float) -> Any | None:
        """The status to send now, if any. Called with the lock held."""
        if self._newest is None or now < self._status_due_s():
            return None
        state, width, height = self._newest
        if not self._fresh:
            # No picture for a while: nobody may keep looking at a box on something no longer seen (R-TS-5).
            self._stale, self._last_status, self._health = True, None, Health.CRITICAL
            return target_status(TargetPhase.SENSOR_FAILURE, None, width, height, self._options)
        repeated_idle = state.status is self._last_status is TrackStatus.IDLE
        self._fresh, self._last_status = False, state.status
        if repeated_idle:
            return None
        # Steps of the period, not of the frame times, or a 30 Hz track would be thinned by its own jitter.
        self._next_status_s = max(self._next_status_s + self._period_s, now)
        return tracking_image_status(state, width, height, self._options)

    def _beat(self, camera: Identity | None, health: Health) -> None:
        if camera is not None:
            self.post(camera, camera_heartbeat(health))
            return
        for sender in self._senders:
            if sender.endpoint.scheme in _SPEAKS_FIRST:
                sender.post(Identity(1, ONBOARD_COMPUTER_COMPONENT), provisional_heartbeat())


def _health(state: TrackState) -> Health:
    """MAV_STATE of the heartbeat: without one of its cameras the tracker runs degraded."""
    if state.usable is not Usable.BOTH:
        return Health.CRITICAL
    return Health.ACTIVE if state.status in _FOLLOWING else Health.STANDBY
