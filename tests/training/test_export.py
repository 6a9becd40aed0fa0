"""A checkpoint becomes a bundle that answers like the network, or no bundle at all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ckd_networks import real_crops, tiny_config
from exports import assert_close, graph_tensors

from edge_rgbt.bundle import load_bundle
from edge_rgbt.engine import open_engine
from training.__main__ import main
from training.checkpoints import load_tracker, save_checkpoint
from training.export.deployable import INPUT_NAMES
from training.export.parity import (
    TOLERANCES,
    Difference,
    ParityError,
    compare,
    require_parity,
    smooth_crops,
)
from training.export.tensorrt_ops import lint
from training.models.ckd import CkdConfig, CkdTracker, normalise
from training.synthetic_weights import layout_of, synthetic_state

VARIANTS = {  # name -> elimination, shared students, stem
    "mce": ("mce", False, "linear"),
    "none-shared": ("none", True, "conv"),
    "ce-shared": ("ce", True, "linear"),
    "mce-shared": ("mce", True, "conv"),
}
DETAILS = {
    "name": "tiny",
    "licence": "Apache-2.0",
    "lost_threshold": 0.4,
    "confidence": {
        "weights": {"score": 2.0, "likeness": 1.0},
        "evidence": [0.0, 1.0, 3.0],
        "probabilities": [0.0, 0.5, 1.0],
        "found_right": 0.9,
    },
    "tracker": {"window_weight": 0.5},
    "provenance": {"data": "none, made by recipe"},
}
FAST = ("mce",)
variants = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in VARIANTS]
)


def save_tiny(path: Path, config: CkdConfig, seed: int = 0) -> Path:
    """A checkpoint in our layout with recipe weights, and the teachers' keys as training leaves them."""
    state = synthetic_state(layout_of(CkdTracker(config)), seed)
    state["teacher_rgb.norm.bias"] = torch.zeros(32)
    recipe = {"seed": seed, "data": {"pairs": ["/a/b/pairs"], "template_dimming": 0.25}}
    save_checkpoint(path, state, family="ckd", config=config.to_dict(), recipe=recipe)
    return path


def export(checkpoint: Path, out: Path, *options: str) -> int:
    return main(["export", "--family", "ckd", "--checkpoint", str(checkpoint), "--out", str(out), *options])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Exports a tiny variant once; the folder holds `checkpoint.pt` and `bundle`."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            mode, shared, stem = VARIANTS[name]
            config = tiny_config("none" if mode == "none" else "mce", shared, stem)
            save_tiny(folder / "checkpoint.pt", config)
            details = folder / "details.json"
            details.write_text(json.dumps(DETAILS))
            options = ("--elimination", mode, "--details", str(details))
            assert export(folder / "checkpoint.pt", folder / "bundle", *options) == 0
            made[name] = folder
        return made[name]

    return get


@variants
def test_bundle_answers_like_the_network_on_real_crops(name: str, exported, shared_data: Path) -> None:
    folder = exported(name)
    tracker, _ = load_tracker(folder / "checkpoint.pt", VARIANTS[name][0])
    bundle = load_bundle(folder / "bundle")
    assert_close(compare(tracker, bundle, real_crops(shared_data, 32, 64, count=6)))


@variants
def test_graph_is_what_the_contract_says(name: str, exported) -> None:
    model = onnx.load(exported(name) / "bundle" / "model.onnx")
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 19)]
    assert graph_tensors(model) == {
        "template_rgb": (onnx.TensorProto.UINT8, ["N", 32, 32, 3]),
        "template_tir": (onnx.TensorProto.UINT8, ["N", 32, 32, 3]),
        "search_rgb": (onnx.TensorProto.UINT8, ["N", 64, 64, 3]),
        "search_tir": (onnx.TensorProto.UINT8, ["N", 64, 64, 3]),
        "score": (onnx.TensorProto.FLOAT, ["N", 1, 8, 8]),
        "size": (onnx.TensorProto.FLOAT, ["N", 2, 8, 8]),
        "offset": (onnx.TensorProto.FLOAT, ["N", 2, 8, 8]),
    }
    assert lint(model) == []


