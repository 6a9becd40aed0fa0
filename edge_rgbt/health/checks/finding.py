"""What a check is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge_rgbt.cameras.base import Camera
from edge_rgbt.health.tree import FileTree
from edge_rgbt.rig import Rig
from edge_rgbt.sync import PairSynchroniser
from edge_rgbt.types import Modality


class Verdict(str, Enum):
    """GOOD: as it should be. NOTE: not checked, or worth knowing. WRONG: would fail or fly badly."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. advice: what to do, empty if nothing."""

    subject: str
    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class CameraToCheck:
    """make: gives the camera, not yet open. rate_hz: what the configuration promises, None if nothing.

    modality: None where it does not matter whose camera it is.
    """

    name: str
    make: Callable[[], Camera]
    rate_hz: float | None = None
    modality: Modality | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """What to examine: parts of a configuration in plain values, and the machine.

    configured: a configuration was given, so that what it does not name is not missing.
    pipelines: its GStreamer pipelines. record_folder: None without recording. root: "/" or a tree of a test.
    pairing: makes what pairs the cameras' frames; rig: their calibration; needs_calibration: without one, the
    views of these cameras are not known to be equal. heartbeat_s, camera_s: how long to wait for a vehicle
    and for a camera's frames.
    """

    configured: bool = False
    bundle: Path | None = None
    engine: str = "onnx"
    threads: int | None = None
    cameras: tuple[CameraToCheck, ...] = ()
    pipelines: tuple[str, ...] = ()
    mavlink_urls: tuple[str, ...] = ()
    record_folder: Path | None = None
    disk_free_mb: float = 500.0
    root: Path = Path("/")
    heartbeat_s: float = 3.0
    camera_s: float = 5.0
    pairing: Callable[[], PairSynchroniser] | None = None
    rig: Rig | None = None
    needs_calibration: bool = False

    @property
    def tree(self) -> FileTree:
        return FileTree(self.root)

    @property
    def uses_argus(self) -> bool:
        """True if a pipeline takes the CSI camera through NVIDIA's daemon."""
        return any("nvarguscamerasrc" in pipeline for pipeline in self.pipelines)


def good(subject: str, found: str) -> Finding:
    return Finding(subject, Verdict.GOOD, found)


def note(subject: str, found: str, advice: str = "") -> Finding:
    return Finding(subject, Verdict.NOTE, found, advice)


def wrong(subject: str, found: str, advice: str = "") -> Finding:
    return Finding(subject, Verdict.WRONG, found, advice)
