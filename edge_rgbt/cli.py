"""`edge-rgbt`: the table of commands, and one line for a user's mistake instead of a traceback."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from edge_rgbt import __version__
from edge_rgbt.errors import EdgeRgbtError

# name -> module; a module is imported only when its command (or the overview) is asked for
COMMANDS = {
    "demo": "edge_rgbt.commands.demo",
    "replay": "edge_rgbt.commands.replay",
    "eval": "edge_rgbt.commands.eval",
    "bench": "edge_rgbt.commands.bench",
    "run": "edge_rgbt.commands.run",
    "doctor": "edge_rgbt.commands.doctor",
    "gcs": "edge_rgbt.commands.gcs",
    "sim-vehicle": "edge_rgbt.commands.sim_vehicle",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status: 0 done, 1 the work failed, 2 the call was wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command(_parser(arguments), arguments)


class CommandParser(argparse.ArgumentParser):
    """Tells a wrong call in one line; argparse would print the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        # Help is output too, and its reader may go away like any other's.
        super().exit(run_reporting_errors(self.prog, lambda: status), message)


def run_command(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Parses the arguments and calls the chosen subparser's `run(args)`; `parser` stands beside it."""
    _prepare_streams()
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return run_reporting_errors(args.parser.prog, lambda: args.run(args))


def run_reporting_errors(name: str, work: Callable[[], int]) -> int:
    """Calls `work`; a mendable error becomes one line on standard error and its own exit status.

    What an operating system refuses is mendable too. SIGTERM ends the work as Ctrl-C does, so that nothing
    half-written and no process of ours stays behind.
    """
    try:
        with _stopped_by_sigterm():
            status = work()
            sys.stdout.flush()
            return status
    except EdgeRgbtError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt as stop:
        print(f"{name}: stopped", file=sys.stderr)
        return 128 + (stop.signal if isinstance(stop, _Stopped) else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output went away (`| head`): nothing left to tell it
        _discard_output()
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
        _discard_output()
        return 1


class _Stopped(KeyboardInterrupt):
    def __init__(self, number: int) -> None:
        self.signal = number


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return

    def stop(number: int, frame: Any) -> NoReturn:
        raise _Stopped(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _prepare_streams() -> None:
    """A parent may have closed a stream (`2>&-`), and a file name may not fit its encoding."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  for as long as the process lives
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Whatever is still buffered goes nowhere, so that Python does not try again while it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(arguments: Sequence[str]) -> CommandParser:
    parser = CommandParser(
        prog="edge-rgbt", description="RGB-thermal tracking for drones.", epilog="example: edge-rgbt demo"
    )
    parser.add_argument("--version", action="version", version=f"edge-rgbt {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((a for a in arguments if not a.startswith("-")), None)
    for name in [asked] if asked in COMMANDS else COMMANDS:
        command = importlib.import_module(COMMANDS[name])
        subparser = subparsers.add_parser(
            name, help=command.HELP, description=command.HELP, epilog=f"example: {command.EXAMPLE}"
        )
        command.configure(subparser)
        subparser.set_defaults(run=command.run, parser=subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
