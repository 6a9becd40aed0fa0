"""The data that crosses every seam: frames, pairs, boxes, tracks. Checked when made, never changed later."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

# Sequence number of the blank that stands for a camera which has given no picture yet.
ABSENT = -1


class Modality(str, Enum):
    """Which camera a frame comes from."""

    RGB = "rgb"
    TIR = "tir"


class PixelFormat(str, Enum):
    """How a frame's array is laid out; `[H, W]` is the picture's size.

    RGB, BGR: `[H, W, 3]` uint8. GRAY8: `[H, W]` uint8. GRAY16: `[H, W]` uint16, raw counts.
    NV12: `[H * 3 / 2, W]` uint8, brightness over interleaved colour of half the size (video levels 16..235).
    YUYV: `[H, W, 2]` uint8, brightness and alternating colour.
    """

    RGB = "RGB"
    BGR = "BGR"
    NV12 = "NV12"
    YUYV = "YUYV"
    GRAY8 = "GRAY8"
    GRAY16 = "GRAY16"


class TimeSource(str, Enum):
    """Who took a frame's time.

    SENSOR: the camera itself, at exposure. DRIVER: the kernel or the capture element, when data came in.
    ARRIVAL: this computer, after transport and decoding. RECORDED: read from a file or counted from a rate.
    """

    SENSOR = "sensor"
    DRIVER = "driver"
    ARRIVAL = "arrival"
    RECORDED = "recorded"


class PictureFault(str, Enum):
    """Why a picture shows nothing that can be tracked.

    FROZEN: it repeats an older one, or the camera says that it is held. BLACK: dark all over, or of one grey.
    TORN: two parts of different moments. NOISE: no structure at all.
    """

    FROZEN = "frozen"
    BLACK = "black"
    SATURATED = "saturated"
    TORN = "torn"
    NOISE = "noise"


class Usable(str, Enum):
    """Which of a pair's two pictures may be believed."""

    BOTH = "both"
    RGB = "rgb"
    TIR = "tir"
    NONE = "none"

    @classmethod
    def of(cls, rgb: bool, tir: bool) -> Usable:
        if rgb and tir:
            return cls.BOTH
        return cls.RGB if rgb else cls.TIR if tir else cls.NONE

    def has(self, modality: Modality) -> bool:
        return self is Usable.BOTH or self.value == modality.value


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
    """One picture of one camera, as it delivers it; `edge_rgbt.pixels` brings it to the tracker's format.

    image: laid out as pixel_format says; without one, RGB for colour, GRAY8 or GRAY16 for thermal is meant.
    timestamp_ns: monotonic time of capture (middle of the exposure), on the clock named by the source.
    sequence: the camera's own frame counter; a gap means dropped frames.
    time_uncertainty_ns: how far timestamp_ns may lie from the middle of the exposure; 0 for exact times.
    held: the camera itself says that the picture is not live (`cameras.telemetry`: its shutter is closed).
    """

    image: np.ndarray
    modality: Modality
    timestamp_ns: int
    sequence: int
    source: str = ""
    pixel_format: PixelFormat = field(default=None)  # type: ignore  # where not given, the array tells it
    time_source: TimeSource = TimeSource.RECORDED
    time_uncertainty_ns: int = 0
    held: bool = False

    def __post_init__(self) -> None:
        if self.pixel_format is None:
            object.__setattr__(self, "pixel_format", _usual_format(self.modality, self.image))
        name = self.source or "frame"
        formats = _FORMATS[self.modality]
        if self.pixel_format not in formats:
            raise ValueError(
                f"{name}: a {self.modality.value} image cannot be {self.pixel_format.value}, "
                f"expected one of {', '.join(f.value for f in formats)}"
            )
        layout, shape, dtype = _LAYOUTS[self.pixel_format], self.image.shape, self.image.dtype
        if dtype != layout.dtype or not layout.fits(shape):
            raise ValueError(
                f"{name}: {self.modality.value} image is {list(shape)} {dtype}, expected {layout.text}"
            )
        if self.time_uncertainty_ns < 0:
            raise ValueError(f"time uncertainty is {self.time_uncertainty_ns} ns, expected 0 or more")

    @property
    def width(self) -> int:
        return self.image.shape[1]

    @property
    def height(self) -> int:
        rows = self.image.shape[0]
        return rows * 2 // 3 if self.pixel_format is PixelFormat.NV12 else rows


