"""The tracking state machine: idle, started on a box, updated pair by pair, stopped."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from edge_rgbt.adapter.base import Adapter
from edge_rgbt.engine.base import Engine
from edge_rgbt.errors import UsageError
from edge_rgbt.imageops import clip_box, crop_geometry
from edge_rgbt.manifest import Manifest
from edge_rgbt.tracker.confidence import Confidence, Evidence, ScoreMemory
from edge_rgbt.tracker.decode import MapReader, Sighting, require_finite, resized
from edge_rgbt.tracker.hunt import Hunt, Watch
from edge_rgbt.tracker.inputs import make_inputs
from edge_rgbt.tracker.presence import Presence
from edge_rgbt.tracker.recognition import Recognition
from edge_rgbt.tracker.size_memory import SizeMemory
from edge_rgbt.types import Box, FramePair, Modality, StageTiming, TrackState, TrackStatus, Usable

# A first box this many times as wide or high as the picture is a mistake (wrong units, wrong order).
LARGEST_START = 4.0
# A box that is right more often than not is trusted.
TRUSTED = 0.5
# The thermal camera counts as blind to a box of which it sees less than this.
SEEN_SHARE = 0.5


class Tracker:
    """Single-object tracker over aligned pairs; owns the boxes and the status; its inputs, the templates.

    adapter: what fuses crops, for the family that tracks in fused images.
    The box is always finite and inside the picture. While TRACKING or UNCERTAIN it follows the network; when
    LOST it stays where it was last trusted, and every pair's one run of the network searches for the target.
    """

    def __init__(self, manifest: Manifest, engine: Engine, adapter: Adapter | None = None) -> None:
        self._inputs = make_inputs(manifest, adapter)
        self.manifest = manifest
        self.engine = engine
        self.adapter = adapter
        settings = manifest.tracker
        self._reader = MapReader(manifest)
        self._confidence = Confidence(manifest)
        self._memory = ScoreMemory()
        self._presence = Presence(settings)
        self._recognition = Recognition()
        limits = settings.found_above, settings.found_likeness, settings.found_ms
        self._hunt = Hunt(settings.search_growth_per_s, *limits)
        self._watch = Watch(*limits)  # of the followed box, while it is UNCERTAIN
        self._size_memory = SizeMemory(settings.size_rate_per_s, settings.size_band)
        self._box: Box | None = None  # where the network last saw the target, or the place when LOST
        self._trusted: Box | None = None  # the last box that was trusted
        self._trusted_ns = 0
        self._identity = 1.0  # how sure it is that the thing in the box is the one that was given
        self._seen_ns = 0
        self.evidence = Evidence(1.0, 0.0, 1.0, 1.0)  # for the last pair's box; fitting reads it

    @property
    def status(self) -> TrackStatus:
        return TrackStatus.IDLE if self._box is None else self._presence.status

    @property
    def score_map(self) -> np.ndarray | None:
        """The network's last score map; None before the first."""
        return self._reader.score_map

    def start(self, pair: FramePair, box: Box) -> TrackState:
        """Takes what lies in `box` as the template. Raises UsageError if the box is impossible or unseen."""
        _require_aligned(pair)
        _require_possible(box, pair)
        usable = _seen_around(box, pair)
        if usable is Usable.NONE:
            raise UsageError(
                f"no camera delivers a usable picture of start box {_text(box)}; give it again when one does"
            )
        timings = self._inputs.start(pair, box, usable)
        now_ns = pair.timestamp_ns
        self._box, self._seen_ns = box, now_ns
        self._trust(box, now_ns)
        self._identity = 1.0
        self._presence.start(now_ns)
        self._memory.start(now_ns)
        self._size_memory.reset(box.w, box.h, now_ns)
        self._recognition.start(pair, box, usable)
        self._reader.score_map = None
        status = TrackStatus.TRACKING
        return TrackState(box, 1.0, status, now_ns, pair.skew_ns, timings, 1.0, usable)

    def update(self, pair: FramePair) -> TrackState:
        """Finds the target in the next pair.

        A modality that cannot be used is made up for; with none the network does not run, and the status goes
        to LOST as if nothing had been found. Raises EngineError if the engine fails or answers with NaN or
        infinity; the last box stays.
        """
        _require_aligned(pair)
        if self._box is None:
            raise RuntimeError("the tracker has no target; call start first")
        m, searching = self.manifest, self._presence.status is TrackStatus.LOST
        around = self._hunt.aim(pair.rgb.width, pair.rgb.height) if searching else self._box
        usable = _seen_around(around, pair)
        if usable is Usable.NONE:
            return self._pass_blind(pair)
        geometry = crop_geometry(around, m.search_factor, m.search_size)
        feeds, prepared = self._inputs.search(pair, geometry, usable)
        t0 = time.perf_counter_ns()
        maps = self.engine.run(feeds)
        t1 = time.perf_counter_ns()
        require_finite(maps, self.engine.info, pair.timestamp_ns)
        sighting = self._reader.read(maps, geometry, around, searching and not self._hunt.confirming)
        take = self._search if searching else self._follow
        confidence, trusted = take(pair, usable, sighting)
        self._seen_ns = pair.timestamp_ns
        t2 = time.perf_counter_ns()
        complete = trusted and usable is Usable.BOTH
        settled = self._inputs.settle(pair, self._box, sighting.cell_score, complete)
        answered = (StageTiming("infer", t1 - t0), StageTiming("decode", t2 - t1))
        timings = _summed((*prepared, *answered, *settled))
        return self._state(pair, usable, sighting.score, confidence, timings)

    def stop(self) -> None:
        """Forgets the target; `start` takes up another one."""
        self._box = None
        self._reader.score_map = None

    def close(self) -> None:
        """Releases the engine and the adapter; the tracker cannot be used afterwards."""
        self.stop()
        self._inputs.close()
        self.engine.close()

    def _follow(self, pair: FramePair, usable: Usable, sighting: Sighting) -> tuple[float, bool]:
        """The target is where the network says, or was not seen. Confidence, and whether it is trusted."""
        self._box = self._bounded(pair, sighting)
        confidence = self._weigh(pair, usable, sighting, self._box)
        if self._presence.status is TrackStatus.UNCERTAIN:
            confidence = self._recognised(pair, usable, sighting, confidence)
        else:
            self._watch.begin()
        confidence *= self._identity
        trusted = self._settle_status(pair, confidence)
        if trusted:
            self._recognition.remember(pair, self._box, usable)
        return confidence, trusted

    def _search(self, pair: FramePair, usable: Usable, sighting: Sighting) -> tuple[float, bool]:
        """The target is somewhere else; it is taken up again when it shows for long enough."""
        now_ns, watching = pair.timestamp_ns, self._hunt.confirming
        seen = self._bounded(pair, sighting) if watching else self._clipped(pair, sighting.xywh)
        self._memory.start(now_ns, sighting.cell_score)
        confidence = self._weigh(pair, usable, sighting, seen)
        elapsed_ns = max(0, now_ns - self._seen_ns)
        found = self._hunt.judge(elapsed_ns, seen, confidence, self.evidence.likeness)
        if not watching:
            self._size_memory.reset(seen.w, seen.h, now_ns)
        if found:
            self._presence.find(now_ns)
            self._box = seen
            self._trust(seen, now_ns)
            self._identity = self._confidence.found_right
        return self._identity * confidence, found

    def _recognised(self, pair: FramePair, usable: Usable, sighting: Sighting, confidence: float) -> float:
        """The confidence in an UNCERTAIN box, which forgets the doubt once it looks like the target again."""
        elapsed_ns = max(0, pair.timestamp_ns - self._seen_ns)
        fresh = self._confidence.of(dataclasses.replace(self.evidence, remembered=self.evidence.score))
        if not self._watch.see(elapsed_ns, fresh, self.evidence.likeness):
            return confidence
        self._memory.start(pair.timestamp_ns, sighting.cell_score)
        return fresh

    def _weigh(self, pair: FramePair, usable: Usable, sighting: Sighting, box: Box) -> float:
        """The confidence in a box that was just seen."""
        tracking = self._presence.status is TrackStatus.TRACKING
        compare = self._recognition.recent_likeness if tracking else self._recognition.likeness
        self.evidence = Evidence(
            score=sighting.cell_score,
            rival=sighting.rival_score,
            remembered=self._memory.update(pair.timestamp_ns, sighting.cell_score),
            likeness=compare(pair, box, usable),
        )
        return self._confidence.of(self.evidence)

    def _settle_status(self, pair: FramePair, confidence: float) -> bool:
        """True if the box is trusted now. A target that is LOST goes back to where it was trusted last."""
        assert self._box is not None
        assert self._trusted is not None
        status = self._presence.update(pair.timestamp_ns, confidence)
        if status is TrackStatus.LOST:
            self._box = self._clipped(pair, self._trusted.as_tuple())
            self._hunt.start(self._box, max(0, pair.timestamp_ns - self._trusted_ns))
        trusted = status is TrackStatus.TRACKING and confidence >= TRUSTED
        if trusted:
            self._trust(self._box, pair.timestamp_ns)
        return trusted

    def _trust(self, box: Box, now_ns: int) -> None:
        self._trusted, self._trusted_ns = box, now_ns

    def _pass_blind(self, pair: FramePair) -> TrackState:
        """No picture: nothing is claimed and nothing is searched, but time passes."""
        if self._presence.status is not TrackStatus.LOST:
            self._settle_status(pair, 0.0)
        self._seen_ns = pair.timestamp_ns
        return self._state(pair, Usable.NONE, 0.0, 0.0, ())

    def _bounded(self, pair: FramePair, sighting: Sighting) -> Box:
        xywh = sighting.xywh
        if self.manifest.tracker.size_rate_per_s:
            xywh = resized(xywh, *self._size_memory.bounded(xywh[2], xywh[3], pair.timestamp_ns))
        return self._clipped(pair, xywh)

    def _clipped(self, pair: FramePair, xywh: tuple[float, float, float, float]) -> Box:
        return clip_box(xywh, pair.rgb.width, pair.rgb.height, self.manifest.tracker.clip_margin_px)

    def _state(
        self,
        pair: FramePair,
        usable: Usable,
        score: float,
        confidence: float,
        timings: tuple[StageTiming, ...],
    ) -> TrackState:
        assert self._box is not None
        now_ns = pair.timestamp_ns
        return TrackState(
            box=self._box,
            score=score,
            status=self._presence.status,
            timestamp_ns=now_ns,
            skew_ns=pair.skew_ns,
            timings=timings,
            confidence=0.0 if self.status is TrackStatus.LOST else confidence,
            usable=usable,
            unconfirmed_ns=max(0, now_ns - self._trusted_ns),
        )


