"""Trains TPF, one stage per run; read it top to bottom.

    python -m training render-experts --recipe training/recipes/tpf_experts_lasher.toml
    python -m training tpf --recipe training/recipes/tpf_fusion_lasher.toml
    python -m training tpf --recipe training/recipes/tpf_lasher.toml

Stage `fusion`: the adapter alone learns to make of each pair of crops what image fusion experts made of it,
the one with which a judge found the target better weighing more. Stage `tracker`: adapter, encoder and head
learn to track, with a dynamic template, while two auxiliary branches are pushed away from what the tracker
needs and must still rebuild each modality together with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import cv2
import torch
from torch import Tensor

from training.data.expert_pool import HeldOutBatches, PoolStream, expert_pictures, open_pool
from training.data.loader import Batch, BatchStream, batch_loader, to_batch
from training.data.sources import open_sources, training_stream
from training.engine.keeper import Keeper, Verdict
from training.engine.pictures import as_pixels, draw_crops
from training.engine.processes import Team, open_team
from training.engine.random_states import seed_everything
from training.engine.run_state import prepare_folder, read_run, restore_run
from training.engine.schedules import make_optimiser, rate_at, set_rate
from training.engine.stepping import Arrays, MovingAverage, Stepper
from training.engine.validation import VALIDATION_BATCH, Seen, crop_sizes, judge_boxes, validation_batches
from training.engine.watch import require_finite
from training.losses.task import task_loss
from training.losses.tpf import (
    distillation_loss,
    distillation_target,
    expert_weights,
    reconstruction_loss,
    repulsion_loss,
)
from training.models.head import decode_boxes
from training.models.tpf.adapter import FusionAdapter, unweighted_parameters
from training.models.tpf.auxiliary import TpfTrainingModel, TpfTrainingOutput
from training.models.tpf.tracker import CropPair, TpfNetwork, TpfOutput, normalise_unit
from training.recipes.batches import own_share, with_heatmaps
from training.recipes.settings import load_settings
from training.recipes.tpf_settings import AuxiliarySettings, Recipe
from training.recipes.tpf_start import start_model

Frames = Callable[[], list[str]]  # those that could not be read


def run(recipe_file: str, resume: bool, overrides: list[str]) -> int:
    """Trains to the last step; `resume` goes on from the newest checkpoint. Returns the exit status."""
    recipe = load_settings(Recipe, recipe_file, overrides)
    with open_team(recipe.engine.device) as team:
        train(recipe, team, resume)
    return 0


def train(recipe: Recipe, team: Team, resume: bool) -> None:
    """One whole run on this process's part of the team."""
    out, settings, fusing = Path(recipe.out), recipe.optimiser, recipe.stage == "fusion"
    newest = prepare_folder(out, resume)
    cv2.setNumThreads(1)  # pictures are small, and OpenCV's threads do not survive the fork of loader workers
    seed_everything(recipe.seed)  # all processes start from the same weights
    stream, held_out, skipped = (expert_data if fusing else tracking_data)(recipe, team)

    model = start_model(recipe)
    averaged = TpfNetwork(recipe.model.config())
    average = MovingAverage(averaged, settings.average)
    average.follow(model, step=0)
    averaged.to(team.device)
    config = averaged.config.to_dict()
    step, best = 0, -math.inf
    state = read_run(newest, "tpf", config) if newest else None
    stepper = Stepper(model, team, recipe.engine)
    unweighted = {f"adapter.{name}" for name in unweighted_parameters(averaged.adapter)}
    optimiser = make_optimiser(stepper.model, settings, recipe.rate_factors.by_name(), unweighted)
    if team.rank:
        seed_everything(recipe.seed + team.rank)
    if state:
        step, best = state["step"], state.get("best", best)
        restore_run(state, stepper, optimiser, str(newest))
        averaged.load_state_dict(state["net"])
        state = None  # gigabytes that the run does not need

    def judge(stepper: Stepper) -> Verdict:
        if fusing:
            return judge_pictures(averaged.adapter, held_out, stepper, recipe)
        return judge_boxes(partial(look, averaged, stepper), held_out, stepper, recipe)

    keeper = Keeper(
        recipe, team, average, judge, skipped, family="tpf", config=config, first=step, best=best,
        better="psnr" if fusing else "iou",
    )  # fmt: skip
    for arrays in batch_loader(stream, step, settings.total_steps, recipe.data.workers, team.device):
        set_rate(optimiser, rate_at(step, settings))
        if fusing:
            losses = partial(imitation_losses, stepper, recipe)
        else:
            arrays, centres = with_heatmaps(arrays, recipe.model.vit.search_side, stepper)
            losses = partial(tracking_losses, stepper, recipe, centres=centres)
        parts = stepper.gradients(arrays, losses)
        require_finite(parts, arrays, out, step, team)
        gradient_norm = stepper.update(optimiser, settings.clip_norm)
        step += 1
        keeper.after(step, stepper, optimiser, parts, gradient_norm)
    keeper.finish()


def expert_data(recipe: Recipe, team: Team) -> tuple[PoolStream, Iterable[Arrays], Frames]:
    """This process's share of stage one's batches and of the held-out ones."""
    fusion = recipe.fusion
    stream = PoolStream(
        open_pool(fusion.pool), recipe.optimiser.batch, recipe.seed,
        mirror=fusion.mirror, merit=fusion.merit, experts=fusion.experts,
    )  # fmt: skip
    return own_share(stream, team), HeldOutBatches(stream, VALIDATION_BATCH, team.rank, team.size), list


