"""What every `python -m training RECIPE` command is made of: arguments, and the run of a recipe file."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a training command."""
    parser.add_argument("--recipe", required=True, metavar="FILE", help="recipe, a TOML file")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest checkpoint in its out folder"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value, e.g. seed=7"
    )


def runner(module: str) -> Callable[[argparse.Namespace], int]:
    """Trains by the `run` of a recipe's module, which is imported only then."""

    def run(args: argparse.Namespace) -> int:
        return importlib.import_module(module).run(args.recipe, args.resume, args.set)

    return run
