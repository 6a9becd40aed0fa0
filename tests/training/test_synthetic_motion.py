"""Targets pasted into image pairs: boxes hold what was pasted, draws repeat, batches ignore workers."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.types import Box
from training.data.cutouts import find_cutouts
from training.data.degradation import DegradationRates, degrade
from training.data.loader import BatchStream, batch_loader, to_batch
from training.data.samples import AlignedImages, CropSizes, RejectedSample, TrackingSample
from training.data.sprites import Part, Pose, Sprite, paste, random_sprite
from training.data.synthetic_motion import MotionSettings, SyntheticMotion, _same_part

SIZES = CropSizes(template=64, search=128)


@pytest.fixture(scope="module")
def bank():
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 255, (24, 32, 3), np.uint8) for _ in range(4)]
    rgb = [c.repeat(10, axis=0).repeat(10, axis=1) for c in coarse]
    return [AlignedImages(image, np.ascontiguousarray(255 - image[:, :, 0])) for image in rgb]


def white_square() -> Sprite:
    full = np.full((64, 64), 255, np.uint8)
    return Sprite((Part(np.full((64, 64, 3), 255, np.uint8), full, full, (0.5, 0.5), (1.0, 1.0)),), 1.0)


def black_scene() -> AlignedImages:
    return AlignedImages(np.zeros((100, 120, 3), np.uint8), np.zeros((100, 120), np.uint8))


def test_the_box_holds_what_was_pasted():
    scene = black_scene()
    box = paste(scene, white_square(), Pose(60, 50, 30, 20, 0, 0, 1), (0.0, 0.0))
    assert box is not None
    np.testing.assert_allclose(box.as_tuple(), (45, 40, 30, 20), atol=1)
    rows, columns = np.nonzero(scene.rgb[:, :, 0] > 127)
    assert (columns.min(), rows.min()) == (box.x, box.y)


def test_thermal_is_pasted_beside_the_box_by_the_misalignment():
    scene = black_scene()
    paste(scene, white_square(), Pose(60, 50, 20, 20, 0, 0, 1), (6.0, -3.0))
    rows, columns = np.nonzero(scene.tir > 127)
    assert columns.mean() - 59.5 == pytest.approx(6, abs=0.6)
    assert rows.mean() - 49.5 == pytest.approx(-3, abs=0.6)


def test_pasting_outside_the_picture_gives_no_box():
    assert paste(black_scene(), white_square(), Pose(400, 50, 20, 20, 0, 0, 1), (0.0, 0.0)) is None


@pytest.fixture
def street():
    """A cool, noisy thermal picture with one warm upright body and a warm band along its lower edge."""
    rng = np.random.default_rng(3)
    tir = rng.integers(40, 60, (200, 240), np.uint8)
    rgb = rng.integers(0, 90, (200, 240, 3), np.uint8)
    tir[60:120, 100:124] = 190
    rgb[60:120, 100:124] = (250, 20, 20)
    tir[170:, :] = 190
    return AlignedImages(rgb, tir)


def test_a_warm_body_is_cut_out_along_its_outline_and_wide_warm_ground_is_not(street):
    (thing,) = find_cutouts([street])
    np.testing.assert_allclose(thing.box.as_tuple(), (100, 60, 24, 60), atol=3)
    assert thing.source == 0
    assert thing.sprite.aspect == pytest.approx(24 / 60, rel=0.2)
    (part,) = thing.sprite.parts
    assert part.rgb[32, 32].tolist() == [250, 20, 20]
    assert part.mask[32, 32] == 255


def test_a_thing_that_stands_in_a_picture_keeps_its_box_when_the_camera_moves(street):
    always = MotionSettings(natural_target=1.0, natural_cutout=1.0, target_size_px=(30.0, 30.0))
    source = SyntheticMotion([street], SIZES, always)
    sample = source.draw(np.random.default_rng(2))
    red = (sample.search_rgb[..., 0] > 150) & (sample.search_rgb[..., 1] < 100)
    rows, columns = np.nonzero(red)
    x, y, w, h = sample.target * SIZES.search
    np.testing.assert_allclose([columns.min(), rows.min()], [x, y], atol=5)
    np.testing.assert_allclose([columns.max(), rows.max()], [x + w, y + h], atol=5)


def test_the_same_generator_state_gives_the_same_sample(bank):
    first, second = (SyntheticMotion(bank, SIZES).draw(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.search_rgb, second.search_rgb)
    np.testing.assert_array_equal(first.target, second.target)


def test_samples_have_the_promised_shapes_and_a_target_inside(bank):
    source = SyntheticMotion(bank, SIZES, MotionSettings(natural_target=0.5))
    drawn = 0
    for seed in range(40):
        try:
            sample = source.draw(np.random.default_rng(seed))
        except RejectedSample:
            continue
        drawn += 1
        assert sample.template_rgb.shape == (64, 64, 3)
        assert sample.search_tir.shape == (128, 128)
        centre = sample.target[:2] + sample.target[2:] / 2
        assert (centre > 0).all()
        assert (centre < 1).all()
    assert drawn > 20


def test_tall_and_wide_targets_occur(bank):
    aspects = [random_sprite(bank, np.random.default_rng(seed)).aspect for seed in range(60)]
    assert min(aspects) < 1 / 1.6
    assert max(aspects) > 1.6


def test_mirroring_moves_the_target_with_the_picture():
    search = np.zeros((128, 128, 3), np.uint8)
    search[:, 10:20] = 255
    blank = np.zeros((64, 64), np.uint8)
    target = np.array([10 / 128, 0.2, 10 / 128, 0.3], np.float32)
    sample = TrackingSample(
        np.zeros((64, 64, 3), np.uint8), blank, search, search[:, :, 0].copy(), target, (0.5, 0.5)
    )
    only_mirror = DegradationRates(*[0.0] * 7, mirror=1.0)
    mirrored = degrade(sample, only_mirror, np.random.default_rng(0))
    bright = np.flatnonzero(mirrored.search_rgb[64, :, 0] > 127)
    assert mirrored.target[0] * 128 == pytest.approx(bright.min(), abs=1e-3)


def test_degradation_keeps_sizes_and_types(bank):
    sample = SyntheticMotion(bank, SIZES).draw(np.random.default_rng(5))
    always = DegradationRates(*[1.0] * 8)
    for seed in range(5):
        degraded = degrade(sample, always, np.random.default_rng(seed))
        for name in ("template_rgb", "template_tir", "search_rgb", "search_tir"):
            assert getattr(degraded, name).shape == getattr(sample, name).shape
            assert getattr(degraded, name).dtype == np.uint8


def test_batches_do_not_depend_on_the_number_of_workers(bank):
    stream = BatchStream([(SyntheticMotion(bank, SIZES), 1.0)], batch_size=2, seed=3)
    alone = list(batch_loader(stream, 0, 3, workers=0))
    helped = list(batch_loader(stream, 0, 3, workers=2))
    for a, b in zip(alone, helped, strict=True):
        assert (a["search_rgb"] == b["search_rgb"]).all()


def test_a_resumed_stream_goes_on_where_it_stopped(bank):
    stream = BatchStream([(SyntheticMotion(bank, SIZES), 1.0)], batch_size=2, seed=3)
    whole = list(batch_loader(stream, 0, 3, workers=0))
    resumed = list(batch_loader(stream, 2, 3, workers=0))
    assert (whole[2]["template_tir"] == resumed[0]["template_tir"]).all()


def test_thermal_crops_reach_the_network_with_three_equal_channels(bank):
    stream = BatchStream([(SyntheticMotion(bank, SIZES), 1.0)], batch_size=2, seed=3)
    batch = to_batch(next(iter(batch_loader(stream, 0, 1, workers=0))))
    assert batch.search_tir.shape == (2, 3, 128, 128)
    assert (batch.search_tir[:, 0] == batch.search_tir[:, 2]).all()


def test_a_part_is_the_same_part_in_template_and_search():
    boxes = (Box(0, 0, 40, 80), Box(100, 50, 80, 120))
    for seed in range(20):
        first, second = _same_part(boxes, 0.5, np.random.default_rng(seed))
        shares = [
            ((part.x - b.x) / b.w, (part.y - b.y) / b.h, part.w / b.w, part.h / b.h)
            for part, b in zip((first, second), boxes, strict=True)
        ]
        assert shares[0] == pytest.approx(shares[1])
        assert 0.25 <= shares[0][2] * shares[0][3] <= 0.9


def test_templates_are_dimmed_after_everything_else(bank):
    plain = BatchStream([(SyntheticMotion(bank, SIZES), 1.0)], 4, seed=0)
    dimmed = BatchStream([(SyntheticMotion(bank, SIZES), 1.0)], 4, seed=0, template_dimming=0.5)
    for name in ("template_rgb", "template_tir"):
        a, b = plain[0][name], dimmed[0][name]
        np.testing.assert_allclose(b[:, 0], a[:, 0] / 2, atol=0.5)
        assert (b[:, 32, 32] == a[:, 32, 32]).all()
    assert (plain[0]["search_rgb"] == dimmed[0]["search_rgb"]).all()
