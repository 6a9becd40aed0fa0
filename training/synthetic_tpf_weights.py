"""Adapter weights and test tensors made from their names, for tests (tpf.md section 12)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

STEPS = (0.001, 0.1)


def uniform(key: str, shape: Iterable[int]) -> np.ndarray:
    """float64 in [0, 1) that depend on the key alone."""
    shape = tuple(shape)
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed)).random(math.prod(shape)).reshape(shape)


def unit(key: str, shape: Iterable[int]) -> np.ndarray:
    """float64 with mean 0 and deviation 1."""
    return (2 * uniform(key, shape) - 1) * math.sqrt(3.0)


def picture(key: str, height: int, width: int) -> Tensor:
    """Test image `[1, 3, H, W]` in 0..1, of 256 levels."""
    levels = np.floor(256 * uniform(key, (1, 3, height, width)))
    return torch.from_numpy((levels / 255).astype(np.float32))


def adapter_state(layout: Mapping[str, Iterable[int]], salt: str) -> dict[str, Tensor]:
    """Values for a layout of name -> shape; the vectors' adapter has the salt `tpf-public-1/pfa`."""
    return {name: _parameter(name, tuple(shape), salt) for name, shape in layout.items()}


def _parameter(name: str, shape: tuple[int, ...], salt: str) -> Tensor:
    key = f"{salt}/{name}"
    if name.endswith("A_log"):
        rates = np.log(np.arange(1, shape[1] + 1)) if len(shape) == 2 else 0.0
        value = rates + 0.1 * unit(key, shape)
    elif name.rsplit(".", 1)[-1] == "D" or name.endswith("norm.weight"):
        value = 1 + 0.1 * unit(key, shape)
    elif name.endswith("dt_proj.bias"):
        low, high = map(math.log, STEPS)
        step = np.exp(low + uniform(key, shape) * (high - low))
        value = step + np.log(-np.expm1(-step))
    elif name.endswith("bias"):
        value = 0.05 * unit(key, shape)
    else:
        value = unit(key, shape) / math.sqrt(math.prod(shape[1:]))
    return torch.from_numpy(np.asarray(value, dtype=np.float32))
