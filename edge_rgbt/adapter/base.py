"""What every form of the adapter offers, so that the tracker knows none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from edge_rgbt.engine.base import EngineInfo


class Adapter(ABC):
    """Two registered crops in, one fused image out. Made once, called from one thread."""

    info: EngineInfo

    @abstractmethod
    def fuse(self, rgb: np.ndarray, tir: np.ndarray) -> np.ndarray:
        """Fused images, float32 in 0..1, of two stacks of crops, uint8; all `[N, H, W, 3]`. Fresh memory."""

    def close(self) -> None:
        """Ends the adapter's threads; it cannot be used afterwards."""
