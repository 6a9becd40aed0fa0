"""The system in one table: everything that runs in flight, how often, in which thread, and in what time.

This is the only place that knows all stages; they know only `edge_rgbt.types`. `run`, `replay`, `demo`,
`bench` and the tests drive the same loop, put together here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_rgbt.adapter import open_adapter
from edge_rgbt.bundle import Bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.register import Registration
from edge_rgbt.runtime.loop import TrackingLoop
from edge_rgbt.thermal import ThermalRange
from edge_rgbt.tracker import Tracker

Pace = Literal["frame", "pair", "second"]
Place = Literal["camera", "loop", "step", "recorder", "link", "health"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the table.

    pace: how often: for every frame of a camera, every pair (at the RGB camera's rate), or once a second.
    place: in whose thread. Each camera has one, so have recorder, every MAVLink endpoint and health; the rest
    happens in the frame loop, `step` within `TrackingLoop.step`, which times it.
    budget_ms: median time on one CPU core for a 640x512 pair, or for both of its frames; None where the
    source, the network, the disk or the consumer decides. family: the only one that has this stage, if not
    all have it.
    """

    name: str
    pace: Pace
    place: Place
    budget_ms: float | None
    what: str
    code: str
    family: str | None = None

    @property
    def in_step(self) -> bool:
        return self.place == "step"

    @property
    def in_loop(self) -> bool:
        """True for what every pair waits for."""
        return self.place in ("loop", "step")


STAGES = (
    Stage("capture", "frame", "camera", None, "a camera or file delivers a frame with its time", "cameras/"),
    Stage("judge", "frame", "loop", 0.5, "a frame's shape, clock and picture are tried",
          "service/intake.py, sync/clocks.py, picture_faults.py"),
    Stage("pair", "frame", "loop", 0.1, "RGB and thermal frames nearest in time become a pair", "sync/"),
    Stage("convert", "pair", "step", 0.2, "NV12, BGR and the like become RGB and grey", "pixels.py"),
    Stage("thermal", "pair", "step", 0.4, "16-bit counts become 8 bits by a slow range", "thermal.py"),
    Stage("register", "pair", "step", 0.9, "thermal moves into the RGB picture's geometry", "register.py"),
    Stage("crop", "pair", "step", 0.3, "search squares around the last box, network size",
          "imageops.py, tracker/"),
    Stage("fuse", "pair", "step", None, "both crops become one image", "adapter/, tracker/inputs.py", "tpf"),
    Stage("infer", "pair", "step", None, "the network scores every cell of the search crop", "engine/"),
    Stage("decode", "pair", "step", 0.2, "best cell to a box in the picture; TRACKING or LOST",
          "imageops.py, tracker/"),
    Stage("output", "pair", "loop", 0.1, "the track goes to whatever wants it", "outputs/, mavlink/"),
    Stage("record", "pair", "loop", 0.3, "frames, pair and track go into the recorder's box",
          "recording/recorder.py"),
    Stage("write", "frame", "recorder", None, "what lies in the box is encoded and brought onto the disk",
          "recording/disk.py"),
    Stage("send", "pair", "link", None, "messages go out to vehicle and ground, others come in", "mavlink/"),
    Stage("health", "second", "health", 20.0, "counters, ages, temperatures, disk; alarms", "health/"),
)  # fmt: skip
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
