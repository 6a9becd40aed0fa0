"""The two threads that make health records, with real files, one of which hangs."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import orin_nx

from edge_rgbt.errors import UsageError
from edge_rgbt.health import (
    CameraNumbers,
    HealthMonitor,
    HealthRecord,
    HealthSettings,
    QueueNumbers,
    ServiceNumbers,
    StageNumbers,
    stages_from_summary,
)
from edge_rgbt.runtime import StageStatistics

PERIOD_S = 0.02
NUMBERS = ServiceNumbers(
    frame_age_p50_ms=21.0,
    frame_age_p99_ms=40.0,
    stages={"infer": StageNumbers(10.0, 12.0, 300)},
    queues={"rgb": QueueNumbers(1, 3.5, 7)},
    cameras={"tir": CameraNumbers(300, 16.0, {"frozen": 2})},
    counters={"pairs": 300},
)


def _settings(root: Path, period_s: float = PERIOD_S) -> HealthSettings:
    return HealthSettings(period_s=period_s, disk_folder=root, root=root)


def _wait_for(true: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_records_hold_service_and_machine_and_are_handed_on(tmp_path):
    records: list[HealthRecord] = []
    with HealthMonitor(_settings(orin_nx(tmp_path)), lambda: NUMBERS, records.append) as monitor:
        _wait_for(lambda: len(records) >= 5 and records[-1].machine)
    last = records[-1]
    assert last.service == NUMBERS
    assert last.machine is not None
    assert last.machine.power_mode == "25W"
    assert [record.number for record in records] == list(range(len(records)))
    assert monitor.latest is last


def test_a_record_is_json_with_its_layout_named(tmp_path):
    with HealthMonitor(_settings(orin_nx(tmp_path)), lambda: NUMBERS) as monitor:
        _wait_for(lambda: monitor.latest and monitor.latest.machine)
    assert monitor.latest is not None
    value = json.loads(json.dumps(monitor.latest.to_dict(), allow_nan=False))
    assert value["schema"] == 1
    assert value["service"]["cameras"]["tir"]["counters"] == {"frozen": 2}
    assert value["machine"]["rails"]["VDD_IN"]["watts"] == 9.25


def test_records_come_no_faster_than_their_period(tmp_path):
    times_ns: list[int] = []
    began_ns = time.monotonic_ns()
    with HealthMonitor(_settings(tmp_path, 0.05), lambda: NUMBERS, lambda r: times_ns.append(r.time_ns)):
        _wait_for(lambda: len(times_ns) >= 5)
    assert all(at_ns - began_ns >= 50_000_000 * count for count, at_ns in enumerate(times_ns, 1))


def test_a_sensor_file_that_hangs_does_not_stop_the_records(tmp_path):
    orin_nx(tmp_path)
    hanging = tmp_path / "sys/class/hwmon/hwmon1/in1_input"
    hanging.unlink()
    os.mkfifo(hanging)  # nobody writes: opening it blocks, as a hung I2C bus does
    monitor = HealthMonitor(_settings(tmp_path), lambda: NUMBERS)
    monitor.start()
    _wait_for(lambda: monitor.latest and monitor.latest.number >= 3)
    assert monitor.latest is not None
    assert monitor.latest.machine is None
    assert monitor.latest.service == NUMBERS
    age_ms = monitor.latest.machine_age_ms
    _wait_for(lambda: monitor.latest and monitor.latest.machine_age_ms > age_ms)
    began_s = time.monotonic()
    monitor.close(timeout_s=0.1)
    assert time.monotonic() - began_s < 2.0
    hanging.open("w").close()  # lets the thread go


def test_a_source_that_fails_is_logged_once_and_counted(tmp_path, caplog):
    def fail() -> ServiceNumbers:
        raise RuntimeError("no numbers today")

    with caplog.at_level(logging.ERROR), HealthMonitor(_settings(tmp_path), fail) as monitor:
        _wait_for(lambda: monitor.failures >= 5)
    assert monitor.latest is not None
    assert monitor.latest.service is None
    assert len(caplog.records) == 1
    assert "no numbers today" in caplog.text


def test_a_consumer_that_fails_does_not_end_health(tmp_path):
    def refuse(record: HealthRecord) -> None:
        raise OSError("disk full")

    with HealthMonitor(_settings(tmp_path), lambda: NUMBERS, refuse) as monitor:
        _wait_for(lambda: monitor.latest and monitor.latest.number >= 3)
    assert monitor.failures >= 3


def test_closing_ends_the_threads(tmp_path):
    monitor = HealthMonitor(_settings(tmp_path, 60.0), lambda: NUMBERS)
    monitor.start()
    monitor.close(timeout_s=10.0)
    assert not {t.name for t in threading.enumerate()} & {"health", "health-sensors"}


def test_alarms_stand_in_the_record_that_raised_them(tmp_path):
    silent = ServiceNumbers(cameras={"tir": CameraNumbers(1, 5000.0)})
    records: list[HealthRecord] = []
    with HealthMonitor(_settings(tmp_path), lambda: silent, records.append):
        _wait_for(lambda: records)
    assert records[0].alarms == ("camera-silent:tir",)


def test_stage_numbers_come_from_the_loops_statistics():
    statistics = StageStatistics(window=100)
    for milliseconds in range(1, 101):
        statistics.record("register", milliseconds * 1_000_000)
    assert stages_from_summary(statistics.summary()) == {
        "register": StageNumbers(p50_ms=50.5, p99_ms=pytest.approx(99.01), frames=100)
    }


def test_the_log_gets_a_line_of_summary_now_and_then(tmp_path, caplog):
    settings = HealthSettings(0.01, log_every_s=3600.0, disk_folder=tmp_path, root=orin_nx(tmp_path))
    records: list[HealthRecord] = []
    monitor = HealthMonitor(settings, lambda: NUMBERS, records.append)
    with caplog.at_level(logging.INFO, "edge_rgbt.health"), monitor:
        _wait_for(lambda: len(records) >= 5)
    assert [r.getMessage() for r in caplog.records] == [records[0].summary()]


def test_the_summary_names_what_matters(tmp_path):
    with HealthMonitor(_settings(orin_nx(tmp_path)), lambda: NUMBERS) as monitor:
        _wait_for(lambda: monitor.latest and monitor.latest.machine)
    assert monitor.latest is not None
    assert monitor.latest.summary().startswith(
        "frame age p99 40 ms; 7 dropped; tj 55 C; gpu 306 of 408 MHz; VDD_IN 9.2 W; memory 217 MB; disk "
    )


def test_impossible_periods_are_refused():
    with pytest.raises(UsageError, match="period_s is 0"):
        HealthSettings(period_s=0.0)
