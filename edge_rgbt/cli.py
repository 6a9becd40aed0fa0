"""`edge-rgbt`: the table of commands, and one line for a user's mistake instead of a traceback."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from edge_rgbt import __version__
from edge_rgbt.errors import EdgeRgbtError

# name -> module; a module is imported only when its command (or the overview) is asked for
COMMANDS = {
    "demo": "edge_rgbt.commands.demo",
    "replay": "edge_rgbt.commands.replay",
    "eval": "edge_rgbt.commands.eval",
    "bench": "edge_rgbt.commands.bench",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(arguments)
    args = parser.parse_args(arguments)
    return run_reporting_errors(f"edge-rgbt {args.command}", lambda: args.run(args))


def run_reporting_errors(name: str, work: Callable[[], int]) -> int:
    """Calls `work`; a mendable error becomes one line on standard error and its own exit status."""
    try:
        return work()
    except EdgeRgbtError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (`| head`): nothing left to tell it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-rgbt", description="RGB-thermal tracking for drones.", epilog="example: edge-rgbt demo"
    )
    parser.add_argument("--version", action="version", version=f"edge-rgbt {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((a for a in arguments if a in COMMANDS), None)
    for name in [asked] if asked else COMMANDS:
        command = importlib.import_module(COMMANDS[name])
        subparser = subparsers.add_parser(
            name, help=command.HELP, description=command.HELP, epilog=f"example: {command.EXAMPLE}"
        )
        command.configure(subparser)
        subparser.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
