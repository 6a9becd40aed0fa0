"""Heartbeats, and the thread that sends them whatever else blocks (R-HB-1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Speaker
from edge_rgbt.mavlink.messages import Health

PERIOD_NS = 1_000_000_000
_VERSION = 3
_TYPES = {
    Speaker.CAMERA: dialect.MAV_TYPE_CAMERA,
    Speaker.COMPANION: dialect.MAV_TYPE_ONBOARD_CONTROLLER,
}


def heartbeat(speaker: Speaker, health: Health) -> Any:
    """HEARTBEAT of the camera or the companion, which are no autopilots and have no mode. Never of type 6:
    an autopilot would take us for its ground station (R-ID-3)."""
    return dialect.MAVLink_heartbeat_message(
        _TYPES[speaker], dialect.MAV_AUTOPILOT_INVALID, 0, 0, health.value, _VERSION
    )


class Metronome:
    """Calls `beat` once a second from its own thread, at even times even if a call was late."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mavlink-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        next_ns = time.monotonic_ns()
        while True:
            self._beat()
            next_ns = max(next_ns + PERIOD_NS, time.monotonic_ns())
            if self._stop.wait((next_ns - time.monotonic_ns()) * 1e-9):
                return
