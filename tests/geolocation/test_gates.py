"""No position where a gate of section 8.6 fails, and the reason is named (R-GS-1, acceptance 9)."""

import math
from dataclasses import replace

import pytest
from flying import (
    HOME,
    MS,
    PICTURE,
    SECOND,
    VEHICLE,
    Vehicle,
    euler,
    fix,
    gimbal,
    position,
    seen_at,
    status,
)

from edge_rgbt.geolocation import GeolocationSettings, Geolocator, MountSettings, NoPosition
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.rotations import from_degrees
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.register import Lens
from edge_rgbt.rig import RigCamera
from edge_rgbt.types import TargetPosition, TrackStatus

NOW = 50 * SECOND
DOWN_45 = from_degrees(0, -45, 0)


def ready(settings=None, mount=None, without=(), height_m=50.0, pitch_deg=-45.0) -> Vehicle:
    """A healthy vehicle that looks down at the target; `without` some messages."""
    vehicle = Vehicle(settings, mount)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, height_m, without=without)
    if "GIMBAL_DEVICE_ATTITUDE_STATUS" not in without:
        vehicle.point(NOW, from_degrees(0, pitch_deg, 0), 32)
    return vehicle


def answer(vehicle: Vehicle, t_ns: int = NOW, track=1, **state):
    return vehicle.locator.locate(seen_at(t_ns, **state), track, *PICTURE)


def located(vehicle: Vehicle, t_ns: int = NOW, **state) -> TargetPosition:
    found = answer(vehicle, t_ns, **state)
    assert isinstance(found, TargetPosition), found
    return found


def test_a_healthy_vehicle_that_sees_its_target_gives_a_position():
    assert located(ready()).confirmed


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("GLOBAL_POSITION_INT", NoPosition.NO_VEHICLE_POSITION),
        ("GPS_RAW_INT", NoPosition.NO_FIX),
        ("ATTITUDE", NoPosition.NO_VEHICLE_ATTITUDE),
        ("GIMBAL_DEVICE_ATTITUDE_STATUS", NoPosition.NO_CAMERA_ATTITUDE),
    ],
)
def test_missing_telemetry_leads_to_no_position(missing, reason):
    assert answer(ready(without=(missing,))) is reason


@pytest.mark.parametrize(
    ("stopped", "reason"),
    [
        ("position", NoPosition.NO_VEHICLE_POSITION),
        ("attitude", NoPosition.NO_VEHICLE_ATTITUDE),
        ("gimbal", NoPosition.NO_CAMERA_ATTITUDE),
    ],
)
def test_stale_telemetry_leads_to_no_position(stopped, reason):
    vehicle = ready()
    for k in range(1, 8):
        t = NOW + k * 50 * MS
        boot = vehicle.boot_ms(t)
        if stopped != "attitude":
            vehicle.say(euler(boot, 0, 0, 0), t)
        if stopped != "position":
            vehicle.say(position(boot, 50), t)
        if stopped != "gimbal":
            vehicle.say(gimbal(boot, DOWN_45, 32), t)
    assert isinstance(answer(vehicle, NOW + 290 * MS), TargetPosition)
    assert answer(vehicle, NOW + 310 * MS) is reason


def test_all_telemetry_stopped_leads_to_no_position_within_0_3_s():
    vehicle = ready()
    assert isinstance(answer(vehicle, NOW + 299 * MS), TargetPosition)
    assert isinstance(answer(vehicle, NOW + 301 * MS), NoPosition)


def test_an_old_picture_between_old_samples_has_a_position():
    located(ready(), NOW - 270 * MS)


def test_a_picture_from_before_the_first_sample_has_none():
    assert isinstance(answer(ready(), NOW - 2 * SECOND), NoPosition)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_no_fix_in_three_dimensions_leads_to_no_position(kind):
    vehicle = ready()
    vehicle.say(fix(kind), NOW)
    assert answer(vehicle) is NoPosition.NO_FIX


def test_a_fix_that_is_no_longer_told_leads_to_no_position():
    vehicle = ready(without=("GPS_RAW_INT",))
    vehicle.say(fix(), NOW - 5 * SECOND)
    assert answer(vehicle) is NoPosition.NO_FIX


