"""The simulated flight as live cameras."""

from __future__ import annotations

import time

import pytest

from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.errors import UsageError
from edge_rgbt.types import Frame, Modality, TimeSource

BOTH = (Modality.RGB, Modality.TIR)


def _settings(**changes: object) -> CameraSettings:
    given = {"kind": "simulator", "width_px": 64, "height_px": 48, "seed": 3, "seconds": 120, "rate_hz": 20.0}
    return CameraSettings(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world() -> Playback:
    """One flight for all tests: building it takes longer than everything else here."""
    return Playback({modality: _settings() for modality in BOTH})


def _frame(camera) -> Frame:
    frame = camera.read()
    assert frame is not None
    return frame


def test_both_cameras_see_one_flight_on_this_computers_clock(world):
    with (
        make_camera(_settings(), Modality.RGB, world) as rgb,
        make_camera(_settings(), Modality.TIR, world) as tir,
    ):
        frames = [_frame(rgb), _frame(tir), _frame(rgb)]
    period_ns = 50_000_000
    assert {(f.timestamp_ns - frames[0].timestamp_ns) % period_ns for f in frames} == {0}
    assert all(f.timestamp_ns <= time.monotonic_ns() for f in frames)
    assert {f.time_source for f in frames} == {TimeSource.SENSOR}
    assert frames[1].image.dtype == "uint16"


def test_the_flight_goes_on_while_a_camera_is_away(world):
    camera = make_camera(_settings(), Modality.TIR, world)
    with camera:
        first = _frame(camera)
    time.sleep(0.2)
    with camera:
        again = _frame(camera)
    assert again.sequence >= first.sequence + 4
    assert again.timestamp_ns - first.timestamp_ns >= 200_000_000


def test_a_slow_reader_gets_frames_of_now(world):
    camera = make_camera(_settings(), Modality.TIR, world)
    with camera:
        _frame(camera)
        time.sleep(0.3)
        asked_ns = time.monotonic_ns()
        assert _frame(camera).timestamp_ns >= asked_ns - 50_000_000


def test_unpaced_every_frame_comes_on_the_flights_clock(world):
    with make_camera(_settings(paced=False), Modality.TIR, world) as camera:
        frames = [_frame(camera) for _ in range(10)]
    assert [f.sequence for f in frames] == list(range(10))
    assert frames[-1].timestamp_ns == 450_000_000


def test_faults_of_the_settings_are_the_cameras(world):
    faulty = _settings(paced=False, clock_offset_ms=37.0, drop_rate=0.3)
    with make_camera(faulty, Modality.TIR, world) as camera:
        frames = [_frame(camera) for _ in range(10)]
    assert frames[0].timestamp_ns == 37_000_000
    assert frames[-1].sequence > 9


def test_cameras_of_different_flights_are_refused():
    shared = Playback({Modality.RGB: _settings(seed=1), Modality.TIR: _settings(seed=2)})
    with pytest.raises(UsageError, match="both cameras must see the same flight"):
        make_camera(_settings(seed=1), Modality.RGB, shared).open()
