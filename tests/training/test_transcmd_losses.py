"""Distillation losses by their formulas: energies, ranges, zeros, symmetries, selection of paths."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from training.losses.transcmd import (
    DistillationWeights,
    feature_loss,
    path_loss,
    path_overlaps,
    path_selection,
    response_loss,
    token_distance,
    token_weights,
)
from training.models.distillation import common_and_specific, layer_pairs, plain_norm

Pair = tuple[Tensor, Tensor]  # tokens of both modalities


def tokens(seed: int, width: int = 24) -> Tensor:
    return torch.randn(2, 16, width, generator=torch.Generator().manual_seed(seed)) * 3 + 1


UNIFORM = torch.full((2, 16), 1 / 16)


def test_common_and_specific_split_the_energy_exactly() -> None:
    rgb, tir = tokens(1), tokens(2)
    common, specific = common_and_specific(rgb, tir)
    parts = common.square().sum(-1) + specific.square().sum(-1)
    whole = (plain_norm(rgb).square().sum(-1) + plain_norm(tir).square().sum(-1)) / 2
    torch.testing.assert_close(parts, whole)


def test_common_and_specific_can_be_inverted() -> None:
    rgb, tir = tokens(1), tokens(2)
    common, specific = common_and_specific(rgb, tir)
    torch.testing.assert_close(common + specific, plain_norm(rgb))
    torch.testing.assert_close(common - specific, plain_norm(tir))


def test_distance_is_twice_one_minus_the_correlation() -> None:
    a, b = tokens(1), tokens(2)
    pairs = torch.stack((a, b), dim=2).flatten(0, 1)  # [tokens, 2, C]
    wanted = torch.stack([2 * (1 - torch.corrcoef(pair)[0, 1]) for pair in pairs])
    torch.testing.assert_close(token_distance(a, b).flatten(), wanted, atol=1e-4, rtol=0)


def test_distance_spans_zero_to_four() -> None:
    a = tokens(1)
    torch.testing.assert_close(token_distance(a, 5 * a + 2), torch.zeros(2, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(token_distance(a, -a), torch.full((2, 16), 4.0), atol=1e-4, rtol=0)


def test_token_weights_sum_to_one_and_are_five_times_as_large_at_the_centre() -> None:
    heatmap = torch.zeros(2, 1, 4, 4)
    heatmap[:, 0, 1, 2] = 1.0
    weights = token_weights(heatmap)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(weights[:, 6], 5 * weights[:, 0])


def feature_losses(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], project: Tensor
) -> list[float]:
    """Common and specific loss of one layer, both parts through the same projection without bias."""
    pairs = zip(common_and_specific(*student), common_and_specific(*teacher), strict=True)
    return [feature_loss([s @ project], [t], UNIFORM).item() for s, t in pairs]


def test_equal_student_and_teacher_have_no_feature_loss() -> None:
    same = (tokens(1), tokens(2))
    assert feature_losses(same, same, torch.eye(24)) == pytest.approx([0, 0], abs=1e-6)


def test_swapping_the_modalities_on_both_sides_changes_nothing() -> None:
    student, teacher = (tokens(1), tokens(2)), (tokens(3), tokens(4))
    project = torch.randn(24, 24, generator=torch.Generator().manual_seed(0))
    as_is = feature_losses(student, teacher, project)
    assert feature_losses(student[::-1], teacher[::-1], project) == pytest.approx(as_is, rel=1e-5)


def test_swapping_the_modalities_on_one_side_shows_in_the_specific_part() -> None:
    same = (tokens(1), tokens(2))
    assert feature_losses(same, same[::-1], torch.eye(24)) == pytest.approx([0, 4], abs=1e-3)


def test_selection_sums_to_one_and_is_uniform_for_equal_overlaps() -> None:
    selection = path_selection(torch.tensor([[0.4, 0.4, 0.4], [0.9, 0.1, 0.3]]))
    torch.testing.assert_close(selection.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(selection[0], torch.full((3,), 1 / 3))


def test_selection_concentrates_on_the_best_path() -> None:
    soft = path_selection(torch.tensor([[0.9, 0.1, 0.3]]))
    assert soft[0, 0] > 0.99
    lead = path_selection(torch.tensor([[0.6, 0.5]]))
    assert (lead[0, 0] / lead[0, 1]).item() == pytest.approx(math.e, rel=1e-4)


def test_hard_selection_takes_the_first_of_the_best_only() -> None:
    overlaps = torch.tensor([[0.2, 0.6, 0.5], [0.7, 0.7, 0.0]])
    assert path_selection(overlaps, hard=True).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_overlaps_are_those_of_each_path_with_the_truth() -> None:
    truth = torch.tensor([[0.2, 0.2, 0.4, 0.4]])
    boxes = [[0.4, 0.4, 0.4, 0.4], [0.4, 0.3, 0.4, 0.2], [0.8, 0.8, 0.2, 0.2]]  # exact, upper half, beside
    overlaps = path_overlaps([torch.tensor([box]) for box in boxes], truth)
    torch.testing.assert_close(overlaps, torch.tensor([[1.0, 0.5, 0.0]]))


def test_path_loss_counts_the_selected_path() -> None:
    student = tokens(1)
    selection = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    near = path_loss([student, student], [tokens(2), student], selection, UNIFORM)
    far = path_loss([student, student], [student, -student], selection, UNIFORM)
    assert (near.item(), far.item()) == (pytest.approx(0, abs=1e-5), pytest.approx(4, abs=1e-3))


def test_response_loss_is_zero_at_the_teacher_and_grows_with_the_distance() -> None:
    teacher = torch.tensor([0.01, 0.3, 0.7, 0.99]).view(1, 1, 2, 2)
    losses = [response_loss((teacher + step).clamp(0.005, 0.995), teacher).item() for step in (0, 0.1, 0.2)]
    assert losses[0] == 0 < losses[1] < losses[2]


def test_no_gradient_reaches_the_teacher() -> None:
    student, teacher = tokens(1).requires_grad_(), tokens(2).requires_grad_()
    score = torch.full((2, 1, 4, 4), 0.3, requires_grad=True)
    teacher_score = torch.full((2, 1, 4, 4), 0.6, requires_grad=True)
    overlaps = torch.tensor([[0.5], [0.5]], requires_grad=True)
    total = feature_loss([student], [teacher], UNIFORM).sum() + response_loss(score, teacher_score)
    (total + path_loss([student], [teacher], path_selection(overlaps), UNIFORM)).backward()
    assert student.grad is not None
    assert student.grad.any()
    assert score.grad is not None
    assert teacher.grad is teacher_score.grad is overlaps.grad is None


@pytest.mark.parametrize(
    ("student", "teacher", "pairs"),
    [
        (12, 12, ((3, 3), (7, 7), (11, 11))),
        (6, 12, ((1, 3), (3, 7), (5, 11))),
        (4, 12, ((0, 3), (2, 7), (3, 11))),
        (1, 3, ((0, 0), (0, 1), (0, 2))),
        (1, 1, ((0, 0),)),
    ],
)
def test_layers_are_paired_by_relative_depth(student: int, teacher: int, pairs: tuple) -> None:
    assert layer_pairs(student, teacher) == pairs


def test_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="response -1 must not be negative"):
        DistillationWeights(response=-1)
