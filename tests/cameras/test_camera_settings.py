"""What a user may say about a camera, and what is said about mistakes."""

from __future__ import annotations

import pytest

from edge_rgbt.cameras.settings import KEYS, CameraSettings
from edge_rgbt.errors import UsageError
from edge_rgbt.types import PixelFormat, TimeSource

GOOD = {"kind": "v4l2", "device": "/dev/video0", "pixel_format": "GRAY16", "width_px": 640, "height_px": 512}


def _settings(**changes: object) -> CameraSettings:
    return CameraSettings(**(GOOD | {"rate_hz": 60.0} | changes))  # type: ignore[arg-type]


def test_what_is_not_given_has_usual_values():
    settings = _settings()
    assert (settings.start_timeout_s, settings.stall_timeout_s, settings.capture_offset_ns) == (2.0, 1.0, 0)
    assert settings.promised is PixelFormat.GRAY16


@pytest.mark.parametrize(
    ("source", "expected_ms"),
    [(TimeSource.SENSOR, 500 / 60), (TimeSource.DRIVER, 1000 / 60), (TimeSource.ARRIVAL, 100.0)],
)
def test_uncertainty_follows_from_who_takes_the_times(source, expected_ms):
    assert _settings().uncertainty_ns(source) == pytest.approx(expected_ms * 1e6, abs=1)
    assert _settings(time_uncertainty_ms=3).uncertainty_ns(source) == 3_000_000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"kind": "webcam"},
            "kind = 'webcam' is not known, expected one of gstreamer, v4l2",
        ),
        ({"device": None}, "a v4l2 camera needs the key device"),
        ({"pipeline": "videotestsrc"}, "pipeline means nothing to a v4l2 camera"),
        (
            {"pixel_format": "Y16"},
            "pixel_format = 'Y16', expected one of RGB, BGR, NV12, YUYV",
        ),
        ({"width_px": 640.0}, "width_px = 640.0, expected a whole number from 16 to 8192"),
        ({"height_px": 0}, "height_px = 0, expected a whole number from 16 to 8192"),
        ({"rate_hz": float("nan")}, "rate_hz = nan, expected a number from 0.5 to 1000"),
        ({"rate_hz": True}, "rate_hz = True, expected a number"),
        ({"stall_timeout_ms": 5}, "stall_timeout_ms = 5, expected a number from 50 to 60000"),
        ({"time_source": "recorded"}, "time_source = 'recorded', expected one of sensor, driver, arrival"),
        ({"device": " "}, "device = ' ', expected text"),
        ({"pixel_format": "NV12", "width_px": 641}, "width_px = 641 is odd, which NV12 cannot be"),
        ({"pixel_format": "NV12", "height_px": 511}, "height_px = 511 is odd, which NV12 cannot be"),
        ({"kind": "files"}, "a files camera needs the key path"),
        ({"kind": "simulator", "device": None, "seed": -1}, "seed = -1, expected a whole number from 0"),
        ({"kind": "simulator", "device": None, "preset": "fog"}, "preset = 'fog', expected one of day,"),
        ({"kind": "simulator", "device": None, "paced": 1}, "paced = 1, expected true or false"),
    ],
)
def test_a_mistake_is_named_with_key_value_and_what_is_allowed(changes, said):
    with pytest.raises(UsageError) as caught:
        _settings(**changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_fault_is_told_at_once():
    with pytest.raises(UsageError) as caught:
        _settings(width_px=1, height_px=2, device=None)
    assert str(caught.value).count(";") == 2


def test_every_key_of_a_kind_is_a_field():
    fields = set(CameraSettings.__dataclass_fields__) - {"kind", "name"}
    assert set().union(*(required + optional for required, optional in KEYS.values())) == fields
