"""`python -m training distill`: a compact student under any teacher, from a recipe file."""

from __future__ import annotations

from training.commands.recipe import configure, runner

__all__ = ["EXAMPLE", "configure", "run"]

EXAMPLE = "python -m training distill --recipe training/recipes/distill_compact_ckd.toml --set seed=7"
run = runner("training.recipes.distill")
