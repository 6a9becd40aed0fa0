"""The data that crosses every seam: frames, pairs, boxes, tracks. Checked when made, never changed later."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np


class Modality(str, Enum):
    """Which camera a frame comes from."""

    RGB = "rgb"
    TIR = "tir"


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned box, xywh in pixels of the RGB frame (top-left origin); w and h are greater than 0."""

    x: float
    y: float
    w: float
    h: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x, self.y, self.w, self.h))):
            raise ValueError(f"box {self.as_tuple()} holds a number that is not finite")
        if self.w <= 0 or self.h <= 0:
            raise ValueError(f"box {self.as_tuple()} has no area; width and height must be greater than 0")

    @property
    def cx(self) -> float:
        return self.x + self.w / 2

    @property
    def cy(self) -> float:
        return self.y + self.h / 2

    def as_tuple(self) -> tuple[float, float, float, float]:
        return (self.x, self.y, self.w, self.h)

    def touches(self, width: int, height: int) -> bool:
        """True if part of the box lies inside an image of this size."""
        return self.x < width and self.y < height and self.x + self.w > 0 and self.y + self.h > 0


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera.

    image: RGB `[H, W, 3]` uint8 in RGB order; thermal `[H, W]` uint8 or uint16 (raw counts).
    timestamp_ns: monotonic time of capture (middle of the exposure), on the clock named by the source.
    sequence: the camera's own frame counter; a gap means dropped frames.
    """

    image: np.ndarray
    modality: Modality
    timestamp_ns: int
    sequence: int
    source: str = ""

    def __post_init__(self) -> None:
        shape, dtype = self.image.shape, self.image.dtype
        if self.modality is Modality.RGB:
            good = len(shape) == 3 and shape[2] == 3 and dtype == np.uint8
            wanted = "[H, W, 3] uint8"
        else:
            good = len(shape) == 2 and dtype in (np.uint8, np.uint16)
            wanted = "[H, W] uint8 or uint16"
        if not good or min(shape[:2]) < 1:
            name = self.source or "frame"
            raise ValueError(
                f"{name}: {self.modality.value} image is {list(shape)} {dtype}, expected {wanted}"
            )

    @property
    def width(self) -> int:
        return self.image.shape[1]

    @property
    def height(self) -> int:
        return self.image.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """An RGB and a thermal frame of (nearly) the same moment, both stamped on the RGB camera's clock.

    What sync hands out is raw; after registration the thermal image is uint8 in the RGB frame's geometry,
    which is what the tracker takes (`aligned` is True).
    """

    rgb: Frame
    tir: Frame
    aligned: bool = False

    def __post_init__(self) -> None:
        if self.rgb.modality is not Modality.RGB or self.tir.modality is not Modality.TIR:
            raise ValueError(
                f"a pair is (rgb, tir), got ({self.rgb.modality.value}, {self.tir.modality.value})"
            )
        if self.aligned and (
            self.tir.image.shape != self.rgb.image.shape[:2] or self.tir.image.dtype != np.uint8
        ):
            raise ValueError(
                f"aligned thermal image is {list(self.tir.image.shape)} {self.tir.image.dtype}, "
                f"expected {list(self.rgb.image.shape[:2])} uint8 as the RGB image {self.rgb.source}"
            )

    @property
    def timestamp_ns(self) -> int:
        return self.rgb.timestamp_ns

    @property
    def skew_ns(self) -> int:
        """Thermal minus RGB capture time."""
        return self.tir.timestamp_ns - self.rgb.timestamp_ns


class TrackStatus(str, Enum):
    """What the tracker says about its own box."""

    IDLE = "idle"
    TRACKING = "tracking"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class StageTiming:
    """How long one stage of the loop took for one pair."""

    stage: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class TrackState:
    """The tracker's answer for one pair.

    score: peak of the network's score map before the window, 0..1 (1.0 for the given first box).
    timestamp_ns, skew_ns: from the pair that was used. timings: every stage from decoded pair to this state.
    """

    box: Box
    score: float
    status: TrackStatus
    timestamp_ns: int
    skew_ns: int = 0
    timings: tuple[StageTiming, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score {self.score} is outside 0..1")

    @property
    def total_ms(self) -> float:
        return sum(t.duration_ns for t in self.timings) / 1e6