def _summed(timings: tuple[StageTiming, ...]) -> tuple[StageTiming, ...]:
    """One entry per stage, in the order in which they began."""
    sums: dict[str, int] = {}
    for timing in timings:
        sums[timing.stage] = sums.get(timing.stage, 0) + timing.duration_ns
    return tuple(StageTiming(stage, duration) for stage, duration in sums.items())


def _seen_around(box: Box, pair: FramePair) -> Usable:
    """The cameras whose picture can be believed and that see this box."""
    usable, region = pair.usable, pair.tir_region
    if region is None or not usable.has(Modality.TIR):
        return usable
    within = region.share(box.x, box.y, box.x + box.w, box.y + box.h) >= SEEN_SHARE
    return Usable.of(usable.has(Modality.RGB), within)


def _require_possible(box: Box, pair: FramePair) -> None:
    width, height = pair.rgb.width, pair.rgb.height
    if not box.touches(width, height):
        raise UsageError(
            f"start box {_text(box)} lies outside the {width}x{height} picture; give x,y,w,h in pixels"
        )
    if box.w > LARGEST_START * width or box.h > LARGEST_START * height:
        raise UsageError(f"start box {_text(box)} is far larger than the {width}x{height} picture")


def _require_aligned(pair: FramePair) -> None:
    if not pair.aligned:
        raise ValueError("the tracker takes aligned pairs; pass them through register first")


def _text(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box.as_tuple())
