"""Deterministic adapter weights and images: the recipe of tpf.md section 12, which the vectors follow."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from safetensors.numpy import save

from edge_rgbt.adapter.layout import VARIANTS, tensor_shapes
from edge_rgbt.adapter.weights import AdapterWeights


def uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float64 in [0, 1) that depend on the key alone."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.PCG64(seed)).random(math.prod(shape)).reshape(shape)


def unit(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """float64 of mean zero and deviation one."""
    return (2 * uniform(key, shape) - 1) * math.sqrt(3.0)


def parameter(name: str, shape: tuple[int, ...], salt: str) -> np.ndarray:
    """One parameter by its name, float32."""
    key = f"{salt}/{name}"
    if name.endswith("A_log"):
        base = np.log(np.arange(1, shape[1] + 1)) if len(shape) == 2 else 0.0
        value = base + 0.1 * unit(key, shape)
    elif name.split(".")[-1] == "D" or name.endswith("norm.weight"):
        value = 1 + 0.1 * unit(key, shape)
    elif name.endswith("dt_proj.bias"):
        dt = np.exp(math.log(0.001) + uniform(key, shape) * (math.log(0.1) - math.log(0.001)))
        value = dt + np.log(-np.expm1(-dt))
    elif name.endswith("bias"):
        value = 0.05 * unit(key, shape)
    else:
        value = unit(key, shape) / math.sqrt(math.prod(shape[1:]))
    return value.astype(np.float32)


def adapter(name: str = "full", salt: str = "tpf-public-1/pfa") -> AdapterWeights:
    """A whole adapter of the variant `name`; for "full" with the salt above, that of the vectors."""
    shapes = tensor_shapes(VARIANTS[name])
    return AdapterWeights(name, {key: parameter(key, shape, salt) for key, shape in shapes.items()})


def image(key: str, height: int, width: int) -> np.ndarray:
    """uint8 `[H, W, 3]`."""
    values = np.floor(256 * uniform(key, (1, 3, height, width))).astype(np.uint8)
    return np.ascontiguousarray(values[0].transpose(1, 2, 0))


def adapter_file(adapter: AdapterWeights, **metadata: str) -> bytes:
    """Contents of `adapter.safetensors`."""
    return save(dict(adapter.tensors), metadata={"variant": adapter.name, **metadata})
