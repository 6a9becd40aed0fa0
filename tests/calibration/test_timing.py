"""The offset between two clocks from what both cameras saw."""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pytest
from turning_flights import TRUE_OFFSET_MS, frames, tracks, turning_flight

from calibration.__main__ import main
from calibration.motion import MotionTrack
from calibration.timing import fit_timing
from edge_rgbt.bundle import load_bundle
from edge_rgbt.engine.base import EngineInfo
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.recording import FlightContext, FlightRecorder, RecorderSettings
from edge_rgbt.rig import Rig

SECOND = 1_000_000_000


def made_up(
    offset_ms: float, seconds: float = 30.0, drift_ppm: float = 0.0, seed: int = 3
) -> tuple[MotionTrack, ...]:
    """Tracks of cameras of 30 and 9 Hz that saw the same random turns, with measurement noise."""
    rng = np.random.default_rng(seed)
    rates = [rng.uniform(1.5, 9, 24) for _ in range(3)]
    phases = [rng.uniform(0, 6.3, 24) for _ in range(3)]

    def path(t: np.ndarray) -> np.ndarray:
        return 6 * np.stack(
            [np.sin(np.outer(t, w) + p).sum(1) for w, p in zip(rates, phases, strict=True)], 1
        )

    found = []
    for rate, shift_ms, scale in ((30, 0.0, 1.0), (9, offset_ms, 0.7)):
        t = np.arange(0, seconds, 1 / rate)
        stamps = t * (1 + (drift_ppm * 1e-6 if shift_ms else 0)) - shift_ms / 1e3
        noisy = scale * path(t) + rng.normal(0, 0.15, (len(t), 3))
        found.append(MotionTrack((stamps * SECOND).astype(np.int64), noisy, np.zeros(len(t), np.int64)))
    return tuple(found)


@pytest.mark.parametrize("offset_ms", [-240.0, -37.0, 0.4, 113.0])
def test_the_offset_of_made_up_turns_is_found(offset_ms):
    fit = fit_timing(*made_up(offset_ms))
    assert abs(fit.tir_offset_ms - offset_ms) < max(1.0, 4 * fit.sigma_ms)
    assert fit.drift_ppm is None


def test_a_clock_that_runs_faster_is_noticed():
    fit = fit_timing(*made_up(-37.0, seconds=180, drift_ppm=100))
    assert fit.drift_ppm is not None
    assert fit.drift_ppm == pytest.approx(-100, abs=40)


def test_turns_of_two_different_flights_are_refused():
    rgb, _ = made_up(0.0, seed=1)
    _, tir = made_up(0.0, seed=2)
    with pytest.raises(EdgeRgbtError, match=r"not certain|did not see the same|end of the search"):
        fit_timing(rgb, tir)


def test_motion_that_repeats_itself_is_refused():
    t = np.arange(0, 30, 1 / 30)
    path = np.stack([20 * np.sin(2 * np.pi * 4 * t), 0 * t, 0 * t], 1)
    noisy = [path + np.random.default_rng(seed).normal(0, 0.1, path.shape) for seed in (1, 2)]
    times, pieces = (t * SECOND).astype(np.int64), np.zeros(len(t), np.int64)
    with pytest.raises(EdgeRgbtError, match="several offsets fit"):
        fit_timing(*(MotionTrack(times, one, pieces) for one in noisy))


def test_an_offset_beyond_the_search_is_not_guessed():
    with pytest.raises(EdgeRgbtError, match=r"not certain|--search-ms|same motion"):
        fit_timing(*made_up(-240.0), search_ms=100)


def test_a_wider_search_finds_it():
    assert fit_timing(*made_up(-800.0), search_ms=1500).tir_offset_ms == pytest.approx(-800, abs=3)


@pytest.mark.slow
def test_simulated_cameras_are_timed_within_5_ms():
    fit = fit_timing(*tracks(turning_flight(3, 16.0), tir_hz=9.0))
    assert abs(fit.tir_offset_ms - TRUE_OFFSET_MS) < 5.0


@pytest.mark.slow
def test_a_hover_is_refused():
    with pytest.raises(EdgeRgbtError, match="too little motion"):
        fit_timing(*tracks(turning_flight(2, 8.0, degrees=0.0)))


@pytest.mark.slow
def test_a_recording_becomes_a_section_of_the_calibration_file(tmp_path, capsys):
    context = FlightContext(load_bundle(), EngineInfo("none", "", "", "", 1), "", "")
    settings = RecorderSettings(rgb="jpeg", tir="raw", min_free_mb=0)
    with FlightRecorder(tmp_path / "flights", settings, context) as recorder:
        for number, frame in enumerate(frames(turning_flight(2, 16.0), 25.0)):
            recorder.frame(dataclasses.replace(frame, timestamp_ns=frame.timestamp_ns + SECOND))
            if number % 20 == 0:
                time.sleep(0.05)  # the recorder drops what comes faster than the disk takes it
    (flight,) = (tmp_path / "flights").glob("*.mcap")
    out = tmp_path / "calibration.json"
    assert main(["timing", str(flight), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    timing = Rig.read(out).timing
    assert timing is not None
    assert timing.tir_offset_ms == told["tir_offset_ms"] == pytest.approx(TRUE_OFFSET_MS, abs=5)
    assert 17 <= timing.tolerance_ms < 60


def test_a_file_that_is_no_recording_is_one_line(tmp_path, capsys):
    (tmp_path / "x.mcap").write_bytes(b"nothing")
    assert main(["timing", str(tmp_path / "x.mcap"), "--out", str(tmp_path / "c.json")]) != 0
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "c.json").exists()
