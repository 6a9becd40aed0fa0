"""Simulated flights as training data: frames rendered once to disk, samples drawn from any object in them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge_rgbt.errors import UsageError
from edge_rgbt.files import atomic_path, write_json_atomic
from edge_rgbt.register import Registration
from edge_rgbt.sim import make_scenario
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.types import Box, Frame, FramePair, Modality
from training.data.packed import FLIGHTS, Pack, Shard, is_pack, open_pack
from training.data.samples import AlignedImages, CropSizes, Moment, RejectedSample, TrackingSample, cut_sample
from training.data.skipped_frames import SkippedFrames

INDEX_FILE = "flights.json"
COLUMNS = ("frame", "object", "x", "y", "w", "h", "visibility", "is_target", "moving")
MAX_GAP_S = 6.7  # 200 frames at 30 Hz, the range of the published causal sampling


def render_flights(out: Path, seeds: Sequence[int], seconds: float, rate_hz: float, workers: int) -> None:
    """Renders both cameras of one flight per seed, thermal mapped to 8 bits and registered as in flight.

    Writes `out/SEED/{rgb,tir,objects}.npy` and, once all are there, `out/flights.json`. Flights that are
    already there are kept.
    """
    todo = [seed for seed in seeds if not (out / f"{seed:06d}").is_dir()]
    with ProcessPoolExecutor(max_workers=workers) as pool:
        jobs = [pool.submit(_render_flight, out, seed, seconds, rate_hz) for seed in todo]
        for job in tqdm(jobs, desc="flights", unit="flight"):
            job.result()
    write_json_atomic(out / INDEX_FILE, {"seeds": list(seeds), "seconds": seconds, "rate_hz": rate_hz})


def _render_flight(out: Path, seed: int, seconds: float, rate_hz: float) -> None:
    cv2.setNumThreads(1)
    scenario = make_scenario(seed, seconds=seconds)
    thermal = ThermalRange()
    registration: Registration | None = None
    rgb_frames, tir_frames, rows = [], [], []
    for number in range(int(seconds * rate_hz)):
        t_ns = round(number * 1e9 / rate_hz)
        rgb = Frame(scenario.render_rgb(t_ns), Modality.RGB, t_ns, number, "sim")
        tir = thermal.apply(Frame(scenario.render_tir(t_ns), Modality.TIR, t_ns, number, "sim"))
        if registration is None:
            registration = Registration(scenario.nominal_registration(), (rgb.width, rgb.height))
        pair = registration.apply(FramePair(rgb, tir))
        rgb_frames.append(pair.rgb.image)
        tir_frames.append(pair.tir.image)
        for truth in scenario.object_truths(t_ns, Modality.RGB):
            if truth.box is not None:
                rows.append(
                    (
                        number,
                        truth.object_id,
                        *truth.box.as_tuple(),
                        truth.visibility,
                        truth.is_target,
                        truth.moving,
                    )
                )
    with atomic_path(out / f"{seed:06d}") as folder:
        folder.mkdir(parents=True)
        np.save(folder / "rgb.npy", np.stack(rgb_frames))
        np.save(folder / "tir.npy", np.stack(tir_frames))
        np.save(folder / "objects.npy", np.array(rows, np.float32).reshape(-1, len(COLUMNS)))


@dataclass(frozen=True, slots=True)
class FlightSettings:
    """Which objects may serve as targets, and what is added to the simulator's own imperfections."""

    smallest_px: float = 9.0
    template_visibility: float = 0.75
    search_visibility: float = 0.3
    scenario_target: float = 0.4
    extra_misalignment_px: float = 5.0


class Flight:
    """One flight: its objects' rows (columns as in `COLUMNS`) and how its frames are read."""

    def __init__(self, name: str, objects: np.ndarray, images: Callable[[int], AlignedImages]) -> None:
        self.name = name
        self.frames = int(objects[:, 0].max()) + 1 if len(objects) else 0
        self.by_object = {int(i): objects[objects[:, 1] == i] for i in np.unique(objects[:, 1])}
        self.target_id = int(objects[objects[:, 7] > 0, 1][0]) if (objects[:, 7] > 0).any() else -1
        self.object_ids = list(self.by_object)
        self.images = images


class _MappedFrames:
    """Frames of a rendered flight, mapped, not read."""

    def __init__(self, folder: Path) -> None:
        self.rgb = np.load(folder / "rgb.npy", mmap_mode="r")
        self.tir = np.load(folder / "tir.npy", mmap_mode="r")

    def __call__(self, frame: int) -> AlignedImages:
        return AlignedImages(self.rgb[frame], self.tir[frame])


class _PackedFrames:
    """Frames of a packed flight, decoded when asked for."""

    def __init__(self, pack: Pack, shard: Shard) -> None:
        self._pack, self._shard = pack, shard
        frames, rows = np.unique(shard.rows["frame"], return_index=True)
        self._row_of = dict(zip(frames.tolist(), rows.tolist(), strict=True))

    def __call__(self, frame: int) -> AlignedImages:
        return self._pack.images(self._shard, self._row_of[frame])


