"""The MAVLink link: does the endpoint open, and is there a vehicle behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.checks.finding import Finding, Site, good, note, wrong

_POLL_S = 0.02
_HEARING = ("serial", "udpin", "tcp")  # where the vehicle's heartbeat comes without our speaking first
_SILENCE = {
    "serial": "check wiring (TX to RX), baud rate, and that the autopilot speaks MAVLink on that port",
    "udpin": "point the autopilot or router at this address and port",
    "tcp": "see whether the router at the other end is connected to the autopilot",
}


def check_link(site: Site) -> Iterator[Finding]:
    """A finding per endpoint. Listens only; sends nothing."""
    if not site.mavlink_urls:
        advice = "" if site.configured else "give --config FILE to try its endpoints"
        yield note("MAVLink", "no endpoint configured", advice)
    for url in site.mavlink_urls:
        try:
            yield _examine(url, site.heartbeat_s)
        except EdgeRgbtError as error:
            yield wrong("MAVLink", str(error))


def _examine(url: str, patience_s: float) -> Finding:
    from edge_rgbt.mavlink.endpoint import parse_endpoint
    from edge_rgbt.mavlink.links import make_link

    endpoint = parse_endpoint(url)
    link = make_link(endpoint)
    try:
        link.open()
        if endpoint.scheme not in _HEARING:
            return good("MAVLink", f"{endpoint}: opens; who listens there cannot be known without sending")
        heard = _listen(link, patience_s)
    except OSError as error:
        advice = "stop the other program (the service itself?) or correct the endpoint"
        return wrong("MAVLink", f"{endpoint}: {error.strerror or error}", advice)
    finally:
        link.close()
    if vehicles := sorted(system for system, is_vehicle in heard if is_vehicle):
        return good("MAVLink", f"{endpoint}: heartbeat of vehicle {', '.join(map(str, vehicles))}")
    others = f", only of {len(heard)} other components" if heard else ""
    return wrong("MAVLink", f"{endpoint}: no vehicle's heartbeat in {patience_s:g} s{others}",
                 _SILENCE[endpoint.scheme])  # fmt: skip


def _listen(link, patience_s: float) -> set[tuple[int, bool]]:
    """(system, is it an autopilot) of everybody heard, until the first autopilot or the end of patience."""
    from edge_rgbt.mavlink.identity import AUTOPILOT_COMPONENT, AUTOPILOT_INVALID
    from edge_rgbt.mavlink.messages import HeartbeatReader

    reader, heard = HeartbeatReader(), set()
    until_s = time.monotonic() + patience_s
    while time.monotonic() < until_s and not any(is_vehicle for _, is_vehicle in heard):
        data = b"".join(chunk for _, chunk in link.receive())
        for system, component, autopilot in reader.feed(data):
            heard.add((system, component == AUTOPILOT_COMPONENT and autopilot != AUTOPILOT_INVALID))
        time.sleep(_POLL_S)
    return heard
