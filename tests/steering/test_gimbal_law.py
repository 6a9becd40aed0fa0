"""The gimbal law of section 9.2: signs, limits, latency, coasting."""

from __future__ import annotations

import math
from collections import deque

import pytest

from edge_rgbt.steering.gimbal_law import GimbalLaw, Rates, Travel
from edge_rgbt.steering.line_of_sight import CameraAngles, Sighting, direction
from edge_rgbt.steering.settings import GimbalSettings

MS = 1_000_000
CYCLE = 20 * MS
LEVEL = CameraAngles(0.0, math.radians(-30), 0.0)
FREE = Travel()


def settled(
    law: GimbalLaw, right_deg: float, down_deg: float, camera: CameraAngles = LEVEL, **others
) -> Rates:
    """The rates after a second of a target that stands still in the picture of a camera that stands still."""
    rates = Rates()
    for cycle in range(50):
        now = 10**9 + cycle * CYCLE
        law.see(Sighting(now - 60 * MS, math.radians(right_deg), math.radians(down_deg), **others), camera)
        rates = law.rates(now, camera, camera.yaw_rad, FREE)
    return rates


def test_a_target_right_of_the_centre_turns_the_gimbal_right():
    assert settled(GimbalLaw(GimbalSettings()), 4, 0).yaw_rad_s > 0


def test_a_target_left_of_the_centre_turns_the_gimbal_left():
    assert settled(GimbalLaw(GimbalSettings()), -4, 0).yaw_rad_s < 0


def test_a_target_below_the_centre_turns_the_gimbal_down():
    assert settled(GimbalLaw(GimbalSettings()), 0, 4).pitch_rad_s < 0


def test_a_target_above_the_centre_turns_the_gimbal_up():
    assert settled(GimbalLaw(GimbalSettings()), 0, -4).pitch_rad_s > 0


def test_the_gain_is_three_tenths_over_the_latency():
    rates = settled(GimbalLaw(GimbalSettings(latency_ms=150)), 0, -4)
    assert rates.pitch_rad_s == pytest.approx(2.0 * math.radians(4), rel=0.02)


def test_yaw_is_widened_by_the_pitch():
    steep = CameraAngles(0.0, math.radians(-60), 0.0)
    rates = settled(GimbalLaw(GimbalSettings()), 2, 0, steep)
    assert rates.yaw_rad_s == pytest.approx(2.0 * math.radians(2) / math.cos(math.radians(60)), rel=0.02)


def test_a_rolled_camera_turns_the_error_back():
    # The camera rolled 90 degrees clockwise: what its picture shows to the right is below.
    rolled = CameraAngles(math.radians(90), 0.0, 0.0)
    yaw, pitch = direction(Sighting(0, math.radians(5), 0.0), rolled)
    assert yaw == pytest.approx(0.0, abs=1e-9)
    assert pitch == pytest.approx(math.radians(-5))


def test_a_small_error_is_left_alone():
    rates = settled(GimbalLaw(GimbalSettings(dead_band_deg=0.3)), 0.25, -0.25)
    assert rates.yaw_rad_s == pytest.approx(0, abs=1e-6)
    assert rates.pitch_rad_s == pytest.approx(0, abs=1e-6)


def test_rates_keep_their_limit():
    rates = settled(GimbalLaw(GimbalSettings(rate_deg_s=30)), 28, 28)
    assert abs(rates.yaw_rad_s) <= math.radians(30) + 1e-9
    assert abs(rates.pitch_rad_s) <= math.radians(30) + 1e-9


def test_rates_grow_no_faster_than_the_acceleration_limit():
    law = GimbalLaw(GimbalSettings(acceleration_deg_s2=90))
    before = Rates()
    law.still(10**9 - CYCLE)
    for cycle in range(30):
        now = 10**9 + cycle * CYCLE
        law.see(Sighting(now - 60 * MS, math.radians(20), math.radians(20)), LEVEL)
        rates = law.rates(now, LEVEL, 0.0, FREE)
        assert abs(rates.yaw_rad_s - before.yaw_rad_s) <= math.radians(90) * 0.02 + 1e-9
        assert abs(rates.pitch_rad_s - before.pitch_rad_s) <= math.radians(90) * 0.02 + 1e-9
        before = rates


def test_stopping_knows_no_acceleration_limit():
    law = GimbalLaw(GimbalSettings())
    settled(law, 20, 20)
    assert law.still(12 * 10**9).zero