@dataclass(frozen=True, slots=True)
class _Layout:
    """What an array of a pixel format must look like."""

    dtype: type
    channels: tuple[int, ...]
    text: str
    halved_colour: bool = False

    def fits(self, shape: tuple[int, ...]) -> bool:
        """True if an array of this shape can be a picture."""
        if len(shape) < 2 or min(shape[:2]) < 1 or shape[2:] != self.channels:
            return False
        return not self.halved_colour or (shape[0] % 3 == 0 and shape[1] % 2 == 0)


_LAYOUTS = {
    PixelFormat.RGB: _Layout(np.uint8, (3,), "[H, W, 3] uint8"),
    PixelFormat.BGR: _Layout(np.uint8, (3,), "[H, W, 3] uint8"),
    PixelFormat.NV12: _Layout(np.uint8, (), "[H * 3 / 2, W] uint8, H and W even", halved_colour=True),
    PixelFormat.YUYV: _Layout(np.uint8, (2,), "[H, W, 2] uint8"),
    PixelFormat.GRAY8: _Layout(np.uint8, (), "[H, W] uint8"),
    PixelFormat.GRAY16: _Layout(np.uint16, (), "[H, W] uint16"),
}
_FORMATS = {
    Modality.RGB: tuple(f for f in PixelFormat if f is not PixelFormat.GRAY16),
    Modality.TIR: tuple(PixelFormat),  # thermal payloads with a video link deliver coloured pictures
}


def _usual_format(modality: Modality, image: np.ndarray) -> PixelFormat:
    """What an array without a stated format is: as the simulator and picture files deliver it."""
    if modality is Modality.RGB:
        return PixelFormat.RGB
    return PixelFormat.GRAY16 if image.dtype == np.uint16 else PixelFormat.GRAY8


class ValidRegion:
    """Where in the RGB picture the thermal camera sees.

    mask: bool `[H, W]` of the RGB picture's size, True where every thermal value is measured.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        self.mask.setflags(write=False)
        sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)
        np.cumsum(np.cumsum(mask, 0, dtype=np.int32), 1, out=sums[1:, 1:])
        self._sums = sums  # [H + 1, W + 1]: seen pixels above and left of a corner

    @property
    def everywhere(self) -> bool:
        """True if the thermal camera sees all of the RGB picture."""
        return int(self._sums[-1, -1]) == self.mask.size

    def share(self, x1: float, y1: float, x2: float, y2: float) -> float:
        """Share of this rectangle that the thermal camera sees, 0..1; what lies beside the picture counts as
        unseen. Four look-ups, whatever the size.
        """
        height, width = self.mask.shape
        area = (x2 - x1) * (y2 - y1)
        if x2 <= x1 or y2 <= y1:
            return 0.0
        left, right = (min(max(round(x), 0), width) for x in (x1, x2))
        top, bottom = (min(max(round(y), 0), height) for y in (y1, y2))
        sums = self._sums
        seen = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return min(1.0, float(seen) / area)


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """An RGB and a thermal frame of (nearly) the same moment, both stamped on the RGB camera's clock.

    What sync hands out is raw; after registration the thermal image is uint8 in the RGB frame's geometry,
    which is what the tracker takes (`aligned` is True). Before that, both go through
    `edge_rgbt.pixels.for_tracker`.

    usable: which picture may be believed. The other one is then the last good picture of its camera, as old
    as its time says, or a blank (sequence ABSENT) if that camera has given none yet.
    paced_by: whose frame is new; its capture time is the pair's. handed_ns: when the pair was handed out, on
    the same clock; None if nobody knows. tir_region: where an aligned thermal picture sees; None: everywhere.
    """

    rgb: Frame
    tir: Frame
    aligned: bool = False
    usable: Usable = Usable.BOTH
    paced_by: Modality = Modality.RGB
    handed_ns: int | None = None
    tir_region: ValidRegion | None = None

    def __post_init__(self) -> None:
        if self.rgb.modality is not Modality.RGB or self.tir.modality is not Modality.TIR:
            raise ValueError(
                f"a pair is (rgb, tir), got ({self.rgb.modality.value}, {self.tir.modality.value})"
            )
        if self.aligned and self.rgb.pixel_format is not PixelFormat.RGB:
            raise ValueError(
                f"aligned RGB image of {self.rgb.source} is {self.rgb.pixel_format.value}, expected RGB; "
                "edge_rgbt.pixels.for_tracker converts it"
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
        return self.frame(self.paced_by).timestamp_ns

    @property
    def skew_ns(self) -> int:
        """Thermal minus RGB capture time; 0 where one of the cameras has given no picture at all."""
        if ABSENT in (self.rgb.sequence, self.tir.sequence):
            return 0
        return self.tir.timestamp_ns - self.rgb.timestamp_ns

    def frame(self, modality: Modality) -> Frame:
        return self.rgb if modality is Modality.RGB else self.tir

    def age_ns(self, modality: Modality) -> int | None:
        """How old this camera's frame was at hand-over; None if it has none, or nobody knows."""
        frame = self.frame(modality)
        if self.handed_ns is None or frame.sequence == ABSENT:
            return None
        return self.handed_ns - frame.timestamp_ns


