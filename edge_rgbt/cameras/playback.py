"""What the recorded or simulated cameras of one service share: the start of playing, the simulated world."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import CameraError, UsageError
from edge_rgbt.types import Modality

if TYPE_CHECKING:
    from edge_rgbt.cameras.flight_process import (
        FlightInfo,
        FlightOrder,
        FlightProcess,
        MakePoses,
        TargetTruth,
    )

_FARTHEST_NS = 60_000_000_000
_SIZE = (640, 512)
_SECONDS = 60.0
_TRUTHS = 64  # frames wait in queues for less than a second


class Playback:
    """Created once by the service, with the settings of all its cameras; cameras of any thread ask it."""

    def __init__(self, cameras: Mapping[Modality, CameraSettings], vehicle: MakePoses | None = None) -> None:
        """vehicle: steers the simulated flight (`flight_process`); else its drone follows the target."""
        self._cameras = dict(cameras)
        self._vehicle = vehicle
        self._lock = threading.Lock()
        self._offset_ns: int | None = None
        self._flight: FlightProcess | None = None
        self._truths: dict[int, TargetTruth] = {}
        self.info: FlightInfo | None = None  # of the simulated flight, once one of its cameras is open
        self.closed = False

    def offset_ns(self, first_ns: int, name: str) -> int:
        """Monotonic time minus recorded time. The first camera to ask starts the playing.

        Raises CameraError if a recording lies far from the one that plays already.
        """
        with self._lock:
            now_ns = time.monotonic_ns()
            if self._offset_ns is None:
                self._offset_ns = now_ns - first_ns
            wait_ns = first_ns + self._offset_ns - now_ns
            if wait_ns > _FARTHEST_NS:
                raise CameraError(
                    f"{name}: its first picture was taken {wait_ns / 1e9:.0f} s after the other camera's; "
                    "recordings that play together need times of one clock"
                )
            return self._offset_ns

    @property
    def flight(self) -> FlightProcess:
        """The flight that the simulator cameras see, in a process that is started when first asked for.

        One that has died is started again, with a new flight. Raises UsageError if the cameras' settings are
        of different flights, CameraError after `close`.
        """
        from edge_rgbt.cameras.flight_process import FlightProcess

        with self._lock:
            if self.closed:
                raise CameraError("the simulated flight is over")
            if self._flight is None or not self._flight.alive:
                self._flight = FlightProcess(self._order())
            return self._flight

    def note_truth(self, sequence: int, truth: TargetTruth) -> None:
        """Keeps what is true of a simulated RGB frame for a while."""
        self._truths[sequence] = truth
        while len(self._truths) > _TRUTHS:
            self._truths.pop(next(iter(self._truths)))

    def truth(self, sequence: int) -> TargetTruth | None:
        """What is true of the simulated RGB frame of this number; None if it is long gone."""
        return self._truths.get(sequence)

    def close(self) -> None:
        """Ends the simulated flight; its cameras give nothing more. From any thread."""
        with self._lock:
            self.closed = True
            flight, self._flight = self._flight, None
        if flight is not None:
            flight.close()

    def _order(self) -> FlightOrder:
        from edge_rgbt.cameras.flight_process import FlightOrder

        simulated = {m: s for m, s in self._cameras.items() if s.kind == "simulator"}
        flights = {(s.seed or 0, s.preset, s.seconds or _SECONDS) for s in simulated.values()}
        if len(flights) != 1:
            raise UsageError(
                "simulator cameras: seed, preset and seconds differ; both cameras must see the same flight"
            )
        seed, preset, seconds = flights.pop()
        sizes = {m: (s.width_px or _SIZE[0], s.height_px or _SIZE[1]) for m, s in simulated.items()}
        rgb, tir = sizes.get(Modality.RGB, _SIZE), sizes.get(Modality.TIR, _SIZE)
        return FlightOrder(seed, preset, seconds, rgb, tir, vehicle=self._vehicle)
