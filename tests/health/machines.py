"""Fake trees of /sys, /proc and /etc: what an Orin NX shows under JetPack 6, and a desktop PC under Debian.

Paths and units are those of the kernel and of NVIDIA's documentation, named in `edge_rgbt/health/machine.py`;
the values are made up but of the right size.
"""

from __future__ import annotations

from pathlib import Path

ZONES = ("cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj")
LIMITERS = ("cpu-throttle-alert", "gpu-throttle-alert", "soc0-throttle-alert", "hot-surface-alert")
NVPMODEL = """< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=10W >
< POWER_MODEL ID=2 NAME=15W >
< POWER_MODEL ID=3 NAME=25W >
< PM_CONFIG DEFAULT=2 >
"""


def write_tree(root: Path, files: dict[str, object]) -> None:
    """Files with a line end, as the kernel writes them; a name ending in / is a folder: reading it fails."""
    for name, value in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def orin_nx(root: Path) -> Path:
    """An Orin NX in its 25W mode, warm, nothing throttled; the three cv zones are powered down."""
    thermal, hwmon = "sys/class/thermal", "sys/class/hwmon"
    files: dict[str, object] = {
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.4, GCID: 41062509, BOARD: generic",
        "etc/nvpmodel.conf": NVPMODEL,
        "var/lib/nvpmodel/status": "pmode:0003",
        "proc/device-tree/model": "NVIDIA Jetson Orin NX Engineering Reference Developer Kit\0",
        "proc/meminfo": "MemTotal:       15655952 kB\nMemFree:   9000000 kB\nMemAvailable:   11230000 kB",
        "proc/self/status": "Name:\tpython3\nVmHWM:\t  301000 kB\nVmRSS:\t  212345 kB",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "arch_sys_counter",
        f"{hwmon}/hwmon0/name": "pwmfan",
        f"{hwmon}/hwmon0/pwm1": 96,
        f"{hwmon}/hwmon3/name": "soctherm_oc",
    }
    for index, zone in enumerate(ZONES):
        folder = f"{thermal}/thermal_zone{index}"
        files[f"{folder}/type"] = f"{zone}-thermal"
        if zone.startswith("cv"):
            files[f"{folder}/temp/"] = None
        else:
            files[f"{folder}/temp"] = 51_000 + 500 * index
        files[f"{folder}/trip_point_0_type"], files[f"{folder}/trip_point_0_temp"] = "critical", 104_500
        files[f"{folder}/trip_point_1_type"], files[f"{folder}/trip_point_1_temp"] = "passive", 99_000
    for index, kind in enumerate(("pwm-fan", "cpufreq-cpu0", *LIMITERS)):
        files[f"{thermal}/cooling_device{index}/type"] = kind
        files[f"{thermal}/cooling_device{index}/cur_state"] = 2 if index < 2 else 0
    for channel, (label, millivolts, milliamperes) in enumerate(
        (("VDD_IN", 4984, 1856), ("VDD_CPU_GPU_CV", 4976, 520), ("VDD_SOC", 4984, 472)), 1
    ):
        folder = f"{hwmon}/hwmon1"
        files |= {
            f"{folder}/name": "ina3221",
            f"{folder}/in{channel}_label": label,
            f"{folder}/in{channel}_input": millivolts,
            f"{folder}/curr{channel}_input": milliamperes,
            f"{folder}/curr{channel}_max_alarm": 0,
            f"{folder}/curr{channel}_crit_alarm": 0,
        }
    files |= {f"{hwmon}/hwmon1/in7_label": "sum of shunt voltages", f"{hwmon}/hwmon1/in7_input": 3200}
    files |= {f"{hwmon}/hwmon3/oc{number}_event_cnt": count for number, count in ((1, 0), (2, 15), (3, 37))}
    files |= {f"{hwmon}/hwmon3/oc{number}_throt_en": 1 for number in (1, 2, 3)}
    gpu = "sys/class/devfreq/17000000.gpu"
    files |= {
        f"{gpu}/cur_freq": 306_000_000,
        f"{gpu}/min_freq": 306_000_000,
        f"{gpu}/max_freq": 408_000_000,
        f"{gpu}/available_frequencies": "306000000 408000000 510000000 612000000 816000000 918000000",
        f"{gpu}/governor": "nvhost_podgov",
        "sys/class/devfreq/15340000.vic/cur_freq": 115_200_000,
    }
    for policy in (0, 4):
        folder = f"sys/devices/system/cpu/cpufreq/policy{policy}"
        files |= {
            f"{folder}/scaling_cur_freq": 729_600,
            f"{folder}/scaling_min_freq": 729_600,
            f"{folder}/scaling_max_freq": 1_497_600,
            f"{folder}/cpuinfo_max_freq": 1_984_000,
            f"{folder}/scaling_governor": "schedutil",
        }
    write_tree(root, files)
    return root


def desktop_pc(root: Path) -> Path:
    """A desktop PC: a package sensor, a board sensor without useful trips, an NVMe disk, a clock per core."""
    files: dict[str, object] = {
        "proc/meminfo": "MemTotal:       32768000 kB\nMemAvailable:   30000000 kB",
        "sys/class/thermal/thermal_zone0/type": "acpitz",
        "sys/class/thermal/thermal_zone0/temp": 27_800,
        "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp",
        "sys/class/thermal/thermal_zone1/temp": 43_000,
        "sys/class/thermal/thermal_zone1/trip_point_0_type": "passive",
        "sys/class/thermal/thermal_zone1/trip_point_0_temp": 0,
        "sys/class/thermal/cooling_device0/type": "Processor",
        "sys/class/thermal/cooling_device0/cur_state": 0,
        "sys/class/hwmon/hwmon0/name": "acpitz",
        "sys/class/hwmon/hwmon0/temp1_input": 27_800,
        "sys/class/hwmon/hwmon1/name": "nvme",
        "sys/class/hwmon/hwmon1/temp1_input": 38_850,
        "sys/class/hwmon/hwmon1/temp1_crit": 84_850,
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    }
    for core in (0, 1):
        folder = f"sys/devices/system/cpu/cpufreq/policy{core}"
        files |= {
            f"{folder}/scaling_cur_freq": 4_000_000,
            f"{folder}/scaling_min_freq": 4_000_000,
            f"{folder}/scaling_max_freq": 4_000_000,
            f"{folder}/cpuinfo_max_freq": 4_000_000,
        }
    write_tree(root, files)
    return root
