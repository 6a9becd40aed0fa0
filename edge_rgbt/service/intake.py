"""What is asked of every frame before pairing: its shape, whether its time can be, what it shows."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.picture_faults import PictureWatch
from edge_rgbt.service.inbox import Arrival
from edge_rgbt.sync import CameraClock
from edge_rgbt.types import Frame, Modality, PictureFault

LOG = logging.getLogger(__name__)
_TELL_EVERY_NS = 1_000_000_000


class Judged(NamedTuple):
    """A frame that may be paired, and what is wrong with its picture."""

    frame: Frame
    fault: PictureFault | None


class _Shape(NamedTuple):
    width: int
    height: int
    pixel_format: str

    @classmethod
    def of(cls, frame: Frame) -> _Shape:
        return cls(frame.width, frame.height, frame.pixel_format.value)

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format}"


class Intake:
    """One camera's frames, in the frame loop's thread.

    offset_ns: brings the camera's times to this computer's clock. A recording that is not played back at its
    own speed has no such clock, and its times are taken as they are.
    """

    def __init__(self, modality: Modality, camera: CameraSettings, offset_ns: int = 0) -> None:
        self._name = camera.name or f"{modality.value} camera"
        self._clock = None if camera.paced is False else CameraClock(self._name, offset_ns)
        self._watch = PictureWatch(modality)
        self._shape: _Shape | None = None  # of the first frame
        self._misshapen = 0
        self._told_ns = 0

    @property
    def counters(self) -> dict[str, int]:
        """misshapen: frames of another size or format than the first. untimely: frames whose time cannot be.
        clock_jumps: how often the clock was found to have been set. The rest: pictures with that fault."""
        clock = self._clock
        found = {"misshapen": self._misshapen, "untimely": 0, "clock_jumps": 0}
        if clock is not None:
            found |= {"untimely": clock.refused, "clock_jumps": clock.jumps}
        return found | {fault.value: count for fault, count in self._watch.counts.items()}

    @property
    def refused(self) -> int:
        """Frames that never reached the pairing."""
        return self._misshapen + (0 if self._clock is None else self._clock.refused)

    def take(self, arrival: Arrival) -> Judged | None:
        """The frame with its right time, and its fault; None for a frame that nothing can be done with."""
        frame = arrival.frame
        if not self._in_shape(frame):
            self._misshapen += 1
            return None
        if self._clock is not None:
            checked = self._clock.check(frame, arrival.arrived_ns)
            if checked is None:
                return None
            frame = checked
        return Judged(frame, self._watch.judge(frame))

    def _in_shape(self, frame: Frame) -> bool:
        found = _Shape.of(frame)
        if self._shape is None:
            self._shape = found
        if found == self._shape:
            return True
        now_ns = time.monotonic_ns()
        if now_ns - self._told_ns >= _TELL_EVERY_NS:
            LOG.error(
                "%s: delivers %s after %s; such frames are left out, restart the service to fly with them",
                self._name, found, self._shape,
            )  # fmt: skip
            self._told_ns = now_ns
        return False
