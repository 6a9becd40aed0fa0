"""The demo's and the replay's HTML page, written whole or not at all."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_rgbt import __version__
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.files import write_text_atomic
from edge_rgbt.report import plots
from edge_rgbt.report.plots import Band, Mark

try:
    import jinja2
except ImportError as missing:  # the extra is optional, the sentence is not
    raise EdgeRgbtError(
        "reports need jinja2, which is not installed: pip install 'edge-rgbt[report]'"
    ) from missing

MAX_DRAWN = 24  # sequences with curves of their own; a page of hundreds would not open on a phone
STILL_WIDTH = 1040
_FOLDER = Path(__file__).parent
_METRICS = ("PR", "NPR", "SR", "MPR", "MSR")


@dataclass(frozen=True, slots=True)
class Still:
    """A picture inside the page, as a data URI."""

    uri: str
    caption: str
    width: int
    height: int


def still(picture: np.ndarray, caption: str) -> Still:
    """Shrinks an RGB picture to page width and packs it as JPEG."""
    height, width = picture.shape[:2]
    if width > STILL_WIDTH:
        height, width = round(height * STILL_WIDTH / width), STILL_WIDTH
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return Still(f"data:image/jpeg;base64,{text}", caption, width, height)


def write_demo_report(
    path: Path | str,
    report: Mapping[str, Any],
    series: Mapping[str, Sequence[Any]],
    stills: Sequence[Still] = (),
    video: str | None = None,
) -> None:
    """The page of one simulated flight.

    report: what `edge-rgbt demo --json` prints. series: `time_s`, `overlap`, `score`, `latency_ms`,
    `skew_ms`, `visible`, one value per pair. video: name of the MP4 file beside the page.
    """
    drawings = _demo_plots(report, series)
    lead = (
        f"{report['seconds']:.0f} seconds over a rendered world: two cameras with clocks of their own, "
        f"paired by time, tracked by {report['bundle']['name']}, sent to the ground as MAVLink, and the "
        "vehicle follows what is tracked."
    )
    write_page(
        Path(path),
        "demo.html",
        title="A simulated flight",
        report=report,
        lead=lead,
        plots=drawings,
        stills=stills,
        video=video,
        facts=_demo_facts(report),
    )


def write_replay_report(
    path: Path | str,
    report: Mapping[str, Any],
    series: Mapping[str, Mapping[str, Sequence[float | None]]],
    command: str = "",
) -> None:
    """The page of a replay.

    report: the object of `report.json`. series: per sequence `overlap`, `score`, `latency_ms`, one value per
    frame, None where there is none. A video `NAME.mp4` beside the page is shown.
    """
    path = Path(path)
    rows = _replay_rows(path.parent, report, series)
    drawn = sum(row["drawn"] for row in rows)
    undrawn = ""
    if drawn < len(rows):
        undrawn = f"Curves of the {drawn} sequences with the lowest overlap; the table holds all of them."
    many = len(rows) != 1
    title = f"{len(rows)} sequences replayed" if many else f"Replay of {rows[0]['name']}"
    bundle = report["bundle"]
    lead = f"Tracked with {bundle['name']} {bundle['version']} on {_engine_text(report)}."
    write_page(
        path,
        "replay.html",
        title=title,
        report=report,
        lead=lead,
        rows=rows,
        metrics=[m for m in _METRICS if any(m in row["scores"] for row in rows)],
        plots=_overall_plots(series),
        undrawn=undrawn,
        facts=_replay_facts(report),
        command=command,
        number=_number,
    )


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fills a template of this folder; style sheet and versions are added."""
    loader = jinja2.FileSystemLoader(_FOLDER)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    values |= {"css": (_FOLDER / "style.css").read_text(encoding="utf-8"), "versions": _versions()}
    write_text_atomic(path, environment.get_template(template).render(values))


