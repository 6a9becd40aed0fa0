"""When an alarm begins and ends, and what the log says then."""

from __future__ import annotations

import dataclasses
import logging

import pytest
from machines import orin_nx, write_tree

from edge_rgbt.errors import UsageError
from edge_rgbt.health import (
    Alarms,
    AlarmSettings,
    CameraNumbers,
    HealthRecord,
    MachineReader,
    MachineReadings,
    ServiceNumbers,
    StageNumbers,
)
from edge_rgbt.health.readings import Clock, Disk, Memory, Rail, Temperature
from edge_rgbt.runtime import STAGES

NOTHING = HealthRecord(
    number=0,
    time_ns=0,
    service=None,
    machine=None,
    machine_age_ms=None,
    machine_cost_ms=None,
    alarms=(),
    cost_ms=0.0,
)
SETTINGS = AlarmSettings(
    frame_age_p99_ms=100.0, stage_budgets_ms={"register": 1.0}, begin_after_s=2.0, end_after_s=5.0
)


class Flight:
    """Feeds a record per second and remembers what is active."""

    def __init__(self, settings: AlarmSettings = SETTINGS) -> None:
        self.alarms = Alarms(settings)
        self.second = 0

    def go(self, seconds: int = 1, **parts: object) -> tuple[str, ...]:
        for _ in range(seconds):
            record = dataclasses.replace(NOTHING, time_ns=self.second * 10**9, **parts)
            active = self.alarms.update(record)
            self.second += 1
        return active


def _age(milliseconds: float) -> ServiceNumbers:
    return ServiceNumbers(frame_age_p99_ms=milliseconds)


def test_an_old_p99_frame_raises_the_alarm_after_its_time():
    flight = Flight()
    assert flight.go(2, service=_age(101.0)) == ()
    assert flight.go(1, service=_age(101.0)) == ("frame-age",)


def test_a_short_excursion_raises_nothing():
    flight = Flight()
    for _ in range(10):
        assert flight.go(1, service=_age(500.0)) == ()
        assert flight.go(1, service=_age(50.0)) == ()


def test_a_value_just_below_the_limit_does_not_end_the_alarm():
    flight = Flight()
    flight.go(3, service=_age(101.0))
    assert flight.go(60, service=_age(95.0)) == ("frame-age",)


def test_a_value_well_below_the_limit_ends_the_alarm_after_its_time():
    flight = Flight()
    flight.go(3, service=_age(101.0))
    assert flight.go(5, service=_age(80.0)) == ("frame-age",)
    assert flight.go(1, service=_age(80.0)) == ()


def test_one_line_at_the_beginning_and_one_at_the_end_with_the_worst(caplog):
    flight = Flight()
    with caplog.at_level(logging.INFO, "edge_rgbt.health"):
        flight.go(10, service=_age(120.0))
        flight.go(10, service=_age(180.0))
        flight.go(10, service=_age(20.0))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "alarm frame-age begins: p99 frame age 120.0 ms, limit 100 ms"),
        ("INFO", "alarm frame-age ends after 23 s; worst: p99 frame age 180.0 ms, limit 100 ms"),
    ]


def test_silence_is_not_the_all_clear():
    flight = Flight()
    flight.go(3, service=_age(120.0))
    assert flight.go(60, service=None) == ("frame-age",)


def test_a_stage_over_its_budget_is_named_by_its_median():
    flight = Flight()
    slow_now_and_then = {"register": StageNumbers(p50_ms=0.9, p99_ms=9.0, frames=100)}
    assert flight.go(10, service=ServiceNumbers(stages=slow_now_and_then)) == ()
    slow = {"register": StageNumbers(1.2, 9.0, 200), "infer": StageNumbers(50.0, 60.0, 200)}
    assert flight.go(10, service=ServiceNumbers(stages=slow)) == ("stage-budget:register",)


def test_a_silent_camera_is_told_at_once():
    flight = Flight()
    cameras = {"rgb": CameraNumbers(300, 30.0), "tir": CameraNumbers(300, 1100.0)}
    assert flight.go(1, service=ServiceNumbers(cameras=cameras)) == ("camera-silent:tir",)


def test_a_part_that_does_not_work_is_told_at_once_with_its_reason_and_ends_when_it_does_again(caplog):
    flight = Flight()
    with caplog.at_level(logging.INFO, "edge_rgbt.health"):
        broken = ServiceNumbers(problems={"recorder": "No space left on device", "mavlink": ""})
        assert flight.go(1, service=broken) == ("trouble:recorder",)
        assert flight.go(10, service=ServiceNumbers(problems={"recorder": "", "mavlink": ""})) == ()
    assert caplog.records[0].getMessage() == "alarm trouble:recorder begins: No space left on device"


def test_a_camera_that_was_not_opened_yet_is_not_silent():
    cameras = {"tir": CameraNumbers(0, None)}
    assert Flight().go(10, service=ServiceNumbers(cameras=cameras)) == ()