@pytest.mark.parametrize(("pitch_deg", "share"), [(-84, 1.0), (-87.5, 0.5), (-90, 0.0), (-91, 0.0)])
def test_the_gimbal_slows_down_before_its_stop(pitch_deg, share):
    camera = CameraAngles(0.0, math.radians(pitch_deg), 0.0)
    law = GimbalLaw(GimbalSettings(soft_stop_deg=5))
    free = settled(law, 0, 3, camera).pitch_rad_s
    stopped = law.rates(2 * 10**9, camera, 0.0, Travel(pitch_low_rad=math.radians(-90))).pitch_rad_s
    assert stopped == pytest.approx(share * free, rel=0.05, abs=1e-6)


def test_the_gimbal_may_leave_its_stop():
    camera = CameraAngles(0.0, 0.0, math.radians(170))
    law = GimbalLaw(GimbalSettings())
    settled(law, -4, 0, camera)
    stop = Travel(yaw_low_rad=math.radians(-170), yaw_high_rad=math.radians(170))
    assert law.rates(2 * 10**9, camera, camera.yaw_rad, stop).yaw_rad_s < -0.05


def test_yaw_rests_while_the_camera_looks_down():
    camera = CameraAngles(0.0, math.radians(-84), 0.0)
    rates = settled(GimbalLaw(GimbalSettings()), 4, 4, camera)
    assert rates.yaw_rad_s == 0.0
    assert rates.pitch_rad_s < 0


def test_without_a_target_it_stands_still():
    assert GimbalLaw(GimbalSettings()).rates(10**9, LEVEL, 0.0, FREE).zero


def followed(law: GimbalLaw, seconds: float, speed_deg_s: float, latency_ns: int) -> tuple[float, float]:
    """A gimbal that obeys at once and a target moving at this speed, seen late: the largest error in the last
    second, and the largest error after the first 0.2 s in the other direction, in degrees."""
    yaw, past, errors = 0.0, deque[tuple[int, float, float]](), []
    for cycle in range(round(seconds * 50)):
        now = 10**9 + cycle * CYCLE
        target = math.radians(3 + speed_deg_s * cycle * 0.02)
        past.append((now, target, yaw))
        while past[0][0] < now - latency_ns:
            past.popleft()
        captured, seen_target, seen_yaw = past[0]
        camera_then = CameraAngles(0.0, 0.0, seen_yaw)
        law.see(Sighting(captured, seen_target - seen_yaw, 0.0), camera_then)
        rates = law.rates(now, CameraAngles(0.0, 0.0, yaw), yaw, FREE)
        yaw += rates.yaw_rad_s * 0.02
        errors.append(math.degrees(target - yaw))
    return max(map(abs, errors[-50:])), -min(errors[10:])


def test_motion_since_the_picture_is_not_commanded_twice():
    # Uncompensated, a gain of 4 with 300 ms of latency would swing for ever.
    error, overshoot = followed(GimbalLaw(GimbalSettings(latency_ms=75)), 6, 0.0, 300 * MS)
    assert error < 0.4
    assert overshoot < 0.4


def test_a_moving_target_is_led_by_its_own_rate():
    error, _ = followed(GimbalLaw(GimbalSettings()), 8, 8.0, 160 * MS)
    assert error < 0.6  # without feed-forward it would be the speed over the gain: 4 degrees


def test_coasting_holds_the_rate_and_lets_it_end_within_half_a_second():
    law = GimbalLaw(GimbalSettings())
    followed(law, 4, 8.0, 60 * MS)
    start = 10**9 + 199 * CYCLE - 60 * MS
    rates = []
    for late in (200, 350, 500, 700):
        now = start + late * MS
        law.see(Sighting(now - 40 * MS, math.radians(25), 0.0, confirmed=False), CameraAngles(0.0, 0.0, 0.0))
        for step in range(20):  # as the limit of acceleration lets it
            rate = law.rates(now + step, CameraAngles(0.0, 0.0, 0.6), 0.6, FREE).yaw_rad_s
        rates.append(rate)
        law._last_ns -= 100 * MS
    assert rates[0] > 0
    assert rates == sorted(rates, reverse=True)
    assert rates[3] == pytest.approx(0.0, abs=1e-9)


def test_a_new_target_does_not_inherit_the_old_ones_motion():
    law = GimbalLaw(GimbalSettings())
    followed(law, 4, 8.0, 60 * MS)
    law.reset()
    law.still(6 * 10**9)
    assert law.rates(6 * 10**9 + CYCLE, LEVEL, 0.0, FREE).zero
