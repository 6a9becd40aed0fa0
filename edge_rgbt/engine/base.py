"""What every inference engine offers, so that the tracker knows none of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A graph input or output; -1 in the shape is the free batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What really runs: engine and its version, precision, device, and why it is not what was asked for."""

    engine: str
    version: str
    precision: str
    device: str
    threads: int
    fallback: str = ""

    def __str__(self) -> str:
        text = f"{self.engine} {self.version}, {self.precision}, {self.device}, {self.threads} threads"
        return f"{text} (fallback: {self.fallback})" if self.fallback else text


class Engine(ABC):
    """One loaded network. Made once, called from one thread, closed once."""

    info: EngineInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the graph once; blocks until the outputs are in host memory.

        feeds: every input by name, C-contiguous, with the dtype and shape of its spec.
        Raises EngineError naming the input if one is missing or misshapen, or if the backend fails.
        """

    def close(self) -> None:
        """Frees device memory; the engine cannot be used afterwards."""
