"""Says which control message section 9 of the interface forbids, from what was on the wire and was seen.

Written from the specification's table and not from the code that it judges: it imports nothing of
`edge_rgbt.steering`. Every limit stands here once more. It knows what the companion heard (`Spoken`), what it
said, and what the tracker told it, in the order of time; all times are nanoseconds of flight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MS, SECOND = 1_000_000, 1_000_000_000
ENGAGE, COMPANION = 31010, 191
LEVELS = {"gimbal": 1, "roi": 2, "beacon": 3, "guided": 4}
GIMBAL, ROI, BEACON, GUIDED = 1, 2, 3, 4
_MODES = {BEACON: {3: {23}, 12: {4 << 16 | 8 << 24}}, GUIDED: {3: {4}, 12: {6 << 16}}}
_STEP_NS = 30 * MS  # one cycle and one step of the simulation: what nobody can be quicker than
_WITHIN_NS = {  # the table's third column
    "lost": 200 * MS, "stopped": 200 * MS, "another target": 200 * MS, "mode": 0, "taken": 500 * MS,
    "sticks": 200 * MS, "failsafe": SECOND, "silent": 0, "telemetry": 0, "frame": 0, "sensor": 500 * MS,
    "position": 0, "ground": 0, "landed": SECOND, "ended": 200 * MS, "gimbal telemetry": 0,
}  # fmt: skip
_ENDS = {"mode", "taken", "sticks", "failsafe", "silent", "ended", "landed"}
_HOLDS_BOTH = {"lost", "stopped", "frame", "gimbal telemetry"}
_VEHICLE_ONLY = {"sensor", "position", "ground", "telemetry", "another target"}
_HOLD_NS = 6 * SECOND  # five, and one to act


@dataclass(frozen=True)
class Told:
    """What the tracker told steering. position: (one sigma, range) in metres, None where there is none."""

    t_ns: int
    captured_ns: int
    track_id: int | None
    status: str
    confidence: float
    unconfirmed_ns: int
    both: bool
    position: tuple[float, float] | None


@dataclass(frozen=True)
class Manners:
    """What was configured. floor: of the confidence. horizontal_m, range_m: of the target's position."""

    level: str
    auto_resume: bool
    primes: bool = False
    floor: float = 0.2
    horizontal_m: float = 15.0
    range_m: float = 300.0
    sticks_us: int = 100


