"""How fast the simulated cameras render: median milliseconds per camera, and pairs per second.

    python benchmarks/sim_rate.py [--seeds 8] [--frames 60] [--threads 1]

Prints one line per flight. Wall time and processor time are both given: on a busy machine only the second
tells what the rendering costs. World building is timed apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np

from edge_rgbt.sim import make_scenario


def measure(render: Callable[[int], np.ndarray], frames: int) -> tuple[float, float]:
    """Median wall and processor milliseconds per image over consecutive frames at 30 Hz."""
    wall, cpu = [], []
    for number in range(frames):
        t_ns = number * 33_333_333
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        render(t_ns)
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
    return float(np.median(wall[3:])) * 1e3, float(np.median(cpu[3:])) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=8, help="flights to render (default 8)")
    parser.add_argument("--frames", type=int, default=60, help="pairs per flight (default 60)")
    parser.add_argument("--threads", type=int, help="threads that OpenCV may use (default: its own choice)")
    args = parser.parse_args()
    if args.threads:
        cv2.setNumThreads(args.threads)
    rates = []
    print(f"640x512, {cv2.getNumThreads()} OpenCV threads, OpenCV {cv2.__version__}; median ms per image")
    print(f"{'seed':>4} {'preset':>9} {'build s':>8} {'RGB':>6} {'thermal':>8} {'CPU':>6} {'pairs/s':>8}")
    for seed in range(args.seeds):
        start = time.perf_counter()
        scenario = make_scenario(seed, seconds=args.frames / 30 + 1)
        build_s = time.perf_counter() - start
        rgb_ms, rgb_cpu = measure(scenario.render_rgb, args.frames)
        tir_ms, tir_cpu = measure(scenario.render_tir, args.frames)
        rates.append(1e3 / (rgb_ms + tir_ms))
        print(
            f"{seed:>4} {scenario.conditions.preset:>9} {build_s:>8.2f} {rgb_ms:>6.1f} {tir_ms:>8.1f}"
            f" {rgb_cpu + tir_cpu:>6.1f} {rates[-1]:>8.1f}"
        )
    print(f"median {np.median(rates):.1f} pairs/s, worst {min(rates):.1f} pairs/s")


if __name__ == "__main__":
    main()
