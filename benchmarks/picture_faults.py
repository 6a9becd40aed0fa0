"""How well picture faults are told from good pictures, and what that costs.

    python benchmarks/picture_faults.py                      # simulated flights of every preset
    python benchmarks/picture_faults.py --pictures FOLDER    # and every folder of pictures under FOLDER
    python benchmarks/picture_faults.py --cost               # milliseconds per pair of 640x512

A folder of pictures is one camera's sequence; it is thermal if its name says so (i, ir, infrared, tir). With
--single FOLDER every picture stands alone. False alarms are faults found in pictures as they are. Then every
third picture is broken in turn in each way that `tests/broken_pictures.py` knows, and judged after the good
ones before it; a fault of another kind than the injected one counts as found and is listed.

Measured with one sequence each of GTOT, RGBT234 and VTUAV (928 pictures), 530 pictures of LLVIP and RoadScene
and 1 800 simulated ones (all presets): no false alarm. Found: black, one grey, saturated and noise (white,
smeared, compressed) 100 % of 526 per camera and kind; torn with the lower part of the last picture 100 % RGB
and 99.5 % thermal of 437; torn with a lower part that was never delivered, 16 px aside, 71 % and 62 %, and
few below 4 px. Both judgements of a 640x512 pair take 0.25 ms of processor time when no cache holds the
pictures, on a Xeon that other jobs kept busy.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from broken_pictures import BROKEN  # noqa: E402

from edge_rgbt.cameras.images import IMAGE_SUFFIXES, read_rgb, read_thermal  # noqa: E402
from edge_rgbt.cameras.synthetic import SyntheticCamera  # noqa: E402
from edge_rgbt.picture_faults import PictureWatch  # noqa: E402
from edge_rgbt.runtime.measure import MovingTexture  # noqa: E402
from edge_rgbt.sim import make_scenario  # noqa: E402
from edge_rgbt.sim.conditions import PRESETS  # noqa: E402
from edge_rgbt.types import Frame, Modality  # noqa: E402

THERMAL_NAMES = ("i", "ir", "infrared", "tir")
PERIOD_NS = 33_333_333


def folders(root: Path) -> Iterator[tuple[str, Modality, list[Path]]]:
    for folder in sorted({path.parent for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}):
        modality = Modality.TIR if folder.name.lower() in THERMAL_NAMES else Modality.RGB
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        yield str(folder.relative_to(root)), modality, files


def stored(files: list[Path], modality: Modality) -> Iterator[Frame]:
    for number, file in enumerate(files):
        image = read_rgb(file) if modality is Modality.RGB else read_thermal(file)
        yield Frame(image, modality, number * PERIOD_NS, number, str(file))


class Tally:
    """False alarms, what was found of each injected fault, and the time of a judgement."""

    def __init__(self) -> None:
        self.frames = 0
        self.alarms: list[str] = []
        self.tried: Counter[str] = Counter()
        self.found: dict[str, Counter[str]] = defaultdict(Counter)
        self.seconds: list[float] = []

    def run(self, frames: Iterator[Frame], alone: bool = False) -> None:
        """alone: pictures of different places, into which no fault between two frames can be put."""
        rng = np.random.default_rng(0)
        watch, before = None, []
        for frame in frames:
            if watch is None or alone:
                watch, before = PictureWatch(frame.modality), []
            began = time.perf_counter()
            fault = watch.judge(frame)
            self.seconds.append(time.perf_counter() - began)
            self.frames += 1
            if fault is not None:
                self.alarms.append(f"{fault.value} {frame.source}#{frame.sequence}")
            before.append(frame)
            if frame.sequence % 3 == 0 and (alone or len(before) >= 4):
                self._inject(before[-4:], rng)
            del before[:-4]

    def _inject(self, good: list[Frame], rng: np.random.Generator) -> None:
        images = [frame.image for frame in good]
        for name, (wanted, breaking) in BROKEN.items():
            if wanted.value == "torn" and len(good) < 4:
                continue
            watch = PictureWatch(good[-1].modality)
            for frame in good[:-1]:
                watch.judge(frame)
            broken = breaking(images[-1], images[-2] if len(good) > 1 else images[-1], rng)
            fault = watch.judge(dataclasses.replace(good[-1], image=broken))
            self.tried[name] += 1
            self.found[name]["missed" if fault is None else fault.value] += 1

    def print(self, name: str) -> None:
        if not self.frames:
            return
        median_ms = statistics.median(self.seconds) * 1e3
        print(f"{name}: {self.frames} pictures, {len(self.alarms)} false alarms, {median_ms:.3f} ms each")
        for alarm in self.alarms[:20]:
            print(f"    {alarm}")

    def print_rates(self) -> None:
        for name, tried in self.tried.items():
            rest = ", ".join(f"{kind} {count}" for kind, count in self.found[name].most_common())
            print(f"    {name:<40}{1 - self.found[name]['missed'] / tried:>7.1%} of {tried}  ({rest})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=Path, action="append", default=[], help="folders of sequences")
    parser.add_argument("--single", type=Path, action="append", default=[], help="folders of single pictures")
    parser.add_argument("--flights", type=int, default=2, help="simulated flights per preset")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each flight")
    parser.add_argument("--cost", action="store_true", help="measure the time alone")
    args = parser.parse_args()
    if args.cost:
        measure_cost()
        return
    every = {modality: Tally() for modality in Modality}
    for root, alone in [(r, False) for r in args.pictures] + [(r, True) for r in args.single]:
        for name, modality, files in folders(root):
            tally = Tally()
            tally.run(stored(files, modality), alone)
            tally.print(name)
            merge(every[modality], tally)
    for preset in PRESETS if args.flights else ():
        for modality in Modality:
            tally = Tally()
            for seed in range(args.flights):
                camera = SyntheticCamera(make_scenario(seed, preset, args.seconds), modality, 30.0)
                tally.run(iter(camera.read, None))
            tally.print(f"simulated {preset} {modality.value}")
            merge(every[modality], tally)
    for modality, tally in every.items():
        tally.print(f"all {modality.value}")
        tally.print_rates()


def measure_cost(rounds: int = 7, pairs: int = 100) -> None:
    """Processor time per pair: both judgements, in the best and the median of several rounds."""
    texture = MovingTexture(640, 512)
    watches = {modality: PictureWatch(modality) for modality in Modality}
    spent = {modality: [] for modality in Modality}
    for _ in range(rounds):
        for modality in Modality:
            frames = [texture.pair(t)[0].frame(modality) for t in range(pairs)]
            # Every frame in memory of its own, as cameras deliver them: none is in the processor's cache.
            frames = [dataclasses.replace(frame, image=frame.image.copy()) for frame in frames]
            began = time.process_time()
            for frame in frames:
                watches[modality].judge(frame)
            spent[modality].append((time.process_time() - began) * 1e3 / pairs)
    for modality, times in spent.items():
        print(f"{modality.value}: {min(times):.3f} ms at best, {statistics.median(times):.3f} ms median")
    found = {m.value: sum(watch.counts.values()) for m, watch in watches.items()}
    print(f"alarms on the way: {found}")


def merge(into: Tally, tally: Tally) -> None:
    into.frames += tally.frames
    into.alarms += tally.alarms
    into.seconds += tally.seconds
    into.tried += tally.tried
    for name, counts in tally.found.items():
        into.found[name] += counts


if __name__ == "__main__":
    main()
