"""TPF's tracker and training model: parameter totals, token order, gradients, and the way to a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exports import graph_tensors
from tpf_weights import adapter_state

from edge_rgbt.adapter import read_adapter
from edge_rgbt.bundle import DynamicTemplate, load_bundle
from training.__main__ import main
from training.checkpoints import save_checkpoint
from training.export.costs import measure_cost
from training.export.tensorrt_ops import lint
from training.losses.tpf import reconstruction_loss, repulsion_loss
from training.models.tpf.auxiliary import TpfTrainingModel, patches
from training.models.tpf.tracker import CropPair, TpfConfig, TpfNetwork, TpfTracker, normalise_unit
from training.models.vit import VitConfig
from training.synthetic_weights import layout_of, synthetic_state

TABLES = ("pos_embed_z", "pos_embed_x")


def tiny_config(**changes) -> TpfConfig:
    vit = VitConfig(
        embed_dim=32, depth=2, heads=2, patch_size=8, template_size=16, search_size=32, unused_tables=False
    )
    return TpfConfig(vit=vit, head_channels=16, **changes)


def tiny_training_model() -> TpfTrainingModel:
    torch.manual_seed(0)
    return TpfTrainingModel(tiny_config(), decoder_width=32, decoder_depth=1, decoder_heads=2).eval()


def crop_pairs(seed: int = 0) -> tuple[CropPair, CropPair, CropPair]:
    """Template, dynamic template and search of two samples."""
    generator = torch.Generator().manual_seed(seed)

    def pair(size: int) -> CropPair:
        return CropPair(*(torch.rand((2, 3, size, size), generator=generator) for _ in range(2)))

    return pair(16), pair(16), pair(32)


def count(module: torch.nn.Module, tables: bool = True) -> int:
    named = module.named_parameters()
    return sum(p.numel() for name, p in named if tables or not name.endswith(TABLES))


def test_parameter_totals_are_those_of_the_design() -> None:
    with torch.device("meta"):
        network = TpfNetwork()
        training = TpfTrainingModel()
    assert count(network.backbone) == 85_892_352
    assert count(network.backbone, tables=False) == 85_646_592
    assert count(network.box_head) == 6_474_117
    assert count(network, tables=False) == 92_134_976
    assert count(training.aux_rgb.decoder) == 13_398_272
    assert round(count(training, tables=False) / 1e6, 3) == 290.225


def test_multiply_accumulates_are_those_of_the_design() -> None:
    with torch.device("meta"):
        tracker = TpfTracker()
    assert measure_cost(tracker).macs == pytest.approx(35.56e9 + 1.66e9, rel=1e-3)


def test_left_out_dynamic_template_is_the_template() -> None:
    network = TpfNetwork(tiny_config()).eval()
    template, _, search = crop_pairs()
    with torch.no_grad():
        wanted, found = network(template, template, search), network(template, None, search)
    torch.testing.assert_close(found.head.score, wanted.head.score)


def test_both_templates_matter_and_share_one_position_table() -> None:
    tracker = TpfTracker(tiny_config()).eval()
    pictures = [normalise_unit(pair.rgb) for pair in crop_pairs()]
    template, dynamic, search = pictures
    with torch.no_grad():
        ordered = tracker.encode(template, dynamic, search)
        swapped = tracker.encode(dynamic, template, search)
    # The table being shared and attention blind to order, exchanged templates only change places.
    torch.testing.assert_close(swapped[:, :4], ordered[:, 4:8])
    torch.testing.assert_close(swapped[:, 8:], ordered[:, 8:])
    with torch.no_grad():
        assert not torch.allclose(tracker.encode(template, template, search)[:, 8:], ordered[:, 8:])


def test_auxiliary_tokens_stand_beside_the_fused_ones_of_the_same_place() -> None:
    model = tiny_training_model()
    template, dynamic, search = crop_pairs()
    with torch.no_grad():
        out = model(template, dynamic, search)
    assert torch.equal(out.rgb.fused[:, :4], out.tracker.tokens[:, :4])
    assert torch.equal(out.rgb.fused[:, 4:], out.tracker.tokens[:, 8:])
    assert out.tir.tokens.shape == out.tir.fused.shape == (2, 4 + 16, 32)
    assert out.tir.rebuilt.shape == out.tir.target.shape == (2, 4 + 16, 192)


def test_patches_are_the_pixels_of_their_token() -> None:
    picture = torch.arange(2 * 3 * 16 * 16.0).view(2, 3, 16, 16)
    cut = patches(picture, 8)
    assert torch.equal(cut[1, 1].view(3, 8, 8), picture[1, :, :8, 8:])


def test_the_losses_of_the_second_stage_reach_every_part() -> None:
    model = tiny_training_model()
    out = model(*crop_pairs())
    parts = (out.rgb, out.tir)
    loss = sum(
        repulsion_loss(p.tokens, p.fused, -1.0) + reconstruction_loss(p.rebuilt, p.target) for p in parts
    )
    (loss + out.tracker.head.score.mean() + out.tracker.head.size.mean()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None]
    assert all("offset" in name for name in still)


def test_tracker_state_is_what_the_network_at_test_time_loads() -> None:
    model = tiny_training_model()
    network = TpfNetwork(tiny_config())
    network.load_state_dict(model.tracker_state())
    template, dynamic, search = crop_pairs()
    with torch.no_grad():
        found = network.eval()(template, dynamic, search).head.score
        torch.testing.assert_close(found, model(template, dynamic, search).tracker.head.score)


def save_tiny(path: Path, config: TpfConfig) -> Path:
    network = TpfNetwork(config)
    state = synthetic_state({k: v for k, v in layout_of(network).items() if not k.startswith("adapter.")})
    own = adapter_state(layout_of(network.adapter), "tiny")
    state |= {f"adapter.{key}": value for key, value in own.items()}
    state["aux_rgb.encoder.norm.bias"] = torch.zeros(32)  # as training leaves it
    save_checkpoint(path, state, family="tpf", config=config.to_dict(), recipe={"seed": 0})
    return path


def export(checkpoint: Path, out: Path, *options: str) -> int:
    return main(["export", "--family", "tpf", "--checkpoint", str(checkpoint), "--out", str(out), *options])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `checkpoint.pt` and `bundle`; the command has compared the two."""
    folder = tmp_path_factory.mktemp("tpf")
    save_tiny(folder / "checkpoint.pt", tiny_config(dynamic_interval=15))
    assert export(folder / "checkpoint.pt", folder / "bundle") == 0
    return folder


