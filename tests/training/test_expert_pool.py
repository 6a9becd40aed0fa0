"""Pools of expert pictures: what is rendered, kept, judged and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tpf_runs import render, save_judge

from edge_rgbt.errors import UsageError
from training.checkpoints import Checkpoint, CheckpointError
from training.data.expert_pool import (
    HELD_OUT,
    TRAINING,
    HeldOutBatches,
    PoolStream,
    expert_pictures,
    open_pool,
    shard_file,
)
from training.data.loader import batch_loader
from training.losses.task import corners_from_xywh, overlap_terms
from training.models.head import HeadOutput
from training.models.tpf.experts import luminance, synthetic_experts, with_luminance
from training.models.tpf.judge import Judge, load_judge, published_state
from training.models.tpf.stored import load_network
from training.models.vit import VitConfig
from training.recipes.render_experts import judged

SMALL = VitConfig(
    embed_dim=16, depth=1, heads=2, patch_size=8, template_size=16, search_size=32, unused_tables=False
)


class Pointing(torch.nn.Module):
    """A judge that answers with a box in the middle of the crop, whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.size = torch.nn.Parameter(torch.full((1, 2, 1, 1), 0.4))

    def forward(self, _template: torch.Tensor, search: torch.Tensor) -> HeadOutput:
        size = self.size.expand(len(search), -1, -1, -1)
        return HeadOutput(torch.full_like(size[:, :1], 0.75), size, torch.full_like(size, 0.5))


def write_expert(path: Path, operator: str = "Max") -> Path:
    image = [1, 1, "H", "W"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, image) for n in ("visible", "thermal")]
    output = helper.make_tensor_value_info("fused", TensorProto.FLOAT, image)
    node = helper.make_node(operator, ["visible", "thermal"], ["fused"])
    graph = helper.make_graph([node], "expert", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9), str(path))
    return path


def experts_from(*files: Path) -> str:
    listed = ", ".join(f"{{'name': '{file.stem}', 'file': '{file}'}}" for file in files)
    return f"experts=[{listed}]"


def test_stored_pictures_are_those_of_the_experts(pool):
    shard = np.load(shard_file(pool, TRAINING, 0))
    for part in ("template", "search"):
        rgb = torch.from_numpy(shard[f"{part}_rgb"]).permute(0, 3, 1, 2).float() / 255
        stored = expert_pictures(rgb, torch.from_numpy(shard[f"{part}_experts"])).numpy()
        for i, k in ((0, 0), (5, 1), (11, 2)):
            visible = luminance(shard[f"{part}_rgb"][i])
            merged = synthetic_experts()[k].merge(visible, shard[f"{part}_tir"][i].astype(np.float32) / 255)
            wanted = with_luminance(shard[f"{part}_rgb"][i], merged.clip(0, 1))
            assert np.abs(stored[i, k] - wanted).max() < 0.6 / 255  # stored in 256 levels


def test_held_out_samples_are_of_other_pictures(pool):
    opened = open_pool(pool)
    assert opened.counts == {TRAINING: 12, HELD_OUT: 12}
    training, held_out = (np.load(shard_file(pool, kind, 0))["search_rgb"] for kind in (TRAINING, HELD_OUT))
    assert not any(np.array_equal(a, b) for a in training for b in held_out)


def test_rendering_again_keeps_what_is_there(tmp_path, pairs):
    assert render(tmp_path, pairs, "samples=4")[0] == 0
    kept = shard_file(tmp_path / "pool", TRAINING, 0)
    before = kept.stat().st_mtime_ns
    held_out = shard_file(tmp_path / "pool", HELD_OUT, 0)
    content = held_out.read_bytes()
    held_out.unlink()
    assert render(tmp_path, pairs, "samples=4")[0] == 0
    assert held_out.read_bytes() == content
    assert kept.stat().st_mtime_ns == before


