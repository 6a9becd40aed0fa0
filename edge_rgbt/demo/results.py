"""The demo's report: one object for scripts, one page for people."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_rgbt import __version__
from edge_rgbt.bundle import Bundle
from edge_rgbt.demo.moments import Moments
from edge_rgbt.demo.options import DemoOptions
from edge_rgbt.demo.record import FlightRecord
from edge_rgbt.files import write_json_atomic
from edge_rgbt.machine import describe_machine
from edge_rgbt.runtime.stages import STEP_STAGES
from edge_rgbt.sync import SyncCounters

if TYPE_CHECKING:
    from edge_rgbt.mavlink import TrackPublisher

VIDEO_NAME, TRACKS_NAME, PAGE_NAME, REPORT_NAME = "flight.mp4", "tracks.jsonl", "index.html", "report.json"
REPORT_SCHEMA = 1
_AROUND = ("judge", "pair", "output")  # stages outside the timed whole frame


@dataclass(frozen=True)
class Flown:
    """What a flight left behind besides its record. stages: `StageStatistics.summary()`."""

    scene: dict[str, Any]
    engine: str
    wall_s: float
    stages: dict[str, dict[str, float]]
    sync: SyncCounters


def build_report(
    options: DemoOptions, bundle: Bundle, flown: Flown, record: FlightRecord, publisher: TrackPublisher
) -> dict[str, Any]:
    """The object of `report.json` and `--json`."""
    manifest, sync = bundle.manifest, flown.sync
    identity = publisher.identity
    stages = {
        name: {key: row[f"{key}_ms"] for key in ("mean", "p50", "p99")} for name, row in flown.stages.items()
    }
    return {
        "schema": REPORT_SCHEMA,
        "tool": f"edge-rgbt {__version__}",
        "command": command_line(options),
        "seconds": options.seconds,
        **record.summary(),
        "wall_seconds": round(flown.wall_s, 3),
        "pairs_per_second": round(record.pairs / flown.wall_s, 2),
        "realtime": options.realtime,
        "stages_ms": {name: stages[name] for name in STEP_STAGES if name in stages},
        "around_ms": {name: stages[name] for name in _AROUND if name in stages},
        "sync": {**asdict(sync), "dropped": sync.dropped},
        "mavlink": {
            "urls": publisher.urls,
            "system": identity and identity.system,
            "component": identity and identity.component,
            **asdict(publisher.counters),
            "problem": publisher.problem,
        },
        "bundle": {
            "name": manifest.name,
            "version": manifest.version,
            "family": manifest.family,
            "precision": manifest.precision,
            "lost_threshold": manifest.lost_threshold,
            "path": str(bundle.path),
        },
        "engine": flown.engine,
        "scene": flown.scene,
        "machine": describe_machine(),
        "files": {
            name: str(options.out / file)
            for name, file in (("video", VIDEO_NAME), ("tracks", TRACKS_NAME), ("page", PAGE_NAME))
        },
    }


def write_results(out: Path, report: dict[str, Any], record: FlightRecord, moments: Moments) -> None:
    """`report.json` and the page, beside the video."""
    from edge_rgbt.report import write_demo_report

    write_json_atomic(out / REPORT_NAME, report)
    write_demo_report(out / PAGE_NAME, report, record.series(), moments.stills(), VIDEO_NAME)


def command_line(options: DemoOptions) -> str:
    """The call that flies the same flight again."""
    words = ["edge-rgbt", "demo", "--seconds", f"{options.seconds:g}", "--seed", str(options.seed)]
    for name, value in (
        ("--preset", options.preset),
        ("--bundle", options.bundle),
        ("--mavlink", options.mavlink),
        ("--threads", options.threads),
    ):
        if value is not None:
            words += [name, str(value)]
    if options.realtime:
        words.append("--realtime")
    return shlex.join(words)
