"""What moves: kinds, sizes, looks, and the table of where each object is at which time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VEHICLE_KINDS = ("car", "suv", "van", "truck", "bus")
PERSON_KINDS = ("person", "cyclist")
KINDS = VEHICLE_KINDS + PERSON_KINDS

# length, width, height in metres
SIZES = {
    "car": (4.4, 1.8, 1.45),
    "suv": (4.7, 1.9, 1.75),
    "van": (5.6, 2.05, 2.4),
    "truck": (8.2, 2.4, 3.2),
    "bus": (11.5, 2.5, 3.1),
    "person": (0.5, 0.55, 1.75),
    "cyclist": (1.75, 0.6, 1.8),
}

PAINTS = (
    (222, 222, 220), (222, 222, 220), (30, 31, 34), (46, 48, 52), (150, 153, 157), (112, 115, 120),
    (150, 28, 30), (36, 58, 112), (70, 96, 140), (120, 108, 84), (40, 72, 52), (196, 160, 40),
)  # fmt: skip
CLOTHES = (
    (40, 42, 50), (56, 60, 82), (120, 34, 36), (200, 198, 190), (84, 92, 66), (150, 128, 96), (36, 70, 120),
    (196, 150, 50), (90, 60, 90), (24, 24, 26),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How one object appears: size, colours, and its own heat (kelvin above air before contrast scaling)."""

    size: tuple[float, float, float]
    colour: tuple[int, int, int]
    second: tuple[int, int, int]
    engine_k: float
    body_k: float
    skin_k: float


@dataclass(frozen=True)
class Mover:
    """One object and its course: rows of the track are samples every `step_s` from time `start_s`.

    track: float64 `[n, 5]`: x, y (unwrapped metres), heading in radians (unwrapped, 0 = +x), speed in m/s,
    distance gone in metres (drives the legs).
    """

    id: int
    kind: str
    look: Look
    track: np.ndarray
    start_s: float
    step_s: float
    parked: bool = False

    def at(self, t_s: float) -> np.ndarray:
        """Interpolated row `[5]` at a time; held at the ends of the track."""
        position = (t_s - self.start_s) / self.step_s
        low = int(np.clip(np.floor(position), 0, len(self.track) - 1))
        high = min(low + 1, len(self.track) - 1)
        part = float(np.clip(position - low, 0.0, 1.0))
        return self.track[low] * (1 - part) + self.track[high] * part

    @property
    def is_vehicle(self) -> bool:
        return self.kind in VEHICLE_KINDS


def make_look(rng: np.random.Generator, kind: str, parked: bool = False) -> Look:
    """A look drawn for one object; parked vehicles have a cold engine."""
    length, width, height = SIZES[kind]
    scale = rng.normal(1, 0.035, 3)
    if kind in ("van", "truck", "bus"):
        colour = PAINTS[int(rng.choice((0, 0, 0, 4, 7, 11, 6)))]
    else:
        colour = PAINTS[int(rng.integers(len(PAINTS)))]
    second = PAINTS[int(rng.choice((0, 3, 7, 9, 10, 4)))]
    if kind in PERSON_KINDS:
        colour, second = (CLOTHES[int(i)] for i in rng.integers(len(CLOTHES), size=2))
    return Look(
        (length * scale[0], width * scale[1], height * scale[2]),
        colour,
        second,
        0.0 if parked else float(rng.uniform(9, 24)),
        float(rng.normal(0.0, 1.3)),
        float(rng.uniform(9.0, 15.0)),
    )
