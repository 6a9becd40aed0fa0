"""From the settings of a service to what the checks want to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.health.checks.finding import CameraToCheck, Site
from edge_rgbt.rig import Rig
from edge_rgbt.sync import PairSynchroniser
from edge_rgbt.types import Modality

_PATIENCE_S = 5.0
_REAL = ("gstreamer", "v4l2")
_BUILDING_A_WORLD_S = 60.0


def configured_site(
    cameras: Mapping[Modality, CameraSettings],
    *,
    bundle: Path | None = None,
    engine: str = "onnx",
    threads: int | None = None,
    mavlink_urls: Sequence[str] = (),
    record_folder: Path | None = None,
    disk_free_mb: float = 500.0,
    pairing: Callable[[], PairSynchroniser] | None = None,
    rig: Rig | None = None,
) -> Site:
    """The site of one configuration; record_folder None stands for no recording. Touches no device."""
    playback = Playback(cameras)
    return Site(
        configured=True,
        bundle=bundle,
        engine=engine,
        threads=threads,
        cameras=tuple(_camera(modality, settings, playback) for modality, settings in cameras.items()),
        pipelines=tuple(settings.pipeline for settings in cameras.values() if settings.pipeline),
        mavlink_urls=tuple(mavlink_urls),
        record_folder=record_folder,
        disk_free_mb=disk_free_mb,
        pairing=pairing,
        rig=rig,
        needs_calibration=any(settings.kind in _REAL for settings in cameras.values()),
        camera_s=max((_patience_s(settings) for settings in cameras.values()), default=_PATIENCE_S),
    )


def _camera(modality: Modality, settings: CameraSettings, playback: Playback) -> CameraToCheck:
    name = settings.name or modality.value
    return CameraToCheck(name, lambda: make_camera(settings, modality, playback), settings.rate_hz, modality)


def _patience_s(settings: CameraSettings) -> float:
    """Long enough that a camera's own complaint, which says more, comes before ours."""
    if settings.kind == "simulator":
        return _BUILDING_A_WORLD_S
    return max(_PATIENCE_S, settings.start_timeout_s + settings.stall_timeout_s + 1.0)
