"""Never a control message where section 9 forbids one: random faults, and a referee that is itself tested.

`benchmarks/fault_runs.py --runs 100` plays a hundred; here a few of them are played, other seeds each.
"""

from __future__ import annotations

import pytest

from benchmarks.closed_loop_world import Flight, Walker, guided_control
from benchmarks.fault_runs import judge, play, watched
from benchmarks.steering_referee import Manners
from edge_rgbt.mavlink.autopilot import ARDUCOPTER, FlightMode
from edge_rgbt.steering import machine, rules
from edge_rgbt.types import Usable

pytestmark = pytest.mark.slow  # two to eight seconds each


@pytest.mark.parametrize("seed", range(1000, 1004))
def test_random_faults_let_nothing_forbidden_through(seed):
    run = play(seed, 18.0)
    assert not run.referee.faults
    assert run.faults


def _hide(flown: Flight) -> None:
    flown.eyes.manners.hold_s = 0.0
    flown.eyes.manners.hidden.append((flown.t_s, flown.t_s + 60))


def _one_camera(flown: Flight) -> None:
    flown.eyes.manners.usable = Usable.TIR


SPOILED = {
    "target lost": _hide,
    "another target": lambda flown: flown.select(2),
    "mode left": lambda flown: flown.pilot.mode(FlightMode.POSITION),
    "sticks moved": lambda flown: flown.pilot.sticks(roll=0.6),
    "failsafe": lambda flown: flown.pilot.fence_breach(),
    "gimbal taken": lambda flown: flown.pilot.take_gimbal(),
    "one sensor lost": _one_camera,
    "landed": lambda flown: setattr(type(flown.autopilot.flight), "landed", property(lambda self: 1)),
    rules.GROUND_LOST: lambda flown: setattr(flown, "ground_beats", False),
    "frame old": lambda flown: flown.eyes.manners.stalled.append((flown.t_s, flown.t_s + 60)),
}
# What one rule forbids, another may forbid too: a picture that is old gives no fresh position either.
TOGETHER = {"frame old": {"frame old", "position bad"}, "mode left": {"mode left", "not switched"}}


def flown_through(fault, monkeypatch, without: set[str]) -> list[str]:
    """Guided flight, steady; then the fault, with some of the rules taken out of the table."""
    with monkeypatch.context() as patched:
        patched.setattr(type(Flight(guided_control()).autopilot.flight), "landed", property(_landed))
        flown = Flight(guided_control(), ARDUCOPTER, walker=Walker(3, (20.0, 0.0), 1.5))
        told = watched(flown)
        flown.start(FlightMode.GUIDED).fly(1.5)
        patched.setattr(machine, "RULES", tuple(rule for rule in rules.RULES if rule.name not in without))
        fault(flown)
        flown.fly(6.5 if fault is SPOILED[rules.GROUND_LOST] else 2.5)
        return judge(flown, told, Manners("guided", auto_resume=True)).faults


def _landed(flight) -> int:
    return 2


@pytest.mark.parametrize("name", SPOILED)
def test_the_referee_sees_what_a_missing_rule_lets_through(name, monkeypatch):
    fault = SPOILED[name]
    assert not flown_through(fault, monkeypatch, without=set())
    assert flown_through(fault, monkeypatch, without=TOGETHER.get(name, {name}))
