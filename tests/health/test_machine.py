"""What the machine's files say, on fake trees and on this machine."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from machines import desktop_pc, orin_nx, write_tree

from edge_rgbt.health.machine import DISCOVER_EVERY, MachineReader, read_disk
from edge_rgbt.health.readings import Clock, MachineReadings, Rail, Temperature
from edge_rgbt.health.tree import FileTree
from tests.conftest import ROOT


@pytest.fixture
def orin(tmp_path) -> Path:
    return orin_nx(tmp_path)


def _read(root: Path) -> MachineReadings:
    return MachineReader(root, root).read()


def test_orin_temperatures_come_with_the_limits_of_the_kernel(orin):
    readings = _read(orin)
    assert readings.temperatures["gpu"] == Temperature(51.5, 99.0, 104.5)
    assert "tj" in readings.temperatures


def test_zones_that_refuse_to_be_read_are_left_out(orin):
    assert set(_read(orin).temperatures) == {"cpu", "gpu", "soc0", "soc1", "soc2", "tj"}


def test_an_absent_sensor_is_no_temperature(orin):
    write_tree(orin, {"sys/class/thermal/thermal_zone0/temp": -256_000})
    assert "cpu" not in _read(orin).temperatures


def test_orin_clocks_stand_against_the_cap_of_the_mode_and_the_silicon(orin):
    assert _read(orin).clocks == {
        "cpu0": Clock(729.6, 1497.6, 1984.0, False),
        "cpu4": Clock(729.6, 1497.6, 1984.0, False),
        "gpu": Clock(306.0, 408.0, 918.0, False),
    }


def test_locked_clocks_are_seen(orin):
    write_tree(orin, {"sys/class/devfreq/17000000.gpu/min_freq": 408_000_000})
    assert _read(orin).clocks["gpu"].locked


@pytest.mark.parametrize("name", ["17000000.ga10b", "gpu-gpc-0"])
def test_the_gpu_is_found_under_the_names_of_other_releases(tmp_path, name):
    write_tree(tmp_path, {f"sys/class/devfreq/{name}/cur_freq": 612_000_000})
    assert _read(tmp_path).clocks == {"gpu": Clock(612.0)}


def test_orin_rails_are_volts_times_amperes(orin):
    rails = _read(orin).rails
    assert list(rails) == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]
    assert rails["VDD_IN"] == Rail(4.984, 1.856, 9.25, False)


def test_a_current_limit_that_is_exceeded_raises_the_rails_alarm(orin):
    write_tree(orin, {"sys/class/hwmon/hwmon1/curr2_crit_alarm": 1})
    assert [name for name, rail in _read(orin).rails.items() if rail.alarm] == ["VDD_CPU_GPU_CV"]


def test_a_channel_that_is_not_connected_is_no_rail(orin):
    write_tree(orin, {"sys/class/hwmon/hwmon1/in3_label": "NC"})
    assert "NC" not in _read(orin).rails


def test_limiters_at_work_are_named_and_fans_are_none(orin):
    assert _read(orin).throttling == ()
    write_tree(orin, {"sys/class/thermal/cooling_device3/cur_state": 1})
    assert _read(orin).throttling == ("gpu-throttle-alert",)


def test_over_current_events_are_counted(orin):
    assert _read(orin).over_current_events == {"oc1": 0, "oc2": 15, "oc3": 37}


def test_memory_of_process_and_machine(orin):
    memory = _read(orin).memory
    assert (memory.process_mb, memory.machine_total_mb) == (217.4, 16031.7)
    assert memory.machine_available_mb == 11499.5


@pytest.mark.parametrize(("status", "name"), [("pmode:0003", "25W"), ("pmode:0007", "7"), ("", None)])
def test_the_power_mode_is_told_by_its_name(orin, status, name):
    write_tree(orin, {"var/lib/nvpmodel/status": status})
    assert _read(orin).power_mode == name


def test_a_desktop_gives_what_it_has(tmp_path):
    readings = _read(desktop_pc(tmp_path))
    assert readings.temperatures == {
        "acpitz": Temperature(27.8),
        "x86_pkg_temp": Temperature(43.0),
        "nvme": Temperature(38.9, None, 84.85),
    }
    assert list(readings.clocks) == ["cpu0", "cpu1"]
    assert (readings.rails, readings.throttling, readings.power_mode) == ({}, (), None)


def test_an_empty_tree_gives_nothing_and_no_error(tmp_path):
    readings = _read(tmp_path)
    assert readings.disk is not None
    assert MachineReadings(disk=readings.disk) == readings


@pytest.mark.parametrize("garbage", ["", "garbage", "-1", "9" * 400, "\0", "1 2 x"])
def test_nonsense_in_every_file_is_no_error(orin, garbage):
    for path in orin.rglob("*"):
        if path.is_file() and path.name not in ("type", "name") and not path.name.endswith("_label"):
            path.write_text(garbage)
    assert json.dumps(dataclasses.asdict(_read(orin)), allow_nan=False)


def test_two_chips_of_one_name_are_both_there(tmp_path):
    for number in (0, 1):
        folder = f"sys/class/hwmon/hwmon{number}"
        write_tree(tmp_path, {f"{folder}/name": "nvme", f"{folder}/temp1_input": 30_000 + 1000 * number})
    temperatures = _read(tmp_path).temperatures
    assert {name: t.celsius for name, t in temperatures.items()} == {"nvme": 30.0, "nvme-2": 31.0}


def test_a_sensor_that_appears_later_is_found(tmp_path):
    reader = MachineReader(tmp_path, tmp_path)
    reader.read()
    orin_nx(tmp_path)
    later = [reader.read() for _ in range(DISCOVER_EVERY)]
    assert not later[0].rails
    assert later[-1].rails


def test_a_sensor_that_goes_away_is_left_out(orin):
    reader = MachineReader(orin, orin)
    assert "gpu" in reader.read().clocks
    (orin / "sys/class/devfreq/17000000.gpu/cur_freq").unlink()
    assert "gpu" not in reader.read().clocks


def test_the_disk_of_a_folder_that_is_still_to_be_made(tmp_path):
    disk = read_disk(tmp_path / "not" / "yet")
    assert disk is not None
    assert disk.folder == str(tmp_path)
    assert 0 < disk.free_mb <= disk.total_mb
    assert not disk.read_only


def test_a_read_only_file_system_is_seen(tmp_path):
    code = (
        "import sys; from pathlib import Path; from edge_rgbt.health.machine import read_disk; "
        "print(read_disk(Path(sys.argv[1], 'flights')).read_only)"
    )
    script = 'mount -t tmpfs -o ro none "$1" || exit 77; exec "$2" -c "$3" "$1"'
    call = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare (Debian package util-linux)")
    done = subprocess.run([*call, code], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    assert done.stdout == "True\n", done.stderr


def test_this_machine_shows_its_memory():
    memory = MachineReader().read().memory
    assert memory.process_mb is not None
    assert memory.machine_total_mb is not None
    assert 10 < memory.process_mb < memory.machine_total_mb


def test_text_without_a_number_is_no_number(tmp_path):
    write_tree(tmp_path, {"words": "not a number", "limit": "32760 ma"})
    tree = FileTree(tmp_path)
    assert (tree.number("words"), tree.number("limit"), tree.number("nothing")) == (None, 32760, None)
