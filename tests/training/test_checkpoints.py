"""Checkpoints load strictly, say what is wrong with them, and never run what they carry."""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from ckd_networks import tiny_config

from training.checkpoints import (
    CheckpointError,
    Placeholder,
    load_strictly,
    load_tracker,
    read_checkpoint,
    save_checkpoint,
)
from training.models.ckd import CkdTrainingModel

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def save(path: Path, content: object, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_weights(state: dict[str, torch.Tensor]) -> None:
    assert set(state) == set(WEIGHTS)
    for key, value in WEIGHTS.items():
        torch.testing.assert_close(state[key], value)


@FORMATS
@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: w,
        lambda w: OrderedDict(w),
        lambda w: {"net": w, "epoch": 3},
        lambda w: {"model": w, "optimizer": {"state": {}}},
        lambda w: {"state_dict": w},
        lambda w: {"net": {"state_dict": w}},
        lambda w: {f"module.{k}": v for k, v in w.items()},
        lambda w: {"net": w, "rng": torch.zeros(3), "model": {"other": torch.zeros(1)}},
        lambda w: {k: torch.nn.Parameter(v) for k, v in w.items()},
    ],
    ids=["bare", "ordered", "net", "model", "state_dict", "nested", "module", "with-extras", "parameters"],
)
def test_common_wrappers_are_understood(wrap, zipped: bool, tmp_path: Path) -> None:
    assert_weights(read_checkpoint(save(tmp_path / "c.pth", wrap(WEIGHTS), zipped)).state)


