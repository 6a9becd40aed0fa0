"""The variant `add`: the plain mean of both images, TPF's baseline and what fusion has to beat."""

from __future__ import annotations

import platform

import numpy as np

from edge_rgbt.adapter.base import Adapter
from edge_rgbt.engine.base import EngineInfo


class MeanAdapter(Adapter):
    """No weights, no threads, no further library."""

    def __init__(self) -> None:
        self.info = EngineInfo("numpy", np.__version__, "fp32", f"CPU ({platform.machine()})", 1)

    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        half = np.float32(0.5 / 255)
        return rgb * half + tir * half
