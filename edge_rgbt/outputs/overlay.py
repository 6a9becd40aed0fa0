"""The annotated picture: both modalities side by side, the box, the truth, and a status line underneath."""

from __future__ import annotations

import cv2
import numpy as np

from edge_rgbt.types import Box, FramePair, TrackState, TrackStatus

# RGB order.
GREEN = (63, 214, 132)
RED = (255, 92, 92)
AMBER = (255, 190, 82)
GREY = (139, 147, 161)
WHITE = (240, 243, 247)
INK = (17, 19, 24)
TRACK = (44, 49, 60)
STATUS_COLOURS = {
    TrackStatus.TRACKING: GREEN,
    TrackStatus.UNCERTAIN: AMBER,
    TrackStatus.LOST: RED,
    TrackStatus.IDLE: GREY,
}

MIN_PANE_WIDTH, MAX_PANE_WIDTH = 480, 960
_FOOTER_PX = 40
_FONT = cv2.FONT_HERSHEY_SIMPLEX  # OpenCV 5 draws it with an outline font of the same name
# Where each part of the status line begins, as a fraction of the width: fixed, so that nothing dances.
_STATE_X, _BAR_X, _BAR_END, _SCORE_X, _OVERLAP_X = 0.014, 0.115, 0.215, 0.225, 0.315
_TIME_X, _SKEW_X, _RGB_X, _TIR_X = 0.535, 0.625, 0.760, 0.872


class Overlay:
    """Draws pairs of one size. Made for the first pair's size; later pairs are fitted to it.

    size: width and height of the finished picture, both even, as video encoders want them.
    """

    def __init__(self, rgb_width: int, rgb_height: int) -> None:
        self._source = (rgb_width, rgb_height)
        self.scale = min(max(rgb_width, MIN_PANE_WIDTH), MAX_PANE_WIDTH) / rgb_width
        self._pane_w = round(rgb_width * self.scale / 2) * 2
        self._pane_h = max(round(rgb_height * self.scale / 2) * 2, 2)
        self._text = self._pane_w / 640  # everything that is written or stroked grows with the pane
        footer = round(_FOOTER_PX * self._text / 2) * 2
        self.size = (2 * self._pane_w, self._pane_h + footer)
        self._blank_footer = self._make_footer(footer)

    def draw(
        self, pair: FramePair, state: TrackState, truth: Box | None = None, time_s: float | None = None
    ) -> np.ndarray:
        """The finished picture, RGB uint8 `[H, W, 3]`. time_s: shown as the time since the start."""
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        panes = canvas[: self._pane_h, : self._pane_w], canvas[: self._pane_h, self._pane_w :]
        self._fit(pair.rgb.image, panes[0])
        self._fit(thermal_colours(pair.tir.image), panes[1])
        # Pictures of equal size are taken as aligned where nothing else is known, as the loop does.
        same_size = pair.tir.image.shape == pair.rgb.image.shape[:2]
        boxed = panes if pair.aligned or same_size else panes[:1]
        for pane in boxed:
            self._draw_boxes(pane, state, truth)
        for pane, label in zip(panes, ("RGB", "THERMAL"), strict=True):
            draw_chip(pane, label, self._text)
        canvas[: self._pane_h, self._pane_w] = INK
        self._draw_footer(canvas[self._pane_h :], pair, state, truth, time_s)
        return canvas

    def _fit(self, image: np.ndarray, pane: np.ndarray) -> None:
        if image.shape[:2] == pane.shape[:2]:
            pane[:] = image
            return
        shrinks = image.shape[1] > pane.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pane[:] = cv2.resize(image, (pane.shape[1], pane.shape[0]), interpolation=method)

    def _draw_boxes(self, pane: np.ndarray, state: TrackState, truth: Box | None) -> None:
        # OpenCV draws into a copy of a strided view, so a pane is drawn on as a whole.
        drawn = np.ascontiguousarray(pane)
        if truth is not None:
            self._dashed(drawn, truth)
        if state.status is not TrackStatus.IDLE:
            draw_brackets(drawn, self._corners(state.box), STATUS_COLOURS[state.status], self._text)
        pane[:] = drawn

    def _corners(self, box: Box) -> tuple[int, int, int, int]:
        values = (box.x, box.y, box.x + box.w, box.y + box.h)
        return _whole(tuple(v * self.scale for v in values))

    def _dashed(self, pane: np.ndarray, box: Box) -> None:
        """White dashes on a dark line, for any ground."""
        x1, y1, x2, y2 = self._corners(box)
        dash, gap = max(round(5 * self._text), 3), max(round(4 * self._text), 3)
        height, width = pane.shape[:2]
        cv2.rectangle(pane, (x1, y1), (x2, y2), INK, 1)
        for x in range(max(x1, 0), min(x2, width), dash + gap):
            for y in (y1, y2):
                cv2.line(pane, (x, y), (min(x + dash, x2), y), WHITE, 1)
        for y in range(max(y1, 0), min(y2, height), dash + gap):
            for x in (x1, x2):
                cv2.line(pane, (x, y), (x, min(y + dash, y2)), WHITE, 1)

    def _make_footer(self, height: int) -> np.ndarray:
        footer = np.full((height, self.size[0], 3), INK, np.uint8)
        left, right, top, bottom = self._bar(height)
        cv2.rectangle(footer, (left, top), (right, bottom), TRACK, -1)
        return footer

    def _bar(self, height: int) -> tuple[int, int, int, int]:
        half = max(round(3 * self._text), 2)
        return (
            round(_BAR_X * self.size[0]),
            round(_BAR_END * self.size[0]),
            height // 2 - half,
            height // 2 + half,
        )

    def _draw_footer(
        self, footer: np.ndarray, pair: FramePair, state: TrackState, truth: Box | None, time_s: float | None
    ) -> None:
        footer[:] = self._blank_footer
        colour = STATUS_COLOURS[state.status]
        self._write(footer, state.status.value.upper(), _STATE_X, colour)
        left, right, top, bottom = self._bar(footer.shape[0])
        if state.status is not TrackStatus.IDLE:
            cv2.rectangle(
                footer, (left, top), (left + round((right - left) * state.score), bottom), colour, -1
            )
            self._write(footer, f"score {state.score:.2f}", _SCORE_X, WHITE)
            if truth is not None:
                self._write(footer, f"overlap {overlap(state.box, truth):.2f}", _OVERLAP_X, GREY)
        if time_s is not None:
            self._write(footer, f"{time_s:.2f} s", _TIME_X, WHITE)
        skew_ms = pair.skew_ns / 1e6
        rgb_ms, tir_ms = ages_ms(state, pair.skew_ns)
        self._write(footer, f"skew {skew_ms:+.1f} ms", _SKEW_X, GREY)
        self._write(footer, f"RGB {rgb_ms:.0f} ms old", _RGB_X, GREY)
        self._write(footer, f"thermal {tir_ms:.0f} ms old", _TIR_X, GREY)

    def _write(self, footer: np.ndarray, text: str, x: float, colour: tuple[int, int, int]) -> None:
        baseline = footer.shape[0] // 2 + round(5 * self._text)
        at = (round(x * self.size[0]), baseline)
        cv2.putText(footer, text, at, _FONT, 0.42 * self._text, colour, 1, cv2.LINE_AA)


