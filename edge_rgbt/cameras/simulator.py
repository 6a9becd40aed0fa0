"""A camera of the simulated flight, live: frames come when they are taken, on this computer's clock."""

from __future__ import annotations

import dataclasses
import time

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.flight_process import FlightProcess, OpenCamera, ReadFrame
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.synthetic import TimingFaults
from edge_rgbt.errors import CameraError
from edge_rgbt.types import Frame, Modality

_RATE_HZ = 30.0


def make(settings: CameraSettings, modality: Modality, playback: Playback) -> Camera:
    """The kind's entry in `kinds.KINDS`."""
    return SimulatorCamera(settings, modality, playback)


class SimulatorCamera(Camera):
    """One camera of the flight that `playback` holds. `open` builds the world the first time, in seconds.

    Paced (the default), it is a live camera: opened again, the flight has gone on meanwhile, and frames that
    could not be rendered in time are left out. Else every frame comes, when asked, on the flight's clock.
    """

    def __init__(self, settings: CameraSettings, modality: Modality, playback: Playback) -> None:
        self.modality = modality
        self.name = settings.name or f"simulator-{modality.value}"
        self._settings = settings
        self._playback = playback
        self._paced = settings.paced is not False
        self._flight: FlightProcess | None = None

    def open(self) -> None:
        s = self._settings
        faults = TimingFaults(
            clock_offset_ns=_ns(s.clock_offset_ms),
            capture_jitter_ns=_ns(s.capture_jitter_ms),
            stamp_jitter_ns=_ns(s.stamp_jitter_ms),
            drop_rate=s.drop_rate or 0.0,
            freeze_every_s=s.freeze_every_s or 0.0,
        )
        flight = self._playback.flight
        flight.ask(OpenCamera(self.modality, s.rate_hz or _RATE_HZ, faults))
        self._flight = flight
        self._playback.info = flight.info

    def read(self) -> Frame | None:
        """The next frame; None once the flight or this camera has ended."""
        if self._flight is None:
            return None
        try:
            found = self._flight.ask(ReadFrame(self.modality, live=self._paced))
        except CameraError:
            if self._playback.closed:
                return None
            raise
        if found is None:
            return None
        frame = found.frame
        if found.truth is not None:
            self._playback.note_truth(frame.sequence, found.truth)
        if not self._paced:
            return frame
        # Rendered ahead, so that it is there at the moment at which it is taken.
        began_ns = self._flight.info.began_ns
        wait_ns = found.capture_ns + began_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        return dataclasses.replace(frame, timestamp_ns=frame.timestamp_ns + began_ns, source=self.name)

    def close(self) -> None:
        self._flight = None


def _ns(milliseconds: float | None) -> int:
    return round((milliseconds or 0.0) * 1e6)
