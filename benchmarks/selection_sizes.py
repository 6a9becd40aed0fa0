"""How large targets are in the picture: which share of views a smallest selection would refuse.

    python benchmarks/selection_sizes.py [--seeds 12] [--json]

Simulated flights of 20 s at 640x512, the truth's box every 2 s where most of the target is in view.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from edge_rgbt.sim import make_scenario
from edge_rgbt.types import Modality

SECONDS, EVERY_S, MOST_HIDDEN = 20, 2, 0.4
SHARES = (0.002, 0.0002)
SIDE_PX = 8.0


def views(seed: int) -> list[tuple[float, float]]:
    """Of one flight: the box's share of the picture, its smaller side in pixels."""
    scenario, found = make_scenario(seed, seconds=SECONDS), []
    for second in range(0, SECONDS, EVERY_S):
        truth = scenario.truth(second * 10**9, Modality.RGB)
        if truth.box is None or truth.visibility < 1 - MOST_HIDDEN:
            continue
        camera = scenario.view(second * 10**9, Modality.RGB).intrinsics
        box = truth.box
        found.append((box.w * box.h / (camera.width * camera.height), min(box.w, box.h)))
    return found


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    shares, sides = np.array([view for seed in range(1, args.seeds + 1) for view in views(seed)]).T
    result = {
        "views": len(shares),
        "median_share": round(float(np.median(shares)), 5),
        "refused_below": {
            f"{least:.2%} of the area": round(float((shares < least).mean()), 3) for least in SHARES
        },
        f"refused_below_{SIDE_PX:g}_px": round(float((sides < SIDE_PX).mean()), 3),
    }
    print(json.dumps(result) if args.json else "\n".join(f"{key}: {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
