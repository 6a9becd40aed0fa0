"""DISENGAGED, ARMED, ENGAGED, HOLDING: who may be steered now, and what the operator is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from edge_rgbt.steering.rules import EXPECTED_MODES, RULES, Rule, Verdict, steers_gimbal
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import (
    Channel,
    Engagement,
    Holder,
    Level,
    Mode,
    Situation,
    Stack,
    State,
)
from edge_rgbt.types import TrackStatus


class Permission(Enum):
    """NOTHING: not ours. HOLD: ours, and to be kept still. STEER: ours."""

    NOTHING = "nothing"
    HOLD = "hold"
    STEER = "steer"


@dataclass(frozen=True, slots=True)
class Text:
    """Something that the operator has to know. urgent: it takes control away from what he asked for."""

    text: str
    urgent: bool


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be sent in this cycle.

    level: what is engaged. farewell: the vehicle may be told once that it is over. yielded: the gimbal is
    somebody else's, it is neither moved nor released. priming: zero velocity only, outside Offboard.
    reasons: names of the rules that fired.
    """

    level: Level = Level.OFF
    gimbal: Permission = Permission.NOTHING
    vehicle: Permission = Permission.NOTHING
    farewell: bool = False
    yielded: bool = False
    priming: bool = False
    reasons: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()


@dataclass(slots=True)
class _Hold:
    since_ns: int
    resumes: bool


