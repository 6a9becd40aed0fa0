"""How far a replay is: a bar on a terminal, one line per sequence elsewhere. All on standard error."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

from edge_rgbt.replay.results import SequenceRun, rules_for


class Progress:
    """Counts frames; shows rate and time left if somebody watches.

    total_frames, sequences: of the whole run. Use as a context manager.
    """

    def __init__(self, total_frames: int, sequences: int) -> None:
        self._watched = sys.stderr.isatty()
        self._sequences, self._done = sequences, 0
        self._bar = tqdm(
            total=total_frames or None,
            unit=" frames",
            dynamic_ncols=True,
            disable=not self._watched,
            file=sys.stderr,
        )

    def advance(self, frames: int = 1) -> None:
        """So many more frames were tracked."""
        self._bar.update(frames)

    def finished(self, run: SequenceRun) -> None:
        """One sequence is through."""
        self._done += 1
        tracked = int(run.tracked.sum())
        parts = [f"{len(run.boxes)} frames", f"{tracked / max(run.wall_s, 1e-9):.1f} frames/s"]
        if run.dropped:
            parts.append(f"{run.dropped} dropped")
        if run.score:
            values = " ".join(f"{metric} {value:.3f}" for metric, value in run.score.values.items())
            parts.append(f"{values} ({rules_for(run.dataset).label})")
        self._line(f"[{self._done}/{self._sequences}] {run.name}: {', '.join(parts)}")
        if run.note:
            self._line(f"edge-rgbt replay: {run.name}: {run.note}")

    def failed(self, fault: str) -> None:
        """One sequence could not be tracked."""
        self._done += 1
        self._line(f"edge-rgbt replay: {fault}")

    def note(self, text: str) -> None:
        """Something worth knowing that is no fault."""
        self._line(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def _line(self, text: str) -> None:
        if self._watched:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)
