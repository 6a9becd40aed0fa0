"""Trains TransCMD in three stages, one recipe file each; read it top to bottom.

    python -m training transcmd --recipe training/recipes/transcmd_lasher_teacher.toml
    python -m training transcmd --recipe training/recipes/transcmd_lasher_cmae.toml
    torchrun --nproc-per-node 2 -m training transcmd --recipe training/recipes/transcmd_lasher_distil.toml

`teacher` trains the two-stream teacher on the task. `cmae` pretrains the student: it rebuilds one sensor's
patches from the other's. `distil` trains the student on the task under the frozen teacher, which may be any
tracker. Teacher and pretraining do not need each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn

from training.checkpoints import CheckpointError, load_strictly, read_checkpoint
from training.data.loader import Batch, batch_loader, to_batch
from training.data.sources import open_sources, training_stream
from training.engine.keeper import Keeper, Verdict
from training.engine.processes import Team, open_team
from training.engine.random_states import batch_generator, seed_everything
from training.engine.run_state import prepare_folder, read_run, restore_run
from training.engine.schedules import make_optimiser, rate_at, set_rate
from training.engine.sharding import whole
from training.engine.stepping import Arrays, MovingAverage, Stepper
from training.engine.validation import VALIDATION_SEED, Seen, crop_sizes, judge_boxes, validation_batches
from training.engine.watch import require_finite
from training.losses.task import task_loss
from training.models.head import decode_boxes
from training.models.students import DistillableTransCmd
from training.models.transcmd.initialisation import start_teacher
from training.models.transcmd.masked import MaskDecoder, MaskedAutoencoder, draw_mask, mask_noise
from training.models.transcmd.student import TransCmdStudent
from training.models.transcmd.teacher import TransCmdTeacher
from training.models.vit import VitConfig
from training.recipes.batches import network_input, own_share, with_heatmaps
from training.recipes.settings import load_settings
from training.recipes.teaching import (
    Lesson,
    cut_sizes,
    fill,
    fill_transcmd,
    look,
    open_teacher,
    taught_losses,
    taught_model,
)
from training.recipes.transcmd_settings import Recipe


def run(recipe_file: str, resume: bool, overrides: list[str]) -> int:
    """Trains to the last step; `resume` goes on from the newest checkpoint. Returns the exit status."""
    recipe = load_settings(Recipe, recipe_file, overrides)
    with open_team(recipe.engine.device) as team:
        train(recipe, team, resume)
    return 0


@dataclass(frozen=True, eq=False)
class Stage:
    """What one stage trains and how.

    model: everything that learns. network: the part of it that is averaged, judged and exported; averaged:
    another of its kind. crops: sides at which template and search are cut.
    losses: of one part of a batch, given what the focal loss divides by. judge: scores held-out batches;
    better: the score that the best checkpoint has most of.
    """

    family: str
    model: nn.Module
    network: TransCmdTeacher | TransCmdStudent
    averaged: TransCmdTeacher | TransCmdStudent
    crops: tuple[int, int]
    losses: Callable[[Stepper, Arrays, float], dict[str, Tensor]]
    judge: Callable[[Iterable[Arrays], Stepper], Verdict]
    better: str = "iou"


def train(recipe: Recipe, team: Team, resume: bool) -> None:
    """One whole run of one stage on this process's part of the team."""
    out, settings = Path(recipe.out), recipe.optimiser
    newest = prepare_folder(out, resume)
    cv2.setNumThreads(1)  # pictures are small, and OpenCV's threads do not survive the fork of loader workers
    seed_everything(recipe.seed)  # all processes start from the same weights
    stage = STAGES[recipe.stage](recipe, team)
    config, vit = stage.network.config.to_dict(), stage.network.config.vit
    opened = open_sources(recipe.data, crop_sizes(recipe, *stage.crops))
    stream = own_share(training_stream(opened, recipe.data, settings.batch, recipe.seed), team)
    if stage.crops == crops_of(vit):
        judged = opened
    else:  # by crops of the network's own size, as it will fly
        judged = open_sources(recipe.data, crop_sizes(recipe, *crops_of(vit)))
    held_out = validation_batches(judged, recipe, team)

    average = MovingAverage(stage.averaged.to(team.device), settings.average)
    stepper = Stepper(stage.model.train(), team, recipe.engine)
    average.follow(stage.network, step=0)
    optimiser = make_optimiser(stepper.model, settings, recipe.rate_factors.by_name())
    if team.rank:
        seed_everything(recipe.seed + team.rank)
    step, best = 0, -math.inf
    if newest:
        state = read_run(newest, stage.family, config)
        require_stage(state, recipe, newest)
        step, best = state["step"], state.get("best", best)
        restore_run(state, stepper, optimiser, str(newest))
        average.module.load_state_dict(state["net"])
        del state  # gigabytes that the run does not need

    keeper = Keeper(
        recipe, team, average, partial(stage.judge, held_out), opened.skipped,
        family=stage.family, config=config, first=step, best=best, better=stage.better,
    )  # fmt: skip
    for arrays in batch_loader(stream, step, settings.total_steps, recipe.data.workers, team.device):
        set_rate(optimiser, rate_at(step, settings))
        arrays, centres = with_heatmaps(arrays, vit.search_side, stepper)
        arrays = with_mask_noise(arrays, step, stream.slots, recipe)
        parts = stepper.gradients(arrays, lambda part, c=centres: stage.losses(stepper, part, c))
        require_finite(parts, arrays, out, step, team)
        gradient_norm = stepper.update(optimiser, settings.clip_norm)
        step += 1
        keeper.after(step, stepper, optimiser, parts, gradient_norm, followed=stage.network)
    keeper.finish()


