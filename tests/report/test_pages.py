"""The pages: what they say, that they stand alone, and that a real browser opens them without complaint."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from edge_rgbt.errors import EdgeRgbtError
from edge_rgbt.report import still, write_demo_report, write_replay_report
from edge_rgbt.report.plots import curve, thinned

PAIRS = 90
MACHINE = {"cpu": "a processor", "cores": 2, "load_1min": 0.5}


def statistics(mean):
    return {"mean": mean, "p50": mean, "p99": mean * 1.5}


def demo_report(**changes):
    report = {
        "seconds": 3.0,
        "pairs": PAIRS,
        "wall_seconds": 2.5,
        "pairs_per_second": 36.0,
        "mean_overlap": 0.712,
        "lost_pairs": 4,
        "latency_ms": statistics(12.25),
        "stages_ms": {"crop": statistics(0.5), "infer": statistics(11.75)},
        "skew_ms": {"p50": 1.5, "largest": 9.0},
        "sync": {"paired": PAIRS, "late": 1, "dropped": 2, "repeated": 3},
        "mavlink": {
            "urls": ["udpout:127.0.0.1:14550"], "system": 1, "component": 100, "messages": 1234,
            "statuses": 90, "heartbeats": 4, "bytes": 4321,
        },
        "bundle": {
            "name": "tiny<b>", "version": "0.1", "family": "ckd", "precision": "fp32", "lost_threshold": 0.3,
        },
        "engine": "onnxruntime",
        "machine": MACHINE,
        "scene": {"seed": 5, "preset": "dusk"},
        "command": "edge-rgbt demo --seconds 3 --seed 5",
    }  # fmt: skip
    return report | changes


def demo_series():
    ramp = np.linspace(0, 1, PAIRS).tolist()
    return {
        "time_s": [index / 30 for index in range(PAIRS)],
        "overlap": [None, *ramp[1:]],
        "score": ramp,
        "latency_ms": [12.0] * PAIRS,
        "skew_ms": [-1.0, 2.0, 0.5] * (PAIRS // 3),
        "visible": [not 30 <= index < 40 for index in range(PAIRS)],
    }


def replay_report(names, scores=None, faults=()):
    return {
        "bundle": {"name": "tiny", "version": "0.1", "family": "ckd", "sha256": {"model.onnx": "ab12"}},
        "engine": "onnxruntime 1.2",
        "precision": "fp32",
        "device": "CPU",
        "threads": 2,
        "fallback": "",
        "frames": 60 * len(names),
        "dropped_frames": 0,
        "frames_per_second": 50.0 if names else None,
        "wall_seconds": 4.0,
        "latency_ms": statistics(20.0) if names else None,
        "stages_ms": {"infer": statistics(18.0)} if names else {},
        "peak_memory_mb": 210.0,
        "scores": scores or [],
        "sequences": [
            {"name": name, "frames": 60, "lost_frames": 1, "latency_ms": statistics(20.0), "scores": None}
            for name in names
        ],
        "faults": list(faults),
    }


def replay_series(level=0.5):
    return {
        "overlap": [level if index % 10 == 0 else None for index in range(60)],
        "score": [0.6] * 60,
        "latency_ms": [20.0] * 60,
    }


class Tags(HTMLParser):
    """Every opening tag with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture
def demo_page(tmp_path):
    picture = np.full((552, 1280, 3), 90, np.uint8)
    path = tmp_path / "index.html"
    write_demo_report(path, demo_report(), demo_series(), [still(picture, "0 s: the start")], "flight.mp4")
    return path


def test_the_demo_page_shows_its_headline_numbers_and_how_to_repeat_it(demo_page):
    text = demo_page.read_text()
    for part in ("0.71", "1,234", "36", "12.2", "edge-rgbt demo --seconds 3 --seed 5", "dusk"):
        assert part in text


def test_the_demo_page_embeds_the_video_and_its_stills(demo_page):
    tags = Tags(demo_page.read_text()).found
    assert ("video", "flight.mp4") in [(tag, attributes.get("src")) for tag, attributes in tags]
    (image,) = [attributes for tag, attributes in tags if tag == "img"]
    assert image["src"].startswith("data:image/jpeg;base64,")
    assert image["alt"] == "0 s: the start"
    assert int(image["width"]) <= 1040


