"""What goes wrong in a soak, when, and the camera that does it."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from soak_world import PERIOD_NS, RATE_HZ, TIR_CLOCK_NS, PlayedFlight, Truth

from edge_rgbt.cameras.base import Camera
from edge_rgbt.errors import CameraError, CameraStalledError
from edge_rgbt.types import Frame, Modality, PixelFormat, TimeSource

# kind -> how long it lasts at least and at most, in frames
KINDS: dict[str, tuple[int, int]] = {
    "dropped": (1, 5),
    "repeated": (1, 1),
    "reordered": (1, 1),
    "late": (1, 1),
    "misstamped": (1, 1),
    "jumped": (60, 120),
    "restarted": (60, 120),
    "black": (1, 45),
    "saturated": (1, 45),
    "noise": (1, 45),
    "frozen": (6, 60),
    "held": (1, 40),
    "torn": (1, 3),
    "resized": (1, 10),
    "reformatted": (1, 10),
    "broken": (3, 90),
    "stalled": (36, 120),
    "crashed": (1, 1),
}
BOTH = "both dead"
OUTAGES = ("broken", "stalled", "crashed", BOTH)
CLOCK = ("jumped", "restarted")
BACK = "set-back"  # the first frames after a clock was set right
_BACK_FRAMES = 30
_LAG_NS = 4_000_000  # from capture to hand-over
_STALL_S = 1.0
_GAP_FRAMES = (40, 100)  # of peace between two faults of a camera
_BOTH_EVERY, _BOTH_FRAMES = 1800, (60, 150)


@dataclass(frozen=True)
class Episode:
    """One fault: from a slot up to another one. size: how much, where the kind has an amount."""

    kind: str
    start: int
    end: int
    size: float = 0.0


def make_schedule(seed: int, seconds: float) -> dict[Modality, list[Episode]]:
    """Every kind comes as often as every other, in random order; now and then both cameras die at once."""
    chance = random.Random(seed)
    count = int(seconds * RATE_HZ)
    dead = list(_both_dead(chance, count))
    return {modality: list(_one_camera(chance, count, dead)) for modality in Modality}


def _both_dead(chance: random.Random, count: int) -> Iterator[Episode]:
    slot = min(_BOTH_EVERY, count // 2)
    while slot < count:
        start = slot + chance.randint(-200, 200)
        yield Episode(BOTH, start, start + chance.randint(*_BOTH_FRAMES))
        slot += _BOTH_EVERY


def _one_camera(chance: random.Random, count: int, dead: list[Episode]) -> Iterator[Episode]:
    slot, deck, waiting = 90, [], list(dead)
    while True:
        deck = deck or chance.sample(list(KINDS), len(KINDS))
        kind = deck.pop()
        length = chance.randint(*KINDS[kind])
        if waiting and slot + length + 150 > waiting[0].start:
            deck.append(kind)
            yield waiting[0]
            slot = waiting.pop(0).end + 120
            continue
        if slot + length + 60 > count:
            return
        size = chance.choice((-1, 1)) * chance.uniform(0.5, 5.0)
        yield Episode(kind, slot, slot + length, size)
        slot += length + chance.randint(*_GAP_FRAMES)


@dataclass
class Injected:
    """What one camera has done so far. Written by its thread.

    episodes: that really began. frames: handed over, by kind. raised: errors, by the counter that must show
    them. clock_steps: how often its clock was set. back: outages that are over, as (slot, when) for the
    frame that ends them.
    """

    episodes: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    withheld: int = 0
    raised: Counter[str] = field(default_factory=Counter)
    clock_steps: int = 0
    skipped: int = 0
    back: list[tuple[str, int, int]] = field(default_factory=list)


class FaultyCamera(Camera):
    """A live camera that plays the flight and does what its schedule says; ends with `count` frames."""

    def __init__(
        self, modality: Modality, flight: PlayedFlight, episodes: list[Episode], epoch: list[int]
    ) -> None:
        """epoch: holds the monotonic time of slot 0 once the first camera was opened; shared by both."""
        self.modality = modality
        self.name = f"soak-{modality.value}"
        self.injected = Injected()
        self._flight, self._episodes, self._epoch = flight, list(episodes), epoch
        self._clock_ns = TIR_CLOCK_NS if modality is Modality.TIR else 0
        self._noise = np.random.default_rng(1 if modality is Modality.RGB else 2)
        self._current: Episode | None = None
        self._next = 0
        self._ready: list[Frame] = []
        self._held: tuple[int, Frame] | None = None  # handed over behind the frame of that slot
        self._last: np.ndarray | None = None
        self._stepped = False  # the clock is set wrong
        self._stepped_until = -1  # when it was set back, the slot up to which frames are marked
        self.opened = threading.Event()

    def open(self) -> None:
        if not self._epoch:
            self._epoch.append(time.monotonic_ns() + PERIOD_NS)
        slot = self._slot_now()
        self._advance(slot)
        if self._current is not None and self._current.kind in ("broken", "stalled", BOTH):
            self.injected.raised["failed"] += 1
            raise CameraError(f"{self.name}: is not there")
        self._next, self._ready, self._held = slot, [], None
        self.opened.set()

    def read(self) -> Frame:
        while not self._ready:
            self._skip_missed()
            slot = self._next
            self._wait_for(slot)
            self._next += 1
            self._advance(slot)
            self._play(slot)
        frame = self._ready.pop(0)
        self.injected.frames[Truth.of(frame.source).kind] += 1
        return frame

    def _slot_now(self) -> int:
        return max(0, -(-(time.monotonic_ns() - self._epoch[0] - _LAG_NS) // PERIOD_NS))

    def _skip_missed(self) -> None:
        """A live camera does not wait for those who come late."""
        due = self._slot_now() - 1
        if due > self._next:
            self.injected.skipped += due - self._next
            self._next = due

    def _wait_for(self, slot: int) -> None:
        wait_ns = self._epoch[0] + slot * PERIOD_NS + _LAG_NS - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)

    def _advance(self, slot: int) -> None:
        """Brings the schedule to this slot."""
        current = self._current
        if current is not None and slot >= current.end:
            if current.kind in OUTAGES:
                self.injected.back.append((current.kind, current.end, self._taken_ns(current.end)))
            self._current = None
        while self._episodes and slot >= self._episodes[0].end and slot > self._episodes[0].start:
            self._episodes.pop(0)  # nobody looked while it lasted
        if self._current is None and self._episodes and slot >= self._episodes[0].start:
            self._current = self._episodes.pop(0)
            self.injected.episodes[self._current.kind] += 1
            self._begin(self._current)

    def _begin(self, episode: Episode) -> None:
        """Outages begin with an error of `read`."""
        if episode.kind in ("broken", BOTH):
            self.injected.raised["failed"] += 1
            raise CameraError(f"{self.name}: the stream broke off")
        if episode.kind == "stalled":
            self.injected.raised["stalled"] += 1
            time.sleep(_STALL_S)
            raise CameraStalledError(f"{self.name}: no frame for {_STALL_S:g} s")
        if episode.kind == "crashed":
            self.injected.raised["crashed"] += 1
            self._current = None
            self.injected.back.append((episode.kind, episode.end, time.monotonic_ns()))
            raise RuntimeError("a driver's mistake")

    def _taken_ns(self, slot: int) -> int:
        return self._epoch[0] + slot * PERIOD_NS

    def _play(self, slot: int) -> None:
        """Hands over what becomes of this slot's frame, and what was held back until now."""
        episode = self._current
        kind = "good" if episode is None else episode.kind
        if kind == "dropped":
            self.injected.withheld += 1
            return
        frame = self._frame(slot, kind, 0.0 if episode is None else episode.size)
        if kind in ("reordered", "late") and self._held is None:
            wait = 1 if kind == "reordered" else 4 + slot % 6
            self._held = (slot + wait, frame)
            return
        if kind == "repeated":
            self._ready.append(
                dataclasses.replace(frame, source=Truth.of(frame.source).as_good().to_source())
            )
        self._ready.append(frame)
        if self._held is not None and slot >= self._held[0]:
            self._ready.append(self._held[1])
            self._held = None

    def _frame(self, slot: int, kind: str, size: float) -> Frame:
        taken_ns = self._taken_ns(slot)
        image, pixel_format = self._image(slot, kind)
        stamp_ns = taken_ns + self._clock_ns + self._clock_error_ns(slot, kind, size, taken_ns)
        if kind == "good" and slot <= self._stepped_until:
            kind = BACK
        truth = Truth(self.modality, slot, taken_ns, kind)
        return Frame(
            image,
            self.modality,
            stamp_ns,
            slot,
            truth.to_source(),
            pixel_format,
            TimeSource.SENSOR,
            PERIOD_NS // 2,
            held=kind == "held",
        )

    def _clock_error_ns(self, slot: int, kind: str, size: float, taken_ns: int) -> int:
        stepped = kind in CLOCK
        if stepped != self._stepped:
            self._stepped = stepped
            self.injected.clock_steps += 1
            if not stepped:
                self._stepped_until = slot + _BACK_FRAMES
        if kind == "restarted":
            return 1_000_000_000 - self._epoch[0]  # a second or so, and goes on from there
        return round(size * 1e9) if kind in ("jumped", "misstamped") else 0

    def _image(self, slot: int, kind: str) -> tuple[np.ndarray, PixelFormat]:
        usual = PixelFormat.RGB if self.modality is Modality.RGB else PixelFormat.GRAY16
        image = self._flight.picture(self.modality, slot)
        last = image if self._last is None else self._last
        if kind in ("frozen", "held"):
            return last.copy(), usual
        if kind == "torn":
            half = image.shape[0] // 2
            image[:half] = last[:half]
            return image, usual
        self._last = image
        if kind == "black":
            image = np.zeros_like(image)
        elif kind == "saturated":
            image = np.full_like(image, np.iinfo(image.dtype).max)
        elif kind == "noise":
            image = self._noise.integers(0, 256, image.shape, np.uint8).astype(image.dtype)
        elif kind == "resized":
            image = np.ascontiguousarray(image[::2, ::2])
        elif kind == "reformatted" and self.modality is Modality.RGB:
            return image, PixelFormat.BGR
        elif kind == "reformatted":
            return (image >> 8).astype(np.uint8), PixelFormat.GRAY8
        return image, usual
