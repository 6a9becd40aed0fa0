"""Recorded flights as sequences in the VTUAV layout, for labelling, training and calibration.

Pictures are what the tracker worked on: thermal in 8 bits by the flight's own slow map, brought into the RGB
picture's geometry. The boxes are the tracker's own, not annotations; a readme beside them says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_rgbt.errors import EdgeRgbtError, SequenceError, UsageError
from edge_rgbt.files import atomic_path, write_json_atomic, write_text_atomic
from edge_rgbt.metrics.truth import BOX_LAYOUTS
from edge_rgbt.pixels import for_tracker
from edge_rgbt.recording import FlightRecording, open_recording
from edge_rgbt.recording.pictures import JPEG
from edge_rgbt.recording.reader import RecordedFrame, RecordedPair
from edge_rgbt.register import Registration
from edge_rgbt.replay.flight import registration_of
from edge_rgbt.replay.layouts import find_recordings
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.types import Box, FramePair, Modality, TrackStatus

DATASET = "vtuav"
README = "README.txt"
_PERIOD = BOX_LAYOUTS[DATASET].period
_NO_BOX = "0,0,0,0"
_TEXT = """\
Sequences from recorded flights in the VTUAV layout: NAME/rgb and NAME/ir hold one picture per pair of frames,
rgb.txt and ir.txt one box x,y,w,h for every {period}th of them, beginning with the first.

The boxes are NOT annotations. The first one of a sequence is what the tracker was started on, the others are
what the tracker said (rgb.txt and ir.txt are the same). Check and correct them before you train or score with
them. {no_box} stands where the tracker itself did not claim to see the target.

ir pictures are 8 bits by the slow thermal map of the flight and lie in the geometry of the rgb pictures. The
recordings keep the thermal cameras' own counts. sequence.json holds the pictures' times, and which of a pair
were usable.
"""


@dataclass
class ExportedSequence:
    """One run of the tracker, from its start to its end. usable: per pair, which of its pictures are good."""

    name: str
    flight: str
    boxes: list[Box | None] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    usable: list[str] = field(default_factory=list)
    lost_pairs: int = 0


def export_flights(
    source: str, folder: Path, on_frame: Callable[[int], object] = lambda frames: None
) -> list[ExportedSequence]:
    """Writes every flight of `source` into the new `folder`, whole or not at all.

    Raises UsageError if the folder is there already or the source holds no flight, SequenceError for a
    damaged recording, EdgeRgbtError if the disk refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--export-dataset {folder}: is there already; name a new folder")
    flights = [found for found in find_recordings(source).recordings if found.flight]
    if not flights:
        raise UsageError(f"{source}: holds no recorded flight (.mcap); only those can be exported")
    sequences: list[ExportedSequence] = []
    with atomic_path(folder) as part:
        for found in flights:
            flight = open_recording(found.place)
            try:
                sequences += _Export(flight, part, found.name, on_frame).run()
            except SequenceError as error:
                raise SequenceError(f"{found.name}: {error}") from error
        if not sequences:
            raise EdgeRgbtError(f"{source}: holds no pair of frames; there is nothing to export")
        write_text_atomic(part / README, _TEXT.format(period=_PERIOD, no_box=_NO_BOX))
    return sequences


