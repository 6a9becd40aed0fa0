"""`python -m training ablate FAMILY`: the ablation tables of a paper, one run after another."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from edge_rgbt.errors import UsageError

EXAMPLE = "python -m training ablate ckd --recipe training/recipes/ckd_lasher.toml --out runs/ablations"
LISTS = Path(__file__).resolve().parents[1] / "recipes" / "ablations"
# family -> the module whose `run` trains one variant
RECIPES = {
    "ckd": "training.recipes.ckd",
    "tpf": "training.recipes.tpf",
    "distill": "training.recipes.distill",
    "transcmd": "training.recipes.transcmd",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("family", choices=sorted(RECIPES), help="whose paper")
    parser.add_argument("--recipe", required=True, metavar="FILE", help="the recipe that variants change")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="a folder per variant, and the tables"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this variant only; may be repeated"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value in every variant"
    )
    parser.add_argument(
        "--list", type=Path, metavar="FILE", help="other variants than the paper's, a TOML file"
    )


def run(args: argparse.Namespace) -> int:
    """Runs what is not finished; exit status 1 if a variant failed."""
    from training.engine.ablations import TABLE, Ablations, run_ablations
    from training.engine.processes import leads_run
    from training.recipes.settings import load_settings

    path = args.list or LISTS / f"{args.family}.toml"
    ablations = load_settings(Ablations, path)
    if ablations.family != args.family:
        raise UsageError(f"{path} lists variants of {ablations.family}, not of {args.family}")
    train = importlib.import_module(RECIPES[args.family]).run
    faults = run_ablations(ablations, train, args.recipe, args.out, args.only, args.set)
    if leads_run():
        print((args.out / TABLE).read_text(encoding="utf-8"))
    return 1 if faults else 0
