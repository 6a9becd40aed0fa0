"""`edge-rgbt doctor`: whether this machine is fit to fly, a line for each thing that was looked at."""

from __future__ import annotations

import argparse
import json
import logging
import textwrap
from collections.abc import Iterator
from pathlib import Path

from edge_rgbt.health.checks import Finding, Site, Verdict, configured_site, examine
from edge_rgbt.service.pairing import make_synchroniser
from edge_rgbt.service.settings import read_plan

NAME = "doctor"
HELP = "check cameras, clock, engine, MAVLink link, disk and power mode, and say what to do"
EXAMPLE = "edge-rgbt doctor --config deploy/config/simulator.toml"
_MARKS = {Verdict.GOOD: "ok", Verdict.NOTE: "note", Verdict.WRONG: "WRONG"}
_COLUMNS = (6, 15)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="look at what this configuration names")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the lines")


def run(args: argparse.Namespace) -> int:
    """Looks at everything; 0 if nothing is wrong."""
    logging.getLogger("edge_rgbt").addHandler(logging.NullHandler())  # the findings say it all
    findings = examine(Site() if args.config is None else _site(args.config))
    if args.json:
        found = list(findings)
        print(json.dumps(_report(found), indent=2))
    else:
        found = list(_told(findings))
        print(_conclusion(found))
    return 1 if any(finding.verdict is Verdict.WRONG for finding in found) else 0


def _site(config: Path) -> Site:
    """What the service of this configuration needs. Raises UsageError where the file cannot be."""
    plan = read_plan(config)
    settings, tracking = plan.settings, plan.settings.tracking
    return configured_site(
        settings.cameras.by_modality(),
        bundle=plan.bundle,
        engine=tracking.engine,
        threads=tracking.threads,
        mavlink_urls=tuple(str(one.parsed) for one in settings.mavlink.endpoints),
        record_folder=plan.record_folder,
        disk_free_mb=settings.limits.disk_free_mb,
        pairing=lambda: make_synchroniser(plan),
        rig=plan.rig,
    )


def _told(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Prints each as soon as it is known: some take seconds."""
    for finding in findings:
        print(_line(finding), flush=True)
        yield finding


def _line(finding: Finding) -> str:
    mark, subject = _COLUMNS
    line = f"{_MARKS[finding.verdict]:<{mark}}{finding.subject:<{subject}} {finding.found}"
    return f"{line}\n{textwrap.indent('-> ' + finding.advice, ' ' * mark)}" if finding.advice else line


def _conclusion(found: list[Finding]) -> str:
    count = sum(finding.verdict is Verdict.WRONG for finding in found)
    return "nothing is wrong" if count == 0 else f"{count} of {len(found)} findings are wrong"


def _report(found: list[Finding]) -> dict[str, object]:
    return {
        "good": all(finding.verdict is not Verdict.WRONG for finding in found),
        "findings": [
            {
                "subject": finding.subject,
                "verdict": finding.verdict.value,
                "found": finding.found,
                "advice": finding.advice,
            }
            for finding in found
        ],
    }
