"""One MCAP file while it is written: whole records only, durable after every flush."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_rgbt import __version__
from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.recording import foxglove
from edge_rgbt.recording.topics import SCHEMA, encoded, note_schemas

HEAD = "edge-rgbt"  # name of the metadata record that makes an MCAP file one of ours
_CHUNK_BYTES = 4_000_000
_LARGEST_SEQUENCE = 0xFFFFFFFF


@dataclass(frozen=True)
class SegmentHead:
    """What stands at the head of every file of one flight, so that each can be understood alone.

    flight: name that all files of it share. metadata: plain texts. attachments: name -> media type, contents.
    """

    flight: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    attachments: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)


class Segment:
    """One file. Every method raises OSError when the disk refuses; `abandon` then keeps what was whole.

    It appears under its name once its head is on the disk, so that every file that is there can be opened.
    Raises FileExistsError if the name is taken.
    """

    def __init__(self, path: Path, number: int, head: SegmentHead, compression: str) -> None:
        writer_class, kinds = load_mcap()
        self.path = path
        self.begun_s = time.monotonic()
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self._file = _RecordFile(path)
        self._channels: dict[tuple[str, str], int] = {}
        self._schemas: dict[str, int] = {}
        self._head_bytes = 0
        self._writer = writer_class(
            self._file, chunk_size=_CHUNK_BYTES, compression=kinds[compression.upper()]
        )
        try:
            self._write_head(head, number)
        except OSError:
            self.abandon()
            raise

    @property
    def bytes(self) -> int:
        return self._file.position

    def add_note(self, topic: str, log_ns: int, event_ns: int, order: int, value: Any) -> None:
        """A message of one of our topics, plain values."""
        name, schema = _NOTE_SCHEMAS[topic]
        channel = self._channel(topic, name, "jsonschema", schema, "json")
        self._add(channel, log_ns, event_ns, order, encoded(value))

    def add_image(
        self, topic: str, log_ns: int, event_ns: int, order: int, schema: str, message: bytes
    ) -> None:
        """A serialised image message of this schema."""
        channel = self._channel(topic, schema, "protobuf", None, "protobuf")
        self._add(channel, log_ns, event_ns, order, message)

    def flush(self) -> None:
        """Brings everything added so far onto the disk; blocks until it is there."""
        self._writer.flush()
        self._file.sync()

    @property
    def empty(self) -> bool:
        """True while nothing but the head has reached the file."""
        return self._file.position <= self._head_bytes

    def finish(self) -> None:
        """Ends the file with its index."""
        self._writer.finish()
        self._file.sync()
        self._file.close()

    def abandon(self) -> None:
        """Cuts the file back to its last whole record and leaves it; removes one without any message."""
        self._file.cut_back()
        self._file.close()
        if self.empty:
            with suppress(OSError):
                self.path.unlink()

    def _write_head(self, head: SegmentHead, number: int) -> None:
        self._writer.start(profile="", library=f"edge-rgbt {__version__}")
        own = {"schema": str(SCHEMA), "flight": head.flight, "segment": str(number)}
        self._writer.add_metadata(HEAD, {**head.metadata, **own})
        now_ns = time.monotonic_ns()
        for name, (media_type, data) in head.attachments.items():
            self._writer.add_attachment(now_ns, now_ns, name, media_type, data)
        self._file.sync()
        self._file.appear()
        self._head_bytes = self._file.position

    def _channel(self, topic: str, name: str, kind: str, schema: Any, message_encoding: str) -> int:
        channel = self._channels.get((topic, name))
        if channel is None:
            number = self._schemas.get(name)
            if number is None:
                data = foxglove.schema_bytes(name) if schema is None else encoded({"title": name, **schema})
                number = self._schemas[name] = self._writer.register_schema(name, kind, data)
            channel = self._writer.register_channel(topic, message_encoding, number)
            self._channels[topic, name] = channel
        return channel

    def _add(self, channel: int, log_ns: int, event_ns: int, order: int, data: bytes) -> None:
        sequence = order & _LARGEST_SEQUENCE
        self._writer.add_message(channel, log_ns, data, max(0, event_ns), sequence)


class _RecordFile:
    """What the MCAP writer writes to, whole records at a time: every finished `write` is a safe end."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self.position = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing is held back here; `sync` is what makes it durable."""

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def appear(self) -> None:
        """Takes its final name, durably."""
        os.rename(self._part, self._path)
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def cut_back(self) -> None:
        with suppress(
            OSError
        ):  # on a file system that has become read-only the torn end stays, and is skipped
            os.ftruncate(self._fd, self.position)

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._fd)
        with suppress(OSError):
            self._part.unlink(missing_ok=True)  # still there if the head could not be written


def load_mcap() -> tuple[Any, Any]:
    """MCAP's writer and its compressions. Raises EdgeRgbtError saying what to install."""
    try:
        from mcap.writer import CompressionType, Writer
    except ImportError as error:
        raise EdgeRgbtError(
            f"recording needs a library that is missing ({error}); pip install 'edge-rgbt[record]'"
        ) from error
    return Writer, CompressionType


_NOTE_SCHEMAS = note_schemas()