class TrackStatus(str, Enum):
    """What the tracker says about its own box.

    TRACKING: it is more likely right than wrong. UNCERTAIN: it was a moment ago, and nothing confirms it now;
    never for long. LOST: nobody should act on it; it stays where the target was last trusted to be, and
    the target is searched for.
    """

    IDLE = "idle"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class StageTiming:
    """How long one stage of the loop took for one pair."""

    stage: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class TrackState:
    """The tracker's answer for one pair.

    box: where the target is; when LOST, where it was last trusted to be.
    score: peak of the network's score map before the window, 0..1 (1.0 for the given first box).
    timestamp_ns, skew_ns: from the pair that was used. timings: every stage from decoded pair to this state.
    confidence: how often such a box is right (overlap above one half), 0..1, on flights that the calibration
    has not seen; 0 when LOST, where nothing is claimed.
    usable: the cameras that the tracker could see with in this pair.
    unconfirmed_ns: time since a pair confirmed the box; 0 when this one did.
    """

    box: Box
    score: float
    status: TrackStatus
    timestamp_ns: int
    skew_ns: int = 0
    timings: tuple[StageTiming, ...] = field(default=())
    confidence: float = 0.0
    usable: Usable = Usable.BOTH
    unconfirmed_ns: int = 0

    def __post_init__(self) -> None:
        for name in ("score", "confidence"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)} is outside 0..1")

    @property
    def total_ms(self) -> float:
        return sum(t.duration_ns for t in self.timings) / 1e6


@dataclass(frozen=True, slots=True)
class TargetPosition:
    """Where on earth the target was at a moment; a solution that fails a gate does not become one.

    timestamp_ns: capture time of the picture. latitude_deg, longitude_deg: WGS84. altitude_m: above mean sea
    level. horizontal_m, vertical_m: one sigma. covariance_ne_m2: of north and east: (nn, ne, ee).
    range_m: from the camera. velocity_ned_mps: None until the motion filter has settled; speed_sigma_mps and
    course_rad (from north) with it. confirmed: by this picture; False while the track coasts.
    """

    track_id: int
    timestamp_ns: int
    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    horizontal_m: float
    vertical_m: float
    covariance_ne_m2: tuple[float, float, float]
    range_m: float
    velocity_ned_mps: tuple[float, float, float] | None = None
    speed_sigma_mps: float | None = None
    course_rad: float | None = None
    confirmed: bool = True
