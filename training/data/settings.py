"""What the `[data]` table of a recipe holds; `training.data.sources` opens it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge_rgbt.replay.layouts import IMAGE_LAYOUTS
from training.data.samples import SEARCH_SIZE_JITTER
from training.data.synthetic_motion import MotionSettings


@dataclass(frozen=True)
class SourceSettings:
    """One tracking dataset, as published or packed: the table `[data.sources.NAME]`.

    layout: lasher, vtuav, rgbt234, rgbt210 or gtot; empty takes the table's own name. A folder written by
    `python -m training pack` tells its layout itself.
    split: empty takes the training split where the root has splits, everything where it has none.
    validation_split: empty keeps every `held_out`-th sequence out of training and validates on those.
    interpolate: fill boxes in between annotated frames (VTUAV); otherwise only annotated frames are used.
    exclude: sequences to leave out. skip_broken: go on without sequences that cannot be used.
    """

    path: str
    layout: str = ""
    split: str = ""
    validation_split: str = ""
    weight: float = 1.0
    interpolate: bool = False
    exclude: tuple[str, ...] = ()
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path is empty; give the dataset's folder")
        if self.layout and self.layout not in IMAGE_LAYOUTS:
            raise ValueError(f"layout is '{self.layout}'; known: {', '.join(IMAGE_LAYOUTS)}")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight is {self.weight}; it must be above 0")


@dataclass(frozen=True)
class DataSettings:
    """Sources and their weights; folders are relative to the working directory, packed ones do as well.

    pairs: folders of aligned image pairs. motion: what is made to happen in them.
    flights: a folder written by `python -m training flights`.
    sources: tracking datasets, one table each.
    augmentation: `strong` for training from little data, `published` as CKD and OSTrack were trained.
    search_size_jitter: spread of the search crop's size, sigma of a log-normal (strong augmentation).
    template_dimming: brightness that templates lose outside the target's box; goes into the manifest.
    dynamic_template: also draw a frame between template and search frame (TPF).
    held_out: every so many-th picture, flight and sequence validates. workers: loader processes.
    """

    pairs: tuple[str, ...] = ()
    pairs_weight: float = 1.0
    motion: MotionSettings = field(default_factory=MotionSettings)
    flights: str = ""
    flights_weight: float = 1.0
    sources: dict[str, SourceSettings] = field(default_factory=dict)
    augmentation: Literal["strong", "published"] = "strong"
    search_size_jitter: float = SEARCH_SIZE_JITTER
    template_dimming: float = 0.0
    dynamic_template: bool = False
    held_out: int = 24
    workers: int = 1

    def __post_init__(self) -> None:
        if self.held_out < 2:
            raise ValueError(f"held_out is {self.held_out}; at least 2, or nothing is left to train on")
        if not 0 <= self.template_dimming <= 1:
            raise ValueError(f"template_dimming is {self.template_dimming}, expected 0 to 1")
        if not 0 <= self.search_size_jitter <= 2:
            raise ValueError(f"search_size_jitter is {self.search_size_jitter}, expected 0 to 2")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}; 0 loads in the training process itself")
