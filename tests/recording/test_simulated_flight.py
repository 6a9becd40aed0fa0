"""The simulator's cameras with their faults through pairing and the shipped bundle, recorded and replayed."""

from __future__ import annotations

import dataclasses

import pytest
from flights import end_of, only_file

from edge_rgbt.bundle import load_bundle
from edge_rgbt.cameras.synthetic import USUAL_RGB, USUAL_TIR, SyntheticCamera, TimingFaults, in_capture_order
from edge_rgbt.recording import FlightContext, FlightRecorder, RecorderSettings
from edge_rgbt.recording.recorder import recorded_step
from edge_rgbt.register import Registration
from edge_rgbt.replay.flight import track_flight
from edge_rgbt.replay.tracking import Tracking
from edge_rgbt.runtime import open_loop
from edge_rgbt.sim import make_scenario
from edge_rgbt.sync import PairSynchroniser
from edge_rgbt.types import Modality, PictureFault, Usable

pytest.importorskip("mcap", reason="needs the record extra")
pytest.importorskip("google.protobuf", reason="needs the record extra")
pytest.importorskip("onnxruntime", reason="needs the onnx extra")

AS_SHIPPED = RecorderSettings(min_free_mb=0)
pytestmark = pytest.mark.slow
FREEZING = dataclasses.replace(USUAL_TIR, freeze_every_s=1.5, freeze_s=(0.3, 0.4))
DROPPING = TimingFaults(USUAL_RGB.clock_offset_ns, USUAL_RGB.capture_jitter_ns, drop_rate=0.05)


def fly(folder, seconds: float = 4.0, settings=AS_SHIPPED):
    """Records a flight whose cameras drop, jitter and freeze; the pairs' usable pictures and the states."""
    scenario = make_scenario(5, "day", seconds, rgb_size=(320, 256), tir_size=(320, 256))
    rgb = SyntheticCamera(scenario, Modality.RGB, 30.0, DROPPING)
    tir = SyntheticCamera(scenario, Modality.TIR, 25.0, FREEZING, phase_ns=4_000_000)
    bundle = load_bundle()
    registration = Registration(scenario.nominal_registration(), (320, 256), (320, 256))
    loop = open_loop(bundle, threads=1, registration=registration)
    sync = PairSynchroniser(20.0, -FREEZING.clock_offset_ns)
    usable, states = [], []
    with FlightRecorder(folder, settings, FlightContext(bundle, loop.engine_info)) as recorder:
        for frame in in_capture_order(rgb, tir):
            recorder.frame(frame)
            frozen = frame.modality is Modality.TIR and tir.frozen(frame.sequence)
            for pair in sync.push(frame, PictureFault.FROZEN if frozen else None):
                truth = scenario.truth(pair.rgb.timestamp_ns, Modality.RGB).box
                start = truth if not states or len(states) == 60 else None
                states.append(recorded_step(loop, recorder, pair, start))
                usable.append(pair.usable)
        recorder.close(timeout_s=120)
    loop.close()
    return usable, states, recorder.counters


def test_a_simulated_flight_with_faults_replays_to_the_last_bit(tmp_path):
    usable, states, counters = fly(tmp_path)
    assert (counters.dropped_frames, counters.lost, counters.refused) == (0, 0, 0)
    assert {Usable.BOTH, Usable.RGB} <= set(usable)
    assert end_of(only_file(tmp_path)).whole
    bundle = load_bundle()
    tracking = Tracking(bundle, open_loop(bundle, threads=1))
    run = track_flight(tracking, only_file(tmp_path), "flight")
    tracking.close()
    assert run.flight is not None
    assert run.flight["obstacles"] == []
    assert run.flight["compared"] == run.flight["identical"] == len(states)
    assert len(states) > 100
