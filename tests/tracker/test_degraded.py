"""The tracker with one camera, or none."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from worlds import overlap, path_box, square_pair

from edge_rgbt.bundle import TrackerSettings
from edge_rgbt.errors import UsageError
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, FramePair, TrackStatus, Usable, ValidRegion


@pytest.fixture
def tracker(bundle, engine) -> Tracker:
    """Shows the other camera's brightness for a missing one: the tiny network compares brightness."""
    settings = TrackerSettings(stand_in="other")
    return Tracker(dataclasses.replace(bundle.manifest, tracker=settings), engine)


def seen(t: int, box: Box | None, usable: Usable) -> FramePair:
    """The pair as sync hands it out; what cannot be believed is black."""
    pair = square_pair(t, box)
    if not usable.has(pair.rgb.modality):
        pair.rgb.image[:] = 0
    if not usable.has(pair.tir.modality):
        pair.tir.image[:] = 0
    return dataclasses.replace(pair, usable=usable)


@pytest.mark.parametrize("usable", [Usable.RGB, Usable.TIR])
def test_target_is_followed_with_one_camera_and_the_state_says_which(tracker, usable):
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    states = [tracker.update(seen(t, path_box(t), usable)) for t in range(1, 40)]
    assert {s.usable for s in states} == {usable}
    assert {s.status for s in states} == {TrackStatus.TRACKING}
    assert overlap(states[-1].box, path_box(39)) > 0.5


@pytest.mark.parametrize("rate_hz", [9, 60])
def test_without_any_picture_the_target_is_lost_within_a_second_and_no_network_runs(bundle, rate_hz):
    tracker = Tracker(bundle.manifest, None)  # type: ignore[arg-type]
    tracker.start(square_pair(0, path_box(0)), path_box(0))
    states = []
    for t in range(1, rate_hz + 1):
        pair = seen(0, None, Usable.NONE)
        stamp = t * 1_000_000_000 // rate_hz
        pair = dataclasses.replace(
            pair,
            rgb=dataclasses.replace(pair.rgb, timestamp_ns=stamp),
            tir=dataclasses.replace(pair.tir, timestamp_ns=stamp),
        )
        states.append(tracker.update(pair))
    assert states[-1].status is TrackStatus.LOST
    assert {(s.usable, s.box, s.confidence) for s in states} == {(Usable.NONE, path_box(0), 0.0)}


def test_short_blindness_is_survived(tracker):
    box = path_box(0)
    tracker.start(square_pair(0, box), box)
    for t in range(1, 5):
        tracker.update(square_pair(t, box))
    blind = [tracker.update(seen(t, box, Usable.NONE)) for t in range(5, 10)]
    back = [tracker.update(square_pair(t, box)) for t in range(10, 40)]
    assert TrackStatus.LOST not in {s.status for s in (*blind, *back)}
    assert back[-1].status is TrackStatus.TRACKING


def test_start_without_any_picture_is_refused(tracker):
    with pytest.raises(UsageError, match="no camera delivers a usable picture"):
        tracker.start(seen(0, path_box(0), Usable.NONE), path_box(0))
    assert tracker.status is TrackStatus.IDLE


@pytest.mark.parametrize("usable", [Usable.RGB, Usable.TIR])
def test_start_with_one_camera_goes_on_with_both(tracker, usable):
    tracker.start(seen(0, path_box(0), usable), path_box(0))
    alone = [tracker.update(seen(t, path_box(t), usable)) for t in range(1, 10)]
    both = [tracker.update(square_pair(t, path_box(t))) for t in range(10, 30)]
    assert alone[-1].status is both[-1].status is TrackStatus.TRACKING
    assert overlap(both[-1].box, path_box(29)) > 0.5
    assert both[-1].score > 0.9


def test_target_beyond_the_thermal_picture_is_followed_with_rgb(tracker):
    mask = np.zeros((256, 320), bool)
    mask[:, :150] = True
    region = ValidRegion(mask)

    def pair(t: int) -> FramePair:
        pair = square_pair(t, path_box(t))
        pair.tir.image[:, 150:] = 0
        return dataclasses.replace(pair, tir_region=region)

    tracker.start(pair(0), path_box(0))
    states = [tracker.update(pair(t)) for t in range(1, 40)]
    used = [s.usable for s in states]
    assert used == sorted(used, key=[Usable.BOTH, Usable.RGB].index)
    assert {used[0], used[-1]} == {Usable.BOTH, Usable.RGB}
    assert overlap(states[-1].box, path_box(39)) > 0.5
