"""The demo: a short flight from cameras to page, its numbers, and all that can be wrong with the call."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from bundles import tiny_bundle
from outputs.pairs import grey_pair, state_of
from pymavlink.dialects.v20 import common as dialect

from edge_rgbt import cli
from edge_rgbt.commands.demo import _Progress
from edge_rgbt.demo import DemoOptions, run_demo
from edge_rgbt.demo.moments import Moments
from edge_rgbt.demo.record import FlightRecord
from edge_rgbt.demo.results import command_line
from edge_rgbt.demo.simulator import Observation, SimulatedFlight, TargetTruth
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.types import Box, Modality, TrackStatus

SECONDS = 1.5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path


@pytest.fixture(scope="module")
def flown(tmp_path_factory, bundle):
    """One short flight, the folder it left, and what a ground station heard of it."""
    out = tmp_path_factory.mktemp("flight")
    heard, stop = [], threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground:
        ground.bind(("127.0.0.1", 0))
        ground.settimeout(0.1)
        url = f"udpout:127.0.0.1:{ground.getsockname()[1]}"
        thread = threading.Thread(target=_listen, args=(ground, heard, stop))
        thread.start()
        report = run_demo(DemoOptions(out, SECONDS, seed=3, preset="day", bundle=bundle, mavlink=url))
        time.sleep(0.3)
        stop.set()
        thread.join()
    return out, report, heard


def _listen(ground, heard, stop):
    parser = dialect.MAVLink(None)
    while not stop.is_set():
        try:
            heard += parser.parse_buffer(ground.recv(4096))
        except TimeoutError:
            continue


def test_a_flight_leaves_video_tracks_page_and_report_and_nothing_else(flown):
    out, report, _ = flown
    names = {"flight.mp4", "tracks.jsonl", "index.html", "report.json"}
    assert {path.name for path in out.iterdir()} == names
    assert set(report["files"].values()) == {str(out / name) for name in names - {"report.json"}}
    assert json.loads((out / "report.json").read_text()) == report


def test_nearly_every_frame_becomes_a_tracked_pair(flown):
    _, report, _ = flown
    assert SECONDS * 30 * 0.85 <= report["pairs"] <= SECONDS * 30
    assert report["pairs_per_second"] > 0
    assert report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert list(report["stages_ms"]) == ["convert", "thermal", "register", "crop", "infer", "decode"]
    assert report["sync"]["dropped_tir"] <= 3


def test_video_and_tracks_hold_every_pair(flown):
    out, report, _ = flown
    with av.open(str(out / "flight.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == report["pairs"]
    lines = [json.loads(line) for line in (out / "tracks.jsonl").read_text().splitlines()]
    assert len(lines) == report["pairs"]
    assert lines[0]["overlap"] == 1.0
    overlaps = [line["overlap"] or 0.0 for line in lines[1:]]
    assert report["mean_overlap"] == pytest.approx(np.mean(overlaps), abs=1e-3)


def test_the_ground_hears_camera_and_vehicle(flown):
    _, report, heard = flown
    kinds = {(m.get_type(), m.get_srcSystem(), m.get_srcComponent()) for m in heard}
    assert ("CAMERA_TRACKING_IMAGE_STATUS", 1, 100) in kinds
    assert ("HEARTBEAT", 1, 100) in kinds
    assert ("HEARTBEAT", 1, 1) in kinds
    assert ("GLOBAL_POSITION_INT", 1, 1) in kinds
    assert len(heard) == report["mavlink"]["messages"]
    last = [m for m in heard if m.get_type() == "CAMERA_TRACKING_IMAGE_STATUS"][-1]
    assert last.tracking_status == 0


def test_the_vehicle_is_where_the_simulation_put_it(flown):
    _, _, heard = flown
    (first, *_) = [m for m in heard if m.get_type() == "GLOBAL_POSITION_INT"]
    assert (first.lat / 1e7, first.lon / 1e7) == (pytest.approx(47.4, abs=0.1), pytest.approx(8.55, abs=0.1))
    assert 20 < first.relative_alt / 1000 < 120


def test_the_command_line_prints_one_object(capsys, tmp_path, bundle):
    call = [
        "demo",
        "--seconds",
        "0.5",
        "--out",
        str(tmp_path / "o"),
        "--json",
        "--mavlink",
        "udpout:127.0.0.1:9",
    ]
    assert cli.main([*call, "--bundle", str(bundle), "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["pairs"] > 5
    assert printed.out.count("\n") == 1
    assert printed.err == ""


def test_the_summary_names_the_numbers_and_the_files(capsys, tmp_path, bundle):
    out = tmp_path / "o"
    assert (
        cli.main(["demo", "--seconds", "0.5", "--out", str(out), "--bundle", str(bundle), "--seed", "3"]) == 0
    )
    printed = capsys.readouterr().out
    for part in ("overlap with the truth", "pairs/s", "p99", "messages sent", str(out / "flight.mp4")):
        assert part in printed


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--bundle", "nowhere"], "nowhere"),
        (["--seconds", "0"], "--seconds 0"),
        (["--seconds", "nan"], "--seconds nan"),
        (["--threads", "0"], "0 engine threads"),
        (["--mavlink", ""], "MAVLink endpoint"),
        (["--mavlink", "udpout:14550"], "host or port is missing"),
        (["--out", "/dev/null/x"], "/dev/null/x"),
        (["--out", __file__], "choose another folder"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(capsys, tmp_path, bundle, arguments, complaint):
    call = ["demo", "--bundle", str(bundle), "--out", str(tmp_path / "o"), "--seconds", "1", *arguments]
    assert cli.main(call) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert complaint in printed.err
    assert not any((tmp_path / "o").glob("*"))


def test_a_port_in_use_is_one_line(capsys, tmp_path, bundle):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"udpin:127.0.0.1:{taken.getsockname()[1]}"
        call = ["demo", "--bundle", str(bundle), "--out", str(tmp_path), "--mavlink", url]
        assert cli.main(call) == 2
    assert "in use" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, bundle):
    """A file size limit stands in for the disk: the kernel refuses the write in the same place."""
    code = (
        "import resource, signal, sys; from edge_rgbt.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    call = ["demo", "--seconds", "1", "--bundle", str(bundle), "--out", str(tmp_path), "--seed", "3"]
    run = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    # A slow machine also gets lines of progress.
    (said,) = [line for line in run.stderr.splitlines() if "pairs/s" not in line]
    assert "cannot write" in said
    assert list(tmp_path.iterdir()) == []


def test_a_simulator_that_dies_is_one_line():
    with SimulatedFlight(3, "day", 5.0) as simulator:
        assert simulator.info.rgb_size == (640, 512)
        frames = simulator.frames()
        next(frames)
        os.kill(simulator.pid, 9)
        with pytest.raises(EdgeRgbtError, match="simulator stopped"):
            for _ in frames:
                pass


def test_an_unknown_preset_comes_back_from_the_simulator():
    with SimulatedFlight(3, "fog", 5.0) as simulator, pytest.raises(UsageError, match="unknown preset 'fog'"):
        _ = simulator.info


def fly(seconds, answer, pause=lambda count: None):
    """Flies with somebody who answers every RGB frame; the frames."""
    seen = []
    with SimulatedFlight(3, "day", seconds) as simulator:
        _ = simulator.info
        for item in simulator.frames():
            pause(len(seen))
            seen.append(item)
            simulator.acknowledge(answer(item))
    return seen


def follow(item):
    if item.truth is None:
        return []
    box = item.truth.box
    return [Observation(item.frame.timestamp_ns, None if box is None else box.as_tuple())]


def test_a_seed_flies_the_same_flight_however_fast_the_tracker_is():
    rng = np.random.default_rng(0)
    first = fly(0.6, follow)
    second = fly(0.6, follow, pause=lambda count: time.sleep(rng.uniform(0, 0.05)))
    assert len(first) == len(second) > 30
    for one, other in zip(first, second, strict=True):
        assert one.frame.timestamp_ns == other.frame.timestamp_ns
        assert one.truth == other.truth
        np.testing.assert_array_equal(one.frame.image, other.frame.image)


@pytest.mark.slow
def test_the_vehicle_follows_what_it_is_told():
    """With the target's true place it stays in the middle; without an answer it drifts off."""

    def distance(item):
        box = item.truth.box
        return 400.0 if box is None else float(np.hypot(box.cx - 320, box.cy - 256))

    followed = [distance(i) for i in fly(6.0, follow) if i.truth is not None]
    ignored = [
        distance(i)
        for i in fly(6.0, lambda i: [Observation(i.frame.timestamp_ns, None)])
        if i.truth is not None
    ]
    assert np.mean(followed[-60:]) < 120
    assert np.mean(ignored[-60:]) > 1.5 * np.mean(followed[-60:])


