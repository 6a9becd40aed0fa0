"""The loop closes: a companion that does the least it must keeps a walker in view and at its distance.

The law here is a bare proportional one; what is tested is that the simulated vehicle can be flown by what the
interface says, on both stacks, in exact time.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_rgbt.mavlink.autopilot import ARDUCOPTER, PX4, FlightMode, Stack
from edge_rgbt.sim.vehicle import USUAL, VehicleSettings, Wind
from edge_rgbt.sim.vehicle.sight import Sight, Sighting
from edge_rgbt.sim.vehicle.walker import Walker
from edge_rgbt.types import TrackStatus
from tests.mavlink.simulated_autopilots import Bench

BOTH = pytest.mark.parametrize("stack", [PX4, ARDUCOPTER], ids=lambda stack: stack.name)
GAIN_PER_S = 2.0
YAW_LOCK = 12 + 16
START = VehicleSettings(
    position=(-20.0, 0.0, -15.0),
    gimbal_pitch_rad=math.radians(-36),
    wind=Wind(2.0, 1.0, 0.5),
    errors=USUAL,
    tremble_rad=math.radians(0.03),
)


class Chase:
    """A bench whose companion watches a walker: gimbal rates from the box, the beacon from the truth."""

    def __init__(
        self, stack: Stack, seed: int, speed_m_s: float = 2.0, hidden: tuple[tuple[float, float], ...] = ()
    ) -> None:
        self.bench = Bench(stack, START, seed=seed)
        self.walker = Walker(seed, 60, speed_m_s, hidden=hidden)
        self.sight = Sight(self.bench.vehicle, self.walker, seed=seed, epoch_ns=self.bench.autopilot.began_ns)
        self.off_centre: list[float] = []
        self.distance: list[float] = []
        self.lost_s = 0.0
        self._next_beacon_ns = 0
        assert self.bench.take_gimbal() == 0
        self.bench.steps.ticks.append(self._tick)

    def fly(self, seconds: float) -> None:
        self.bench.run(seconds)

    def _tick(self, now_ns: int) -> None:
        t_ns = self.bench.steps.t_ns
        for sighting in self.sight.due(t_ns):
            self._steer(sighting)
        w, state = self.walker.at(t_ns / 1e9), self.bench.vehicle.newest
        if t_ns >= self._next_beacon_ns and not w.hidden:
            self._next_beacon_ns = t_ns + 250_000_000
            self.bench.beacon(w.north, w.east, (w.v_north, w.v_east, 0.0))
        self.distance.append(math.hypot(state.position[0] - w.north, state.position[1] - w.east))

    def _steer(self, sighting: Sighting) -> None:
        k, true = self.sight.settings.intrinsics, sighting.true_box
        if true is not None:
            self.off_centre.append(max(abs(true.cx / k.width - 0.5), abs(true.cy / k.height - 0.5)))
        status = sighting.state.status
        self.lost_s += (status is TrackStatus.LOST) / self.sight.settings.rate_hz
        if status is not TrackStatus.TRACKING:
            self.bench.rates(0.0, 0.0, YAW_LOCK)
            return
        box = sighting.state.box
        right = math.atan((box.cx - k.width / 2) / k.focal_px)
        up = -math.atan((box.cy - k.height / 2) / k.focal_px)
        across = max(math.cos(math.radians(sighting.pose.camera_pitch_deg)), 0.2)
        self.bench.rates(GAIN_PER_S * up, GAIN_PER_S * right / across, YAW_LOCK)


@BOTH
def test_gimbal_rates_keep_a_turning_walker_near_the_middle(stack: Stack) -> None:
    chase = Chase(stack, seed=3)
    chase.fly(15.0)
    settled = np.array(chase.off_centre[60:])
    assert len(settled) > 300
    assert np.mean(settled < 0.2) > 0.95


@BOTH
def test_the_beacon_leads_the_vehicle_after_the_walker(stack: Stack) -> None:
    chase = Chase(stack, seed=5)
    values = {"FLW_TGT_DST": 20.0, "FLW_TGT_HT": 15.0} if stack is PX4 else {"FOLL_OFS_X": -20.0}
    for name, value in values.items():
        chase.bench.autopilot.parameters[name] = value
    chase.bench.autopilot.flight.refresh_parameters()
    chase.bench.pilot.mode(FlightMode.FOLLOW)
    chase.fly(30.0)
    settled = np.array(chase.distance[1000:])
    assert np.mean(np.abs(settled - 20.0) < 5.0) > 0.95
    assert np.hypot(*chase.bench.vehicle.newest.position[:2]) > 5.0


@pytest.mark.parametrize("speed_m_s", [0.0, 2.0])
def test_a_walker_hidden_for_three_seconds_is_lost_and_taken_up_again(speed_m_s: float) -> None:
    chase = Chase(ARDUCOPTER, 2, speed_m_s, hidden=((6.0, 9.0),))
    chase.fly(12.0)
    assert chase.lost_s == pytest.approx(2.2, abs=0.2)
    assert chase.off_centre[-1] < 0.2


def test_the_same_seed_flies_the_same_chase() -> None:
    first, again, other = (Chase(PX4, seed) for seed in (7, 7, 8))
    for chase in (first, again, other):
        chase.fly(3.0)
    assert first.off_centre == again.off_centre
    assert first.off_centre != other.off_centre
