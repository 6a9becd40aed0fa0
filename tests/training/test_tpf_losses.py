"""TPF's losses against the stored vectors, and its experts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edge_rgbt.errors import UsageError
from training.losses.tpf import (
    distillation_loss,
    distillation_target,
    expert_weights,
    reconstruction_loss,
    repulsion_loss,
    token_cosines,
)
from training.models.tpf.experts import OnnxExpert, OnnxExpertSettings, luminance, synthetic_experts


@pytest.fixture(scope="module")
def stored(shared_vectors: Path) -> dict[str, torch.Tensor]:
    vector = np.load(shared_vectors / "tpf" / "losses.npz")
    return {key: torch.from_numpy(np.asarray(vector[key])).float() for key in vector.files}


def test_expert_weights_and_target_equal_the_vector(stored: dict[str, torch.Tensor]) -> None:
    weights = expert_weights(stored["iou"], float(stored["tau"]))
    torch.testing.assert_close(weights, stored["weights"], atol=1e-6, rtol=0)
    target = distillation_target(stored["experts"], weights)
    torch.testing.assert_close(target, stored["target"], atol=1e-6, rtol=0)


def test_distillation_loss_equals_the_vector(stored: dict[str, torch.Tensor]) -> None:
    loss = distillation_loss(stored["fused"], stored["experts"], stored["weights"])
    assert abs(float(loss - stored["loss_mad"])) <= 1e-6


def test_one_stored_target_has_the_gradient_of_all_experts(stored: dict[str, torch.Tensor]) -> None:
    fused = stored["fused"].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(distillation_loss(fused, stored["experts"], stored["weights"]), fused)
    (found,) = torch.autograd.grad(((fused - stored["target"]) ** 2).mean(), fused)
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=0)


def test_repulsion_equals_the_vector(stored: dict[str, torch.Tensor]) -> None:
    fused, margin = stored["feat_fused"], float(stored["margin"])
    for name in ("rgb", "tir"):
        cosines = token_cosines(stored[f"feat_{name}"], fused)
        torch.testing.assert_close(cosines, stored[f"cos_{name}"], atol=1e-6, rtol=0)
    loss = sum(repulsion_loss(stored[f"feat_{name}"], fused, margin) for name in ("rgb", "tir"))
    assert abs(float(loss - stored["loss_repulsion"])) <= 1e-6


def test_repulsion_reaches_both_sides(stored: dict[str, torch.Tensor]) -> None:
    tokens, fused = (stored[name].clone().requires_grad_() for name in ("feat_rgb", "feat_fused"))
    repulsion_loss(tokens, fused).backward()
    assert all(t.grad is not None and float(t.grad.abs().max()) > 0 for t in (tokens, fused))


def test_reconstruction_equals_the_vector(stored: dict[str, torch.Tensor]) -> None:
    loss = sum(reconstruction_loss(stored[f"pred_{name}"], stored[f"img_{name}"]) for name in ("rgb", "tir"))
    assert float(loss) == pytest.approx(float(stored["loss_reconstruction"]), abs=1e-6)


def crops(seed: int = 0, size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    rgb = generator.integers(90, 160, (size, size, 3), dtype=np.uint8)
    tir = np.repeat(generator.integers(90, 160, (size, size, 1), dtype=np.uint8), 3, axis=2)
    return rgb, tir


def luminance_of(fused: np.ndarray) -> np.ndarray:
    return np.tensordot(np.array((0.299, 0.587, 0.114), np.float32), fused, axes=1)


def test_synthetic_experts_follow_their_rules() -> None:
    rgb, tir = crops()
    visible, thermal = luminance(rgb), luminance(tir)
    maximum, mean, _ = (luminance_of(expert.fuse(rgb, tir)) for expert in synthetic_experts())
    np.testing.assert_allclose(maximum, np.maximum(visible, thermal), atol=1e-5)
    np.testing.assert_allclose(mean, (visible + thermal) / 2, atol=1e-5)


def test_laplacian_expert_takes_the_stronger_detail() -> None:
    flat = np.full((24, 24, 3), 128, dtype=np.uint8)
    striped = flat.copy()
    striped[:, ::2] = 148
    *_, expert = synthetic_experts()
    for rgb, tir in ((flat, striped), (striped, flat)):
        fused = luminance_of(expert.fuse(rgb, tir))
        swing = fused[8:16, 8:16].max() - fused[8:16, 8:16].min()
        assert swing == pytest.approx(20 / 255, rel=0.1)


@pytest.mark.parametrize("expert", synthetic_experts(), ids=lambda expert: expert.name)
def test_experts_keep_the_colours(expert) -> None:
    rgb, tir = crops()
    fused = expert.fuse(rgb, tir)
    assert fused.shape == (3, 24, 24)
    assert fused.dtype == np.float32
    difference = fused[0] - fused[2]
    np.testing.assert_allclose(difference, (rgb[..., 0] - rgb[..., 2].astype(np.float32)) / 255, atol=1e-5)


def write_expert(path: Path, operator: str, inputs: tuple[str, ...] = ("visible", "thermal")) -> str:
    image = [1, 1, "H", "W"]
    graph = helper.make_graph(
        [helper.make_node(operator, list(inputs), ["fused"])],
        "expert",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, image) for name in inputs],
        [helper.make_tensor_value_info("fused", TensorProto.FLOAT, image)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def test_an_expert_from_a_file_fuses_luminances(tmp_path: Path) -> None:
    rgb, tir = crops()
    file = write_expert(tmp_path / "max.onnx", "Max")
    wanted = np.maximum(luminance(rgb), luminance(tir))
    for signed in (False, True):
        expert = OnnxExpert(OnnxExpertSettings("max", file, signed=signed))
        np.testing.assert_allclose(luminance_of(expert.fuse(rgb, tir)), wanted, atol=1e-5)


def test_a_stretched_expert_spreads_each_crop_over_the_whole_range(tmp_path: Path) -> None:
    rgb, tir = crops()
    grey = np.repeat(rgb[..., :1], 3, axis=2)
    expert = OnnxExpert(OnnxExpertSettings("max", write_expert(tmp_path / "m.onnx", "Max"), stretch=True))
    fused = expert.fuse(grey, tir)
    assert (fused.min(), fused.max()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "does not exist"), ("text", "is no ONNX network"), ("one input", "has 1 inputs and 1 outputs")],
)
def test_an_unfit_expert_file_is_refused_in_one_line(content: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "expert.onnx"
    if content == "text":
        path.write_text("not a network")
    elif content is not None:
        write_expert(path, "Abs", ("visible",))
    with pytest.raises(UsageError, match=said) as error:
        OnnxExpert(OnnxExpertSettings("mine", str(path)))
    assert "\n" not in str(error.value)
