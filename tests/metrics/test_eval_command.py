"""`edge-rgbt eval` on miniature ground truth in the published layouts, box files only."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pytest

from edge_rgbt.commands import eval as eval_command
from edge_rgbt.errors import EdgeRgbtError, UsageError

BOXES = [[10, 10, 20, 20], [12, 10, 20, 20], [14, 10, 20, 20]]
CORNERS = [[10, 10, 30, 30], [12, 10, 32, 30], [14, 10, 34, 30]]
ODD_NAMES = ["boy`s head", 'girl\'s "bag"', "10runone"]


def lines(rows) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def make_truth(root: Path, dataset: str, names=ODD_NAMES) -> Path:
    """Box files of `names` as the benchmark lays them out."""
    files = {
        "gtot": ("", {"groundTruth_v.txt": CORNERS, "groundTruth_i.txt": CORNERS, "init.txt": BOXES}),
        "rgbt210": ("", {"init.txt": BOXES}),
        "rgbt234": ("", {"visible.txt": BOXES, "infrared.txt": BOXES, "init.txt": [[900, 900, 1, 1]] * 3}),
        "lasher": ("testingset", {"visible.txt": BOXES, "infrared.txt": BOXES, "init.txt": BOXES}),
        "vtuav": ("test_ST/test_ST", {"rgb.txt": BOXES[:1], "ir.txt": BOXES[:1]}),
    }
    below, contents = files[dataset]
    for name in names:
        folder = root / below / name
        folder.mkdir(parents=True)
        for file, rows in contents.items():
            (folder / file).write_text(lines(rows))
    return root


def make_results(folder: Path, names=ODD_NAMES) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / f"{name}.txt").write_text(lines(BOXES))
    return folder


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    eval_command.configure(parser)
    return eval_command.run(parser.parse_args([str(a) for a in arguments]))


@pytest.mark.parametrize("dataset", ["gtot", "rgbt210", "rgbt234", "lasher", "vtuav"])
def test_each_published_layout_is_scored_from_box_files_alone(tmp_path, capsys, dataset):
    data = make_truth(tmp_path / "data", dataset)
    results = make_results(tmp_path / "results")
    assert run(results, "--dataset", dataset, "--data", data, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["dataset"] == dataset
    assert printed["rules"] == f"{dataset}-1"
    assert printed["sequences"] == 3
    assert sorted(printed["per_sequence"]) == sorted(ODD_NAMES)
    precision = "MPR" if dataset in ("gtot", "rgbt234") else "PR"
    assert printed[precision] == 1.0


def test_the_test_split_is_scored_unless_another_is_asked_for(tmp_path, capsys):
    data = make_truth(tmp_path / "data", "lasher", ["one"])
    train = data / "trainingset" / "two"
    train.mkdir(parents=True)
    (train / "visible.txt").write_text(lines(BOXES))
    results = make_results(tmp_path / "results", ["one", "two"])
    found = {}
    for split in ("test", "train", "all"):
        run(results, "--dataset", "lasher", "--data", data, "--json", "--split", split)
        found[split] = sorted(json.loads(capsys.readouterr().out)["per_sequence"])
    run(results, "--dataset", "lasher", "--data", data, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert found == {"test": ["one"], "train": ["two"], "all": ["one", "two"]}
    assert (printed["split"], sorted(printed["per_sequence"])) == ("test", ["one"])
    with pytest.raises(UsageError, match="holds no split 'val'"):
        run(results, "--dataset", "lasher", "--data", data, "--split", "val")


def test_a_results_folder_with_a_file_too_few_names_it(tmp_path, capsys):
    data = make_truth(tmp_path / "data", "rgbt234")
    results = make_results(tmp_path / "results", ODD_NAMES[:2])
    with pytest.raises(EdgeRgbtError) as caught:
        run(results, "--dataset", "rgbt234", "--data", data)
    assert "10runone.txt" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 1
    assert run(results, "--dataset", "rgbt234", "--data", data, "--partial", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["sequences"], printed["unscored"]) == (2, ["10runone"])


def test_a_faulty_sequence_is_named_and_the_others_are_scored(tmp_path, capsys):
    data = make_truth(tmp_path / "data", "rgbt234")
    (data / "10runone" / "infrared.txt").write_text("1,2,3,4\n1,2,x,4\n")
    results = make_results(tmp_path / "results")
    assert run(results, "--dataset", "rgbt234", "--data", data, "--json") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["sequences"] == 2
    assert "10runone: " in printed.err
    assert "infrared.txt:2" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_box_files_of_unequal_length_are_a_fault(tmp_path, capsys):
    data = make_truth(tmp_path / "data", "rgbt234", ["one", "two"])
    (data / "one" / "infrared.txt").write_text(lines(BOXES[:2]))
    results = make_results(tmp_path / "results", ["one", "two"])
    assert run(results, "--dataset", "rgbt234", "--data", data) == 1
    assert "2 boxes, but visible.txt has 3" in capsys.readouterr().err


def test_a_result_whose_sequence_lacks_its_box_file_is_named(tmp_path, capsys):
    data = make_truth(tmp_path / "data", "rgbt234")
    (data / "10runone" / "visible.txt").unlink()
    results = make_results(tmp_path / "results")
    (results / "10runone_time.txt").write_text("0.02\n")
    assert run(results, "--dataset", "rgbt234", "--data", data) == 0
    assert "no ground truth for 1: 10runone" in capsys.readouterr().out
    assert run(results, "--dataset", "rgbt234", "--data", data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["unmatched"] == ["10runone"]


def test_sequences_that_end_early_are_named_in_the_table(tmp_path, capsys):
    data = make_truth(tmp_path / "data", "rgbt234")
    results = make_results(tmp_path / "results")
    (results / "10runone.txt").write_text(lines(BOXES[:2]))
    assert run(results, "--dataset", "rgbt234", "--data", data) == 0
    assert "10runone (2 of 3)" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["results", "data"])
def test_a_missing_folder_is_a_wrong_call(tmp_path, missing):
    make_truth(tmp_path / "data", "rgbt234")
    make_results(tmp_path / "results")
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=missing):
        run(tmp_path / "results", "--dataset", "rgbt234", "--data", tmp_path / "data")


def test_ground_truth_of_another_dataset_is_a_wrong_call(tmp_path):
    data = make_truth(tmp_path / "data", "rgbt234")
    with pytest.raises(UsageError, match="no box files of gtot"):
        run(make_results(tmp_path / "results"), "--dataset", "gtot", "--data", data)


def test_245_sequences_are_scored_in_well_under_five_seconds(tmp_path):
    names = [f"seq{k}" for k in range(245)]
    rows = np.random.default_rng(0).integers(1, 400, (900, 4)).tolist()  # LasHeR's 220 thousand frames
    for name in names:
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "visible.txt").write_text(lines(rows))
    results = tmp_path / "results"
    results.mkdir()
    for name in names:
        (results / f"{name}.txt").write_text(lines(rows))
    start = time.process_time()
    run(results, "--dataset", "lasher", "--data", tmp_path / "data")
    assert time.process_time() - start < 5
