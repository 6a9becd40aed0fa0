"""Rows of telemetry below thermal pictures: cut off, and asked whether the shutter is closed.

Not yet run on a device: tested on pictures laid out as the maker's engineering data sheet of the Lepton says.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.settings import TELEMETRY_ROWS, CameraSettings
from edge_rgbt.types import Frame

# Lepton, row A: words of 16 bits; 3 and 4 hold the status bits, lower half first. Bits 4 and 5 of them are
# the state of the flat-field correction: never asked for, imminent, in progress, complete.
_LEPTON_STATUS = 3
_LEPTON_FFC = (4, 0b11)
_LEPTON_FFC_IN_PROGRESS = 2


def camera_settings(settings: CameraSettings) -> CameraSettings:
    """What the camera itself delivers: the promised picture and the rows of telemetry below it."""
    width, height = settings.width_px or 0, settings.height_px or 0
    rows = TELEMETRY_ROWS[settings.telemetry or "", width, height]
    return dataclasses.replace(settings, telemetry=None, height_px=height + rows)


class CameraWithTelemetry(Camera):
    """A camera whose pictures end in rows of telemetry, as one without them."""

    def __init__(self, camera: Camera, settings: CameraSettings) -> None:
        self._camera = camera
        self._height = settings.height_px or 0
        self.modality, self.name = camera.modality, camera.name

    def open(self) -> None:
        self._camera.open()

    def read(self) -> Frame | None:
        frame = self._camera.read()
        if frame is None:
            return None
        picture, rows = frame.image[: self._height], frame.image[self._height :]
        return dataclasses.replace(frame, image=picture, held=shutter_closed(rows))

    def close(self) -> None:
        self._camera.close()


def shutter_closed(rows: np.ndarray) -> bool:
    """True if a Lepton's telemetry rows, uint16 `[rows, width]`, say that a correction is going on."""
    shift, mask = _LEPTON_FFC
    return int(rows[0, _LEPTON_STATUS]) >> shift & mask == _LEPTON_FFC_IN_PROGRESS