def draw_brackets(
    picture: np.ndarray, corners: tuple[float, ...], colour: tuple[int, int, int], scale: float
) -> None:
    """A thin box with strong corners, over a dark line that keeps it visible on bright ground.

    picture: contiguous; drawn into. corners: left, top, right, bottom in its pixels. scale: of all strokes,
    1 for a picture of 640 pixels.
    """
    x1, y1, x2, y2 = _whole(corners)
    stroke = max(round(scale), 1)
    cv2.rectangle(picture, (x1, y1), (x2, y2), INK, stroke + 2, cv2.LINE_AA)
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, stroke, cv2.LINE_AA)
    reach = max(min(x2 - x1, y2 - y1) // 4, 3)
    for x, dx in ((x1, reach), (x2, -reach)):
        for y, dy in ((y1, reach), (y2, -reach)):
            corner = np.array([[x + dx, y], [x, y], [x, y + dy]], np.int32)
            cv2.polylines(picture, [corner], False, colour, stroke + 1, cv2.LINE_AA)


def draw_chip(
    picture: np.ndarray,
    label: str,
    scale: float,
    bottom: bool = False,
    colour: tuple[int, int, int] = WHITE,
) -> None:
    """A label on darkened ground in the picture's upper or lower left corner."""
    size = 0.42 * scale
    (width, height), _ = cv2.getTextSize(label, _FONT, size, 1)
    pad, margin = round(7 * scale), round(10 * scale)
    top = picture.shape[0] - margin - height - 2 * pad + 1 if bottom else margin
    patch = picture[top : top + height + 2 * pad - 1, margin : margin + width + 2 * pad]
    dark = cv2.convertScaleAbs(patch, alpha=0.4)
    cv2.putText(dark, label, (pad, patch.shape[0] - pad), _FONT, size, colour, 1, cv2.LINE_AA)
    patch[:] = dark


def _whole(corners: tuple[float, ...]) -> tuple[int, int, int, int]:
    limit = 16000  # beyond it OpenCV's fixed-point coordinates overflow
    x1, y1, x2, y2 = (int(min(max(round(v), -limit), limit)) for v in corners)
    return x1, y1, x2, y2


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a.w * a.h + b.w * b.h - width * height)


def ages_ms(state: TrackState, skew_ns: int) -> tuple[float, float]:
    """How old RGB and thermal frame were when the box was out: the work, and the wait for the later one."""
    return state.total_ms + max(skew_ns, 0) / 1e6, state.total_ms + max(-skew_ns, 0) / 1e6


def thermal_colours(image: np.ndarray) -> np.ndarray:
    """Warm is bright: uint8 as it is, raw counts stretched over the picture's own range."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        gain = 255.0 / max(high - low, 1.0)
        image = cv2.convertScaleAbs(image, alpha=gain, beta=-low * gain)
    return cv2.cvtColor(cv2.applyColorMap(image, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
