"""The checks of `edge-rgbt doctor`, a file per concern; the table holds all, in the order of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.checks.board import check_board, check_power
from edge_rgbt.health.checks.cameras import check_cameras
from edge_rgbt.health.checks.clock import check_clock
from edge_rgbt.health.checks.disk import check_disk
from edge_rgbt.health.checks.engine import check_engine
from edge_rgbt.health.checks.finding import CameraToCheck, Finding, Site, Verdict, wrong
from edge_rgbt.health.checks.gstreamer import check_gstreamer
from edge_rgbt.health.checks.link import check_link
from edge_rgbt.health.checks.pairing import check_pairing
from edge_rgbt.health.checks.site import configured_site

__all__ = ["CHECKS", "CameraToCheck", "Finding", "Site", "Verdict", "configured_site", "examine"]

# Cheap ones first; every one yields its findings as it makes them.
CHECKS: tuple[Callable[[Site], Iterator[Finding]], ...] = (
    check_board,
    check_power,
    check_clock,
    check_disk,
    check_gstreamer,
    check_cameras,
    check_pairing,
    check_link,
    check_engine,
)


def examine(
    site: Site, checks: tuple[Callable[[Site], Iterator[Finding]], ...] = CHECKS
) -> Iterator[Finding]:
    """Every finding, as soon as it is there; a check that fails is one too and does not end the others."""
    for check in checks:
        try:
            yield from check(site)
        except (EdgeRgbtError, OSError) as error:
            yield wrong(check.__name__.removeprefix("check_"), str(error))
