"""The files of one flight on a disk that may be full, read-only or gone, and may come back."""

from __future__ import annotations

import errno
import logging
import os
import struct
import time
from pathlib import Path
from typing import Any

import cv2

from edge_rgbt.recording import foxglove
from edge_rgbt.recording.names import segment_path
from edge_rgbt.recording.outbox import Note, Picture
from edge_rgbt.recording.pictures import encode_picture
from edge_rgbt.recording.plain import fields_of, to_plain
from edge_rgbt.recording.segment import Segment, SegmentHead
from edge_rgbt.recording.settings import RecorderCounters, RecorderSettings
from edge_rgbt.recording.topics import BOX, FRAME_LEAVES_OUT, FRAMES, IMAGES, drawn_box

LOG = logging.getLogger(__name__)
RETRY_S = 5.0
_MOST_NAMES = 10_000


class FlightFiles:
    """Writes items into segments, one thread only. Never raises for what the disk does: it counts.

    An outage is said in one line and ends with another one; meanwhile items are lost, and a new segment is
    tried every few seconds.
    """

    def __init__(
        self, folder: Path, head: SegmentHead, settings: RecorderSettings, counters: RecorderCounters
    ) -> None:
        self._folder, self._head, self._settings, self.counters = folder, head, settings, counters
        self._segment: Segment | None = None
        self._number = 0
        self.first_path: Path | None = None
        self._closed_bytes = 0
        self._retry_s = 0.0
        self._lost_before = 0
        self._since_flush = [0, 0]  # frames and messages that a failing disk may still take along
        self.problem = ""
        self._refused: set[str] = set()

    def write(self, item: Note | Picture) -> None:
        """Encodes and adds one item, or counts it as lost."""
        if not self._ready():
            self.counters.lost += 1
            return
        try:
            if isinstance(item, Picture):
                self._add_picture(item)
                self.counters.frames += 1
                self._since_flush[0] += 1
            else:
                self._add_note(item)
                self.counters.messages += 1
                self._since_flush[1] += 1
        except OSError as error:
            self.counters.lost += 1
            self._fail(error)
        except (TypeError, ValueError, RecursionError, struct.error, cv2.error) as error:
            self.counters.refused += 1
            self._say_refused(item, error)

    def flush(self) -> None:
        """Makes everything written durable; blocks as long as the disk takes. Ends a segment that is due."""
        if self._segment is None:
            return
        try:
            self._segment.flush()
            self._since_flush = [0, 0]
            self._require_room()
            self.counters.bytes = self._closed_bytes + self._segment.bytes
            settings, age_s = self._settings, time.monotonic() - self._segment.begun_s
            if self.problem and age_s >= RETRY_S:
                self._say_recovered()
            if self._segment.bytes >= settings.segment_mb * 1e6 or age_s >= settings.segment_s:
                self._finish()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Ends the last file with its index."""
        if self._segment is None:
            return
        try:
            self._finish()
        except OSError as error:
            self._fail(error)

    def _ready(self) -> bool:
        """True if there is a segment to write to; tries to begin one from time to time."""
        if self._segment is not None:
            return True
        if time.monotonic() < self._retry_s:
            return False
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._require_room()
            self._segment = self._begin()
        except OSError as error:
            self._fail(error)
            return False
        self.counters.segments += 1
        return True

    def _begin(self) -> Segment:
        for number in range(self._number + 1, _MOST_NAMES):
            path = segment_path(self._folder, self._head.flight, number)
            try:
                segment = Segment(path, number, self._head, self._settings.compression)
            except FileExistsError:
                continue
            self._number = number
            self.first_path = self.first_path or path
            return segment
        raise FileExistsError(errno.EEXIST, "every file name of this flight is taken", str(self._folder))

    def _finish(self) -> None:
        segment = self._segment
        assert segment is not None
        segment.finish()
        self._since_flush = [0, 0]
        self._closed_bytes += segment.bytes
        self.counters.bytes = self._closed_bytes
        self._segment = None

    def _require_room(self) -> None:
        """Raises OSError while there is still room to end the file properly."""
        disk = os.statvfs(self._folder)
        free_mb = disk.f_bavail * disk.f_frsize / 1e6
        if free_mb >= self._settings.min_free_mb:
            return
        if self._segment is not None:
            self._finish()
        least = self._settings.min_free_mb
        raise OSError(errno.ENOSPC, f"{free_mb:.0f} MB are free, recording needs {least:g} MB (min_free_mb)")

    def _fail(self, error: OSError) -> None:
        """Keeps what is whole, says the trouble once, and plans the next attempt."""
        self.counters.disk_errors += 1
        if self._segment is not None:
            frames, messages = self._since_flush
            self.counters.frames -= frames
            self.counters.messages -= messages
            self.counters.lost += frames + messages
            self._since_flush = [0, 0]
            self._segment.abandon()
            self.counters.segments -= self._segment.empty
            self._closed_bytes += self._segment.bytes
            self.counters.bytes = self._closed_bytes
            self._segment = None
        self._retry_s = time.monotonic() + RETRY_S
        if not self.problem:
            self._lost_before = self.counters.lost
            reason = error.strerror or error
            LOG.error("%s: cannot record (%s); trying again every %g s", self._folder, reason, RETRY_S)
        self.problem = error.strerror or str(error)

    def _say_recovered(self) -> None:
        """A disk that is nearly full takes a little now and then; only one that goes on doing so is well."""
        assert self._segment is not None
        lost = self.counters.lost - self._lost_before
        LOG.warning("recording goes on in %s; %d messages are lost", self._segment.path, lost)
        self.problem = ""

    def _add_picture(self, item: Picture) -> None:
        assert self._segment is not None
        frame = item.frame
        modality, stamp = frame.modality, frame.timestamp_ns
        encoding, quality = self._settings.encoding(modality), self._settings.jpeg_quality
        picture = encode_picture(frame, encoding, quality)
        schema = foxglove.image_schema(picture)
        about: dict[str, Any] = {"number": item.number, **to_plain(fields_of(frame, FRAME_LEAVES_OUT))}
        about["pixel_format"] = picture.pixel_format.value
        about |= {"encoding": picture.encoding, "width": picture.width, "height": picture.height}
        message = foxglove.image_message(picture, stamp, modality.value)
        self._segment.add_note(FRAMES[modality], item.log_ns, stamp, item.order, about)
        self._segment.add_image(IMAGES[modality], item.log_ns, stamp, item.order, schema, message)

    def _add_note(self, item: Note) -> None:
        assert self._segment is not None
        value = drawn_box(item.value) if item.topic == BOX else to_plain(item.value)
        self._segment.add_note(item.topic, item.log_ns, item.event_ns, item.order, value)

    def _say_refused(self, item: Note | Picture, error: Exception) -> None:
        topic = item.topic if isinstance(item, Note) else FRAMES[item.frame.modality]
        if topic not in self._refused:
            self._refused.add(topic)
            LOG.error("%s cannot be recorded and is left out from now on where it is so: %s", topic, error)