def test_thermal_frames_carry_counts_and_no_truth():
    frames = fly(0.3, follow)
    thermal = [i for i in frames if i.frame.modality is Modality.TIR]
    assert thermal
    assert all(i.frame.image.dtype == np.uint16 and i.truth is None for i in thermal)
    assert all(i.truth is not None and i.pose is not None for i in frames if i not in thermal)


def test_a_target_outside_the_picture_counts_as_no_overlap():
    record = FlightRecord()
    states = [state_of(grey_pair(index), Box(10, 10, 20, 20)) for index in range(4)]
    truths = [
        TargetTruth(Box(10, 10, 20, 20), 1.0),
        TargetTruth(Box(10, 10, 20, 20), 1.0),
        TargetTruth(Box(10, 10, 20, 10), 0.1),
        TargetTruth(None, 0.0),
    ]
    for state, truth in zip(states, truths, strict=True):
        record.add(state, truth)
    summary = record.summary()
    assert summary["mean_overlap"] == 0.5  # the first pair, whose box was given, is left out
    assert summary["mean_overlap_visible"] == 1.0
    assert summary["hidden_pairs"] == 2


def test_the_moments_of_a_flight_are_told_in_order():
    moments = Moments()
    cases = [
        (TrackStatus.TRACKING, 1.0, 16),
        (TrackStatus.TRACKING, 1.0, 30),
        (TrackStatus.TRACKING, 0.1, 16),
        (TrackStatus.LOST, 0.0, 16),
        (TrackStatus.TRACKING, 1.0, 17),
    ]
    for index, (status, visible, x) in enumerate(cases):
        pair = grey_pair(index * 30)
        moments.offer(pair, state_of(pair, status=status), TargetTruth(Box(x, 12, 24, 20), visible))
    captions = [still.caption for still in moments.stills()]
    assert [caption.split(":")[0] for caption in captions] == ["0.0 s", "1.0 s", "2.0 s", "3.0 s", "4.0 s"]
    assert "lowest overlap" in captions[1]
    assert "out of sight" in captions[2]
    assert "lost" in captions[3]


