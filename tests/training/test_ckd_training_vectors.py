"""One training step of each published stage, forward and backward, against the released code.

The total that is differentiated, the parameter groups and what is frozen are the recipe's own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ckd_networks import vector_inputs

from training.engine.schedules import make_optimiser
from training.losses.ckd import content_loss, style_loss
from training.losses.task import gaussian_heatmaps, task_loss
from training.models.ckd import CkdConfig, CkdTrainingModel, TrainingOutput
from training.models.elimination import EliminationConfig
from training.models.head import decode_boxes
from training.models.vit import VitConfig
from training.recipes.ckd import coupled_losses
from training.recipes.ckd_settings import DistillationSettings, Recipe
from training.recipes.ckd_start import choose_trained
from training.recipes.settings import load_settings

RECIPES = Path(__file__).resolve().parents[2] / "training" / "recipes"
HEADS = {"student": "box_head", "t_rgb": "box_head_v", "t_tir": "box_head_i"}
GROUPS = ("head", "rgb_branch", "tir_branch", "teacher_rgb", "teacher_tir")

pytestmark = pytest.mark.slow


def make_model(state: dict[str, torch.Tensor], mode: str) -> CkdTrainingModel:
    """In training mode without drop path; weights shared with `state`, running statistics not."""
    config = CkdConfig(vit=VitConfig(drop_path=0.0), elimination=EliminationConfig(mode=mode))
    with torch.device("meta"):
        model = CkdTrainingModel(config)
    buffers = {name for name, _ in model.named_buffers()}
    model.load_state_dict({k: v.clone() if k in buffers else v for k, v in state.items()}, assign=True)
    return model.train()


def forward(model: CkdTrainingModel, vectors: np.lib.npyio.NpzFile) -> TrainingOutput:
    z_rgb, z_tir, x_rgb, x_tir = vector_inputs(vectors)
    mask = torch.from_numpy(vectors["mask_keep"]) if "mask_keep" in vectors else None
    return model((z_rgb, z_tir), (x_rgb, x_tir), mask)


def losses(output: TrainingOutput, vectors: np.lib.npyio.NpzFile) -> dict[str, torch.Tensor]:
    """Every loss term by the name the vectors give it, and `total`."""
    boxes = torch.from_numpy(vectors["search_anno"])
    heatmap = torch.from_numpy(gaussian_heatmaps(boxes.numpy(), 16)).unsqueeze(1)
    terms = {"heatmap": heatmap}
    outputs = (output.student, output.teacher_rgb, output.teacher_tir)
    for name, head in zip(HEADS, outputs, strict=True):
        predicted = decode_boxes(head)
        loss = task_loss(head.score, predicted, boxes, heatmap)
        terms |= {f"{name}_giou": loss.giou, f"{name}_l1": loss.l1, f"{name}_focal": loss.focal}
        terms |= {f"{name}_pred_boxes": predicted.unsqueeze(1), f"{name}_score_map": head.score}
        if name == "student":
            terms |= {"status_IoU": loss.iou, "status_total": loss.total}
    taps = output.taps
    terms["style_layers"] = style_loss(taps.rgb_branch, taps.tir_branch)
    terms["content_layers_tir"] = content_loss(taps.teacher_tir, taps.tir_branch)
    terms["content_layers_rgb"] = content_loss(taps.teacher_rgb, taps.rgb_branch)
    parts = coupled_losses(output, boxes, heatmap, DistillationSettings(), centres=float(len(boxes)))
    terms["total"] = parts["total"]
    terms |= {"status_giou": parts["giou"], "status_l1": parts["l1"], "status_location": parts["focal"]}
    terms["status_style"] = parts["style"]
    terms["status_content"] = parts["content_rgb"] + parts["content_tir"]
    return terms


def assert_losses(terms: dict[str, torch.Tensor], vectors: np.lib.npyio.NpzFile) -> None:
    for name, value in terms.items():
        value = value.detach().numpy()
        if name.endswith("_pred_boxes"):
            np.testing.assert_allclose(value, vectors[name], atol=1e-5, err_msg=name)
        elif name.endswith("_score_map"):
            np.testing.assert_allclose(value, vectors[name], atol=2e-5, err_msg=name)
        else:
            np.testing.assert_allclose(value, vectors[name], rtol=1e-4, atol=1e-7, err_msg=name)


def assert_gradients(model: CkdTrainingModel, vectors: np.lib.npyio.NpzFile) -> None:
    gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}

    def norm(keep) -> float:
        return float(
            torch.stack(
                [g.double().norm() for key, g in gradients.items() if keep(key)] or [torch.zeros(())]
            ).norm()
        )

    assert norm(lambda _: True) == pytest.approx(float(vectors["grad_norm_total"]), rel=1e-3)
    for group in GROUPS:
        expected = float(vectors[f"grad_norm_{group}"])
        assert norm(lambda key, g=group: g in key) == pytest.approx(expected, rel=1e-3, abs=1e-12), group
    for head in HEADS.values():
        assert norm(lambda key, h=head: key.startswith(f"{h}.")) == pytest.approx(
            float(vectors[f"grad_norm_{head}"]), rel=1e-3
        )
        assert_gradient(gradients[f"{head}.conv5_ctr.weight"], vectors[f"grad_conv5_ctr_{head}"])
    for name in vectors.files:
        if name.startswith("grad:"):
            assert_gradient(gradients[name.removeprefix("grad:")], vectors[name])


def assert_gradient(found: torch.Tensor, expected: np.ndarray) -> None:
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.ravel() / scale, expected / scale, atol=2e-2)


def assert_running_statistics(model: CkdTrainingModel, vectors: np.lib.npyio.NpzFile) -> None:
    norm = model.get_submodule("box_head.conv4_ctr.1")
    np.testing.assert_allclose(
        norm.running_mean, vectors["bn_running_mean:box_head.conv4_ctr.1"], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(norm.running_var, vectors["bn_running_var:box_head.conv4_ctr.1"], rtol=1e-4)


def test_stage_one_step(ckd_vectors: Path, vitb_state: dict[str, torch.Tensor]) -> None:
    vectors = np.load(ckd_vectors / "train_stage1.npz")
    model = make_model(vitb_state, "none")
    recipe = load_settings(Recipe, RECIPES / "ckd_lasher.toml", ["model.vit.drop_path=0"])
    choose_trained(model, recipe.trained)
    optimiser = make_optimiser(model, recipe.optimiser, recipe.rate_factors.by_name())
    rates = {len(group["params"]): group["lr"] * group["factor"] for group in optimiser.param_groups}
    heads, *branches = vectors["n_params_in_group"].tolist()
    unused = 2  # tables of each branch that receive no gradient
    assert rates == pytest.approx({heads: 5e-5, sum(count - unused for count in branches): 5e-6})
    terms = losses(forward(model, vectors), vectors)
    assert_losses(terms, vectors)
    terms["total"].backward()
    assert_gradients(model, vectors)
    assert_running_statistics(model, vectors)


def test_stage_two_step(ckd_vectors: Path, vitb_state: dict[str, torch.Tensor]) -> None:
    vectors = np.load(ckd_vectors / "train_stage2.npz")
    model = make_model(vitb_state, "mce")
    choose_trained(model, load_settings(Recipe, RECIPES / "ckd_lasher_mce.toml").trained)
    output = forward(model, vectors)
    for layer, (cut,) in output.cuts.items():
        np.testing.assert_array_equal(cut.kept.sort(1).values, vectors[f"both_l{layer}_keep"])
    assert sorted(output.cuts) == [3, 6, 9]
    terms = losses(output, vectors)
    assert_losses(terms, vectors)
    terms["total"].backward()
    assert_gradients(model, vectors)
    assert_running_statistics(model, vectors)
