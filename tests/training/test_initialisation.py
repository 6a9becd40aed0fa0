"""Training starts from published trackers and pre-training as the released code does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ckd_networks import tiny_config

from training.models.ckd import CkdTrainingModel
from training.models.initialisation import initial_state, resize_table
from training.synthetic_weights import noise, synthetic_state


@pytest.fixture(scope="module")
def hollow() -> CkdTrainingModel:
    """The published training model without storage."""
    with torch.device("meta"):
        return CkdTrainingModel()


def entries(path: Path, name: str) -> dict[str, list[int]]:
    return {k: shape for k, shape, _ in json.loads((path / "keys" / f"{name}.json").read_text())["entries"]}


@pytest.mark.parametrize(
    ("name", "tag", "mode"),
    [
        ("bilinear_z", "pe_z", "bilinear"),
        ("bilinear_x", "pe_x", "bilinear"),
        ("bicubic_z", "pe_mae", "bicubic"),
        ("bicubic_x", "pe_mae", "bicubic"),
    ],
)
def test_position_tables_are_resized(name: str, tag: str, mode: str, ckd_vectors: Path) -> None:
    expected = np.load(ckd_vectors / "units.npz")[f"pe_{name}"]
    count = {"pe_z": 144, "pe_x": 576, "pe_mae": 196}[tag]
    table = torch.from_numpy(noise(f"units/{tag}", 0, (1, count, 768)).astype(np.float32))
    resized = resize_table(table, 8 if name.endswith("z") else 16, mode)
    np.testing.assert_allclose(resized[..., ::24], expected, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["ostrack_256", "ostrack_384", "droptrack_384", "mae_pretrain", "dropmae_pretrain"]
)
def test_every_published_start_fills_the_training_layout(
    name: str, ckd_vectors: Path, hollow: CkdTrainingModel
) -> None:
    source = {k: torch.empty(s, device="meta") for k, s in entries(ckd_vectors, name).items()}
    state = initial_state(hollow, source)
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        k: tuple(s) for k, s in entries(ckd_vectors, "ckd_train").items()
    }


@pytest.mark.slow
def test_start_from_droptrack_gives_the_published_values(ckd_vectors: Path, hollow: CkdTrainingModel) -> None:
    expected = json.loads((ckd_vectors / "init_droptrack.json").read_text())["entries"]
    state = initial_state(hollow, synthetic_state(entries(ckd_vectors, "droptrack_384"), seed=3))
    assert len(expected) == len(state) == 878
    sums: dict[int, tuple[float, float]] = {}
    for key, wanted in expected.items():
        value = state[key]
        assert list(value.shape) == wanted["shape"], key
        array = value.numpy()
        if value.data_ptr() not in sums:
            sums[value.data_ptr()] = (array.sum(dtype=np.float64), np.abs(array).sum(dtype=np.float64))
        total, absolute = sums[value.data_ptr()]
        assert total == pytest.approx(wanted["sum"], rel=1e-6, abs=2e-2), key
        assert absolute == pytest.approx(wanted["abssum"], rel=1e-6), key
        np.testing.assert_allclose(array.ravel()[:3], wanted["first"], rtol=1e-5, atol=1e-6, err_msg=key)


def tracker_source() -> dict[str, torch.Tensor]:
    """A made-up single-modality tracker of the tiny sizes."""
    state = CkdTrainingModel(tiny_config()).state_dict()
    branch = {
        k.replace("teacher_rgb.", "backbone."): v for k, v in state.items() if k.startswith("teacher_rgb.")
    }
    return branch | {k.replace("box_head_v.", "box_head."): v for k, v in state.items() if "box_head_v." in k}


def test_fused_head_repeats_the_first_kernels_along_its_input() -> None:
    source = tracker_source()
    state = initial_state(CkdTrainingModel(tiny_config()), source)
    first = source["box_head.conv1_size.0.weight"]
    torch.testing.assert_close(state["box_head.conv1_size.0.weight"], torch.cat((first, first), 1))
    torch.testing.assert_close(state["box_head_i.conv1_size.0.weight"], first)


def test_shared_students_start_from_a_tracker_too() -> None:
    model = CkdTrainingModel(tiny_config(shared=True))
    model.load_state_dict(initial_state(model, tracker_source()))


def test_a_key_without_a_place_is_named() -> None:
    with pytest.raises(ValueError, match=r"first projector\.weight"):
        initial_state(
            CkdTrainingModel(tiny_config()), tracker_source() | {"projector.weight": torch.zeros(1)}
        )


def test_a_lacking_key_is_named() -> None:
    source = tracker_source()
    del source["backbone.blocks.1.norm2.bias"]
    with pytest.raises(ValueError, match=r"lacks 4 keys, first rgb_branch\.blocks\.1\.norm2\.bias"):
        initial_state(CkdTrainingModel(tiny_config()), source)


def test_a_misshapen_key_is_named() -> None:
    source = tracker_source() | {"backbone.norm.bias": torch.zeros(5)}
    with pytest.raises(ValueError, match=r"first rgb_branch.norm.bias: \[5\], expected \[32\]"):
        initial_state(CkdTrainingModel(tiny_config()), source)
