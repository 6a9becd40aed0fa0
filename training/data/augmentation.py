"""What turns a draw of a source into the sample that is trained on, and the choice between the two kinds."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from training.data.degradation import DegradationRates, degrade
from training.data.published_augmentation import PublishedAugmentation, PublishedRates
from training.data.samples import TrackingSample, UncutSample, cut_sample

Drawn = TrackingSample | UncutSample  # a source hands over crops that it cut by itself, or whole frames


class Augmentation(Protocol):
    """One way to vary samples."""

    def apply(self, drawn: Drawn, rng: np.random.Generator) -> TrackingSample:
        """Cuts what is uncut and varies it. Raises RejectedSample where the draw cannot be used."""
        ...


class StrongAugmentation:
    """Search jitter as published, then what cameras, weather and night do: for training from little data."""

    def __init__(self, rates: DegradationRates | None = None) -> None:
        self.rates = rates or DegradationRates()

    def apply(self, drawn: Drawn, rng: np.random.Generator) -> TrackingSample:
        if isinstance(drawn, UncutSample):
            drawn = cut_sample(
                drawn.template.images,
                drawn.template.box,
                drawn.search.images,
                drawn.search.box,
                drawn.sizes,
                rng,
                dynamic=drawn.dynamic,
            )
        return degrade(drawn, self.rates, rng)


def choose_augmentation(name: str, validating: bool = False) -> Augmentation:
    """The augmentation that a recipe names; `validating` takes what the publication validated with."""
    if name == "strong":
        return StrongAugmentation()
    return PublishedAugmentation(PublishedRates(brightness=0.0, own_mirror=0.0) if validating else None)
