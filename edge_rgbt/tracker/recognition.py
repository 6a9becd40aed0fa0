"""Whether a candidate looks like the target did, judged without the network."""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.imageops import crop_geometry, crop_square
from edge_rgbt.types import Box, FramePair, Modality, Usable

_SIDE_PX = 16
_FACTOR = 1.2  # a little of what surrounds the target belongs to its look
_REMEMBER_EVERY_NS = 500_000_000
ALIKE = 0.3  # correlation


class Recognition:
    """Small grey pictures of the target: one from the start, one from when it was last trusted.

    The network compares with the first template only and in features that also fit the target's like; this
    compares brightness patterns, in both modalities, with how the target looked a moment before it was lost.
    """

    def __init__(self) -> None:
        self._looks: list[dict[Modality, np.ndarray]] = []
        self._renewed_ns = 0

    def start(self, pair: FramePair, box: Box, usable: Usable) -> None:
        """The given box is the target."""
        self._looks = [_look(pair, box, usable)]
        self._renewed_ns = pair.timestamp_ns

    def remember(self, pair: FramePair, box: Box, usable: Usable) -> None:
        """A box that is trusted; from time to time its look becomes the newest known one."""
        if abs(pair.timestamp_ns - self._renewed_ns) >= _REMEMBER_EVERY_NS:
            self._looks[1:] = [_look(pair, box, usable)]
            self._renewed_ns = pair.timestamp_ns

    def likeness(self, pair: FramePair, box: Box, usable: Usable) -> float:
        """Correlation with the most similar known look, -1..1, mean over the modalities that can be compared.

        1.0 where none can.
        """
        now = _look(pair, box, usable)
        scores = []
        for look in self._looks:
            shared = [float(now[m] @ look[m]) for m in now if m in look]
            if shared:
                scores.append(sum(shared) / len(shared))
        return max(scores, default=1.0)


def _look(pair: FramePair, box: Box, usable: Usable) -> dict[Modality, np.ndarray]:
    """Per usable modality a vector of length 1 and mean 0; zeros where there is no contrast."""
    geometry = crop_geometry(box, _FACTOR, _SIDE_PX)
    look = {}
    for modality in Modality:
        if usable.has(modality):
            image = pair.rgb.image if modality is Modality.RGB else pair.tir.image
            crop = crop_square(image, geometry)
            grey = crop if crop.ndim == 2 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
            pattern = grey.ravel() - grey.mean(dtype=np.float32)
            look[modality] = pattern / max(float(np.linalg.norm(pattern)), 1.0)
    return look