def test_a_changed_expert_set_is_refused(tmp_path, pairs, capsys):
    one, other = write_expert(tmp_path / "max.onnx"), write_expert(tmp_path / "min.onnx", "Min")
    small = "samples=4"
    assert render(tmp_path, pairs, small, experts_from(one))[0] == 0
    assert open_pool(tmp_path / "pool").experts == ("max",)
    assert render(tmp_path, pairs, small, experts_from(one, other))[0] == 2
    assert "experts is ['max'], the recipe says ['max', 'min']" in capsys.readouterr().err
    write_expert(one, "Min")  # another network under the same name
    assert render(tmp_path, pairs, small, experts_from(one))[0] == 2
    error = capsys.readouterr().err
    assert "files.max.sha256" in error


def test_a_stopped_rendering_leaves_whole_files_and_goes_on(tmp_path, pairs, monkeypatch):
    calls = [0]
    merge = type(synthetic_experts()[0]).merge

    def failing(self, visible, thermal):
        calls[0] += 1
        if calls[0] == 40:  # in the second shard: 4 samples, 2 crops and 3 experts make 24 calls each
            raise KeyboardInterrupt
        return merge(self, visible, thermal)

    monkeypatch.setattr(type(synthetic_experts()[0]), "merge", failing)
    monkeypatch.setattr("training.recipes.render_experts.SHARD_SAMPLES", 4)
    assert render(tmp_path, pairs, "samples=8") == (130, tmp_path / "pool")
    names = sorted(path.name for path in (tmp_path / "pool").iterdir())
    assert names == ["pool.json", "training-00000.npy"]
    with pytest.raises(UsageError, match="the pool is not finished"):
        open_pool(tmp_path / "pool")
    assert render(tmp_path, pairs, "samples=8")[0] == 0
    assert open_pool(tmp_path / "pool").counts == {TRAINING: 8, HELD_OUT: 4}


def test_a_damaged_file_is_named(tmp_path, pairs):
    assert render(tmp_path, pairs, "samples=4")[0] == 0
    path = shard_file(tmp_path / "pool", TRAINING, 0)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"training-00000\.npy is missing or damaged"):
        open_pool(tmp_path / "pool")
    with pytest.raises(UsageError, match="there is no pool"):
        open_pool(tmp_path / "nowhere")


def test_an_expert_file_that_is_missing_stops_before_anything_is_written(tmp_path, pairs, capsys):
    assert render(tmp_path, pairs, experts_from(tmp_path / "none.onnx"))[0] == 2
    assert "none.onnx does not exist" in capsys.readouterr().err
    assert not (tmp_path / "pool").exists()


def test_merits_are_the_overlap_and_the_confidence_of_the_judge(pool):
    merits = open_pool(pool).merits[TRAINING]
    assert merits.shape == (12, 3, 2)
    assert (merits >= 0).all()
    assert (merits <= 1).all()
    shard = np.load(shard_file(pool, TRAINING, 0))
    found = judged(Pointing(), shard)
    middle = torch.tensor([[0.3, 0.3, 0.4, 0.4]]).expand(12, 4)
    corners = corners_from_xywh(middle), corners_from_xywh(torch.from_numpy(shard["target"].copy()))
    np.testing.assert_allclose(found[:, 1, 0], overlap_terms(*corners)[0].numpy(), atol=1e-6)
    assert (found[..., 1] == 0.75).all()


def test_another_judge_renders_nothing_anew(tmp_path, pairs):
    judges = [save_judge(tmp_path / f"{seed}.pt", seed) for seed in (1, 2)]
    merits, times = [], []
    for judge in judges:
        assert render(tmp_path, pairs, "samples=4", f"judge={judge}")[0] == 0
        opened = open_pool(tmp_path / "pool")
        assert opened.merits is not None
        merits.append(opened.merits[TRAINING])
        times.append(shard_file(tmp_path / "pool", TRAINING, 0).stat().st_mtime_ns)
    assert times[0] == times[1]
    assert not np.array_equal(*merits)


def test_a_judge_for_other_crops_is_refused(tmp_path):
    path = save_judge(tmp_path / "judge.pt", search_size=48)
    with pytest.raises(CheckpointError, match="judges crops of 16 and 48 px, the pool has 16 and 32"):
        load_judge(path, 16, 32)


def test_a_judge_of_ours_sees_the_template_twice(tmp_path):
    path = save_judge(tmp_path / "judge.pt")
    judge, network = load_judge(path, 16, 32), load_network(path)[0]
    template, search = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found, wanted = judge(template, search), network.tracker()(template, template, search)
    torch.testing.assert_close(found.score, wanted.score)