def test_an_unhealthy_estimator_leads_to_no_position():
    vehicle = ready()
    vehicle.say(status(healthy=False), NOW)
    assert answer(vehicle) is NoPosition.UNHEALTHY
    vehicle.say(status(healthy=True), NOW + MS)
    located(vehicle)


@pytest.mark.parametrize(
    ("flags", "healthy"), [(16 | 1 | 2, True), (1 | 2 | 8, False), (16 | 128, False), (16 | 1024, False)]
)
def test_the_estimators_own_flags_decide_on_px4(flags, healthy):
    vehicle = ready()
    vehicle.say(dialect.MAVLink_estimator_status_message(0, flags, 0, 0, 0, 0, 0, 0, 0, 0), NOW)
    assert isinstance(answer(vehicle), TargetPosition) is healthy


def test_the_place_that_autopilots_say_without_one_is_no_position():
    vehicle = ready(without=("GLOBAL_POSITION_INT",))
    vehicle.say(position(vehicle.boot_ms(NOW), 50, place=(0.0, 0.0)), NOW)
    assert answer(vehicle) is NoPosition.NO_VEHICLE_POSITION


def test_a_line_of_sight_flatter_than_3_degrees_is_refused():
    assert answer(ready(pitch_deg=-2.9, height_m=10)) is NoPosition.NEAR_HORIZON
    assert answer(ready(pitch_deg=20)) is NoPosition.NEAR_HORIZON
    settings = GeolocationSettings(hfov_deg=60, home_sigma_m=0.5)
    mount = MountSettings(tilt_sigma_deg=0.05)
    located(ready(settings, mount, pitch_deg=-3.1, height_m=5))


def test_a_target_beyond_the_range_is_refused():
    settings = GeolocationSettings(hfov_deg=60, max_range_m=100)
    assert answer(ready(settings, height_m=71)) is NoPosition.TOO_FAR
    located(ready(settings, height_m=70))


def test_a_place_too_uncertain_is_refused():
    settings = GeolocationSettings(hfov_deg=60, max_horizontal_sigma_m=50)
    assert answer(ready(settings, pitch_deg=-8, height_m=80)) is NoPosition.TOO_UNCERTAIN


@pytest.mark.parametrize("height_m", [0.5, 0.0, -3.0])
def test_a_camera_on_the_ground_sees_no_target(height_m):
    assert answer(ready(height_m=height_m)) is NoPosition.TOO_LOW


def test_without_a_source_of_ground_height_there_is_no_position():
    settings = GeolocationSettings(hfov_deg=60, heights=("terrain", "rangefinder"))
    assert answer(ready(settings)) is NoPosition.NO_GROUND


@pytest.mark.parametrize("track_status", [TrackStatus.IDLE, TrackStatus.LOST])
def test_a_lost_or_idle_track_has_no_position(track_status):
    vehicle = ready()
    located(vehicle)
    assert answer(vehicle, status=track_status) is NoPosition.NO_TARGET


def coasting(vehicle: Vehicle, ms: int):
    t = NOW + ms * MS
    vehicle.fly(t, 50, seconds=0.0)
    vehicle.point(t, DOWN_45, 32, seconds=0.0)
    return answer(vehicle, t, status=TrackStatus.UNCERTAIN, unconfirmed_ns=ms * MS)


def test_a_coasting_track_keeps_a_position_for_half_a_second_with_growing_covariance():
    vehicle = ready()
    confirmed = located(vehicle)
    early, late = coasting(vehicle, 100), coasting(vehicle, 500)
    assert not early.confirmed
    assert not late.confirmed
    assert confirmed.horizontal_m < early.horizontal_m < late.horizontal_m
    assert coasting(vehicle, 501) is NoPosition.COASTED_TOO_LONG


def test_a_track_that_was_never_confirmed_has_nothing_to_coast_on():
    assert coasting(ready(), 100) is NoPosition.NOTHING_TO_COAST_ON


def test_a_new_track_does_not_coast_on_the_old_one():
    vehicle = ready()
    located(vehicle)
    state = replace(seen_at(NOW), status=TrackStatus.UNCERTAIN, unconfirmed_ns=100 * MS)
    assert vehicle.locator.locate(state, 2, *PICTURE) is NoPosition.NOTHING_TO_COAST_ON


