"""The console's web server: who may speak to it, and what becomes of orders without a drone."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from edge_rgbt.errors import UsageError
from edge_rgbt.ground.server import Console
from edge_rgbt.ground.settings import ConsoleSettings


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def visit(use: Callable[[Console, aiohttp.ClientSession], Awaitable[Any]], **given: Any) -> Any:
    """What `use` returns, beside a running console."""
    settings = ConsoleSettings(
        f"udpin:127.0.0.1:{free_port(socket.SOCK_DGRAM)}", listen=f"127.0.0.1:{free_port()}", **given
    )

    async def both() -> Any:
        console, ready = Console(settings), asyncio.Event()
        serving = asyncio.create_task(console.serve(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        try:
            async with aiohttp.ClientSession(f"http://{settings.listen}") as session:
                return await use(console, session)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    return asyncio.run(both())


async def statuses(session: aiohttp.ClientSession, path: str, **headers: str) -> int:
    async with session.get(path, headers=headers, allow_redirects=False) as response:
        return response.status


def test_page_style_and_script_are_served_without_anything_from_elsewhere():
    async def use(console: Console, session: aiohttp.ClientSession) -> list[str]:
        texts = []
        for path in ("/", "/console.css", "/console.js"):
            async with session.get(path) as response:
                assert response.status == 200
                assert "default-src 'self'" in response.headers["Content-Security-Policy"]
                texts.append(await response.text())
        return texts

    assert not any("http://" in text or "https://" in text for text in visit(use))


def test_state_is_json_before_any_drone_was_heard():
    async def use(console: Console, session: aiohttp.ClientSession) -> Any:
        async with session.get("/state") as response:
            return await response.json()

    state = visit(use)
    assert state["link"] == {"up": False, "silent_ms": None}
    assert state["vehicle"] is None


def test_an_order_without_a_drone_says_that_nobody_answers():
    async def use(console: Console, session: aiohttp.ClientSession) -> Any:
        async with session.ws_connect("/socket") as page:
            await page.send_str(json.dumps({"order": "stop"}))
            while "answer" not in (message := json.loads((await page.receive()).data)):
                pass
            return message["answer"]

    assert visit(use) == {"order": "stop", "accepted": False, "text": "no answer"}


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"order": "arm"}',
        '{"order": "track"}',
        '{"order": "track", "rectangle": [0, 0, 2, 2]}',
        '{"order": "track", "rectangle": [0, 0, NaN, 1]}',
        '{"order": "stop", "rectangle": [0, 0, 1, 1]}',
    ],
)
def test_an_order_that_makes_no_sense_is_not_sent(text):
    async def use(console: Console, session: aiohttp.ClientSession) -> Any:
        async with session.ws_connect("/socket") as page:
            await page.send_str(text)
            while "answer" not in (message := json.loads((await page.receive()).data)):
                pass
            return message["answer"]

    assert "not understood" in visit(use)["text"]


def test_pages_of_other_sites_cannot_speak_to_it():
    async def use(console: Console, session: aiohttp.ClientSession) -> list[int]:
        own = f"http://{console.settings.listen}"
        return [
            await statuses(session, "/state", Origin="http://evil.example"),
            await statuses(session, "/state", Host="evil.example"),
            await statuses(session, "/socket", Origin="http://evil.example"),
            await statuses(session, "/state", Origin=own),
        ]

    assert visit(use) == [403, 403, 403, 200]


def test_a_token_opens_the_page_and_nothing_else_does():
    token = "correct-horse-battery"

    async def use(console: Console, session: aiohttp.ClientSession) -> list[int]:
        closed = await statuses(session, "/state")
        wrong = await statuses(session, "/?token=wrong-horse-battery")
        opened = await statuses(session, f"/?token={token}")
        return [closed, wrong, opened, await statuses(session, "/state")]

    # aiohttp keeps cookies of addresses only when told to; the last one is sent by hand
    async def with_cookie(console: Console, session: aiohttp.ClientSession) -> int:
        return await statuses(session, "/state", Cookie=f"edge-rgbt-token={token}")

    assert visit(use, token=token)[:3] == [401, 401, 302]
    assert visit(with_cookie, token=token) == 200


def test_beyond_this_computer_a_token_is_made_up():
    settings = ConsoleSettings(listen="0.0.0.0:8088")
    assert len(settings.secured().token or "") >= 20
    assert ConsoleSettings().secured().token is None


@pytest.mark.parametrize("listen", ["8088", "localhost:8088", "0.0.0.0", "127.0.0.1:0"])
def test_an_address_that_says_too_little_is_refused(listen):
    with pytest.raises(UsageError, match="--listen"):
        _ = ConsoleSettings(listen=listen).host_and_port


def test_a_short_token_is_refused():
    with pytest.raises(UsageError, match="12 characters"):
        ConsoleSettings(token="short").secured()


def test_a_port_in_use_is_told_in_one_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = ConsoleSettings(
            f"udpin:127.0.0.1:{free_port(socket.SOCK_DGRAM)}", listen=f"127.0.0.1:{other.getsockname()[1]}"
        )
        with pytest.raises(UsageError, match="--listen"):
            asyncio.run(Console(settings).serve())
