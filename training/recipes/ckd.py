"""Trains CKD by coupled distillation; read it top to bottom.

Before step `distillation.start` the students learn alone (what the published recipe takes from a finished
RGB tracker). From there on both teachers start as copies of the students, and all four branches and three
heads learn together: task losses, style loss between the students, content loss from the teachers, masked
students. `start_from` names a finished run to begin with instead of random weights.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.machine import describe_machine
from training.checkpoints import load_strictly, read_checkpoint, save_checkpoint
from training.data.image_pairs import load_image_pairs
from training.data.loader import Batch, BatchStream, SampleSource, batch_loader, to_batch
from training.data.samples import CropSizes
from training.data.synthetic_motion import SyntheticMotion
from training.losses.ckd import content_loss, style_loss
from training.losses.task import (
    corners_from_cxcywh,
    corners_from_xywh,
    gaussian_heatmaps,
    overlap_terms,
    task_loss,
)
from training.models.ckd import PIXEL_MEAN, PIXEL_STD, CkdTracker, CkdTrainingModel, TrainingOutput
from training.models.head import HeadOutput, decode_boxes
from training.recipes.ckd_settings import DataSettings, OptimiserSettings, Recipe
from training.recipes.run_log import append_log, write_summary
from training.recipes.settings import load_settings

VALIDATION_SEED = 1_000_003  # far from any training seed; the pictures it draws from are held out too


def run(recipe_file: str, resume: bool, overrides: list[str]) -> int:
    """Trains to the last step; `resume` goes on from the newest checkpoint. Returns the exit status."""
    recipe = load_settings(Recipe, recipe_file, overrides)
    out = Path(recipe.out)
    newest = out / "last.pt"
    if newest.exists() and not resume:
        raise UsageError(f"{newest} exists; continue it with --resume or choose another out=")
    cv2.setNumThreads(1)  # pictures are small, and OpenCV's threads do not survive the fork of loader workers
    torch.manual_seed(recipe.seed)
    sizes = CropSizes(recipe.model.vit.template_size, recipe.model.vit.search_size)
    training_sources, held_out = open_sources(recipe.data, sizes)
    stream = BatchStream(training_sources, recipe.optimiser.batch, recipe.seed)
    validation = validation_batches(held_out, recipe)

    model = start_model(recipe)
    average = CkdTracker(recipe.model.config()).eval()
    average.load_state_dict(model.state_dict())
    optimiser = make_optimiser(model, recipe.optimiser)
    step = 0
    if newest.exists():
        state = torch.load(newest, weights_only=True)
        step = state["step"]
        if step > recipe.distillation.start:
            model, optimiser = couple(model, recipe)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average.load_state_dict(state["net"])
        torch.set_rng_state(state["rng"])

    started, seen = time.monotonic(), 0
    loader = batch_loader(stream, step, recipe.optimiser.steps, recipe.data.workers)
    progress = tqdm(
        loader, initial=step, total=recipe.optimiser.steps, unit="step", desc=out.name, mininterval=5
    )
    for arrays in progress:
        if step == recipe.distillation.start:
            model, optimiser = couple(model, recipe)
        batch = to_batch(arrays)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, recipe)
        parts = training_step(model, batch, recipe, coupled=step >= recipe.distillation.start)
        if not math.isfinite(parts["total"].item()):
            np.savez(out / "bad_batch.npz", **{k: v.numpy() for k, v in arrays.items()})
            raise EdgeRgbtError(
                f"loss is {parts['total'].item()} at step {step}; batch kept in {out}/bad_batch.npz"
            )
        optimiser.zero_grad(set_to_none=True)
        parts["total"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optimiser.clip_norm)
        optimiser.step()
        step += 1
        update_average(average, model, min(recipe.optimiser.average, (1 + step) / (10 + step)))
        seen += recipe.optimiser.batch
        last = step == recipe.optimiser.steps
        if step % 50 == 0:
            entry = {name: round(value.item(), 5) for name, value in parts.items()}
            entry |= {"step": step, "samples_per_s": round(seen / (time.monotonic() - started), 1)}
            append_log(out, entry)
            progress.set_postfix(loss=entry["total"], iou=entry["iou"])
        if step % recipe.validate_every == 0 or last:
            append_log(out, {"step": step, "validation": validate(average, validation, recipe)})
        if step % recipe.save_every == 0 or last:
            save(newest, step, model, average, optimiser, recipe)
    summary = write_summary(out, asdict(recipe), describe_machine())
    print(f"{newest}: {step} steps, validation {summary['validation'][-1]}")
    return 0


def open_sources(
    data: DataSettings, sizes: CropSizes
) -> tuple[list[tuple[SampleSource, float]], list[tuple[SampleSource, float]]]:
    """The sources to train on and, from other pictures and other worlds, those to validate on."""
    training: list[tuple[SampleSource, float]] = []
    held_out: list[tuple[SampleSource, float]] = []
    if data.pairs:
        bank = load_image_pairs(data.pairs)
        kept = max(1, len(bank) // data.held_out)
        held = bank[:: data.held_out][:kept]
        rest = [pair for i, pair in enumerate(bank) if i % data.held_out]
        training.append((SyntheticMotion(rest, sizes), data.pairs_weight))
        held_out.append((SyntheticMotion(held, sizes), data.pairs_weight))
    if data.flights:
        from training.data.simulated_flights import open_flights

        train_flights, held_flights = open_flights(data.flights, sizes, data.held_out)
        training.append((train_flights, data.flights_weight))
        held_out.append((held_flights, data.flights_weight))
    if not training:
        raise UsageError("the recipe names no data; set data.pairs or data.flights")
    return training, held_out


def start_model(recipe: Recipe) -> CkdTracker:
    """The students: from nothing, or from the averaged students of a finished run of the same sizes."""
    model = CkdTracker(recipe.model.config())
    if recipe.start_from:
        load_strictly(model, read_checkpoint(recipe.start_from).state, recipe.start_from)
    return model


def make_optimiser(model: torch.nn.Module, settings: OptimiserSettings) -> torch.optim.AdamW:
    """AdamW; norms, biases and position tables are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1 and p.shape[0] != 1]
    plain = [p for p in model.parameters() if not (p.ndim > 1 and p.shape[0] != 1)]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine down to `final_rate` of the peak."""
    s = recipe.optimiser
    warm = min(1.0, (step + 1) / s.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / s.steps)))
    return s.learning_rate * warm * (s.final_rate + (1 - s.final_rate) * cosine)


def couple(students: CkdTracker, recipe: Recipe) -> tuple[CkdTrainingModel, torch.optim.AdamW]:
    """Both teachers start as copies of the students, as the release starts all branches from one tracker."""
    model = CkdTrainingModel(students.config)
    state = students.state_dict()
    merged = dict(state)
    width = students.config.vit.embed_dim
    for key, value in state.items():
        branch, _, rest = key.partition(".")
        if branch == "student_branch":
            merged[f"teacher_rgb.{rest}"] = merged[f"teacher_tir.{rest}"] = value
        elif branch in ("rgb_branch", "tir_branch"):
            merged[f"teacher_{branch[:3]}.{rest}"] = value
        elif rest.startswith("conv1_") and rest.endswith("0.weight"):
            # The fused head's first layer sees both modalities; a teacher's head keeps its own half, at
            # twice the gain so that the sum over input channels stays as large as it was.
            merged[f"box_head_v.{rest}"], merged[f"box_head_i.{rest}"] = (
                2 * value[:, :width],
                2 * value[:, width:],
            )
        else:
            merged[f"box_head_v.{rest}"] = merged[f"box_head_i.{rest}"] = value
    model.load_state_dict(merged)
    return model.train(), make_optimiser(model, recipe.optimiser)


def training_step(model: CkdTracker, batch: Batch, recipe: Recipe, coupled: bool) -> dict[str, Tensor]:
    """Forward pass and losses; `total` is what is differentiated."""
    templates, searches = network_input(batch)
    side = recipe.model.vit.search_side
    heatmap = torch.from_numpy(gaussian_heatmaps(batch.target.numpy(), side))[:, None]
    model.train()
    if not coupled:
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            output = model(templates[0], templates[1], searches[0], searches[1])
        # Early on the peak is anywhere; boxes learn at the target's own cell until there is a teacher.
        loss = task_loss(output.score, decode_boxes(output, heatmap), batch.target, heatmap)
        return {"total": loss.total, "giou": loss.giou, "l1": loss.l1, "focal": loss.focal, "iou": loss.iou}
    keep = torch.rand(len(batch.target), side * side) > recipe.distillation.masked_share
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
        out: TrainingOutput = model(templates, searches, keep)
    heads: dict[str, HeadOutput] = {
        "student": out.student,
        "teacher_rgb": out.teacher_rgb,
        "teacher_tir": out.teacher_tir,
    }
    losses = {
        name: task_loss(head.score, decode_boxes(head), batch.target, heatmap) for name, head in heads.items()
    }
    taps = out.taps
    assert taps is not None
    style = style_loss(taps.rgb_branch, taps.tir_branch).sum()
    content = content_loss(taps.teacher_tir, taps.tir_branch).sum()
    content = content + content_loss(taps.teacher_rgb, taps.rgb_branch).sum()
    total = sum(loss.total for loss in losses.values())
    total = total + recipe.distillation.style_weight * style + recipe.distillation.content_weight * content
    student = losses["student"]
    parts = {
        "total": total,
        "giou": student.giou,
        "l1": student.l1,
        "focal": student.focal,
        "iou": student.iou,
    }
    parts |= {f"iou_{name}": loss.iou for name, loss in losses.items() if name != "student"}
    return parts | {"style": style, "content": content}


def network_input(batch: Batch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Normalised (RGB, thermal) templates and searches."""
    mean = torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1) * 255
    std = torch.tensor(PIXEL_STD).view(1, 3, 1, 1) * 255
    z_rgb, z_tir, x_rgb, x_tir = (
        (crops - mean) / std
        for crops in (batch.template_rgb, batch.template_tir, batch.search_rgb, batch.search_tir)
    )
    return (z_rgb, z_tir), (x_rgb, x_tir)


