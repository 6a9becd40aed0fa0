"""`python -m calibration COMMAND`: the table of calibration commands."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from edge_rgbt.cli import CommandParser, run_command

# name -> (module, what it does); a module is imported only when its command is asked for
COMMANDS: dict[str, tuple[str, str]] = {
    "timing": ("calibration.commands.timing", "measure the offset between the two cameras' clocks"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = CommandParser(prog="python -m calibration", description="Measures cameras and networks.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = arguments[0] if arguments and arguments[0] in COMMANDS else None
    for name, (module, text) in COMMANDS.items():
        subparser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text)
        if name == asked:
            command = importlib.import_module(module)
            subparser.epilog = f"example: {command.EXAMPLE}"
            command.configure(subparser)
            subparser.set_defaults(run=command.run, parser=subparser)
    return run_command(parser, arguments)


if __name__ == "__main__":
    sys.exit(main())