def require_stage(state: Mapping[str, Any], recipe: Recipe, path: Path) -> None:
    """Raises CheckpointError if a run in this folder was of another stage."""
    stored = state.get("recipe", {}).get("stage", recipe.stage)
    if stored != recipe.stage:
        raise CheckpointError(
            f"{path} is a run of stage {stored!r}, the recipe's is {recipe.stage!r}; choose another out"
        )


def with_mask_noise(arrays: Arrays, step: int, slots: range, recipe: Recipe) -> Arrays:
    """Adds the dice of this process's share of the masks, where there are any.

    They are thrown for the whole batch, so that masks are the same however many processes share it.
    """
    if not recipe.masking:
        return arrays
    tokens, dice = recipe.student.vit().search_tokens, batch_generator(recipe.seed, step)
    noise = mask_noise(recipe.optimiser.batch, tokens, dice)
    return {**arrays, "mask_noise": noise[slots.start : slots.stop]}


def teacher_stage(recipe: Recipe, _: Team) -> Stage:
    """The teacher alone: task loss on the fused path and, with a smaller weight, on each modality's."""
    config = recipe.teacher.config()
    teacher, averaged = TransCmdTeacher(config), TransCmdTeacher(config)
    if recipe.start_from:
        fill(teacher, recipe.start_from, "transcmd_teacher", start_teacher)

    def losses(stepper: Stepper, part: Arrays, centres: float) -> dict[str, Tensor]:
        return teacher_losses(stepper, recipe, part, centres)

    def judge(held_out: Iterable[Arrays], stepper: Stepper) -> Verdict:
        return judge_boxes(partial(look_at_paths, averaged), held_out, stepper, recipe)

    return Stage("transcmd_teacher", teacher, teacher, averaged, crops_of(config.vit), losses, judge)


def teacher_losses(stepper: Stepper, recipe: Recipe, part: Arrays, centres: float) -> dict[str, Tensor]:
    """Task losses of one part of a batch on all three paths; `total` and its parts."""
    batch, heatmap = to_batch(part), part["heatmap"]
    with stepper.autocast():
        out = stepper.forward(*network_input(batch))
    learning = heatmap if recipe.boxes_at == "target" else None
    tasks = {
        name: task_loss(maps.score, decode_boxes(maps, learning), batch.target, heatmap, centres)
        for name, maps in out.outputs.items()
    }
    parts = dict(vars(tasks["fused"]))
    for name in ("rgb", "tir"):
        parts["total"] = parts["total"] + recipe.teacher.path_weight * tasks[name].total
        parts |= {f"task_{name}": tasks[name].total, f"iou_{name}": tasks[name].iou}
    return parts


def look_at_paths(teacher: TransCmdTeacher, batch: Batch) -> Seen:
    """A batch through the teacher: the fused path's boxes, the modalities' features after their fusion."""
    out = teacher(*network_input(batch))
    rgb, tir = (out.paths[name].mean(dim=1) for name in ("rgb", "tir"))
    return Seen(decode_boxes(out.outputs["fused"]), rgb, tir)