def test_outcomes_are_counted_by_reason():
    vehicle = ready()
    answer(vehicle)
    answer(vehicle, status=TrackStatus.LOST)
    report = vehicle.locator.report()
    assert report.outcomes == {"located": 1, "NO_TARGET": 1}
    assert report.outcome == "no target is tracked"
    assert (report.height_source, report.attitude_source) == ("home", "gimbal")
    assert report.time_sigma_ms == pytest.approx(5.4, abs=0.1)  # 5 ms of the picture, 2 of the offset


def test_an_unknown_autopilot_clock_shows_in_the_report_r_tm_5():
    vehicle = Vehicle()
    vehicle.fly(NOW, 50)
    vehicle.point(NOW, DOWN_45, 32)
    located(vehicle)
    assert vehicle.locator.report().time_sigma_ms == pytest.approx(40.3, abs=0.1)


def test_every_reason_fits_into_a_status_text():
    assert all(5 < len(reason.value) <= 50 for reason in NoPosition)


def test_the_lever_arm_moves_the_camera_with_the_vehicles_attitude():
    settings = GeolocationSettings(hfov_deg=60)
    plain = located(ready(settings))
    mount = MountSettings(lever_arm_m=(2.0, 0.0, 1.0))
    vehicle = Vehicle(settings, mount)
    vehicle.synchronise(NOW - SECOND)
    vehicle.fly(NOW, 50, attitude=(0, 0, 90))
    vehicle.point(NOW, DOWN_45, 64)
    north, east = LocalFrame.at(plain.latitude_deg, plain.longitude_deg).metres(
        *(lambda p: (p.latitude_deg, p.longitude_deg))(located(vehicle))
    )
    # 2 m forward is east here; 1 m lower shortens the line to the north by as much
    assert (north, east) == pytest.approx((-1.0, 2.0), abs=1e-3)


def test_the_misalignment_turns_the_line_of_sight():
    settings = GeolocationSettings(hfov_deg=60)
    found = located(ready(settings, MountSettings(misalignment_deg=(0, -15, 0)), pitch_deg=-30))
    north, east = LocalFrame.at(*HOME).metres(found.latitude_deg, found.longitude_deg)
    assert (north, east) == pytest.approx((50, 0), abs=0.01)


def calibrated(vehicle: Vehicle, distortion=()) -> Vehicle:
    """The same with a calibrated lens, of 60 degrees like the field of view, instead of the latter."""
    focal = 640 / math.tan(math.radians(30))
    lens = Lens((focal, focal), (639.5, 359.5), distortion)
    camera = RigCamera("a camera", 1280, 720, lens=lens)
    vehicle.locator = Geolocator(vehicle.telemetry, GeolocationSettings(), MountSettings(), camera)
    return vehicle


def test_a_calibrated_lens_takes_the_place_of_the_field_of_view():
    box = {"fraction": (0.7, 0.4)}
    by_angle, by_lens = located(ready(), **box), located(calibrated(ready()), **box)
    assert by_lens.latitude_deg == pytest.approx(by_angle.latitude_deg, abs=1e-9)
    bent = located(calibrated(ready(), (-0.3, 0.1, 0.0, 0.0)), **box)
    north, east = LocalFrame.at(by_lens.latitude_deg, by_lens.longitude_deg).metres(
        bent.latitude_deg, bent.longitude_deg
    )
    assert math.hypot(north, east) > 0.2


def test_pictures_of_another_size_than_the_calibrations_are_refused():
    vehicle = calibrated(ready())
    assert vehicle.locator.locate(seen_at(NOW), 1, 640, 512) is NoPosition.PICTURE_SIZE
    assert vehicle.locator.view(NOW, 640, 512) is NoPosition.PICTURE_SIZE


def test_a_target_where_the_lens_calibration_does_not_reach_is_refused():
    vehicle = calibrated(ready(), (-2.0, 0.0, 0.0, 0.0))
    assert answer(vehicle, fraction=(0.05, 0.05)) is NoPosition.OUTSIDE_LENS


def test_another_vehicles_telemetry_is_not_ours():
    vehicle = ready(without=("GLOBAL_POSITION_INT",))
    other = replace(VEHICLE, system=8)
    vehicle.say(position(vehicle.boot_ms(NOW), 50), NOW, other)
    assert answer(vehicle) is NoPosition.NO_VEHICLE_POSITION
