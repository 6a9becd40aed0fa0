"""From telemetry, track and messages to the situation that steering decides upon."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_rgbt.geolocation.camera_attitude import CameraMount
from edge_rgbt.geolocation.clock import AutopilotClock
from edge_rgbt.geolocation.history import STALE_NS
from edge_rgbt.geolocation.optics import OpticsBook
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.rotations import Quaternion, heading_of
from edge_rgbt.geolocation.telemetry import Moment, Telemetry
from edge_rgbt.mavlink.steering.watch import MULTICOPTERS, VehicleWatch
from edge_rgbt.steering.line_of_sight import CameraAngles, Sighting
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import Holder, Mode, Situation, Stack
from edge_rgbt.steering.target_watch import TargetWatch

_FIX_3D = 3


@dataclass(frozen=True, slots=True)
class Senses:
    """What geolocation keeps up to date and steering reads."""

    telemetry: Telemetry
    clock: AutopilotClock
    mount: CameraMount
    optics: OpticsBook

    def camera(self, t_ns: int) -> CameraAngles | None:
        """Where the camera looked at a time of the last three seconds; None if that is stale."""
        attitude = self.mount.attitude(self.telemetry.at(t_ns))
        return None if isinstance(attitude, NoPosition) else _angles(attitude.rotation)

    def nose_yaw_rad(self, camera: CameraAngles, t_ns: int) -> float | None:
        """The camera's yaw from the vehicle's nose."""
        attitude = self.telemetry.at(t_ns).attitude
        if attitude is None:
            return None
        return math.remainder(camera.yaw_rad - heading_of(attitude.value), math.tau)

    def sighting(self, target: TargetWatch) -> Sighting | None:
        """The box's middle in the newest picture, as angles of the lens."""
        seen = target.newest
        optics = None if seen.state is None else self.optics.optics(seen.width, seen.height)
        if seen.state is None or optics is None:
            return None
        slopes = optics.slopes(seen.state.box.cx, seen.state.box.cy)
        if slopes is None:
            return None
        right, down = map(math.atan, slopes)
        return Sighting(seen.state.timestamp_ns, right, down, target.confirmed)


def _angles(q: Quaternion) -> CameraAngles:
    w, x, y, z = q
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0))
    return CameraAngles(roll, pitch, heading_of(q))


def situation(
    now_ns: int, gap_ns: int, settings: ControlSettings, senses: Senses, watch: VehicleWatch,
    target: TargetWatch, holder: Holder, ground_age_ns: int | None, throttle_rest_us: int | None,
    beacon_system: int,
) -> Situation:  # fmt: skip
    """One cycle's inputs. Telemetry is asked whether it will still be fresh at the end of its limit."""
    early_ns = STALE_NS - round(settings.limits.telemetry_age_ms * 1e6)
    moment = senses.telemetry.at(now_ns + early_ns)
    camera_fresh = not isinstance(senses.mount.attitude(moment), NoPosition)
    vehicle_fresh = moment.position is not None and moment.attitude is not None
    state, position, beat = target.newest.state, target.position, watch.beat
    healthy = _position_healthy(moment)
    tracked = {}
    if state is not None:
        tracked = {
            "track_id": target.newest.track_id,
            "status": state.status,
            "confidence": state.confidence,
            "frame_age_ns": now_ns - state.timestamp_ns,
            "unconfirmed_ns": state.unconfirmed_ns,
            "one_sensor_ns": target.one_sensor_ns(now_ns),
        }
    if position is not None:
        tracked |= {
            "position_age_ns": now_ns - position.timestamp_ns,
            "horizontal_m": position.horizontal_m,
            "range_m": position.range_m,
            "jump_m": target.jump_m,
        }
    return Situation(
        now_ns,
        gap_ns,
        **tracked,
        stack=Stack.OTHER if beat is None else beat.stack,
        multicopter=beat is not None and beat.vehicle_type in MULTICOPTERS,
        in_air=watch.airborne(now_ns),
        mode=Mode.OTHER if beat is None else beat.mode,
        mode_number=None if beat is None else beat.mode_number,
        failsafe=beat is not None and beat.failsafe,
        fence_breached=watch.fence_breached,
        position_healthy=healthy,
        heartbeat_age_ns=None if beat is None else now_ns - beat.at_ns,
        gimbal_age_ns=0 if camera_fresh else None,
        vehicle_age_ns=0 if vehicle_fresh else None,
        clock_valid=senses.clock.valid(now_ns),
        holder=holder,
        rc_age_ns=None if watch.channels is None else now_ns - watch.channels[0],
        sticks_us=watch.sticks_us(throttle_rest_us),
        ground_age_ns=ground_age_ns,
        beacon_collides=watch.system == beacon_system,
    )


def _position_healthy(moment: Moment) -> bool | None:
    """None: nobody has said anything."""
    if moment.fix is None:
        return None if moment.healthy is None else False
    return moment.fix.kind >= _FIX_3D and moment.healthy is not False