class _Export:
    """One flight. A start begins the next sequence; where the tracker rests, nothing is written.

    A flight in which nothing was ever tracked becomes one sequence without boxes.
    """

    def __init__(
        self, flight: FlightRecording, root: Path, name: str, on_frame: Callable[[int], object]
    ) -> None:
        self._flight, self._root, self._name, self._on_frame = flight, root, name, on_frame
        self._thermal = ThermalRange()
        self._registration: Registration | None = None
        self._sequences: list[ExportedSequence] = []

    def run(self) -> list[ExportedSequence]:
        now: ExportedSequence | None = None
        for recorded in self._flight.pairs():
            step = recorded.step
            if step is None:
                now = None
                continue
            self._registration = registration_of(step, self._registration)
            if step.start is not None and step.state is not None:
                self._thermal.restore(step.thermal)
                now = self._begin()
            if now is not None:
                self._add(now, recorded, self._box(recorded))
        if not self._sequences:
            self._run_untracked()
        for sequence in self._sequences:
            self._write_tables(sequence)
        return self._sequences

    def _run_untracked(self) -> None:
        now = None
        for recorded in self._flight.pairs():
            now = now or self._begin()
            self._add(now, recorded, None)

    def _begin(self) -> ExportedSequence:
        sequence = ExportedSequence(f"{self._name}-{len(self._sequences) + 1:02d}", self._name)
        self._sequences.append(sequence)
        return sequence

    @staticmethod
    def _box(recorded: RecordedPair) -> Box | None:
        """The box, where somebody vouches for it: whoever started the tracker, or the tracker."""
        assert recorded.step is not None
        state = recorded.step.state
        return state.box if state is not None and state.status is TrackStatus.TRACKING else None

    def _add(self, sequence: ExportedSequence, recorded: RecordedPair, box: Box | None) -> None:
        pair = recorded.decode()
        if pair is None:
            sequence.lost_pairs += 1
            return
        aligned = self._aligned(pair)
        number, place = len(sequence.boxes), self._root / sequence.name
        _write(place / "rgb" / f"{number:06d}", aligned.rgb.image, recorded.rgb)
        _write(place / "ir" / f"{number:06d}", aligned.tir.image, None)
        sequence.boxes.append(box)
        sequence.times_ns.append(pair.timestamp_ns)
        sequence.usable.append(pair.usable.value)
        self._on_frame(1)

    def _aligned(self, pair: FramePair) -> FramePair:
        """As the loop makes it, but without a registration thermal of another size is stretched."""
        if pair.aligned:
            return pair
        follow = pair.usable.has(Modality.TIR)
        rgb, tir = for_tracker(pair.rgb), self._thermal.apply(for_tracker(pair.tir), follow)
        sizes = (tir.width, tir.height), (rgb.width, rgb.height)
        registration = self._registration or Registration.stretch(*sizes)
        return registration.apply(dataclasses.replace(pair, rgb=rgb, tir=tir))

    def _write_tables(self, sequence: ExportedSequence) -> None:
        place = self._root / sequence.name
        if any(sequence.boxes):
            lines = [_line(box) for box in sequence.boxes[::_PERIOD]]
            for name in ("rgb.txt", "ir.txt"):
                write_text_atomic(place / name, "\n".join(lines) + "\n")
        about: dict[str, Any] = {
            "flight": self._flight.metadata.get("flight"),
            "recorded_utc": self._flight.metadata.get("utc"),
            "bundle": self._flight.metadata.get("bundle"),
            "boxes": "the tracker's own, not annotated",
            "pairs": len(sequence.boxes),
            "lost_pairs": sequence.lost_pairs,
            "registered": self._registration is not None,
            "usable": sequence.usable,
            "timestamps_ns": sequence.times_ns,
        }
        write_json_atomic(place / "sequence.json", about)


def _line(box: Box | None) -> str:
    return _NO_BOX if box is None else ",".join(f"{value:.2f}" for value in box.as_tuple())


def _write(path: Path, image: np.ndarray, recorded: RecordedFrame | None) -> None:
    """The picture as PNG, or the recording's own JPEG bytes, which lose nothing more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if recorded is not None and recorded.picture.encoding == JPEG:
        path.with_suffix(".jpg").write_bytes(recorded.picture.data)
        return
    image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    good, data = cv2.imencode(".png", image)
    if not good:
        raise SequenceError(f"{path.name}: cannot be encoded as PNG")
    path.with_suffix(".png").write_bytes(data.tobytes())


def describe(sequences: Sequence[ExportedSequence], folder: Path) -> dict[str, Any]:
    """What was written, as plain values."""
    return {
        "folder": str(folder),
        "sequences": [
            {
                "name": s.name,
                "pairs": len(s.boxes),
                "lost_pairs": s.lost_pairs,
                "boxes": sum(box is not None for box in s.boxes[::_PERIOD]),
            }
            for s in sequences
        ],
    }
