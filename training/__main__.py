"""`python -m training COMMAND`: the table of training commands."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from edge_rgbt.cli import CommandParser, run_command
from edge_rgbt.errors import EdgeRgbtError

# name -> (module, what it does); a module is imported only when its command is asked for
COMMANDS = {
    "ckd": ("training.commands.ckd", "train CKD by coupled distillation from a recipe file"),
    "transcmd": ("training.commands.transcmd", "train TransCMD: teacher, masked pretraining, distillation"),
    "distill": ("training.commands.distill", "train a compact tracker under any larger one"),
    "tpf": ("training.commands.tpf", "train a stage of TPF from a recipe file"),
    "render-experts": ("training.commands.render_experts", "render what TPF's adapter learns from"),
    "ablate": ("training.commands.ablate", "rerun a paper's ablation tables, one variant after another"),
    "flights": ("training.commands.flights", "render simulated flights to a folder of training frames"),
    "pack": ("training.commands.pack", "put a dataset of many small files into one file with an index"),
    "export": ("training.commands.export", "write a checkpoint as a model bundle"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = CommandParser(prog="python -m training", description="Trains trackers and exports them.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = arguments[0] if arguments and arguments[0] in COMMANDS else None
    for name, (module, text) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text)
        if name == asked:
            command = importlib.import_module(module)
            subparser.epilog = f"example: {command.EXAMPLE}"
            command.configure(subparser)
            subparser.set_defaults(run=_needing_libraries(command.run), parser=subparser)
    return run_command(parser, arguments)


def _needing_libraries(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A missing library of the training extra becomes one line that says what to install."""

    def call(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except ModuleNotFoundError as missing:
            raise EdgeRgbtError(
                f"{missing.name} is not installed; in the checkout: pip install -e '.[train]'"
            ) from missing

    return call


if __name__ == "__main__":
    sys.exit(main())
