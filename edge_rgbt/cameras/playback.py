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
    from edge_rgbt.sim import Scenario

_FARTHEST_NS = 60_000_000_000
_SIZE = (640, 512)
_SECONDS = 60.0


class Playback:
    """Created once by the service, with the settings of all its cameras; cameras of any thread ask it."""

    def __init__(self, cameras: Mapping[Modality, CameraSettings]) -> None:
        self._cameras = dict(cameras)
        self._lock = threading.Lock()
        self._offset_ns: int | None = None
        self._scenario: Scenario | None = None
        self.rendering = threading.Lock()  # one camera at a time looks at the simulated world

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
    def scenario(self) -> Scenario:
        """The flight that the simulator cameras see; built, which takes seconds, when first asked for.

        Raises UsageError if the cameras' settings are of different flights.
        """
        with self._lock:
            if self._scenario is None:
                self._scenario = self._take_off()
            return self._scenario

    def _take_off(self) -> Scenario:
        from edge_rgbt.sim import make_scenario

        simulated = {m: s for m, s in self._cameras.items() if s.kind == "simulator"}
        flights = {(s.seed or 0, s.preset, s.seconds or _SECONDS) for s in simulated.values()}
        if len(flights) != 1:
            raise UsageError(
                "simulator cameras: seed, preset and seconds differ; both cameras must see the same flight"
            )
        seed, preset, seconds = flights.pop()
        sizes = {m: (s.width_px or _SIZE[0], s.height_px or _SIZE[1]) for m, s in simulated.items()}
        return make_scenario(
            seed,
            preset,
            seconds,
            rgb_size=sizes.get(Modality.RGB, _SIZE),
            tir_size=sizes.get(Modality.TIR, _SIZE),
        )
