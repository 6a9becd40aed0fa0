"""The simulated flight as live cameras, rendered by a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from edge_rgbt.cameras.flight_process import ReadFrame
from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.cameras.synthetic import SyntheticCamera
from edge_rgbt.errors import CameraError, UsageError
from edge_rgbt.sim import Pose, Scenario, make_scenario
from edge_rgbt.types import Frame, Modality, TimeSource

BOTH = (Modality.RGB, Modality.TIR)


def _settings(**changes: object) -> CameraSettings:
    given = {"kind": "simulator", "width_px": 64, "height_px": 48, "seed": 3, "seconds": 120, "rate_hz": 20.0}
    return CameraSettings(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world():
    """One flight for all tests: building it takes longer than everything else here."""
    shared = Playback({modality: _settings() for modality in BOTH})
    yield shared
    shared.close()


def _frame(camera) -> Frame:
    frame = camera.read()
    assert frame is not None
    return frame


def _read_on(camera) -> None:
    """Reads past what was rendered already."""
    for _ in range(5):
        camera.read()


def _wait_for(condition, what: str) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    """False for a process that has ended, also if nobody has asked yet how."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


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


@pytest.mark.slow
def test_the_process_renders_what_this_one_would(world):
    scenario = make_scenario(3, None, 120, rgb_size=(64, 48), tir_size=(64, 48))
    for modality in BOTH:
        here = SyntheticCamera(scenario, modality, 20.0)
        with make_camera(_settings(paced=False), modality, world) as there:
            for _ in range(3):
                mine, theirs = _frame(here), _frame(there)
                assert (mine.timestamp_ns, mine.sequence) == (theirs.timestamp_ns, theirs.sequence)
                np.testing.assert_array_equal(mine.image, theirs.image)
    truth = scenario.truth(100_000_000, Modality.RGB)
    known = world.truth(2)
    assert (known.box, known.visible) == (truth.box, truth.visibility)
    np.testing.assert_array_equal(world.info.registration, scenario.nominal_registration())


def test_cameras_of_different_flights_are_refused():
    shared = Playback({Modality.RGB: _settings(seed=1), Modality.TIR: _settings(seed=2)})
    with pytest.raises(UsageError, match="both cameras must see the same flight"):
        make_camera(_settings(seed=1), Modality.RGB, shared).open()


class _FromAbove:
    """A vehicle that hangs still over the target's start and looks down."""

    def __init__(self, scenario: Scenario, began_ns: int) -> None:
        self.began_ns = began_ns
        self._start = scenario.pose(0)

    def pose(self, t_ns: int) -> Pose:
        s = self._start
        angles = (0.0, 0.0, 0.0, 0.0, -90.0, 0.0)
        return Pose(t_ns, (*s.position[:2], 50.0), (0.0, 0.0, 0.0), *angles, s.lat_deg, s.lon_deg, s.alt_m)


@pytest.mark.slow
def test_a_vehicle_steers_the_cameras_from_inside_the_process():
    settings = _settings(paced=False)
    steered = Playback(dict.fromkeys(BOTH, settings), vehicle=_FromAbove)
    try:
        with make_camera(settings, Modality.RGB, steered) as camera:
            frames = [_frame(camera) for _ in range(3)]
            found = steered.flight.ask(ReadFrame(Modality.RGB))
    finally:
        steered.close()
    assert found is not None
    assert found.pose is not None
    assert (found.pose.position[2], found.pose.camera_pitch_deg) == (50.0, -90.0)
    scenario = make_scenario(3, None, 120, rgb_size=(64, 48), tir_size=(64, 48))
    scenario.fly_by(_FromAbove(scenario, 0))
    np.testing.assert_array_equal(frames[2].image, scenario.render_rgb(100_000_000))


@pytest.mark.slow
def test_a_simulator_that_was_killed_is_an_error_and_comes_back():
    settings = _settings()
    shared = Playback(dict.fromkeys(BOTH, settings))
    camera = make_camera(settings, Modality.TIR, shared)
    try:
        camera.open()
        _frame(camera)
        killed = shared.flight.pid
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(CameraError, match="simulator stopped"):
            _read_on(camera)
        camera.close()
        camera.open()
        assert _frame(camera).sequence < 60
        assert shared.flight.pid != killed
    finally:
        shared.close()
    assert camera.read() is None


def test_closing_the_playback_ends_process_and_cameras(world):
    settings = _settings()
    shared = Playback(dict.fromkeys(BOTH, settings))
    pid = shared.flight.pid
    shared.close()
    assert not _alive(pid)
    with pytest.raises(CameraError, match="over"):
        make_camera(settings, Modality.RGB, shared).open()


ORPHAN = """
import sys, time
from edge_rgbt.cameras.kinds import make_camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.types import Modality
if __name__ == "__main__":
    settings = CameraSettings(kind="simulator", width_px=64, height_px=48, seed=3, seconds=60, rate_hz=20.0)
    playback = Playback({m: settings for m in Modality})
    print(playback.flight.pid, flush=True)
    if sys.argv[1] == "flying":
        camera = make_camera(settings, Modality.RGB, playback)
        camera.open()
        print("open", flush=True)
        while True:
            camera.read()
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["building", "flying"])
def test_the_process_ends_with_a_parent_that_was_killed(tmp_path, moment):
    script = tmp_path / "flies.py"
    script.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, str(script), moment], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if moment == "flying":
            assert parent.stdout.readline() == "open\n"
        else:
            time.sleep(0.5)
        assert _alive(pid)
        parent.kill()
        _wait_for(lambda: not _alive(pid), "the simulator outlived its parent")
