"""An autopilot's telemetry for the tests of geolocation: built, packed, parsed and fed as a station would."""

from __future__ import annotations

import math
from pathlib import Path

from edge_rgbt.geolocation import AutopilotClock, GeolocationSettings, Geolocator, MountSettings, Telemetry
from edge_rgbt.mavlink.dialect import common as dialect
from edge_rgbt.mavlink.exchange import Outgoing, Received
from edge_rgbt.mavlink.framing import FrameWriter
from edge_rgbt.mavlink.identity import Identity
from edge_rgbt.mavlink.telemetry import TelemetryReader
from edge_rgbt.mavlink.timesync import TimeSync
from edge_rgbt.types import Box, TrackState, TrackStatus

MS = 1_000_000
SECOND = 1_000_000_000
VEHICLE = Identity(7, 1)
GIMBAL = Identity(7, 154)
SERIAL = "serial:/dev/ttyTHS1:921600"
HOME = (47.397742, 8.545594)
PICTURE = (1280, 720)
GPS_ONLY_SIGMA_M = 1.5


def on_the_wire(message, identity: Identity = VEHICLE):
    """The message as a receiver's parser gives it: packed, cut where zero, and read again."""
    (parsed,) = dialect.MAVLink(None).parse_buffer(FrameWriter().write(identity, message))
    return parsed


class Vehicle:
    """One autopilot at a fixed place and attitude, whose clock is `boot_ns` ahead of ours.

    Times are ours. Everything goes through MAVLink frames into the two components under test.
    """

    def __init__(
        self,
        settings: GeolocationSettings | None = None,
        mount: MountSettings | None = None,
        endpoint: str = SERIAL,
        boot_ns: int = 100 * SECOND,
        base: Path | None = None,
    ) -> None:
        settings = settings or GeolocationSettings(hfov_deg=60.0, home_sigma_m=1.5)
        mount = mount or MountSettings()
        self.boot_ns, self.endpoint = boot_ns, endpoint
        self.clock, self.telemetry = AutopilotClock(), Telemetry()
        self.time = TimeSync(self.clock)
        self.reader = TelemetryReader(self.telemetry, self.clock, settings, mount)
        self.locator = Geolocator(self.telemetry, settings, mount, base=base)
        for component in (self.time, self.reader):
            component.vehicle_changed(VEHICLE.system)

    def boot_ms(self, t_ns: int) -> int:
        return (t_ns + self.boot_ns) // MS

    def say(
        self, message, arrival_ns: int, identity: Identity = VEHICLE, endpoint: str = ""
    ) -> list[Outgoing]:
        """One message over the wire into both components."""
        parsed = on_the_wire(message, identity)
        received = Received(
            parsed, identity.system, identity.component, endpoint or self.endpoint, arrival_ns
        )
        return self.time.receive(received) + self.reader.receive(received)

    def synchronise(self, until_ns: int, count: int = 6, rtt_ns: int = 4 * MS) -> None:
        """Answers our questions, the last one at `until_ns`."""
        for k in range(count):
            t_ns = until_ns - (count - k) * 100 * MS
            self.say(heartbeat(), t_ns)
            (question,) = [o for o in self.time.due(t_ns) if o.message.get_type() == "TIMESYNC"]
            theirs = t_ns + rtt_ns // 2 + self.boot_ns
            self.say(dialect.MAVLink_timesync_message(theirs, question.message.ts1), t_ns + rtt_ns)

    def fly(self, t_ns: int, height_m: float, seconds: float = 0.4, **kept) -> None:
        """Everything but the gimbal, up to t_ns, as a healthy autopilot tells it.

        kept: `attitude` (roll, pitch, yaw in degrees) of the vehicle, `without` names of messages.
        """
        attitude = kept.get("attitude", (0.0, 0.0, 0.0))
        without = kept.get("without", ())
        for k in range(round(seconds * 20), -1, -1):
            at = t_ns - k * 50 * MS
            messages = [euler(self.boot_ms(at), *attitude)]
            if k % 2 == 0:
                messages.append(position(self.boot_ms(at), height_m))
            if k in (0, 20):
                messages += [fix(), status(healthy=True)]
            for message in messages:
                if message.get_type() not in without:
                    self.say(message, at)

    def point(self, t_ns: int, q, flags: int, seconds: float = 0.4, identity: Identity = VEHICLE) -> None:
        """The gimbal at 20 Hz up to t_ns."""
        for k in range(round(seconds * 20), -1, -1):
            at = t_ns - k * 50 * MS
            self.say(gimbal(self.boot_ms(at), q, flags), at, identity)


def heartbeat():
    return dialect.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)


def euler(boot_ms: int, roll_deg: float, pitch_deg: float, yaw_deg: float):
    angles = map(math.radians, (roll_deg, pitch_deg, yaw_deg))
    return dialect.MAVLink_attitude_message(boot_ms, *angles, 0, 0, 0)


def position(boot_ms: int, height_m: float, place=HOME, altitude_m: float | None = None, velocity=(0, 0, 0)):
    altitude = 500.0 + height_m if altitude_m is None else altitude_m
    north, east, down = (round(v * 100) for v in velocity)
    return dialect.MAVLink_global_position_int_message(
        boot_ms, round(place[0] * 1e7), round(place[1] * 1e7), round(altitude * 1000),
        round(height_m * 1000), north, east, down, 0,
    )  # fmt: skip


def fix(kind: int = 3, horizontal_m: float = GPS_ONLY_SIGMA_M, vertical_m: float = 3.0):
    return dialect.MAVLink_gps_raw_int_message(
        0, kind, 0, 0, 0, 0, 0, 0, 0, 12, 0, round(horizontal_m * 1000), round(vertical_m * 1000), 0, 0, 0
    )


def status(healthy: bool):
    estimator = dialect.MAV_SYS_STATUS_AHRS
    health = estimator if healthy else 0
    return dialect.MAVLink_sys_status_message(estimator, estimator, health, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def gimbal(boot_ms: int, q, flags: int):
    nan = math.nan
    return dialect.MAVLink_gimbal_device_attitude_status_message(0, 0, boot_ms, flags, q, nan, nan, nan, 0)


def seen_at(t_ns: int, fraction=(0.5, 0.5), side_px: float = 40.0, **state) -> TrackState:
    """A confirmed track whose box has its middle at a fraction of the picture."""
    x, y = (f * size for f, size in zip(fraction, PICTURE, strict=True))
    box = Box(x - side_px / 2, y - side_px / 2, side_px, side_px)
    return TrackState(box, 0.9, state.pop("status", TrackStatus.TRACKING), t_ns, **state)
