"""Trains CKD by coupled distillation; read it top to bottom.

    python -m training ckd --recipe training/recipes/ckd_lasher.toml
    torchrun --nproc-per-node 2 -m training ckd --recipe training/recipes/ckd_lasher.toml

Before step `distillation.start` the students learn alone (what the published recipe takes from a finished
RGB tracker). From there on all four branches and three heads learn together: task losses, style loss
between the students, content loss from the teachers, masked students. With `trained = "heads"` the branches
are frozen and the heads learn under token elimination: the second published phase.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import cv2
import torch
from torch import Tensor

from training.data.loader import Batch, batch_loader, to_batch
from training.data.sources import open_sources, training_stream
from training.engine.keeper import Keeper, Verdict
from training.engine.processes import Team, open_team
from training.engine.random_states import batch_generator, seed_everything
from training.engine.run_state import prepare_folder, read_run, restore_run
from training.engine.schedules import make_optimiser, rate_at, set_rate
from training.engine.sharding import whole
from training.engine.stepping import Arrays, MovingAverage, Stepper
from training.engine.validation import Seen, crop_sizes, judge_boxes, validation_batches
from training.engine.watch import require_finite
from training.losses.ckd import content_loss, feature_loss, style_loss
from training.losses.task import task_loss
from training.models.branches import run_branches
from training.models.ckd import CkdTracker, CkdTrainingModel, TrainingOutput
from training.models.elimination import keep_rate
from training.models.head import HeadOutput, decode_boxes
from training.recipes.batches import network_input, own_share, with_heatmaps
from training.recipes.ckd_settings import DistillationSettings, Recipe
from training.recipes.ckd_start import choose_trained, couple, start_model
from training.recipes.settings import load_settings


def run(recipe_file: str, resume: bool, overrides: list[str]) -> int:
    """Trains to the last step; `resume` goes on from the newest checkpoint. Returns the exit status."""
    recipe = load_settings(Recipe, recipe_file, overrides)
    with open_team(recipe.engine.device) as team:
        train(recipe, team, resume)
    return 0


def train(recipe: Recipe, team: Team, resume: bool) -> None:
    """One whole run on this process's part of the team."""
    out, settings, vit = Path(recipe.out), recipe.optimiser, recipe.model.vit
    newest = prepare_folder(out, resume)
    cv2.setNumThreads(1)  # pictures are small, and OpenCV's threads do not survive the fork of loader workers
    seed_everything(recipe.seed)  # all processes start from the same weights
    opened = open_sources(recipe.data, crop_sizes(recipe, vit.template_size, vit.search_size))
    stream = own_share(training_stream(opened, recipe.data, settings.batch, recipe.seed), team)
    held_out = validation_batches(opened, recipe, team)

    model = start_model(recipe)
    averaged = CkdTracker(recipe.model.config())
    average = MovingAverage(averaged, settings.average)
    average.follow(model, step=0)
    averaged.to(team.device)
    config = averaged.config.to_dict()
    step, best = 0, -math.inf
    state = read_run(newest, "ckd", config) if newest else None
    if state:
        step, best = state["step"], state.get("best", best)
        if step > recipe.distillation.start and not isinstance(model, CkdTrainingModel):
            model = couple(model.state_dict(), model.config)
    stepper, optimiser = assemble(model, team, recipe)
    if team.rank:
        seed_everything(recipe.seed + team.rank)
    if state:
        restore_run(state, stepper, optimiser, str(newest))
        averaged.load_state_dict(state["net"])
        state = None  # gigabytes that the run does not need

    def judge(stepper: Stepper) -> Verdict:
        return judge_boxes(partial(look, averaged), held_out, stepper, recipe)

    keeper = Keeper(
        recipe, team, average, judge, opened.skipped, family="ckd", config=config, first=step, best=best
    )
    for arrays in batch_loader(stream, step, settings.total_steps, recipe.data.workers, team.device):
        if step == recipe.distillation.start and not isinstance(stepper.model, CkdTrainingModel):
            students = {key: whole(value) for key, value in stepper.model.state_dict().items()}
            stepper, optimiser = assemble(couple(students, recipe.model.config()), team, recipe)
        set_rate(optimiser, rate_at(step, settings))
        arrays, centres = with_heatmaps(arrays, vit.search_side, stepper)
        arrays = with_masks(arrays, step, stream.slots, recipe)
        keep_ratio = keep_ratio_at(step, recipe)
        parts = stepper.gradients(
            arrays, partial(training_losses, stepper, recipe, centres=centres, keep_ratio=keep_ratio)
        )
        require_finite(parts, arrays, out, step, team)
        gradient_norm = stepper.update(optimiser, settings.clip_norm)
        step += 1
        keeper.after(step, stepper, optimiser, parts, gradient_norm)
    keeper.finish()


def assemble(model: CkdTracker, team: Team, recipe: Recipe) -> tuple[Stepper, torch.optim.AdamW]:
    """The model as the team computes it, and a fresh optimiser for what is trained."""
    stepper = Stepper(choose_trained(model, recipe.trained), team, recipe.engine)
    return stepper, make_optimiser(stepper.model, recipe.optimiser, recipe.rate_factors.by_name())