def test_the_report_says_how_to_fly_again(tmp_path):
    options = DemoOptions(
        tmp_path, 5.0, seed=4, preset="rain", mavlink="udpout:10.0.0.1:14550", realtime=True
    )
    expected = "edge-rgbt demo --seconds 5 --seed 4 --preset rain --mavlink udpout:10.0.0.1:14550 --realtime"
    assert command_line(options) == expected


@pytest.mark.parametrize("library", ["pymavlink", "av", "matplotlib", "jinja2"])
def test_a_missing_extra_is_one_line_that_says_what_to_install(tmp_path, bundle, library):
    hidden = f"import sys; sys.modules['{library}'] = None"
    code = f"{hidden}; from edge_rgbt.cli import main; sys.exit(main(sys.argv[1:]))"
    call = ["demo", "--bundle", str(bundle), "--out", str(tmp_path)]
    run = subprocess.run([sys.executable, "-c", code, *call], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "pip install 'edge-rgbt[" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_in_lines_where_nobody_watches(capsys, monkeypatch):
    monkeypatch.setattr("edge_rgbt.commands.demo._LINE_EVERY_S", 0.02)
    with _Progress(60) as progress:
        for pairs in (1, 20, 40):
            progress.update(pairs)
            time.sleep(0.03)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert re.fullmatch(r"40 of about 60 pairs, [\d.]+ pairs/s, \d+ s left", lines[-1])