def _versions() -> str:
    return (
        f"edge-rgbt {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"OpenCV {cv2.__version__}, {platform.system()} {platform.machine()}"
    )


def _demo_plots(report: Mapping[str, Any], series: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    times = series["time_s"]
    hidden = Band([visible is False for visible in series["visible"]], "hidden")
    mean = report["mean_overlap"]
    means = [] if mean is None else [Mark(mean, f"mean {mean:.2f}")]
    threshold = report["bundle"].get("lost_threshold")
    limits = [] if threshold is None else [Mark(threshold, f"lost below {threshold:g}", plots.BAD)]
    latency = report["latency_ms"]
    slow = [
        Mark(latency["p99"], f"p99 {latency['p99']:.1f} ms"),
        Mark(latency["p50"], f"p50 {latency['p50']:.1f} ms"),
    ]
    share: dict[str, Any] = {"x_label": "seconds", "y_range": (0, 1.02), "bands": [hidden], "filled": True}
    roof = _roof(series["latency_ms"])
    return {
        "overlap": plots.curve("overlap", times, series["overlap"], marks=means, **share),
        "score": plots.curve("score", times, series["score"], marks=limits, colour=plots.SECOND, **share),
        "latency": plots.curve(
            "latency", times, series["latency_ms"], x_label="seconds", y_range=(0, roof), marks=slow
        ),
        "skew": plots.curve(
            "skew", times, series["skew_ms"], x_label="seconds", colour=plots.SECOND, dots=True
        ),
    }


def _demo_facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    sync, link, bundle = report["sync"], report["mavlink"], report["bundle"]
    refused = ", ".join(f"{sync[name]} {name}" for name in ("late", "dropped", "repeated"))
    skew = report["skew_ms"]
    facts = [(str(name).replace("_", " "), str(value)) for name, value in report["scene"].items()]
    facts += [
        (
            "pairing",
            f"{sync['paired']} pairs; frames: {refused}",
        ),
        ("skew", f"{skew['p50']:+.1f} ms median, {skew['largest']:.1f} ms at most"),
        ("network", f"{bundle['name']} {bundle['version']} ({bundle['family']}, {bundle['precision']})"),
        ("engine", str(report["engine"])),
        ("MAVLink", f"{', '.join(link['urls'])}, system {link['system']}, component {link['component']}"),
        (
            "messages",
            f"{link['statuses']} tracking statuses, {link['heartbeats']} heartbeats, {link['bytes']:,} bytes",
        ),
        ("wall time", f"{report['wall_seconds']:.1f} s for {report['seconds']:.1f} s of flight"),
        ("machine", machine_text(report["machine"])),
    ]
    return facts


def _replay_rows(
    folder: Path, report: Mapping[str, Any], series: Mapping[str, Mapping[str, Sequence[float | None]]]
) -> list[dict[str, Any]]:
    rows = []
    for position, entry in enumerate(report["sequences"], start=1):
        name = entry["name"]
        curves = series.get(name, {})
        known = [value for value in curves.get("overlap", ()) if value is not None]
        latency = entry.get("latency_ms") or {}
        rows.append(
            {
                "name": name,
                "position": position,
                "scores": entry.get("scores") or {},
                "mean_overlap": float(np.mean(known)) if known else None,
                "frames": entry["frames"],
                "lost_frames": entry["lost_frames"],
                "p50": latency.get("p50"),
                "p99": latency.get("p99"),
                "video": f"{name}.mp4" if (folder / f"{name}.mp4").is_file() else None,
                "drawn": bool(curves),
            }
        )
    worst = sorted(
        (row for row in rows if row["drawn"]),
        key=lambda row: (row["mean_overlap"] is None, row["mean_overlap"]),
    )
    for row in worst[MAX_DRAWN:]:
        row["drawn"] = False
    for row in rows:
        if row["drawn"]:
            row["plots"] = _sequence_plots(f"s{row['position']}", series[row["name"]])
    return rows


def _sequence_plots(key: str, curves: Mapping[str, Sequence[float | None]]) -> dict[str, str]:
    frames = list(range(len(curves["score"])))
    known = [value for value in curves["overlap"] if value is not None]
    share: dict[str, Any] = {"x_label": "frame", "y_range": (0, 1.02), "filled": True}
    overlap = ""
    if known:
        mean = float(np.mean(known))
        marks = [Mark(mean, f"mean {mean:.2f}")]
        overlap = plots.curve(f"{key}o", frames, _bridged(curves["overlap"]), marks=marks, **share)
    roof = _roof(curves["latency_ms"])
    return {
        "overlap": overlap,
        "score": plots.curve(f"{key}s", frames, curves["score"], colour=plots.SECOND, **share),
        "latency": plots.curve(f"{key}l", frames, curves["latency_ms"], x_label="frame", y_range=(0, roof)),
    }


def _overall_plots(series: Mapping[str, Mapping[str, Sequence[float | None]]]) -> dict[str, str]:
    overlaps = [v for curves in series.values() for v in curves["overlap"] if v is not None]
    latencies = [v for curves in series.values() for v in curves["latency_ms"][1:] if v is not None]
    drawings = {"success": "", "latency": ""}
    if overlaps:
        area = float(np.mean([(np.asarray(overlaps) > t).mean() for t in np.linspace(0, 1, 51)]))
        drawings["success"] = plots.success_plot("success", overlaps, area)
    if latencies:
        p50, p99 = np.percentile(latencies, (50, 99))
        marks = [Mark(float(p50), f"p50 {p50:.1f}"), Mark(float(p99), f"p99 {p99:.1f}")]
        drawings["latency"] = plots.histogram("times", latencies, "milliseconds", marks)
    return drawings


def _replay_facts(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    bundle = report["bundle"]
    facts = [
        ("bundle", f"{bundle['name']} {bundle['version']} ({bundle['family']})"),
        ("engine", _engine_text(report)),
    ]
    if report.get("wall_seconds") is not None:
        facts.append(("wall time", f"{report['wall_seconds']:.1f} s, reading the files included"))
    if report.get("peak_memory_mb"):
        facts.append(("memory", f"{report['peak_memory_mb']:.0f} MB at the most"))
    if report.get("machine"):
        facts.append(("machine", machine_text(report["machine"])))
    facts += [("rules", f"{e['rules']}, {e['sequences']} sequences") for e in report.get("scores", ())]
    facts += [(f"sha256 of {name}", digest) for name, digest in bundle.get("sha256", {}).items()]
    return facts


def machine_text(machine: Mapping[str, Any]) -> str:
    """One line of `describe_machine`."""
    return f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_1min']} when the page was made"


def _engine_text(report: Mapping[str, Any]) -> str:
    parts = [report.get("engine"), report.get("precision"), report.get("device")]
    if report.get("threads"):
        parts.append(f"{report['threads']} threads")
    text = ", ".join(str(part) for part in parts if part) or "no engine"
    return f"{text} (fallback: {report['fallback']})" if report.get("fallback") else text


def _bridged(values: Sequence[float | None]) -> list[float | None]:
    """Sparse annotation (every tenth frame, say) as one line instead of lonely points."""
    array = np.array([np.nan if v is None else v for v in values], dtype=float)
    known = np.flatnonzero(~np.isnan(array))
    if not 1 < len(known) < 0.5 * len(array):
        return list(values)
    inside = np.arange(known[0], known[-1] + 1)
    array[inside] = np.interp(inside, known, array[known])
    return [None if np.isnan(v) else float(v) for v in array]


def _roof(values: Sequence[float | None]) -> float:
    """A y limit that shows nearly all; single spikes may leave the plot."""
    known = [v for v in values if v is not None]
    return 1.25 * max(float(np.percentile(known, 99)), 0.1) if known else 1.0


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
