"""The search for a lost target: where it looks, and what it takes for the target."""

from __future__ import annotations

import math

import pytest

from edge_rgbt.tracker.hunt import Hunt, SearchPlan, Watch
from edge_rgbt.types import Box

LAST = Box(300.0, 240.0, 20.0, 30.0)
SIDE = math.sqrt(LAST.w * LAST.h)
SIZE = (640, 512)
FRAME_NS = 33_333_333


def distance(box: Box, other: Box = LAST) -> float:
    return math.hypot(box.cx - other.cx, box.cy - other.cy) / SIDE


def plan(growth_per_s: float = 3.0) -> SearchPlan:
    plan = SearchPlan(growth_per_s)
    plan.start(LAST)
    return plan


def hunt(found_above: float = 0.7, found_likeness: float = 0.7, found_ms: float = 200.0) -> Hunt:
    hunt = Hunt(3.0, found_above, found_likeness, found_ms)
    hunt.start(LAST)
    return hunt


def watched(hunt: Hunt, boxes: list[Box], confidence: float = 0.9, likeness: float = 0.9) -> list[bool]:
    return [hunt.judge(FRAME_NS, box, confidence, likeness) for box in boxes]


def test_search_begins_where_the_target_was_trusted_last():
    assert plan().next(0.0, *SIZE).as_tuple() == LAST.as_tuple()


def test_crops_keep_the_size_and_so_the_cost_of_following():
    looked = plan()
    boxes = [looked.next(t / 30, *SIZE) for t in range(300)]
    assert {(box.w, box.h) for box in boxes} == {(LAST.w, LAST.h)}


def test_region_grows_with_the_time_since_the_loss():
    looked = plan(growth_per_s=3.0)
    reach = {s: max(distance(looked.next(s, *SIZE)) for _ in range(200)) for s in (0.0, 1.0, 3.0)}
    assert reach[0.0] < 4.0
    assert reach[0.0] < reach[1.0] < reach[3.0] <= 2.5 + 3.0 * 3.0


def test_region_ends_with_the_picture_and_every_crop_has_its_middle_inside():
    looked = plan(growth_per_s=100.0)
    boxes = [looked.next(60.0, *SIZE) for _ in range(2000)]
    assert all(0 <= box.cx < 640 and 0 <= box.cy < 512 for box in boxes)
    assert min(box.cx for box in boxes) < 4 * SIDE
    assert max(box.cx for box in boxes) > 640 - 4 * SIDE


def test_every_place_of_the_region_is_seen_in_one_of_its_crops():
    looked = plan()
    boxes = [looked.next(2.0, *SIZE) for _ in range(400)]
    for dx, dy in ((0, 0), (4, 0), (0, -4), (3, 3), (-5, 1), (2, -5)):
        spot = Box(LAST.x + dx * SIDE, LAST.y + dy * SIDE, LAST.w, LAST.h)
        nearest = min(max(abs(box.cx - spot.cx), abs(box.cy - spot.cy)) for box in boxes)
        assert nearest <= 1.3 * SIDE, (dx, dy)  # the crop shows two sides each way


def test_nearest_places_are_looked_at_again_and_again():
    looked = plan()
    boxes = [looked.next(10.0, *SIZE) for _ in range(60)]
    assert sum(distance(box) < 4.0 for box in boxes) >= 30


def test_place_at_the_picture_border_is_looked_at_too():
    looked = SearchPlan(3.0)
    looked.start(Box(-5.0, 500.0, 20.0, 30.0))
    assert looked.next(0.0, *SIZE).cx == 5.0


def test_candidate_that_shows_for_long_enough_is_the_target():
    found = watched(hunt(found_ms=200.0), [Box(310 + t, 240, 21, 29) for t in range(12)])
    assert found.index(True) == pytest.approx(6, abs=1)


def test_crop_follows_the_candidate_while_it_is_watched():
    search = hunt()
    search.judge(FRAME_NS, Box(310, 240, 21, 29), 0.9, 0.9)
    assert search.confirming
    assert search.aim(*SIZE) == Box(310, 240, 21, 29)


