"""What SOURCE may be, and the faults that are named with sequence and file."""

import shutil
from pathlib import Path

import pytest
from miniatures import FOLDERS, box_lines, rgb_picture, target_box, write_image, write_sequence, write_video

from edge_rgbt.errors import SequenceError, UsageError
from edge_rgbt.replay.layouts import find_recordings, read_box_argument
from edge_rgbt.types import Box

ODD_NAMES = ["boy`s head", 'girl\'s "blue" bag', "10 run, one"]


def only(source: object, dataset: str | None = None):
    (recording,) = find_recordings(str(source), dataset).recordings
    return recording


@pytest.mark.parametrize("given", [True, False], ids=["given", "recognised"])
@pytest.mark.parametrize("dataset", FOLDERS)
def test_a_dataset_root_yields_its_sequences(tmp_path, dataset, given):
    root = tmp_path / ("anything" if given else f"My_{dataset.upper()}")
    for name in ODD_NAMES:
        write_sequence(root, dataset, name)
    (root / "AttriSeqsTxt").mkdir()
    found = find_recordings(str(root), dataset if given else None)
    assert found.dataset == dataset
    assert found.guessed is not given
    assert sorted(r.name for r in found.recordings) == sorted(ODD_NAMES)
    sequence = found.recordings[0].load()
    assert sequence.dataset == dataset
    assert len(sequence.rgb) == len(sequence.tir) == 12
    assert sequence.init == Box(*target_box(0))
    assert sequence.truth is not None
    assert sequence.truth.frames().tolist() == ([0, 10] if dataset == "vtuav" else list(range(12)))


@pytest.mark.parametrize("dataset", FOLDERS)
def test_a_single_sequence_folder_is_read_as_its_dataset(tmp_path, dataset):
    folder = write_sequence(tmp_path / dataset, dataset)
    recording = only(folder)
    assert (recording.name, recording.dataset) == ("car", dataset)
    assert recording.load().init == Box(*target_box(0))


def test_pictures_pair_by_order_even_if_their_numbers_differ(tmp_path):
    sequence = only(write_sequence(tmp_path / "rgbt234", "rgbt234")).load()
    assert [p.name for p in sequence.rgb[:2]] == ["00001v.jpg", "00002v.jpg"]
    assert [p.name for p in sequence.tir[:2]] == ["100001i.jpg", "100002i.jpg"]


def test_frame_ten_comes_after_frame_nine_without_leading_zeros(tmp_path):
    folder = tmp_path / "flight"
    for side in ("rgb", "thermal"):
        for number in (9, 10, 100):
            write_image(folder / side / f"f{number}.png", rgb_picture(0))
    sequence = only(folder).load()
    assert [p.stem for p in sequence.rgb] == ["f9", "f10", "f100"]


def test_gtot_boxes_are_read_as_two_points(tmp_path):
    sequence = only(write_sequence(tmp_path, "gtot"), "gtot").load()
    assert sequence.truth is not None
    assert sequence.truth.visible[3].tolist() == list(target_box(3))


def test_rgbt234_has_boxes_of_both_modalities_and_ignores_init(tmp_path):
    folder = write_sequence(tmp_path / "rgbt234", "rgbt234")
    (folder / "init.txt").write_text(box_lines([(1, 1, 2, 2)] * 12))
    sequence = only(folder).load()
    assert sequence.truth is not None
    assert sequence.truth.infrared is not None
    assert sequence.truth.infrared[0, 0] == target_box(0)[0] + 1
    assert sequence.init == Box(*target_box(0))


def test_the_demo_copy_of_vtuav_with_ir_gray_is_read(tmp_path):
    folder = write_sequence(tmp_path, "vtuav")
    (folder / "ir").rename(folder / "ir_gray")
    assert len(only(folder, "vtuav").load().tir) == 12


def test_both_splits_of_lasher_are_known_and_the_test_split_is_taken(tmp_path):
    write_sequence(tmp_path, "lasher", "one")
    write_sequence(tmp_path, "lasher", "two", below="trainingset")
    names = {
        split: [r.name for r in find_recordings(str(tmp_path), None, split).recordings]
        for split in (None, "test", "train", "all")
    }
    assert names == {None: ["one"], "test": ["one"], "train": ["two"], "all": ["one", "two"]}