class Trap:
    """Leaves a file behind when it is unpickled the ordinary way."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (exec, (f"open({str(self.target)!r}, 'w').close()",))


@FORMATS
def test_code_in_a_checkpoint_is_not_run(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    path = save(tmp_path / "c.pth", {"net": WEIGHTS, "settings": Trap(mark)}, zipped)
    checkpoint = read_checkpoint(path)
    assert_weights(checkpoint.state)
    assert isinstance(checkpoint.extras["settings"], Placeholder)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the trap works: the ordinary way springs it
    assert mark.exists()


@FORMATS
def test_code_behind_other_opcodes_is_not_run(zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    code = f"open({str(mark)!r}, 'w').close()"

    class State:
        def __reduce__(self):
            return (eval, (f"exec({code!r})",), {"__dict__": Trap(mark)})

    content = {"net": OrderedDict(WEIGHTS), "stats": [State(), {"deep": (State(),)}], "s": {Trap(mark): 1}}
    assert_weights(read_checkpoint(save(tmp_path / "c.pth", content, zipped)).state)
    assert not mark.exists()


def test_a_pickle_cannot_alter_the_functions_it_may_call(tmp_path: Path) -> None:
    # GLOBAL torch._utils _rebuild_tensor_v2, then BUILD with new attributes.
    program = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__dict__K\x01sb."
    path = save(tmp_path / "c.pth", {"net": WEIGHTS})
    changed = tmp_path / "changed.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for item in old.infolist():
            new.writestr(item, program if item.filename.endswith("data.pkl") else old.read(item))
    with pytest.raises(CheckpointError):
        read_checkpoint(changed)


@FORMATS
def test_objects_of_classes_that_do_not_exist_are_skipped(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("lib.train.admin.settings")
    kinds = {}
    for name, base in (("Settings", object), ("Meters", OrderedDict), ("Values", list), ("Names", dict)):
        kinds[name] = type(name, (base,), {"__module__": module.__name__})
        setattr(module, name, kinds[name])
    for name in ("lib", "lib.train", "lib.train.admin", "lib.train.admin.settings"):
        monkeypatch.setitem(sys.modules, name, module)
    settings = kinds["Settings"]()
    settings.batch, settings.where = 20, kinds["Names"](a=1)
    stats = kinds["Meters"]([("loss", kinds["Values"]([1.0, 2.0]))])
    content = {
        "net": WEIGHTS,
        "settings": settings,
        "stats": stats,
        "epoch": 25,
        "best": np.float64(0.5),
        "history": np.arange(3),
    }
    path = save(tmp_path / "CKD_ep0025.pth.tar", content, zipped)
    for name in ("lib", "lib.train", "lib.train.admin", "lib.train.admin.settings"):
        monkeypatch.delitem(sys.modules, name)
    checkpoint = read_checkpoint(path)
    assert_weights(checkpoint.state)
    assert checkpoint.extras["epoch"] == 25
    assert isinstance(checkpoint.extras["settings"], Placeholder)


@pytest.mark.parametrize("kept", [0, 1, 100, -1, -200])
@FORMATS
def test_a_truncated_file_is_one_clear_line(kept: int, zipped: bool, tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.pth", {"net": WEIGHTS}, zipped).read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[:kept])
    assert_one_line(path, "cut.pth")


@pytest.mark.parametrize(
    "content",
    [b"not a checkpoint\n" * 100, b"\x80\x04N.", b"PK\x03\x04" + bytes(500)],
    ids=["text", "none", "zip"],
)
def test_something_else_is_one_clear_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    assert_one_line(path, "other.bin")


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    assert_one_line(tmp_path / "absent.pth", "does not exist")


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(path))
    assert_one_line(path, "TorchScript")


@pytest.mark.parametrize("content", [{"net": {}}, {"epoch": 3}, [1, 2], {"net": {"a": 1}}])
def test_a_file_without_weights_is_refused(content: object, tmp_path: Path) -> None:
    assert_one_line(save(tmp_path / "c.pth", content), "holds no weights")


def assert_one_line(path: Path, part: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    text = str(caught.value)
    assert part in text
    assert str(path) in text
    assert "\n" not in text
    assert caught.value.exit_status == 2


def test_every_kind_of_wrong_key_is_named() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    state = module.state_dict() | {"0.bias": torch.zeros(7), "extra.weight": torch.zeros(1)}
    del state["1.weight"]
    with pytest.raises(CheckpointError) as caught:
        load_strictly(module, state, "FILE")
    text = str(caught.value)
    assert "1 missing: 1.weight" in text
    assert "1 unexpected: extra.weight" in text
    assert "1 misshapen: 0.bias is [7], expected [3]" in text
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_many_wrong_keys_are_counted() -> None:
    module = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(10)))
    with pytest.raises(CheckpointError, match=r"20 missing: 0.weight.* and 16 more"):
        load_strictly(module, {}, "FILE")


@pytest.mark.parametrize("shared", [False, True])
def test_our_checkpoint_brings_its_sizes_and_sheds_the_teachers(shared: bool, tmp_path: Path) -> None:
    model = CkdTrainingModel(tiny_config("mce", shared))
    path = tmp_path / "run" / "step-10.pt"
    save_checkpoint(path, model.state_dict(), family="ckd", config=model.config.to_dict(), step=10)
    tracker, checkpoint = load_tracker(path)
    assert tracker.config == model.config
    assert checkpoint.extras["step"] == 10
    for key, value in tracker.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key])


def test_a_checkpoint_of_another_family_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", WEIGHTS, family="tpf")
    with pytest.raises(CheckpointError, match="family 'tpf', not ckd"):
        load_tracker(tmp_path / "c.pt")


def test_a_single_modality_tracker_is_recognised(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", {"backbone.pos_embed_z": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"394 missing.*looks like a single-modality tracker"):
        load_tracker(tmp_path / "c.pt")


def test_a_broken_configuration_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", WEIGHTS, config={"vit": {"depth": "twelve", "size": 3}})
    with pytest.raises(CheckpointError, match=r"unknown key vit\.size"):
        load_tracker(tmp_path / "c.pt")


def test_saving_replaces_a_checkpoint_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, WEIGHTS)
    before = path.read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_checkpoint(path, WEIGHTS, broken=lambda: None)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
