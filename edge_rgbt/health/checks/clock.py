"""The clocks: the one that stamps frames, and the one that dates logs."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator

from edge_rgbt.health.checks.finding import Finding, Site, good, note, wrong

GOOD_SOURCES = ("arch_sys_counter", "tsc", "kvm-clock", "hyperv_clocksource_tsc_page")
_COARSEST_NS = 10_000
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of adjtimex(2)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2) on a 64-bit kernel."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 32),  # more than what follows
    )


def check_clock(site: Site) -> Iterator[Finding]:
    """Resolution and source of the monotonic clock; whether NTP or PTP disciplines the wall clock."""
    yield _monotonic()
    source = site.tree.text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source is None:
        yield note("clock source", "the kernel does not tell it")
    elif source in GOOD_SOURCES:
        yield good("clock source", source)
    else:
        advice = "reading the time is slow or coarse so; see the kernel's log for why its counter was refused"
        yield wrong("clock source", source, advice)
    yield _wall_clock()
    for device in site.tree.names("/sys/class/ptp", r"ptp\d+"):
        name = site.tree.text(f"/sys/class/ptp/{device}/clock_name") or "unnamed"
        yield good("PTP", f"{device} ({name}); cameras on it need `ptp4l` and `phc2sys` to share the clock")


def _monotonic() -> Finding:
    steps = []
    last = time.monotonic_ns()
    for _ in range(1000):
        now = time.monotonic_ns()
        if now > last:
            steps.append(now - last)
        last = now
    step_ns = min(steps, default=_COARSEST_NS)
    text = f"smallest step {step_ns} ns"
    if step_ns >= _COARSEST_NS:
        return wrong("monotonic clock", text, "frame times need better than 10 µs; see the clock source")
    return good("monotonic clock", text)


def _wall_clock() -> Finding:
    library = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()
    if library.adjtimex(ctypes.byref(timex)) < 0:
        return note("wall clock", "the kernel does not tell whether it is synchronised")
    if timex.status & _UNSYNCHRONISED:
        advice = (
            "logs and recordings will carry a wrong date: run chrony or systemd-timesyncd; frames do not care"
        )
        return note("wall clock", "not synchronised by NTP or PTP", advice)
    return good("wall clock", f"synchronised by NTP or PTP, error at most {timex.maxerror / 1000:.0f} ms")
