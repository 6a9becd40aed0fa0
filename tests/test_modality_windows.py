"""The runs behind `benchmarks/missing_modality.py`: what they save must not change what they find."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from bundles import tiny_bundle
from worlds import square_pair

from benchmarks.missing_modality import Results, print_all
from benchmarks.modality_windows import AFTER_S, BEFORE_S, LATE, NOTHING, Boxes, Window, runs_of
from benchmarks.rendered import Moment
from edge_rgbt.engine import open_engine
from edge_rgbt.errors import UsageError
from edge_rgbt.outputs.overlay import overlap
from edge_rgbt.tracker import Tracker
from edge_rgbt.types import Box, Modality, Usable

PERIOD_NS = 100_000_000
LENGTHS = (0.3, 0.6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def engine(bundle):
    engine = open_engine(bundle, threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def window() -> Window:
    """Four seconds of a square that goes to and fro."""
    moments = []
    for t in range(40):
        box = Box(140.0 + 40.0 * math.sin(t / 5.0), 110.0, 24.0, 24.0)
        pair = square_pair(t, box)
        frames = [dataclasses.replace(f, timestamp_ns=t * PERIOD_NS) for f in (pair.rgb, pair.tir)]
        moments.append(Moment(dataclasses.replace(pair, rgb=frames[0], tir=frames[1]), box, 1.0))
    return Window("square", 0.0, moments)


def one_run(bundle, engine, window, seconds) -> tuple[float, float]:
    """Thermal gone for so long, told, in one run from the beginning: overlaps during and after."""
    tracker = Tracker(bundle.manifest, engine)
    tracker.start(window.moments[0].pair, window.moments[0].truth)
    during, after = [], []
    for number, moment in enumerate(window.moments[1:], start=1):
        at_s = round(number * PERIOD_NS / 1e9 - BEFORE_S, 3)
        gone = 0 <= at_s < seconds
        pair = dataclasses.replace(moment.pair, usable=Usable.RGB) if gone else moment.pair
        met = overlap(tracker.update(pair).box, moment.truth)
        if 0 <= at_s < seconds + AFTER_S:
            (during if gone else after).append(met)
    return float(np.mean(during)), float(np.mean(after))


def test_faults_of_all_lengths_in_one_run_are_as_if_run_each(bundle, engine, window):
    [run] = [r for r in runs_of(window, bundle, engine, LENGTHS, ["hold"]) if r.missing == Modality.TIR.value]
    assert [fault.seconds for fault in run.faults] == list(LENGTHS)
    for fault in run.faults:
        assert (fault.during, fault.after) == pytest.approx(one_run(bundle, engine, window, fault.seconds))
    assert run.boxes.pairs == 6


def test_a_late_camera_shows_what_was_there_a_third_of_a_second_ago(bundle, engine, window):
    [late, _] = runs_of(window, bundle, engine, LENGTHS, [LATE])
    [nothing, _] = runs_of(window, bundle, engine, LENGTHS, [NOTHING])
    assert late.boxes.mean < nothing.boxes.mean


def test_results_survive_an_end_in_the_middle_of_a_line(bundle, engine, window, tmp_path):
    file = tmp_path / "results.jsonl"
    runs = list(runs_of(window, bundle, engine, LENGTHS, ["hold"]))
    Results(file, bundle, LENGTHS).add(runs)
    with file.open("a") as out:
        out.write(json.dumps([dataclasses.asdict(runs[0])])[:40])
    again = Results(file, bundle, LENGTHS)
    assert again.runs == runs
    assert isinstance(again.runs[0].boxes, Boxes)
    again.add(runs)
    assert len(Results(file, bundle, LENGTHS).runs) == 2 * len(runs)


def test_results_of_other_lengths_are_refused(bundle, tmp_path):
    file = tmp_path / "results.jsonl"
    Results(file, bundle, LENGTHS)
    with pytest.raises(UsageError, match="another bundle or of other --seconds"):
        Results(file, bundle, (5.0,))


def test_the_tables_hold_every_way_that_was_run(bundle, engine, window, capsys):
    runs = list(runs_of(window, bundle, engine, LENGTHS, [NOTHING, "hold"]))
    other = [dataclasses.replace(run, window="flight 1 at 0.0 s") for run in runs]
    print_all([*runs, *other], bundle, list(LENGTHS))
    said = capsys.readouterr().out
    assert "1 windows of recorded sequences, 1 of simulated flights" in said
    [held] = [line for line in said.splitlines() if line.startswith("| hold |")]
    during = [fault.during for run in runs[2:] for fault in run.faults]
    after = [np.mean([fault.after for fault in run.faults]) for run in runs[2:]]
    wanted = [*during[:2], after[0], *during[2:], after[1]]
    assert [float(cell) for cell in held.split("|")[2:-1]] == pytest.approx(wanted, abs=6e-4)
    [gained] = [
        line for line in said.splitlines() if line.startswith("| nothing missing | +") or "± " in line
    ]
    assert gained.count("± 0.000") == 3
