"""The offset between two cameras' clocks, from the motion that both of them saw.

Both cameras hang on one frame and turn together. How far each picture moved within short spans of time, less
the slow part that fits many offsets alike, is compared for every offset that could be; the right one explains
one camera's motion best by the other's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.motion import MotionTrack
from edge_rgbt.errors import EdgeRgbtError

SPAN_S = 0.2  # motion is compared over spans of this length, so that unequal rates do not matter
STEP_S = 0.02
SEARCH_MS = 500.0
WINDOW_S = 4.0
SLOW_S = 1.0  # motion that lasts longer says little about the moment
LEAST_MOTION_PX = 0.3  # root mean square over spans; sensor noise alone stays below it
LEAST_EXPLAINED = 0.3
_CERTAIN = 8.0  # log likelihood by which the best offset must win
_PEAK_MS = 150.0  # half the width of a peak
_LARGEST_SIGMA_MS = 10.0
_FEWEST_WINDOWS = 3


@dataclass(frozen=True)
class TimingFit:
    """tir_offset_ms: to be added to thermal times; sigma_ms: of it.

    explained: share of the RGB camera's motion that the thermal camera's explains, 0..1.
    motion_px: root mean square over 0.2 s in pictures 320 wide.
    drift_ppm: of the thermal clock against the RGB clock, None for recordings under a minute.
    curve: (offsets in ms, explained).
    """

    tir_offset_ms: float
    sigma_ms: float
    explained: float
    motion_px: float
    windows: int
    drift_ppm: float | None
    drift_sigma_ppm: float | None
    curve: tuple[np.ndarray, np.ndarray]


def fit_timing(
    rgb: MotionTrack, tir: MotionTrack, search_ms: float = SEARCH_MS, near_ms: float = 0.0
) -> TimingFit:
    """Searches `search_ms` on both sides of `near_ms`.

    Raises EdgeRgbtError where the recording cannot tell: too short, too little motion, cameras that did not
    see the same motion, or several offsets that fit.
    """
    moments_s = _moments(rgb)
    seen = _spans(rgb, moments_s)
    motion_px = _motion(seen)
    if motion_px < LEAST_MOTION_PX or _motion(_spans(tir, _moments(tir))) < LEAST_MOTION_PX:
        raise EdgeRgbtError(
            f"too little motion to tell the clocks apart ({motion_px:.2f} px within {SPAN_S:g} s, at least "
            f"{LEAST_MOTION_PX:g} needed): record half a minute of turning left and right and nodding"
        )
    coarse = near_ms + np.arange(-search_ms, search_ms + 1, 5.0)
    explained = np.array([_explained(seen, _spans(tir, moments_s - o / 1e3)) for o in coarse])
    best = float(coarse[int(explained.argmax())])
    _require_one_peak(coarse, explained, best, near_ms, search_ms, len(seen))
    offset = _refined(seen, tir, moments_s, best)
    top = _explained(seen, _spans(tir, moments_s - offset / 1e3))
    if top < LEAST_EXPLAINED:
        raise EdgeRgbtError(
            f"the cameras did not see the same motion (only {top:.0%} of it agree at the best offset of "
            f"{offset:.0f} ms): are both fixed to each other, and is the recording one flight?"
        )
    starts, offsets = _by_window(seen, tir, moments_s, offset)
    sigma = _sigma_of_mean(offsets)
    if len(offsets) < _FEWEST_WINDOWS or sigma > _LARGEST_SIGMA_MS:
        raise EdgeRgbtError(
            f"not certain: only {len(offsets)} stretches with motion, whose offsets differ by "
            f"{np.std(offsets) if len(offsets) else 0:.0f} ms; record a longer flight with turns"
        )
    drift, drift_sigma = _drift(starts, offsets)
    return TimingFit(
        round(offset, 2), round(max(sigma, 0.1), 2), round(top, 3), round(motion_px, 2), len(offsets), drift,
        drift_sigma, (coarse, explained),
    )  # fmt: skip


def _moments(track: MotionTrack) -> np.ndarray:
    """Starts of spans, seconds."""
    if len(track) < 3:
        return np.zeros(0)
    return np.arange(track.times_ns[0] / 1e9, track.times_ns[-1] / 1e9 - SPAN_S, STEP_S)


def _spans(track: MotionTrack, moments_s: np.ndarray) -> np.ndarray:
    """How far the picture moved from each moment to SPAN_S later, slow motion taken off: `[N, 3]`.

    NaN beside the recording and across gaps.
    """
    moved = np.full((len(moments_s), 3), np.nan)
    if len(track) < 3 or not len(moments_s):
        return moved
    times_s = track.times_ns / 1e9
    ends = moments_s, moments_s + SPAN_S
    after = [np.clip(np.searchsorted(times_s, t, "right"), 1, len(times_s) - 1) for t in ends]
    inside = (ends[0] >= times_s[0]) & (ends[1] <= times_s[-1])
    inside &= track.piece[after[0] - 1] == track.piece[after[1]]
    places = []
    for t, k in zip(ends, after, strict=True):
        share = (t - times_s[k - 1]) / (times_s[k] - times_s[k - 1])
        places.append(track.path[k - 1] + share[:, None] * (track.path[k] - track.path[k - 1]))
    moved[inside] = (places[1] - places[0])[inside]
    return _without_slow(moved, inside)


def _without_slow(moved: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Takes off the mean over a second around each span."""
    kernel = np.ones(round(SLOW_S / STEP_S))
    count = np.convolve(known, kernel, "same")
    sums = np.stack([np.convolve(np.where(known, column, 0.0), kernel, "same") for column in moved.T], 1)
    return moved - sums / np.maximum(count, 1)[:, None]


