"""What size the target can have now, judged by the size it had: things do not double within a second."""

from __future__ import annotations

import math

# After a pause the memory moves on as if no more than this had passed.
_LONGEST_STEP_S = 0.5
_SMALLEST_PX = 1e-3  # a network may predict no size at all
# Legs, turns and the picture's edge change a shape far more than the scale of a thing.
_ASPECT_FREEDOM = 4.0


class SizeMemory:
    """A slow reference of the box's scale and aspect, and the band around it that a box may fill.

    A network that sees the target beside its like sometimes takes both for one; the box grows, the next crop
    with it, and the target never comes back.

    rate_per_s: by how much the log of the mean side may move in a second. band: how far a box may differ from
    the reference, in the same measure. The log of the aspect has four times the freedom in both.
    """

    def __init__(self, rate_per_s: float, band: float) -> None:
        self._limits = ((rate_per_s, band), (_ASPECT_FREEDOM * rate_per_s, _ASPECT_FREEDOM * band))
        self._reference = [0.0, 0.0]  # log scale, log aspect
        self._seen_ns = 0

    def reset(self, w: float, h: float, timestamp_ns: int) -> None:
        """The given first box is right."""
        self._reference = list(_logs(w, h))
        self._seen_ns = timestamp_ns

    def bounded(self, w: float, h: float, timestamp_ns: int) -> tuple[float, float]:
        """The size within the band, after the reference has moved towards it as far as time allows."""
        elapsed_s = min(max(0.0, (timestamp_ns - self._seen_ns) / 1e9), _LONGEST_STEP_S)
        self._seen_ns = timestamp_ns
        kept = []
        for axis, (wanted, (rate, band)) in enumerate(zip(_logs(w, h), self._limits, strict=True)):
            most, reference = rate * elapsed_s, self._reference[axis]
            reference += min(max(wanted - reference, -most), most)
            self._reference[axis] = reference
            kept.append(min(max(wanted, reference - band), reference + band))
        scale, aspect = kept
        return math.exp(scale + aspect / 2), math.exp(scale - aspect / 2)


def _logs(w: float, h: float) -> tuple[float, float]:
    log_w, log_h = math.log(max(w, _SMALLEST_PX)), math.log(max(h, _SMALLEST_PX))
    return (log_w + log_h) / 2, log_w - log_h
