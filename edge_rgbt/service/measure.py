"""What a pair costs in flight: the whole service at 30 Hz, on cameras that cost nothing. For `bench`."""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_rgbt.bundle import Bundle
from edge_rgbt.cameras.base import Camera
from edge_rgbt.cameras.playback import Playback
from edge_rgbt.cameras.settings import CameraSettings
from edge_rgbt.mavlink.settings import MavlinkSettings
from edge_rgbt.rig import SCHEMA, Homography, Rig, RigCamera
from edge_rgbt.runtime.measure import MovingTexture, slight_warp
from edge_rgbt.runtime.stages import STAGES
from edge_rgbt.service.service import Service
from edge_rgbt.service.settings import Cameras, ServicePlan, ServiceSettings, Target, Tracking
from edge_rgbt.types import Frame, Modality, TimeSource

RATE_HZ = 30.0
_PERIOD_NS = round(1e9 / RATE_HZ)


class TextureCamera(Camera):
    """One camera of the endless texture, live at 30 Hz; every frame is an array of its own, as real ones."""

    def __init__(self, modality: Modality, texture: MovingTexture, epoch_ns: int) -> None:
        """epoch_ns: when frame 0 is taken, on the monotonic clock."""
        self.modality, self.name = modality, f"texture-{modality.value}"
        self._texture, self._epoch_ns, self._next = texture, epoch_ns, 0

    def read(self) -> Frame:
        k = max(self._next, (time.monotonic_ns() - self._epoch_ns) // _PERIOD_NS)
        self._next = k + 1
        view = self._texture.pair(k)[0].frame(self.modality)
        image, taken_ns = np.ascontiguousarray(view.image), self._epoch_ns + k * _PERIOD_NS
        time.sleep(max(0, taken_ns - time.monotonic_ns()) / 1e9)
        return Frame(image, self.modality, taken_ns, k, self.name, time_source=TimeSource.SENSOR)


def measure_flight(
    bundle: Bundle, engine: str, threads: int | None, seconds: float, size: tuple[int, int], warp: bool
) -> dict[str, object]:
    """Flies for so long, with recorder, MAVLink and health at work; the times of all stages.

    outside_engine_ms: sum of the medians of what a pair waits for besides the network.
    """
    texture = MovingTexture(*size)
    epoch_ns = time.monotonic_ns() + 500_000_000

    def make(settings: CameraSettings, modality: Modality, playback: Playback) -> Camera:
        return TextureCamera(modality, texture, epoch_ns)

    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground,
    ):
        ground.bind(("127.0.0.1", 0))  # somebody to speak to, who does not listen
        plan = _plan(texture, engine, threads, size, warp, ground.getsockname()[1])
        service = Service(plan, bundle, Path(folder), make)
        report = service.run(seconds)
        numbers = service.accounts.numbers(service.statistics)
    stages = {**service.statistics.summary(), **service.accounts.health_summary()}
    waited_for = {stage.name for stage in STAGES if stage.in_loop and stage.name != "infer"}
    return {
        "rate_hz": RATE_HZ,
        "pairs": report.pairs,
        "stages": {stage.name: stages[stage.name] for stage in STAGES if stage.name in stages},
        "outside_engine_ms": round(sum(row["p50_ms"] for n, row in stages.items() if n in waited_for), 3),
        "frame_age_p50_ms": numbers.frame_age_p50_ms,
        "frame_age_p99_ms": numbers.frame_age_p99_ms,
    }


def _plan(
    texture: MovingTexture, engine: str, threads: int | None, size: tuple[int, int], warp: bool, port: int
) -> ServicePlan:
    width, height = size

    def camera(pixel_format: str) -> CameraSettings:
        return CameraSettings(
            "v4l2", device="/dev/null", pixel_format=pixel_format, width_px=width, height_px=height,
            rate_hz=RATE_HZ,
        )  # fmt: skip

    box = texture.pair(0)[1]
    settings = ServiceSettings(
        cameras=Cameras(camera("RGB"), camera("GRAY16")),
        tracking=Tracking(engine=engine, threads=threads),
        target=Target(box_px=box.as_tuple()),
        mavlink=MavlinkSettings(url=(f"udpout:127.0.0.1:{port}",), sysid=1),
    )
    return ServicePlan(settings, Path(), _rig(size) if warp else None, "", "")


def _rig(size: tuple[int, int]) -> Rig:
    rows = tuple(tuple(float(v) for v in row) for row in slight_warp(size))
    return Rig(
        schema=SCHEMA,
        made="2026-01-01T00:00:00Z",
        made_by="edge-rgbt bench",
        rgb=RigCamera("texture", *size),
        tir=RigCamera("texture", *size),
        homography=Homography(rows, 1.0, 1000.0, 0.0),  # type: ignore[arg-type]
    )
