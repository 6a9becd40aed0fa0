"""The console's web server: the page, its state ten times a second, its commands, and the pictures.

Answers this computer only, unless it was told otherwise and a token is shown. What another site's page makes
the browser send is refused by its Origin and Host.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.ground.drone import DroneLink
from edge_rgbt.ground.settings import ConsoleSettings
from edge_rgbt.ground.video import VideoReader

try:
    from aiohttp import WSMsgType, web
except ImportError as missing:  # the extra is optional, the sentence is not
    raise EdgeRgbtError(
        "the console needs aiohttp, which is not installed: pip install 'edge-rgbt[gcs]'"
    ) from missing

LOG = logging.getLogger(__name__)
STATE_PERIOD_S = 0.1
_FILES = Path(__file__).parent / "page"
_COOKIE = "edge-rgbt-token"
_BOUNDARY = "picture"
_PICTURE_WAIT_S = 1.0
_MOST_COMMAND_BYTES = 4096
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Console:
    """One drone, any number of browser windows."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self.settings = settings.secured()
        self.drone = DroneLink(settings.mavlink)
        self._videos: dict[str, VideoReader] = {}
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def url(self) -> str:
        """What to open; holds the token, if there is one."""
        suffix = "" if self.settings.token is None else f"?token={self.settings.token}"
        return f"http://{self.settings.listen}/{suffix}"

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Until cancelled. Raises UsageError: an address that cannot be had."""
        host, port = self.settings.host_and_port
        app = web.Application(middlewares=[self._guard], client_max_size=_MOST_COMMAND_BYTES)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/state", self._state_once),
                web.get("/socket", self._socket),
                web.get("/video/{name}", self._video),
                web.get("/{file:console\\.(css|js)}", self._file),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self.drone.start(asyncio.get_running_loop())
        try:
            await runner.setup()
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                raise UsageError(f"--listen {self.settings.listen}: {error.strerror or error}") from error
            ready()
            while True:
                self._follow_streams()
                await self._tell_all()
                await asyncio.sleep(STATE_PERIOD_S)
        finally:
            for video in self._videos.values():
                video.close()
            self.drone.close()
            with suppress(asyncio.CancelledError):
                await runner.cleanup()

    def state(self) -> dict[str, Any]:
        """What the page shows."""
        videos = {}
        for name, video in self._videos.items():
            age_s = video.age_s
            age_ms = None if age_s is None else round(age_s * 1000)
            videos[name] = {"uri": video.uri, "problem": video.problem, "age_ms": age_ms}
        return {**self.drone.state(), "endpoint": self.settings.mavlink, "videos": videos}

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._from_own_page(request):
            raise web.HTTPForbidden(text="this request comes from another site's page\n")
        shown = request.query.get("token") or request.cookies.get(_COOKIE)
        if not self.settings.accepts(shown):
            raise web.HTTPUnauthorized(
                text="open the address that edge-rgbt gcs printed: it holds the token\n"
            )
        if "token" in request.query and request.path == "/":
            away = web.HTTPFound("/")  # out of the address bar and the history
            away.set_cookie(_COOKIE, request.query["token"], httponly=True, samesite="Strict")
            raise away
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _from_own_page(self, request: web.Request) -> bool:
        """No names but localhost: a hostile name server could point its name at this computer."""
        try:
            host = urlsplit(f"//{request.host}").hostname or ""
            if host != "localhost":
                ipaddress.ip_address(host)
        except ValueError:
            return False
        origin = request.headers.get("Origin")
        return origin is None or urlsplit(origin).netloc == request.host

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(_FILES / "console.html", headers=_HEADERS)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(_FILES / request.match_info["file"], headers=_HEADERS)

    async def _state_once(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.state())

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=5.0, max_msg_size=_MOST_COMMAND_BYTES)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._obey(socket, message.data)
        finally:
            self._sockets.discard(socket)
        return socket

    async def _obey(self, socket: web.WebSocketResponse, text: str) -> None:
        """One order of the page; the drone's answer goes back to that page."""
        try:
            order = json.loads(text)
            answer = await self.drone.obey(order["order"], _rectangle(order.get("rectangle")))
        except (ValueError, KeyError, TypeError) as error:
            answer = {"order": "unknown", "accepted": False, "text": f"not understood: {error}"}
        with suppress(ConnectionError):
            await socket.send_json({"answer": answer})

    async def _tell_all(self) -> None:
        if not self._sockets:
            return
        text = json.dumps({"state": self.state()}, allow_nan=False)
        for socket in list(self._sockets):
            with suppress(ConnectionError, asyncio.TimeoutError):
                await asyncio.wait_for(socket.send_str(text), STATE_PERIOD_S)

    async def _video(self, request: web.Request) -> web.StreamResponse:
        """Pictures one after the other, as browsers show them in an img element."""
        video = self._videos.get(request.match_info["name"])
        if video is None:
            raise web.HTTPNotFound(text="the drone has told of no such stream yet\n")
        response = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"}
        )
        await response.prepare(request)
        number = 0
        while not video.closed:
            newer = await asyncio.to_thread(video.newer_than, number, _PICTURE_WAIT_S)
            if newer is None:
                continue
            number, jpeg = newer
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                # A browser that does not keep up gets fewer pictures: the next is asked for afterwards.
                await response.write(head.encode() + jpeg + b"\r\n")
            except (ConnectionError, asyncio.CancelledError):
                break
        return response

    def _follow_streams(self) -> None:
        """Opens what was asked for, or what the camera advertises; again if that changes."""
        given = {"rgb": self.settings.rgb, "thermal": self.settings.thermal}
        for stream in reversed(self.drone.streams()):
            name = "thermal" if stream["thermal"] else "rgb"
            given[name] = getattr(self.settings, name) or stream["uri"]
        for name, uri in given.items():
            open_now = self._videos.get(name)
            if uri is None or (open_now is not None and open_now.uri == uri):
                continue
            if urlsplit(uri).scheme not in ("rtsp", "rtsps"):
                continue
            if open_now is not None:
                open_now.close()
            self._videos[name] = VideoReader(name, uri)


def _rectangle(values: Any) -> tuple[float, float, float, float] | None:
    if values is None:
        return None
    left, top, right, bottom = (float(value) for value in values)
    if not all(math.isfinite(v) and 0 <= v <= 1 for v in (left, top, right, bottom)):
        raise ValueError("a rectangle is four numbers from 0 to 1")
    return left, top, right, bottom


def serve(settings: ConsoleSettings, ready: Callable[[Console], None]) -> None:
    """Runs until interrupted; `ready` is called once the page can be opened."""
    console = Console(settings)
    started = time.monotonic()
    try:
        asyncio.run(console.serve(lambda: ready(console)))
    finally:
        LOG.info("console closed after %.0f s", time.monotonic() - started)
