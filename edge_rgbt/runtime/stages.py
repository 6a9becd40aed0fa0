"""The system in one table: what happens to a pair of frames, in order, and how long each step may take.

This is the only place that knows all stages; they know only `edge_rgbt.types`. `run`, `replay`, `demo`,
`bench` and the tests drive the same loop, put together here.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_rgbt.adapter import open_adapter
from edge_rgbt.bundle import Bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.register import Registration
from edge_rgbt.runtime.loop import TrackingLoop
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the table.

    budget_ms: median time on one CPU core for a 640x512 pair; None where the source, the network or the
    consumer decides. in_step: done and timed by `TrackingLoop.step`; the others happen before or after it.
    family: the only one that has this stage, if not all have it.
    """

    name: str
    what: str
    code: str
    budget_ms: float | None
    in_step: bool
    family: str | None = None


STAGES = (
    Stage("capture", "a camera or file delivers a frame with its time", "cameras/", None, False),
    Stage("judge", "pictures that show nothing trackable are found out", "picture_faults.py", 0.3, False),
    Stage("pair", "RGB and thermal frames nearest in time become a pair", "sync/", 0.1, False),
    Stage("convert", "what cameras deliver (NV12, BGR, ...) becomes RGB and grey", "pixels.py", 0.2, True),
    Stage("thermal", "16-bit counts become 8 bits by a slow percentile map", "thermal.py", 0.4, True),
    Stage("register", "thermal moves into the RGB picture's geometry", "register.py", 0.9, True),
    Stage("crop", "search squares around the last box, network size", "imageops.py, tracker/", 0.3, True),
    Stage("fuse", "both crops become one image", "adapter/, tracker/inputs.py", None, True, "tpf"),
    Stage("infer", "the network scores every cell of the search crop", "engine/", None, True),
    Stage(
        "decode", "best cell to a box in the picture; TRACKING or LOST", "imageops.py, tracker/", 0.2, True
    ),
    Stage("output", "MAVLink, files, video: whatever wants the track", "outputs/", None, False),
)
STEP_STAGES = tuple(stage.name for stage in STAGES if stage.in_step)


def step_stages(family: str) -> tuple[str, ...]:
    """The stages of `TrackingLoop.step` with a bundle of this family, in order."""
    return tuple(s.name for s in STAGES if s.in_step and s.family in (None, family))


def open_loop(
    bundle: Bundle,
    engine: str = "onnx",
    threads: int | None = None,
    registration: Registration | None = None,
) -> TrackingLoop:
    """A loop ready to start on a target; without a registration, pictures must be of equal size and view."""
    weights = bundle.adapter()
    adapter = None if weights is None else open_adapter(weights, threads)
    tracker = Tracker(bundle.manifest, open_engine(bundle, engine, threads), adapter)
    return TrackingLoop(tracker, ThermalRange(), registration)
