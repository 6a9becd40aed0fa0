"""The MAVLink link: does it open, is there a vehicle behind it, and is that set up to show a camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.health.checks.finding import Finding, Site, good, note, wrong

if TYPE_CHECKING:
    from edge_rgbt.mavlink.endpoint import Endpoint
    from edge_rgbt.mavlink.probe import Sight

SUBJECT = "MAVLink"
_PX4, _ARDUPILOT = 12, 3  # MAV_AUTOPILOT; nothing here imports pymavlink before it is needed
_MAVLINK_CAMERA = 6  # CAM1_TYPE
_SPEAK_FIRST_S = 2.0  # where an answer may never come
_SILENCE = {
    "serial": "check wiring (TX to RX) and baud rate, and that the autopilot speaks MAVLink on that port: "
    "ArduPilot SERIALn_PROTOCOL = 2, PX4 MAV_n_CONFIG = that port",
    "udpin": "point the autopilot or router at this address and port",
    "tcpin": "point the autopilot or router at this address and port",
    "tcp": "see whether the router at the other end is connected to the autopilot",
    "udpout": "start the ground station or router there, or correct the address",
}


def check_link(site: Site) -> Iterator[Finding]:
    """Findings per endpoint. Sends heartbeats and reads parameters; changes nothing on the vehicle."""
    if not site.mavlink_urls:
        advice = "" if site.configured else "give --config FILE to try its endpoints"
        yield note(SUBJECT, "no endpoint configured", advice)
    for url in site.mavlink_urls:
        try:
            yield from _examine(url, site.heartbeat_s)
        except EdgeRgbtError as error:
            yield wrong(SUBJECT, str(error))


def _examine(url: str, patience_s: float) -> Iterator[Finding]:
    from edge_rgbt.mavlink.endpoint import parse_endpoint
    from edge_rgbt.mavlink.probe import look_at

    endpoint = parse_endpoint(url)
    if endpoint.scheme == "udpout":
        patience_s = min(patience_s, _SPEAK_FIRST_S)
    yield from judge(endpoint, look_at(endpoint, patience_s), patience_s)


def judge(endpoint: Endpoint, sight: Sight, patience_s: float) -> Iterator[Finding]:
    """What was seen on an endpoint, in words, and which setting is missing."""
    if not sight.opened:
        advice = "stop the other program (the service itself?) or correct the endpoint"
        if "ermission denied" in sight.problem:
            advice = "let this user use the device: usermod -aG dialout USER, then log in again"
        yield wrong(SUBJECT, f"{endpoint}: {sight.problem or 'cannot be opened'}", advice)
        return
    if sight.echoed:
        cause = "TX and RX are joined" if endpoint.scheme == "serial" else "a router sends back what it gets"
        yield wrong(SUBJECT, f"{endpoint}: our own messages come back", f"{cause}; mend that first")
    if not sight.vehicles:
        yield _no_vehicle(endpoint, sight, patience_s)
        return
    names = ", ".join(map(str, sorted(sight.vehicles)))
    if len(sight.vehicles) == 1:
        yield good(SUBJECT, f"{endpoint}: heartbeat of vehicle {names}")
    else:
        advice = "say which one is ours: mavlink.sysid; otherwise the first that is heard is taken"
        yield note(SUBJECT, f"{endpoint}: heartbeats of vehicles {names}", advice)
    yield from _conflicts(endpoint, sight)
    yield from _settings(endpoint, sight)


def _no_vehicle(endpoint: Endpoint, sight: Sight, patience_s: float) -> Finding:
    advice = _SILENCE[endpoint.scheme]
    if sight.frames:
        if sight.ground_stations and endpoint.scheme in ("udpout", "udpin", "tcp", "tcpin"):
            found = f"{endpoint}: a ground station answers, no vehicle is heard here"
            return note(SUBJECT, found, "set mavlink.sysid unless another endpoint leads to the autopilot")
        found = f"no vehicle's heartbeat in {patience_s:g} s, only of {len(sight.others)} other components"
        return wrong(SUBJECT, f"{endpoint}: {found}", advice)
    if sight.received_bytes:
        found = f"{endpoint}: {sight.received_bytes} bytes came and no message among them"
        if endpoint.scheme == "serial":
            rate = "set the same baud rate here and there: ArduPilot SERIALn_BAUD, PX4 SER_..._BAUD"
            return wrong(SUBJECT, found, rate)
        return wrong(SUBJECT, found, "something else than MAVLink is sent here; correct the endpoint")
    if endpoint.scheme == "udpout":
        return note(SUBJECT, f"{endpoint}: opens; nobody answers there", advice)
    return wrong(SUBJECT, f"{endpoint}: no vehicle's heartbeat in {patience_s:g} s", advice)


def _conflicts(endpoint: Endpoint, sight: Sight) -> Iterator[Finding]:
    for system, component in sorted(sight.doubles):
        if system in sight.vehicles:
            found = f"{endpoint}: another camera speaks as {system}/{component}"
            yield wrong(SUBJECT, found, "stop it (the service itself?) or set mavlink.camera_compid = 101")


def _settings(endpoint: Endpoint, sight: Sight) -> Iterator[Finding]:
    """What keeps a ground station from finding the camera behind this autopilot."""
    system = min(sight.vehicles)
    if system in sight.old:
        advice = "ArduPilot: SERIALn_PROTOCOL = 2 for this port; PX4: MAV_PROTO_VER = 2"
        yield wrong(
            SUBJECT, f"{endpoint}: the vehicle speaks MAVLink 1, which has no cameras that track", advice
        )
    kind, parameters = sight.vehicles[system], sight.parameters
    if kind == _PX4:
        yield from _forwarding(endpoint, parameters)
    elif kind == _ARDUPILOT and "CAM1_TYPE" in parameters:
        value = round(parameters["CAM1_TYPE"])
        if value != _MAVLINK_CAMERA:
            found = f"{endpoint}: CAM1_TYPE is {value}, so the autopilot does not use our camera"
            yield wrong(SUBJECT, found, "set CAM1_TYPE = 6 (MAVLink camera) and restart the autopilot")
    if kind in (_PX4, _ARDUPILOT) and not parameters:
        advice = "PX4 needs MAV_n_FORWARD = 1 on this port, ArduPilot CAM1_TYPE = 6: look there"
        yield note(SUBJECT, f"{endpoint}: the autopilot did not tell its parameters", advice)
    if sight.asked:
        yield good(SUBJECT, f"{endpoint}: our camera is found and asked what it is")
    elif sight.ground_stations:
        found = f"{endpoint}: a ground station is heard and does not ask for our camera"
        yield note(SUBJECT, found, "without a route back it cannot: see forwarding on this port")


def _forwarding(endpoint: Endpoint, parameters: dict[str, float]) -> Iterator[Finding]:
    """PX4 passes on only what comes in on an instance with forwarding; which one is ours it does not tell."""
    forwards = {name: round(value) for name, value in sorted(parameters.items()) if "_FORWARD" in name}
    on = [name for name, value in forwards.items() if value]
    off = [name for name, value in forwards.items() if not value]
    if off and not on:
        found = f"{endpoint}: {', '.join(off)} is 0: no ground station will ever see the camera"
        yield wrong(
            SUBJECT, found, "set MAV_n_FORWARD = 1 for the instance on this port, MAV_n_MODE = Onboard"
        )
    elif off:
        advice = "make sure that this port is the one that forwards"
        yield note(SUBJECT, f"{endpoint}: {', '.join(on)} is 1, {', '.join(off)} is 0", advice)