def test_sensor_files_that_hang_are_told():
    assert Flight().go(10, machine_age_ms=9000.0) == ("sensors-stalled",)


@pytest.mark.parametrize(
    ("sensor", "hot"),
    [
        (Temperature(94.0, 99.0, 104.5), False),
        (Temperature(96.0, 99.0, 104.5), True),
        (Temperature(89.0), False),
        (Temperature(91.0), True),
        (Temperature(80.0, None, 84.85), False),
        (Temperature(81.0, None, 84.85), True),
    ],
)
def test_heat_is_measured_against_the_kernels_limit_or_else_ours(sensor, hot):
    machine = MachineReadings(temperatures={"tj": sensor})
    assert Flight().go(3, machine=machine) == (("temperature:tj",) if hot else ())


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        ({"throttling": ("gpu-throttle-alert",)}, "throttling"),
        ({"rails": {"VDD_IN": Rail(5.0, 4.0, 20.0, alarm=True)}}, "rail:VDD_IN"),
        ({"disk": Disk("/data", 499.0, 1e5, False)}, "disk-space"),
        ({"disk": Disk("/data", 9999.0, 1e5, True)}, "disk-read-only"),
        ({"memory": Memory(200.0, 8000.0, 390.0)}, "memory-low"),
    ],
)
def test_a_machine_in_trouble_raises_one_alarm(change, alarm):
    assert Flight().go(3, machine=MachineReadings(**change)) == (alarm,)


def test_a_clock_cap_that_falls_in_flight_is_throttling():
    flight = Flight()
    assert flight.go(10, machine=MachineReadings(clocks={"gpu": Clock(900.0, 918.0, 1173.0)})) == ()
    cut = MachineReadings(clocks={"gpu": Clock(400.0, 408.0, 1173.0)})
    assert flight.go(3, machine=cut) == ("clock-cap:gpu",)


def test_over_current_events_before_the_start_are_history():
    flight = Flight()
    assert flight.go(10, machine=MachineReadings(over_current_events={"oc3": 37})) == ()
    assert flight.go(1, machine=MachineReadings(over_current_events={"oc3": 38})) == ("over-current:oc3",)
    assert flight.go(6, machine=MachineReadings(over_current_events={"oc3": 38})) == ()


def test_memory_growth_counts_from_the_end_of_the_warm_up():
    flight = Flight(dataclasses.replace(SETTINGS, memory_growth_mb=20.0, warm_up_s=60.0))
    for megabytes in range(100, 161):  # loading and first frames
        flight.go(1, machine=MachineReadings(memory=Memory(process_mb=megabytes)))
    assert flight.go(60, machine=MachineReadings(memory=Memory(process_mb=178.0))) == ()
    assert flight.go(3, machine=MachineReadings(memory=Memory(process_mb=181.0))) == ("memory-growth",)


def test_a_warm_orin_raises_nothing_and_a_hot_one_says_all(tmp_path):
    reader = MachineReader(orin_nx(tmp_path), tmp_path)
    flight = Flight()
    assert flight.go(5, machine=reader.read()) == ()
    write_tree(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone1/temp": 97_500,
            "sys/class/thermal/cooling_device3/cur_state": 1,
            "sys/class/devfreq/17000000.gpu/max_freq": 306_000_000,
            "sys/class/hwmon/hwmon3/oc3_event_cnt": 64,
        },
    )
    hot = reader.read()
    assert flight.go(1, machine=hot) == ("over-current:oc3",)
    assert flight.go(3, machine=hot) == ("clock-cap:gpu", "over-current:oc3", "temperature:gpu", "throttling")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"frame_age_p99_ms": 0.0}, "frame_age_p99_ms is 0"),
        ({"disk_free_mb": -1.0}, "disk_free_mb is -1"),
        ({"release": 1.0}, "release is 1"),
        ({"stage_budgets_ms": {"crop": 0.0}}, "stage_budgets_ms.crop is 0"),
    ],
)
def test_limits_that_cannot_be_are_refused(change, fault):
    with pytest.raises(UsageError, match=fault):
        AlarmSettings(**change)


def test_the_stage_tables_budgets_are_limits():
    budgets = {stage.name: stage.budget_ms for stage in STAGES if stage.budget_ms is not None}
    flight = Flight(AlarmSettings(stage_budgets_ms=budgets))
    at_the_budget = {name: StageNumbers(budget_ms, budget_ms, 100) for name, budget_ms in budgets.items()}
    assert flight.go(5, service=ServiceNumbers(stages=at_the_budget)) == ()
    over = {name: StageNumbers(budget_ms * 1.01, budget_ms, 200) for name, budget_ms in budgets.items()}
    alarms = flight.go(5, service=ServiceNumbers(stages=over))
    assert alarms == tuple(sorted(f"stage-budget:{name}" for name in budgets))
    assert len(alarms) >= 4
