"""The smallest runs of TPF's two stages, and the smallest pool of expert pictures."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_runs import DATA_AND_ENGINE

from training.__main__ import main
from training.checkpoints import save_checkpoint
from training.models.tpf.tracker import TpfConfig, TpfNetwork
from training.models.vit import VitConfig

POOL = """
out = "{out}"
seed = 1
template_size = 16
search_size = 32
samples = 12
held_out_samples = 4
device = "cpu"

[data]
pairs = ["{pairs}"]
held_out = 4
workers = 0
"""

RUN = (
    """
out = "{out}"
seed = 1
stage = "{stage}"
save_every = 2
validate_every = 4
validation_samples = 4

[model]
adapter = "s2"
head_channels = 8

[model.vit]
embed_dim = 16
depth = 2
heads = 2
patch_size = 8
template_size = 16
search_size = 32
drop_path = 0.0

[fusion]
pool = "{pool}"
merit = "equal"

[auxiliary]
decoder_width = 16
decoder_depth = 1
decoder_heads = 2
"""
    + DATA_AND_ENGINE
)


def with_settings(settings: tuple[str, ...]) -> list[str]:
    """As the command line takes them."""
    return [word for setting in settings for word in ("--set", setting)]


def render(folder: Path, pairs: Path, *settings: str, out: str = "pool") -> tuple[int, Path]:
    """Renders a pool into `folder / out`; returns exit status and pool."""
    path = folder / f"{out}-recipe.toml"
    path.write_text(POOL.format(out=folder / out, pairs=pairs))
    return main(["render-experts", "--recipe", str(path), *with_settings(settings)]), folder / out


def write_run(folder: Path, pairs: Path, stage: str, out: str = "run", pool: Path | str = "") -> Path:
    """A recipe file that trains a stage into `folder / out`."""
    path = folder / f"{out}.toml"
    path.write_text(RUN.format(out=folder / out, pairs=pairs, stage=stage, pool=pool))
    return path


def save_judge(path: Path, seed: int = 0, search_size: int = 32) -> Path:
    """A tracker that judges the pool's crops; it has learnt nothing."""
    torch.manual_seed(seed)
    vit = VitConfig(
        embed_dim=16, depth=1, heads=2, patch_size=8, template_size=16, search_size=search_size,
        unused_tables=False,
    )  # fmt: skip
    config = TpfConfig(vit, "add", head_channels=8)
    save_checkpoint(path, TpfNetwork(config).state_dict(), family="tpf", config=config.to_dict())
    return path
