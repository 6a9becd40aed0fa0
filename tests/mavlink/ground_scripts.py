"""What ground stations do with a camera, step by step and with their timing, over pymavlink (section 6).

Each script takes a `live_camera.GroundStation` that has heard the camera, and returns every command with its
result and how long the acknowledgement took. `pace` shortens the waits between steps; 1 keeps them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from live_camera import GroundStation

REQUEST_MESSAGE, SET_INTERVAL, GET_INTERVAL = 512, 511, 510
TRACK_POINT, TRACK_RECTANGLE, STOP_TRACKING = 2004, 2005, 2010
STATUS = "CAMERA_TRACKING_IMAGE_STATUS"


@dataclass
class Session:
    """steps: (what, result, seconds to the acknowledgement)."""

    ground: GroundStation
    target: tuple[int, int]
    pace: float
    steps: list[tuple[str, int, float]] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds * self.pace)

    def do(self, what: str, number: int, *params: float) -> float:
        """Sends a command and waits for its acknowledgement; when it was sent."""
        sent_s = self.ground.command(number, *params, target=self.target)
        took_s, ack = self.ground.ack(number, sent_s)
        self.steps.append((what, ack.result, took_s))
        return sent_s

    def request(self, kind: str, message_id: int, *params: float):
        """REQUEST_MESSAGE; the message has to follow within a second of the acknowledgement."""
        sent_s = self.do(kind, REQUEST_MESSAGE, message_id, *params)
        return self.ground.expect(kind, sent_s, within_s=1.0 + self.steps[-1][2])[1]


def qgroundcontrol(ground: GroundStation, target: tuple[int, int], pace: float = 1.0) -> Session:
    """Section 6.1, from the first heartbeat of the camera to tracking switched off."""
    session = Session(ground, target, pace)
    information = session.request("CAMERA_INFORMATION", 259)
    session.wait(0.5)
    session.request("CAMERA_SETTINGS", 260)
    session.request("CAMERA_FOV_STATUS", 271)
    session.wait(0.5)
    if information.flags & 256:
        first = session.request("VIDEO_STREAM_INFORMATION", 269, 0)
        for missing in range(1, first.count + 1):
            session.request("VIDEO_STREAM_INFORMATION", 269, missing)
    session.wait(0.5)
    session.request("CAMERA_CAPTURE_STATUS", 262)
    session.wait(0.5)
    session.request("STORAGE_INFORMATION", 261, 0)
    session.wait(1.0)
    session.do("click", TRACK_POINT, 0.5, 0.5, 20 / 1280)
    session.do("status at 2 Hz", SET_INTERVAL, 275, 500_000)
    session.wait(2.0)
    session.do("drag", TRACK_RECTANGLE, 0.4, 0.4, 0.6, 0.6)
    session.do("status at 2 Hz", SET_INTERVAL, 275, 500_000)
    session.wait(2.0)
    for _ in range(2):  # its toggle sends both twice
        session.do("stop", STOP_TRACKING)
        session.do("status off", SET_INTERVAL, 275, -1)
    return session


def mission_planner(ground: GroundStation, target: tuple[int, int], pace: float = 1.0) -> Session:
    """Section 6.2: it waits for no acknowledgement while it looks for the camera."""
    session = Session(ground, target, pace)
    began_s = ground.command(SET_INTERVAL, 259, 30_000_000, 0, 0, 0, 0, 0, target=target)
    ground.command(GET_INTERVAL, 259, 0, 0, 0, 0, 0, 0, target=target)
    for number, kind in ((SET_INTERVAL, "CAMERA_INFORMATION"), (GET_INTERVAL, "MESSAGE_INTERVAL")):
        took_s, ack = ground.ack(number, began_s)
        session.steps.append((kind, ack.result, took_s))
        ground.expect(kind, began_s, within_s=5.0)
    session.do("field of view at 2 Hz", SET_INTERVAL, 271, 500_000)
    session.do("streams", REQUEST_MESSAGE, 269)
    session.wait(2.0)
    session.do("click", TRACK_POINT, 0.5, 0.5, 0)
    session.do("status at 5 Hz", SET_INTERVAL, 275, 200_000)
    session.wait(2.0)
    session.do("drag", TRACK_RECTANGLE, 0.3, 0.3, 0.6, 0.6)
    session.wait(2.0)
    session.do("release status", SET_INTERVAL, 275, 0)
    session.do("stop", STOP_TRACKING)
    return session
