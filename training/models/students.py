"""Compact trackers as students of any teacher: the network that is deployed, and what distillation reads."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from training.models.branches import run_branches
from training.models.ckd import CkdTracker
from training.models.distillation import Geometry, StudentSpec, fit_pictures
from training.models.elimination import EliminationConfig
from training.models.transcmd.student import (
    Pictures,
    StudentFeatures,
    TransCmdStudent,
)
from training.models.vit import VitConfig

NO_ELIMINATION = EliminationConfig(mode="none")  # distillation compares every place


class TrackerConfig(Protocol):
    """What the configurations of all trackers have."""

    @property
    def vit(self) -> VitConfig: ...
    @property
    def template_factor(self) -> float: ...
    @property
    def search_factor(self) -> float: ...


def geometry_of(config: TrackerConfig) -> Geometry:
    """Crops and grid of a tracker with a plain ViT inside."""
    vit = config.vit
    return Geometry(
        vit.template_size, vit.search_size, vit.search_side, config.template_factor, config.search_factor
    )


class DistillableTransCmd(nn.Module):
    """A TransCMD student of either mode."""

    def __init__(self, network: TransCmdStudent) -> None:
        super().__init__()
        self.network = network
        width = network.config.vit.embed_dim
        self.spec = StudentSpec(network.config.vit.depth, width, width, geometry_of(network.config))

    def forward(self, templates: Pictures, searches: Pictures) -> StudentFeatures:
        """(RGB, thermal) normalised; crops of another size are scaled."""
        vit = self.network.config.vit
        return self.network.features(
            fit_pictures(templates, vit.template_size), fit_pictures(searches, vit.search_size)
        )


class DistillableCkd(nn.Module):
    """A CKD tracker with shared or separate students; token elimination is off in this pass."""

    def __init__(self, network: CkdTracker) -> None:
        super().__init__()
        self.network = network
        vit = network.config.vit
        self.spec = StudentSpec(vit.depth, vit.embed_dim, 2 * vit.embed_dim, geometry_of(network.config))

    def forward(self, templates: Pictures, searches: Pictures) -> StudentFeatures:
        """(RGB, thermal) normalised; crops of another size are scaled."""
        vit = self.network.config.vit
        return ckd_features(
            self.network, fit_pictures(templates, vit.template_size), fit_pictures(searches, vit.search_size)
        )


def ckd_features(network: CkdTracker, templates: Pictures, searches: Pictures) -> StudentFeatures:
    """What the (two or shared) students of a CKD network see in crops of its own size."""
    first = network.config.vit.template_tokens
    streams = network.student_streams(templates, searches)
    for stream in streams:
        stream.taps = []
    run_branches(streams, NO_ELIMINATION)
    rgb, tir = (
        tuple(tap[:, first:] for tap in taps)
        for stream in streams
        for taps in zip(*(stream.per_modality(tap) for tap in stream.taps or ()), strict=True)
    )
    tokens = network.fuse(streams)
    return StudentFeatures(rgb, tir, tokens[:, first:], network.box_head(network.search_map(tokens)))
