"""`python -m training render-experts`: what TPF's adapter learns from in stage one."""

from __future__ import annotations

import argparse

EXAMPLE = "python -m training render-experts --recipe training/recipes/tpf_experts_lasher.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--recipe", required=True, metavar="FILE", help="data, experts, judge: a TOML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value, e.g. samples=500"
    )


def run(args: argparse.Namespace) -> int:
    """Renders what is not there yet."""
    from training.recipes import render_experts

    return render_experts.run(args.recipe, args.set)
