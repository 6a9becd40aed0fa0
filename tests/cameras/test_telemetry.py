"""Rows of telemetry below thermal pictures, laid out as the Lepton's engineering data sheet says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from senders import require_elements, settings

from edge_rgbt.cameras.kinds import make_camera, open_camera
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.telemetry import shutter_closed
from edge_rgbt.errors import CameraError, UsageError
from edge_rgbt.picture_faults import PictureWatch
from edge_rgbt.types import Modality, PictureFault

NEVER, IMMINENT, IN_PROGRESS, COMPLETE = range(4)
WIDTH, HEIGHT, ROWS = 160, 120, 2
RATE_HZ = 20.0


def telemetry(ffc: int, width: int = WIDTH, rows: int = ROWS) -> np.ndarray:
    """The rows of a Lepton with every other status bit set."""
    words = np.zeros((rows, width), np.uint16)
    words[0, 0] = 0x000E  # revision
    words[0, 3] = (0xFFFF & ~(0b11 << 4)) | ffc << 4
    words[0, 4] = 0xFFFF
    return words


@pytest.fixture
def recorded(tmp_path: Path) -> CameraSettings:
    """A camera that delivers live pictures, then some behind the shutter, then live ones again."""
    require_elements("multifilesrc", "rawvideoparse", "identity")
    rng = np.random.default_rng(0)
    scene = np.cumsum(rng.integers(-20, 21, (HEIGHT, WIDTH)), axis=1) + 8000
    for number, ffc in enumerate([NEVER] * 8 + [IMMINENT, *[IN_PROGRESS] * 20] + [COMPLETE] * 20):
        picture = (scene + rng.integers(-15, 16, scene.shape)).astype(np.uint16)
        np.vstack((picture, telemetry(ffc))).astype("<u2").tofile(tmp_path / f"{number}.raw")
    parse = f"rawvideoparse format=gray16-le width={WIDTH} height={HEIGHT + ROWS} framerate={RATE_HZ:g}/1"
    pipeline = f"multifilesrc location={tmp_path}/%d.raw ! {parse} ! identity sync=true"
    return settings(pipeline, "GRAY16", width_px=WIDTH, height_px=HEIGHT, rate_hz=RATE_HZ, telemetry="lepton")


@pytest.mark.parametrize(
    ("ffc", "closed"), [(NEVER, False), (IMMINENT, False), (IN_PROGRESS, True), (COMPLETE, False)]
)
def test_the_shutter_is_closed_while_a_correction_is_in_progress(ffc, closed):
    assert shutter_closed(telemetry(ffc)) is closed
    assert shutter_closed(telemetry(ffc, 80, 3)) is closed


def test_pictures_behind_the_shutter_are_frozen_at_once_and_without_telemetry(recorded):
    watch, states = PictureWatch(Modality.TIR), []
    with open_camera(recorded, Modality.TIR) as camera:
        while PictureFault.FROZEN not in states or states[-1] is not None:
            frame = camera.read()
            assert frame is not None
            assert frame.image.shape == (HEIGHT, WIDTH)
            assert frame.image.min() > 1000  # nothing of the telemetry
            states.append(watch.judge(frame))
            assert states[-1] is (PictureFault.FROZEN if frame.held else None)


def test_a_camera_that_sends_no_telemetry_is_told_from_one_that_does(recorded):
    plain = recorded.pipeline.replace(f"height={HEIGHT + ROWS}", f"height={HEIGHT}")
    silent = settings(plain, "GRAY16", width_px=WIDTH, height_px=HEIGHT, rate_hz=RATE_HZ, telemetry="lepton")
    with pytest.raises(CameraError, match="122"):
        make_camera(silent, Modality.TIR).open()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height_px": 122}, "telemetry = 'lepton' goes with pictures of 80x60 or 160x120, not 160x122"),
        ({"pixel_format": "GRAY8"}, "telemetry = 'lepton' needs pixel_format GRAY16, not GRAY8"),
        ({"telemetry": "boson"}, "telemetry = 'boson', expected one of lepton"),
    ],
)
def test_telemetry_that_cannot_be_is_refused(changes, said):
    given = {"kind": "v4l2", "device": "/dev/video0", "pixel_format": "GRAY16", "rate_hz": 9.0}
    size = {"width_px": WIDTH, "height_px": HEIGHT, "telemetry": "lepton"}
    with pytest.raises(UsageError, match=said):
        CameraSettings(**(given | size | changes))  # type: ignore[arg-type]