@variants
def test_attention_scores_are_not_scaled_after_the_product(name: str, exported) -> None:
    graph = onnx.load(exported(name) / "bundle" / "model.onnx").graph
    makers = {output: node for node in graph.node for output in node.output}
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) >= 2
    assert {makers[node.input[0]].op_type for node in softmaxes} == {"MatMul"}


@variants
def test_weights_are_folded_and_nodes_are_named_by_module(name: str, exported) -> None:
    graph = onnx.load(exported(name) / "bundle" / "model.onnx").graph
    constants = {tensor.name for tensor in graph.initializer}
    assert not [n.name for n in graph.node if n.op_type == "BatchNormalization"]
    assert not [n.name for n in graph.node if n.input and set(n.input) <= constants]
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    branch = "student_branch" if VARIANTS[name][1] else "tir_branch"
    assert f"{branch}.blocks.1.mlp.fc1/MatMul" in names


@variants
def test_batch_is_free(name: str, exported) -> None:
    bundle = load_bundle(exported(name) / "bundle")
    crops = smooth_crops(32, 64, count=3)
    engine = open_engine(bundle)
    together = engine.run(crops)
    for i in range(3):
        alone = engine.run({k: np.ascontiguousarray(v[i : i + 1]) for k, v in crops.items()})
        for key, value in alone.items():
            np.testing.assert_allclose(together[key][i : i + 1], value, atol=1e-5)


def test_manifest_tells_where_the_network_comes_from(exported) -> None:
    folder = exported("mce")
    manifest = load_bundle(folder / "bundle").manifest
    assert (manifest.family, manifest.precision, manifest.stride) == ("ckd", "fp32", 8)
    assert (manifest.template_size, manifest.search_size) == (32, 64)
    assert (
        manifest.params == sum(p.numel() for p in CkdTracker(tiny_config()).parameters()) - unused_conv_stem()
    )
    counted = manifest.provenance["macs_counted"]
    assert manifest.macs == sum(counted.values()) > counted["attention products"] > 0
    assert manifest.provenance["checkpoint"]["file"] == "checkpoint.pt"
    assert manifest.provenance["recipe"] == {
        "seed": 0,
        "data": {"pairs": ["pairs"], "template_dimming": 0.25},
    }
    assert manifest.provenance["network"]["elimination"]["mode"] == "mce"


def unused_conv_stem() -> int:
    """How many numbers the conv stem of the tiny network has more than the linear one."""
    conv, linear = (CkdTracker(tiny_config(stem=stem)) for stem in ("conv", "linear"))
    return sum(p.numel() for p in conv.parameters()) - sum(p.numel() for p in linear.parameters())


def test_nothing_in_the_bundle_tells_of_this_machine(exported) -> None:
    here = str(Path(__file__).resolve().parents[2]).encode()
    for file in (exported("mce") / "bundle").iterdir():
        content = file.read_bytes()
        assert here not in content
        assert b"site-packages" not in content


@pytest.mark.slow
def test_half_precision_stays_close_and_keeps_its_interface(tmp_path: Path, shared_data: Path) -> None:
    checkpoint = save_tiny(tmp_path / "c.pt", tiny_config())
    assert export(checkpoint, tmp_path / "half.rgbt", "--fp16") == 0
    bundle = load_bundle(tmp_path / "half.rgbt")
    assert bundle.manifest.precision == "fp16"
    tracker, _ = load_tracker(checkpoint)
    for difference in compare(tracker, bundle, real_crops(shared_data, 32, 64, count=6)):
        assert difference.maps < 5e-3
        assert difference.box_px < 0.2
    model = onnx.load_from_string(bundle.read_bytes("model.onnx"))
    assert lint(model) == []
    large = [t for t in model.graph.initializer if np.prod(t.dims, dtype=int) > 8]
    assert {t.data_type for t in large if t.data_type != onnx.TensorProto.INT64} == {onnx.TensorProto.FLOAT16}


