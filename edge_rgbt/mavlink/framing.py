"""MAVLink frames in a stream of bytes, and messages as frames.

pymavlink's own parser throws away everything that a false start claims as its length, real frames included;
this one goes on with the next byte. It also tells frames of unknown messages, which cannot be checked.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.identity import Identity

SIGNATURE_BYTES = 13
_V1, _V2 = 0xFE, 0xFD
_HEADER_V1, _HEADER_V2 = 6, 10
_SIGNED = 0x01
_START = re.compile(b"[\xfd\xfe]")
_PATIENCE_NS = 500_000_000  # a frame of 280 bytes takes 0.25 s at 9600 baud


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was on the wire. known: its message is in our dialect and its checksum was right."""

    data: bytes
    version: int
    system: int
    component: int
    message_id: int
    signed: bool
    known: bool


@dataclass(slots=True)
class FrameCounters:
    """What came in on an endpoint. resyncs: runs of bytes that belong to no frame; skipped_bytes: in them."""

    frames: int = 0
    version_1: int = 0
    crc_errors: int = 0
    unknown_ids: int = 0
    resyncs: int = 0
    skipped_bytes: int = 0


class FrameReader:
    """Frames of one peer's bytes. Holds back at most one unfinished frame."""

    def __init__(self, counters: FrameCounters) -> None:
        self._counters = counters
        self._buffer = bytearray()
        self._since_ns = 0  # when the unfinished frame began to come
        self._lost = False  # the last byte belonged to no frame

    def feed(self, data: bytes, now_ns: int) -> list[Frame]:
        """The frames that these bytes complete. Call it without bytes now and then: a false start is given
        up after half a second, and what it held back comes out."""
        if self._buffer and now_ns - self._since_ns > _PATIENCE_NS:
            self._skip(1)
            self._since_ns = now_ns
        elif not self._buffer:
            self._since_ns = now_ns
        self._buffer += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
            self._since_ns = now_ns
        return frames

    def _next(self) -> Frame | None:
        while True:
            start = _START.search(self._buffer)
            self._skip(len(self._buffer) if start is None else start.start())
            length = self._length()
            if length is None or len(self._buffer) < length:
                return None
            frame = self._checked(length)
            if frame is None:
                self._skip(1)
                continue
            self._lost = False
            self._counters.frames += 1
            self._counters.version_1 += frame.version == 1
            self._counters.unknown_ids += not frame.known
            del self._buffer[:length]
            return frame

    def _length(self) -> int | None:
        """Of the frame that starts here, None if it cannot be told yet."""
        buffer = self._buffer
        if len(buffer) < 3:
            return None
        if buffer[0] == _V1:
            return _HEADER_V1 + buffer[1] + 2
        return _HEADER_V2 + buffer[1] + 2 + (SIGNATURE_BYTES if buffer[2] & _SIGNED else 0)

    def _checked(self, length: int) -> Frame | None:
        """The frame, or None if these bytes only looked like one."""
        data = bytes(self._buffer[:length])
        if data[0] == _V1:
            version, signed, end = 1, False, length
            system, component, message_id = data[3], data[4], data[5]
        else:
            if data[2] & ~_SIGNED:  # flags that we do not know change how a frame must be read
                return None
            version, signed = 2, bool(data[2] & _SIGNED)
            system, component, message_id = data[5], data[6], int.from_bytes(data[7:10], "little")
            end = length - SIGNATURE_BYTES if signed else length
        kind = dialect.mavlink_map.get(message_id)
        if kind is None:
            # Without its message's extra byte a checksum proves nothing; what follows has to fit instead.
            followed = len(self._buffer) > length
            if followed and self._buffer[length] not in (_V1, _V2):
                return None
        elif _checksum(data[1 : end - 2], kind.crc_extra) != int.from_bytes(data[end - 2 : end], "little"):
            self._counters.crc_errors += 1
            return None
        return Frame(data, version, system, component, message_id, signed, kind is not None)

    def _skip(self, count: int) -> None:
        if count:
            self._counters.skipped_bytes += count
            self._counters.resyncs += not self._lost
            self._lost = True
            del self._buffer[:count]


def _checksum(data: bytes, extra: int) -> int:
    return dialect.x25crc(data + bytes((extra,))).crc


class Decoder:
    """Messages from frames whose checksum was right."""

    def __init__(self) -> None:
        self._library = dialect.MAVLink(None)

    def decode(self, frame: Frame) -> Any | None:
        """The message; None for one that we do not know or whose fields cannot be."""
        if not frame.known:
            return None
        try:
            return self._library.decode(bytearray(frame.data))
        except dialect.MAVError:
            return None


class FrameWriter:
    """Frames of one endpoint, where each of our identities has its own sequence (R-EP-7).

    sign: adds the signature to a frame that says it has one; None leaves frames unsigned.
    """

    def __init__(self, sign: Callable[[bytes], bytes] | None = None) -> None:
        self._sign = sign
        self._sources: dict[Identity, Any] = {}

    def write(self, identity: Identity, message: Any) -> bytes:
        """The frame. Raises what pymavlink raises for a message whose values do not fit their fields."""
        source = self._sources.get(identity)
        if source is None:
            source = dialect.MAVLink(None, srcSystem=identity.system, srcComponent=identity.component)
            self._sources[identity] = source
        # Packing writes header and bytes into the message, and another endpoint may be packing the same one.
        mine = copy.copy(message)
        frame = bytes(mine.pack(source))
        if self._sign is not None:
            extra = dialect.mavlink_map[mine.get_msgId()].crc_extra
            flagged = bytes((frame[0], frame[1], frame[2] | _SIGNED)) + frame[3:-2]
            checksum = _checksum(flagged[1:], extra).to_bytes(2, "little")
            frame = self._sign(flagged + checksum)
        source.seq = (source.seq + 1) % 256
        return frame