def _packed_objects(rows: np.ndarray) -> np.ndarray:
    columns = [rows["frame"], rows["object"], *rows["box"].T]
    columns += [rows["visibility"], rows["is_target"], rows["moving"]]
    return np.stack(columns, axis=1).astype(np.float32)


class SimulatedFlights:
    """Draws template and search frame of one object of one flight, at most 6.7 s apart."""

    def __init__(
        self,
        flights: Sequence[Flight],
        rate_hz: float,
        sizes: CropSizes,
        settings: FlightSettings | None = None,
        dynamic: bool = False,
    ) -> None:
        self.dynamic = dynamic
        self.flights = list(flights)
        self.skipped = SkippedFrames([flight.frames for flight in self.flights])
        self.max_gap = round(MAX_GAP_S * rate_hz)
        self.sizes = sizes
        self.settings = settings or FlightSettings()

    def draw(self, rng: np.random.Generator) -> TrackingSample:
        """One sample before degradation. Raises RejectedSample where the object cannot be used."""
        s = self.settings
        number = int(rng.integers(len(self.flights)))
        flight = self.flights[number]
        if flight.target_id >= 0 and rng.random() < s.scenario_target:
            key = flight.target_id
        else:
            key = flight.object_ids[rng.integers(len(flight.object_ids))]
        rows = flight.by_object[key]
        rows = rows[np.minimum(rows[:, 4], rows[:, 5]) >= s.smallest_px / 1.5]
        rows = rows[np.sqrt(rows[:, 4] * rows[:, 5]) >= s.smallest_px]
        templates = rows[rows[:, 6] >= s.template_visibility]
        if len(templates) == 0:
            raise RejectedSample("object is never large and free enough")
        first = templates[rng.integers(len(templates))]
        later = rows[(np.abs(rows[:, 0] - first[0]) <= self.max_gap) & (rows[:, 6] >= s.search_visibility)]
        if len(later) == 0:
            raise RejectedSample("object is hidden in every frame near the first")
        second = later[rng.integers(len(later))]
        template, search = self._moment(number, first), self._moment(number, second)
        dynamic = self._between(number, templates, first[0], second[0], rng) if self.dynamic else None
        angle = rng.uniform(0, 2 * math.pi)
        reach = rng.uniform(0, min(s.extra_misalignment_px, 0.3 * math.sqrt(first[4] * first[5])))
        return cut_sample(
            template.images,
            template.box,
            search.images,
            search.box,
            self.sizes,
            rng,
            tir_shift_px=(reach * math.cos(angle), reach * math.sin(angle)),
            dynamic=dynamic,
        )

    def _moment(self, number: int, row: np.ndarray) -> Moment:
        """Frame and box of one object's row. Raises RejectedSample where the frame cannot be read."""
        flight, frame = self.flights[number], int(row[0])
        images = self.skipped.read(number, frame, flight.name, lambda: flight.images(frame))
        return Moment(images, Box(*map(float, row[2:6])))

    def _between(
        self, number: int, rows: np.ndarray, first: float, second: float, rng: np.random.Generator
    ) -> Moment | None:
        """One of the object's rows whose frame lies between the two, which may be in either order."""
        low, high = min(first, second), max(first, second)
        rows = rows[(rows[:, 0] > low) & (rows[:, 0] < high)]
        return self._moment(number, rows[rng.integers(len(rows))]) if len(rows) else None


def open_flights(
    folder: str | Path, sizes: CropSizes, held_out: int, dynamic: bool = False
) -> tuple[SimulatedFlights, SimulatedFlights]:
    """Flights to train on and every `held_out`-th one to validate on; the folder may be a pack of flights.

    Raises UsageError if there are none.
    """
    folder = Path(folder)
    if is_pack(folder):
        pack = open_pack(folder, FLIGHTS)
        rate_hz = pack.about["settings"]["rate_hz"]
        flights = [
            Flight(shard.name, _packed_objects(shard.rows), _PackedFrames(pack, shard))
            for shard in pack.shards
            if len(shard.rows)
        ]
    else:
        folders, rate_hz = flight_folders(folder)
        flights = [Flight(path.name, np.load(path / "objects.npy"), _MappedFrames(path)) for path in folders]
    kept = flights[::held_out]
    rest = [flight for i, flight in enumerate(flights) if i % held_out]
    return (
        SimulatedFlights(rest or kept, rate_hz, sizes, dynamic=dynamic),
        SimulatedFlights(kept, rate_hz, sizes, dynamic=dynamic),
    )


def flight_folders(folder: Path) -> tuple[list[Path], float]:
    """Folders of rendered flights and their frames per second. Raises UsageError if they are not there."""
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
    except OSError:
        raise UsageError(
            f"{folder} holds no finished flights; run `python -m training flights --out {folder}`"
        ) from None
    folders = [folder / f"{seed:06d}" for seed in index["seeds"]]
    missing = next((path for path in folders if not (path / "objects.npy").is_file()), None)
    if missing or not folders:
        raise UsageError(
            f"{folder}: flight {missing} is missing; run `python -m training flights --out {folder}` again"
        )
    return folders, index["rate_hz"]
