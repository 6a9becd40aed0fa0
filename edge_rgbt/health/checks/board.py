"""Board, its NVIDIA release, the packages of its CSI camera, its power mode and clocks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from edge_rgbt.health.checks.finding import Finding, Site, good, note, wrong
from edge_rgbt.health.machine import MachineReader
from edge_rgbt.health.readings import Clock
from edge_rgbt.health.tree import FileTree

JETPACKS = {"36.3": "6.0", "36.4.0": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1", "36.4.7": "6.2.1",
            "36.5": "6.2.2", "39.2": "7.2"}  # fmt: skip
CAMERA_PACKAGES = (
    "nvidia-l4t-camera",
    "nvidia-l4t-gstreamer",
    "nvidia-l4t-multimedia",
    "nvidia-l4t-multimedia-utils",
)
# Closing a pipeline always errs there, and one start in 60 to 120 gives no frames and takes nvargus-daemon
# along (ARK-Electronics/ark_jetson_kernel, pull request 108); 36.4.4 is the newest release without that.
REGRESSED, PINNED = ("36.4.7", "36.5"), "36.4.4"
LOW_CAP = 0.6


def check_board(site: Site) -> Iterator[Finding]:
    """What machine this is, and which NVIDIA release runs on it."""
    tree = site.tree
    release = l4t_release(tree)
    if release is None:
        yield note("board", "no Jetson (there is no /etc/nv_tegra_release): nothing of NVIDIA's to check")
        return
    model = tree.text("/proc/device-tree/model") or "Jetson of unknown model"
    jetpack = next((name for l4t, name in JETPACKS.items() if f"{release}.".startswith(f"{l4t}.")), None)
    if jetpack is None:
        advice = "the tested releases are " + ", ".join(JETPACKS)
        yield note("board", f"{model}, L4T {release}", advice)
    else:
        yield good("board", f"{model}, L4T {release} (JetPack {jetpack})")
    yield from _camera_packages(site)


def check_power(site: Site) -> Iterator[Finding]:
    """Power mode, clocks against caps, limiters at work, temperatures."""
    machine = MachineReader(site.root, site.root).read()
    jetson = l4t_release(site.tree) is not None
    if machine.power_mode is not None:
        yield good("power mode", machine.power_mode)
    elif jetson:
        yield note("power mode", "unknown: /var/lib/nvpmodel/status says nothing", "see `sudo nvpmodel -q`")
    for name, clock in machine.clocks.items():
        if name == "gpu" and clock.cap_mhz and clock.maximum_mhz:
            yield _gpu_clock(clock, clock.cap_mhz, clock.maximum_mhz)
    if machine.clocks:
        yield _locks(machine.clocks, jetson)
    if machine.throttling:
        advice = "cool it, or choose a lower power mode"
        yield wrong("throttling", "at work now: " + ", ".join(machine.throttling), advice)
    if events := {name: n for name, n in machine.over_current_events.items() if n}:
        text = ", ".join(f"{name} {count}" for name, count in events.items())
        advice = "oc1 is under-voltage, oc2 and oc3 over-current: check supply, cable and power mode"
        yield note("over-current", f"events since boot: {text}", advice)
    if machine.temperatures:
        name, hottest = max(machine.temperatures.items(), key=lambda item: item[1].celsius)
        limit = f", throttles at {hottest.throttles_at_c:g} C" if hottest.throttles_at_c else ""
        yield good("temperature", f"{name} is the hottest with {hottest.celsius:.1f} C{limit}")


def l4t_release(tree: FileTree) -> str | None:
    """Such as 36.4.4, None where this is no Jetson."""
    text = tree.text("/etc/nv_tegra_release") or ""
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


def _camera_packages(site: Site) -> Iterator[Finding]:
    versions = _package_versions(site)
    if not versions:
        advice = "install " + " ".join(CAMERA_PACKAGES)
        tell = wrong if site.uses_argus else note
        yield tell("CSI camera", "none of NVIDIA's four camera packages is installed", advice)
        return
    text = ", ".join(f"{name.removeprefix('nvidia-l4t-')} {version}" for name, version in versions.items())
    releases = {version.split("-")[0] for version in versions.values()}
    tell = wrong if site.uses_argus else note
    pin = f"install all four in {PINNED} and `sudo apt-mark hold` them"
    if any(version.startswith(REGRESSED) for version in releases):
        yield tell("CSI camera", f"{text}: its restarts fail now and then and stop every CSI camera", pin)
    elif len(releases) > 1 or len(versions) < len(CAMERA_PACKAGES):
        missing = [name for name in CAMERA_PACKAGES if name not in versions]
        fault = f"without {', '.join(missing)}" if missing else "of different releases"
        yield tell("CSI camera", f"{text}: {fault}", pin)
    else:
        yield good("CSI camera", text)


def _package_versions(site: Site) -> dict[str, str]:
    """Of the installed ones; dpkg answers for the others with a status that is no error here."""
    program = shutil.which("dpkg-query")
    if program is None:
        return {}
    call = [program, f"--admindir={site.root / 'var/lib/dpkg'}", "-W"]
    call += ["-f", "${db:Status-Status} ${Package} ${Version}\\n", *CAMERA_PACKAGES]
    done = subprocess.run(call, capture_output=True, text=True, timeout=30, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0] == "installed"}


def _gpu_clock(clock: Clock, cap_mhz: float, maximum_mhz: float) -> Finding:
    text = f"capped at {cap_mhz:g} MHz of {maximum_mhz:g} MHz, now {clock.current_mhz:g} MHz"
    if cap_mhz < LOW_CAP * maximum_mhz:
        advice = (
            "modes are clock caps: choose one with a higher cap if supply and cooling allow (`nvpmodel -m`)"
        )
        return note("GPU clock", text, advice)
    return good("GPU clock", text)


def _locks(clocks: dict[str, Clock], jetson: bool) -> Finding:
    loose = [name for name, clock in clocks.items() if not clock.locked]
    if not loose:
        return good("clocks", "locked at their caps")
    advice = "`sudo jetson_clocks` locks them: shorter and steadier frame times, more heat" if jetson else ""
    return note("clocks", f"follow the load: {', '.join(loose)}", advice)
