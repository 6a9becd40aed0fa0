"""Held-out samples, the same at every validation, and how well boxes fit them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.loader import Batch, BatchStream, batch_loader, to_batch
from training.data.samples import CropSizes
from training.data.sources import OpenedSources, validation_stream
from training.engine.keeper import Verdict
from training.engine.modality_gap import modality_gap
from training.engine.pictures import as_pixels, draw_crops
from training.engine.processes import Team
from training.engine.run_settings import RunSettings
from training.engine.stepping import Arrays, Stepper
from training.losses.task import corners_from_cxcywh, corners_from_xywh, overlap_terms

VALIDATION_SEED = 1_000_003  # far from any training seed; the pictures it draws from are held out too
VALIDATION_BATCH = 32
VALIDATION_IN_MEMORY = 1024  # more samples than this are drawn afresh each time
GAP_SAMPLES = 512  # the modality gap compares every pair of them


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a tracker made of a batch: boxes `[B, 4]` cx, cy, w, h as fractions of the search crop.

    rgb, tir: search features of each modality, mean over the tokens, `[B, C]`; None where they are one.
    fused: the search crops as one picture `[B, 3, S, S]` in 0..1, of trackers that make one.
    """

    boxes: Tensor
    rgb: Tensor | None = None
    tir: Tensor | None = None
    fused: Tensor | None = None


def crop_sizes(settings: RunSettings, template_size: int, search_size: int) -> CropSizes:
    """How the run's samples are cut."""
    return CropSizes(template_size, search_size, size_jitter=settings.data.search_size_jitter)


def validation_batches(opened: OpenedSources, settings: RunSettings, team: Team) -> Iterable[Arrays]:
    """This process's share of the fixed validation batches, every `size`-th of them."""
    size = min(VALIDATION_BATCH, settings.validation_samples)
    stream: BatchStream = validation_stream(opened, settings.data, size, VALIDATION_SEED)
    count = math.ceil(settings.validation_samples / size)
    if settings.validation_samples <= VALIDATION_IN_MEMORY:
        numbers = range(team.rank, count, team.size)
        return [{k: torch.from_numpy(v) for k, v in stream[i].items()} for i in numbers]
    first = team.rank * count // team.size
    return batch_loader(
        stream, first, (team.rank + 1) * count // team.size, settings.data.workers, team.device
    )


@torch.no_grad()
def judge_boxes(
    track: Callable[[Batch], Seen], batches: Iterable[Arrays], stepper: Stepper, settings: RunSettings
) -> Verdict:
    """Mean overlap of the boxes with the truth, share of samples above one half, gap between the modalities'
    features; and a picture of the first crops. Every process must call it."""
    team, picture = stepper.team, None
    overlaps: list[Tensor] = []
    features: list[tuple[Tensor, Tensor]] = []
    for arrays in batches:
        batch = to_batch({key: value.to(team.device, non_blocking=True) for key, value in arrays.items()})
        with stepper.autocast():
            seen = track(batch)
        target = corners_from_xywh(batch.target)
        overlaps.append(overlap_terms(corners_from_cxcywh(seen.boxes), target)[0].cpu())
        wanted = len(features) * len(seen.boxes) < GAP_SAMPLES // team.size
        if wanted and seen.rgb is not None and seen.tir is not None:
            features.append((seen.rgb.float().cpu(), seen.tir.float().cpu()))
        if picture is None and team.leads and settings.engine.pictures:
            shown = slice(0, settings.engine.pictures)
            columns = [arrays[name][shown].numpy() for name in ("search_rgb", "search_tir")]
            if seen.fused is not None:
                columns.append(as_pixels(seen.fused[shown]))
            boxes = seen.boxes[shown].float().cpu().numpy()
            picture = draw_crops(columns, arrays["target"][shown].numpy(), boxes)
    every = torch.cat([part for parts in team.gather(overlaps) for part in parts])
    scores = {"iou": every.mean().item(), "above_half": (every > 0.5).double().mean().item()}
    gathered = [pair for pairs in team.gather(features) for pair in pairs]
    if gathered:
        rgb, tir = (torch.cat(column) for column in zip(*gathered, strict=True))
        scores["modality_gap"] = modality_gap(rgb, tir) if team.leads else 0.0
    return scores, picture
