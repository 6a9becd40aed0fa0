"""The kinds of camera there are. A kind's file, and what it needs, is loaded when one is asked for."""

from __future__ import annotations

import importlib

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.telemetry import CameraWithTelemetry, camera_settings
from edge_rgbt.errors import UsageError
from edge_rgbt.types import Modality, PixelFormat

# kind -> module with `make(settings, modality, playback) -> Camera`
KINDS = {
    "gstreamer": "edge_rgbt.cameras.gstreamer",
    "v4l2": "edge_rgbt.cameras.v4l2",
    "files": "edge_rgbt.cameras.recorded",
    "simulator": "edge_rgbt.cameras.simulator",
}


def make_camera(settings: CameraSettings, modality: Modality, playback: Playback | None = None) -> Camera:
    """The camera, not yet opened: touches no device.

    playback: what the recorded or simulated cameras of one service have in common; give both the same one.
    Raises UsageError if the settings cannot be meant for this modality.
    """
    if modality is Modality.RGB and settings.pixel_format == PixelFormat.GRAY16:
        raise UsageError(
            f"camera {settings.name or modality.value}: pixel_format GRAY16 is for thermal cameras"
        )
    module = importlib.import_module(KINDS[settings.kind])
    playback = playback or Playback({modality: settings})
    if settings.telemetry is None:
        return module.make(settings, modality, playback)
    camera = module.make(camera_settings(settings), modality, playback)
    return CameraWithTelemetry(camera, settings)


def open_camera(settings: CameraSettings, modality: Modality, playback: Playback | None = None) -> Camera:
    """The camera, opened and delivering; blocks and raises as `Camera.open` does."""
    camera = make_camera(settings, modality, playback)
    camera.open()
    return camera
