"""`python -m training ckd`: coupled knowledge distillation from a recipe file."""

from __future__ import annotations

import argparse

EXAMPLE = "python -m training ckd --recipe training/recipes/compact_ckd.toml --set optimiser.steps=100"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--recipe", required=True, metavar="FILE", help="recipe, a TOML file")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in its out folder"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value, e.g. seed=7"
    )


def run(args: argparse.Namespace) -> int:
    """Trains until the recipe's last step."""
    from training.recipes.ckd import run as train

    return train(args.recipe, args.resume, args.set)