def with_masks(arrays: Arrays, step: int, slots: range, recipe: Recipe) -> Arrays:
    """Adds the masks of this process's share of a batch, once the students are masked.

    They are drawn for the whole batch, so that they are the same however many processes share it.
    """
    side, distillation = recipe.model.vit.search_side, recipe.distillation
    if step < distillation.start or not distillation.masked_share:
        return arrays
    dice = batch_generator(recipe.seed, step)
    keep = draw_masks(distillation, recipe.optimiser.batch, side * side, dice)
    return {**arrays, "mask_keep": keep[slots.start : slots.stop]}


def draw_masks(settings: DistillationSettings, batch: int, tokens: int, dice: torch.Generator) -> Tensor:
    """bool `[B, tokens]`, False where a search token is hidden from both students."""
    draw = torch.rand(batch, tokens, generator=dice)
    if settings.masking == "exact":
        keep = draw.argsort(dim=1).argsort(dim=1) >= round(settings.masked_share * tokens)
    else:
        keep = draw > settings.masked_share
    unmasked = torch.rand(batch, 1, generator=dice) >= settings.masked_samples
    return keep | unmasked


def keep_ratio_at(step: int, recipe: Recipe) -> float | None:
    """Share of search tokens kept at a step; None leaves it to each elimination layer."""
    schedule, elimination = recipe.keep_schedule, recipe.model.elimination
    epoch = recipe.optimiser.epoch_at(step)
    if elimination.mode == "none" or epoch >= schedule.start + schedule.warm_up:
        return None
    return keep_rate(epoch, schedule.start, schedule.warm_up, min(elimination.ratios))


def training_losses(
    stepper: Stepper, recipe: Recipe, part: Arrays, *, centres: float, keep_ratio: float | None
) -> dict[str, Tensor]:
    """Forward pass and losses of one part of a batch; `total` is what is differentiated."""
    batch, heatmap = to_batch(part), part["heatmap"]
    templates, searches = network_input(batch)
    if not isinstance(stepper.model, CkdTrainingModel):
        with stepper.autocast():
            output: HeadOutput = stepper.forward(*templates, *searches)
        # Early on the peak is anywhere; boxes learn at the target's own cell until there is a teacher.
        loss = task_loss(output.score, decode_boxes(output, heatmap), batch.target, heatmap, centres)
        return {"total": loss.total, "giou": loss.giou, "l1": loss.l1, "focal": loss.focal, "iou": loss.iou}
    with stepper.autocast():
        out = stepper.forward(templates, searches, part.get("mask_keep"), keep_ratio=keep_ratio)
    first = recipe.model.vit.template_tokens if recipe.distillation.tokens == "search" else 0
    return coupled_losses(out, batch.target, heatmap, recipe.distillation, centres, first)


def coupled_losses(
    out: TrainingOutput,
    target: Tensor,
    heatmap: Tensor,
    settings: DistillationSettings,
    centres: float | None = None,
    first_token: int = 0,
) -> dict[str, Tensor]:
    """Task losses of three heads, style, content; `total` and its parts.

    first_token: style and content leave out the tokens before it.
    """
    heads = {"student": out.student, "teacher_rgb": out.teacher_rgb, "teacher_tir": out.teacher_tir}
    tasks = {
        name: task_loss(head.score, decode_boxes(head), target, heatmap, centres)
        for name, head in heads.items()
    }
    assert out.taps is not None
    layers = settings.layers or range(len(out.taps.rgb_branch))
    rgb, tir, teacher_rgb, teacher_tir = (
        [taps[layer][:, first_token:] for layer in layers] for taps in out.taps
    )
    style = style_loss(rgb, tir).sum()
    content_tir = content_loss(teacher_tir, tir).sum()
    content_rgb = content_loss(teacher_rgb, rgb).sum()
    total = (
        tasks["student"].total
        + settings.teacher_weight * (tasks["teacher_rgb"].total + tasks["teacher_tir"].total)
        + settings.style_weight * style
        + settings.content_weight * (content_tir + content_rgb)
    )
    parts = {"style": style, "content_rgb": content_rgb, "content_tir": content_tir}
    if settings.feature_weight:
        parts["feature"] = feature_loss(rgb, tir).sum()
        total = total + settings.feature_weight * parts["feature"]
    student = tasks["student"]
    named = {"total": total, "giou": student.giou, "l1": student.l1, "focal": student.focal}
    named["iou"] = student.iou
    for name in ("teacher_rgb", "teacher_tir"):
        named |= {f"task_{name}": tasks[name].total, f"iou_{name}": tasks[name].iou}
    return named | parts


def look(model: CkdTracker, batch: Batch) -> Seen:
    """A batch through the students, as the exported bundle will see it."""
    streams = model.student_streams(*network_input(batch))
    run_branches(streams, model.config.elimination)
    tokens = model.fuse(streams)  # [B, Nz + Nx, 2C]
    output = model.box_head(model.search_map(tokens))
    rgb, tir = tokens[:, model.config.vit.template_tokens :].mean(dim=1).chunk(2, dim=1)
    return Seen(decode_boxes(output), rgb, tir)
