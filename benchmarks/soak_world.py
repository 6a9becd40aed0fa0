"""A short simulated flight, rendered once and played to and fro for as long as a soak lasts."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from edge_rgbt.rig import SCHEMA, Homography, Rig, RigCamera
from edge_rgbt.sim import make_scenario
from edge_rgbt.types import Box, Modality

RATE_HZ = 30.0
PERIOD_NS = round(1e9 / RATE_HZ)
SIZE = (640, 512)
TIR_CLOCK_NS = 37_000_000  # the thermal camera's clock minus the other one's
_SEEN = 0.6
_CODE = 4  # values at the head of a picture that hold its number


@dataclass(frozen=True)
class PlayedFlight:
    """Pictures of both cameras, and where the target is in them."""

    pictures: dict[Modality, list[np.ndarray]]
    boxes: list[Box | None]
    matrix: np.ndarray

    def picture(self, modality: Modality, slot: int) -> np.ndarray:
        """A new array, as a camera delivers it, with its number written into its first values."""
        image = self.pictures[modality][self._index(slot)] ^ self._way_back(slot)
        head = image.reshape(-1)[:_CODE]
        head[:] = np.frombuffer(slot.to_bytes(_CODE, "little"), np.uint8)
        head += image.dtype.type(_base(image))
        return image

    def box(self, slot: int) -> Box | None:
        return self.boxes[self._index(slot)]

    def _index(self, slot: int) -> int:
        last = len(self.boxes) - 1
        there = slot % (2 * last)
        return there if there <= last else 2 * last - there

    def _way_back(self, slot: int) -> int:
        """Noise of one bit, or the frames just before and after a turn would be one and the same picture."""
        last = len(self.boxes) - 1
        return slot // last % 2

    def write_rig(self, path: Path) -> None:
        """The calibration that the service flies with."""
        cameras = [RigCamera(name, *SIZE) for name in ("soak rgb", "soak thermal")]
        rows = tuple(tuple(float(v) for v in row) for row in self.matrix)
        homography = Homography(rows, 20.0, 500.0, 1.0)  # type: ignore[arg-type]
        made = {"schema": SCHEMA, "made": "2026-01-01T00:00:00Z", "made_by": "benchmarks/soak.py"}
        Rig(**made, rgb=cameras[0], tir=cameras[1], homography=homography).write(path)


def number_in(image: np.ndarray) -> int:
    """The slot whose picture this is."""
    head = image.reshape(-1)[:_CODE].astype(np.int64) - _base(image)
    return int.from_bytes(bytes(int(v) & 0xFF for v in head), "little")


def _base(image: np.ndarray) -> int:
    return 20_000 if image.dtype == np.uint16 else 0


def render_flight(seed: int, seconds: float) -> PlayedFlight:
    """Renders it in a process of its own, which takes about as long as it lasts and leaves nothing behind."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_rendered, seed, seconds).result()


def _rendered(seed: int, seconds: float) -> PlayedFlight:
    scenario = make_scenario(seed, seconds=seconds + 1.0, rgb_size=SIZE, tir_size=SIZE)
    rgb, tir, boxes = [], [], []
    for slot in range(int(seconds * RATE_HZ)):
        t_ns = slot * PERIOD_NS
        rgb.append(scenario.render_rgb(t_ns))
        tir.append(scenario.render_tir(t_ns))
        truth = scenario.truth(t_ns, Modality.RGB)
        boxes.append(truth.box if truth.box is not None and truth.visibility >= _SEEN else None)
    return PlayedFlight({Modality.RGB: rgb, Modality.TIR: tir}, boxes, scenario.nominal_registration())


@dataclass(frozen=True)
class Truth:
    """What the soak knows about a frame that it handed over; travels in the frame's `source`."""

    modality: Modality
    slot: int
    taken_ns: int  # on the monotonic clock
    kind: str

    def to_source(self) -> str:
        return f"soak {self.modality.value} {self.slot} {self.taken_ns} {self.kind}"

    def as_good(self) -> Truth:
        return dataclasses.replace(self, kind="good")

    @classmethod
    def of(cls, source: str) -> Truth:
        _, modality, slot, taken_ns, kind = source.split(" ")
        return cls(Modality(modality), int(slot), int(taken_ns), kind)


@dataclass(frozen=True)
class TimeCheck:
    """How far a frame's time is from the truth. allowed_ns: as it says itself; 0 where the clock is right."""

    error_ns: int
    allowed_ns: int

    @property
    def wrong(self) -> bool:
        return abs(self.error_ns) > self.allowed_ns

    @classmethod
    def of(cls, source: str, timestamp_ns: int, time_source: str, uncertainty_ns: int) -> TimeCheck:
        """Of a frame on the RGB camera's clock."""
        allowed_ns = uncertainty_ns if time_source == "arrival" else 0
        return cls(timestamp_ns - Truth.of(source).taken_ns, allowed_ns)
