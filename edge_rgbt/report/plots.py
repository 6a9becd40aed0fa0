"""Curves as SVG that stands inline in a page and takes its colours from the page's style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_rgbt.errors import EdgeRgbtError

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ImportError as missing:  # the extra is optional, the sentence is not
    raise EdgeRgbtError(
        "reports need matplotlib, which is not installed: pip install 'edge-rgbt[report]'"
    ) from missing

# Drawn in these stand-ins, then replaced, so that one drawing serves light and dark pages.
_STAND_INS = {
    "#010101": "var(--muted)",
    "#020202": "var(--line)",
    "#030303": "var(--accent)",
    "#040404": "var(--second)",
    "#050505": "var(--bad)",
    "#060606": "var(--shade)",
    "#070707": "var(--card)",
}
MUTED, LINE, ACCENT, SECOND, BAD, SHADE, CARD = _STAND_INS
MAX_POINTS = 700
_BEHIND_LABEL = {"facecolor": CARD, "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-rgbt",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": MUTED,
}


@dataclass(frozen=True)
class Mark:
    """A horizontal line with a label: a mean, a threshold, a percentile."""

    value: float
    label: str
    colour: str = MUTED


@dataclass(frozen=True)
class Band:
    """Spans of the x axis that are shaded, such as where the target was hidden. mask: one bool per point."""

    mask: Sequence[bool]
    label: str
    colour: str = SHADE


def curve(
    key: str,
    x: Sequence[float],
    y: Sequence[float | None],
    *,
    x_label: str,
    y_range: tuple[float, float] | None = None,
    marks: Sequence[Mark] = (),
    bands: Sequence[Band] = (),
    colour: str = ACCENT,
    filled: bool = False,
    dots: bool = False,
) -> str:
    """One curve over time or frames as an `<svg>` element. key: unique in the page. None leaves a gap."""
    xs = np.asarray(x, dtype=float)
    ys = np.array([np.nan if value is None else value for value in y], dtype=float)
    with mpl.rc_context(rc=_STYLE):
        figure = Figure(figsize=(6.4, 2.5), layout="constrained")
        axes = figure.subplots()
        for band in bands:
            _shade(axes, xs, band)
        thin_x, thin_y = thinned(xs, ys)
        if dots:
            axes.plot(thin_x, thin_y, linestyle="none", marker="o", markersize=2.2, color=colour)
        else:
            axes.plot(thin_x, thin_y, color=colour, linewidth=1.6)
        if filled:
            axes.fill_between(thin_x, thin_y, 0, color=colour, alpha=0.14, linewidth=0)
        for mark in marks:
            _draw_mark(axes, mark)
        if len(xs):
            axes.set_xlim(float(xs[0]), float(max(xs[-1], xs[0] + 1e-6)))
        if y_range:
            axes.set_ylim(*y_range)
        axes.set_xlabel(x_label)
        return _svg(figure, key)


def success_plot(key: str, overlaps: Sequence[float], area: float) -> str:
    """Share of frames whose overlap exceeds each threshold, and the mean of that curve."""
    values = np.asarray(overlaps, dtype=float)
    thresholds = np.linspace(0, 1, 51)
    rates = [(values > threshold).mean() for threshold in thresholds]
    mark = Mark(area, f"area {area:.2f}")
    x = thresholds.tolist()
    return curve(key, x, rates, x_label="overlap threshold", y_range=(0, 1.02), marks=[mark], filled=True)


def histogram(key: str, values: Sequence[float], x_label: str, marks: Sequence[Mark] = ()) -> str:
    """How often each value came; the slowest hundredth is folded into the last bar."""
    data = np.asarray(values, dtype=float)
    edge = float(np.percentile(data, 99.5)) if data.size else 1.0
    with mpl.rc_context(rc=_STYLE):
        figure = Figure(figsize=(6.4, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.hist(np.minimum(data, edge), bins=40, color=ACCENT, rwidth=0.9)
        for mark in marks:
            axes.axvline(mark.value, color=mark.colour, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                mark.label, (mark.value, 0.98), xycoords=("data", "axes fraction"),
                xytext=(4, 0), textcoords="offset points", va="top", color=mark.colour, bbox=_BEHIND_LABEL,
            )  # fmt: skip
        axes.set_xlabel(x_label)
        return _svg(figure, key)


def thinned(x: np.ndarray, y: np.ndarray, most: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Long curves with fewer points: the lowest and highest of each stretch stay, so no spike is lost."""
    if len(y) <= most:
        return x, y
    keep: list[int] = []
    for part in np.array_split(np.arange(len(y)), most // 2):
        known = part[~np.isnan(y[part])]
        if len(known):
            keep += sorted({int(known[np.argmin(y[known])]), int(known[np.argmax(y[known])])})
        else:
            keep.append(int(part[0]))
    return x[keep], y[keep]


def _shade(axes: Any, xs: np.ndarray, band: Band) -> None:
    mask = np.concatenate([[False], np.asarray(band.mask, dtype=bool), [False]])
    edges = np.flatnonzero(mask[1:] != mask[:-1]).reshape(-1, 2)
    for first, end in edges:
        right = xs[end] if end < len(xs) else xs[-1]
        axes.axvspan(float(xs[first]), float(right), color=band.colour, linewidth=0, zorder=0)


def _draw_mark(axes: Any, mark: Mark) -> None:
    axes.axhline(mark.value, color=mark.colour, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        mark.label, (1, mark.value), xycoords=("axes fraction", "data"),
        xytext=(-2, 4), textcoords="offset points", ha="right", va="bottom", color=mark.colour,
        bbox=_BEHIND_LABEL,
    )  # fmt: skip


def _svg(figure: Figure, key: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The page gives the width; the drawing keeps its proportions.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    # Several drawings share one page, and their names must not meet.
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = re.sub(r"url\(#", f"url(#{key}-", svg)
    svg = re.sub(r'href="#', f'href="#{key}-', svg)
    svg = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font-size: \1px; font-family: inherit", svg)
    for stand_in, variable in _STAND_INS.items():
        svg = svg.replace(stand_in, variable)
    return svg
