from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_rgbt.cli import COMMANDS, main
from tests.bundles import tiny_bundle
from tests.conftest import ROOT
from tests.miniatures import write_sequence

CALL = [sys.executable, "-m", "edge_rgbt"]


def _start(*arguments: str, **streams) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [*CALL, *arguments], text=True, cwd=ROOT, env=environment, preexec_fn=_heed_interrupts, **streams
    )


def _heed_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so would everything started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["fly", "demo"], *([name, "--bogus"] for name in COMMANDS)], ids=" ".join
)
def test_a_wrong_call_is_told_in_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    assert said.err.startswith("edge-rgbt")
    assert said.err.count("\n") == 1
    assert "--help" in said.err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"example: edge-rgbt {name}" in capsys.readouterr().out


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """A bundle `b`, and a dataset of two sequences that take minutes, links to the same pictures."""
    root = tmp_path_factory.mktemp("recordings")
    tiny_bundle(root / "b")
    for name in ("one", "two"):
        folder = write_sequence(root / "data", "rgbt234", name, 2)
        for modality in ("visible", "infrared"):
            last = max((folder / modality).iterdir())
            for frame in range(20_000):
                os.link(last, last.with_name(f"2{frame:06d}.jpg"))
    return root


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_replay_leaves_nothing_behind(recordings, tmp_path, workers, number):
    out = tmp_path / "out"
    call = ["replay", str(recordings / "data"), "--bundle", str(recordings / "b"), "--out", str(out)]
    process = _start(*call, "--dataset", "rgbt234", "--video", "--workers", str(workers))
    until = time.monotonic() + 60
    while not (out.is_dir() and any(out.glob("*.mp4.part"))):
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + number
    assert said == "edge-rgbt replay: stopped\n"
    assert list(out.iterdir()) == []


def test_a_reader_that_went_away_is_no_traceback(recordings, tmp_path):
    (tmp_path / "one.txt").write_text("1,2,3,4\n" * 2)
    shutil.copy(tmp_path / "one.txt", tmp_path / "two.txt")
    process = _start("eval", str(tmp_path), "--dataset", "rgbt234", "--data", str(recordings / "data"))
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


def test_a_full_disk_under_the_output_is_one_line(recordings, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("1,2,3,4\n" * 2)
    with open("/dev/full", "w") as full:
        process = _start(
            "eval", str(tmp_path), "--dataset", "rgbt234", "--data", str(recordings / "data"), stdout=full
        )
    _, said = process.communicate()
    assert (process.returncode, said) == (1, "edge-rgbt eval: No space left on device\n")


def test_closed_streams_do_not_stop_the_work(recordings, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text("1,2,3,4\n" * 2)
    call = f'"$0" -m edge_rgbt eval {tmp_path} --dataset rgbt234 --data {recordings / "data"} >&- 2>&-'
    assert subprocess.run(["sh", "-c", call, sys.executable], cwd=ROOT, check=False).returncode == 0
