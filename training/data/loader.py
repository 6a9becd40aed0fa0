"""Batches from several weighted sources, the same for a seed whatever the number of workers and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edge_rgbt.errors import EdgeRgbtError
from training.data.augmentation import Augmentation, Drawn, StrongAugmentation
from training.data.degradation import DegradationRates
from training.data.samples import CROPS, RejectedSample, TrackingSample, dim_templates

MAX_DRAWS = 50  # a source that fails this often in a row is broken, not unlucky


class SampleSource(Protocol):
    """Anything that draws tracking samples."""

    def draw(self, rng: np.random.Generator) -> Drawn:
        """One sample, cut or uncut; raises RejectedSample where the draw did not work out."""
        ...


WeightedSources = list[tuple[SampleSource, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops as float NCHW in 0..255 with three channels, targets `[B, 4]` xywh fractions.

    dynamic_rgb, dynamic_tir: the second template; None where the stream draws none.
    """

    template_rgb: Tensor
    template_tir: Tensor
    search_rgb: Tensor
    search_tir: Tensor
    target: Tensor
    dynamic_rgb: Tensor | None = None
    dynamic_tir: Tensor | None = None


S = TypeVar("S", bound="DividedStream")


class DividedStream(Dataset):
    """Batches whose samples several processes divide among themselves.

    batch_size: of the whole. slots: the places in a batch that this process fills.
    """

    batch_size: int
    slots: range

    def share(self: S, process: int, processes: int) -> S:
        """The part of every batch that one of several processes works on; the whole stays the same.

        Raises ValueError if the batch cannot be divided evenly.
        """
        if self.batch_size % processes:
            raise ValueError(f"a batch of {self.batch_size} cannot be shared by {processes} processes")
        own = self.batch_size // processes
        part = copy(self)
        part.slots = range(process * own, (process + 1) * own)
        return part


class BatchStream(DividedStream):
    """Batch k is a pure function of the seed and k, so that a resumed run sees what it would have seen.

    rates: of the strong augmentation, which is the default. augmentation: takes its place.
    dynamic: hand over a second template; samples without one repeat the first.
    template_dimming: as in the manifest of the bundle that will be exported.
    """

    def __init__(
        self,
        sources: Sequence[tuple[SampleSource, float]],
        batch_size: int,
        seed: int,
        rates: DegradationRates | None = None,
        augmentation: Augmentation | None = None,
        dynamic: bool = False,
        template_dimming: float = 0.0,
    ):
        if not sources or sum(weight for _, weight in sources) <= 0:
            raise ValueError("a batch stream needs at least one source with a weight above 0")
        self.sources = [source for source, _ in sources]
        weights = np.array([weight for _, weight in sources], float)
        self.probabilities = weights / weights.sum()
        self.batch_size = batch_size
        self.seed = seed
        self.augmentation = augmentation or StrongAugmentation(rates)
        self.dynamic = dynamic
        self.template_dimming = template_dimming
        self.slots = range(batch_size)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        samples = [self._draw(np.random.default_rng([self.seed, number, slot])) for slot in self.slots]
        names = CROPS if self.dynamic else CROPS[:4]
        batch = {name: np.stack([_crop(sample, name) for sample in samples]) for name in names}
        batch["target"] = np.stack([sample.target for sample in samples])
        if any(sample.gains != (1.0, 1.0, 1.0) for sample in samples):
            batch["gains"] = np.array([sample.gains for sample in samples], np.float32)
        return batch

    def _draw(self, rng: np.random.Generator) -> TrackingSample:
        reason = ""
        for _ in range(MAX_DRAWS):
            source = self.sources[rng.choice(len(self.sources), p=self.probabilities)]
            try:
                sample = self.augmentation.apply(source.draw(rng), rng)
                return dim_templates(sample, self.template_dimming)
            except RejectedSample as rejected:
                reason = str(rejected)
        raise EdgeRgbtError(
            f"{MAX_DRAWS} draws in a row were rejected, the last one because: {reason}; check the sources"
        )


def _crop(sample: TrackingSample, name: str) -> np.ndarray:
    crop = getattr(sample, name)
    return getattr(sample, name.replace("dynamic", "template")) if crop is None else crop


class BatchLoader(DataLoader):
    """Hands on what a worker raised without the worker's stack: a user error stays one line."""

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        if self.num_workers:
            cv2.setNumThreads(1)  # OpenCV's threads do not survive the fork; workers would wait for them
        try:
            yield from super().__iter__()
        except EdgeRgbtError as error:
            raise type(error)(str(error).strip().splitlines()[-1].split("Error: ", 1)[-1]) from None


def batch_loader(
    stream: Dataset, first: int, last: int, workers: int, device: torch.device | None = None
) -> BatchLoader:
    """Batches `first` to `last - 1` in order, made ahead by worker processes.

    device: where they will go; for a GPU they lie in pinned memory, so that the copy need not be waited for.
    """
    return BatchLoader(
        stream,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=6 if workers else None,
        pin_memory=device is not None and device.type == "cuda",
        generator=torch.Generator(),  # its own: opening it must not draw from the one that a resume restores
        worker_init_fn=_one_thread,
    )


def _one_thread(_: int) -> None:
    """Pictures are small; OpenCV's threads in every worker would only fight for the cores."""
    cv2.setNumThreads(1)


def to_batch(arrays: dict[str, Tensor]) -> Batch:
    """uint8 NHWC (or thermal NHW) arrays to float NCHW; thermal is replicated to three channels."""
    planes = {}
    for number, name in enumerate(CROPS):
        image = arrays.get(name)
        if image is None:
            continue
        image = image.permute(0, 3, 1, 2) if image.ndim == 4 else image[:, None].expand(-1, 3, -1, -1)
        planes[name] = image.float()
        if "gains" in arrays:  # in float, as published: no rounding between brightness and normalisation
            gain = arrays["gains"][:, number // 2, None, None, None]
            planes[name] = (planes[name] * gain).clamp(max=255.0)
    return Batch(target=arrays["target"], **planes)