@pytest.mark.slow
def test_pytorch_program_answers_like_the_network(tmp_path: Path) -> None:
    checkpoint = save_tiny(tmp_path / "c.pt", tiny_config("mce"))
    assert export(checkpoint, tmp_path / "bundle", "--torch") == 0
    content = load_bundle(tmp_path / "bundle").read_bytes("model.pt2")
    assert str(Path(__file__).resolve().parents[2]).encode() not in content
    program = torch.export.load(io.BytesIO(content)).module()
    tracker, _ = load_tracker(checkpoint)
    crops = [torch.from_numpy(smooth_crops(32, 64, count=3)[name]) for name in INPUT_NAMES]
    with torch.no_grad():
        for a, b in zip(program(*crops), tracker(*map(normalise, crops)), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_the_tracker_dims_templates_as_training_did(exported) -> None:
    manifest = load_bundle(exported("mce") / "bundle").manifest
    assert manifest.tracker.template_dimming == 0.25


def test_details_reach_the_manifest(exported) -> None:
    manifest = load_bundle(exported("mce") / "bundle").manifest
    assert (manifest.name, manifest.licence, manifest.lost_threshold) == ("tiny", "Apache-2.0", 0.4)
    assert manifest.tracker.window_weight == 0.5
    assert manifest.confidence is not None
    assert dict(manifest.confidence.weights) == {"score": 2.0, "likeness": 1.0}
    assert manifest.confidence.probabilities == (0.0, 0.5, 1.0)
    assert manifest.provenance["data"] == "none, made by recipe"


def test_a_graph_that_disagrees_is_refused() -> None:
    good, bad = Difference(1e-6, 1e-4, True), Difference(0.3, 9.0, False)
    require_parity([good] * 4, TOLERANCES["fp32"])
    with pytest.raises(ParityError, match=r"1 of 4 crops \(worst: maps 0\.3, allowed 0\.0001; box 9 px"):
        require_parity([good, good, bad, good], TOLERANCES["fp32"])
    require_parity([good, good, bad, good], TOLERANCES["fp16"])
    with pytest.raises(ParityError):
        require_parity([good, bad, bad, good], TOLERANCES["fp16"])


def test_comparison_notices_other_weights(exported) -> None:
    folder = exported("mce")
    other = CkdTracker(tiny_config("mce", stem="linear")).eval()
    other.load_state_dict(synthetic_state(layout_of(other), seed=1))
    differences = compare(other, load_bundle(folder / "bundle"), smooth_crops(32, 64, count=2))
    with pytest.raises(ParityError):
        require_parity(differences, TOLERANCES["fp32"])


def wrong_size(folder: Path) -> list[str]:
    config = tiny_config()
    state = synthetic_state(layout_of(CkdTracker(config)))
    state["box_head.conv5_ctr.bias"] = torch.zeros(3)
    save_checkpoint(folder / "c.pt", state, family="ckd", config=config.to_dict())
    return ["--checkpoint", str(folder / "c.pt"), "--out", str(folder / "b")]


def truncated(folder: Path) -> list[str]:
    content = save_tiny(folder / "c.pt", tiny_config()).read_bytes()
    (folder / "c.pt").write_bytes(content[: len(content) // 2])
    return ["--checkpoint", str(folder / "c.pt"), "--out", str(folder / "b")]


def out_below_a_file(folder: Path) -> list[str]:
    save_tiny(folder / "c.pt", tiny_config())
    return ["--checkpoint", str(folder / "c.pt"), "--out", str(folder / "c.pt" / "b")]


def out_is_something_else(folder: Path) -> list[str]:
    save_tiny(folder / "c.pt", tiny_config())
    (folder / "b").mkdir()
    (folder / "b" / "thesis.txt").write_text("irreplaceable")
    return ["--checkpoint", str(folder / "c.pt"), "--out", str(folder / "b")]


def bad_details(folder: Path) -> list[str]:
    (folder / "d.json").write_text('{"nmae": "x"}')
    return ["--checkpoint", "c.pt", "--out", str(folder / "b"), "--details", str(folder / "d.json")]


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda f: ["--checkpoint", str(f / "absent.pt"), "--out", str(f / "b")], "absent.pt does not exist"),
        (wrong_size, "1 misshapen: box_head.conv5_ctr.bias is [3], expected [1]"),
        (truncated, "is not a whole PyTorch checkpoint"),
        (out_below_a_file, "cannot write in"),
        (out_is_something_else, "holds something other than a bundle"),
        (bad_details, "nmae is not for --details"),
    ],
    ids=["missing", "wrong-size", "truncated", "out-below-a-file", "out-is-something-else", "details"],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    prepare, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = prepare(tmp_path)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    assert main(["export", "--family", "ckd", *options]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("export: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before
