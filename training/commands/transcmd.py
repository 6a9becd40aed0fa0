"""`python -m training transcmd`: one stage of TransCMD from a recipe file."""

from __future__ import annotations

from training.commands.recipe import configure, runner

__all__ = ["EXAMPLE", "configure", "run"]

EXAMPLE = "python -m training transcmd --recipe training/recipes/transcmd_lasher_distil.toml"
run = runner("training.recipes.transcmd")
