"""Trains a compact tracker under any larger one; read it top to bottom.

    python -m training distill --recipe training/recipes/distill_compact_ckd.toml
    torchrun --nproc-per-node 2 -m training distill --recipe training/recipes/distill_vit_tiny.toml

The student learns its task and, beside it, what TransCMD hands over: specific and common features, the
teacher's best path through its fusion, its score map. The checkpoint is one of the student's own family.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import cv2

from training.data.loader import batch_loader
from training.data.sources import open_sources, training_stream
from training.engine.keeper import Keeper, Verdict
from training.engine.processes import Team, open_team
from training.engine.random_states import seed_everything
from training.engine.run_state import prepare_folder, read_run, restore_run
from training.engine.schedules import make_optimiser, rate_at, set_rate
from training.engine.stepping import MovingAverage, Stepper
from training.engine.validation import crop_sizes, judge_boxes, validation_batches
from training.engine.watch import require_finite
from training.models.ckd import CkdConfig, CkdTracker
from training.models.students import DistillableCkd, DistillableTransCmd
from training.models.transcmd.student import TransCmdConfig, TransCmdStudent
from training.recipes.batches import own_share, with_heatmaps
from training.recipes.ckd_start import choose_trained
from training.recipes.distill_settings import Recipe
from training.recipes.settings import load_settings
from training.recipes.teaching import (
    Lesson,
    cut_sizes,
    fill_ckd,
    fill_transcmd,
    look,
    open_teacher,
    taught_losses,
    taught_model,
)


def run(recipe_file: str, resume: bool, overrides: list[str]) -> int:
    """Trains to the last step; `resume` goes on from the newest checkpoint. Returns the exit status."""
    recipe = load_settings(Recipe, recipe_file, overrides)
    with open_team(recipe.engine.device) as team:
        train(recipe, team, resume)
    return 0


def train(recipe: Recipe, team: Team, resume: bool) -> None:
    """One whole run on this process's part of the team."""
    out, settings = Path(recipe.out), recipe.optimiser
    newest = prepare_folder(out, resume)
    cv2.setNumThreads(1)  # pictures are small, and OpenCV's threads do not survive the fork of loader workers
    seed_everything(recipe.seed)  # all processes start from the same weights
    student, averaged = make_student(recipe.config()), make_student(recipe.config())
    if recipe.start_from:
        start_student(student, recipe.start_from)
    teacher = None
    if recipe.needs_teacher:
        teacher = open_teacher(recipe.taught_by, student.spec, team, recipe.engine)
    lesson = Lesson(recipe.distillation, recipe.boxes_at)

    cut, own = cut_sizes(student.spec, teacher), cut_sizes(student.spec, None)
    opened = open_sources(recipe.data, crop_sizes(recipe, *cut))
    stream = own_share(training_stream(opened, recipe.data, settings.batch, recipe.seed), team)
    # judged by crops of its own size, as it will fly
    judged = opened if cut == own else open_sources(recipe.data, crop_sizes(recipe, *own))
    held_out = validation_batches(judged, recipe, team)

    average = MovingAverage(averaged.network.to(team.device), settings.average)
    stepper = Stepper(taught_model(student, teacher, lesson.weights).train(), team, recipe.engine)
    average.follow(student.network, step=0)
    optimiser = make_optimiser(stepper.model, settings, recipe.rate_factors.by_name())
    if team.rank:
        seed_everything(recipe.seed + team.rank)
    step, best, config = 0, -math.inf, recipe.config().to_dict()
    if newest:
        state = read_run(newest, recipe.student, config)
        step, best = state["step"], state.get("best", best)
        restore_run(state, stepper, optimiser, str(newest))
        average.module.load_state_dict(state["net"])
        del state  # what the run does not need

    def judge(stepper: Stepper) -> Verdict:
        return judge_boxes(partial(look, averaged), held_out, stepper, recipe)

    keeper = Keeper(
        recipe, team, average, judge, opened.skipped,
        family=recipe.student, config=config, first=step, best=best,
    )  # fmt: skip
    for arrays in batch_loader(stream, step, settings.total_steps, recipe.data.workers, team.device):
        set_rate(optimiser, rate_at(step, settings))
        arrays, centres = with_heatmaps(arrays, student.spec.geometry.search_side, stepper)
        parts = stepper.gradients(arrays, partial(taught_losses, stepper, teacher, lesson, centres=centres))
        require_finite(parts, arrays, out, step, team)
        gradient_norm = stepper.update(optimiser, settings.clip_norm)
        step += 1
        keeper.after(step, stepper, optimiser, parts, gradient_norm, followed=student.network)
    keeper.finish()


def make_student(config: CkdConfig | TransCmdConfig) -> DistillableCkd | DistillableTransCmd:
    """A student from nothing; tables of the published layout that nothing uses do not learn."""
    if isinstance(config, TransCmdConfig):
        return DistillableTransCmd(TransCmdStudent(config))
    return DistillableCkd(choose_trained(CkdTracker(config), "everything"))


def start_student(student: DistillableCkd | DistillableTransCmd, path: str) -> None:
    """Weights to begin with. Raises CheckpointError, one line, where they do not fit."""
    if isinstance(student, DistillableTransCmd):
        fill_transcmd(student.network, path)
    else:
        fill_ckd(student.network, path)
