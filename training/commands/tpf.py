"""`python -m training tpf`: one stage of TPF from a recipe file."""

from __future__ import annotations

from training.commands.recipe import configure, runner

__all__ = ["EXAMPLE", "configure", "run"]

EXAMPLE = "python -m training tpf --recipe training/recipes/tpf_lasher.toml"
run = runner("training.recipes.tpf")
