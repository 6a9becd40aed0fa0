"""TPF in the tracker: fused images, and a second template that is renewed from reliable frames."""

from __future__ import annotations

import numpy as np
import pytest
from adapters import adapter
from bundles import TEMPLATE_SIZE, tpf_bundle, tpf_manifest
from worlds import overlap, path_box, square_pair

from edge_rgbt.adapter import open_adapter, specification
from edge_rgbt.adapter.mean import MeanAdapter
from edge_rgbt.bundle import DynamicTemplate, fused_inputs
from edge_rgbt.engine import open_engine
from edge_rgbt.imageops import crop_geometry, crop_square, crop_thermal
from edge_rgbt.runtime import open_loop, step_stages
from edge_rgbt.tracker import Tracker
from edge_rgbt.tracker.inputs import Crops, FusedImages
from edge_rgbt.types import Box, FramePair, TrackStatus

INTERVAL = 5
SURE, UNSURE = 0.9, 0.65  # the threshold itself is not enough


def around(pair: FramePair, box: Box, factor: float = 2.0, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """The mean of both crops, fused anew."""
    geometry = crop_geometry(box, factor, size)
    rgb, tir = crop_square(pair.rgb.image, geometry), crop_thermal(pair.tir.image, geometry)
    return specification.fuse(rgb, tir, adapter("add"))[None]


class CountingAdapter(MeanAdapter):
    """The plain mean; remembers the side of every crop it fused."""

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[int] = []

    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        self.sides.append(rgb.shape[1])
        return super().fuse(rgb, tir)


@pytest.fixture
def inputs() -> FusedImages:
    return FusedImages(tpf_manifest(), CountingAdapter())


def follow(inputs: FusedImages, scores: list[float]) -> list[np.ndarray]:
    """The dynamic template after the start and after every frame; frame t lies at `path_box(t)`."""
    inputs.start(square_pair(0, path_box(0)), path_box(0))
    seen = [dynamic_template(inputs)]
    for t, score in enumerate(scores, 1):
        inputs.settle(square_pair(t, path_box(t)), path_box(t), score)
        seen.append(dynamic_template(inputs))
    return seen


def dynamic_template(inputs: FusedImages) -> np.ndarray:
    pair, box = square_pair(0, path_box(0)), path_box(0)
    return inputs.search(pair, crop_geometry(box, 4.0, 128))[0]["dynamic"]


def test_dynamic_template_begins_as_the_template(inputs):
    (first,) = follow(inputs, [])
    assert np.allclose(first, around(square_pair(0, path_box(0)), path_box(0)), atol=1e-6)


def test_no_frame_at_or_below_the_threshold_becomes_the_template(inputs):
    seen = follow(inputs, [UNSURE] * 12)
    assert all(np.array_equal(image, seen[0]) for image in seen)


def test_template_is_renewed_at_the_interval_only(inputs):
    seen = follow(inputs, [SURE] * 12)
    changed = [t for t in range(1, 13) if not np.array_equal(seen[t], seen[t - 1])]
    assert changed == [INTERVAL, 2 * INTERVAL]


def test_newest_reliable_frame_becomes_the_template(inputs):
    seen = follow(inputs, [SURE, UNSURE, SURE, UNSURE, UNSURE])
    assert np.allclose(seen[INTERVAL], around(square_pair(3, path_box(3)), path_box(3)), atol=1e-6)


def test_frame_at_the_interval_itself_counts(inputs):
    seen = follow(inputs, [SURE] * INTERVAL)
    wanted = around(square_pair(INTERVAL, path_box(INTERVAL)), path_box(INTERVAL))
    assert np.allclose(seen[INTERVAL], wanted, atol=1e-6)


def test_template_stays_where_no_newer_frame_was_reliable(inputs):
    follow(inputs, [SURE] + [UNSURE] * (3 * INTERVAL))
    assert inputs.adapter.sides.count(TEMPLATE_SIZE) == 2  # at the start and at the first interval


def test_kept_images_equal_those_fused_anew(inputs):
    follow(inputs, [SURE] * (2 * INTERVAL - 1))
    feeds, _ = inputs.search(square_pair(9, path_box(9)), crop_geometry(path_box(9), 4.0, 128))
    for name, t in {"template": 0, "dynamic": INTERVAL}.items():
        crops = Crops.cut(square_pair(t, path_box(t)), crop_geometry(path_box(t), 2.0, TEMPLATE_SIZE))
        assert np.array_equal(feeds[name], MeanAdapter().fuse(crops.rgb, crops.tir))


def test_next_target_starts_with_its_own_template(inputs):
    follow(inputs, [SURE] * 4)
    seen = follow(inputs, [UNSURE] * INTERVAL)
    assert all(np.array_equal(image, seen[0]) for image in seen)


def test_bundle_without_dynamic_template_keeps_the_first():
    inputs = FusedImages(tpf_manifest(dynamic_template=None), open_adapter(adapter("add")))
    seen = follow(inputs, [SURE] * 12)
    assert all(np.array_equal(image, seen[0]) for image in seen)


def test_half_precision_graph_is_fed_half_precision():
    manifest = tpf_manifest(inputs=fused_inputs(TEMPLATE_SIZE, 128, "float16"))
    inputs = FusedImages(manifest, open_adapter(adapter("add")))
    inputs.start(square_pair(0, path_box(0)), path_box(0))
    feeds, _ = inputs.search(square_pair(1, path_box(1)), crop_geometry(path_box(0), 4.0, 128))
    assert {value.dtype.name for value in feeds.values()} == {"float16"}


def test_tpf_bundle_follows_a_target_and_times_the_fusion(tmp_path):
    loop = open_loop(tpf_bundle(tmp_path / "b.rgbt", adapter("add")), threads=1)
    loop.step(square_pair(0, path_box(0)), path_box(0))
    states = [loop.step(square_pair(t, path_box(t))) for t in range(1, 25)]
    loop.close()
    assert min(overlap(s.box, path_box(t)) for t, s in enumerate(states, 1)) > 0.5
    assert all(tuple(t.stage for t in s.timings) == step_stages("tpf") for s in states)
    assert all(t.duration_ns > 0 for s in states for t in s.timings if t.stage == "fuse")


def test_sure_look_alike_outside_the_chosen_cell_renews_nothing(tmp_path):
    every_frame = DynamicTemplate(interval_frames=1, score_threshold=0.65)
    bundle = tpf_bundle(tmp_path / "b", adapter("add"), dynamic_template=every_frame)
    counting = CountingAdapter()
    tracker = Tracker(bundle.manifest, open_engine(bundle, threads=1), counting)
    here, there = Box(148, 116, 24, 24), Box(178, 146, 24, 24)
    tracker.start(square_pair(0, here), here)
    pair = square_pair(1, there)
    # Where the target was, something a little darker.
    pair.rgb.image[116:140, 148:172] = pair.rgb.image[150, 180] - 14
    pair.tir.image[116:140, 148:172] = pair.tir.image[150, 180] - 14
    state = tracker.update(pair)
    assert overlap(state.box, here) > 0.5
    assert state.score > 0.9
    assert counting.sides.count(TEMPLATE_SIZE) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "s2", "tied"])
def test_bundle_with_a_compiled_adapter_keeps_a_still_target(tmp_path, name):
    loop = open_loop(tpf_bundle(tmp_path / "b", adapter(name)), threads=2)
    pair, box = square_pair(0, path_box(0)), path_box(0)
    loop.step(pair, box)
    state = loop.step(pair)
    assert overlap(state.box, box) > 0.5
    assert state.status is TrackStatus.TRACKING
    loop.close()


def test_fields_of_the_manifest_reach_the_state_machine():
    every_frame = DynamicTemplate(interval_frames=1, score_threshold=0.1)
    inputs = FusedImages(tpf_manifest(dynamic_template=every_frame), open_adapter(adapter("add")))
    seen = follow(inputs, [0.2, 0.2])
    assert not np.array_equal(seen[1], seen[0])
    assert not np.array_equal(seen[2], seen[1])
