"""Crops, windows and boxes against the published tracker's numbers, and beyond them against reason."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.imageops import (
    clip_box,
    crop_geometry,
    crop_square,
    crop_thermal,
    decode_peak,
    dim_surroundings,
    hann_window,
    padding_mask,
    picture_box,
    shape_prior,
)
from edge_rgbt.types import Box

FACTORS_AND_SIZES = ((2.0, 128), (4.0, 256))


@pytest.fixture(scope="module")
def crops(shared_vectors) -> dict[str, np.ndarray]:
    with np.load(shared_vectors / "ckd" / "crop.npz") as file:
        return dict(file)


def _boxes(crops) -> list[Box]:
    return [Box(*map(float, row)) for row in crops["f64_boxes"]]


def test_crop_geometry_equals_the_published_one(crops):
    height, width = crops["image"].shape[:2]
    for i, box in enumerate(_boxes(crops)):
        for k, (factor, size) in enumerate(FACTORS_AND_SIZES):
            g = crop_geometry(box, factor, size)
            x1, y1, x2, y2 = g.inside(width, height)
            pads = (x1 - g.x1, g.x1 + g.side - x2, y1 - g.y1, g.y1 + g.side - y2)
            assert (g.side, g.x1, g.y1, *pads) == tuple(crops["geometry"][i, k]), f"box {i}, factor {factor}"
            assert g.scale == crops["f64_resize"][i, k]


def test_template_and_search_crops_equal_the_published_pixels(crops):
    for i, box in enumerate(_boxes(crops)):
        template = crop_square(crops["image"], crop_geometry(box, 2.0, 128))
        search = crop_square(crops["image"], crop_geometry(box, 4.0, 256))
        # Another OpenCV build may round one level differently.
        for crop, wanted in (
            (template[::2, ::2], crops["template_crop_s2"][i]),
            (search[::4, ::4], crops["search_crop_s4"][i]),
        ):
            assert np.abs(crop.astype(int) - wanted).max() <= 1, f"box {i}"
            assert (crop == wanted).mean() > 0.999, f"box {i}"


def test_padding_mask_equals_the_published_one(crops):
    height, width = crops["image"].shape[:2]
    for i, box in enumerate(_boxes(crops)):
        mask = padding_mask(crop_geometry(box, 4.0, 256), width, height)
        wanted = np.unpackbits(crops["search_pad_mask_bits"][i], axis=-1).astype(bool)
        assert np.array_equal(mask, wanted), f"box {i}"


def test_window_equals_the_published_one(crops):
    np.testing.assert_allclose(hann_window(16), crops["hann16"], atol=1e-7)


def test_clipping_equals_the_published_one(crops):
    for given, wanted in zip(crops["f64_clip_in"], crops["f64_clip_out"], strict=True):
        clipped = clip_box(tuple(map(float, given)), 200, 150, 10.0)
        np.testing.assert_allclose(clipped.as_tuple(), wanted, atol=1e-9)


@pytest.mark.parametrize("name", ["track_none", "track_mce", "track_edge_mce"])
def test_published_score_maps_peak_in_the_published_cell(shared_vectors, name):
    with np.load(shared_vectors / "ckd" / f"{name}.npz") as track:
        for scores, cell in zip(track["score_maps"], track["cell_yx"], strict=True):
            flat = np.zeros((2, 16, 16), np.float32)
            peak = decode_peak(scores, flat, flat, hann_window(16))
            assert (peak.row, peak.col) == tuple(cell)
            assert peak.score == pytest.approx(float(scores.max()))


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("track_none", "track_frames"),
        ("track_mce", "track_frames"),
        ("track_edge_mce", "track_edge_frames"),
    ],
)
def test_search_crops_along_the_published_tracks_have_the_published_mean(shared_vectors, name, frames):
    folder = shared_vectors / "ckd"
    with np.load(folder / f"{name}.npz") as track, np.load(folder / f"{frames}.npz") as pictures:
        for t in range(1, len(track["f64_boxes"])):
            geometry = crop_geometry(Box(*map(float, track["f64_boxes"][t - 1])), 4.0, 256)
            assert geometry.scale == pytest.approx(float(track["f64_resize"][t]))
            means = [
                crop_square(pictures["rgb"][t], geometry).mean(),
                crop_thermal(pictures["tir"][t], geometry).mean(),
            ]
            np.testing.assert_allclose(means, track["f64_crop_mean"][t - 1], atol=0.02)


def test_thermal_crop_equals_a_crop_of_the_replicated_picture():
    picture = np.random.default_rng(0).integers(0, 256, (90, 110), np.uint8)
    for box in (Box(20, 20, 31, 17), Box(-5, 60, 40, 40)):
        geometry = crop_geometry(box, 4.0, 128)
        replicated = np.repeat(picture[..., None], 3, axis=2)
        assert np.array_equal(crop_thermal(picture, geometry), crop_square(replicated, geometry))


def test_square_corner_on_a_half_goes_to_the_even_pixel():
    assert [crop_geometry(Box(x, 0.0, 20.0, 20.0), 2.0, 64).x1 for x in (10.5, 11.5, 12.5)] == [0, 2, 2]


def test_crop_outside_the_picture_is_all_zero_and_all_padding():
    picture = np.full((40, 50, 3), 200, np.uint8)
    geometry = crop_geometry(Box(500, 500, 10, 10), 2.0, 32)
    assert crop_square(picture, geometry).max() == 0
    assert padding_mask(geometry, 50, 40).all()


def test_crop_far_larger_than_the_picture_keeps_the_picture_in_place():
    picture = np.full((600, 600), 200, np.uint8)
    crop = crop_square(picture, crop_geometry(Box(0, 0, 600, 600), 4.0, 64))
    assert crop[32, 32] == 200
    assert crop[:20].max() == 0


def test_box_in_the_middle_of_the_crop_comes_back_as_the_same_box():
    box = Box(40.3, 31.7, 22.0, 18.0)
    geometry = crop_geometry(box, 4.0, 256)
    scores = np.zeros((16, 16), np.float32)
    scores[8, 8] = 1.0
    size = np.empty((2, 16, 16), np.float32)
    size[0], size[1] = box.w / geometry.side, box.h / geometry.side
    peak = decode_peak(scores, size, np.zeros((2, 16, 16), np.float32))
    np.testing.assert_allclose(picture_box(peak, geometry), box.as_tuple(), atol=1e-4)


def test_first_of_equal_maxima_wins():
    flat = np.zeros((2, 4, 4), np.float32)
    peak = decode_peak(np.full((4, 4), 0.5, np.float32), flat, flat)
    assert (peak.row, peak.col) == (0, 0)


def test_window_weight_blends_between_plain_score_and_full_window():
    scores = np.full((16, 16), 0.5, np.float32)
    scores[0, 0] = 0.9
    flat = np.zeros((2, 16, 16), np.float32)
    full = decode_peak(scores, flat, flat, hann_window(16), 1.0)
    none = decode_peak(scores, flat, flat, hann_window(16), 0.0)
    assert (none.row, none.col) == (0, 0)
    assert full.row in (7, 8)
    assert full.score == none.score == pytest.approx(0.9)


def test_shape_prior_is_one_for_the_last_box_and_falls_with_scale_and_aspect():
    # columns: as before, twice as large, half as large, twice as wide and half as high
    size = np.array([[[0.2, 0.4, 0.1, 0.4]], [[0.3, 0.6, 0.15, 0.15]]], np.float32)
    prior = shape_prior(size, 0.2, 0.3, 0.5)
    np.testing.assert_allclose(prior, np.exp([[0.0, -0.5 * 1, -0.5 * 1, -0.5 * 3]]), rtol=1e-5)


def test_prior_moves_the_peak_to_a_cell_whose_box_fits():
    scores = np.zeros((16, 16), np.float32)
    scores[4, 4], scores[9, 9] = 0.8, 0.7
    size = np.full((2, 16, 16), 0.25, np.float32)
    size[:, 4, 4] = 0.5
    prior = shape_prior(size, 0.25, 0.25, 0.3)
    peak = decode_peak(scores, size, np.zeros_like(size), prior=prior)
    assert (peak.row, peak.col) == (9, 9)
    assert peak.score == pytest.approx(0.8)


def test_clipping_in_a_one_pixel_picture_stays_inside_it():
    assert clip_box((-50.0, 3.0, 4.0, 500.0), 1, 1).as_tuple() == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_dimming_leaves_the_box_in_the_middle_and_darkens_the_rest(channels):
    crop = np.full((64, 64, *channels), 200, np.uint8)
    dimmed = dim_surroundings(crop, width=0.25, height=0.5, dimming=0.5)
    inside = np.zeros((64, 64), bool)
    inside[16:48, 24:40] = True
    assert (dimmed[inside] == 200).all()
    assert (dimmed[~inside] == 100).all()
    assert (crop == 200).all()


def test_a_box_larger_than_the_crop_is_not_dimmed():
    crop = np.full((8, 8), 90, np.uint8)
    assert (dim_surroundings(crop, 1.5, 1.0, 0.5) == 90).all()