def test_graph_starts_behind_the_adapter(exported: Path) -> None:
    model = onnx.load(exported / "bundle" / "model.onnx")
    assert graph_tensors(model) == {
        "template": (onnx.TensorProto.FLOAT, ["N", 16, 16, 3]),
        "dynamic": (onnx.TensorProto.FLOAT, ["N", 16, 16, 3]),
        "search": (onnx.TensorProto.FLOAT, ["N", 32, 32, 3]),
        "score": (onnx.TensorProto.FLOAT, ["N", 1, 4, 4]),
        "size": (onnx.TensorProto.FLOAT, ["N", 2, 4, 4]),
        "offset": (onnx.TensorProto.FLOAT, ["N", 2, 4, 4]),
    }
    assert lint(model) == []
    assert model.graph.name == "tpf"


def test_manifest_carries_the_dynamic_template_and_counts_the_adapter(exported: Path) -> None:
    manifest = load_bundle(exported / "bundle").manifest
    assert (manifest.family, manifest.stride) == ("tpf", 8)
    assert manifest.dynamic_template == DynamicTemplate(15, 0.65)
    assert manifest.params == count(TpfNetwork(tiny_config()))
    counted = manifest.provenance["macs_counted"]
    assert manifest.macs == sum(counted.values())
    assert counted["adapter on the search crops"] == 32 * 32 * 22_272
    assert manifest.provenance["network"]["adapter"] == "full"


def test_the_runtime_reads_the_adapter_that_training_wrote(exported: Path) -> None:
    content = load_bundle(exported / "bundle").read_bytes("adapter.safetensors")
    weights = read_adapter(content, "bundle")
    assert weights.name == "full"
    wanted = adapter_state({key: value.shape for key, value in weights.tensors.items()}, "tiny")
    assert all(np.array_equal(value, wanted[key].numpy()) for key, value in weights.tensors.items())


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["s2", "tied", "add"])
def test_every_variant_becomes_a_bundle_that_the_runtime_reads(variant: str, tmp_path: Path) -> None:
    checkpoint = save_tiny(tmp_path / "c.pt", tiny_config(adapter=variant))
    assert export(checkpoint, tmp_path / "b.rgbt", "--fp16") == 0
    bundle = load_bundle(tmp_path / "b.rgbt")
    assert bundle.manifest.precision == "fp16"
    assert read_adapter(bundle.read_bytes("adapter.safetensors"), "bundle").name == variant


def missing_adapter(folder: Path) -> list[str]:
    state = synthetic_state(layout_of(TpfTracker(tiny_config())))
    save_checkpoint(folder / "c.pt", state, family="tpf", config=tiny_config().to_dict())
    return []


def other_family(folder: Path) -> list[str]:
    save_checkpoint(folder / "c.pt", {"a": torch.zeros(1)}, family="ckd", config={})
    return []


def unknown_setting(folder: Path) -> list[str]:
    config = json.loads(json.dumps(tiny_config().to_dict())) | {"adaptor": "full"}
    save_checkpoint(folder / "c.pt", {"a": torch.zeros(1)}, family="tpf", config=config)
    return []


def elimination(folder: Path) -> list[str]:
    save_tiny(folder / "c.pt", tiny_config())
    return ["--elimination", "ce"]


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (missing_adapter, "missing: adapter.low_rgb.weight"),
        (other_family, "is a checkpoint of family 'ckd', not tpf"),
        (unknown_setting, "unknown key adaptor"),
        (elimination, "family tpf has no token elimination"),
    ],
    ids=["missing-adapter", "other-family", "unknown-setting", "elimination"],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    prepare, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = prepare(tmp_path)
    assert export(tmp_path / "c.pt", tmp_path / "b", *options) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("export: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]