def published(path: Path, *prefixes: str) -> Checkpoint:
    """What an OSTrack checkpoint of a tiny network would hold."""
    state = Judge(replace(SMALL, unused_tables=True), 8).state_dict()
    return Checkpoint(path, {k: v for k, v in state.items() if k.startswith(prefixes)}, {})


def test_a_published_tracker_becomes_a_judge(tmp_path):
    source, judge = published(tmp_path / "ostrack.pth", "backbone.", "box_head."), Judge(SMALL, 8).eval()
    judge.load_state_dict(published_state(source, SMALL, judge, require_head=True))
    for key, value in judge.state_dict().items():
        assert torch.equal(value, source.state[key]), key


def test_pretraining_cannot_judge(tmp_path):
    source = published(tmp_path / "mae.pth", "backbone.")
    with pytest.raises(CheckpointError, match=r"missing: box_head\.conv1_ctr") as error:
        published_state(source, SMALL, Judge(SMALL, 8), require_head=True)
    assert "\n" not in str(error.value)


def test_batches_depend_on_seed_and_number_alone(pool):
    stream = PoolStream(open_pool(pool), 4, seed=3)
    again = list(batch_loader(stream, 1, 3, workers=0))
    for number, batch in zip((1, 2), again, strict=True):
        for key, value in stream[number].items():
            assert np.array_equal(value, batch[key].numpy()), key
    assert not np.array_equal(stream[1]["search_rgb"], stream[2]["search_rgb"])


def test_processes_share_a_batch(pool):
    stream = PoolStream(open_pool(pool), 4, seed=3)
    parts = [stream.share(rank, 2)[5] for rank in (0, 1)]
    for key, value in stream[5].items():
        assert np.array_equal(value, np.concatenate([part[key] for part in parts])), key
    with pytest.raises(ValueError, match="cannot be shared by 3"):
        stream.share(0, 3)


def test_a_mirrored_sample_is_mirrored_as_a_whole(pool):
    stream = PoolStream(open_pool(pool), 4, seed=0, merit="confidence")
    plain, mirrored = (stream.sample(TRAINING, 2, mirrored) for mirrored in (False, True))
    for name in ("template_rgb", "template_tir", "search_rgb", "search_tir"):
        assert np.array_equal(mirrored[name], plain[name][:, ::-1])
    assert np.array_equal(mirrored["search_experts"], plain["search_experts"][..., ::-1])
    x, y, w, h = plain["target"]
    np.testing.assert_allclose(mirrored["target"], [1 - x - w, y, w, h], atol=1e-6)
    assert np.array_equal(mirrored["merits"], plain["merits"])


def test_half_of_the_samples_are_mirrored(pool):
    opened = open_pool(pool)
    targets = [PoolStream(opened, 64, 0, mirror=mirror)[0]["target"][:, 0] for mirror in (0.0, 0.5, 1.0)]
    assert not (targets[0] == targets[2]).any()
    assert 16 < int((targets[0] == targets[1]).sum()) < 48


def test_some_experts_can_be_chosen(pool):
    opened = open_pool(pool)
    chosen = PoolStream(opened, 4, 0, experts=("laplacian", "mean"))[0]
    every = PoolStream(opened, 4, 0)[0]
    assert np.array_equal(chosen["search_experts"], every["search_experts"][:, [2, 1]])
    assert np.array_equal(chosen["merits"], every["merits"][:, [2, 1]])
    with pytest.raises(UsageError, match="has no 'cddfuse'; it has maximum, mean, laplacian"):
        PoolStream(opened, 4, 0, experts=("cddfuse",))


def test_held_out_batches_are_divided_without_rest(pool):
    stream = PoolStream(open_pool(pool), 4, seed=0)
    whole = np.concatenate([batch["target"] for batch in HeldOutBatches(stream, 5)])
    shared = [batch["target"] for rank in (0, 1) for batch in HeldOutBatches(stream, 5, rank, 2)]
    assert len(whole) == 12
    assert sorted(map(tuple, np.concatenate(shared))) == sorted(map(tuple, whole))
