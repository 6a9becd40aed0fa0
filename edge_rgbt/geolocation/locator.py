"""From a track to a place on earth, or to the reason why there is none (section 8)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from edge_rgbt.geolocation.camera_attitude import AttitudeSource, CameraAttitude, CameraMount
from edge_rgbt.geolocation.earth import LocalFrame
from edge_rgbt.geolocation.ground import CameraPlace, Ground, GroundHeights
from edge_rgbt.geolocation.intersection import Covariance, Movement, Sight, Sigmas, largest_sigma
from edge_rgbt.geolocation.motion import TargetMotion
from edge_rgbt.geolocation.optics import Optics, OpticsBook
from edge_rgbt.geolocation.refusals import NoPosition
from edge_rgbt.geolocation.rotations import Quaternion, Vector, rotated, turn_between
from edge_rgbt.geolocation.settings import GeolocationSettings, HeightSource, MountSettings
from edge_rgbt.geolocation.telemetry import Fix, Moment, Telemetry
from edge_rgbt.rig import RigCamera
from edge_rgbt.types import Box, TargetPosition, TrackState, TrackStatus

LOCATED = "located"
LOWEST_CAMERA_M = 0.5
FIX_3D = 3
_TURN_OVER_NS = 40_000_000  # over this the rate of turn is measured
_LEAST_PIXEL_SIGMA, _BOX_SHARE = 2.0, 0.05


@dataclass(frozen=True, slots=True)
class CameraView:
    """Where the camera is and looks. rotation: camera (forward, right, down) to north-east-down.

    ground: latitude, longitude, altitude of what the picture's middle shows; None above the horizon or where
    no height is known.
    """

    place: CameraPlace
    rotation: Quaternion
    hfov_deg: float
    vfov_deg: float
    ground: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class LocatorReport:
    """For people and health records. outcome: "located", or why not, of the last picture.

    The sources are those of the last position, time_sigma_ms how far off its telemetry's times may have been:
    40 ms or so says that the autopilot's clock is not known. outcomes: pictures by what came of them.
    """

    outcome: str
    height_source: HeightSource | None
    attitude_source: AttitudeSource | None
    time_sigma_ms: float | None
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Stand:
    """The camera at the time of a picture."""

    moment: Moment
    place: CameraPlace
    attitude: CameraAttitude
    fix: Fix
    velocity_ned_mps: Vector
    time_sigma_ns: int


@dataclass(frozen=True, slots=True)
class _Solution:
    """One picture's own answer, before the motion filter."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    range_m: float
    covariance: Covariance
    ground: Ground


