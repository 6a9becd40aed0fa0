"""`edge-rgbt gcs`: the operator's console, a web page on this computer."""

from __future__ import annotations

import argparse
import sys
import webbrowser

from edge_rgbt.ground.settings import DEFAULT_LISTEN, ConsoleSettings
from edge_rgbt.health import configure_logging

NAME = "gcs"
HELP = "operator console in a browser: pictures, a box to draw, state, map, steering"
EXAMPLE = "edge-rgbt gcs --mavlink udpin:127.0.0.1:14550"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    usual = ConsoleSettings()
    parser.add_argument(
        "--mavlink", default=usual.mavlink, metavar="URL", help=f"the drone ({usual.mavlink})"
    )
    parser.add_argument("--rgb", metavar="URL", help="RTSP picture; left out, what the drone advertises")
    parser.add_argument("--thermal", metavar="URL", help="the same for thermal")
    parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="ADDRESS:PORT",
        help=f"of the page ({DEFAULT_LISTEN}); beyond this computer only with a token",
    )  # fmt: skip
    parser.add_argument("--token", help="what a browser must show; made up if needed and not given")
    parser.add_argument("--open", action="store_true", help="open the page in this computer's browser")


def run(args: argparse.Namespace) -> int:
    """Serves the page until interrupted."""
    from edge_rgbt.ground.server import Console, serve

    configure_logging()
    settings = ConsoleSettings(args.mavlink, args.rgb, args.thermal, args.listen, args.token)

    def ready(console: Console) -> None:
        print(f"open {console.url} in a browser; Ctrl-C ends the console")
        sys.stdout.flush()
        if args.open:
            webbrowser.open(console.url)

    serve(settings, ready)
    return 0