def tracking_data(recipe: Recipe, team: Team) -> tuple[BatchStream, Iterable[Arrays], Frames]:
    """Batches of stage two, this process's share of the held-out ones, and the frames that were skipped."""
    vit = recipe.model.vit
    opened = open_sources(recipe.data, crop_sizes(recipe, vit.template_size, vit.search_size))
    stream = training_stream(opened, recipe.data, recipe.optimiser.batch, recipe.seed)
    held_out = validation_batches(opened, recipe, team)
    return own_share(stream, team), held_out, opened.skipped


def crop_pairs(batch: Batch) -> tuple[CropPair, CropPair | None, CropPair]:
    """Template, dynamic template and search as the network takes them, in 0..1."""
    dynamic = None
    if batch.dynamic_rgb is not None and batch.dynamic_tir is not None:
        dynamic = CropPair(batch.dynamic_rgb / 255, batch.dynamic_tir / 255)
    template = CropPair(batch.template_rgb / 255, batch.template_tir / 255)
    return template, dynamic, CropPair(batch.search_rgb / 255, batch.search_tir / 255)


def imitation_losses(stepper: Stepper, recipe: Recipe, part: Arrays) -> dict[str, Tensor]:
    """Stage one: how far the fused crops are from the experts', who weigh by merit."""
    template, _, search = crop_pairs(to_batch(part))
    with stepper.autocast():
        fused_template, fused_search = stepper.forward(template, search)
    weights = expert_weights(part["merits"], recipe.fusion.temperature)  # [B, K]
    templates = expert_pictures(template.rgb, part["template_experts"])  # [B, K, 3, S, S]
    searches = expert_pictures(search.rgb, part["search_experts"])
    parts = {
        "template": distillation_loss(fused_template, templates, weights),
        "search": distillation_loss(fused_search, searches, weights),
    }
    return {"total": (parts["template"] + parts["search"]) / 2, **parts}


@torch.no_grad()
def judge_pictures(
    adapter: FusionAdapter, batches: Iterable[Arrays], stepper: Stepper, recipe: Recipe
) -> Verdict:
    """How well fused search crops agree with what the experts weigh up to, in decibels; and some of both.

    Every process must call it.
    """
    team, picture = stepper.team, None
    errors: list[Tensor] = []
    for arrays in batches:
        on_device = {key: value.to(team.device) for key, value in arrays.items()}
        _, _, search = crop_pairs(to_batch(on_device))
        with stepper.autocast():
            fused = adapter(*search)
        weights = expert_weights(on_device["merits"], recipe.fusion.temperature)
        wanted = distillation_target(expert_pictures(search.rgb, on_device["search_experts"]), weights)
        errors.append((fused - wanted).square().mean(dim=(1, 2, 3)).cpu())
        if picture is None and team.leads and recipe.engine.pictures:
            shown = slice(0, recipe.engine.pictures)
            columns = [arrays[name][shown].numpy() for name in ("search_rgb", "search_tir")]
            columns += [as_pixels(fused[shown]), as_pixels(wanted[shown])]
            picture = draw_crops(columns, arrays["target"][shown].numpy())
    every = torch.cat([part for parts in team.gather(errors) for part in parts])
    error = every.double().mean().item()
    return {"error": error, "psnr": -10 * math.log10(max(error, 1e-12))}, picture


def tracking_losses(stepper: Stepper, recipe: Recipe, part: Arrays, *, centres: float) -> dict[str, Tensor]:
    """Stage two: forward pass and losses of one part of a batch; `total` is what is differentiated."""
    batch, heatmap = to_batch(part), part["heatmap"]
    with stepper.autocast():
        out: TpfOutput | TpfTrainingOutput = stepper.forward(*crop_pairs(batch))
    head = (out.tracker if isinstance(out, TpfTrainingOutput) else out).head
    task = task_loss(head.score, decode_boxes(head), batch.target, heatmap, centres)
    parts = {"total": task.total, "giou": task.giou, "l1": task.l1, "focal": task.focal, "iou": task.iou}
    if isinstance(out, TpfTrainingOutput):
        decoupling = decoupling_losses(out, recipe.auxiliary)
        both = torch.stack(list(decoupling.values())).sum()
        parts |= decoupling | {"total": task.total + recipe.auxiliary.weight * both}
    return parts


def decoupling_losses(out: TpfTrainingOutput, settings: AuxiliarySettings) -> dict[str, Tensor]:
    """Repulsion and reconstruction, each over both modalities and as it is weighed."""
    both = (out.rgb, out.tir)
    parts: dict[str, Tensor] = {}
    if settings.repulsion:
        hinges = [repulsion_loss(branch.tokens, branch.fused, settings.margin) for branch in both]
        parts["repulsion"] = settings.repulsion * torch.stack(hinges).sum()
    if settings.reconstruction:
        errors = [reconstruction_loss(branch.rebuilt, branch.target) for branch in both]
        parts["reconstruction"] = settings.reconstruction * torch.stack(errors).sum()
    return parts


def look(model: TpfNetwork, stepper: Stepper, batch: Batch) -> Seen:
    """A batch through the network, as the exported bundle will see it, and through the auxiliary encoders."""
    template, dynamic, search = crop_pairs(batch)
    out = model(template, dynamic, search)
    boxes = decode_boxes(out.head)
    branches = stepper.model
    # Encoders that are spread over processes work inside the whole model's forward pass only.
    if not isinstance(branches, TpfTrainingModel) or (stepper.settings.shard and stepper.team.size > 1):
        return Seen(boxes, fused=out.fused_search)
    branches.eval()
    first = model.config.vit.template_tokens
    rgb, tir = (
        branch.encode(normalise_unit(z), normalise_unit(x))[:, first:].mean(dim=1)
        for branch, z, x in zip((branches.aux_rgb, branches.aux_tir), template, search, strict=True)
    )
    branches.train()
    return Seen(boxes, rgb, tir, out.fused_search)
