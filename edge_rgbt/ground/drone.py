"""The console's link to the drone: a ground client on one endpoint, in the web server's own thread."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from edge_rgbt.mavlink.connection import Connection, Ears, Heard
from edge_rgbt.mavlink.endpoint import parse_endpoint
from edge_rgbt.mavlink.exchange import Priority
from edge_rgbt.mavlink.ground import Answer, GroundClient
from edge_rgbt.mavlink.outbox import Parcel

_TURN_S = 0.05
_BYTES_PER_S = 20_000.0
ORDERS = ("track", "stop", "engage", "disengage")


class DroneLink:
    """Opens with `start`, which raises UsageError if the endpoint's port is taken."""

    def __init__(self, url: str) -> None:
        self._endpoint = parse_endpoint(url)
        self._client = GroundClient()
        self._connection: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connection = Connection(self._endpoint, _BYTES_PER_S, Ears(heard=self._heard))
        self._connection.bind()
        self._connection.start()
        self._task = loop.create_task(self._keep_up())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.close(0.3)

    def state(self) -> dict[str, Any]:
        return self._client.state(time.monotonic_ns())

    def streams(self) -> list[dict[str, Any]]:
        return self.state()["streams"]

    async def obey(
        self, order: str, rectangle: tuple[float, float, float, float] | None = None
    ) -> dict[str, Any]:
        """Sends an order and waits for the drone's answer, two seconds at most. Raises ValueError."""
        if order not in ORDERS or (order == "track") != (rectangle is not None):
            raise ValueError(f"orders are {', '.join(ORDERS)}; track alone has a rectangle")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def done(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        now_ns = time.monotonic_ns()
        if rectangle is not None:
            self._post(self._client.track(rectangle, done, now_ns))
        elif order == "stop":
            self._post(self._client.stop(done, now_ns))
        else:
            self._post(self._client.control(order == "engage", done, now_ns))
        answer = await future
        return {"order": order, "accepted": answer.accepted, "text": answer.text}

    async def _keep_up(self) -> None:
        while True:
            self._post(self._client.due(time.monotonic_ns()))
            await asyncio.sleep(_TURN_S)

    def _heard(self, _connection: Connection, heard: Heard) -> None:
        """In the connection's thread."""
        if heard.message is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._receive, heard)

    def _receive(self, heard: Heard) -> None:
        message = heard.message
        system, component = message.get_srcSystem(), message.get_srcComponent()
        self._post(self._client.receive(message, system, component, heard.arrival_ns))

    def _post(self, messages: list[Any]) -> None:
        assert self._connection is not None
        for message in messages:
            kind = Priority.HEARTBEAT if message.get_type() == "HEARTBEAT" else Priority.ONE_SHOT
            self._connection.post(Parcel(kind, self._client.identity, message))
