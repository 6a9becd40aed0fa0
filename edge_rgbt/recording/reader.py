"""A recorded flight, read from start to end: frames, pairs, tracks and notes in the order of logging."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_rgbt.errors import SequenceError
from edge_rgbt.recording import topics
from edge_rgbt.recording.foxglove import image_bytes
from edge_rgbt.recording.inputs import restored_registration
from edge_rgbt.recording.names import SUFFIX, flight_of, segment_path
from edge_rgbt.recording.pictures import EncodedPicture, decode_picture
from edge_rgbt.recording.plain import from_plain
from edge_rgbt.recording.recovery import FileEnd, RecordStream
from edge_rgbt.recording.segment import HEAD
from edge_rgbt.types import Box, Frame, FramePair, Modality, PixelFormat, TrackState

_MODALITY_OF = {topic: modality for modality, topic in topics.IMAGES.items()}
_FRAME_OF = {topic: modality for modality, topic in topics.FRAMES.items()}


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A frame as it was recorded; decoded only when asked for. log_ns: when it was handed to the recorder."""

    log_ns: int
    modality: Modality
    number: int
    about: Mapping[str, Any] = field(repr=False)
    picture: EncodedPicture = field(repr=False)

    def decode(self, about: Mapping[str, Any] | None = None) -> Frame:
        """The frame, or one with these other times and the same picture. Raises SequenceError if damaged."""
        try:
            image = decode_picture(self.picture)
            given = {"image": image, "pixel_format": self.picture.pixel_format}
            return from_plain(Frame, about or self.about, **given)
        except (ValueError, TypeError, KeyError) as error:
            raise SequenceError(
                f"{self.modality.value} frame {self.number} of the recording {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class RecordedPair:
    """A pair that was settled in flight, and the step that the loop made with it.

    rgb, tir: the recorded frames, None where the recording has lost them. step: None if nothing was tracked.
    """

    log_ns: int
    about: Mapping[str, Any] = field(repr=False)
    rgb: RecordedFrame | None
    tir: RecordedFrame | None
    step: RecordedStep | None

    @property
    def number(self) -> int:
        return self.about["number"]

    def decode(self) -> FramePair | None:
        """The pair as it went into the loop; None if a frame of it is lost."""
        if self.rgb is None or self.tir is None:
            return None
        frames = {
            frame.modality.value: frame.decode(self.about[frame.modality.value]) for frame in self._frames
        }
        return from_plain(FramePair, self.about, tir_region=None, **frames)

    @property
    def lossless(self) -> bool:
        """True if both pictures come back bit by bit."""
        return all(frame.picture.lossless for frame in self._frames)

    @property
    def _frames(self) -> tuple[RecordedFrame, ...]:
        return tuple(frame for frame in (self.rgb, self.tir) if frame is not None)


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """What went into a step besides its pair, and what came out.

    thermal: the slow map's state before it. registration: None if there was none, or SAME_AS_BEFORE.
    state: None if the step failed, which `fault` explains, or if the file ends here.
    """

    start: Box | None
    thermal: tuple[float, float, int] | None
    registration: Any
    state: TrackState | None
    fault: str


SAME_AS_BEFORE = object()


@dataclass(frozen=True, slots=True)
class RecordedNote:
    """A message of another topic: plain values, or the bytes of a MAVLink endpoint in `data`."""

    log_ns: int
    topic: str
    value: Mapping[str, Any]

    @property
    def data(self) -> bytes:
        return base64.b64decode(self.value["data"])


class FlightRecording:
    """One flight: its first file and those that follow it.

    metadata, attachments: of the head of the first file. Iterating may be done several times; `ends` holds
    how each file ended once one iteration is through.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        self.attachments: dict[str, bytes] = {}
        self.ends: dict[Path, FileEnd] = {}
        self._read_head()

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(SUFFIX)

    @property
    def files(self) -> list[Path]:
        """The files of the flight from this one on; a gap in their numbers ends the list."""
        if self.name != flight_of(self.path):
            return [self.path]
        files, number = [self.path], 2
        while (path := segment_path(self.path.parent, self.name, number)).is_file():
            files.append(path)
            number += 1
        return files

    def __iter__(self) -> Iterator[RecordedFrame | RecordedPair | RecordedNote]:
        """Everything, in the order of logging."""
        assembly = _Assembly()
        self.ends.clear()
        for file in self.files:
            stream = RecordStream(file)
            yield from assembly.entries(stream)
            assert stream.end is not None
            self.ends[file] = stream.end
        yield from assembly.rest()

    def frames(self, modality: Modality | None = None) -> Iterator[Frame]:
        """Decoded frames of one camera or both."""
        for entry in self:
            if isinstance(entry, RecordedFrame) and modality in (None, entry.modality):
                yield entry.decode()

    def pairs(self) -> Iterator[RecordedPair]:
        return (entry for entry in self if isinstance(entry, RecordedPair))

    def tracks(self) -> Iterator[TrackState]:
        """What the tracker said, step by step."""
        return (
            pair.step.state for pair in self.pairs() if pair.step is not None and pair.step.state is not None
        )

    def notes(self, topic: str) -> Iterator[RecordedNote]:
        return (entry for entry in self if isinstance(entry, RecordedNote) and entry.topic == topic)

    def loss(self) -> str:
        """In one line what the ends of the files lost, empty for whole ones; call after an iteration."""
        cut = [
            f"{path.name}: {end.reason}, {end.lost_bytes} bytes"
            for path, end in self.ends.items()
            if end.reason
        ]
        return "; ".join(cut)

    def _read_head(self) -> None:
        from_file = RecordStream(self.path)
        for record in from_file:
            kind = type(record).__name__
            if kind == "Metadata" and record.name == HEAD:
                self.metadata = dict(record.metadata)
            elif kind == "Attachment":
                self.attachments[record.name] = record.data
            elif kind in ("Message", "Schema", "Channel"):
                break
        if not self.metadata:
            raise SequenceError(f"{self.path}: holds no flight of edge-rgbt, or was cut off before it began")
        if self.metadata.get("schema") != str(topics.SCHEMA):
            raise SequenceError(
                f"{self.path}: is written in schema {self.metadata.get('schema')}, this version reads "
                f"{topics.SCHEMA}; use the version that recorded it ({self.metadata.get('software')})"
            )


def open_recording(path: Path | str) -> FlightRecording:
    """Opens a flight by its first file. Raises SequenceError naming the file if it is none of ours."""
    return FlightRecording(Path(path))


class _Assembly:
    """Puts messages that belong together back together: frame and image, pair, frames and track."""

    def __init__(self) -> None:
        self._about: dict[Modality, dict[str, Any]] = {}
        self._recent: dict[Modality, OrderedDict[int, RecordedFrame]] = {m: OrderedDict() for m in Modality}
        self._used: dict[Modality, RecordedFrame] = {}
        self._open: tuple[int, dict[str, Any]] | None = None

    def entries(self, stream: RecordStream) -> Iterator[RecordedFrame | RecordedPair | RecordedNote]:
        """Entries of one file. A pair that still waits for its track is kept for the next file."""
        channels: dict[int, tuple[str, str]] = {}
        schemas: dict[int, str] = {}
        for record in stream:
            kind = type(record).__name__
            if kind == "Schema":
                schemas[record.id] = record.name
            elif kind == "Channel":
                channels[record.id] = (record.topic, schemas.get(record.schema_id, ""))
            elif kind == "Message" and record.channel_id in channels:
                topic, schema = channels[record.channel_id]
                try:
                    yield from self._message(record.log_time, topic, schema, record.data)
                except (ValueError, TypeError, KeyError) as error:
                    where = f"{stream.path}: a message of {topic}"
                    raise SequenceError(f"{where} is not what this version expects ({error})") from error

    def rest(self) -> Iterator[RecordedPair]:
        """A pair at the very end whose track was cut off."""
        if self._open is not None:
            yield self._pair(None)

    def _message(
        self, log_ns: int, topic: str, schema: str, data: bytes
    ) -> Iterator[RecordedFrame | RecordedPair | RecordedNote]:
        if topic in _MODALITY_OF:
            frame = self._frame(log_ns, _MODALITY_OF[topic], schema, data)
            if frame is not None:
                yield frame
            return
        if topic == topics.BOX:
            return
        value = json.loads(data)
        if topic in _FRAME_OF:
            self._about[_FRAME_OF[topic]] = value
        elif topic == topics.PAIR:
            yield from self.rest()
            self._open = (log_ns, value)
            if not (value["step"] or {}).get("tracked"):
                yield self._pair(None)
        elif topic == topics.TRACK and self._open is not None:
            yield self._pair(from_plain(TrackState, value))
        else:
            yield RecordedNote(log_ns, topic, value)

    def _frame(self, log_ns: int, modality: Modality, schema: str, data: bytes) -> RecordedFrame | None:
        about = self._about.pop(modality, None)
        if about is None:
            return None  # its first half was lost
        encoding, pixels, step = image_bytes(schema, data)
        layout = PixelFormat(about["pixel_format"])
        picture = EncodedPicture(pixels, encoding, layout, about["width"], about["height"], step)
        frame = RecordedFrame(log_ns, modality, about["number"], about, picture)
        recent = self._recent[modality]
        recent[frame.number] = frame
        while len(recent) > topics.REACH:
            recent.popitem(last=False)
        return frame

    def _pair(self, state: TrackState | None) -> RecordedPair:
        assert self._open is not None
        (log_ns, about), self._open = self._open, None
        frames = {modality: self._look_up(modality, about[modality.value]["number"]) for modality in Modality}
        step = None if about["step"] is None else _step(about["step"], state)
        return RecordedPair(log_ns, about, frames[Modality.RGB], frames[Modality.TIR], step)

    def _look_up(self, modality: Modality, number: int) -> RecordedFrame | None:
        used = self._used.get(modality)
        frame = used if used is not None and used.number == number else self._recent[modality].get(number)
        if frame is not None:
            self._used[modality] = frame
        return frame


def _step(plain: Mapping[str, Any], state: TrackState | None) -> RecordedStep:
    start, thermal = plain["start"], plain["thermal"]
    return RecordedStep(
        None if start is None else Box(*start),
        None if thermal is None else (float(thermal[0]), float(thermal[1]), int(thermal[2])),
        restored_registration(plain["registration"]) if "registration" in plain else SAME_AS_BEFORE,
        state,
        plain["fault"],
    )
