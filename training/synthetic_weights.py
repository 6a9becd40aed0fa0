"""Weights made from key name, shape and a seed, for tests without released weights (ckd.md section 12)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

TABLES = ("pos_embed", "pos_embed_z", "pos_embed_x", "cls_token")
LAST_LAYERS = {  # parent of the key -> (weight factor, bias centre, bias factor)
    "conv5_size": (0.02, -0.95, 0.02),
    "conv5_offset": (0.04, 0.5, 0.05),
    "conv5_ctr": (0.3, -2.0, 0.05),
}


def noise(tag: str, seed: int, shape: Iterable[int]) -> np.ndarray:
    """Standard normal float64 numbers that depend only on tag, seed and shape."""
    shape = tuple(shape)
    digest = hashlib.sha256(f"{seed}/{tag}".encode()).digest()
    generator = np.random.RandomState(int.from_bytes(digest[:4], "little"))
    return generator.standard_normal(math.prod(shape)).reshape(shape)


def synthetic_tensor(key: str, shape: Iterable[int], seed: int = 0) -> Tensor:
    """The value of one state-dict entry."""
    shape = tuple(shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    r = noise(key, seed, shape)
    return torch.from_numpy(np.asarray(_shape_noise(key, leaf, r), dtype=np.float32).copy())


def synthetic_state(layout: Mapping[str, Iterable[int]], seed: int = 0) -> dict[str, Tensor]:
    """A whole state dict for a layout of key -> shape."""
    return {key: synthetic_tensor(key, shape, seed) for key, shape in layout.items()}


def layout_of(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a module's state dict."""
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def _shape_noise(key: str, leaf: str, r: np.ndarray) -> np.ndarray:
    parts = key.split(".")
    parent = parts[-2] if len(parts) >= 3 else ""
    if leaf == "running_mean":
        return 0.1 * r
    if leaf == "running_var":
        return 0.5 + 0.5 * r**2
    if leaf in TABLES or "temporal_pos_embed" in leaf:
        return 0.3 * r
    if parent in LAST_LAYERS:
        weight, centre, spread = LAST_LAYERS[parent]
        return weight * r if leaf == "weight" else centre + spread * r
    if leaf == "weight" and r.ndim == 1:
        return 1 + 0.1 * r
    if leaf == "weight":
        gain = 2.0 if r.shape[2:] == (3, 3) else 1.0
        return r * math.sqrt(gain / math.prod(r.shape[1:]))
    return (0.05 if leaf == "bias" else 0.02) * r
