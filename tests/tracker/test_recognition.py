"""Whether something looks like the target did."""

from __future__ import annotations

import numpy as np
import pytest

from edge_rgbt.bundle import TrackerSettings
from edge_rgbt.tracker.recognition import Recognition
from edge_rgbt.types import Box, Frame, FramePair, Modality, Usable

LIMIT = TrackerSettings().found_likeness
_DARKEST = {1: 20, 2: 130}
HERE, THERE = Box(60, 50, 24, 24), Box(140, 70, 24, 24)


def picture(patches: dict[Box, int], t_ns: int = 0, gain: float = 1.0) -> FramePair:
    """Textured squares on even ground, each of its own seed and brightness; `gain` brightens everything."""
    rgb, tir = np.full((160, 240, 3), 90, np.uint8), np.full((160, 240), 90, np.uint8)
    for box, seed in patches.items():
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 70, (2, 6, 6)) + _DARKEST[seed]
        area = np.s_[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)]
        rgb[area] = np.kron(coarse[0], np.ones((4, 4)))[..., None]
        tir[area] = np.kron(coarse[1], np.ones((4, 4)))
    rgb, tir = (np.rint(image * gain).astype(np.uint8) for image in (rgb, tir))
    return FramePair(Frame(rgb, Modality.RGB, t_ns, 0), Frame(tir, Modality.TIR, t_ns, 0), aligned=True)


@pytest.fixture
def recognition() -> Recognition:
    recognition = Recognition()
    recognition.start(picture({HERE: 1}), HERE, Usable.BOTH)
    return recognition


def test_same_thing_elsewhere_and_a_little_brighter_is_recognised(recognition):
    assert recognition.likeness(picture({THERE: 1}), THERE, Usable.BOTH) == pytest.approx(1.0, abs=0.01)
    assert recognition.likeness(picture({THERE: 1}, gain=1.1), THERE, Usable.BOTH) > LIMIT


def test_another_thing_of_the_same_size_is_not(recognition):
    assert recognition.likeness(picture({THERE: 2}), THERE, Usable.BOTH) < LIMIT - 0.3


def test_even_ground_is_not(recognition):
    assert recognition.likeness(picture({}), THERE, Usable.BOTH) < LIMIT - 0.3


def test_only_usable_modalities_are_compared(recognition):
    pair = picture({THERE: 1})
    pair.tir.image[:] = 0
    assert recognition.likeness(pair, THERE, Usable.RGB) > 0.9
    assert recognition.likeness(pair, THERE, Usable.BOTH) < 0.6


def test_modality_that_was_never_seen_speaks_neither_for_nor_against():
    recognition = Recognition()
    recognition.start(picture({HERE: 1}), HERE, Usable.TIR)
    assert recognition.likeness(picture({THERE: 2}), THERE, Usable.RGB) == 1.0


def test_look_of_a_trusted_box_is_remembered_beside_the_first(recognition):
    later = picture({HERE: 1}, t_ns=1_000_000_000, gain=1.1)
    before = recognition.likeness(later, HERE, Usable.BOTH)
    recognition.remember(later, HERE, Usable.BOTH)
    assert recognition.likeness(later, HERE, Usable.BOTH) > 0.99 > before + 0.05
    assert recognition.likeness(picture({HERE: 1}), HERE, Usable.BOTH) > 0.99


def test_sudden_other_look_is_not_learnt(recognition):
    other = picture({HERE: 2}, t_ns=1_000_000_000)
    recognition.remember(other, HERE, Usable.BOTH)
    assert recognition.likeness(other, HERE, Usable.BOTH) < LIMIT - 0.3


def test_followed_box_is_compared_ten_times_a_second_and_no_more(recognition):
    heard = []
    for number in range(30):
        pair = picture({HERE: 2}, t_ns=number * 1_000_000_000 // 30)
        heard.append(recognition.recent_likeness(pair, HERE, Usable.BOTH))
        pair.rgb.image[:] = 0
    assert set(heard[:3]) == {1.0}
    assert max(heard[3:]) < LIMIT - 0.3