@torch.no_grad()
def update_average(average: CkdTracker, model: CkdTracker, decay: float) -> None:
    """Exponential moving average of the students' weights; running statistics are copied."""
    current = model.state_dict()
    for key, value in average.state_dict().items():
        if value.is_floating_point() and "running_" not in key:
            value.lerp_(current[key], 1 - decay)
        else:
            value.copy_(current[key])


def validation_batches(sources: list[tuple[SampleSource, float]], recipe: Recipe) -> list[dict[str, Tensor]]:
    """Fixed batches of held-out samples, 256 in all."""
    stream = BatchStream(sources, 32, VALIDATION_SEED)
    return [{k: torch.from_numpy(v) for k, v in stream[i].items()} for i in range(8)]


@torch.no_grad()
def validate(model: CkdTracker, batches: list[dict[str, Tensor]], recipe: Recipe) -> dict[str, float]:
    """Mean overlap of the decoded boxes with the truth, and the share of samples above one half."""
    overlaps = []
    for arrays in batches:
        batch = to_batch(arrays)
        templates, searches = network_input(batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            output = model(templates[0], templates[1], searches[0], searches[1])
        boxes = corners_from_cxcywh(decode_boxes(output))
        overlaps.append(overlap_terms(boxes, corners_from_xywh(batch.target))[0])
    iou = torch.cat(overlaps)
    return {"iou": round(float(iou.mean()), 4), "above_half": round(float((iou > 0.5).float().mean()), 4)}


def save(
    path: Path,
    step: int,
    model: CkdTracker,
    average: CkdTracker,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
) -> None:
    """Writes the checkpoint whole: `net` holds the averaged students, which is what export reads."""
    save_checkpoint(
        path,
        average.state_dict(),
        family="ckd",
        config=average.config.to_dict(),
        recipe=asdict(recipe),
        step=step,
        model=model.state_dict(),
        optimiser=optimiser.state_dict(),
        rng=torch.get_rng_state(),
        machine=describe_machine(),
    )
