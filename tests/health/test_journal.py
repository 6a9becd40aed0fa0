"""Log lines for the journal and for people."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_rgbt.health.journal import WAITING_LINES, configure_logging

LOG = logging.getLogger("edge_rgbt.test")


@pytest.fixture(autouse=True)
def _root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _logged(path: Path, journal: str | None) -> str:
    """What the file gets; `journal` is JOURNAL_STREAM, `{}` in it stands for the file's own numbers."""
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        environment = {}
        if journal is not None:
            environment["JOURNAL_STREAM"] = journal.format(f"{status.st_dev}:{status.st_ino}")
        handler = configure_logging(logging.DEBUG, environment, stream)
        LOG.debug("detail")
        LOG.info("event")
        LOG.warning("trouble\nin two lines")
        LOG.error("failure")
        LOG.critical("end")
        handler.close()
    return path.read_text()


def test_every_line_for_the_journal_has_its_priority(tmp_path):
    assert _logged(tmp_path / "log", "{}").splitlines() == [
        "<7>edge_rgbt.test: detail",
        "<6>edge_rgbt.test: event",
        "<4>edge_rgbt.test: trouble",
        "<4>in two lines",
        "<3>edge_rgbt.test: failure",
        "<2>edge_rgbt.test: end",
    ]


@pytest.mark.parametrize("journal", [None, "1:2", "nonsense"])
def test_lines_for_people_have_a_time_and_a_level(tmp_path, journal):
    first = _logged(tmp_path / "log", journal).splitlines()[0]
    assert first.endswith(" DEBUG edge_rgbt.test: detail")
    assert first.startswith("20")


def test_a_traceback_has_its_priority_on_every_line(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        status = os.fstat(stream.fileno())
        journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        handler = configure_logging(environment=journal, stream=stream)
        try:
            raise ValueError("bad")
        except ValueError:
            LOG.exception("it failed")
        handler.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_standard_error_of_a_service_is_recognised(tmp_path):
    code = (
        "import logging, os; from edge_rgbt.health import configure_logging; s = os.fstat(2); "
        "os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'; configure_logging(); logging.error('x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "<3>root: x\n"


def test_a_journal_that_stalls_stalls_nobody_and_drops_are_counted():
    reading, writing = os.pipe()
    with open(writing, "w") as stream, open(reading) as journal:
        handler = configure_logging(environment={}, stream=stream)
        for number in range(3 * WAITING_LINES):
            LOG.info("%d %s", number, "x" * 100)  # a pipe holds 64 KiB
        assert WAITING_LINES < handler.dropped < 3 * WAITING_LINES
        lines = [journal.readline() for _ in range(3 * WAITING_LINES - handler.dropped)]
        handler.close()
    assert " 0 xxx" in lines[0]
    assert len(lines) == len(set(lines))


def test_closing_does_not_wait_for_ever_for_a_journal_that_stalls(monkeypatch):
    monkeypatch.setattr("edge_rgbt.health.journal._LAST_WORDS_S", 0.05)
    reading, writing = os.pipe()
    with open(writing, "w") as stream, open(reading) as journal:
        handler = configure_logging(environment={}, stream=stream)
        for _ in range(2 * WAITING_LINES):
            LOG.info("%s", "x" * 100)
        handler.close()
        for _ in range(2 * WAITING_LINES - handler.dropped):  # lets the thread end
            journal.readline()