class Geolocator:
    """Owns the motion of the tracked target; reads what `telemetry` holds.

    camera: the RGB camera of the calibration. base: folder where a relative elevation file starts. Raises
    UsageError if the lens is unknown or the elevation file cannot be used. `locate` is called by one thread.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        settings: GeolocationSettings,
        mount: MountSettings,
        camera: RigCamera | None = None,
        base: Path | None = None,
    ) -> None:
        self.telemetry = telemetry
        self._settings = settings
        self._mount = CameraMount(mount)
        self._book = OpticsBook(camera, settings.hfov_deg)
        self._ground = GroundHeights(settings, base)
        self._steepness = math.sin(math.radians(settings.min_depression_deg))
        self._track_id: int | None = None
        self._motion = TargetMotion(settings.target)
        self._frame: LocalFrame | None = None
        self._confirmed_ns: int | None = None
        self.last: TargetPosition | NoPosition = NoPosition.NO_TARGET
        self.height_source: HeightSource | None = None
        self.attitude_source: AttitudeSource | None = None
        self.time_sigma_ms: float | None = None
        self.outcomes: Counter[str] = Counter()

    def close(self) -> None:
        """Stops reading the elevation file."""
        self._ground.close()

    def locate(
        self, state: TrackState, track_id: int, width: int, height: int
    ) -> TargetPosition | NoPosition:
        """Where the target of this state is. The box counts in pixels of a width x height picture.

        Takes a few tenths of a millisecond and waits for nobody.
        """
        self.last = self._located(state, track_id, width, height)
        self.outcomes[LOCATED if isinstance(self.last, TargetPosition) else self.last.name] += 1
        return self.last

    def report(self) -> LocatorReport:
        """What became of the pictures so far. For any thread."""
        last = self.last
        outcome = last.value if isinstance(last, NoPosition) else LOCATED
        return LocatorReport(
            outcome, self.height_source, self.attitude_source, self.time_sigma_ms, dict(self.outcomes)
        )

    def view(self, t_ns: int, width: int, height: int) -> CameraView | NoPosition:
        """Where the camera is and looks at a time, for pictures of this size. For any thread."""
        optics = self._book.optics(width, height)
        if optics is None:
            return NoPosition.PICTURE_SIZE
        stand = self._stand(t_ns)
        if isinstance(stand, NoPosition):
            return stand
        found = None
        direction = rotated(stand.attitude.rotation, (1.0, 0.0, 0.0))
        sight = self._sight(stand, direction)
        if not isinstance(sight, NoPosition):
            line, _ = sight
            frame = LocalFrame.at(stand.place.latitude_deg, stand.place.longitude_deg)
            latitude, longitude = frame.degrees(line.north_m, line.east_m)
            found = (latitude, longitude, stand.place.altitude_m - line.plane.drop_m)
        return CameraView(stand.place, stand.attitude.rotation, optics.hfov_deg(), optics.vfov_deg(), found)

    def _located(
        self, state: TrackState, track_id: int, width: int, height: int
    ) -> TargetPosition | NoPosition:
        if track_id != self._track_id:
            self._track_id, self._frame, self._confirmed_ns = track_id, None, None
            self._motion = TargetMotion(self._settings.target)
        if state.status not in (TrackStatus.TRACKING, TrackStatus.UNCERTAIN):
            return NoPosition.NO_TARGET
        confirmed = state.status is TrackStatus.TRACKING and state.unconfirmed_ns == 0
        if not confirmed:
            if self._confirmed_ns is None or not self._motion.started:
                return NoPosition.NOTHING_TO_COAST_ON
            unseen_ns = max(state.unconfirmed_ns, state.timestamp_ns - self._confirmed_ns)
            if unseen_ns > self._settings.coast_ms * 1e6:
                return NoPosition.COASTED_TOO_LONG
        optics = self._book.optics(width, height)
        if optics is None:
            return NoPosition.PICTURE_SIZE
        solution = self._solve(state.box, state.timestamp_ns, optics)
        if isinstance(solution, NoPosition):
            return solution
        return self._followed(solution, state.timestamp_ns, track_id, confirmed)

    def _solve(self, box: Box, t_ns: int, optics: Optics) -> _Solution | NoPosition:
        """Sections 8.1 to 8.6 for one picture."""
        pixels = _pixel_slopes(box, optics)
        if pixels is None:
            return NoPosition.OUTSIDE_LENS
        stand = self._stand(t_ns)
        if isinstance(stand, NoPosition):
            return stand
        turn = stand.attitude.rotation
        middle, *beside = (_direction(turn, *slopes) for slopes in pixels)
        sight = self._sight(stand, middle)
        if isinstance(sight, NoPosition):
            return sight
        line, ground = sight
        if line.range_m > self._settings.max_range_m:
            return NoPosition.TOO_FAR
        mount = self._mount.settings
        sigmas = Sigmas(
            math.radians(mount.tilt_sigma_deg), math.radians(mount.heading_sigma_deg),
            ground.drop_sigma_m, stand.fix.horizontal_m, stand.time_sigma_ns / 1e9,
        )  # fmt: skip
        movement = Movement(stand.velocity_ned_mps, self._turn_rate(t_ns, stand))
        right, left, below, above = beside
        covariance = line.covariance(((right, left), (below, above)), sigmas, movement)
        if not largest_sigma(covariance) <= self._settings.max_horizontal_sigma_m:
            return NoPosition.TOO_UNCERTAIN
        frame = LocalFrame.at(stand.place.latitude_deg, stand.place.longitude_deg)
        latitude, longitude = frame.degrees(line.north_m, line.east_m)
        altitude = stand.place.altitude_m - ground.plane.drop_m
        self.height_source, self.attitude_source = ground.source, stand.attitude.source
        self.time_sigma_ms = stand.time_sigma_ns / 1e6
        return _Solution(latitude, longitude, altitude, line.range_m, covariance, ground)

    def _stand(self, t_ns: int) -> _Stand | NoPosition:
        """The camera at a time, if everything that was told about it holds."""
        moment = self.telemetry.at(t_ns)
        if moment.position is None:
            return NoPosition.NO_VEHICLE_POSITION
        if moment.fix is None or moment.fix.kind < FIX_3D:
            return NoPosition.NO_FIX
        if moment.healthy is False:
            return NoPosition.UNHEALTHY
        attitude = self._mount.attitude(moment)
        if isinstance(attitude, NoPosition):
            return attitude
        arm = self._mount.lever_arm(moment)
        if isinstance(arm, NoPosition):
            return arm
        position = moment.position.value
        frame = LocalFrame.at(position.latitude_deg, position.longitude_deg)
        place = CameraPlace(*frame.degrees(arm[0], arm[1]), position.altitude_m - arm[2])
        told_ns = max(attitude.time_sigma_ns, moment.position.time_sigma_ns)
        time_sigma_ns = round(math.hypot(told_ns, self._settings.capture_sigma_ms * 1e6))
        return _Stand(moment, place, attitude, moment.fix, position.velocity_ned_mps, time_sigma_ns)

    def _sight(self, stand: _Stand, direction: Vector) -> tuple[Sight, Ground] | NoPosition:
        """The line of sight down to the ground."""
        if direction[2] < self._steepness:
            return NoPosition.NEAR_HORIZON
        ground = self._ground.seen(stand.moment, stand.place, direction)
        if isinstance(ground, NoPosition):
            return ground
        if not ground.plane.drop_m > LOWEST_CAMERA_M:
            return NoPosition.TOO_LOW
        return Sight(direction, ground.plane), ground

    def _turn_rate(self, t_ns: int, stand: _Stand) -> Vector:
        """How fast the camera turns, radians per second about north, east, down."""
        before = self._mount.attitude(self.telemetry.at(t_ns - _TURN_OVER_NS))
        if isinstance(before, NoPosition):
            return (0.0, 0.0, 0.0)
        x, y, z = turn_between(before.rotation, stand.attitude.rotation)
        scale = 1e9 / _TURN_OVER_NS
        return (x * scale, y * scale, z * scale)

    def _followed(
        self, solution: _Solution, t_ns: int, track_id: int, confirmed: bool
    ) -> TargetPosition | NoPosition:
        """Section 8.7: the filter's answer, or its prediction where the picture confirms nothing."""
        if self._frame is None:
            self._frame = LocalFrame.at(solution.latitude_deg, solution.longitude_deg)
        motion, frame = self._motion, self._frame
        if confirmed:
            north, east = frame.metres(solution.latitude_deg, solution.longitude_deg)
            motion.update(t_ns, north, east, solution.covariance)
            self._confirmed_ns = t_ns
        now = motion.at(t_ns)
        # Not the filter's own covariance: most errors last for many pictures and do not average out, so what
        # is published is never surer than one picture alone.
        covariance = _sum(solution.covariance, now.growth)
        horizontal = largest_sigma(covariance)
        if horizontal > self._settings.max_horizontal_sigma_m:
            return NoPosition.TOO_UNCERTAIN
        latitude, longitude = frame.degrees(now.north_m, now.east_m)
        position = TargetPosition(
            track_id, t_ns, latitude, longitude, solution.altitude_m, horizontal, solution.ground.sigma_m,
            covariance, solution.range_m, confirmed=confirmed,
        )  # fmt: skip
        if not now.settled:
            return position
        plane, sigma = solution.ground.plane, now.speed_sigma_mps
        down = -(plane.north_rise * now.north_mps + plane.east_rise * now.east_mps)
        course = math.atan2(now.east_mps, now.north_mps) % math.tau
        known = math.hypot(now.north_mps, now.east_mps) >= 3 * sigma
        return replace(
            position,
            velocity_ned_mps=(now.north_mps, now.east_mps, down),
            speed_sigma_mps=sigma,
            course_rad=course if known else None,
        )


def _pixel_slopes(box: Box, optics: Optics) -> list[tuple[float, float]] | None:
    """The box's middle, and one sigma right, left, below and above it."""
    right = max(_LEAST_PIXEL_SIGMA, _BOX_SHARE * box.w)
    down = max(_LEAST_PIXEL_SIGMA, _BOX_SHARE * box.h)
    found = []
    for u, v in ((0.0, 0.0), (right, 0.0), (-right, 0.0), (0.0, down), (0.0, -down)):
        slopes = optics.slopes(box.cx + u, box.cy + v)
        if slopes is None:
            return None
        found.append(slopes)
    return found


def _direction(rotation: Quaternion, right: float, down: float) -> Vector:
    length = math.sqrt(1 + right * right + down * down)
    return rotated(rotation, (1 / length, right / length, down / length))


def _sum(a: Covariance, b: Covariance) -> Covariance:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])
