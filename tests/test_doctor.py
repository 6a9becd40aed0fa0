"""`edge-rgbt doctor` as it is called."""

from __future__ import annotations

import argparse
import json

import pytest

from edge_rgbt.commands import doctor
from edge_rgbt.health.checks import Finding, Verdict

GOOD = Finding("clock source", Verdict.GOOD, "tsc")
NOTE = Finding("MAVLink", Verdict.NOTE, "no endpoint configured", "give --config FILE")
WRONG = Finding("camera tir", Verdict.WRONG, "no frame in 5.0 s", "check the cable")


def _doctor(monkeypatch, *arguments: str, finds: tuple[Finding, ...] | None = None) -> int:
    if finds is not None:
        monkeypatch.setattr(doctor, "examine", lambda site: iter(finds))
    parser = argparse.ArgumentParser()
    doctor.configure(parser)
    return doctor.run(parser.parse_args(arguments))


@pytest.mark.parametrize(("finds", "status"), [((GOOD, NOTE), 0), ((GOOD, WRONG), 1)])
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_the_exit_status_says_whether_something_is_wrong(monkeypatch, capsys, finds, status, arguments):
    assert _doctor(monkeypatch, *arguments, finds=finds) == status


def test_a_line_each_and_what_to_do_under_it(monkeypatch, capsys):
    _doctor(monkeypatch, finds=(GOOD, WRONG))
    assert capsys.readouterr().out.splitlines() == [
        "ok    clock source    tsc",
        "WRONG camera tir      no frame in 5.0 s",
        "      -> check the cable",
        "1 of 2 findings are wrong",
    ]


def test_json_is_one_object(monkeypatch, capsys):
    _doctor(monkeypatch, "--json", finds=(GOOD, WRONG))
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "good": False,
        "findings": [
            {"subject": "clock source", "verdict": "good", "found": "tsc", "advice": ""},
            {
                "subject": "camera tir",
                "verdict": "wrong",
                "found": "no frame in 5.0 s",
                "advice": "check the cable",
            },
        ],
    }


@pytest.mark.slow
def test_this_machine_is_examined_without_a_configuration(monkeypatch, capsys):
    _doctor(monkeypatch, "--json")
    subjects = {finding["subject"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert {"board", "monotonic clock", "disk", "GStreamer", "cameras", "MAVLink", "engine"} <= subjects
