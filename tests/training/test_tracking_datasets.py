"""Published datasets as training sources: what is read, what stops a run, what is only skipped."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from miniatures import FOLDERS, HEIGHT, WIDTH, target_box, write_image, write_sequence

from edge_rgbt.errors import SequenceError, UsageError
from training.data.samples import CropSizes, RejectedSample
from training.data.settings import SourceSettings
from training.data.skipped_frames import SkippedFrames
from training.data.tracking_datasets import TrackedSequences, interpolated_boxes, read_tracks

SIZES = CropSizes(template=32, search=64)
TRAINING_SPLIT = {"lasher": "trainingset", "vtuav": "train"}


def write_training_set(root: Path, layout: str, names=("car",), frames: int = 24) -> list[Path]:
    below = TRAINING_SPLIT.get(layout, "")
    return [write_sequence(root, layout, name, frames, below) for name in names]


def read(root: Path, layout: str, **options):
    return read_tracks("data.sources.x", SourceSettings(str(root), layout, **options), layout, "")


@pytest.mark.parametrize("layout", FOLDERS)
def test_every_published_layout_gives_frames_and_boxes(tmp_path, layout):
    write_training_set(tmp_path, layout)
    (track,) = read(tmp_path, layout)
    row = 2 if layout == "vtuav" else 20
    moment = track.moment(row)
    assert moment.images.rgb.shape == (HEIGHT, WIDTH, 3)
    assert moment.images.tir.shape == (HEIGHT, WIDTH)
    x, y, w, h = target_box(20)
    assert moment.box.as_tuple() == (x, y, w, h)
    inside = moment.images.tir[y : y + h, x : x + w]
    assert inside.mean() > moment.images.tir.mean() + 60


def test_the_test_split_is_not_trained_on(tmp_path):
    write_sequence(tmp_path, "lasher", "held", below="testingset")
    write_sequence(tmp_path, "lasher", "used", below="trainingset")
    assert [track.name for track in read(tmp_path, "lasher")] == ["used"]


def test_a_root_with_the_test_split_only_is_refused(tmp_path):
    write_sequence(tmp_path, "lasher", below="testingset")
    with pytest.raises(UsageError, match="no split 'train'"):
        read(tmp_path, "lasher")


def test_boxes_without_area_are_invisible(tmp_path):
    (folder,) = write_training_set(tmp_path, "rgbt210")
    lines = (folder / "init.txt").read_text().splitlines()
    lines[3], lines[7] = "0\t0\t0\t0", "5\t5\t-2\t8"
    (folder / "init.txt").write_text("\n".join(lines))
    (track,) = read(tmp_path, "rgbt210")
    assert np.flatnonzero(~track.visible).tolist() == [3, 7]


def test_sparse_boxes_are_used_as_they_are_unless_told_otherwise(tmp_path):
    write_training_set(tmp_path, "vtuav", frames=41)
    (sparse,) = read(tmp_path, "vtuav")
    (filled,) = read(tmp_path, "vtuav", interpolate=True)
    assert (len(sparse.visible), len(filled.visible)) == (5, 41)
    assert sparse.files(2) == filled.files(20)
    assert filled.moment(15).box.as_tuple() == pytest.approx(target_box(15))


def test_nothing_is_interpolated_beside_a_hidden_target():
    boxes = np.array([[0, 0, 4, 4], [10, 0, 4, 4], [0, 0, 0, 0], [30, 0, 4, 4]], float)
    filled, frames = interpolated_boxes(boxes, np.array([0, 10, 20, 30]))
    assert frames.tolist() == list(range(31))
    assert np.flatnonzero(filled[:, 2] > 0).tolist() == [*range(11), 30]
    assert filled[5].tolist() == [5, 0, 4, 4]


def test_another_layout_is_named(tmp_path):
    write_training_set(tmp_path, "vtuav")
    with pytest.raises(UsageError, match=r"data\.sources\.x: .* it looks like vtuav"):
        read(tmp_path, "rgbt234")


def test_an_empty_root_says_what_was_expected(tmp_path):
    with pytest.raises(UsageError, match="visible and infrared"):
        read(tmp_path, "lasher")


def test_an_absent_root_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        read(tmp_path / "nowhere", "lasher")


def _lose_thermal(folder: Path) -> None:
    for path in (folder / "infrared").iterdir():
        path.unlink()
    (folder / "infrared").rmdir()


def _lose_boxes(folder: Path) -> None:
    for path in folder.glob("*.txt"):
        path.unlink()


def _lose_a_frame(folder: Path) -> None:
    next((folder / "visible").iterdir()).unlink()


def _lose_a_line(folder: Path) -> None:
    (folder / "visible.txt").write_text("\n".join((folder / "visible.txt").read_text().split()[:-1]))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_lose_thermal, "no thermal folder"),
        (_lose_boxes, "has no boxes"),
        (_lose_a_frame, "23 visible but 24 thermal"),
        (_lose_a_line, "23 boxes do not fit 24 pictures"),
    ],
)
def test_a_broken_sequence_stops_the_run_before_it_starts(tmp_path, damage, named):
    folders = write_training_set(tmp_path, "lasher", ("a", "b"))
    damage(folders[1])
    with pytest.raises(UsageError, match=r"1 of 2 sequences cannot be used, first b: ") as caught:
        read(tmp_path, "lasher")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_sequences_can_be_left_out(tmp_path, caplog):
    folders = write_training_set(tmp_path, "lasher", ("a", "b"))
    _lose_boxes(folders[1])
    assert [track.name for track in read(tmp_path, "lasher", skip_broken=True)] == ["a"]
    assert "sequence left out: b" in caplog.text
    assert [track.name for track in read(tmp_path, "lasher", exclude=("b",))] == ["a"]


def test_excluding_what_is_not_there_is_refused(tmp_path):
    write_training_set(tmp_path, "lasher")
    with pytest.raises(UsageError, match="exclude names boat"):
        read(tmp_path, "lasher", exclude=("boat",))


def test_an_unreadable_frame_is_logged_once_with_its_path_and_counted(tmp_path, caplog):
    (folder,) = write_training_set(tmp_path, "lasher")
    tracks = read(tmp_path, "lasher")
    broken = sorted((folder / "visible").iterdir())[5]
    broken.write_bytes(broken.read_bytes()[:300])
    source = TrackedSequences(tracks, SIZES)
    rejected = 0
    with caplog.at_level(logging.WARNING):
        for seed in range(80):
            try:
                source.draw(np.random.default_rng(seed))
            except RejectedSample:
                rejected += 1
    assert rejected > 1
    assert source.skipped.count == 1
    assert caplog.text.count(str(broken)) == 1


def test_skipped_frames_are_told_once_whatever_their_names():
    def fail() -> None:
        raise SequenceError("a  folder/\udcff.jpg: is cut off")

    skipped = SkippedFrames([1, 2])
    for _ in range(2):
        with pytest.raises(RejectedSample):
            skipped.read(1, 1, "car", fail)
    assert skipped.news() == ["car: a  folder/\\udcff.jpg: is cut off"]
    assert skipped.news() == []


def test_draws_do_not_depend_on_what_was_found_broken_before(tmp_path):
    (folder,) = write_training_set(tmp_path, "lasher")
    tracks = read(tmp_path, "lasher")
    sorted((folder / "infrared").iterdir())[5].write_bytes(b"no image")

    def draw(source: TrackedSequences, seed: int) -> bytes | None:
        try:
            return source.draw(np.random.default_rng(seed)).search.images.tir.tobytes()
        except RejectedSample:
            return None

    experienced = TrackedSequences(tracks, SIZES)
    first = [draw(experienced, seed) for seed in range(15)]
    again = [draw(experienced, seed) for seed in range(15)]
    assert first == again == [draw(TrackedSequences(tracks, SIZES), seed) for seed in range(15)]


def test_modalities_of_different_sizes_are_refused(tmp_path):
    (folder,) = write_training_set(tmp_path, "lasher")
    first = sorted((folder / "infrared").iterdir())[0]
    write_image(first, np.zeros((60, 80), np.uint8))
    with pytest.raises(UsageError, match="is 80x60 but the visible image is 160x120"):
        read(tmp_path, "lasher")


def test_a_dynamic_template_comes_from_between(tmp_path):
    write_training_set(tmp_path, "rgbt210")
    source = TrackedSequences(read(tmp_path, "rgbt210"), SIZES, dynamic=True)
    drawn = [source.draw(np.random.default_rng(seed)) for seed in range(6)]
    between = [s for s in drawn if s.dynamic is not None]
    assert between
    for sample in between:
        assert sample.template.box.x < sample.dynamic.box.x < sample.search.box.x


def test_too_short_sequences_alone_are_no_source(tmp_path):
    write_training_set(tmp_path, "vtuav", frames=41)
    with pytest.raises(UsageError, match="interpolate = true"):
        TrackedSequences(read(tmp_path, "vtuav"), SIZES)


@pytest.mark.parametrize(
    ("layout", "sequence", "rows"),
    [("rgbt234", "elecbike3", 144), ("gtot", "Quarreling", 219), ("vtuav", "bus1", 11)],
)
def test_the_real_sequences_can_be_read(shared_data, layout, sequence, rows):
    root = shared_data / "sequences" / layout
    (track,) = read_tracks("data", SourceSettings(str(root), layout), layout, "")
    assert track.name == sequence
    assert len(track.visible) == rows
    moment = track.moment(rows - 1)
    assert moment.box.touches(moment.images.tir.shape[1], moment.images.tir.shape[0])
