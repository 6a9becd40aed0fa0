"""The console in a real browser against the real service: a box is drawn, tracked and let go."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flown_service import flown, free_port, wait_for

NOISE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--no-first-run",
)


@contextmanager
def console(port: int, folder: Path) -> Iterator[str]:
    """`edge-rgbt gcs` on that MAVLink port; the page's address."""
    listen = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
    call = [
        sys.executable,
        "-m",
        "edge_rgbt",
        "gcs",
        "--mavlink",
        f"udpin:127.0.0.1:{port}",
        "--listen",
        listen,
    ]
    with (folder / "console.log").open("w") as log:
        process = subprocess.Popen(call, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: "open http" in (folder / "console.log").read_text())
        yield f"http://{listen}/"
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def page(url: str, told: list[str]) -> Iterator[Any]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs the browser chromium on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright to drive the browser")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=list(NOISE))
        shown = opened.new_page(viewport={"width": 1280, "height": 800})
        shown.on("console", lambda message: told.append(f"{message.type}: {message.text}"))
        shown.on("pageerror", lambda error: told.append(f"error: {error}"))
        shown.goto(url)
        yield shown
        opened.close()


def until(shown: Any, expression: str, timeout_s: float) -> None:
    """Waits until it is true in the page, whose security policy refuses playwright's own way of waiting."""
    wait_for(lambda: shown.evaluate(expression), timeout_s)


def drag(shown: Any, box: tuple[float, float, float, float]) -> None:
    """Draws with the mouse; the box in fractions of the picture."""
    area = shown.locator("#marks").bounding_box()
    x = [area["x"] + f * area["width"] for f in (box[0], box[2])]
    y = [area["y"] + f * area["height"] for f in (box[1], box[3])]
    shown.mouse.move(x[0], y[0])
    shown.mouse.down()
    shown.mouse.move(x[1], y[1], steps=5)
    shown.mouse.up()


@pytest.mark.slow
def test_an_operator_draws_a_box_sees_it_tracked_and_stops(tmp_path: Path) -> None:
    port, told = free_port(), []
    with flown(tmp_path, port), console(port, tmp_path) as url, page(url, told) as shown:
        until(shown, "document.getElementById('rgb').naturalWidth === 320", 90)
        until(shown, "document.getElementById('camera').textContent.includes('standby')", 60)
        drag(shown, (0.3, 0.3, 0.7, 0.8))
        until(
            shown,
            "['tracking', 'coasting', 'lost'].includes(document.getElementById('status').className)",
            60,
        )
        assert shown.is_enabled("#stop")
        shown.click("#stop")
        until(shown, "document.getElementById('status').className === 'idle'", 60)
        assert not shown.is_enabled("#engage")  # steering is not configured
        state = urllib.request.urlopen(f"{url}state", timeout=10).read().decode()
        assert '"model": "RGB-T tracker"' in state
    assert not [line for line in told if line.startswith("error")], told
    assert "Traceback" not in (tmp_path / "service.log").read_text()


@pytest.mark.slow
def test_the_page_says_so_when_the_drone_falls_silent(tmp_path: Path) -> None:
    port = free_port()
    with console(port, tmp_path) as url, page(url, []) as shown:
        with flown(tmp_path, port):
            until(shown, "document.getElementById('lamp-link').classList.contains('on')", 90)
        until(shown, "document.getElementById('link').textContent.startsWith('drone silent')", 30)
        time.sleep(0.1)
        assert "old" in shown.text_content("#notice") or "video" in shown.text_content("#notice")