def test_a_page_stands_alone_without_network_or_scripts(demo_page):
    text = demo_page.read_text()
    addresses = [
        value
        for _, attributes in Tags(text).found
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href") and value
    ]
    assert [a for a in addresses if not a.startswith(("data:", "#", "flight.mp4"))] == []
    assert "<script" not in text
    assert "url(http" not in text


def test_names_are_escaped(demo_page):
    assert "tiny&lt;b&gt;" in demo_page.read_text()


def test_the_drawings_of_a_page_are_well_formed_and_share_no_names(demo_page):
    drawings = re.findall(r"<svg.*?</svg>", demo_page.read_text(), flags=re.DOTALL)
    assert len(drawings) == 4
    names = [
        element.get("id")
        for drawing in drawings
        for element in ElementTree.fromstring(drawing).iter()
        if element.get("id")
    ]
    assert len(names) == len(set(names))


def test_curves_take_their_colours_from_the_page():
    drawing = curve("k", [0, 1, 2], [0.1, None, 0.3], x_label="seconds")
    assert "var(--accent)" in drawing
    assert "#030303" not in drawing


def test_thinning_keeps_every_spike():
    y = np.zeros(10_000)
    y[1234], y[7777] = 5.0, -3.0
    x, kept = thinned(np.arange(10_000.0), y)
    assert len(kept) <= 700
    assert (kept.max(), kept.min()) == (5.0, -3.0)
    assert x[np.argmax(kept)] == 1234


def test_a_flight_without_truth_has_no_overlap_card(tmp_path):
    write_demo_report(tmp_path / "page.html", demo_report(mean_overlap=None), demo_series())
    assert "mean overlap" not in (tmp_path / "page.html").read_text()


def test_the_replay_page_lists_scores_sequences_and_failures(tmp_path):
    score = {"dataset": "gtot", "rules": "gtot-1", "sequences": 2, "PR": 0.8125, "SR": 0.6875}
    report = replay_report(["first", "second"], [score], ["third: no thermal folder"])
    report["sequences"][0]["scores"] = {"PR": 0.8, "SR": 0.7}
    (tmp_path / "second.mp4").write_bytes(b"x")
    series = {"first": replay_series(), "second": replay_series()}
    write_replay_report(tmp_path / "report.html", report, series, "edge-rgbt replay X")
    text = (tmp_path / "report.html").read_text()
    for part in (
        "0.812",
        "0.688",
        "first",
        "third: no thermal folder",
        "gtot-1",
        "edge-rgbt replay X",
        "ab12",
    ):
        assert part in text
    assert [a["src"] for tag, a in Tags(text).found if tag == "video"] == ["second.mp4"]


def test_a_large_replay_draws_only_the_worst_sequences(tmp_path):
    names = [f"s{index}" for index in range(30)]
    series = {name: replay_series(0.9 - index / 100) for index, name in enumerate(names)}
    write_replay_report(tmp_path / "report.html", replay_report(names), series)
    text = (tmp_path / "report.html").read_text()
    drawn = re.findall(r'<h2 id="sequence-\d+">(s\d+)</h2>', text)
    assert sorted(drawn) == sorted(names[6:])
    assert "24 sequences with the lowest overlap" in text


def test_a_replay_in_which_everything_failed_still_has_a_page(tmp_path):
    write_replay_report(tmp_path / "report.html", replay_report([], faults=["all: broken"]), {})
    assert "all: broken" in (tmp_path / "report.html").read_text()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(EdgeRgbtError, match="cannot write"):
        write_replay_report(tmp_path / "taken" / "report.html", replay_report(["a"]), {"a": replay_series()})


def test_a_browser_opens_the_demo_page_without_a_complaint(tmp_path, demo_page):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs the browser chromium on the PATH")
    write_page_video(tmp_path / "flight.mp4")
    run = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
            "--virtual-time-budget=2000", demo_page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert "A simulated flight" in run.stdout
    assert run.stdout.count("<svg") == 4
    assert [line for line in run.stderr.splitlines() if "CONSOLE" in line] == []


def write_page_video(path):
    from outputs.pairs import grey_pair, state_of

    from edge_rgbt.outputs.video import AnnotatedVideo

    with AnnotatedVideo(path, 30) as video:
        for index in range(10):
            video.write(grey_pair(index), state_of(grey_pair(index)))
