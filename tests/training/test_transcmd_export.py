"""A TransCMD checkpoint becomes a bundle that answers like the student and that the tracker flies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transcmd_networks import tiny_student, tiny_teacher

from edge_rgbt.bundle import load_bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, Frame, FramePair, Modality
from training.__main__ import main
from training.checkpoints import save_checkpoint
from training.export.tensorrt_ops import lint
from training.models.distillation import DistilledStudent, Projectors
from training.models.students import DistillableTransCmd
from training.models.teachers import TransCmdAsTeacher
from training.models.transcmd.masked import MaskDecoder
from training.models.transcmd.stored import load_student
from training.models.transcmd.student import TransCmdConfig, TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher
from training.synthetic_weights import layout_of, synthetic_state

VARIANTS = {"joint": ("joint", "linear"), "pair": ("pair", "conv")}
variants = pytest.mark.parametrize("name", ["joint", pytest.param("pair", marks=pytest.mark.slow)])


def save_tiny(path: Path, config: TransCmdConfig) -> Path:
    """Recipe weights, with projectors and mask decoder beside them as a run in the middle would have."""
    student = TransCmdStudent(config)
    state = synthetic_state(layout_of(student))
    teacher = TransCmdAsTeacher(TransCmdTeacher(tiny_teacher()))
    made = DistillableTransCmd(student)
    model = DistilledStudent(made, Projectors(made.spec, teacher.spec))
    state |= {k: v for k, v in model.state_dict().items() if k.startswith("projectors.")}
    state |= {f"mask_decoder.{k}": v for k, v in MaskDecoder(config.vit).state_dict().items()}
    save_checkpoint(path, state, family="transcmd", config=config.to_dict())
    return path


def export(checkpoint: Path, out: Path, *options: str) -> int:
    return main(
        ["export", "--family", "transcmd", "--checkpoint", str(checkpoint), "--out", str(out), *options]
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Exports a tiny variant once, parity check included; the folder holds `checkpoint.pt` and `bundle`."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            save_tiny(folder / "checkpoint.pt", tiny_student(*VARIANTS[name]))
            assert export(folder / "checkpoint.pt", folder / "bundle") == 0
            made[name] = folder
        return made[name]

    return get


@variants
def test_graph_takes_raw_crops_and_passes_tensorrts_operators(name: str, exported) -> None:
    model = onnx.load(exported(name) / "bundle" / "model.onnx")
    shapes = ((v.name, v.type.tensor_type.shape.dim) for v in model.graph.input)
    inputs = {name: [d.dim_value or d.dim_param for d in dims] for name, dims in shapes}
    assert inputs == {
        "template_rgb": ["N", 16, 16, 3],
        "template_tir": ["N", 16, 16, 3],
        "search_rgb": ["N", 32, 32, 3],
        "search_tir": ["N", 32, 32, 3],
    }
    assert lint(model) == []


@variants
def test_nothing_of_training_is_in_the_graph(name: str, exported) -> None:
    graph = onnx.load(exported(name) / "bundle" / "model.onnx").graph
    names = [*(node.name for node in graph.node), *(tensor.name for tensor in graph.initializer)]
    assert not [n for n in names if "projector" in n or "decoder" in n or "BatchNorm" in n]
    manifest = load_bundle(exported(name) / "bundle").manifest
    student = TransCmdStudent(tiny_student(*VARIANTS[name]))
    assert manifest.params == sum(p.numel() for p in student.parameters())
    stored = sum(int(np.prod(t.dims)) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    assert stored <= manifest.params


@variants
def test_manifest_says_family_and_mode(name: str, exported) -> None:
    manifest = load_bundle(exported(name) / "bundle").manifest
    mode = VARIANTS[name][0]
    assert (manifest.family, manifest.name) == ("transcmd", f"transcmd-16x3-{mode}")
    assert manifest.provenance["network"]["mode"] == mode
    assert manifest.macs == sum(manifest.provenance["macs_counted"].values()) > 0


@variants
def test_batch_is_free(name: str, exported) -> None:
    folder = exported(name)
    student, _ = load_student(folder / "checkpoint.pt")
    generator = np.random.default_rng(0)
    crops = {
        spec.name: generator.integers(0, 256, (3, *spec.shape[1:]), dtype=np.uint8)
        for spec in student.input_specs()
    }
    found = open_engine(load_bundle(folder / "bundle")).run(crops)
    with torch.no_grad():
        wanted = student.from_pixels(*(torch.from_numpy(c) for c in crops.values()))
    for key, value in wanted._asdict().items():
        np.testing.assert_allclose(found[key], value.numpy(), atol=1e-4)


def test_the_tracker_runs_the_bundle(exported) -> None:
    bundle = load_bundle(exported("joint") / "bundle")
    tracker = Tracker(bundle.manifest, open_engine(bundle))
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    for k in range(3):
        image = np.ascontiguousarray(np.roll(pixels, 2 * k, axis=1))
        rgb = Frame(image, Modality.RGB, k * 10**8, k)
        tir = Frame(image[..., 0].copy(), Modality.TIR, k * 10**8, k)
        pair = FramePair(rgb, tir, aligned=True)
        state = tracker.start(pair, Box(60, 40, 24, 30)) if k == 0 else tracker.update(pair)
        assert np.isfinite([state.box.x, state.box.y, state.box.w, state.box.h]).all()


@pytest.mark.slow
def test_half_precision_agrees(tmp_path: Path) -> None:
    assert export(save_tiny(tmp_path / "c.pt", tiny_student()), tmp_path / "half", "--fp16") == 0
    assert load_bundle(tmp_path / "half").manifest.precision == "fp16"


@pytest.mark.slow
def test_the_published_size_exports(tmp_path: Path) -> None:
    assert export(save_tiny(tmp_path / "c.pt", TransCmdConfig()), tmp_path / "bundle") == 0
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert manifest.params == 6_504_325
    assert manifest.name == "transcmd-192x12-joint"


@pytest.mark.parametrize(
    ("extras", "options", "said"),
    [
        ({"family": "ckd"}, (), "c.pt is a checkpoint of family 'ckd', not of a transcmd student"),
        (
            {"family": "transcmd", "config": {"mode": "both"}},
            (),
            "mode is 'both', expected 'joint'",
        ),
        ({"family": "transcmd", "config": {}}, ("--elimination", "mce"), "has no token elimination"),
        ({"family": "transcmd", "config": {}}, (), "c.pt does not fit this network"),
    ],
    ids=["other-family", "unknown-mode", "elimination", "other-size"],
)
def test_a_mistake_is_one_line(
    extras: dict, options: tuple, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = TransCmdStudent(tiny_student()).state_dict()
    save_checkpoint(tmp_path / "c.pt", state, **extras)
    assert export(tmp_path / "c.pt", tmp_path / "b", *options) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("export: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "b").exists()
