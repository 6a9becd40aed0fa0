"""MAVLink 2 signing: the key, the timestamp that never goes back, and the checks (R-SEC-1 to R-SEC-4).

pymavlink's own check moves a stream's timestamp before it has looked at the signature, so that one forged
frame silences a peer for good, and remembers every stream that was ever claimed; hence ours.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import stat
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.files import write_json_atomic
from edge_rgbt.mavlink.framing import SIGNATURE_BYTES, Frame

LOG = logging.getLogger(__name__)
KEY_BYTES = 32
UNITS_PER_S = 100_000  # a timestamp counts 10 us
EPOCH_UNIX_S = 1_420_070_400  # 2015-01-01 UTC
NEW_STREAM_BEHIND = 60 * UNITS_PER_S
STORE_EVERY_S = 15.0
# What is stored is ahead of what was used, for a power cut comes before the next storing; but not by so much
# that after it those with the right time seem too old to us.
_AHEAD = 20 * UNITS_PER_S
_FRAMES_AHEAD = 20_000
_MAX_TIMESTAMP = (1 << 48) - 1
_MAX_STREAMS = 1024
_RADIO_STATUS = 109
_SHORTEST_PASSPHRASE = 8


class SigningKey:
    """32 secret bytes that show up nowhere by accident."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES or not any(secret):
            raise UsageError(f"a signing key has {KEY_BYTES} bytes that are not all zero")
        self._secret = secret

    @classmethod
    def from_passphrase(cls, passphrase: str) -> SigningKey:
        """As ground stations make it: SHA-256 of the text."""
        return cls(hashlib.sha256(passphrase.encode()).digest())

    def signature(self, signed_part: bytes) -> bytes:
        """The six bytes that end a frame; signed_part: all that comes before them."""
        return hashlib.sha256(self._secret + signed_part).digest()[:6]

    def store(self, path: Path) -> None:
        """Writes a key file as `read_key` wants it, whole or not at all. Raises OSError."""
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._secret)
            file.flush()
            os.fsync(descriptor)
        os.replace(part, path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(hashlib.sha256(b"hash" + self._secret).digest())

    def __repr__(self) -> str:
        return "SigningKey(secret)"


def read_key(path: Path, passphrase: bool = False) -> SigningKey:
    """The key in a file of 32 bytes, or of a passphrase. Raises UsageError; its text never holds the key."""
    what = "mavlink.signing.passphrase_file" if passphrase else "mavlink.signing.key_file"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise UsageError(f"{what}: {path} may be read by others (mode {mode:04o}); chmod 600 it")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{what}: {path}: {error.strerror or error}") from error
    if not passphrase:
        if len(content) != KEY_BYTES:
            raise UsageError(
                f"{what}: {path} has {len(content)} bytes, a key has {KEY_BYTES}; "
                "a text belongs into passphrase_file"
            )
        return SigningKey(content)
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(
            f"{what}: {path} is no text; a key of {KEY_BYTES} bytes belongs into key_file"
        ) from None
    if len(text) < _SHORTEST_PASSPHRASE:
        raise UsageError(f"{what}: {path}: a passphrase has at least {_SHORTEST_PASSPHRASE} characters")
    return SigningKey.from_passphrase(text)


class SigningClock:
    """Timestamps of what we sign: never one twice, never back, not over a restart either (R-SEC-2).

    path: where they outlast a restart, with what was heard of each stream. All methods from any thread.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._streams: OrderedDict[tuple[int, int, int], int] = OrderedDict()
        stored, self._streams = _read_state(path)
        now = _wall_clock()
        self._last = max(stored, now)
        # A clock in the past, as on a board without a battery, is not waited for: the stored time goes on.
        self._base = now if now > stored - NEW_STREAM_BEHIND else stored
        self._base_ns = time.monotonic_ns()
        self._told = False
        self.store()

    @property
    def newest(self) -> int:
        """The largest that was used or heard, or the time if that is later."""
        with self._lock:
            return max(self._last, self._now())

    def next(self) -> int:
        """A timestamp for the next frame."""
        with self._lock:
            self._last = max(self._last + 1, self._now())
            return self._last

    def admit(self, stream: tuple[int, int, int], timestamp: int) -> bool:
        """True if a rightly signed frame is new to its stream of (system, component, link id) (R-SEC-3)."""
        with self._lock:
            known = self._streams.get(stream)
            if known is None:
                if timestamp + NEW_STREAM_BEHIND < max(self._last, self._now()):
                    return False
                while len(self._streams) >= _MAX_STREAMS:
                    self._streams.popitem(last=False)
            elif timestamp <= known:
                return False
            self._streams[stream] = timestamp
            self._streams.move_to_end(stream)
            self._last = max(self._last, timestamp)
            return True

    def store(self, final: bool = False) -> None:
        """Writes what has to outlast a restart; final: nothing will be signed any more. A disk that refuses
        is told once and does not end the link."""
        if self._path is None:
            return
        with self._lock:
            used, now = self._last, self._now()
            timestamp = max(used, now) if final else max(used + _FRAMES_AHEAD, now + _AHEAD)
            streams = [[*stream, last] for stream, last in self._streams.items()]
        try:
            write_json_atomic(self._path, {"timestamp": timestamp, "streams": streams})
        except EdgeRgbtError as error:
            if not self._told:
                LOG.error("signing timestamps are not kept over a restart: %s", error)
            self._told = True

    def _now(self) -> int:
        """The clock on the wall, unless it was set back: then what has passed since the start."""
        elapsed = (time.monotonic_ns() - self._base_ns) // 10_000
        return min(max(_wall_clock(), self._base + elapsed), _MAX_TIMESTAMP)


def _wall_clock() -> int:
    return max(0, round((time.time() - EPOCH_UNIX_S) * UNITS_PER_S))


def _read_state(path: Path | None) -> tuple[int, OrderedDict[tuple[int, int, int], int]]:
    """What was stored; nothing if there is no file or it is damaged, which is told."""
    if path is None or not path.exists():
        return 0, OrderedDict()
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        timestamp = int(state["timestamp"])
        streams = OrderedDict(((int(s), int(c), int(k)), int(last)) for s, c, k, last in state["streams"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        LOG.error("%s: signing timestamps cannot be read (%s); starting with the clock", path, error)
        return 0, OrderedDict()
    return min(max(timestamp, 0), _MAX_TIMESTAMP), streams


@dataclass(slots=True)
class SignatureCounters:
    """good: signed rightly and new. bad: another key or damaged. replayed: a timestamp that is not new.
    unsigned: refused because signatures are required."""

    good: int = 0
    bad: int = 0
    replayed: int = 0
    unsigned: int = 0


class Signer:
    """Signs and checks the frames of one endpoint. link_id: tells our endpoints apart for a receiver."""

    def __init__(self, key: SigningKey, clock: SigningClock, link_id: int, required: bool) -> None:
        self.key = key
        self._clock, self._link_id, self._required = clock, link_id, required
        self.counters = SignatureCounters()

    def sign(self, frame: bytes) -> bytes:
        """The frame, whose header says that it is signed, with its signature."""
        stamped = frame + bytes((self._link_id,)) + self._clock.next().to_bytes(6, "little")
        return stamped + self.key.signature(stamped)

    def beside(self, link_id: int) -> Signer:
        """Signs with the same key and clock in a stream of its own."""
        return Signer(self.key, self._clock, link_id, self._required)

    def admit(self, frame: Frame) -> bool:
        """True if the frame may be heard; refusals are counted."""
        if not frame.signed:
            if not self._required or frame.message_id == _RADIO_STATUS:
                return True
            self.counters.unsigned += 1
            return False
        if not hmac.compare_digest(self.key.signature(frame.data[:-6]), frame.data[-6:]):
            self.counters.bad += 1
            return False
        block = frame.data[-SIGNATURE_BYTES:]
        timestamp = int.from_bytes(block[1:7], "little")
        if not self._clock.admit((frame.system, frame.component, block[0]), timestamp):
            self.counters.replayed += 1
            return False
        self.counters.good += 1
        return True
