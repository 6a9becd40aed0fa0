"""The configuration file of the service, validated whole: one line for every fault."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.engine import ENGINES
from edge_rgbt.errors import UsageError
from edge_rgbt.geolocation.settings import GeolocationSettings, MountSettings
from edge_rgbt.mavlink.autopilot.settings import SimulatedVehicleSettings
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.recording.settings import RecorderSettings
from edge_rgbt.rig import Rig
from edge_rgbt.settings import build_settings, read_toml
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import Level
from edge_rgbt.streaming.settings import StreamSettings, VideoSettings
from edge_rgbt.types import Box, Modality


@dataclass(frozen=True)
class Cameras:
    """The tables [cameras.rgb] and [cameras.tir]."""

    rgb: CameraSettings
    tir: CameraSettings

    def by_modality(self) -> dict[Modality, CameraSettings]:
        return {Modality.RGB: self.rgb, Modality.TIR: self.tir}

    @property
    def simulated(self) -> bool:
        """True if both look at the simulated flight, whose mount and target are known."""
        return self.rgb.kind == self.tir.kind == "simulator"


@dataclass(frozen=True)
class Pairing:
    """How frames of both cameras come together.

    calibration: file of `python -m calibration`; it holds registration, clock offset and tolerance.
    tolerance_ms, tir_offset_ms: for cameras without one, or in place of what it says. range_m: of the target,
    as far as known; picks the registration of a calibration that holds the mount.
    """

    calibration: Path | None = None
    tolerance_ms: float | None = None
    tir_offset_ms: float | None = None
    range_m: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance_ms is not None and not 0 < self.tolerance_ms <= 1000:
            raise ValueError(f"tolerance_ms is {self.tolerance_ms:g}, expected more than 0 up to 1000")
        if self.tir_offset_ms is not None and abs(self.tir_offset_ms) > 60_000:
            raise ValueError(f"tir_offset_ms is {self.tir_offset_ms:g}, expected 60000 at most")
        if self.range_m is not None and not self.range_m > 0:
            raise ValueError(f"range_m is {self.range_m:g}, expected more than 0")


@dataclass(frozen=True)
class Tracking:
    """bundle: folder or .rgbt file, the shipped one if left out. threads: of the engine."""

    bundle: Path | None = None
    engine: str = "onnx"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine is '{self.engine}', expected {' or '.join(ENGINES)}")
        if self.threads is not None and not 1 <= self.threads <= 64:
            raise ValueError(f"threads is {self.threads}, expected 1 to 64")


@dataclass(frozen=True)
class Target:
    """Where tracking starts: box_px (x, y, w, h in RGB pixels) in the first usable pair.

    simulated: on the simulator's own target, as soon as it is in view.
    """

    box_px: tuple[float, float, float, float] | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        self.box()
        if self.simulated and self.box_px is not None:
            raise ValueError("box_px and simulated are two ways to say it; give one")

    def box(self) -> Box | None:
        return None if self.box_px is None else Box(*self.box_px)


@dataclass(frozen=True)
class Simulator:
    """vehicle: a simulated multicopter and its autopilot carry the simulator's cameras; left out, a drone
    without MAVLink that follows the target by itself."""

    vehicle: SimulatedVehicleSettings | None = None


@dataclass(frozen=True)
class Recording(RecorderSettings):
    """folder: where flights are recorded; left out, nothing is."""

    folder: Path | None = None


@dataclass(frozen=True)
class Limits:
    """When an alarm is raised.

    frame_age_p99_ms: from capture to the track that was sent. hot_c: for sensors without a limit.
    """

    frame_age_p99_ms: float = 100.0
    camera_silent_ms: float = 1000.0
    hot_c: float = 90.0
    disk_free_mb: float = 500.0

    def __post_init__(self) -> None:
        for name in ("frame_age_p99_ms", "camera_silent_ms", "hot_c"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name):g}, expected more than 0")


@dataclass(frozen=True)
class ServiceSettings:
    """One aircraft. mavlink left out: the default endpoint. stream: left out, no video goes to the ground.

    geolocation: left out, targets have no position; mount says how the camera sits on the vehicle. control:
    left out, nothing is ever steered.
    """

    cameras: Cameras
    pairing: Pairing = field(default_factory=Pairing)
    tracking: Tracking = field(default_factory=Tracking)
    target: Target = field(default_factory=Target)
    mavlink: MavlinkSettings = field(default_factory=MavlinkSettings)
    stream: tuple[StreamSettings, ...] = ()
    video: VideoSettings = field(default_factory=VideoSettings)
    geolocation: GeolocationSettings | None = None
    mount: MountSettings = field(default_factory=MountSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    simulator: Simulator = field(default_factory=Simulator)
    recording: Recording = field(default_factory=Recording)
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.target.simulated and not self.cameras.simulated:
            raise ValueError("target.simulated needs simulator cameras; give target.box_px")
        if self.simulator.vehicle is not None and not self.cameras.simulated:
            raise ValueError("simulator.vehicle carries simulator cameras; these cameras are of another kind")
        if self.control.most is not Level.OFF and self.geolocation is None:
            raise ValueError(
                f"control.level is '{self.control.level}', which needs the table [geolocation] (its lens)"
            )
        if self.control.most is not Level.OFF and not self.mavlink.companion:
            raise ValueError(f"control.level is '{self.control.level}', which needs mavlink.companion = true")
        box, rgb = self.target.box(), self.cameras.rgb
        promised = None if rgb.width_px is None or rgb.height_px is None else (rgb.width_px, rgb.height_px)
        if box is not None and promised is not None and not box.touches(*promised):
            raise ValueError(
                f"target.box_px {box.as_tuple()} lies outside the RGB picture of {promised[0]}x{promised[1]}"
            )


@dataclass(frozen=True)
class ServicePlan:
    """The settings, the calibration that they name, and both texts for the record.

    base: the configuration's folder, where relative paths start.
    """

    settings: ServiceSettings
    base: Path
    rig: Rig | None
    text: str
    calibration_text: str

    @property
    def bundle(self) -> Path | None:
        """Where the bundle lies; None for the shipped one."""
        return self._placed(self.settings.tracking.bundle)

    @property
    def record_folder(self) -> Path | None:
        return self._placed(self.settings.recording.folder)

    def _placed(self, path: Path | None) -> Path | None:
        return None if path is None else self.base / path


def read_plan(path: Path) -> ServicePlan:
    """Reads the configuration and its calibration; relative paths start at the configuration's folder.

    Touches no device. Raises SettingsError or UsageError with one line per fault.
    """
    values = read_toml(path, "give the configuration of the service, such as deploy/config/simulator.toml")
    settings = _placed_cameras(build_settings(ServiceSettings, values, str(path)), path.parent)
    rig, calibration_text = None, ""
    if settings.pairing.calibration is not None:
        calibration = path.parent / settings.pairing.calibration
        rig, calibration_text = Rig.read(calibration), calibration.read_text(encoding="utf-8")
        _require_same_pictures(settings, rig, path)
    return ServicePlan(settings, path.parent, rig, path.read_text(encoding="utf-8"), calibration_text)


def _placed_cameras(settings: ServiceSettings, base: Path) -> ServiceSettings:
    """With the recordings that cameras play given as whole paths."""

    def placed(camera: CameraSettings) -> CameraSettings:
        given = {name: getattr(camera, name) for name in ("path", "timestamps")}
        return dataclasses.replace(camera, **{name: str(base / text) for name, text in given.items() if text})

    cameras = Cameras(placed(settings.cameras.rgb), placed(settings.cameras.tir))
    return dataclasses.replace(settings, cameras=cameras)


def _require_same_pictures(settings: ServiceSettings, rig: Rig, path: Path) -> None:
    """Asks the calibration for the sizes that the cameras promise, where they do."""
    sizes = []
    for camera in (settings.cameras.rgb, settings.cameras.tir):
        if camera.width_px is None or camera.height_px is None:
            return
        sizes.append((camera.width_px, camera.height_px))
    try:
        rig.for_sizes(*sizes)
    except UsageError as error:
        raise UsageError(f"{path}: pairing.calibration: {error}") from None
