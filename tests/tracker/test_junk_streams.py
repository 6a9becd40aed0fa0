"""The shipped network on streams that show nothing: the loss is said in time, and the box stays in bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from worlds import square_pair

from edge_rgbt.bundle import load_bundle
from edge_rgbt.engine import open_engine
from edge_rgbt.picture_faults import PictureWatch
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, Frame, FramePair, Modality, TrackState, TrackStatus, Usable

RATE_HZ = 15
SIZE = (256, 320)
START = Box(140.0, 110.0, 24.0, 30.0)
Pictures = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def shipped():
    bundle = load_bundle()
    engine = open_engine(bundle, threads=1)
    yield bundle.manifest, engine
    engine.close()


def black(rng: np.random.Generator) -> Pictures:
    return np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)


def saturated(rng: np.random.Generator) -> Pictures:
    return np.full((*SIZE, 3), 255, np.uint8), np.full(SIZE, 255, np.uint8)


def noise(rng: np.random.Generator) -> Pictures:
    return rng.integers(0, 256, (*SIZE, 3), np.uint8), rng.integers(0, 256, SIZE, np.uint8)


def sensor_noise(rng: np.random.Generator) -> Pictures:
    rgb, tir = rng.normal(20, 4, (*SIZE, 3)), rng.normal(120, 6, SIZE)
    return rgb.clip(0, 255).astype(np.uint8), tir.clip(0, 255).astype(np.uint8)


def tracked(shipped, pictures: Callable[[np.random.Generator], Pictures], seconds: float) -> list[TrackState]:
    """A second on a still target, then the stream; the states of the stream."""
    tracker, rng = Tracker(*shipped), np.random.default_rng(3)
    tracker.start(square_pair(0, START), START)
    states = []
    for number in range(1, round((1.0 + seconds) * RATE_HZ) + 1):
        stamp = number * 1_000_000_000 // RATE_HZ
        pair = square_pair(number, START)
        shown = pictures(rng) if number > RATE_HZ else (pair.rgb.image, pair.tir.image)
        rgb, tir = (
            Frame(image, modality, stamp, number) for image, modality in zip(shown, Modality, strict=True)
        )
        state = tracker.update(FramePair(rgb, tir, aligned=True))
        if number > RATE_HZ:
            states.append(state)
    return states


@pytest.mark.parametrize("pictures", [black, saturated, noise, sensor_noise], ids=lambda f: f.__name__)
def test_stream_without_content_is_lost_within_a_second_even_if_no_judge_saw_it(shipped, pictures):
    states = tracked(shipped, pictures, 1.0)
    assert states[-1].status is TrackStatus.LOST


@pytest.mark.slow
@pytest.mark.parametrize("pictures", [black, saturated, noise, sensor_noise], ids=lambda f: f.__name__)
def test_box_neither_grows_nor_leaves_the_picture_on_a_stream_without_content(shipped, pictures):
    for state in tracked(shipped, pictures, 4.0):
        box = state.box
        assert 0 <= box.x < box.x + box.w <= SIZE[1]
        assert 0 <= box.y < box.y + box.h <= SIZE[0]
        assert box.w * box.h <= 16 * START.w * START.h


def test_frozen_stream_is_lost_within_a_second_by_the_judge_of_pictures(shipped):
    tracker, judges = Tracker(*shipped), {modality: PictureWatch(modality) for modality in Modality}
    rng, still = np.random.default_rng(0), square_pair(0, START)
    tracker.start(still, START)
    state, frozen_at_ns = None, 0
    for number in range(1, 40):
        stamp = number * 1_000_000_000 // RATE_HZ
        images = [still.frame(modality).image for modality in Modality]
        if number < 15:
            images = [image + rng.integers(0, 3, image.shape, np.uint8) for image in images]
        frames = [Frame(image, m, stamp, number) for image, m in zip(images, Modality, strict=True)]
        sound = [judges[f.modality].judge(f) is None for f in frames]
        if number < 15:
            frozen_at_ns = stamp
        pair = dataclasses.replace(FramePair(*frames, aligned=True), usable=Usable.of(*sound))
        state = tracker.update(pair)
        if stamp - frozen_at_ns >= 1_000_000_000:
            break
    assert state is not None
    assert (state.status, state.usable) == (TrackStatus.LOST, Usable.NONE)
