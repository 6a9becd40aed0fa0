"""What size the target can have now, judged by the size it had: things do not double within a second."""

from __future__ import annotations

import math

# After a pause the memory moves on as if no more than this had passed.
_LONGEST_STEP_S = 0.5
_SMALLEST_PX = 1e-3  # a network may predict no size at all


class SizeMemory:
    """A slow reference size, and the band around it that a box may fill.

    A network that sees the target beside its like sometimes takes both for one; the box grows, the next crop
    with it, and the target never comes back. Legs and turns change a box quickly but within bounds.

    rate_per_s: by how much (in log width and log height) the reference may move in a second. band: how far a
    box may differ from it, in the same measure.
    """

    def __init__(self, rate_per_s: float, band: float) -> None:
        self._rate_per_s = rate_per_s
        self._band = band
        self._reference: list[float] = []  # log width, log height
        self._seen_ns = 0

    def reset(self, w: float, h: float, timestamp_ns: int) -> None:
        """The given first box is right."""
        self._reference = [math.log(w), math.log(h)]
        self._seen_ns = timestamp_ns

    def bounded(self, w: float, h: float, timestamp_ns: int) -> tuple[float, float]:
        """The size within the band, after the reference has moved towards it as far as time allows."""
        elapsed_s = min(max(0.0, (timestamp_ns - self._seen_ns) / 1e9), _LONGEST_STEP_S)
        self._seen_ns = timestamp_ns
        most, sides = self._rate_per_s * elapsed_s, []
        for axis, side in enumerate((w, h)):
            wanted, reference = math.log(max(side, _SMALLEST_PX)), self._reference[axis]
            reference += min(max(wanted - reference, -most), most)
            self._reference[axis] = reference
            sides.append(math.exp(min(max(wanted, reference - self._band), reference + self._band)))
        return sides[0], sides[1]