@dataclass
class Referee:
    """Feed it everything in the order of time; `faults` are the forbidden messages, in words."""

    manners: Manners
    system: int
    faults: list[str] = field(default_factory=list)
    engagements: int = 0
    judged: int = 0

    def __post_init__(self) -> None:
        self._bad: dict[str, int] = {}  # condition -> since when
        self._heard: dict[str, int] = {}  # message -> when it last came
        self._told: Told | None = None
        self._level = 0
        self._engaged_ns = -1
        self._ends_ns: int | None = None
        self._gimbal_out = self._vehicle_out = True
        self._track: int | None = None
        self._mode_reached = self._held = False
        self._by = 0
        self._asked: dict[tuple[int, int], tuple[bool, int]] = {}
        self._mode, self._autopilot, self._owner = -1, 0, (0, 0)
        self._turned_ns: int | None = None
        self._zeros: list[int] = []
        self._flown_ns: int | None = None
        self._mode_engaged = -1
        self._reasons: set[str] = set()

    # Time.

    def _advance(self, t_ns: int) -> None:
        """What has been wrong for longer than the table allows takes its effect."""
        self._ages(t_ns)
        if not self._engaged:
            return
        for name, since in list(self._bad.items()):
            late = t_ns - max(since, self._engaged_ns) > _WITHIN_NS[name] + _STEP_NS
            if not late or not self._concerns(name) or (name == "mode" and self._primes):
                continue
            if name in _ENDS:
                self._gimbal_out = self._vehicle_out = True
            elif not self.manners.auto_resume or name in ("another target", "ground"):
                self._vehicle_out = True
            if name == "another target" and self._level > ROI:
                self._level = GIMBAL  # only vehicle levels need a new engagement
            if name in _HOLDS_BOTH | {"telemetry"} and t_ns - max(since, self._engaged_ns) > _HOLD_NS:
                self._gimbal_out = self._vehicle_out = True

    @property
    def _engaged(self) -> bool:
        return not (self._gimbal_out and self._vehicle_out)

    def _concerns(self, name: str) -> bool:
        """Whether a row is about the level that is engaged."""
        if name == "mode":
            return self._level >= ROI
        if name in ("sticks", "landed"):
            return self._level == GUIDED
        if name == "taken":
            return self._level != ROI
        if name == "gimbal telemetry":
            return self._level != ROI
        return self._level >= ROI if name in _VEHICLE_ONLY else True

    def _mark(self, name: str, bad: bool, t_ns: int) -> None:
        if not bad:
            self._bad.pop(name, None)
        elif name not in self._bad:
            self._bad[name] = t_ns

    def _ages(self, t_ns: int) -> None:
        def older(kinds: tuple[str, ...], limit_ns: int) -> int | None:
            newest = max((self._heard.get(kind, -(10**18)) for kind in kinds), default=-(10**18))
            return newest + limit_ns if t_ns - newest > limit_ns else None

        ages = {
            "silent": older(("HEARTBEAT",), 2 * SECOND),
            "telemetry": _first(
                older(("ATTITUDE", "ATTITUDE_QUATERNION"), 300 * MS),
                older(("GLOBAL_POSITION_INT",), 300 * MS),
            ),
            "gimbal telemetry": older(("GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION"), 300 * MS),
            "ground": older((f"ground {self._by}",), 5 * SECOND),
        }
        told, stale = self._told, None
        if told is not None and told.track_id is not None and t_ns - told.captured_ns > 350 * MS:
            stale = told.captured_ns + 350 * MS
        ages["frame"] = stale
        for name, since in ages.items():
            if since is None:
                self._bad.pop(name, None)
            else:
                self._bad[name] = min(since, self._bad.get(name, since))

    # What came in.

    def told(self, told: Told) -> None:
        """The tracker's newest answer."""
        self._advance(told.t_ns)
        self._told = told
        stopped = told.track_id is None
        self._mark("stopped", stopped, told.t_ns)
        lost = told.status in ("lost", "idle") or told.unconfirmed_ns > SECOND
        self._mark("lost", not stopped and (lost or told.confidence < self.manners.floor), told.t_ns)
        self._mark("sensor", not stopped and not told.both, told.t_ns)
        changed = told.track_id is not None and self._track is not None and told.track_id != self._track
        self._mark("another target", changed, told.t_ns)
        m, position = self.manners, told.position
        beyond = position is not None and not (position[0] <= m.horizontal_m and position[1] <= m.range_m)
        self._mark("position", beyond, told.t_ns)

    def heard(self, t_ns: int, system: int, component: int, message: Any) -> None:
        """A message that reached the companion."""
        self._advance(t_ns)
        kind = message.get_type()
        if kind == "HEARTBEAT" and message.type == 6:
            self._heard[f"ground {system}"] = t_ns
        if kind == "COMMAND_LONG" and message.command == ENGAGE and message.target_component == COMPANION:
            self._asked[system, component] = message.param1 == 1.0, round(message.param2)
            if message.param1 == 0.0:
                self._mark("ended", True, t_ns)
        if (system, component) != (self.system, 1):
            return
        self._heard[kind] = t_ns
        self._autopilot_said(t_ns, kind, message)

    def _autopilot_said(self, t_ns: int, kind: str, m: Any) -> None:
        if kind == "HEARTBEAT":
            self._mode, self._autopilot = m.custom_mode, m.autopilot
            self._mark_mode(t_ns)
            self._mark_failsafe("status", m.system_status >= 5, t_ns)
        elif kind == "FENCE_STATUS":
            self._mark_failsafe("fence", bool(m.breach_status), t_ns)
        elif kind == "GPS_RAW_INT":
            self._mark_failsafe("gps", m.fix_type < 3, t_ns)
        elif kind == "ESTIMATOR_STATUS":
            self._mark_failsafe("estimator", not m.flags & 16 or bool(m.flags & (128 | 1024)), t_ns)
        elif kind == "EXTENDED_SYS_STATE":
            self._mark("landed", m.landed_state != 2, t_ns)
        elif kind == "RC_CHANNELS" and m.chancount >= 4:
            sticks = (m.chan1_raw, m.chan2_raw, m.chan4_raw)
            moved = any(800 < us < 2200 and abs(us - 1500) > self.manners.sticks_us for us in sticks)
            self._mark("sticks", moved, t_ns)
        elif kind == "GIMBAL_MANAGER_STATUS":
            self._owner = m.primary_control_sysid, m.primary_control_compid
            ours = self._owner == (self.system, COMPANION)
            self._held |= ours
            self._mark("taken", self._held and not ours, t_ns)

    def _mark_failsafe(self, why: str, bad: bool, t_ns: int) -> None:
        (self._reasons.add if bad else self._reasons.discard)(why)
        self._mark("failsafe", bool(self._reasons), t_ns)

    def _mark_mode(self, t_ns: int) -> None:
        if self._level in (BEACON, GUIDED):
            there = self._mode in _MODES[self._level].get(self._autopilot, set())
            self._mode_reached |= there
            waits = self._level == BEACON and not self._mode_reached and self._mode == self._mode_engaged
            self._mark("mode", not there and not waits, t_ns)
        elif self._level == ROI:
            self._mark("mode", self._mode != self._mode_engaged, t_ns)
        else:
            self._bad.pop("mode", None)

    # What went out.

    def said(self, t_ns: int, system: int, message: Any) -> None:
        """A message of ours; judged if it steers."""
        self._advance(t_ns)
        kind = message.get_type()
        if kind == "COMMAND_ACK" and message.command == ENGAGE:
            self._answered(t_ns, message)
        elif kind == "GIMBAL_MANAGER_SET_ATTITUDE":
            self._judge_rates(t_ns, message)
        elif kind == "FOLLOW_TARGET":
            self._judge_vehicle(t_ns, "FOLLOW_TARGET", BEACON)
            if system == self.system:
                self._fault(t_ns, "FOLLOW_TARGET with the vehicle's own system id")
        elif kind.startswith("SET_POSITION_TARGET"):
            self._judge_setpoint(t_ns, kind, message)
        elif getattr(message, "command", None) == 195:
            self._judge_vehicle(t_ns, "DO_SET_ROI_LOCATION", ROI)
        elif getattr(message, "command", None) in (176, 400, 21, 22, 20, 192, 11):
            self._fault(t_ns, f"command {message.command}, which is never ours")

    def _answered(self, t_ns: int, ack: Any) -> None:
        engage, level = self._asked.get((ack.target_system, ack.target_component), (False, 0))
        if ack.result != 0 or not engage:
            return
        again = self._engaged and self._by == ack.target_system and t_ns - self._engaged_ns < 2 * SECOND
        if again and self._level == (level or LEVELS[self.manners.level]) and "ended" not in self._bad:
            return  # answered as a retransmission
        self.engagements += 1
        keeps_gimbal = self._engaged and self._level != ROI
        self._level = level or LEVELS[self.manners.level]
        self._engaged_ns, self._by = t_ns, ack.target_system
        self._gimbal_out, self._vehicle_out = False, False
        self._track = None if self._told is None else self._told.track_id
        self._mode_engaged, self._mode_reached = self._mode, False
        self._held &= keeps_gimbal
        for name in ("ended", "another target", "taken"):
            self._bad.pop(name, None)
        self._mark_mode(t_ns)

    def _excuses(self, t_ns: int, vehicle: bool) -> Iterator[str]:
        """Reasons that forbid steering now."""
        if self._vehicle_out if vehicle else self._gimbal_out:
            yield "not engaged"
        for name, since in self._bad.items():
            if not self._concerns(name) or (not vehicle and name in _VEHICLE_ONLY):
                continue
            if name == "mode" and not vehicle and self._primes:
                continue
            if vehicle and name == "gimbal telemetry":
                continue
            if t_ns - max(since, self._engaged_ns) > _WITHIN_NS[name] + _STEP_NS:
                yield name

    def _judge_rates(self, t_ns: int, m: Any) -> None:
        self.judged += 1
        zero = m.angular_velocity_y == 0.0 and m.angular_velocity_z == 0.0
        if not all(
            math.isfinite(v) for v in (m.angular_velocity_x, m.angular_velocity_y, m.angular_velocity_z)
        ):
            self._fault(t_ns, "a rate that is no number")
        if zero:
            self._zeros.append(t_ns)
            return
        if max(abs(m.angular_velocity_y), abs(m.angular_velocity_z)) > math.radians(60) + 1e-6:
            self._fault(t_ns, "a rate beyond 60 degrees per second")
        if not self._held:
            self._fault(t_ns, "a rate before the gimbal was ours")
        for reason in self._excuses(t_ns, vehicle=False):
            self._fault(t_ns, f"a rate while {reason}")
        self._turned_ns, self._zeros = t_ns, []

    def _judge_setpoint(self, t_ns: int, kind: str, m: Any) -> None:
        if math.hypot(m.vx, m.vy) > 5.0 + 1e-6 or abs(m.vz) > 1.5 + 1e-6:
            self._fault(t_ns, f"{kind} faster than allowed")
        if m.type_mask & 0x7 != 0x7 or m.type_mask & 0x1C0 != 0x1C0:
            self._fault(t_ns, f"{kind} that is more than a velocity")
        stops = m.vx == m.vy == m.vz == 0.0
        self._judge_vehicle(t_ns, kind, GUIDED, stops)
        if not stops:
            self._flown_ns = t_ns

    def _judge_vehicle(self, t_ns: int, kind: str, level: int, stops: bool = False) -> None:
        """stops: a velocity of zero, which may end a flight at the beginning of a hold."""
        self.judged += 1
        if self._level != level:
            self._fault(t_ns, f"{kind} at level {self._level}")
        for reason in self._excuses(t_ns, vehicle=True):
            if stops and self._may_stop(t_ns, reason):
                continue
            self._fault(t_ns, f"{kind} while {reason}")

    def _may_stop(self, t_ns: int, reason: str) -> bool:
        """Set-points have to stop within 200 ms of a hold; the last of them may be zero. PX4 enters Offboard
        only while some come, so where that is configured zeros come before the mode."""
        if reason == "mode":
            return self._primes
        if any(name in self._bad for name in _ENDS - {"ended", "mode"}):
            return False
        if "mode" in self._bad and not self._primes:
            return False
        return self._flown_ns is not None and t_ns - self._flown_ns <= 200 * MS + _STEP_NS

    @property
    def _primes(self) -> bool:
        return self.manners.primes and not self._mode_reached

    def finish(self) -> None:
        """At the end of the flight: whatever was turned has been stopped by a burst, or still is engaged."""
        if self._turned_ns is None or not self._gimbal_out or self._owner[0] not in (0, self.system):
            return
        if len(self._zeros) < 3 or self._zeros[-1] - self._zeros[0] < 280 * MS:
            self._fault(self._turned_ns, f"a rate that only {len(self._zeros)} zeros ended")

    def _fault(self, t_ns: int, what: str) -> None:
        if len(self.faults) < 50:
            self.faults.append(f"{t_ns * 1e-9:.2f} s: {what}")


def _first(*times: int | None) -> int | None:
    known = [t for t in times if t is not None]
    return min(known) if known else None
