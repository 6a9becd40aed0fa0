"""ViM block and fusion adapter: parameter totals, start values, and the stored vectors stage by stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tpf_weights import adapter_state, picture

from edge_rgbt.adapter.layout import BLOCKS, VARIANTS, tensor_shapes
from training.models.tpf.adapter import FusionAdapter, adapter_macs, swap_channels, unweighted_parameters
from training.models.tpf.vim import Vim
from training.synthetic_weights import layout_of

SALT = "tpf-public-1/pfa"
TOTALS = {"full": 14_267, "s2": 14_036, "tied": 11_867, "add": 0}


@pytest.fixture
def pfa() -> FusionAdapter:
    """The adapter of the vectors."""
    adapter = FusionAdapter()
    adapter.load_state_dict(adapter_state(layout_of(adapter), SALT))
    return adapter.eval()


def block_of(vector: np.lib.npyio.NpzFile) -> Vim:
    block = Vim(vector["w.norm.weight"].size)
    weights = {k.removeprefix("w."): torch.from_numpy(vector[k]) for k in vector.files if k.startswith("w.")}
    block.load_state_dict(weights)
    return block


def within(found: torch.Tensor, wanted: np.ndarray, share: float = 2e-5) -> bool:
    return float(np.abs(found.detach().numpy() - wanted).max()) <= share * float(np.abs(wanted).max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameter_totals_and_names_are_those_of_the_design(variant: str) -> None:
    adapter = FusionAdapter(variant)
    assert sum(parameter.numel() for parameter in adapter.parameters()) == TOTALS[variant]
    assert layout_of(adapter) == tensor_shapes(VARIANTS[variant])


@pytest.mark.parametrize(("channels", "total"), [(8, 2216), (16, 5200)])
def test_block_totals_are_those_of_the_design(channels: int, total: int) -> None:
    assert sum(parameter.numel() for parameter in Vim(channels).parameters()) == total


def test_multiply_accumulates_are_those_of_the_design() -> None:
    assert adapter_macs("full", 256) == pytest.approx(1.460e9, rel=1e-3)
    assert adapter_macs("full", 128) == pytest.approx(0.365e9, rel=1e-3)
    assert adapter_macs("s2", 256) == pytest.approx(0.361e9, rel=1e-3)
    assert adapter_macs("add", 256) == 0


@pytest.mark.parametrize("name", ["vim_d8", "vim_d8_odd", "vim_d16"])
def test_block_equals_the_vector(name: str, shared_vectors: Path) -> None:
    vector = np.load(shared_vectors / "tpf" / f"{name}.npz")
    assert within(block_of(vector)(torch.from_numpy(vector["x"])), vector["out"])


@pytest.mark.parametrize("name", ["vim_d8", "vim_d16"])
@pytest.mark.parametrize("reading", ["fwd", "bwd"])
def test_directions_equal_the_vector_step_by_step(name: str, reading: str, shared_vectors: Path) -> None:
    vector = np.load(shared_vectors / "tpf" / f"{name}.npz")
    block = block_of(vector)
    xz = block.in_proj(block.norm(torch.from_numpy(vector["x"]))).transpose(1, 2)
    assert within(xz, vector["xz"])
    v = xz.chunk(2, dim=1)[0]
    direction, v = (block.fwd, v) if reading == "fwd" else (block.bwd, v.flip(-1))
    fed = direction.scan_inputs(v)
    step = F.softplus(fed.delta + direction.dt_proj.bias[:, None])
    found = {"u": fed.u, "delta": step, "B": fed.B, "C": fed.C, "y": direction(v)}
    assert all(within(value, vector[f"{reading}_{key}"]) for key, value in found.items())


@pytest.mark.parametrize("name", ["pfa_16", "pfa_20x12"])
def test_adapter_equals_the_vector_stage_by_stage(
    name: str, pfa: FusionAdapter, shared_vectors: Path
) -> None:
    vector = np.load(shared_vectors / "tpf" / f"{name}.npz")
    rgb, tir = (torch.from_numpy(vector[key]).float() / 255 for key in ("rgb", "tir"))
    seen: dict[str, torch.Tensor] = {}
    for part in ("low_rgb", "low_tir", *BLOCKS):
        pfa.get_submodule(part).register_forward_hook(lambda _m, _i, out, part=part: seen.update({part: out}))
    with torch.no_grad():
        fused = pfa(rgb, tir)
    for part in ("low_rgb", "low_tir"):
        assert within(seen[part].flatten(2).transpose(1, 2), vector[part])
    for part in ("rgb", "tir"):
        assert within(seen[f"vim_{part}"], vector[f"vim_{part}"])
    swapped = swap_channels(seen["vim_rgb"], seen["vim_tir"])
    assert within(swapped[0], vector["swap_rgb"])
    assert within(swapped[1], vector["swap_tir"])
    assert within(seen["vim_token"], vector["token"])
    assert within(seen["vim_channel"], vector["channel"])
    assert np.abs(fused.numpy() - vector["fused"]).max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("pfa_template", 128), ("pfa_search", 256)])
def test_adapter_equals_the_sampled_vector_of_a_whole_crop(
    name: str, size: int, pfa: FusionAdapter, shared_vectors: Path
) -> None:
    vector = np.load(shared_vectors / "tpf" / f"{name}.npz")
    rgb, tir = (picture(f"tpf-public-1/{name}/{part}", size, size) for part in ("rgb", "tir"))
    assert np.array_equal((rgb[0, :, 0, :16] * 255).round().numpy(), vector["rgb_head"])
    assert np.array_equal((tir[0, :, 0, :16] * 255).round().numpy(), vector["tir_head"])
    seen: dict[str, torch.Tensor] = {}
    pfa.vim_token.register_forward_hook(lambda _m, _i, out: seen.update(token=out[0]))
    pfa.vim_channel.register_forward_hook(lambda _m, _i, out: seen.update(channel=out[0]))
    with torch.no_grad():
        fused = pfa(rgb, tir)[0]
    sampled = fused[:, torch.from_numpy(vector["rows"])][:, :, torch.from_numpy(vector["cols"])]
    assert np.abs(sampled.numpy() - vector["fused"]).max() <= 1e-5
    assert np.abs(fused.mean((1, 2)).numpy() - vector["mean"]).max() <= 1e-5
    assert np.abs(fused.std((1, 2), correction=0).numpy() - vector["std"]).max() <= 1e-5
    assert within(seen["token"][:16], vector["token_first"])
    assert within(seen["token"][size * size - 8 : size * size + 8], vector["token_mid"])
    assert within(seen["token"][-16:], vector["token_last"])
    assert within(seen["channel"][:16], vector["channel_first"])
    assert within(seen["channel"][-16:], vector["channel_last"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_adapter_stays_close_under_autocast(
    dtype: torch.dtype, pfa: FusionAdapter, shared_vectors: Path
) -> None:
    vector = np.load(shared_vectors / "tpf" / "pfa_16.npz")
    rgb, tir = (torch.from_numpy(vector[key]).float() / 255 for key in ("rgb", "tir"))
    with torch.no_grad(), torch.autocast("cpu", dtype):
        fused = pfa(rgb, tir)
    bar = 3e-3 if dtype is torch.float16 else 2.4e-2  # bfloat16 has three bits fewer
    assert np.abs(fused.float().numpy() - vector["fused"]).max() <= bar


def test_float16_storage_stays_close(pfa: FusionAdapter, shared_vectors: Path) -> None:
    vector = np.load(shared_vectors / "tpf" / "pfa_20x12.npz")
    rgb, tir = (torch.from_numpy(vector[key]).half().float() / 255 for key in ("rgb", "tir"))
    with torch.no_grad():
        for parameter in pfa.parameters():
            parameter.copy_(parameter.half())
        for part in ("low_rgb", "low_tir", *BLOCKS):  # what crosses memory between the blocks
            pfa.get_submodule(part).register_forward_hook(lambda _m, _i, out: out.half().float())
        difference = np.abs(pfa(rgb.half().float(), tir.half().float()).numpy() - vector["fused"]).max()
    assert 1e-5 < difference <= 3e-3


@pytest.mark.parametrize("variant", ["s2", "tied", "add"])
def test_variants_give_a_picture_of_the_crop_size(variant: str) -> None:
    rgb, tir = torch.rand(2, 3, 12, 8), torch.rand(2, 3, 12, 8)
    fused = FusionAdapter(variant)(rgb, tir).detach()
    assert fused.shape == rgb.shape
    assert 0 < float(fused.min()) <= float(fused.max()) < 1


def test_tied_decay_starts_where_the_free_one_does() -> None:
    tied, free = FusionAdapter("tied"), FusionAdapter()
    torch.testing.assert_close(tied.vim_rgb.fwd.decay(), free.vim_rgb.fwd.decay())


def test_start_values_are_those_of_the_design() -> None:
    torch.manual_seed(0)
    adapter = FusionAdapter()
    direction = adapter.vim_channel.bwd
    step = F.softplus(direction.dt_proj.bias)
    assert 1e-3 * 0.999 <= float(step.min()) < float(step.max()) <= 0.1 * 1.001
    assert torch.equal(direction.D, torch.ones(32))
    torch.testing.assert_close(direction.A_log.exp(), torch.arange(1.0, 17).repeat(32, 1))
    bound = 32**-0.5 / 2  # the framework's default for 32 inputs, halved for four blocks in a row
    assert 0.9 * bound < float(adapter.vim_channel.out_proj.weight.abs().max()) <= bound


def test_decays_and_skips_take_no_weight_decay() -> None:
    names = unweighted_parameters(FusionAdapter())
    assert len(names) == 16
    assert {"vim_rgb.fwd.A_log", "vim_channel.bwd.D"} <= names


def test_every_parameter_of_the_adapter_learns() -> None:
    adapter = FusionAdapter()
    adapter(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in adapter.parameters())