def test_a_flat_lasher_root_is_read(tmp_path):
    write_sequence(tmp_path / "LasHeR", "lasher", "one", below="")
    assert only(tmp_path / "LasHeR").dataset == "lasher"


def test_equal_names_in_two_splits_are_refused(tmp_path):
    write_sequence(tmp_path, "lasher", "one")
    write_sequence(tmp_path, "lasher", "one", below="trainingset")
    with pytest.raises(UsageError, match="two sequences are named one"):
        find_recordings(str(tmp_path), "lasher", "all")


def test_a_name_whose_result_would_overwrite_a_time_file_is_refused(tmp_path):
    write_sequence(tmp_path, "rgbt234", "run")
    write_sequence(tmp_path, "rgbt234", "run_time")
    with pytest.raises(UsageError, match="would overwrite"):
        find_recordings(str(tmp_path), "rgbt234")


def test_a_folder_of_several_datasets_keeps_each_ones_rules(tmp_path):
    write_sequence(tmp_path / "gtot", "gtot", "a")
    write_sequence(tmp_path / "rgbt234", "rgbt234", "b")
    found = find_recordings(str(tmp_path))
    assert [(r.name, r.dataset) for r in found.recordings] == [("a", "gtot"), ("b", "rgbt234")]


def test_a_folder_of_pairs_without_boxes_belongs_to_no_benchmark(tmp_path):
    for frame in range(3):
        write_image(tmp_path / "flight" / "visible" / f"{frame}.png", rgb_picture(frame))
        write_image(tmp_path / "flight" / "infrared" / f"{frame}.png", rgb_picture(frame))
    sequence = only(tmp_path / "flight").load()
    assert (sequence.dataset, sequence.truth, sequence.init) == (None, None, None)


def test_boxes_of_every_frame_are_not_taken_for_vtuav(tmp_path):
    for frame in range(12):
        write_image(tmp_path / "flight" / "rgb" / f"{frame:03d}.png", rgb_picture(frame))
        write_image(tmp_path / "flight" / "ir" / f"{frame:03d}.png", rgb_picture(frame))
    (tmp_path / "flight" / "rgb.txt").write_text(box_lines(target_box(f) for f in range(12)))
    sequence = only(tmp_path / "flight").load()
    assert sequence.dataset is None
    assert sequence.truth is not None
    assert sequence.truth.frames().tolist() == list(range(12))


def test_one_box_for_many_frames_is_a_start_and_not_a_truth(tmp_path):
    for frame in range(3):
        write_image(tmp_path / "flight" / "rgb" / f"{frame}.png", rgb_picture(frame))
        write_image(tmp_path / "flight" / "tir" / f"{frame}.png", rgb_picture(frame))
    (tmp_path / "flight" / "init.txt").write_text("5,6,7,8\n")
    sequence = only(tmp_path / "flight").load()
    assert (sequence.truth, sequence.init) == (None, Box(5, 6, 7, 8))


@pytest.mark.parametrize(("rgb", "tir"), [("rgb", "tir"), ("visible", "infrared"), ("RGB", "Thermal")])
def test_a_folder_with_a_pair_of_videos_is_one_sequence(tmp_path, rgb, tir):
    write_video(tmp_path / "flight" / f"{rgb}.mp4")
    write_video(tmp_path / "flight" / f"{tir}.mp4", colour=False)
    recording = only(tmp_path / "flight")
    assert recording.name == "flight"
    assert recording.load().video


def test_a_folder_with_several_pairs_of_videos_is_several_sequences(tmp_path):
    for name in ("north", "south"):
        write_video(tmp_path / f"{name}_rgb.mp4")
        write_video(tmp_path / f"{name}_tir.avi".replace("avi", "mp4"), colour=False)
        (tmp_path / f"{name}.txt").write_text("1,2,3,4\n")
    write_video(tmp_path / "lonely_rgb.mp4")
    found = find_recordings(str(tmp_path)).recordings
    assert [r.name for r in found] == ["north", "south"]
    assert found[0].load().init == Box(1, 2, 3, 4)


