"""What a user says about a camera: one table of the configuration file, checked when it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from edge_rgbt.errors import UsageError
from edge_rgbt.types import PixelFormat, TimeSource

_TIMES = ("start_timeout_ms", "stall_timeout_ms", "capture_offset_ms", "time_source", "time_uncertainty_ms")
_PROMISE = ("pixel_format", "width_px", "height_px", "rate_hz")
_FAULTS = ("clock_offset_ms", "capture_jitter_ms", "stamp_jitter_ms", "drop_rate", "freeze_every_s")
# kind -> keys that it must have, keys that it may have; `kind` and `name` go with every one
KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gstreamer": (("pipeline", *_PROMISE), (*_TIMES, "telemetry")),
    "v4l2": (("device", *_PROMISE), (*_TIMES, "telemetry")),
    "files": (("path",), ("timestamps", "rate_hz", "paced")),
    "simulator": ((), ("width_px", "height_px", "rate_hz", "seed", "preset", "seconds", "paced", *_FAULTS)),
}
_LIMITS: dict[str, tuple[float, float]] = {
    "width_px": (16, 8192),
    "height_px": (16, 8192),
    "rate_hz": (0.5, 1000),
    "start_timeout_ms": (100, 60_000),
    "stall_timeout_ms": (50, 60_000),
    "capture_offset_ms": (-1000, 1000),
    "time_uncertainty_ms": (0, 1000),
    "seconds": (1, 7200),
    "clock_offset_ms": (-10_000, 10_000),
    "capture_jitter_ms": (0, 100),
    "stamp_jitter_ms": (0, 100),
    "drop_rate": (0, 0.95),
    "freeze_every_s": (0, 3600),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "pixel_format": tuple(f.value for f in PixelFormat),
    "time_source": tuple(s.value for s in TimeSource if s is not TimeSource.RECORDED),
    "telemetry": ("lepton",),
    "preset": ("day", "dusk", "night", "rain", "crossover"),
}
# (telemetry, width, height of the picture) -> rows of telemetry below it
TELEMETRY_ROWS = {("lepton", 80, 60): 3, ("lepton", 160, 120): 2}
_PRESENT = {"pipeline", "device", "path"}
_NETWORK_MS = 100.0  # encoder, network and decoder take so long, or not
# The middle of an exposure lies within half a frame period of its start, and, with the time to read it out,
# within about one of its end.
_UNCERTAIN_PERIODS = {TimeSource.SENSOR: 0.5, TimeSource.DRIVER: 1.0}


@dataclass(frozen=True)
class CameraSettings:
    """One camera. None stands for "not given"; `KEYS` says which kind needs and takes what.

    kind: "gstreamer", "v4l2", "files" or "simulator". name: for messages.
    pipeline: GStreamer text that delivers video/x-raw; its appsink may be left out.
    device: such as "/dev/video0". path: a folder of pictures or a video file.
    pixel_format, width_px, height_px, rate_hz: what the camera promises to deliver; frames of another format
    or size are an error. For folders without a time file, rate_hz gives the times.
    start_timeout_ms: longest wait for the first frame after opening. stall_timeout_ms: longest wait for any
    other; longer than a shutter (FFC) holds the stream up.
    capture_offset_ms: added to every time; middle of the exposure minus the camera's own stamp.
    time_source: who takes the times, where the integrator knows better than the driver tells.
    time_uncertainty_ms: else half a frame period for sensor times, one for the driver's, 100 ms for arrival.
    telemetry: "lepton" if a Lepton's pictures end in rows of telemetry (footer), which say when its shutter
    is closed; height_px does not count them.
    timestamps: file of capture times; else `timestamps.txt` in the folder, if there is one.
    paced: play back at the recorded speed and on this computer's clock, else as fast as asked.
    seed, preset, seconds: the simulated flight. The rest are its camera's faults, see `TimingFaults`.
    """

    kind: str
    name: str = ""
    pipeline: str | None = None
    device: str | None = None
    path: str | None = None
    pixel_format: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    rate_hz: float | None = None
    start_timeout_ms: float | None = None
    stall_timeout_ms: float | None = None
    capture_offset_ms: float | None = None
    time_source: str | None = None
    time_uncertainty_ms: float | None = None
    telemetry: str | None = None
    timestamps: str | None = None
    paced: bool | None = None
    seed: int | None = None
    preset: str | None = None
    seconds: float | None = None
    clock_offset_ms: float | None = None
    capture_jitter_ms: float | None = None
    stamp_jitter_ms: float | None = None
    drop_rate: float | None = None
    freeze_every_s: float | None = None

    def __post_init__(self) -> None:
        if found := self.faults():
            raise UsageError("; ".join(found))

    def faults(self) -> list[str]:
        """What is wrong, one sentence for each key."""
        if self.kind not in KEYS:
            return [f"kind = {self.kind!r} is not known, expected one of {', '.join(KEYS)}"]
        required, optional = KEYS[self.kind]
        given = {f.name for f in fields(self) if getattr(self, f.name) is not None} - {"kind", "name"}
        found = [f"a {self.kind} camera needs the key {key}" for key in required if key not in given]
        found += [
            f"{key} means nothing to a {self.kind} camera"
            for key in sorted(given - set(required) - set(optional))
        ]
        found += [fault for key in sorted(given) if (fault := self._value_fault(key))]
        if not found and self.pixel_format == PixelFormat.NV12 and (self.width_px or 0) % 2:
            found.append(f"width_px = {self.width_px} is odd, which NV12 cannot be")
        if not found and self.pixel_format == PixelFormat.NV12 and (self.height_px or 0) % 2:
            found.append(f"height_px = {self.height_px} is odd, which NV12 cannot be")
        if not found and self.telemetry is not None:
            found += self._telemetry_faults()
        return found

    def _telemetry_faults(self) -> list[str]:
        size = (self.width_px, self.height_px)
        sizes = [(w, h) for telemetry, w, h in TELEMETRY_ROWS if telemetry == self.telemetry]
        if size not in sizes:
            known = " or ".join(f"{w}x{h}" for w, h in sizes)
            return [f"telemetry = {self.telemetry!r} goes with pictures of {known}, not {size[0]}x{size[1]}"]
        if self.pixel_format != PixelFormat.GRAY16:
            return [f"telemetry = {self.telemetry!r} needs pixel_format GRAY16, not {self.pixel_format}"]
        return []

    def _value_fault(self, key: str) -> str:
        value = getattr(self, key)
        if key in _LIMITS:
            low, high = _LIMITS[key]
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            whole = not key.endswith("_px") or isinstance(value, int)
            if not number or not whole or not low <= value <= high:
                kind = "a whole number" if key.endswith("_px") else "a number"
                return f"{key} = {value!r}, expected {kind} from {low:g} to {high:g}"
        elif key in _CHOICES and value not in _CHOICES[key]:
            return f"{key} = {value!r}, expected one of {', '.join(_CHOICES[key])}"
        elif key == "paced" and not isinstance(value, bool):
            return f"{key} = {value!r}, expected true or false"
        elif key == "seed" and (not isinstance(value, int) or value < 0):
            return f"{key} = {value!r}, expected a whole number from 0"
        elif key in _PRESENT and (not isinstance(value, str) or not value.strip()):
            return f"{key} = {value!r}, expected text"
        return ""

    @property
    def start_timeout_s(self) -> float:
        """2 s unless given: a camera that comes back while nobody answers is in use again soon after."""
        return (2000.0 if self.start_timeout_ms is None else self.start_timeout_ms) / 1e3

    @property
    def stall_timeout_s(self) -> float:
        """1 s unless given: thermal shutters may hold a stream up for nearly as long."""
        return (1000.0 if self.stall_timeout_ms is None else self.stall_timeout_ms) / 1e3

    @property
    def capture_offset_ns(self) -> int:
        return round((self.capture_offset_ms or 0.0) * 1e6)

    @property
    def promised(self) -> PixelFormat:
        """The promised pixel format of a live camera."""
        return PixelFormat(self.pixel_format)

    def uncertainty_ns(self, source: TimeSource) -> int:
        """How far a live camera's times of this source may be off."""
        if self.time_uncertainty_ms is not None:
            return round(self.time_uncertainty_ms * 1e6)
        if source not in _UNCERTAIN_PERIODS:
            return round(_NETWORK_MS * 1e6)
        return round(_UNCERTAIN_PERIODS[source] * 1e9 / (self.rate_hz or 30.0))
