"""Looks at the machine: temperatures, clocks, rails, throttling, memory, disk, power mode.

Where things stand on an Orin Nano or NX with JetPack 6 (L4T r36) and 7; a desktop PC has a part of it:

- /sys/class/thermal/thermal_zone*/{type,temp,trip_point_*}: cpu, gpu, cv0-2, soc0-2 and tj. NVIDIA's Jetson
  Linux Developer Guide r36, "Platform Power and Performance"; the trips (99 C passive, 104.5 C critical) are
  those of NVIDIA's Tegra234 device tree.
- /sys/class/thermal/cooling_device*/{type,cur_state}: `*-throttle-alert` and `hot-surface-alert` are above 0
  while that limiter works; other cooling devices (`pwm-fan`, `cpufreq-*`) are above 0 in normal life.
- /sys/class/hwmon/hwmon*: `ina3221` with in[1-3]_label, in*_input (mV), curr*_input (mA) and
  curr*_{max,crit}_alarm (kernel, Documentation/hwmon/ina3221.rst); `soctherm_oc` with oc[1-3]_event_cnt:
  under-voltage, average and instantaneous over-current (the guide's "Over-current throttling").
- /sys/class/devfreq/17000000.gpu (r36), 17000000.ga10b (r35) or gpu-gpc-0 (r38 on): {cur,min,max}_freq in Hz.
- /sys/devices/system/cpu/cpufreq/policy*: scaling_{cur,min,max}_freq, cpuinfo_max_freq in kHz.
- /var/lib/nvpmodel/status holds `pmode:0002`; /etc/nvpmodel.conf names the modes.

Not yet run on a device.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from edge_rgbt.health.readings import Clock, Disk, MachineReadings, Memory, Rail, Temperature
from edge_rgbt.health.tree import FileTree

DISCOVER_EVERY = 60
_THERMAL, _HWMON = "/sys/class/thermal", "/sys/class/hwmon"
_CPUFREQ, _DEVFREQ = "/sys/devices/system/cpu/cpufreq", "/sys/class/devfreq"
_GPU_NAME = re.compile(r"(?:.*\.(?:gpu|ga10b|gv11b|gp10b)|gpu(?:-gpc-\d+)?)")
_LIMITER = re.compile(r".*-throttle-alert|hot-surface-alert")
_SANE_C = (-60.0, 200.0)  # an absent sensor says -256 or 0x7fffffff
_ZONES_TOO = ("acpitz", "x86_pkg_temp")  # chips that hwmon repeats
_Reading = TypeVar("_Reading")


class MachineReader:
    """Reads everything once per `read`, from files found once a minute. All methods belong to one thread.

    root: "/" or a fake tree. disk_folder: the recordings' file system is the one that matters.
    A file that hangs hangs `read`; nothing else blocks or raises.
    """

    def __init__(self, root: Path | str = "/", disk_folder: Path | str = "/") -> None:
        self._tree = FileTree(root)
        self._disk_folder = Path(disk_folder)
        self._reads = 0

    def read(self) -> MachineReadings:
        """One look."""
        if self._reads % DISCOVER_EVERY == 0:
            self._discover()
        self._reads += 1
        return MachineReadings(
            temperatures=_present(self._temperatures),
            clocks=_present(self._clocks),
            rails=_present(self._rails),
            throttling=tuple(name for name, path in self._limiters if (self._tree.number(path) or 0) > 0),
            over_current_events=_present(self._event_counters),
            memory=self._memory(),
            disk=read_disk(self._disk_folder),
            power_mode=power_mode(self._tree),
        )

    def _discover(self) -> None:
        tree = self._tree
        zones = list(_find_zones(tree)) + list(_find_hwmon_temperatures(tree))
        self._temperatures = _named(zones)
        self._clocks = _named([*_find_cpu_clocks(tree), *_find_gpu_clocks(tree)])
        self._rails = _named(_find_rails(tree))
        self._limiters = [
            (kind, f"{_THERMAL}/{name}/cur_state")
            for name in tree.names(_THERMAL, r"cooling_device\d+")
            if _LIMITER.fullmatch(kind := tree.text(f"{_THERMAL}/{name}/type") or "")
        ]
        self._event_counters = _named(_find_event_counters(tree))

    def _memory(self) -> Memory:
        status, machine = self._tree.text("/proc/self/status"), self._tree.text("/proc/meminfo")
        return Memory(
            process_mb=_kilobytes_as_mb(status, "VmRSS"),
            machine_total_mb=_kilobytes_as_mb(machine, "MemTotal"),
            machine_available_mb=_kilobytes_as_mb(machine, "MemAvailable"),
        )


def read_disk(folder: Path) -> Disk | None:
    """The file system of a folder, or of its nearest parent that exists; None if that cannot be asked."""
    there = next((path for path in (folder, *folder.parents) if os.path.exists(path)), None)
    if there is None:
        return None
    try:
        found = os.statvfs(there)
    except OSError:
        return None
    return Disk(
        folder=str(there),
        free_mb=round(found.f_bavail * found.f_frsize / 1e6, 1),
        total_mb=round(found.f_blocks * found.f_frsize / 1e6, 1),
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def power_mode(tree: FileTree) -> str | None:
    """nvpmodel's name of the mode that was set last, its number if the name is not listed, or None."""
    found = re.fullmatch(r"pmode:0*(\d+)", tree.text("/var/lib/nvpmodel/status") or "")
    if not found:
        return None
    named = re.search(
        rf"^<\s*POWER_MODEL\s+ID={found[1]}\s+NAME=(\S+)", tree.text("/etc/nvpmodel.conf") or "", re.MULTILINE
    )
    return named[1] if named else found[1]