def test_two_videos_may_be_named_with_a_comma_even_if_a_name_holds_one(tmp_path):
    rgb = write_video(tmp_path / "a, b_rgb.mp4")
    tir = write_video(tmp_path / "heat.mp4", colour=False)
    recording = only(f"{rgb},{tir}")
    assert (recording.name, recording.rgb_video, recording.tir_video) == ("a, b", rgb, tir)


def test_the_missing_one_of_two_videos_is_named(tmp_path):
    rgb = write_video(tmp_path / "rgb.mp4")
    with pytest.raises(UsageError, match=r"gone\.mp4: no such video file"):
        find_recordings(f"{rgb},{tmp_path / 'gone.mp4'}")


def test_an_empty_source_is_not_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(write_sequence(tmp_path, "rgbt234"))
    with pytest.raises(UsageError, match="SOURCE is empty"):
        find_recordings("")


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_a_source_that_holds_nothing_is_a_wrong_call(tmp_path, what):
    source = tmp_path / "source"
    if what == "empty":
        source.mkdir()
    elif what == "file":
        source.write_text("")
    with pytest.raises(UsageError, match="source: "):
        find_recordings(str(source))


def test_an_unknown_dataset_name_is_a_wrong_call(tmp_path):
    with pytest.raises(UsageError, match="unknown dataset 'otb'"):
        find_recordings(str(tmp_path), "otb")


def fault_of(folder: Path, dataset: str) -> str:
    with pytest.raises(SequenceError) as caught:
        only(folder, dataset).load()
    message = str(caught.value)
    assert message.startswith("car: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("side", ["visible", "infrared"])
def test_a_missing_modality_is_named(tmp_path, side):
    folder = write_sequence(tmp_path, "rgbt234")
    shutil.rmtree(folder / side)
    assert f"({side})" in fault_of(folder, "rgbt234")


def test_an_empty_modality_is_named(tmp_path):
    folder = write_sequence(tmp_path, "lasher")
    for picture in (folder / "infrared").iterdir():
        picture.unlink()
    (folder / "infrared" / "Thumbs.db").write_bytes(b"x")
    assert "infrared: holds no image" in fault_of(folder, "lasher")


def test_unequal_frame_counts_are_named(tmp_path):
    folder = write_sequence(tmp_path, "gtot")
    (folder / "i" / "00012i.png").unlink()
    assert "12 visible but 11 thermal" in fault_of(folder, "gtot")


@pytest.mark.parametrize(
    ("file", "content", "place"),
    [
        ("visible.txt", "", "visible.txt: holds no box"),
        ("infrared.txt", "1,2,3,4\r\n1,2,three,4\r\n", "infrared.txt:2: "),
        ("visible.txt", "1,2,0,4\n" * 12, "visible.txt:1: "),
    ],
)
def test_a_faulty_box_file_is_named_with_its_line(tmp_path, file, content, place):
    folder = write_sequence(tmp_path, "rgbt234")
    (folder / file).write_text(content)
    assert place in fault_of(folder, "rgbt234")


def test_a_missing_thermal_box_file_is_named(tmp_path):
    folder = write_sequence(tmp_path, "rgbt234")
    (folder / "infrared.txt").unlink()
    assert "infrared.txt: cannot be read" in fault_of(folder, "rgbt234")


def test_the_init_option_is_four_numbers_with_an_area():
    assert read_box_argument("1,2.5,3,4") == Box(1, 2.5, 3, 4)
    for wrong in ("1,2,3", "1,2,3,x", "1,2,0,4", "1,2,3,nan", ""):
        with pytest.raises(UsageError, match="wanted x,y,w,h"):
            read_box_argument(wrong)


@pytest.mark.parametrize(
    ("place", "dataset", "frames"),
    [("rgbt234/elecbike3", "rgbt234", 144), ("gtot/Quarreling", "gtot", 219), ("vtuav/bus1", "vtuav", 101)],
)
def test_the_real_sample_sequences_are_recognised(shared_data, place, dataset, frames):
    recording = only(shared_data / "sequences" / place)
    sequence = recording.load()
    assert (recording.dataset, len(sequence.rgb)) == (dataset, frames)
