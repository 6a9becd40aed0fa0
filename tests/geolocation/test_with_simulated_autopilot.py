"""Time and telemetry against the simulated autopilot, as PX4 and as ArduCopter speak, over a slow cable."""

from __future__ import annotations

import math

import pytest

from edge_rgbt.geolocation import (
    AutopilotClock,
    CameraView,
    GeolocationSettings,
    Geolocator,
    MountSettings,
    NoPosition,
    Telemetry,
)
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, AutopilotSettings, SimulatedAutopilot, Stack
from edge_rgbt.mavlink.autopilot.lockstep import Cable, Lockstep
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.telemetry import TelemetryReader
from edge_rgbt.mavlink.timesync import TimeSync
from edge_rgbt.sim.vehicle import Setpoint, Vehicle, VehicleSettings

pytestmark = pytest.mark.slow
MS = 1_000_000
BEGAN_NS = 5_000_000_000_000
BOTH = pytest.mark.parametrize("stack", [PX4, ARDUCOPTER], ids=lambda stack: stack.name)


class Flight:
    """A companion with nothing but time and telemetry, on a vehicle that flies north-east and turns."""

    def __init__(self, stack: Stack, gimbal_frame: int | None = None, cable: Cable | None = None) -> None:
        self.vehicle = Vehicle(VehicleSettings(yaw_rad=0.3, gimbal_yaw_rad=0.4))
        settings = AutopilotSettings(system=7, clock_ppm=50.0, gimbal_frame=gimbal_frame)
        self.autopilot = SimulatedAutopilot(self.vehicle, stack, settings, BEGAN_NS)
        self.vehicle.on_step = self._fly_on  # whatever the flight mode would like
        self.clock, self.telemetry = AutopilotClock(), Telemetry()
        reader = TelemetryReader(self.telemetry, self.clock)
        self.reader, self.time = reader, TimeSync(self.clock)
        self.steps = Lockstep(self.autopilot, [self.time, reader], cable=cable or Cable(12 * MS, 8 * MS))
        self.locator = Geolocator(self.telemetry, GeolocationSettings(hfov_deg=60), MountSettings())

    def _fly_on(self, t_ns: int) -> None:
        self.vehicle.setpoint = Setpoint(velocity=(4.0, 3.0, 0.0), yaw_rate_rad_s=0.3)

    def run(self, seconds: float) -> None:
        self.steps.run(seconds)

    def view(self, ago_ms: int = 60) -> CameraView | NoPosition:
        return self.locator.view(self.steps.now_ns - ago_ms * MS, 1280, 720)

    def off_m(self, ago_ms: int = 60) -> float:
        """How far the ground point of the picture's middle is from the truth at that time."""
        view = self.view(ago_ms)
        assert isinstance(view, CameraView), view
        state = self.vehicle.at(self.steps.t_ns - ago_ms * MS)
        reach = state.height_m / math.tan(-state.gimbal_pitch_rad)
        north = state.position[0] + reach * math.cos(state.gimbal_yaw_rad)
        east = state.position[1] + reach * math.sin(state.gimbal_yaw_rad)
        home = self.vehicle.home
        n, e = LocalFrame.at(home.latitude_deg, home.longitude_deg).metres(*view.ground[:2])
        return math.hypot(n - north, e - east)


@BOTH
@pytest.mark.parametrize("frame", [None, 32, 64], ids=["its own flags", "flag 32", "flag 64"])
def test_the_camera_looks_where_it_really_looked_at_capture_time(stack, frame):
    """A vehicle at 5 m/s that turns by 17 degrees a second: 20 ms of error would be 0.3 m."""
    flight = Flight(stack, frame)
    flight.run(6.0)
    offs = []
    for _ in range(20):
        flight.run(0.13)
        offs.append(flight.off_m())
    assert math.hypot(*flight.vehicle.newest.velocity) > 4.5
    assert abs(flight.vehicle.newest.yaw_rate_rad_s) > 0.25
    assert max(offs) < 0.35
    assert sorted(offs)[10] < 0.15


@BOTH
def test_the_offset_is_right_within_half_of_the_way_there_and_back_r_tm_2(stack):
    flight = Flight(stack)
    flight.run(2.0)
    assert flight.clock.valid(flight.steps.now_ns)
    flight.run(30.0)
    told, now = flight.clock.offset_ns(flight.steps.now_ns), flight.steps.now_ns
    assert abs(told - (flight.autopilot.boot_ns - now)) <= flight.clock.sigma_ns()
    assert flight.clock.sigma_ns() < 21 * MS


@BOTH
def test_the_autopilots_questions_get_their_own_stamps_back_r_tm_1(stack):
    flight = Flight(stack)
    flight.run(25.0)
    assert flight.autopilot.timesync.right >= (200 if stack is PX4 else 2)
    assert flight.autopilot.timesync.wrong == 0


@BOTH
def test_asked_messages_come_and_are_not_asked_for_again(stack):
    flight = Flight(stack)
    flight.run(15.0)
    first = len(flight.steps.said)
    never = {"DISTANCE_SENSOR", "TERRAIN_REPORT"}  # this vehicle has none
    assert set(flight.reader.missing(flight.steps.now_ns)) <= never
    flight.run(10.0)
    asked = [s.message.param1 for s in flight.steps.said[first:] if s.kind == "COMMAND_LONG"]
    assert set(asked) <= {dialect.MAVLINK_MSG_ID_DISTANCE_SENSOR, dialect.MAVLINK_MSG_ID_TERRAIN_REPORT}


@BOTH
def test_time_of_day_comes_from_the_satellites_r_tm_3(stack):
    flight = Flight(stack)
    flight.run(5.0)
    now = flight.steps.now_ns
    unix_ns = flight.autopilot.settings.unix_s * 1e9 + flight.autopilot.boot_ns
    assert flight.clock.unix_ns(now) == pytest.approx(unix_ns, abs=25 * MS)


@BOTH
def test_a_cut_cable_ends_positions_and_a_mended_one_brings_them_back_r_ep_8(stack):
    flight = Flight(stack)
    flight.run(5.0)
    flight.steps.cut_cable()
    flight.run(0.4)
    assert isinstance(flight.view(), NoPosition)
    flight.run(8.0)
    flight.steps.cut_cable(False)
    flight.run(4.0)
    assert flight.off_m() < 0.5


@BOTH
def test_after_a_reboot_clock_and_telemetry_begin_anew_r_ep_9(stack):
    flight = Flight(stack)
    flight.run(8.0)
    flight.autopilot.reboot()
    flight.run(0.5)
    assert isinstance(flight.view(), NoPosition)
    flight.run(6.0)
    now = flight.steps.now_ns
    assert flight.clock.valid(now)
    assert flight.clock.boot_ms(now) == pytest.approx(flight.autopilot.boot_ns / MS, abs=25)
    assert flight.off_m() < 0.5


def test_a_link_that_loses_a_fifth_of_its_bursts_still_gives_positions():
    flight = Flight(PX4, cable=Cable(12 * MS, 8 * MS, loss=0.2))
    flight.run(6.0)
    found = 0
    for _ in range(40):
        flight.run(0.1)
        found += isinstance(flight.view(), CameraView)
    assert found >= 38


@BOTH
def test_a_lost_fix_ends_positions(stack):
    flight = Flight(stack)
    flight.run(4.0)
    flight.vehicle.condition.gps_fix = 1
    flight.run(2.2)
    assert flight.view() in (NoPosition.NO_FIX, NoPosition.UNHEALTHY)
