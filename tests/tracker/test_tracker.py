"""The state machine around a network, driven by a small real one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from bundles import matching_graph, tiny_manifest
from onnx import helper
from worlds import FRAME_NS, overlap, path_box, square_pair

from edge_rgbt.bundle import ConfidenceCurve, TrackerSettings, write_bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.errors import EdgeRgbtError, EngineError, UsageError
from edge_rgbt.imageops import crop_geometry
from edge_rgbt.tracker import Tracker
from edge_rgbt.tracker.inputs import RawCrops
from edge_rgbt.types import Box, Frame, FramePair, Modality, TrackStatus, Usable


@pytest.fixture
def tracker(bundle, engine) -> Tracker:
    return Tracker(bundle.manifest, engine)


def test_tracker_follows_a_moving_target(tracker):
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    overlaps = [overlap(tracker.update(square_pair(t, path_box(t))).box, path_box(t)) for t in range(1, 40)]
    assert min(overlaps) > 0.5
    assert np.mean(overlaps) > 0.65


def test_compact_family_takes_the_same_crops(bundle, engine):
    tracker = Tracker(dataclasses.replace(bundle.manifest, family="transcmd"), engine)
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    assert overlap(tracker.update(square_pair(1, path_box(1))).box, path_box(1)) > 0.5


def test_states_carry_time_score_and_stage_times(tracker):
    first = tracker.start(square_pair(0, path_box(0)), path_box(0))
    state = tracker.update(square_pair(1, path_box(1)))
    assert (first.score, first.box, first.status) == (1.0, path_box(0), TrackStatus.TRACKING)
    assert (first.confidence, first.usable, first.unconfirmed_ns) == (1.0, Usable.BOTH, 0)
    assert state.timestamp_ns == square_pair(1, None).timestamp_ns
    assert [t.stage for t in state.timings] == ["crop", "infer", "decode"]
    assert all(t.duration_ns > 0 for t in state.timings)
    assert state.score == pytest.approx(float(tracker.score_map.max()))
    assert state.score > 0.9
    assert state.confidence > 0.8


def test_vanished_target_is_uncertain_then_lost_where_it_was_trusted_last(tracker):
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    last = [tracker.update(square_pair(t, path_box(t))) for t in range(1, 6)][-1]
    gone = [tracker.update(square_pair(t, None)) for t in range(6, 36)]
    assert [s.status for s in gone] == sorted((s.status for s in gone), key=list(TrackStatus).index)
    assert {s.status for s in gone} == {TrackStatus.TRACKING, TrackStatus.UNCERTAIN, TrackStatus.LOST}
    assert (gone[-1].box, gone[-1].confidence) == (last.box, 0.0)
    assert gone[-1].unconfirmed_ns == gone[-1].timestamp_ns - last.timestamp_ns


@pytest.mark.parametrize("away", [(0.0, 0.0), (70.0, 30.0), (-60.0, -50.0)])
def test_lost_target_is_found_again_where_it_reappears(tracker, away):
    box = Box(140.0, 110.0, 24.0, 24.0)
    tracker.start(square_pair(0, box), box)
    for t in range(1, 40):
        tracker.update(square_pair(t, None))
    there = Box(box.x + away[0], box.y + away[1], box.w, box.h)
    back = [tracker.update(square_pair(t, there)) for t in range(40, 100)]
    assert [s.status for s in back[:5]] == [TrackStatus.LOST] * 5  # it has to show for a while
    assert back[-1].status is TrackStatus.TRACKING
    assert overlap(back[-1].box, there) > 0.5
    assert (back[-1].unconfirmed_ns, back[-1].confidence) == (0, 1.0)


def test_search_runs_the_network_once_per_pair(bundle, engine):
    runs = []

    class Counted:
        info = engine.info

        def run(self, feeds):
            runs.append({name: value.shape for name, value in feeds.items()})
            return engine.run(feeds)

    tracker = Tracker(bundle.manifest, Counted())  # type: ignore[arg-type]
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    for t in range(1, 61):
        tracker.update(square_pair(t, None))
    assert tracker.status is TrackStatus.LOST
    assert len(runs) == 60
    assert all(shapes == runs[0] for shapes in runs)


def test_nothing_is_learnt_from_boxes_that_are_not_trusted(tracker, monkeypatch):
    heard = []
    settle = tracker._inputs.settle
    monkeypatch.setattr(tracker._inputs, "settle", lambda *args: heard.append(args[-1]) or settle(*args))
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    states = [tracker.update(square_pair(t, path_box(t) if t < 5 else None)) for t in range(1, 40)]
    assert heard == [t < 5 for t in range(1, 40)]
    assert states[-1].status is TrackStatus.LOST


def test_single_low_score_does_not_lose_the_target(tracker):
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    for t in range(1, 10):
        state = tracker.update(square_pair(t, path_box(0) if t % 2 else None))
        assert state.status is TrackStatus.TRACKING


def test_black_pictures_give_a_finite_box_and_end_lost(tracker):
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    for t in range(1, 61):
        stamp = t * FRAME_NS
        black = FramePair(
            Frame(np.zeros((256, 320, 3), np.uint8), Modality.RGB, stamp, t),
            Frame(np.zeros((256, 320), np.uint8), Modality.TIR, stamp, t),
            aligned=True,
        )
        state = tracker.update(black)
        assert all(map(math.isfinite, state.box.as_tuple()))
        assert state.box.touches(320, 256)
    assert state.status is TrackStatus.LOST
    assert state.score < tracker.manifest.lost_threshold


def test_one_pixel_picture_gives_a_box_inside_it(tracker):
    pixel = FramePair(
        Frame(np.full((1, 1, 3), 9, np.uint8), Modality.RGB, 0, 0),
        Frame(np.full((1, 1), 9, np.uint8), Modality.TIR, 0, 0),
        aligned=True,
    )
    tracker.start(pixel, Box(0, 0, 1, 1))
    assert tracker.update(pixel).box == Box(0, 0, 1, 1)


@pytest.mark.parametrize("box", [Box(320, 10, 5, 5), Box(-20, 10, 20, 5), Box(10, 256.0, 5, 5)])
def test_start_box_outside_the_picture_is_refused_with_the_picture_size(tracker, box):
    with pytest.raises(UsageError, match="outside the 320x256 picture"):
        tracker.start(square_pair(0, None), box)
    assert tracker.status is TrackStatus.IDLE


def test_start_box_far_larger_than_the_picture_is_refused(tracker):
    with pytest.raises(UsageError, match="far larger"):
        tracker.start(square_pair(0, None), Box(-10, -10, 1e9, 1e9))


def test_stopped_tracker_is_idle_and_needs_a_start(tracker):
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    tracker.stop()
    assert tracker.status is TrackStatus.IDLE
    with pytest.raises(RuntimeError, match="call start"):
        tracker.update(square_pair(1, path_box(1)))


def test_pair_that_is_not_aligned_is_refused(tracker):
    with pytest.raises(ValueError, match="aligned"):
        tracker.start(square_pair(0, None, thermal_dtype=np.uint16), path_box(0))


def test_family_without_a_runtime_is_refused(bundle, engine):
    manifest = dataclasses.replace(bundle.manifest, family="tpf")
    with pytest.raises(EdgeRgbtError, match="family 'tpf'"):
        Tracker(manifest, engine)


def test_network_that_answers_nan_is_an_error_that_names_it(tmp_path):
    graph = matching_graph()
    size = next(n for n in graph.graph.node if n.output[0] == "size")
    size.output[0] = "plain_size"
    graph.graph.node.extend(
        [
            helper.make_node("Sub", ["plain_size", "plain_size"], ["zeros"]),
            helper.make_node("Div", ["zeros", "zeros"], ["size"]),
        ]
    )
    bundle = write_bundle(tmp_path / "b", tiny_manifest(), {"model.onnx": graph.SerializeToString()})
    tracker = Tracker(bundle.manifest, open_engine(bundle, threads=1))
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    with pytest.raises(EngineError, match="not finite in 'size'"):
        tracker.update(square_pair(1, path_box(1)))


def test_size_smoothing_keeps_part_of_the_previous_size(bundle, engine):
    settings = TrackerSettings(size_smoothing=0.75)
    tracker = Tracker(dataclasses.replace(bundle.manifest, tracker=settings), engine)
    box = Box(100.0, 90.0, 40.0, 10.0)  # the graph predicts squares of 20 px
    tracker.start(square_pair(0, box), box)
    state = tracker.update(square_pair(1, box))
    assert state.box.w == pytest.approx(0.25 * 20 + 0.75 * 40, abs=0.1)
    assert state.box.h == pytest.approx(0.25 * 20 + 0.75 * 10, abs=0.1)


def test_templates_are_dimmed_around_the_box_as_the_manifest_says(bundle):
    box = Box(100.0, 90.0, 40.0, 10.0)
    feeds = {}
    for dimming in (0.0, 0.5):
        inputs = RawCrops(dataclasses.replace(bundle.manifest, tracker=TrackerSettings(dimming)))
        inputs.start(square_pair(0, box), box)
        feeds[dimming], _ = inputs.search(square_pair(0, box), crop_geometry(box, 4.0, 32))
    side = bundle.manifest.template_size
    for modality in ("rgb", "tir"):
        plain, dimmed = (feeds[dimming][f"template_{modality}"][0] for dimming in (0.0, 0.5))
        assert (dimmed[side // 2, side // 2] == plain[side // 2, side // 2]).all()  # on the target
        np.testing.assert_allclose(dimmed[1, side // 2], plain[1, side // 2] / 2, atol=0.5)  # above it
        assert (feeds[0.5][f"search_{modality}"] == feeds[0.0][f"search_{modality}"]).all()


def test_no_window_lets_the_target_jump_to_the_crop_corner(bundle, engine):
    start, jumped = Box(140, 110, 24, 24), Box(178, 148, 24, 24)
    results = {}
    for weight in (0.0, 1.0):
        settings = TrackerSettings(window_weight=weight)
        tracker = Tracker(dataclasses.replace(bundle.manifest, tracker=settings), engine)
        tracker.start(square_pair(0, start), start)
        results[weight] = overlap(tracker.update(square_pair(1, jumped)).box, jumped)
    assert results[0.0] >= results[1.0]
    assert results[0.0] > 0.4


def test_target_that_was_taken_up_again_is_less_certain_than_the_given_one(bundle, engine):
    curve = ConfidenceCurve({"score": 1.0}, (0.0, 1.0), (0.0, 1.0), found_right=0.7)
    tracker = Tracker(dataclasses.replace(bundle.manifest, confidence=curve), engine)
    box = path_box(0)
    tracker.start(square_pair(0, box), box)
    before = tracker.update(square_pair(1, box))
    states = [tracker.update(square_pair(t, None if t < 40 else box)) for t in range(2, 80)]
    assert states[-1].status is TrackStatus.TRACKING
    assert states[-1].confidence == pytest.approx(0.7 * before.confidence, abs=0.01)


def test_target_that_looks_like_itself_is_trusted_again_long_before_the_doubt_is_forgotten(bundle, engine):
    slow_to_forgive = ConfidenceCurve({"remembered": 1.0}, (0.0, 1.0), (0.0, 1.0), found_right=1.0)
    tracker = Tracker(dataclasses.replace(bundle.manifest, confidence=slow_to_forgive), engine)
    box = path_box(0)
    tracker.start(square_pair(0, box), box)
    tracker._memory.start(square_pair(0, box).timestamp_ns, 0.15)  # a doubtful moment ago
    states = [tracker.update(square_pair(t, box)) for t in range(1, 45)]
    statuses = [state.status for state in states]
    assert TrackStatus.UNCERTAIN in statuses
    assert TrackStatus.LOST not in statuses
    assert statuses[-1] is TrackStatus.TRACKING
    assert states[-1].confidence > 0.9
