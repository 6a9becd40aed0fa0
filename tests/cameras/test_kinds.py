"""The table of camera kinds: every one of it is made, opened and read."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from miniatures import write_image
from senders import live_picture, require_elements, settings

from edge_rgbt.cameras.kinds import KINDS, make_camera, open_camera
from edge_rgbt.cameras.settings import KEYS, CameraSettings
from edge_rgbt.errors import UsageError
from edge_rgbt.types import Modality, PixelFormat, TimeSource

ROOT = Path(__file__).resolve().parents[2]


def _sample(kind: str, folder: Path) -> CameraSettings:
    """Settings of this kind that work here; skips where the device or library is missing."""
    if kind == "gstreamer":
        require_elements("videotestsrc")
        return settings(live_picture("GRAY16_LE"), "GRAY16")
    if kind == "v4l2":
        if not Path("/dev/video0").exists():
            pytest.skip("needs a camera as /dev/video0; test_v4l2.py has a stand-in")
        return CameraSettings(
            kind=kind, device="/dev/video0", pixel_format="YUYV", width_px=640, height_px=480, rate_hz=30
        )
    if kind == "files":
        write_image(folder / "0.png", np.full((48, 64), 30_000, np.uint16))
        return CameraSettings(kind=kind, path=str(folder))
    return CameraSettings(kind=kind, width_px=64, height_px=48, seconds=2)


def test_there_are_four_kinds_and_settings_for_each():
    assert len(KINDS) == 4
    assert set(KINDS) == set(KEYS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_delivers_frames_of_now_that_say_what_they_are(kind, tmp_path):
    with open_camera(_sample(kind, tmp_path), Modality.TIR) as camera:
        frame = camera.read()
    assert frame is not None
    assert frame.modality is Modality.TIR
    assert frame.pixel_format in PixelFormat
    assert frame.source
    assert abs(time.monotonic_ns() - frame.timestamp_ns) < 10_000_000_000
    recorded = frame.time_source is TimeSource.RECORDED
    assert recorded == (kind == "files")


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_closed_twice_and_before_it_was_opened(kind, tmp_path):
    camera = make_camera(_sample(kind, tmp_path), Modality.TIR)
    camera.close()
    camera.close()


def test_raw_thermal_counts_cannot_come_from_the_visible_camera():
    with pytest.raises(UsageError, match="camera cam: pixel_format GRAY16 is for thermal cameras"):
        make_camera(settings(live_picture("GRAY16_LE"), "GRAY16"), Modality.RGB)


def test_a_kinds_libraries_are_loaded_when_it_is_asked_for():
    asked = ["edge_rgbt.cameras.gstreamer", "edge_rgbt.cameras.v4l2", "edge_rgbt.sim", "gi"]
    code = f"import edge_rgbt.cameras.kinds, sys; print([m for m in {asked} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