class SafetyMachine:
    """Owns the engagement. Not for two threads at once."""

    def __init__(self, settings: ControlSettings) -> None:
        self.settings = settings
        self.engagement: Engagement | None = None
        self._holds: dict[Channel, _Hold | None] = {}  # of the channels that are engaged
        self._armed = False
        self._texts: list[Text] = []
        self._leaving: Engagement | None = None  # what the operator ended since the last cycle

    @property
    def level(self) -> Level:
        """What is engaged now; another target leaves a vehicle level with its gimbal alone."""
        return Level.OFF if self.engagement is None else self.engagement.level

    @property
    def state(self) -> State:
        if self.engagement is None:
            return State.ARMED if self._armed else State.DISENGAGED
        main = Channel.VEHICLE if Channel.VEHICLE in self._holds else Channel.GIMBAL
        return State.ENGAGED if self._holds[main] is None else State.HOLDING

    def refusal(self, level: Level, by: int | None, s: Situation) -> str | None:
        """Why this level cannot be engaged now; None if it can. One line for the operator."""
        most = self.settings.most
        if most is Level.OFF:
            return "steering is off in the configuration"
        if level is Level.OFF or level > most:
            return f"level {level.name.lower()} is not enabled, {most.name.lower()} is"
        if level is Level.GIMBAL and not self.settings.gimbal.enabled:
            return "gimbal steering is not enabled"
        wanted = self._engagement(level, by, s)
        if wanted is None or s.status is not TrackStatus.TRACKING:
            return "no target is tracked"
        if not s.confidence >= self.settings.limits.confidence_again:
            return "track is not confident enough"
        reason = self._vehicle_refusal(level, s) if level.flies else None
        if reason is not None:
            return reason
        for rule in RULES:
            if rule.when(s, wanted, self.settings):
                return rule.text
        return None

    def _vehicle_refusal(self, level: Level, s: Situation) -> str | None:
        if s.stack is Stack.OTHER:
            return "autopilot is neither PX4 nor ArduPilot"
        if not s.clock_valid:
            return "autopilot's clock is not known yet"
        if s.position_healthy is not True:
            return "vehicle's position is not healthy"
        if level is Level.BEACON and s.beacon_collides:
            return "beacon_sysid is the vehicle's own"
        if level is Level.GUIDED and not s.multicopter:
            return "only multicopters are flown"
        if level is Level.GUIDED and not self.settings.guided.acknowledged:
            return "guided is not acknowledged in the configuration"
        return None

    def engage(self, level: Level, by: int | None, s: Situation) -> str | None:
        """Starts steering the current target; the reason if it may not. Asked again, it engages anew, which
        also ends a hold."""
        reason = self.refusal(level, by, s)
        if reason is not None:
            return reason
        before = self.engagement
        engagement = self._engagement(level, by, s)
        assert engagement is not None
        if before is not None and steers_gimbal(before.level, self.settings):
            # The gimbal is ours already; only the manager's next word may change that.
            engagement = replace(engagement, held_gimbal=before.held_gimbal)
        if before is not None and before.level.flies and before.level is not level:
            self._leaving = before
        self.engagement = engagement
        self._holds = {}
        if steers_gimbal(level, self.settings):
            self._holds[Channel.GIMBAL] = None
        if level.flies:
            self._holds[Channel.VEHICLE] = None
        self._texts.append(Text(f"Steering {level.name.lower()} engaged", False))
        return None

    def disengage(self, why: str) -> bool:
        """Ends steering at the operator's wish or at the end of the flight; False if nothing was engaged."""
        if self.engagement is None:
            return False
        self._leaving = self.engagement
        self._leave(f"Steering off: {why}", urgent=False)
        return True

    def step(self, s: Situation) -> Permit:
        """One cycle: what may be sent in it. Called at least every 20 ms."""
        if self.engagement is None:
            return self._idle(s)
        self._latch(s)
        engagement = self.engagement
        fired = [rule for rule in RULES if rule.when(s, engagement, self.settings)]
        farewell, yielded = self._last_words(s)
        for channel in list(self._holds):
            hard = [r for r in fired if r.verdict(channel, self.settings) is Verdict.LEAVE]
            soft = [r for r in fired if r.verdict(channel, self.settings) is Verdict.HOLD]
            if hard:
                self._drop(channel, hard[0])
                # What one rule forbids to say, another one does not allow.
                farewell |= channel is Channel.VEHICLE and all(rule.farewell for rule in hard)
                yielded |= any(rule.yields for rule in hard)
            elif channel in self._holds:
                farewell |= self._judge(channel, soft, s)
        if any(rule.name == "another target" for rule in fired) and self.engagement is not None:
            assert s.track_id is not None
            self.engagement = replace(self.engagement, track_id=s.track_id)
        return self._permit(fired, farewell, yielded)

    def _idle(self, s: Situation) -> Permit:
        most = self.settings.most
        self._armed = most is not Level.OFF and self.refusal(most, None, s) is None
        farewell, yielded = self._last_words(s)
        texts = tuple(self._texts)
        self._texts.clear()
        return Permit(farewell=farewell, yielded=yielded, texts=texts)

    def _last_words(self, s: Situation) -> tuple[bool, bool]:
        """Of what the operator ended: whether the vehicle may be told so, whether the gimbal is another's."""
        left, self._leaving = self._leaving, None
        if left is None:
            return False, False
        hard = [
            rule
            for rule in RULES
            if rule.verdict(Channel.VEHICLE, self.settings) is Verdict.LEAVE
            and rule.when(s, left, self.settings)
        ]
        return all(rule.farewell for rule in hard), any(rule.yields for rule in hard)

    def _latch(self, s: Situation) -> None:
        """What has once been the case during this engagement."""
        e = self.engagement
        assert e is not None
        if not e.held_gimbal and s.holder is Holder.US:
            e = replace(e, held_gimbal=True)
        if not e.mode_reached and s.mode is EXPECTED_MODES.get(e.level):
            e = replace(e, mode_reached=True, priming=False)
        self.engagement = e

    def _judge(self, channel: Channel, reasons: list[Rule], s: Situation) -> bool:
        """Begins, keeps or ends a hold of an engaged channel; True where the vehicle has to be told."""
        hold, limits = self._holds[channel], self.settings.limits
        if hold is None and not reasons:
            return False
        if hold is None:
            self._holds[channel] = _Hold(s.now_ns, all(rule.resumes for rule in reasons))
            self._tell(f"Steering holds: {reasons[0].text}", urgent=True)
            return channel is Channel.VEHICLE and all(rule.farewell for rule in reasons)
        hold.resumes &= all(rule.resumes for rule in reasons)
        if s.now_ns - hold.since_ns > limits.found_again_s * 1e9:
            self._end(channel, "Steering off: held too long")
            return channel is Channel.VEHICLE
        again = s.status is TrackStatus.TRACKING and s.confidence >= limits.confidence_again
        allowed = channel is Channel.GIMBAL or (self.settings.auto_resume and hold.resumes)
        if not reasons and again and allowed:
            self._holds[channel] = None
            self._tell("Steering goes on", urgent=False)
        return False

    def _drop(self, channel: Channel, rule: Rule) -> None:
        if channel in self._holds:
            self._end(channel, f"Steering off: {rule.text}")

    def _end(self, channel: Channel, text: str) -> None:
        """Lets one channel go; the engagement ends with the last."""
        del self._holds[channel]
        if not self._holds:
            self._leave(text, urgent=True)
            return
        self._tell(text, urgent=True)
        if channel is Channel.VEHICLE:
            assert self.engagement is not None
            self.engagement = replace(self.engagement, level=Level.GIMBAL)

    def _leave(self, text: str, urgent: bool) -> None:
        self.engagement = None
        self._holds = {}
        self._armed = False
        self._tell(text, urgent)

    def _tell(self, text: str, urgent: bool) -> None:
        if all(text != told.text for told in self._texts):
            self._texts.append(Text(text, urgent))

    def _permit(self, fired: list[Rule], farewell: bool, yielded: bool) -> Permit:
        texts = tuple(self._texts)
        self._texts.clear()
        e = self.engagement
        return Permit(
            self.level,
            self._permission(Channel.GIMBAL),
            self._permission(Channel.VEHICLE),
            farewell,
            yielded,
            e is not None and e.level is Level.GUIDED and e.priming,
            tuple(rule.name for rule in fired),
            texts,
        )

    def _permission(self, channel: Channel) -> Permission:
        if channel not in self._holds:
            return Permission.NOTHING
        return Permission.STEER if self._holds[channel] is None else Permission.HOLD

    def _engagement(self, level: Level, by: int | None, s: Situation) -> Engagement | None:
        if s.track_id is None or s.mode_number is None:
            return None
        primes = (
            level is Level.GUIDED
            and s.stack is Stack.PX4
            and s.mode is not Mode.EXTERNAL
            and self.settings.guided.prime_s > 0
        )
        return Engagement(
            level,
            by,
            s.now_ns,
            s.track_id,
            s.mode_number,
            s.position_healthy is True,
            s.clock_valid,
            s.ground_age_ns is not None,
            s.mode is EXPECTED_MODES.get(level),
            priming=primes,
        )
