"""The filter over the target's places (section 8.7)."""

import math

import numpy as np
import pytest

from edge_rgbt.geolocation.intersection import largest_sigma
from edge_rgbt.geolocation.motion import TargetMotion

PERIOD_NS = 33_333_333
NOISE = (9.0, 2.0, 6.0)


def walked(filter_: TargetMotion, seconds: float, north_mps=1.2, east_mps=-0.9, seed=0, start_ns=0) -> int:
    """Measurements of a target that walks straight, whose errors last but for a tenth; time of the last."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky([[NOISE[0], NOISE[1]], [NOISE[1], NOISE[2]]])
    lasting, t_ns = root @ rng.normal(0, math.sqrt(0.9), 2), start_ns
    for k in range(round(seconds * 30)):
        t_ns = start_ns + k * PERIOD_NS
        off = lasting + root @ rng.normal(0, math.sqrt(0.1), 2)
        filter_.update(t_ns, north_mps * t_ns / 1e9 + off[0], east_mps * t_ns / 1e9 + off[1], NOISE)
    return t_ns


def test_the_first_place_is_the_measured_one_with_its_covariance():
    filter_ = TargetMotion("person")
    assert filter_.update(5, 10.0, -20.0, NOISE)
    motion = filter_.at(5)
    assert (motion.north_m, motion.east_m) == (10.0, -20.0)
    assert motion.position == NOISE
    assert motion.growth == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_walkers_velocity_comes_out_within_its_sigma(seed):
    filter_ = TargetMotion("person")
    t_ns = walked(filter_, 10, seed=seed)
    motion = filter_.at(t_ns)
    assert motion.settled
    off = math.hypot(motion.north_mps - 1.2, motion.east_mps + 0.9)
    assert off < 3 * motion.speed_sigma_mps < 4.5


def test_the_velocity_is_not_told_in_the_first_2_s():
    filter_ = TargetMotion("person")
    for k in range(60):
        filter_.update(k * PERIOD_NS, 0.0, 0.0, (0.01, 0.0, 0.01))
        assert not filter_.at(k * PERIOD_NS).settled
    filter_.update(61 * PERIOD_NS, 0.0, 0.0, (0.01, 0.0, 0.01))
    assert filter_.at(61 * PERIOD_NS).settled


def test_a_velocity_that_is_less_sure_than_1_5_m_s_is_not_told():
    filter_ = TargetMotion("vehicle")
    for k in range(100):
        filter_.update(k * PERIOD_NS, 0.0, 0.0, (2500.0, 0.0, 2500.0))
    assert filter_.at(100 * PERIOD_NS).speed_sigma_mps > 1.5
    assert not filter_.at(100 * PERIOD_NS).settled


def test_two_outliers_are_rejected_and_the_third_starts_anew():
    filter_ = TargetMotion("person")
    t_ns = walked(filter_, 3)
    before = filter_.at(t_ns)
    far = before.north_m + 60.0
    for k in (1, 2):
        assert not filter_.update(t_ns + k * PERIOD_NS, far, 0.0, NOISE)
        assert filter_.at(t_ns + k * PERIOD_NS).north_m < before.north_m + 1
    assert filter_.update(t_ns + 3 * PERIOD_NS, far, 0.0, NOISE)
    assert filter_.at(t_ns + 3 * PERIOD_NS).north_m == far
    assert filter_.age_ns(t_ns + 3 * PERIOD_NS) == 0


def test_rejections_that_are_not_in_a_row_do_not_start_anew():
    filter_ = TargetMotion("person")
    t_ns = walked(filter_, 3)
    for k in range(1, 9):
        good = k % 3 == 0
        now = filter_.at(t_ns + k * PERIOD_NS)
        assert (
            filter_.update(t_ns + k * PERIOD_NS, now.north_m + (0 if good else 60), now.east_m, NOISE) is good
        )
    assert filter_.age_ns(t_ns) > 2e9


def test_the_gate_lies_at_99_percent():
    """Mahalanobis distance squared 9.2 against the covariance of prediction and measurement."""
    filter_ = TargetMotion("person")
    filter_.update(0, 0.0, 0.0, (4.0, 0.0, 4.0))
    limit = math.sqrt(9.2 * (4.0 + 5.0))
    assert not filter_.update(1, limit * 1.01, 0.0, (5.0, 0.0, 5.0))
    assert filter_.update(2, limit * 0.99, 0.0, (5.0, 0.0, 5.0))


@pytest.mark.parametrize(("kind", "faster"), [("person", "vehicle")])
def test_what_is_not_seen_becomes_uncertain_faster_for_vehicles(kind, faster):
    grown = []
    for one in (kind, faster):
        filter_ = TargetMotion(one)
        t_ns = walked(filter_, 5)
        growths = [largest_sigma(filter_.at(t_ns + ms * 1_000_000).growth) for ms in (100, 300, 500)]
        assert growths == sorted(growths)
        grown.append(growths[-1])
    assert grown[0] < grown[1]


def test_the_result_does_not_depend_on_the_rate_of_the_pictures():
    """At 15 and 60 pictures per second a coasting target becomes equally uncertain."""
    slow, fast = TargetMotion("person"), TargetMotion("person")
    for filter_ in (slow, fast):
        filter_.update(0, 0.0, 0.0, NOISE)
    for k in range(1, 31):
        fast.at(k * 16_666_667)
    assert fast.at(500_000_000).position == pytest.approx(slow.at(500_000_000).position)


def test_pictures_whose_time_goes_back_start_the_filter_anew():
    filter_ = TargetMotion("person")
    t_ns = walked(filter_, 3)
    assert filter_.update(t_ns - 1_000_000_000, 500.0, 0.0, NOISE)
    assert filter_.at(t_ns).north_m == 500.0
