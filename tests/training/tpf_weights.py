"""The deterministic adapter weights and images of `adapters` as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from adapters import image, parameter
from torch import Tensor


def picture(key: str, height: int, width: int) -> Tensor:
    """Test image `[1, 3, H, W]` in 0..1, of 256 levels."""
    levels = image(key, height, width).transpose(2, 0, 1)[None].astype(np.float64)
    return torch.from_numpy((levels / 255).astype(np.float32))


def adapter_state(layout: Mapping[str, Iterable[int]], salt: str) -> dict[str, Tensor]:
    """Values for a layout of name -> shape; the vectors' adapter has the salt `tpf-public-1/pfa`."""
    return {name: torch.from_numpy(parameter(name, tuple(shape), salt)) for name, shape in layout.items()}
