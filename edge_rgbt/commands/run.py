"""`edge-rgbt run`: the on-board service, from one configuration file."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_rgbt.errors import UsageError
from edge_rgbt.health import configure_logging
from edge_rgbt.service.service import Service, ServiceReport, require_startable
from edge_rgbt.service.settings import ServicePlan, read_plan

NAME = "run"
HELP = "the on-board service: two cameras in, tracks out over MAVLink, until it is stopped"
EXAMPLE = "edge-rgbt run --config deploy/config/simulator.toml --seconds 20 --record flights"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="configuration, TOML")
    parser.add_argument("--check", action="store_true", help="validate the configuration and exit")
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after so long")
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="record the flight here, whatever FILE says"
    )
    parser.add_argument(
        "--no-control", action="store_true", help="compute and log what would steer, and send none of it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    """Flies until it is stopped; SIGINT and SIGTERM are orderly ends."""
    if args.seconds is not None and not args.seconds > 0:
        raise UsageError(f"--seconds {args.seconds:g}: give more than 0")
    plan = read_plan(args.config)
    if args.no_control:
        plan = without_control(plan)
    bundle = require_startable(plan)
    if args.check:
        print(
            json.dumps({"config": str(args.config), "valid": True})
            if args.json
            else _described(args.config, plan)
        )
        return 0
    configure_logging()
    service = Service(plan, bundle, args.record)
    with ended_by_signals(service):
        report = service.run(args.seconds)
    print(json.dumps(_plain(report)) if args.json else _told(report))
    return 0


def without_control(plan: ServicePlan) -> ServicePlan:
    """The same flight with steering as a dry run."""
    control = dataclasses.replace(plan.settings.control, dry_run=True)
    return dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, control=control))


@contextmanager
def ended_by_signals(service: Service) -> Iterator[None]:
    """The pair at hand is finished and the recording closed before the process ends."""

    def stop(number: int, frame: Any) -> None:
        service.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _described(path: Path, plan: ServicePlan) -> str:
    cameras = plan.settings.cameras
    calibration = plan.settings.pairing.calibration or "none"
    return f"{path}: valid; cameras {cameras.rgb.kind} and {cameras.tir.kind}, calibration {calibration}"


def _plain(report: ServiceReport) -> dict[str, Any]:
    values = dataclasses.asdict(report)
    return {**values, "status": report.status.value, "recording": report.recording and str(report.recording)}


def _told(report: ServiceReport) -> str:
    if sys.stdout.isatty():
        print()
    where = f"; recorded in {report.recording}" if report.recording else ""
    return (
        f"{report.seconds:.1f} s, {report.pairs} pairs, {report.tracked} tracked, "
        f"last status {report.status.value}{where}"
    )
