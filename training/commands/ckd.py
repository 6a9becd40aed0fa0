"""`python -m training ckd`: coupled knowledge distillation from a recipe file."""

from __future__ import annotations

from training.commands.recipe import configure, runner

__all__ = ["EXAMPLE", "configure", "run"]

EXAMPLE = "python -m training ckd --recipe training/recipes/compact_ckd.toml --set optimiser.steps=100"
run = runner("training.recipes.ckd")
