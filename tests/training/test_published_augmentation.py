"""The published augmentation: equal to the release on its dice, frames and crops alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_rgbt.types import Box
from training.data.loader import to_batch
from training.data.published_augmentation import (
    Dice,
    PublishedAugmentation,
    PublishedRates,
    cut_as_published,
    roll,
    vary_crops,
)
from training.data.samples import AlignedImages, CropSizes, Moment, RejectedSample, UncutSample

SIZES = CropSizes(template=128, search=256)
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
STD = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]


def dice(**changes) -> Dice:
    """Dice that change nothing, except as told."""
    still = {
        "grey": False,
        "mirror": False,
        "gains": (1.0, 1.0, 1.0),
        "own_mirrors": (False, False, False),
        "size_noise": np.zeros(2),
        "centre_noise": np.full(2, 0.5),
    }
    return Dice(**{**still, **changes})


def striped(width: int = 200, height: int = 150) -> AlignedImages:
    """Colour and thermal pictures whose columns and rows can be told apart."""
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = np.stack([columns, rows, (columns + rows) // 2], axis=2).astype(np.uint8)
    return AlignedImages(rgb, (255 - columns).astype(np.uint8))


def uncut(dynamic: bool = False, box: Box | None = None) -> UncutSample:
    moment = Moment(striped(), box or Box(90, 60, 20, 24))
    return UncutSample(moment, moment, SIZES, moment if dynamic else None)


@pytest.fixture(scope="module")
def vectors(shared_vectors: Path) -> dict[str, np.ndarray]:
    with np.load(shared_vectors / "ckd" / "augment.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", range(4))
def test_the_release_and_we_make_the_same_sample(vectors, case):
    row = [float(v) for v in vectors["dice"][case]]
    thrown = Dice(
        grey=bool(row[0]),
        mirror=bool(row[1]),
        gains=(row[2], row[3], 1.0),
        own_mirrors=(bool(row[4]), bool(row[5]), False),
        size_noise=np.array(row[6:8]),
        centre_noise=np.array(row[8:10]),
    )
    moments = [
        Moment(
            AlignedImages(vectors[f"{frame}_frame_rgb"], vectors[f"{frame}_frame_tir"]),
            Box(*map(float, vectors[f"{frame}_box"])),
        )
        for frame in ("template", "search")
    ]
    sample = cut_as_published(UncutSample(moments[0], moments[1], SIZES), thrown)
    np.testing.assert_allclose(sample.target, vectors[f"case{case}_search_anno"], atol=1e-6)
    arrays = {
        name: torch.from_numpy(getattr(sample, name)[None].copy())
        for name in ("template_rgb", "template_tir", "search_rgb", "search_tir", "target")
    }
    batch = to_batch(arrays | {"gains": torch.tensor([sample.gains], dtype=torch.float32)})
    for frame, stride in (("template", 4), ("search", 8)):
        for number, modality in enumerate(("rgb", "tir")):
            crop = getattr(batch, f"{frame}_{modality}")[0].numpy()
            normalised = (crop / 255 - MEAN) / STD
            expected = vectors[f"case{case}_{frame}"][number]
            np.testing.assert_allclose(normalised[:, ::stride, ::stride], expected, atol=1e-5)


def test_a_crop_of_padding_only_is_rejected():
    with pytest.raises(RejectedSample, match="outside"):
        cut_as_published(uncut(box=Box(900, 60, 20, 24)), dice())


def test_the_joint_mirror_reaches_every_frame_and_modality():
    plain, mirrored = cut_as_published(uncut(True), dice()), cut_as_published(uncut(True), dice(mirror=True))
    for name in ("template_rgb", "template_tir", "search_rgb", "search_tir", "dynamic_rgb", "dynamic_tir"):
        crops = getattr(plain, name), getattr(mirrored, name)
        assert (np.sign(np.diff(crops[0][64, 60:68].astype(int), axis=0)) != 0).any()
        np.testing.assert_array_less(abs(crops[1][:, ::-1].astype(int) - crops[0])[40:80, 40:80], 4)


def test_the_dynamic_template_has_a_mirror_and_a_gain_of_its_own():
    thrown = dice(own_mirrors=(False, False, True), gains=(1.0, 1.0, 0.9))
    sample = cut_as_published(uncut(dynamic=True), thrown)
    np.testing.assert_array_equal(sample.dynamic_rgb, sample.template_rgb[:, ::-1])
    assert sample.gains == (1.0, 1.0, 0.9)


def test_grey_leaves_colours_equal_and_thermal_as_it_was():
    sample = cut_as_published(uncut(), dice(grey=True))
    assert (sample.search_rgb[..., 0] == sample.search_rgb[..., 2]).all()
    np.testing.assert_array_equal(sample.search_tir, cut_as_published(uncut(), dice()).search_tir)


def test_mirroring_crops_twice_gives_them_back():
    sample = cut_as_published(uncut(), dice())
    same = vary_crops(sample, dice(mirror=True, own_mirrors=(True, True, True)))
    np.testing.assert_array_equal(same.search_rgb, sample.search_rgb)
    np.testing.assert_array_equal(same.target, sample.target)


def test_crops_cut_elsewhere_mirror_with_their_target():
    sample = cut_as_published(uncut(), dice(centre_noise=np.array([0.7, 0.5])))
    mirrored = vary_crops(sample, dice(mirror=True))
    np.testing.assert_array_equal(mirrored.search_tir, sample.search_tir[:, ::-1])
    x, _, w, _ = sample.target
    assert mirrored.target[0] == pytest.approx(1 - x - w, abs=1e-6)


def test_validation_rates_leave_brightness_and_the_second_mirror_alone():
    rates = PublishedRates(brightness=0.0, own_mirror=0.0)
    for seed in range(20):
        thrown = roll(rates, np.random.default_rng(seed))
        assert thrown.gains == (1.0, 1.0, 1.0)
        assert not any(thrown.own_mirrors)


def test_dice_fall_as_often_as_published():
    rolled = [roll(PublishedRates(), np.random.default_rng(seed)) for seed in range(1500)]
    assert np.mean([d.grey for d in rolled]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([d.mirror for d in rolled]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([d.own_mirrors for d in rolled], axis=0) == pytest.approx([0.5] * 3, abs=0.05)
    gains = np.array([d.gains for d in rolled])
    assert (gains.min(), gains.max()) == pytest.approx((0.8, 1.2), abs=0.01)


def test_the_same_generator_state_gives_the_same_sample():
    first, second = (PublishedAugmentation().apply(uncut(), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first.search_rgb, second.search_rgb)
    np.testing.assert_array_equal(first.target, second.target)
