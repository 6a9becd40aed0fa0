"""The CKD network against the numbers of the released code, stage by stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ckd_networks import tiny_config, vector_inputs

from edge_rgbt.imageops import hann_window
from training.export.costs import measure_cost
from training.models.branches import run_branches
from training.models.ckd import CkdConfig, CkdTracker, CkdTrainingModel, fuse_students
from training.models.elimination import EliminationConfig, keep_count, keep_rate, template_queries
from training.models.head import CenterHead, decode_boxes
from training.synthetic_weights import layout_of, noise, synthetic_tensor

TOKENS = 1e-4  # absolute, values reach about 10
MODES = ("none", "ce", "mce")


def layout(path: Path, name: str) -> dict[str, tuple[int, ...]]:
    entries = json.loads((path / "keys" / f"{name}.json").read_text())["entries"]
    return {key: tuple(shape) for key, shape, _ in entries}


def test_tracker_has_the_published_keys_and_shapes(ckd_vectors: Path) -> None:
    with torch.device("meta"):
        assert layout_of(CkdTracker()) == layout(ckd_vectors, "ckd_test")


def test_training_model_has_the_published_keys_and_shapes(ckd_vectors: Path) -> None:
    with torch.device("meta"):
        assert layout_of(CkdTrainingModel()) == layout(ckd_vectors, "ckd_train")


@pytest.mark.parametrize(("mode", "layers", "total"), [("none", 57.751, 61.526), ("mce", 42.699, 44.982)])
def test_cost_is_the_published_one(mode: str, layers: float, total: float) -> None:
    with torch.device("meta"):
        cost = measure_cost(CkdTracker(CkdConfig(elimination=EliminationConfig(mode=mode))))
    assert cost.parameters == 183_871_365
    assert round(cost.layers / 1e9, 3) == layers
    assert round(cost.macs / 1e9, 3) == total


def test_small_entries_follow_the_weight_recipe(ckd_vectors: Path) -> None:
    entries = json.loads((ckd_vectors / "recipe_check.json").read_text())["entries"]
    small = {key: e for key, e in entries.items() if np.prod(e["shape"], dtype=int) <= 4096}
    assert len(small) > 250
    for key, expected in small.items():
        assert_recipe(synthetic_tensor(key, expected["shape"]), expected, key)


@pytest.mark.slow
def test_all_entries_follow_the_weight_recipe(ckd_vectors: Path, vitb_state: dict) -> None:
    entries = json.loads((ckd_vectors / "recipe_check.json").read_text())["entries"]
    assert len(entries) == 394
    for key, expected in entries.items():
        assert_recipe(vitb_state[key], expected, key)


def assert_recipe(value: torch.Tensor, expected: dict, key: str) -> None:
    assert list(value.shape) == expected["shape"], key
    array = value.numpy().astype(np.float64)
    assert array.sum() == pytest.approx(expected["sum"], rel=1e-6, abs=1e-3), key
    assert np.abs(array).sum() == pytest.approx(expected["abssum"], rel=1e-6), key
    np.testing.assert_allclose(array.ravel()[:3], expected["first"], rtol=1e-6, err_msg=key)


def test_head_alone(ckd_vectors: Path) -> None:
    units = np.load(ckd_vectors / "units.npz")
    head = CenterHead(1536).eval()
    head.load_state_dict(
        {k: synthetic_tensor(f"box_head.{k}", v.shape) for k, v in head.state_dict().items()}
    )
    features = torch.from_numpy(noise("units/feat", 0, (2, 1536, 16, 16)).astype(np.float32))
    with torch.no_grad():
        output = head(features)
        boxes = decode_boxes(output)
    np.testing.assert_allclose(output.score, units["head_score"], atol=2e-5)
    np.testing.assert_allclose(output.size, units["head_size"], atol=1e-5)
    np.testing.assert_allclose(output.offset, units["head_offset"], atol=2e-5)
    np.testing.assert_allclose(boxes, units["head_box"], atol=1e-5)


def test_keep_rate_schedule(ckd_vectors: Path) -> None:
    for epoch, start, warm_up, rate in np.load(ckd_vectors / "units.npz")["f64_keep_rate"]:
        assert keep_rate(int(epoch), int(start), int(warm_up)) == pytest.approx(rate, abs=1e-12)


def test_kept_tokens_are_counted_in_double_precision() -> None:
    assert [keep_count(n, 0.7) for n in (256, 180, 126)] == [180, 126, 89]


@pytest.mark.parametrize(
    ("side", "mask", "expected"),
    [
        (8, "ctr_point", (27,)),
        (12, "ctr_point", (65,)),
        (7, "ctr_point", (24,)),
        (14, "ctr_point", (90,)),
        (8, "ctr_rec", (27, 28, 35, 36)),
        (7, "ctr_rec", (24,)),
    ],
)
def test_voting_template_tokens(side: int, mask: str, expected: tuple[int, ...]) -> None:
    assert template_queries(side, mask) == expected


@pytest.fixture(scope="module")
def vitb(vitb_state: dict) -> CkdTracker:
    with torch.device("meta"):
        tracker = CkdTracker()
    keys = tracker.state_dict().keys()
    tracker.load_state_dict({key: vitb_state[key] for key in keys}, assign=True)
    return tracker.eval()


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_network_agrees_with_the_release_at_every_stage(
    mode: str, ckd_vectors: Path, vitb: CkdTracker
) -> None:
    expected = np.load(ckd_vectors / f"net_{mode}.npz")
    z_rgb, z_tir, x_rgb, x_tir = vector_inputs(np.load(ckd_vectors / "net_inputs.npz"))
    elimination = EliminationConfig(mode=mode)
    with torch.no_grad():
        streams = vitb.student_streams((z_rgb, z_tir), (x_rgb, x_tir))
        stages = {name: {"embed": s.tokens} for name, s in zip(("rgb", "tir"), streams, strict=True)}
        for stream in streams:
            stream.taps = []
        cuts = run_branches(streams, elimination)
        fused = fuse_students(streams)
        output = vitb.box_head(vitb.search_map(fused))
    for i, (name, stream) in enumerate(zip(("rgb", "tir"), streams, strict=True)):
        stages[name] |= {f"b{k}": tap for k, tap in enumerate(stream.taps)}
        stages[name]["norm"] = stream.branch.norm(stream.tokens).detach()
        for stage, tokens in stages[name].items():
            if f"{name}_{stage}_pick" in expected:
                assert_stage(tokens, places_at(stage, cuts, i), expected, f"{name}_{stage}")
    assert_cuts(cuts, expected, mode)
    np.testing.assert_allclose(fused[:, [0, 27, 64, 183, 200, 319]], expected["feat_pick"], atol=TOKENS)
    np.testing.assert_allclose(fused.mean(-1), expected["feat_mean"], atol=TOKENS)
    np.testing.assert_allclose(fused.std(-1, unbiased=False), expected["feat_std"], atol=TOKENS)
    np.testing.assert_allclose(output.score, expected["score_map"], atol=2e-5)
    np.testing.assert_allclose(output.size, expected["size_map"], atol=1e-5)
    np.testing.assert_allclose(output.offset, expected["offset_map"], atol=2e-5)
    np.testing.assert_allclose(decode_boxes(output), expected["box_plain"], atol=1e-5)
    windowed = output.score * torch.from_numpy(hann_window(16))
    np.testing.assert_allclose(decode_boxes(output, windowed), expected["box_hann"], atol=1e-5)


def places_at(stage: str, cuts: dict, branch: int) -> torch.Tensor:
    """Original places of the search tokens after a stage, in the order they stand in."""
    block = {"embed": -1, "norm": 99}.get(stage)
    block = int(stage[1:]) if block is None else block
    past = [layer for layer in cuts if layer <= block]
    return cuts[max(past)][branch % len(cuts[max(past)])].kept if past else torch.arange(256).expand(2, -1)


def assert_stage(tokens: torch.Tensor, index: torch.Tensor, expected: dict, prefix: str) -> None:
    """Compares search tokens in ascending order of their original place, as the vectors store them."""
    places = expected[f"{prefix}_gidx"]
    count = places.shape[1]
    order = index.argsort(1)
    np.testing.assert_array_equal(index.gather(1, order), places)
    search = tokens[:, 64:].gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
    sorted_tokens = torch.cat((tokens[:, :64], search), 1)
    ranks = [64 + round(k * (count - 1) / 7) for k in range(8)]
    np.testing.assert_allclose(
        sorted_tokens[:, [0, 27, 28, 63, *ranks]], expected[f"{prefix}_pick"], atol=TOKENS, err_msg=prefix
    )
    np.testing.assert_allclose(sorted_tokens.mean(-1), expected[f"{prefix}_mean"], atol=TOKENS)
    np.testing.assert_allclose(sorted_tokens.std(-1, unbiased=False), expected[f"{prefix}_std"], atol=TOKENS)


def assert_cuts(cuts: dict, expected: dict, mode: str) -> None:
    names = {"none": (), "ce": ("rgb", "tir"), "mce": ("both",)}[mode]
    assert sorted(cuts) == ([] if mode == "none" else [3, 6, 9])
    for layer, decisions in cuts.items():
        for name, cut in zip(names, decisions, strict=True):
            order = cut.before.argsort(1)
            prefix = f"{name}_l{layer}"
            np.testing.assert_array_equal(cut.before.gather(1, order), expected[f"{prefix}_gidx"])
            np.testing.assert_allclose(cut.scores.gather(1, order), expected[f"{prefix}_rank"], rtol=1e-5)
            np.testing.assert_array_equal(cut.kept.sort(1).values, expected[f"{prefix}_keep"])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_training_model_answers_like_the_tracker(mode: str, shared: bool) -> None:
    torch.manual_seed(0)
    model = CkdTrainingModel(tiny_config(mode, shared)).eval()
    tracker = CkdTracker(model.config).eval()
    tracker.load_state_dict(model.tracker_state())
    z, x = torch.randn(2, 3, 3, 32, 32).unbind(0), torch.randn(2, 3, 3, 64, 64).unbind(0)
    with torch.no_grad():
        expected, found = tracker(*z, *x), model(z, x)
    for a, b in zip(expected, found.student, strict=True):
        torch.testing.assert_close(a, b)
    assert [len(taps) for taps in found.taps] == [2, 2, 2, 2]
    kept = 64 if mode == "none" else 45
    assert {tap.shape for taps in found.taps for tap in taps} == {(3, 16 + kept, 32)}


def test_mutual_elimination_ranks_by_the_larger_attention_of_both_modalities(make_tiny) -> None:
    tracker = make_tiny("mce")
    z, x = torch.randn(2, 1, 3, 32, 32).unbind(0), torch.randn(2, 1, 3, 64, 64).unbind(0)
    with torch.no_grad():
        streams = tracker.student_streams(z, x)
        weights = [explicit_attention(stream) for stream in streams]
        cut = run_branches(streams, tracker.config.elimination)[0][0]
    central = 5  # row 1, column 1 of the 4 x 4 template grid
    expected = torch.maximum(*weights)[:, :, central, 16:].mean(1)
    torch.testing.assert_close(cut.scores, expected)
    assert set(cut.kept[0].tolist()) == set(expected[0].topk(45).indices.tolist())


def explicit_attention(stream) -> torch.Tensor:
    """Softmax weights of the first block, written out."""
    block = stream.branch.blocks[0]
    q, k, _ = block.attn.qkv(block.norm1(stream.tokens)).view(1, -1, 3, 2, 16).permute(2, 0, 3, 1, 4)
    return (q @ k.transpose(-2, -1) / 4.0).softmax(-1)


def test_dropped_search_tokens_come_out_as_exact_zeros(make_tiny) -> None:
    tracker = make_tiny("ce")
    with torch.no_grad():
        streams = tracker.student_streams(
            torch.randn(2, 1, 3, 32, 32).unbind(0), torch.randn(2, 1, 3, 64, 64).unbind(0)
        )
        run_branches(streams, tracker.config.elimination)
    for stream in streams:
        search = stream.finish()[0, 16:]
        zero = (search == 0).all(dim=1)
        assert zero.sum() == 64 - 45
        assert set(torch.nonzero(~zero).ravel().tolist()) == set(stream.index[0].tolist())


def test_shared_students_answer_like_two_equal_ones(make_tiny) -> None:
    shared = make_tiny("mce", shared=True)
    separate = CkdTracker(tiny_config("mce")).eval()
    branch = {k: v for k, v in shared.state_dict().items() if k.startswith("student_branch.")}
    head = {k: v for k, v in shared.state_dict().items() if k.startswith("box_head.")}
    for name in ("rgb_branch.", "tir_branch."):
        head |= {k.replace("student_branch.", name): v for k, v in branch.items()}
    separate.load_state_dict(head)
    inputs = [*torch.randn(2, 2, 3, 32, 32).unbind(0), *torch.randn(2, 2, 3, 64, 64).unbind(0)]
    with torch.no_grad():
        for a, b in zip(shared(*inputs), separate(*inputs), strict=True):
            torch.testing.assert_close(a, b)


def test_mask_hides_search_tokens_from_students_only() -> None:
    torch.manual_seed(0)
    model = CkdTrainingModel(tiny_config()).eval()
    z, x = torch.randn(2, 1, 3, 32, 32).unbind(0), torch.randn(2, 1, 3, 64, 64).unbind(0)
    with torch.no_grad():
        plain = model(z, x)
        masked = model(z, x, torch.zeros(1, 64, dtype=torch.bool))
        other = model(z, torch.randn(2, 1, 3, 64, 64).unbind(0), torch.zeros(1, 64, dtype=torch.bool))
    torch.testing.assert_close(plain.teacher_rgb, masked.teacher_rgb)
    torch.testing.assert_close(masked.student, other.student)
    assert not torch.equal(plain.student.score, masked.student.score)


def test_configuration_survives_a_dictionary() -> None:
    config = tiny_config("mce", shared=True)
    assert CkdConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_configuration_names_an_unknown_key() -> None:
    with pytest.raises(ValueError, match=r"vit\.widht"):
        CkdConfig.from_dict({"vit": {"widht": 3}})
