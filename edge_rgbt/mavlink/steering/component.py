"""The component that steers: it watches, decides in `edge_rgbt.steering`, and says what is allowed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from typing import Any, Protocol

from edge_rgbt.mavlink.exchange import Outgoing, Priority, Received, Speaker
from edge_rgbt.mavlink.identity import BEACON_SYSTEM, ONBOARD_COMPUTER_COMPONENT
from edge_rgbt.mavlink.sources import SourcePolicy
from edge_rgbt.mavlink.steering.announcer import Announcer
from edge_rgbt.mavlink.steering.gimbal import GimbalControl, Move
from edge_rgbt.mavlink.steering.journal import ControlRecord, Journal
from edge_rgbt.mavlink.steering.messages import ROI_LOCATION, ROI_NONE, TAKE_CONTROL
from edge_rgbt.mavlink.steering.orders import ACCEPTED, DENIED, REJECTED, Order, Orders
from edge_rgbt.mavlink.steering.senses import Senses, situation
from edge_rgbt.mavlink.steering.switch import Flip, PilotSwitch
from edge_rgbt.mavlink.steering.vehicle import FollowBeacon, GuidedFlight, RegionOfInterest
from edge_rgbt.mavlink.steering.watch import VehicleWatch
from edge_rgbt.steering.gimbal_law import STILL, GimbalLaw, Rates
from edge_rgbt.steering.machine import Permission, Permit, SafetyMachine, Text
from edge_rgbt.steering.settings import ControlSettings
from edge_rgbt.steering.situation import Level, Situation
from edge_rgbt.steering.target_watch import NOTHING, Observation, TargetWatch

LOG = logging.getLogger(__name__)
_GROUND_LASTS_NS = 5_000_000_000


class Guard(Protocol):
    """Somebody outside this process who keeps the gimbal still should we die or hang (R-GM-3)."""

    def beat(self, now_ns: int, endpoint: str | None, words: tuple[Any, Any] | None) -> None:
        """Called in every cycle. words: zero rates and release, to be said on that endpoint for us; None
        while there is nothing to stop. Never blocks."""
        ...


class SteeringComponent:
    """Silent until an operator engages it. `receive`, `due` and the like belong to one thread at a time;
    `seen`, `disengage` and `still` are for any."""

    def __init__(
        self,
        settings: ControlSettings,
        senses: Senses,
        record: Callable[[ControlRecord], None] | None = None,
        policy: SourcePolicy | None = None,
        guard: Guard | None = None,
        beacon_system: int = BEACON_SYSTEM,
    ) -> None:
        """record: gets every control message with its inputs and must not block. policy: who may start
        anything at all. beacon_system: speaks FOLLOW_TARGET."""
        self.settings, self._senses, self._guard = settings, senses, guard
        self._beacon_system = beacon_system
        self.machine = SafetyMachine(settings)
        self.watch, self._target = VehicleWatch(), TargetWatch()
        self.watch.on_channels = self._switch
        self._law = GimbalLaw(settings.gimbal)
        self._gimbal = GimbalControl(settings.gimbal, self.watch, settings.dry_run)
        self._roi, self._beacon = RegionOfInterest(), FollowBeacon()
        self._guided = GuidedFlight(settings.guided, senses.telemetry, senses.clock)
        self._orders = Orders(self._obey, self._stands, policy)
        self._announcer = Announcer(settings, self.machine, self.watch)
        self._pilot = PilotSwitch(settings.switch)
        self._journal = Journal(record, settings.dry_run)
        self._observed, self._taken = NOTHING, NOTHING
        self._stop: str | None = None
        self._still = threading.Event()
        self._still.set()
        self._last_ns: int | None = None
        self._throttle_rest_us: int | None = None

    def seen(self, observation: Observation) -> None:
        """The newest picture's outcome, from the frame loop. Starting a track engages nothing."""
        self._observed = observation

    def disengage(self, why: str) -> None:
        """Ends steering with the next cycle; `still` tells when the gimbal stands and is released."""
        self._still.clear()
        self._stop = why

    def still(self, timeout_s: float) -> bool:
        """Waits until nothing is engaged and the last burst is out; False if that takes too long."""
        return self._still.wait(timeout_s)

    def vehicle_changed(self, system: int) -> list[Outgoing]:
        if system == self.watch.system:
            return []
        out = self._part("the vehicle changed")
        self.watch.belong_to(system)
        self._forget()
        return out

    def link_changed(self, endpoint: str, up: bool) -> list[Outgoing]:
        """R-EP-8: what depended on this link ends, and does not begin again by itself."""
        if up or endpoint != self.watch.link.endpoint:
            return []
        out = self._part("the autopilot's link was lost")
        self.watch.lose(endpoint)
        self._forget()
        return out

    def closing(self) -> list[Outgoing]:
        return self._part("the service ends")

    def receive(self, received: Received) -> list[Outgoing]:
        self.watch.receive(received)
        kind = received.message.get_type()
        system = self.watch.system
        if system is None:
            return []
        self._announcer.arrived(kind, received.arrival_ns)
        if kind == "COMMAND_ACK" and received.system == system:
            self._acknowledged(received)
        return self._orders.receive(received, system)

    def due(self, now_ns: int) -> list[Outgoing]:
        try:
            return self._cycle(now_ns)
        except Exception:  # R-GM-3: a fault of ours is a way out too, and the gimbal must not turn on
            LOG.exception("steering failed")
            return self._part("steering failed")

    def _cycle(self, now_ns: int) -> list[Outgoing]:
        gap_ns = 0 if self._last_ns is None else now_ns - self._last_ns
        self._last_ns = now_ns
        system = self.watch.system
        if system is None:
            return []
        if self._stop is not None:
            self.machine.disengage(self._stop)
            self._stop = None
        if self.settings.most is Level.OFF:
            self._still.set()
            return self._announcer.due(now_ns, 0)
        self._take_observation()
        s = self._situation(now_ns, gap_ns)
        permit = self.machine.step(s)
        self._announcer.say(permit.texts)
        out = self._say_gimbal(now_ns, s, permit) + self._say_vehicle(now_ns, system, s, permit)
        if self.machine.engagement is None and self._gimbal.quiet and self._roi.quiet:
            self._still.set()
        else:
            self._still.clear()
        if self._guard is not None:
            endpoint = None if self.watch.manager is None else self.watch.manager[1]
            self._guard.beat(now_ns, endpoint, self._gimbal.last_words())
        return out + self._announcer.due(now_ns, self._senses.clock.boot_ms(now_ns) or now_ns // 1_000_000)

    def _say_gimbal(self, now_ns: int, s: Situation, permit: Permit) -> list[Outgoing]:
        rates = STILL
        if permit.gimbal is Permission.STEER:
            camera = self._senses.camera(now_ns)
            if camera is not None:
                nose = self._senses.nose_yaw_rad(camera, now_ns)
                rates = self._law.rates(now_ns, camera, nose, self.watch.travel)
                if not self.settings.gimbal.yaw_lock:
                    rates = Rates(rates.pitch_rad_s, rates.yaw_rad_s - self.watch.yaw_rate_rad_s)
        else:
            self._law.still(now_ns)
        moves = self._gimbal.step(now_ns, permit.gimbal, rates, permit.yielded)
        return self._moves(moves, now_ns, s, permit)

    def _moves(self, moves: list[Move], now_ns: int, s: Situation | None, permit: Permit) -> list[Outgoing]:
        if not moves or self.watch.manager is None:
            return []
        endpoint, out = self.watch.manager[1], []
        for move in moves:
            rates = move.message.get_type() == "GIMBAL_MANAGER_SET_ATTITUDE"
            priority = Priority.SETPOINT if rates else Priority.ONE_SHOT
            out.append(Outgoing(move.message, priority, Speaker.COMPANION, endpoint, move.stream))
        return self._journalled(out, now_ns, s, permit)

    def _say_vehicle(self, now_ns: int, system: int, s: Situation, permit: Permit) -> list[Outgoing]:
        endpoint, position = self.watch.link.endpoint, self._target.position
        if endpoint is None:
            return []

        def allowed(level: Level) -> Permission:
            return permit.vehicle if permit.level is level else Permission.NOTHING

        out = []
        for message in self._roi.step(now_ns, system, allowed(Level.ROI), permit.farewell, position):
            out.append(Outgoing(message, Priority.ONE_SHOT, Speaker.COMPANION, endpoint))
        for message in self._beacon.step(
            now_ns, allowed(Level.BEACON), position, s.stack, self._senses.clock
        ):
            out.append(Outgoing(message, Priority.SETPOINT, Speaker.BEACON, endpoint, True))
        flown = allowed(Level.GUIDED)
        for message in self._guided.step(
            now_ns, system, flown, permit.farewell, permit.priming, position, s.stack
        ):
            stream = flown is Permission.STEER
            out.append(Outgoing(message, Priority.SETPOINT, Speaker.COMPANION, endpoint, stream))
        if self._roi.refused and self.machine.level is Level.ROI:
            self.machine.disengage("the autopilot refuses a region of interest")
        return self._journalled(out, now_ns, s, permit)

    def _journalled(
        self, out: list[Outgoing], now_ns: int, s: Situation | None, permit: Permit
    ) -> list[Outgoing]:
        """Notes every control message with its inputs; in a dry run nothing more becomes of them."""
        if out:
            inputs = self._inputs(s, permit)
            for outgoing in out:
                self._journal.note(outgoing.message, inputs, now_ns)
        return [] if self.settings.dry_run else out

    def _inputs(self, s: Situation | None, permit: Permit) -> dict[str, Any]:
        inputs = {} if s is None else _plain(asdict(s))
        inputs |= {"level": permit.level.name.lower(), "reasons": list(permit.reasons)}
        position, geometry = self._target.position, self._guided.geometry
        if position is not None and permit.level.flies:
            inputs["position"] = asdict(position)
        if geometry is not None and permit.level is Level.GUIDED:
            inputs["geometry"] = asdict(geometry)
        return inputs

    def _part(self, why: str) -> list[Outgoing]:
        """Everything that has to be said before the end, at once."""
        system, now_ns = self.watch.system, self._last_ns or 0
        self.machine.disengage(why)
        if system is None:
            return []
        try:
            s = self._situation(now_ns)
            permit = self.machine.step(s)
        except Exception:  # what raised once may raise again; the gimbal is stopped all the same
            s, permit = None, Permit()
        out = self._moves(self._gimbal.parting(permit.yielded), now_ns, s, permit)
        endpoint, words = self.watch.link.endpoint, []
        if permit.farewell and endpoint is not None and s is not None:
            words = self._roi.parting(system) + self._guided.parting(system, s.stack, now_ns)
        last = [Outgoing(word, Priority.SETPOINT, Speaker.COMPANION, endpoint) for word in words]
        self._still.set()
        if self._guard is not None:
            self._guard.beat(now_ns, None, None)
        return out + self._journalled(last, now_ns, s, permit)

    def _forget(self) -> None:
        """The vehicle, or the life it led, is another one."""
        self._announcer.restart()
        self._beacon.restart()
        self._law.reset()
        self._pilot.forget()

    def _take_observation(self) -> None:
        observation = self._observed
        if observation is self._taken:
            return
        if observation.track_id != self._taken.track_id:
            self._law.reset()
        self._taken = observation
        self._target.take(observation)
        sighting = self._senses.sighting(self._target)
        camera = None if sighting is None else self._senses.camera(sighting.captured_ns)
        if sighting is not None and camera is not None:
            self._law.see(sighting, camera)

    def _situation(self, now_ns: int, gap_ns: int = 0, asking: int | None = None) -> Situation:
        """asking: system id of who wants to engage; else of who did."""
        engagement = self.machine.engagement
        ground = engagement.by if engagement is not None and asking is None else asking
        heard = self.watch.grounds.get(ground) if ground is not None else None
        if ground is None and self.watch.grounds:
            heard = next(reversed(self.watch.grounds.values()))
        return situation(
            now_ns, gap_ns, self.settings, self._senses, self.watch, self._target,
            self._gimbal.holder(now_ns), None if heard is None else now_ns - heard,
            self._throttle_rest_us if engagement is not None else None, self._beacon_system,
        )  # fmt: skip

    def _obey(self, order: Order) -> int:
        """What a ground station asked for; the answer as a MAV_RESULT."""
        if not order.engage:
            self.machine.disengage(f"by {order.system}/{order.component}")
            return ACCEPTED
        settings, engagement = self.settings, self.machine.engagement
        level = settings.most if order.level is None else order.level
        refused = None
        if settings.most is Level.OFF or level > settings.most:
            refused = self.machine.refusal(level, order.system, self._situation(order.at_ns))
        elif not self._may_engage(order):
            refused = f"system {order.system} may not engage"
        elif engagement is not None and engagement.by != order.system:
            refused = "another has engaged it"
        if refused is not None:
            return self._refused(refused, DENIED)
        if order.track_id is not None and order.track_id != self._observed.track_id:
            return self._refused("that target is not tracked", REJECTED)
        return self._engage(level, order.system, order.at_ns)

    def _stands(self, order: Order) -> bool:
        """True while the engagement that this order asked for has not ended or shrunk."""
        engagement = self.machine.engagement
        level = self.settings.most if order.level is None else order.level
        return engagement is not None and (engagement.by, engagement.level) == (order.system, level)

    def _may_engage(self, order: Order) -> bool:
        """Those that are configured; else ground stations that are heard now (R-SEC-5)."""
        if self.settings.engage_systems:
            return order.system in self.settings.engage_systems
        heard = self.watch.grounds.get(order.system)
        return heard is not None and order.at_ns - heard <= _GROUND_LASTS_NS

    def _engage(self, level: Level, by: int | None, at_ns: int) -> int:
        self._take_observation()
        throttle = self.watch.throttle_us
        reason = self.machine.engage(level, by, self._situation(at_ns, asking=by))
        if reason is not None:
            return self._refused(reason, REJECTED)
        self._throttle_rest_us = throttle
        self._roi.begin()
        self._guided.begin()
        self._still.clear()
        if self.settings.dry_run:
            self._announcer.say([Text("Dry run: nothing is sent", urgent=False)])
        return ACCEPTED

    def _refused(self, reason: str, result: int) -> int:
        self._announcer.say([Text(f"Steering refused: {reason}", urgent=True)])
        return result

    def _switch(self, channels: tuple[int, ...], at_ns: int) -> None:
        flip = self._pilot.look(channels) if self.settings.most is not Level.OFF else None
        if flip is Flip.DOWN:
            self.machine.disengage("by the pilot's switch")
        elif flip is Flip.UP and self.machine.engagement is None:
            self._engage(self.settings.most, None, at_ns)

    def _acknowledged(self, received: Received) -> None:
        ack = received.message
        ours = (self.watch.system, ONBOARD_COMPUTER_COMPONENT)
        if (ack.target_system, ack.target_component) not in (ours, (0, 0)):
            return
        if ack.command == TAKE_CONTROL:
            self._gimbal.acknowledged(received.component, ack.result, received.arrival_ns)
        elif ack.command in (ROI_LOCATION, ROI_NONE):
            self._roi.acknowledged(ack.command, ack.result)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers and words only, for the recorder."""
    return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