def _motion(spans: np.ndarray) -> float:
    good = spans[np.isfinite(spans[:, 0])]
    return float(np.sqrt((good - good.mean(0)).var(0).sum())) if len(good) > 10 else 0.0


def _explained(a: np.ndarray, b: np.ndarray) -> float:
    """Share of a's variance that a linear map of b explains: cameras may be turned, and see more or less."""
    good = np.isfinite(a[:, 0]) & np.isfinite(b[:, 0])
    if int(good.sum()) < 50:
        return 0.0
    x, y = b[good] - b[good].mean(0), a[good] - a[good].mean(0)
    fit, *_ = np.linalg.lstsq(x, y, rcond=None)
    total = float((y**2).sum())
    return 1.0 - float(((y - x @ fit) ** 2).sum()) / total if total > 0 else 0.0


def _refined(
    seen: np.ndarray, tir: MotionTrack, moments_s: np.ndarray, near: float, reach: float = 8.0
) -> float:
    """The peak of a parabola through offsets around `near`, ms."""
    offsets = near + np.linspace(-reach, reach, 9)
    values = np.array([_explained(seen, _spans(tir, moments_s - o / 1e3)) for o in offsets])
    a, b, _ = np.polyfit(offsets - near, values, 2)
    return float(near + np.clip(-b / (2 * a), -reach, reach)) if a < 0 else float(offsets[values.argmax()])


def _require_one_peak(
    offsets: np.ndarray, explained: np.ndarray, best: float, near_ms: float, search_ms: float, spans: int
) -> None:
    if abs(best - near_ms) > search_ms - 10:
        raise EdgeRgbtError(
            f"the best offset lies at the end of the search ({best:.0f} ms): give a larger --search-ms"
        )
    others = explained[np.abs(offsets - best) > _PEAK_MS]
    independent = spans * STEP_S / (SLOW_S / 2)  # what lasts longer was taken off
    won_by = 0.5 * independent * np.log((1 - others.max(initial=0.0)) / max(1 - explained.max(), 1e-9))
    if won_by < _CERTAIN:
        raise EdgeRgbtError(
            "not certain: the motion repeats itself, and several offsets fit it; record irregular turns"
        )


def _by_window(
    seen: np.ndarray, tir: MotionTrack, moments_s: np.ndarray, offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of windows with motion of their own: their starts in seconds, and milliseconds."""
    starts, offsets = [], []
    for start_s in np.arange(moments_s[0], moments_s[-1] - WINDOW_S, WINDOW_S):
        part = (moments_s >= start_s) & (moments_s < start_s + WINDOW_S)
        if _motion(seen[part]) < LEAST_MOTION_PX:
            continue
        near = offset + np.linspace(-60, 60, 13)
        values = [_explained(seen[part], _spans(tir, moments_s[part] - o / 1e3)) for o in near]
        peak = int(np.argmax(values))
        if values[peak] < LEAST_EXPLAINED or peak in (0, len(near) - 1):
            continue
        starts.append(start_s)
        offsets.append(_refined(seen[part], tir, moments_s[part], float(near[peak])))
    return np.array(starts), np.array(offsets)


def _sigma_of_mean(offsets: np.ndarray) -> float:
    """Robust scatter over the root of the count."""
    if len(offsets) < _FEWEST_WINDOWS:
        return float("inf")
    scatter = 1.4826 * float(np.median(np.abs(offsets - np.median(offsets))))
    return 1.25 * max(scatter, 0.3) / float(np.sqrt(len(offsets)))


def _drift(starts_s: np.ndarray, offsets_ms: np.ndarray) -> tuple[float | None, float | None]:
    """Slope in parts per million with its sigma; None for less than a minute."""
    if len(starts_s) < 8 or starts_s[-1] - starts_s[0] < 60:
        return None, None
    centred = starts_s - starts_s.mean()
    slope = float((centred * offsets_ms).sum() / (centred**2).sum())
    rest = offsets_ms - offsets_ms.mean() - slope * centred
    sigma = float(np.sqrt((rest**2).sum() / (len(rest) - 2) / (centred**2).sum()))
    return round(slope * 1000, 2), round(sigma * 1000, 2)
