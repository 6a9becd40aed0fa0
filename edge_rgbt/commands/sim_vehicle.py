"""`edge-rgbt sim-vehicle`: the simulated multicopter on MAVLink, without cameras."""

from __future__ import annotations

import argparse
import sys
import time

NAME = "sim-vehicle"
HELP = "a simulated multicopter with gimbal that speaks MAVLink like PX4 or ArduCopter"
EXAMPLE = "edge-rgbt sim-vehicle --stack arducopter --endpoint udpout:127.0.0.1:14550"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--stack", default="px4", help="px4 (default) or arducopter")
    parser.add_argument(
        "--endpoint", action="append", metavar="URL",
        help="a link, may be given again; left out, UDP to 14540 (companion) and 14550 (ground) here",
    )  # fmt: skip
    parser.add_argument("--system-id", type=int, default=1, metavar="N", help="of the vehicle (1)")
    parser.add_argument("--mode", default="hold", help="flown at first: hold (default), follow, land, ...")
    parser.add_argument("--height", type=float, default=30.0, metavar="M", help="above home (30); 0: landed")
    parser.add_argument("--wind", type=float, default=0.0, metavar="M/S", help="from the west (0)")
    parser.add_argument("--gusts", type=float, default=0.0, metavar="M/S", help="on top, one sigma (0)")
    parser.add_argument("--exact", action="store_true", help="telemetry without the errors of sensors")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of gusts and errors (0)")
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after so long")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter, may be given again"
    )


def run(args: argparse.Namespace) -> int:
    """Flies until interrupted, or for so many seconds."""
    from edge_rgbt.errors import UsageError
    from edge_rgbt.mavlink.autopilot.process import serve
    from edge_rgbt.mavlink.autopilot.settings import SimulatedVehicleSettings
    from edge_rgbt.settings import build_settings

    if args.seconds is not None and not args.seconds > 0:
        raise UsageError(f"--seconds {args.seconds:g}: give more than 0")
    values = {
        "stack": args.stack, "system_id": args.system_id, "mode": args.mode, "parameters": args.set,
        "height_m": args.height, "wind_m_s": args.wind, "gusts_m_s": args.gusts, "exact": args.exact,
    }  # fmt: skip
    if args.endpoint:
        values["endpoints"] = args.endpoint
    order = build_settings(SimulatedVehicleSettings, values).order(args.seed)
    with serve(order):
        print(f"{order.stack}, system {order.system}, on {', '.join(order.endpoints)}; Ctrl-C ends it")
        sys.stdout.flush()
        end_s = None if args.seconds is None else time.monotonic() + args.seconds
        while end_s is None or time.monotonic() < end_s:
            time.sleep(0.2 if end_s is None else min(0.2, max(end_s - time.monotonic(), 0.0)))
    return 0