@pytest.mark.parametrize(
    ("box", "confidence", "likeness"),
    [
        (Box(318, 240, 21, 29), 0.1, 0.9),  # no longer sure
        (Box(318, 240, 21, 29), 0.9, 0.3),  # looks different
        (Box(300, 220, 60, 80), 0.9, 0.9),  # far too large
        (Box(360, 240, 21, 29), 0.9, 0.9),  # somewhere else at once
    ],
)
def test_candidate_is_dropped_when_it_goes_on_not_being_the_target(box, confidence, likeness):
    search = hunt()
    watched(search, [Box(310, 240, 21, 29)] * 3)
    assert not any(watched(search, [box] * 8, confidence, likeness))
    assert not search.confirming


def test_one_bad_frame_neither_drops_a_candidate_nor_moves_the_crop():
    search = hunt()
    watched(search, [Box(310, 240, 21, 29)] * 3)
    assert not search.judge(FRAME_NS, Box(380, 240, 21, 29), 0.9, 0.8)
    assert search.aim(*SIZE) == Box(310, 240, 21, 29)
    assert any(watched(search, [Box(312, 240, 21, 29)] * 10))


def test_unlike_sighting_is_not_even_watched():
    search = hunt(found_likeness=0.7)
    search.judge(FRAME_NS, Box(310, 240, 21, 29), 0.9, 0.5)
    assert not search.confirming


@pytest.mark.parametrize(("confidence", "likeness"), [(0.65, 0.9), (0.9, 0.65)])
def test_candidate_that_stays_doubtful_is_never_taken(confidence, likeness):
    search = hunt(found_above=0.7, found_likeness=0.7)
    assert not any(watched(search, [Box(310, 240, 21, 29)] * 60, confidence, likeness))


def test_candidate_watched_in_vain_gives_the_crop_back_to_the_search():
    search = hunt(found_likeness=0.7, found_ms=200.0)
    watched(search, [Box(310, 240, 21, 29)] * 22, 0.9, 0.65)
    assert search.confirming
    watched(search, [Box(310, 240, 21, 29)] * 4, 0.9, 0.65)
    assert not search.confirming


def test_doubtful_beginning_does_not_keep_a_target_from_being_recognised():
    watch = Watch(0.7, 0.7, 200.0)
    slow = [watch.see(FRAME_NS, 0.5, 0.65) for _ in range(10)]
    assert not any(slow)
    assert any(watch.see(FRAME_NS, 0.95, 0.9) for _ in range(10))


@pytest.mark.parametrize("rate_hz", [9, 30, 60])
def test_recognition_takes_the_same_time_at_any_rate(rate_hz):
    watch = Watch(0.7, 0.7, 250.0)
    frames = next(n for n in range(1, 60) if watch.see(1_000_000_000 // rate_hz, 0.9, 0.9))
    assert 0.25 <= (frames - 1) / rate_hz + 1e-6 <= 0.25 + 1.5 / rate_hz


def test_size_may_differ_more_the_longer_the_target_was_gone():
    search = hunt()
    larger = Box(300, 240, 1.8 * LAST.w, 1.8 * LAST.h)
    assert not search.plausible(larger)
    watched(search, [LAST] * 60, 0.0)
    assert search.plausible(larger)
    assert not search.plausible(Box(300, 240, 3 * LAST.w, 3 * LAST.h))


def test_target_cannot_be_far_from_where_it_was_a_moment_ago():
    search = hunt()
    far = Box(LAST.x + 4 * SIDE, LAST.y, LAST.w, LAST.h)
    assert not search.plausible(far)
    watched(search, [LAST] * 45, 0.0)
    assert search.plausible(far)


def test_target_has_moved_since_it_was_trusted_not_since_the_loss_was_noticed():
    far = Box(LAST.x + 4 * SIDE, LAST.y, LAST.w, LAST.h)
    search = Hunt(3.0, 0.7, 0.7, 200.0)
    search.start(LAST, ago_ns=1_500_000_000)
    assert search.plausible(far)
