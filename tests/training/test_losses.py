"""Losses, heat maps, jitter and box mapping against numbers of the published code (vectors/ckd/units.npz)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_rgbt.types import Box
from training.data.samples import box_in_crop, jittered_box
from training.losses.ckd import content_loss, style_loss
from training.losses.task import (
    corners_from_cxcywh,
    corners_from_xywh,
    focal_loss,
    gaussian_heatmaps,
    giou_loss,
    heatmap_radius,
    l1_loss,
)
from training.synthetic_weights import noise


@pytest.fixture(scope="module")
def units(shared_vectors):
    return np.load(shared_vectors / "ckd" / "units.npz")


@pytest.fixture(scope="module")
def taps():
    x = (1.7 * noise("units/x", 0, [2, 20, 768]) + 0.3).astype(np.float32)
    y = (0.6 * noise("units/y", 0, [2, 20, 768]) - 0.2).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.fixture(scope="module")
def score():
    raw = torch.from_numpy(noise("units/score", 0, [7, 1, 16, 16]).astype(np.float32))
    return raw.sigmoid().clamp(1e-4, 1 - 1e-4)


def test_style_loss_of_one_layer(units, taps):
    value = style_loss([taps[0]], [taps[1]])
    assert float(value) == pytest.approx(float(units["style_channel"]), rel=1e-4)


def test_content_loss_of_one_layer(units, taps):
    value = content_loss([taps[0]], [taps[1]])
    assert float(value) == pytest.approx(float(units["content_channel"]), rel=1e-4)


def test_content_loss_leaves_the_teacher_alone(taps):
    teacher, student = (t.clone().requires_grad_() for t in taps)
    content_loss([teacher], [student]).sum().backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_heatmaps(units):
    maps = gaussian_heatmaps(units["heat_boxes"], 16)
    np.testing.assert_allclose(maps, units["heatmaps"], atol=1e-6)


def test_heatmap_radius(units):
    cells = units["heat_boxes"].astype(np.float64) * 16
    radius = heatmap_radius(cells[:, 2], cells[:, 3])
    np.testing.assert_allclose(radius, units["heat_radius"], rtol=1e-5)


def test_centre_at_a_half_goes_to_the_even_cell():
    box = np.array([[6.5 / 16 - 0.1, 7.5 / 16 - 0.1, 0.2, 0.2]])
    row, column = np.argwhere(gaussian_heatmaps(box, 16)[0] == 1)[0]
    assert (column, row) == (6, 8)


def test_centre_outside_the_grid_leaves_no_peak():
    assert gaussian_heatmaps(np.array([[0.95, 0.4, 0.1, 0.1]]), 16).max() < 1


def test_focal_loss_of_a_batch(units, score):
    value = focal_loss(score, torch.from_numpy(units["heatmaps"])[:, None])
    assert float(value) == pytest.approx(float(units["focal_all"]), rel=1e-4)


def test_focal_loss_one_by_one(units, score):
    heatmaps = torch.from_numpy(units["heatmaps"])[:, None]
    values = [float(focal_loss(s[None], h[None])) for s, h in zip(score, heatmaps, strict=True)]
    np.testing.assert_allclose(values, units["focal_each"], rtol=1e-4)


def test_box_losses(units):
    target = corners_from_xywh(torch.from_numpy(units["heat_boxes"])).clamp(0, 1)
    predicted = corners_from_cxcywh(torch.from_numpy(units["giou_pred_cxcywh"]))
    giou, iou = giou_loss(predicted, target)
    assert float(giou) == pytest.approx(float(units["giou_loss"]), rel=1e-4)
    np.testing.assert_allclose(iou.numpy(), units["iou"], rtol=1e-4, atol=1e-7)
    assert float(l1_loss(predicted, target)) == pytest.approx(float(units["l1_loss"]), rel=1e-4)


def test_box_of_negative_size_counts_nothing():
    box = torch.tensor([[0.5, 0.5, 0.4, 0.6]])
    assert float(giou_loss(box, torch.tensor([[0.1, 0.1, 0.3, 0.3]]))[0]) == 0


def test_search_jitter(units):
    for box, size_noise, centre_noise, expected in zip(
        units["jitter_box"], units["jitter_randn"], units["jitter_rand"], units["jitter_out"], strict=True
    ):
        got = jittered_box(Box(*map(float, box)), size_noise, centre_noise, 0.25, 3.0)
        np.testing.assert_allclose(got.as_tuple(), expected, rtol=1e-4, atol=1e-3)


def test_box_mapping_into_the_crop(shared_vectors):
    crop = np.load(shared_vectors / "ckd" / "crop.npz")
    for truth, around, expected in zip(crop["map_gt"], crop["map_extract"], crop["map_out"], strict=True):
        got = box_in_crop(Box(*map(float, truth)), Box(*map(float, around)), 256, 4.0)
        np.testing.assert_allclose(got, expected, atol=2e-6)
