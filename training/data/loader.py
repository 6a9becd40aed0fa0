"""Batches from several weighted sources, the same for a seed whatever the number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.data.degradation import DegradationRates, degrade
from training.data.samples import RejectedSample, TrackingSample

MAX_DRAWS = 50  # a source that fails this often in a row is broken, not unlucky


class SampleSource(Protocol):
    """Anything that draws tracking samples."""

    def draw(self, rng: np.random.Generator) -> TrackingSample:
        """One sample; raises RejectedSample where the draw did not work out."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops as float NCHW in 0..255 with three channels, targets `[B, 4]` xywh fractions."""

    template_rgb: Tensor
    template_tir: Tensor
    search_rgb: Tensor
    search_tir: Tensor
    target: Tensor


class BatchStream(Dataset):
    """Batch k is a pure function of the seed and k, so that a resumed run sees what it would have seen."""

    def __init__(
        self,
        sources: Sequence[tuple[SampleSource, float]],
        batch_size: int,
        seed: int,
        rates: DegradationRates | None = None,
    ):
        if not sources or sum(weight for _, weight in sources) <= 0:
            raise ValueError("a batch stream needs at least one source with a weight above 0")
        self.sources = [source for source, _ in sources]
        weights = np.array([weight for _, weight in sources], float)
        self.probabilities = weights / weights.sum()
        self.batch_size = batch_size
        self.seed = seed
        self.rates = rates or DegradationRates()

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        samples = [
            self._draw(np.random.default_rng([self.seed, number, slot])) for slot in range(self.batch_size)
        ]
        names = ("template_rgb", "template_tir", "search_rgb", "search_tir", "target")
        return {name: np.stack([getattr(s, name) for s in samples]) for name in names}

    def _draw(self, rng: np.random.Generator) -> TrackingSample:
        for _ in range(MAX_DRAWS):
            source = self.sources[rng.choice(len(self.sources), p=self.probabilities)]
            try:
                return degrade(source.draw(rng), self.rates, rng)
            except RejectedSample:
                continue
        raise RuntimeError(f"{MAX_DRAWS} draws in a row were rejected; check the sources and their sizes")


def batch_loader(stream: BatchStream, first: int, last: int, workers: int) -> DataLoader:
    """Batches `first` to `last - 1` in order, made ahead by worker processes."""
    return DataLoader(
        stream,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=6 if workers else None,
        generator=torch.Generator(),  # its own: opening it must not draw from the one that a resume restores
    )


def to_batch(arrays: dict[str, Tensor]) -> Batch:
    """uint8 NHWC (or thermal NHW) arrays to float NCHW; thermal is replicated to three channels."""
    planes = {}
    for name in ("template_rgb", "template_tir", "search_rgb", "search_tir"):
        image = arrays[name]
        image = image.permute(0, 3, 1, 2) if image.ndim == 4 else image[:, None].expand(-1, 3, -1, -1)
        planes[name] = image.float()
    return Batch(target=arrays["target"], **planes)