def _find_zones(tree: FileTree) -> Iterator[tuple[str, Callable[[], Temperature | None]]]:
    for name in tree.names(_THERMAL, r"thermal_zone\d+"):
        folder = f"{_THERMAL}/{name}"
        trips: dict[str, float] = {}
        for trip in tree.names(folder, r"trip_point_\d+_type"):
            kind = tree.text(f"{folder}/{trip}") or ""
            limit = tree.number(f"{folder}/{trip.removesuffix('type')}temp") or 0
            if limit > 0:
                trips[kind] = min(limit / 1000, trips.get(kind, limit / 1000))
        label = (tree.text(f"{folder}/type") or name).removesuffix("-thermal")
        yield label, _temperature(tree, f"{folder}/temp", trips.get("passive"), trips.get("critical"))


def _find_hwmon_temperatures(tree: FileTree) -> Iterator[tuple[str, Callable[[], Temperature | None]]]:
    """Chips with a thermometer and no thermal zone of their own: NVMe disks, processors of desktop PCs."""
    for name in tree.names(_HWMON, r"hwmon\d+"):
        folder = f"{_HWMON}/{name}"
        chip = tree.text(f"{folder}/name") or name
        if not tree.exists(f"{folder}/temp1_input") or chip in _ZONES_TOO or chip.endswith("_thermal"):
            continue
        critical = tree.number(f"{folder}/temp1_crit") or 0
        shuts_down_at_c = critical / 1000 if critical > 0 else None
        yield chip, _temperature(tree, f"{folder}/temp1_input", None, shuts_down_at_c)


def _temperature(
    tree: FileTree, path: str, throttles_at_c: float | None, shuts_down_at_c: float | None
) -> Callable[[], Temperature | None]:
    def read() -> Temperature | None:
        raw = tree.number(path)
        if raw is None or not _SANE_C[0] < raw / 1000 < _SANE_C[1]:
            return None
        return Temperature(round(raw / 1000, 1), throttles_at_c, shuts_down_at_c)

    return read


