"""What a stream shows, as planes for an encoder: colour, thermal or both, with box and state drawn in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np

from edge_rgbt.outputs.overlay import STATUS_COLOURS, draw_brackets, draw_chip, thermal_colours
from edge_rgbt.pixels import for_tracker
from edge_rgbt.register import Registration
from edge_rgbt.streaming.settings import StreamSettings
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.types import ABSENT, FramePair, Modality, TrackState, TrackStatus

_WIDTH_OF_SCALE = 640  # strokes and letters are made for a picture of this width


@dataclass(frozen=True)
class Shown:
    """One moment for the ground. pair: as the cameras gave it, or aligned. state: None before a target.

    registration: what aligns the pair if it is not; without one thermal is stretched over the RGB picture.
    """

    pair: FramePair
    state: TrackState | None = None
    registration: Registration | None = None


class StreamPictures:
    """Makes the pictures of all streams of one moment; what several of them show is made once.

    Belongs to one thread. A pair that is not aligned yet is converted here, with a thermal range of its own.
    """

    def __init__(self) -> None:
        self._thermal = ThermalRange()
        self._shown: Shown | None = None
        self._rgb: np.ndarray | None = None
        self._tir: np.ndarray | None = None

    def draw(self, shown: Shown, stream: StreamSettings) -> np.ndarray:
        """The stream's picture of this moment: RGB uint8 `[H, W, 3]` of the stream's size."""
        if shown is not self._shown:
            self._shown, self._rgb, self._tir = shown, None, None
        width, height = stream.size_px
        if stream.source == "side-by-side":
            canvas = np.empty((height, width, 3), np.uint8)
            for k, modality in enumerate(Modality):
                half = self._pane(shown, modality, (width // 2, height), stream.overlay)
                canvas[:, k * (width // 2) : (k + 1) * (width // 2)] = half
            return canvas
        modality = Modality.TIR if stream.thermal else Modality.RGB
        return self._pane(shown, modality, stream.size_px, stream.overlay)

    def _pane(self, shown: Shown, modality: Modality, size: tuple[int, int], overlay: bool) -> np.ndarray:
        source = self._colour(shown) if modality is Modality.RGB else self._heat(shown)
        shrinks = source.shape[1] > size[0]
        pane = cv2.resize(source, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if overlay:
            _annotate(pane, shown, modality)
        return pane

    def _colour(self, shown: Shown) -> np.ndarray:
        if self._rgb is None:
            self._rgb = for_tracker(shown.pair.rgb).image
        return self._rgb

    def _heat(self, shown: Shown) -> np.ndarray:
        """In the RGB picture's geometry, as ground stations lay one over the other."""
        if self._tir is None:
            pair = shown.pair
            if not pair.aligned:
                pair = dataclasses.replace(
                    pair,
                    rgb=for_tracker(pair.rgb),
                    tir=self._thermal.apply(for_tracker(pair.tir), pair.usable.has(Modality.TIR)),
                )
                if shown.registration is not None and ABSENT not in (pair.rgb.sequence, pair.tir.sequence):
                    pair = shown.registration.apply(pair)
            self._tir = thermal_colours(pair.tir.image)
        return self._tir


def _annotate(pane: np.ndarray, shown: Shown, modality: Modality) -> None:
    state, pair = shown.state, shown.pair
    scale = pane.shape[1] / _WIDTH_OF_SCALE
    if not pair.usable.has(modality):
        draw_chip(pane, f"NO {'RGB' if modality is Modality.RGB else 'THERMAL'} PICTURE", scale)
    if state is None or state.status is TrackStatus.IDLE:
        return
    colour = STATUS_COLOURS[state.status]
    if state.status is not TrackStatus.LOST:
        across, down = pane.shape[1] / pair.rgb.width, pane.shape[0] / pair.rgb.height
        box = state.box
        corners = (box.x * across, box.y * down, (box.x + box.w) * across, (box.y + box.h) * down)
        draw_brackets(pane, corners, colour, scale)
    draw_chip(pane, f"{state.status.value.upper()} {state.confidence:.2f}", scale, bottom=True, colour=colour)
