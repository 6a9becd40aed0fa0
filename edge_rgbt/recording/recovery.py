"""Records of an MCAP file up to its first bad one, however the file ended."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from edge_rgbt.errors import EdgeRgbtError, SequenceError

MAGIC = b"\x89MCAP0\r\n"
_FOOTER, _FOOTER_BYTES = 0x02, 20
_RESERVED = range(0x10, 0x80)  # opcodes that no version of the format uses; those above are applications' own
_PREFIX = struct.Struct("<BQ")  # opcode and length of every record


@dataclass(frozen=True, slots=True)
class FileEnd:
    """How a file ended. whole: with its index, as a finished recording does.

    lost_bytes: behind the last good record. reason: why they could not be read, empty for a whole file.
    """

    whole: bool
    lost_bytes: int = 0
    reason: str = ""


class RecordStream:
    """Good records of one file, in the order in which they were written; `end` is known after the last.

    Stops at the first record that is cut off or damaged: what lies behind it cannot be trusted. Raises
    SequenceError if the file cannot be opened or is no MCAP file at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end: FileEnd | None = None

    def __iter__(self) -> Iterator[Any]:
        """mcap.records objects; those inside chunks come one by one."""
        parsers = _parsers()
        try:
            with self.path.open("rb") as file:
                size = self.path.stat().st_size
                if file.read(len(MAGIC)) != MAGIC:
                    raise SequenceError(f"{self.path}: is no MCAP file, or was cut off before it began")
                while self.end is None:
                    yield from self._next(file, size, parsers)
        except OSError as error:
            raise SequenceError(f"{self.path}: cannot be read ({error.strerror or error})") from error

    def _next(
        self, file: IO[bytes], size: int, parsers: dict[int, Callable[[bytes], list[Any]]]
    ) -> list[Any]:
        """What the next record holds; nothing, and `end` is set, if there is none."""
        began = file.tell()
        prefix = file.read(_PREFIX.size)
        opcode, length = _PREFIX.unpack(prefix) if len(prefix) == _PREFIX.size else (0, size)
        if length > size - file.tell():
            self.end = FileEnd(False, size - began, "the file is cut off")
            return []
        if opcode == 0 or opcode in _RESERVED:  # zeros are what a power loss leaves of blocks never written
            self.end = FileEnd(False, size - began, "what follows is no record")
            return []
        if opcode == _FOOTER and length == _FOOTER_BYTES:
            self.end = FileEnd(True)
            return []
        if opcode not in parsers:
            file.seek(length, 1)
            return []
        try:
            return parsers[opcode](file.read(length))
        except Exception as error:  # at damaged bytes, decompressors and parsers raise whatever they like
            self.end = FileEnd(False, size - began, f"a record is damaged: {error or type(error).__name__}")
            return []


def _parsers() -> dict[int, Callable[[bytes], list[Any]]]:
    """Opcode -> what makes records of a record's bytes; the others are of no interest here."""
    try:
        from mcap import records
        from mcap.data_stream import ReadDataStream
        from mcap.opcode import Opcode
        from mcap.stream_reader import breakup_chunk
    except ImportError as error:
        raise EdgeRgbtError(
            f"recordings need a library that is missing ({error}); pip install 'edge-rgbt[record]'"
        ) from error

    def plain(kind: Any) -> Callable[[bytes], list[Any]]:
        return lambda body: [kind.read(ReadDataStream(BytesIO(body)))]

    def attachment(body: bytes) -> list[Any]:
        (wanted,) = struct.unpack("<I", body[-4:])
        if wanted and zlib.crc32(body[:-4]) != wanted:
            raise ValueError("the checksum of an attachment is wrong")
        return plain(records.Attachment)(body)

    return {
        int(Opcode.SCHEMA): plain(records.Schema),
        int(Opcode.CHANNEL): plain(records.Channel),
        int(Opcode.METADATA): plain(records.Metadata),
        int(Opcode.ATTACHMENT): attachment,
        int(Opcode.MESSAGE): lambda body: [records.Message.read(ReadDataStream(BytesIO(body)), len(body))],
        int(Opcode.CHUNK): lambda body: list(
            breakup_chunk(records.Chunk.read(ReadDataStream(BytesIO(body))), validate_crc=True)
        ),
    }
