"""What the frame loop calls to have a flight recorded: every call is a put into a bounded box, nothing more.

Encoding and writing happen in a thread of the recorder's own. Frames are not copied: cameras hand out arrays
that nobody changes later, and the recorder relies on it as the tracker does.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_rgbt import __version__
from edge_rgbt.bundle import MANIFEST
from edge_rgbt.machine import describe_machine
from edge_rgbt.recording import topics
from edge_rgbt.recording.disk import FlightFiles
from edge_rgbt.recording.inputs import LoopInputs, plain_registration
from edge_rgbt.recording.names import segment_path
from edge_rgbt.recording.outbox import Note, Outbox, Picture
from edge_rgbt.recording.plain import fields_of
from edge_rgbt.recording.segment import SegmentHead, load_mcap
from edge_rgbt.recording.settings import RecorderCounters, RecorderSettings
from edge_rgbt.types import Box, Frame, FramePair, Modality, TrackState

if TYPE_CHECKING:
    from edge_rgbt.bundle import Bundle
    from edge_rgbt.engine.base import EngineInfo
    from edge_rgbt.register import Registration
    from edge_rgbt.runtime.loop import TrackingLoop

_CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class FlightContext:
    """What flies, written at the head of every file.

    configuration, calibration: the texts of their files. details: anything else worth keeping, as texts.
    """

    bundle: Bundle | None = None
    engine: EngineInfo | None = None
    configuration: str = ""
    calibration: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def head(self, flight: str) -> SegmentHead:
        """With the moment on both clocks, so that monotonic times can be told as wall time."""
        metadata = {
            "software": f"edge-rgbt {__version__}",
            "utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "monotonic_ns": str(time.monotonic_ns()),
            "machine": json.dumps(describe_machine()),
            **self.details,
        }
        texts = {"configuration.toml": self.configuration, "calibration.toml": self.calibration}
        attachments = {name: ("application/toml", text.encode()) for name, text in texts.items() if text}
        if self.engine is not None:
            metadata["engine"] = json.dumps(dataclasses.asdict(self.engine))
        if self.bundle is not None:
            manifest = self.bundle.manifest
            metadata["bundle"] = f"{manifest.name} {manifest.version}"
            text = json.dumps(manifest.to_dict()).encode()
            attachments[MANIFEST] = ("application/json", text)
        return SegmentHead(flight, metadata, attachments)


class FlightRecorder:
    """Records one flight into `folder`. Calls never wait for the disk and may come from any thread.

    A disk that is full, read-only or gone is counted and logged, never raised. Raises EdgeRgbtError at the
    start if the libraries are missing.
    """

    def __init__(
        self,
        folder: Path | str,
        settings: RecorderSettings | None = None,
        context: FlightContext | None = None,
    ) -> None:
        load_mcap()
        settings = settings or RecorderSettings()
        self._flight = _unused_name(Path(folder))
        self._counters = RecorderCounters()
        head = (context or FlightContext()).head(self._flight)
        self._files = FlightFiles(Path(folder), head, settings, self._counters)
        self._outbox = Outbox(round(settings.queue_mb * 1e6))
        self._numbers = _FrameNumbers()
        self._registration: Registration | None = None
        self._pairs = 0
        self._lock = threading.Lock()
        self._flush_s = settings.flush_ms / 1e3
        self._thread = threading.Thread(target=self._run, name="flight-recorder", daemon=True)
        self._thread.start()

    @property
    def flight(self) -> str:
        """Name of the recording; its first file is `FLIGHT.mcap`."""
        return self._flight

    @property
    def path(self) -> Path | None:
        """The flight's first file, which a replay is given; None until it is begun."""
        return self._files.first_path

    @property
    def problem(self) -> str:
        """Why nothing can be written at the moment, or empty."""
        if not self._thread.is_alive() and not self._outbox.closed:
            return "the recorder's thread has ended"
        return self._files.problem

    @property
    def counters(self) -> RecorderCounters:
        queued, queued_bytes = self._outbox.filling
        return dataclasses.replace(
            self._counters,
            dropped_frames=self._outbox.dropped_pictures,
            dropped_messages=self._outbox.dropped_notes,
            dropped_mavlink=self._outbox.dropped_link_notes,
            queued=queued,
            queued_mb=round(queued_bytes / 1e6, 3),
        )

    def frame(self, frame: Frame) -> None:
        """Records a frame as a camera delivered it, paired or not."""
        with self._lock:
            self._outbox.put(Picture(frame, self._numbers.add(frame)))

    def pair(self, pair: FramePair) -> None:
        """Records that a pair was settled while nothing was tracked."""
        with self._lock:
            self._put_pair(pair, None)

    def step(
        self,
        pair: FramePair,
        state: TrackState | None,
        inputs: LoopInputs,
        start: Box | None = None,
        fault: str = "",
    ) -> None:
        """Records one step of the loop: the pair as it went in, what it depended on and what came out.

        pair: as the pairing gave it, before conversion, thermal map and registration. A frame of it that was
        not given to `frame` is recorded now. start: the box that started or restarted the tracker with it.
        state: None if the step failed; fault says how.
        """
        with self._lock:
            step: dict[str, Any] = {
                "start": start and start.as_tuple(),
                "thermal": inputs.thermal,
                "tracked": state is not None,
                "fault": fault,
            }
            if start is not None or inputs.registration is not self._registration:
                self._registration = inputs.registration
                step["registration"] = plain_registration(inputs.registration)
            self._put_pair(pair, step, state)

    def health(self, health: Mapping[str, Any]) -> None:
        """Records a health record: plain values, not changed afterwards."""
        self._note(topics.HEALTH, health)

    def event(self, name: str, what: Mapping[str, Any] | None = None) -> None:
        """Records anything that happened once: a command, a camera that went, a mode that changed."""
        self._note(topics.EVENT, {"name": name, "what": dict(what or {})})

    def mavlink(self, endpoint: str, outgoing: bool, data: bytes, time_ns: int) -> None:
        """Records bytes as they went over a MAVLink endpoint at this monotonic time; from any thread."""
        text = base64.b64encode(data).decode("ascii")
        note = Note(
            topics.MAVLINK["out" if outgoing else "in"], {"endpoint": endpoint, "data": text}, time_ns
        )
        self._outbox.put(note)

    def close(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> None:
        """Writes what waits and ends the file; gives up waiting for a stuck disk. May be called twice."""
        self._outbox.close()
        self._thread.join(timeout_s)

    def __enter__(self) -> FlightRecorder:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _note(self, topic: str, value: Any) -> None:
        self._outbox.put(Note(topic, value, time.monotonic_ns()))

    def _put_pair(
        self, pair: FramePair, step: dict[str, Any] | None, state: TrackState | None = None
    ) -> None:
        items: list[Note | Picture] = []
        about: dict[str, Any] = {"number": self._pairs, "step": step}
        for frame in (pair.rgb, pair.tir):
            number, known = self._numbers.find(frame)
            if not known:
                items.append(Picture(frame, number))
            about[frame.modality.value] = fields_of(frame, topics.FRAME_LEAVES_OUT) + {"number": number}
        pair_fields = fields_of(pair, topics.PAIR_LEAVES_OUT) + about
        items.append(Note(topics.PAIR, pair_fields, pair.timestamp_ns))
        if state is not None:
            items.append(Note(topics.TRACK, state, state.timestamp_ns))
            items.append(Note(topics.BOX, state, state.timestamp_ns))
        self._pairs += 1
        self._outbox.put(*items)

    def _run(self) -> None:
        due_s = time.monotonic() + self._flush_s
        while True:
            item = self._outbox.take(due_s - time.monotonic())
            if item is not None:
                self._files.write(item)
            elif self._outbox.closed:
                break
            if time.monotonic() >= due_s:
                self._files.flush()
                due_s = time.monotonic() + self._flush_s
        self._files.close()


class _FrameNumbers:
    """Numbers of recorded frames, found again by their pixels.

    Pairing puts new times on a frame and may hold it for long, but passes its array on; so the array tells
    which recorded frame a pair was made of. Only what a reader can still look up is found (`topics.REACH`).
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[np.ndarray], int]] = {}
        self._last = dict.fromkeys(Modality, -1)
        self._used: dict[Modality, int] = {}

    def add(self, frame: Frame) -> int:
        """The number of a frame that is recorded now."""
        modality, key = frame.modality, id(frame.image)
        number = self._last[modality] = self._last[modality] + 1
        known = self._known

        def forget(gone: weakref.ref[np.ndarray]) -> None:
            if key in known and known[key][0] is gone:
                del known[key]

        known[key] = (weakref.ref(frame.image, forget), number)
        return number

    def find(self, frame: Frame) -> tuple[int, bool]:
        """The frame's number for use in a pair, and whether it was recorded before."""
        modality = frame.modality
        entry = self._known.get(id(frame.image))
        if entry is not None and entry[0]() is frame.image:
            number = entry[1]
            if self._last[modality] - number < topics.REACH or self._used.get(modality) == number:
                self._used[modality] = number
                return number, True
        number = self._used[modality] = self.add(frame)
        return number, False


def recorded_step(
    loop: TrackingLoop, recorder: FlightRecorder, pair: FramePair, box: Box | None = None
) -> TrackState:
    """`loop.step` with everything recorded that a replay of it needs. Raises what `loop.step` raises."""
    inputs = LoopInputs.of(loop)
    try:
        state = loop.step(pair, box)
    except Exception as error:
        recorder.step(pair, None, inputs, box, fault=str(error) or type(error).__name__)
        raise
    recorder.step(pair, state, inputs, box)
    return state


def _unused_name(folder: Path) -> str:
    """`flight-20260131T120000Z`, counted on where that is taken already."""
    name = datetime.now(timezone.utc).strftime("flight-%Y%m%dT%H%M%SZ")
    count = 1
    chosen = name
    while os.path.exists(segment_path(folder, chosen, 1)):  # a folder that cannot be read counts as empty
        count += 1
        chosen = f"{name}-{count}"
    return chosen
