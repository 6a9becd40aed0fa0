"""Small networks and vector inputs that several training tests share."""

from __future__ import annotations

import numpy as np
import torch

from training.models.ckd import CkdConfig, normalise
from training.models.elimination import EliminationConfig
from training.models.vit import VitConfig


def tiny_config(mode: str = "none", shared: bool = False, stem: str = "conv") -> CkdConfig:
    """16 template and 64 search tokens of width 32, two blocks, elimination in the first."""
    vit = VitConfig(embed_dim=32, depth=2, heads=2, patch_size=8, stem=stem, template_size=32, search_size=64)
    elimination = EliminationConfig(mode=mode, layers=(0,), ratios=(0.7,))
    return CkdConfig(vit=vit, head_channels=16, shared_students=shared, elimination=elimination)


def vector_crops(vectors: np.lib.npyio.NpzFile) -> list[torch.Tensor]:
    """The uint8 crops of a vector file in the order of the network's inputs, thermal with three channels."""
    crops = [vectors[name] for name in ("template_rgb", "template_tir", "search_rgb", "search_tir")]
    return [torch.from_numpy(c if c.ndim == 4 else np.repeat(c[..., None], 3, axis=-1)) for c in crops]


def vector_inputs(vectors: np.lib.npyio.NpzFile) -> list[torch.Tensor]:
    """The same, normalised."""
    return [normalise(crops) for crops in vector_crops(vectors)]
