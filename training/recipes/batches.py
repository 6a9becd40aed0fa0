"""From the arrays of a batch to what networks and losses take."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from edge_rgbt.errors import UsageError
from training.data.loader import Batch, DividedStream
from training.engine.processes import Team
from training.engine.stepping import Arrays, Stepper
from training.losses.task import gaussian_heatmaps
from training.models.ckd import PIXEL_MEAN, PIXEL_STD

Pictures = tuple[Tensor, Tensor]


Stream = TypeVar("Stream", bound=DividedStream)


def own_share(stream: Stream, team: Team) -> Stream:
    """The part of every batch that this process works on. Raises UsageError if it cannot be divided."""
    try:
        return stream.share(team.rank, team.size)
    except ValueError as error:
        raise UsageError(f"optimiser.batch: {error}") from error


def network_input(batch: Batch) -> tuple[Pictures, Pictures]:
    """Normalised (RGB, thermal) templates and searches, float `[B, 3, H, W]`."""
    device = batch.target.device
    mean = torch.tensor(PIXEL_MEAN, device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(PIXEL_STD, device=device).view(1, 3, 1, 1) * 255
    z_rgb, z_tir, x_rgb, x_tir = (
        (crops - mean) / std
        for crops in (batch.template_rgb, batch.template_tir, batch.search_rgb, batch.search_tir)
    )
    return (z_rgb, z_tir), (x_rgb, x_tir)


def with_heatmaps(arrays: Arrays, side: int, stepper: Stepper) -> tuple[Arrays, float]:
    """Adds the focal loss's heat maps `[B, 1, side, side]`, and gives what that loss divides by.

    It counts centres over the whole batch, so that losses are the same however many processes share it.
    """
    heatmap = torch.from_numpy(gaussian_heatmaps(arrays["target"].numpy(), side))[:, None]
    shares = stepper.team.size * stepper.parts_of(len(heatmap))
    centres = float(stepper.team.total((heatmap == 1).sum()))
    return {**arrays, "heatmap": heatmap}, max(centres, 1.0) / shares