def _find_cpu_clocks(tree: FileTree) -> Iterator[tuple[str, Callable[[], Clock | None]]]:
    for policy in tree.names(_CPUFREQ, r"policy\d+"):
        folder = f"{_CPUFREQ}/{policy}"
        maximum = tree.number(f"{folder}/cpuinfo_max_freq")
        files = [f"{folder}/scaling_{which}_freq" for which in ("cur", "min", "max")]
        yield f"cpu{policy.removeprefix('policy')}", _clock(tree, files, maximum, 1e3)


def _find_gpu_clocks(tree: FileTree) -> Iterator[tuple[str, Callable[[], Clock | None]]]:
    for name in tree.names(_DEVFREQ):
        if not _GPU_NAME.fullmatch(name):
            continue
        folder = f"{_DEVFREQ}/{name}"
        steps = [int(n) for n in re.findall(r"\d{1,18}", tree.text(f"{folder}/available_frequencies") or "")]
        files = [f"{folder}/{which}_freq" for which in ("cur", "min", "max")]
        yield "gpu", _clock(tree, files, max(steps, default=None), 1e6)


def _clock(
    tree: FileTree, files: list[str], maximum: int | None, per_mhz: float
) -> Callable[[], Clock | None]:
    def read() -> Clock | None:
        current, floor, cap = (tree.number(path) for path in files)
        if current is None:
            return None
        return Clock(
            current_mhz=round(current / per_mhz, 1),
            cap_mhz=None if cap is None else round(cap / per_mhz, 1),
            maximum_mhz=None if maximum is None else round(maximum / per_mhz, 1),
            locked=cap is not None and floor == cap,
        )

    return read


def _find_rails(tree: FileTree) -> Iterator[tuple[str, Callable[[], Rail | None]]]:
    for name in tree.names(_HWMON, r"hwmon\d+"):
        folder = f"{_HWMON}/{name}"
        if tree.text(f"{folder}/name") != "ina3221":
            continue
        for channel in (1, 2, 3):  # in7 is the sum of the shunt voltages, no rail
            label = tree.text(f"{folder}/in{channel}_label")
            if label and "NC" not in label.split("_"):  # a channel that is not connected
                yield label, _rail(tree, folder, channel)


def _rail(tree: FileTree, folder: str, channel: int) -> Callable[[], Rail | None]:
    def read() -> Rail | None:
        millivolts = tree.number(f"{folder}/in{channel}_input")
        milliamperes = tree.number(f"{folder}/curr{channel}_input")
        if millivolts is None or milliamperes is None:
            return None
        alarms = (tree.number(f"{folder}/curr{channel}_{limit}_alarm") for limit in ("max", "crit"))
        return Rail(
            volts=millivolts / 1e3,
            amperes=milliamperes / 1e3,
            watts=round(millivolts * milliamperes / 1e6, 3),
            alarm=any(alarms),
        )

    return read


def _find_event_counters(tree: FileTree) -> Iterator[tuple[str, Callable[[], int | None]]]:
    for name in tree.names(_HWMON, r"hwmon\d+"):
        for counter in tree.names(f"{_HWMON}/{name}", r"oc\d+_event_cnt"):
            path = f"{_HWMON}/{name}/{counter}"
            yield counter.removesuffix("_event_cnt"), lambda path=path: tree.number(path)


def _named(
    found: Iterator[tuple[str, _Reading]] | list[tuple[str, _Reading]],
) -> dict[str, _Reading]:
    """By name; a second one of the same name gets a number behind it."""
    named: dict[str, _Reading] = {}
    for name, reading in found:
        unique, count = name, 1
        while unique in named:
            count += 1
            unique = f"{name}-{count}"
        named[unique] = reading
    return named


def _present(readers: dict[str, Callable[[], _Reading | None]]) -> dict[str, _Reading]:
    return {name: value for name, read in readers.items() if (value := read()) is not None}


def _kilobytes_as_mb(text: str | None, key: str) -> float | None:
    found = re.search(rf"^{key}:\s+(\d+) kB", text or "", re.MULTILINE)
    return round(int(found[1]) * 1024 / 1e6, 1) if found else None