def cmae_stage(recipe: Recipe, team: Team) -> Stage:
    """The student's encoder and a decoder: masked patches of one modality from what the other shows."""
    config = recipe.student.config()
    student = TransCmdStudent(config)
    if recipe.start_from:
        fill_transcmd(student, recipe.start_from)
    judged = MaskedAutoencoder(TransCmdStudent(config)).to(team.device).eval()

    def losses(stepper: Stepper, part: Arrays, _: float) -> dict[str, Tensor]:
        with stepper.autocast():
            loss = rebuild(stepper.forward, recipe, part)
        return {"total": loss, "explained": 1 - loss}

    def judge(held_out: Iterable[Arrays], stepper: Stepper) -> Verdict:
        # As the weights stand: the decoder has learned to read them, not their average.
        judged.load_state_dict({key: whole(value) for key, value in stepper.model.state_dict().items()})
        return judge_rebuilding(judged, held_out, stepper, recipe)

    return Stage(
        "transcmd", MaskedAutoencoder(student), student, TransCmdStudent(config), crops_of(config.vit),
        losses, judge, better="explained",
    )  # fmt: skip


def rebuild(autoencoder: nn.Module, recipe: Recipe, part: Arrays) -> Tensor:
    """Mean squared error over the masked patches of a batch; 1 is what their mean would give."""
    _, searches = network_input(to_batch(part))
    mask = draw_mask(searches, recipe.student.patch_size, part["mask_noise"], recipe.masks)
    return autoencoder(searches, mask)


@torch.no_grad()
def judge_rebuilding(
    judged: MaskedAutoencoder, batches: Iterable[Arrays], stepper: Stepper, recipe: Recipe
) -> Verdict:
    """How much of the masked patches' variance is explained, at most 1. Every process must call it."""
    team, tokens = stepper.team, recipe.student.vit().search_tokens
    losses: list[float] = []
    for arrays in batches:
        noise = mask_noise(len(arrays["target"]), tokens, batch_generator(VALIDATION_SEED, 0))
        part = {key: value.to(team.device) for key, value in {**arrays, "mask_noise": noise}.items()}
        with stepper.autocast():
            losses.append(rebuild(judged, recipe, part).item())
    every = [loss for part in team.gather(losses) for loss in part]
    return {"explained": 1 - sum(every) / len(every)}, None


def distil_stage(recipe: Recipe, team: Team) -> Stage:
    """The student on its task, with whatever it is taught beside."""
    config, distillation = recipe.student.config(), recipe.distillation
    network, averaged = TransCmdStudent(config), TransCmdStudent(config)
    decoder = MaskDecoder(config.vit) if recipe.masking else None
    if distillation.pretrained and recipe.pretrained_by:
        fill_transcmd(network, recipe.pretrained_by)
        if decoder is not None:
            fill_decoder(decoder, recipe.pretrained_by)
    elif recipe.start_from:
        fill_transcmd(network, recipe.start_from)
    student = DistillableTransCmd(network)
    teacher = None
    if recipe.needs_teacher:
        teacher = open_teacher(recipe.taught_by, student.spec, team, recipe.engine)
    lesson = Lesson(distillation.weights(), recipe.boxes_at, distillation.beside, recipe.masks)

    def losses(stepper: Stepper, part: Arrays, centres: float) -> dict[str, Tensor]:
        return taught_losses(stepper, teacher, lesson, part, centres)

    def judge(held_out: Iterable[Arrays], stepper: Stepper) -> Verdict:
        return judge_boxes(partial(look, DistillableTransCmd(averaged)), held_out, stepper, recipe)

    model = taught_model(student, teacher, lesson.weights, decoder)
    return Stage("transcmd", model, network, averaged, cut_sizes(student.spec, teacher), losses, judge)


def fill_decoder(decoder: MaskDecoder, path: str) -> None:
    """The mask decoder goes on from the run of `cmae`, if the file has it."""
    stored = read_checkpoint(path).extras.get("model")
    prefix = "decoder."
    state = {k.removeprefix(prefix): v for k, v in (stored or {}).items() if k.startswith(prefix)}
    if state:
        load_strictly(decoder, state, path)


def crops_of(vit: VitConfig) -> tuple[int, int]:
    """Sides of the crops that a network takes itself."""
    return vit.template_size, vit.search_size


STAGES: dict[str, Callable[[Recipe, Team], Stage]] = {
    "teacher": teacher_stage,
    "cmae": cmae_stage,
    "distil": distil_stage,
}
