"""The loop: decoded pair in, track out, every stage timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import tiny_bundle
from worlds import overlap, path_box, square_pair

import edge_rgbt
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.register import Registration
from edge_rgbt.runtime import STAGES, StageStatistics, open_loop, step_stages
from edge_rgbt.types import Box, StageTiming, TrackStatus


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "b.rgbt")


@pytest.fixture
def loop(bundle):
    loop = open_loop(bundle, threads=1)
    yield loop
    loop.close()


def test_every_stage_of_the_table_names_code_that_exists():
    package = Path(edge_rgbt.__file__).parent
    for stage in STAGES:
        for place in stage.code.split(", "):
            assert (package / place).exists(), f"{stage.name}: {place}"
    assert len(STAGES) == 15


def test_the_table_names_every_part_of_the_service_with_its_pace_and_place():
    places = {stage.place for stage in STAGES}
    assert places == {"camera", "loop", "step", "recorder", "link", "health"}
    assert {stage.pace for stage in STAGES} == {"frame", "pair", "second"}
    assert len({stage.name for stage in STAGES}) == len(STAGES)


def test_step_times_the_stages_of_the_table_in_their_order(loop):
    loop.step(square_pair(0, path_box(0)), path_box(0))
    state = loop.step(square_pair(1, path_box(1)))
    assert tuple(t.stage for t in state.timings) == step_stages("ckd")
    assert state.total_ms > 0


def test_raw_sixteen_bit_pairs_are_tracked(loop):
    loop.step(square_pair(0, path_box(0), thermal_dtype=np.uint16), path_box(0))
    for t in range(1, 30):
        state = loop.step(square_pair(t, path_box(t), thermal_dtype=np.uint16))
    assert state.status is TrackStatus.TRACKING
    assert overlap(state.box, path_box(29)) > 0.6


def test_thermal_of_another_size_is_registered(bundle):
    registration = Registration.stretch((160, 128), (320, 256))
    loop = open_loop(bundle, threads=1, registration=registration)
    loop.step(square_pair(0, path_box(0), thermal_size=(160, 128)), path_box(0))
    for t in range(1, 30):
        state = loop.step(square_pair(t, path_box(t), thermal_size=(160, 128)))
    assert overlap(state.box, path_box(29)) > 0.6


def test_thermal_of_another_size_without_registration_is_an_error_with_both_sizes(loop):
    with pytest.raises(EdgeRgbtError, match=r"160x128.*320x256.*calibration register"):
        loop.step(square_pair(0, None, thermal_size=(160, 128)), path_box(0))


def test_box_given_later_restarts_on_another_target(loop):
    loop.step(square_pair(0, path_box(0)), path_box(0))
    other = Box(40, 180, 30, 30)
    state = loop.step(square_pair(1, other), other)
    assert (state.box, state.score) == (other, 1.0)
    assert overlap(loop.step(square_pair(2, other)).box, other) > 0.7


def test_bad_box_leaves_the_loop_usable(loop):
    with pytest.raises(UsageError):
        loop.step(square_pair(0, None), Box(5000, 0, 10, 10))
    loop.step(square_pair(0, path_box(0)), path_box(0))
    assert loop.step(square_pair(1, path_box(1))).status is TrackStatus.TRACKING


def test_restart_forgets_target_and_thermal_scene(loop):
    loop.step(square_pair(0, path_box(0), thermal_dtype=np.uint16), path_box(0))
    loop.restart()
    assert loop.tracker.status is TrackStatus.IDLE
    assert loop.thermal.range is None


def test_statistics_count_tracked_pairs_and_leave_out_the_start(loop):
    loop.step(square_pair(0, path_box(0)), path_box(0))
    for t in range(1, 6):
        loop.step(square_pair(t, path_box(t)))
    summary = loop.statistics.summary()
    assert loop.statistics.frames == 5
    assert tuple(summary) == (*step_stages("ckd"), "total")
    parts = sum(summary[stage]["mean_ms"] for stage in step_stages("ckd"))
    assert summary["total"]["mean_ms"] == pytest.approx(parts, abs=0.01)


def test_statistics_give_mean_median_and_tail_of_the_last_pairs():
    statistics = StageStatistics(window=100)
    for ms in [1000] * 50 + list(range(1, 101)):
        statistics.add([StageTiming("crop", ms * 1_000_000)])
    row = statistics.summary()["crop"]
    assert row["frames"] == 150
    assert row["mean_ms"] == pytest.approx(50.5)
    assert row["p50_ms"] == pytest.approx(50.5)
    assert row["p99_ms"] == pytest.approx(99.01)
    assert "crop" in statistics.table()


def test_work_around_the_network_is_a_small_part_of_its_budget(bundle):
    budget_ms = sum(s.budget_ms for s in STAGES if s.in_step and s.budget_ms)
    assert budget_ms <= 2.0
    registration = Registration(np.array([[1.01, 0.01, 2], [-0.01, 0.99, 3], [0, 0, 1]]), (640, 512))
    loop = open_loop(bundle, threads=1, registration=registration)
    pair = square_pair(0, path_box(0), size=(640, 512), thermal_dtype=np.uint16)
    loop.step(pair, path_box(0))
    for _ in range(60):
        loop.step(pair)
    summary = loop.statistics.summary()
    outside = sum(summary[stage]["p50_ms"] for stage in step_stages("ckd") if stage != "infer")
    assert outside < 4 * budget_ms  # a busy test machine; `edge-rgbt bench` gives the real number
