"""What can be seen of a run: progress, log, TensorBoard, pictures, a stop at NaN, and a page at the end."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor
from tqdm import tqdm

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.files import atomic_path
from edge_rgbt.machine import describe_machine
from training.engine.processes import Team
from training.engine.run_log import append_log, read_log, rewind_log, skipped_frames, write_summary
from training.engine.settings import EngineSettings

PICTURES, PAGE, TENSORBOARD = "pictures", "index.html", "tensorboard"


class Watch:
    """Every process has one; only the leader's writes and speaks."""

    def __init__(
        self,
        out: Path,
        team: Team,
        settings: EngineSettings,
        first: int,
        total: int,
        batch: int,
        skipped: Callable[[], list[str]] = list,
    ) -> None:
        """first: steps already done; what a stopped run logged after them is taken out. batch: of all.

        skipped: the frames that this process could not read since it was last called, each with its path.
        """
        self.out, self.team, self.settings, self.batch = out, team, settings, batch
        self.first, self.total, self.started = first, total, time.monotonic()
        self.skipped, self.named = skipped, set[str]()
        self.writer: Any = None
        # Samples, not steps, so that the bar shows samples per second and the time left.
        self.bar = tqdm(
            initial=first * batch,
            total=total * batch,
            unit=" samples",
            desc=out.name,
            mininterval=5,
            smoothing=0.05,
            disable=not team.leads,
        )
        if team.leads:
            rewind_log(out, first)
            self.named = set(skipped_frames(read_log(out)))
            self.writer = _tensorboard(out, first) if settings.tensorboard else None

    def step(self, step: int, parts: Mapping[str, Tensor], **numbers: float | Tensor) -> None:
        """After each step: moves the bar; every `log_every` steps writes the mean parts of all processes.

        numbers: values beside them that are the same in all processes, such as the rate.
        """
        self.bar.update(self.batch)
        if step % self.settings.log_every:
            return
        self._name_skipped(step)
        values = self.team.mean(parts) | {name: float(value) for name, value in numbers.items()}
        if self.team.leads:
            seconds = time.monotonic() - self.started
            speed = round((step - self.first) * self.batch / seconds, 1)
            entry = {name: _short(value) for name, value in values.items()}
            append_log(self.out, {**entry, "step": step, "samples_per_s": speed})
            self.scalars("train", {**values, "samples_per_s": speed}, step)
            shown = {name: entry[name] for name in ("total", "iou") if name in entry}
            self.bar.set_postfix(shown, refresh=False)

    def validation(self, step: int, values: Mapping[str, float], picture: np.ndarray | None = None) -> None:
        """Logs one validation, with a picture of some of its crops."""
        if not self.team.leads:
            return
        append_log(self.out, {"step": step, "validation": {k: _short(v) for k, v in values.items()}})
        self.scalars("validation", values, step)
        if picture is not None:
            with atomic_path(self.out / PICTURES / f"step-{step:07d}.jpg") as part:
                _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                part.write_bytes(data.tobytes())
            if self.writer is not None:
                self.writer.add_image("validation/crops", picture, step, dataformats="HWC")

    def _name_skipped(self, step: int) -> None:
        """Logs every frame that a process gave up and that was not logged before; every process calls it."""
        frames = {frame for of_process in self.team.gather(self.skipped()) for frame in of_process}
        if self.team.leads:
            for frame in sorted(frames - self.named):
                append_log(self.out, {"step": step, "skipped": frame})
            self.named |= frames

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Writes numbers to TensorBoard, if it is there."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(f"{group}/{name}", value, step)

    def finish(self, recipe: dict[str, Any]) -> dict[str, Any] | None:
        """Closes the bar and writes summary and page; returns the summary, None where not leading.

        Every process must call it.
        """
        self.bar.close()
        self._name_skipped(self.total)
        if self.writer is not None:
            self.writer.close()
        if not self.team.leads:
            return None
        summary = write_summary(self.out, recipe, describe_machine())
        if self.settings.page:
            write_page(self.out, summary)
        return summary


def require_finite(
    parts: Mapping[str, Tensor], arrays: Mapping[str, Tensor], out: Path, step: int, team: Team
) -> None:
    """Raises EdgeRgbtError if the total is NaN or infinite; keeps this process's batch beside the log."""
    total = parts["total"].item()
    if math.isfinite(total):
        return
    kept = out / ("bad_batch.npz" if team.size == 1 else f"bad_batch-{team.rank}.npz")
    with atomic_path(kept) as part, part.open("wb") as file:
        np.savez(file, **{name: value.numpy() for name, value in arrays.items()})  # type: ignore[arg-type]
    raise EdgeRgbtError(f"loss is {total} at step {step}; batch kept in {kept}")


def write_page(out: Path, summary: dict[str, Any]) -> None:
    """`index.html` in the run's folder: curves, last validation, sample pictures; a note if it cannot be."""
    try:
        from edge_rgbt.report.training_page import write_training_report
    except EdgeRgbtError as missing:  # the report's libraries are an extra of their own
        print(f"no {PAGE}: {missing}")
        return
    pictures = [
        (
            np.ascontiguousarray(np.asarray(cv2.imread(str(path)))[..., ::-1]),
            f"after {int(path.stem[5:])} steps",
        )
        for path in sorted((out / PICTURES).glob("step-*.jpg"))[-1:]
    ]
    write_training_report(out / PAGE, out.name, summary, read_log(out), pictures)


def _tensorboard(out: Path, first: int) -> Any:
    """A writer; None with a note where the library is not installed."""
    try:
        writer = importlib.import_module("tensorboardX")
    except ImportError:
        print("no TensorBoard files: tensorboardX is not installed; the log has the same numbers")
        return None
    return writer.SummaryWriter(str(out / TENSORBOARD), purge_step=first + 1 if first else None)


def _short(value: float) -> float:
    """Six significant digits, which read well and lose nothing that matters."""
    return float(f"{value:.6g}")
