"""Which frames of a sequence make a sample (design: ckd.md section 7.1, tpf.md section 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data.samples import RejectedSample

SAMPLING_RANGE = 200
RANGE_GROWTH = 5
MIN_FRAMES = 20
MIN_VISIBLE = 5


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Rows of one sequence; dynamic is None where no visible frame lies in between, or none was asked for."""

    template: int
    search: int
    dynamic: int | None = None


def is_usable(visible: np.ndarray) -> bool:
    """True for a sequence that is long enough and shows its target often enough; visible: bool `[frames]`."""
    return len(visible) >= MIN_FRAMES and int(visible.sum()) >= MIN_VISIBLE


def choose_frames(
    visible: np.ndarray,
    rng: np.random.Generator,
    dynamic: bool = False,
    reach: int = SAMPLING_RANGE,
) -> FrameChoice:
    """Causal draw: the search frame lies 1 to `reach` - 1 frames after the template, both visible.

    Where there is none, both are drawn again with 5 frames more. visible: bool `[frames]`.
    Raises RejectedSample where no two frames are visible.
    """
    shown = np.flatnonzero(visible)
    if len(shown) < 2:
        raise RejectedSample("target is visible in less than two frames")
    starts = shown[shown <= len(visible) - 2]
    while True:
        template = int(starts[rng.integers(len(starts))])
        # rows after the template and before template + reach, by position in the sorted list
        first, last = np.searchsorted(shown, [template + 1, template + reach])
        if last > first:
            break
        reach += RANGE_GROWTH
    choice = int(rng.integers(first, last))
    search = int(shown[choice])
    if not dynamic or choice == first:
        return FrameChoice(template, search)
    return FrameChoice(template, search, int(shown[rng.integers(first, choice)]))
