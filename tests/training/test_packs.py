"""Packs: the same samples from one file, resumable, refused when damaged or unfinished."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from miniatures import picture, rgb_picture, target_box, write_image, write_sequence

from edge_rgbt.errors import EdgeRgbtError, UsageError
from edge_rgbt.types import Box
from training.__main__ import main
from training.data.image_pairs import load_image_pairs
from training.data.packable import ViewSettings, kept_view, some_frames
from training.data.packed import PAIRS, SEQUENCES, PackedTrack, open_pack
from training.data.packing import PackWriter, ShardBuilder, ShardJob, encode, write_shards
from training.data.samples import AlignedImages, CropSizes, Moment, RejectedSample
from training.data.settings import SourceSettings
from training.data.simulated_flights import open_flights
from training.data.tracking_datasets import read_tracks

SIZES = CropSizes(template=32, search=64)
GREY = AlignedImages(np.full((20, 30, 3), 128, np.uint8), np.full((20, 30), 128, np.uint8))


@pytest.fixture
def lasher(tmp_path) -> Path:
    for name in ("car", "man o`war"):
        write_sequence(tmp_path / "LasHeR", "lasher", name, 21, "trainingset")
    return tmp_path / "LasHeR"


def pack(*arguments) -> int:
    return main(["pack", *map(str, arguments), "--workers", "1"])


def folder_track(root: Path):
    return read_tracks("data", SourceSettings(str(root)), "lasher", "")[0]


def packed_tracks(folder: Path) -> list[PackedTrack]:
    opened = open_pack(folder, SEQUENCES)
    return [PackedTrack(opened, shard) for shard in opened.shards]


def test_whole_pictures_come_back_as_they_were(lasher, tmp_path):
    assert pack("lasher", "--data", lasher, "--out", tmp_path / "pack", "--whole") == 0
    tracks = packed_tracks(tmp_path / "pack")
    assert [track.name for track in tracks] == ["car", "man o`war"]
    ours, theirs = tracks[0].moment(7), folder_track(lasher).moment(7)
    np.testing.assert_array_equal(ours.images.rgb, theirs.images.rgb)
    np.testing.assert_array_equal(ours.images.tir, theirs.images.tir)
    assert ours.box == theirs.box


def test_cut_pictures_show_the_target_in_its_box(lasher, tmp_path):
    arguments = ("--margin", 4, "--target-px", 12, "--quality", 98)
    assert pack("lasher", "--data", lasher, "--out", tmp_path / "pack", *arguments) == 0
    moment = packed_tracks(tmp_path / "pack")[0].moment(7)
    assert moment.images.tir.shape == (48, 48)
    assert (moment.box.w, moment.box.h) == pytest.approx((12, 12))
    x, y = round(moment.box.x), round(moment.box.y)
    assert moment.images.tir[y + 1 : y + 11, x + 1 : x + 11].min() > 180
    assert moment.images.tir[: y - 1].max() < 150


def test_a_view_at_the_edge_of_the_picture_ends_there():
    moment = Moment(AlignedImages(rgb_picture(0), picture(0)), Box(150, 110, 10, 10))
    kept = kept_view(moment, ViewSettings(margin=6))
    assert kept.images.tir.shape == (35, 35)
    assert kept.box == Box(25, 25, 10, 10)
    np.testing.assert_array_equal(kept.images.tir, moment.images.tir[85:, 125:])


def test_invisible_frames_keep_their_place_without_a_picture(lasher, tmp_path):
    boxes = lasher / "trainingset" / "car" / "visible.txt"
    lines = boxes.read_text().split()
    lines[4] = "0,0,0,0"
    boxes.write_text("\n".join(lines))
    pack("lasher", "--data", lasher, "--out", tmp_path / "pack")
    track = packed_tracks(tmp_path / "pack")[0]
    assert np.flatnonzero(~track.visible).tolist() == [4]
    assert len(track.visible) == 21


def test_an_unreadable_frame_is_named_and_left_out(lasher, tmp_path, caplog):
    broken = sorted((lasher / "trainingset" / "car" / "visible").iterdir())[6]
    broken.write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        assert pack("lasher", "--data", lasher, "--out", tmp_path / "pack") == 0
    assert str(broken) in caplog.text
    assert not packed_tracks(tmp_path / "pack")[0].visible[6]


def test_a_wrong_data_folder_leaves_nothing_behind(tmp_path):
    assert pack("lasher", "--data", tmp_path / "nowhere", "--out", tmp_path / "pack") == 2
    assert not (tmp_path / "pack").exists()


def shard(number: int) -> ShardJob:
    def make():
        builder = ShardBuilder(f"s{number}")
        builder.add_row(0, builder.add_pair(*(encode(image, 90) for image in (GREY.rgb, GREY.tir))))
        return builder.build()

    return ShardJob(f"s{number}", make)


def test_a_killed_run_goes_on_and_gives_the_same_files(tmp_path):
    jobs = [shard(number) for number in range(3)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    writer = PackWriter(whole, PAIRS, {})
    write_shards(writer, jobs, 1, "shard")
    writer.finish()
    write_shards(PackWriter(killed, PAIRS, {}), jobs[:2], 1, "shard")
    for name, torn in (("pictures.bin", b"half a picture"), ("rows.bin", b"12"), ("journal.jsonl", b'{"na')):
        with (killed / name).open("ab") as file:
            file.write(torn)
    writer = PackWriter(killed, PAIRS, {})
    assert writer.done == {"s0", "s1"}
    write_shards(writer, jobs, 1, "shard")
    writer.finish()
    for name in ("pictures.bin", "rows.bin", "pack.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_going_on_with_other_settings_is_refused(tmp_path):
    PackWriter(tmp_path, PAIRS, {"quality": 90})
    with pytest.raises(UsageError, match="other settings"):
        PackWriter(tmp_path, PAIRS, {"quality": 80})


def test_an_unfinished_pack_is_not_trained_on(tmp_path):
    write_shards(PackWriter(tmp_path, PAIRS, {}), [shard(0)], 1, "shard")
    with pytest.raises(UsageError, match="not finished"):
        load_image_pairs([tmp_path])


def finished(folder: Path) -> Path:
    writer = PackWriter(folder, PAIRS, {})
    write_shards(writer, [shard(0)], 1, "shard")
    writer.finish()
    return folder


def test_a_finished_pack_is_not_written_to(tmp_path):
    with pytest.raises(UsageError, match="finished pack"):
        PackWriter(finished(tmp_path), PAIRS, {})


def test_a_pack_of_something_else_is_refused(tmp_path):
    with pytest.raises(UsageError, match="pack of pairs where flights belong"):
        open_flights(finished(tmp_path), SIZES, 2)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("pictures.bin", b"cut", "holds 3 bytes instead of"),
        ("rows.bin", b"cut", "holds 3 bytes instead of"),
        ("pack.json", b"{}", "not the index"),
        ("pack.json", b"[", "not the index"),
    ],
)
def test_a_damaged_pack_is_refused(tmp_path, name, content, named):
    (finished(tmp_path) / name).write_bytes(content)
    with pytest.raises(UsageError, match=named):
        open_pack(tmp_path, PAIRS)


def test_a_pack_of_another_format_is_refused(tmp_path):
    index = json.loads((finished(tmp_path) / "pack.json").read_text())
    (tmp_path / "pack.json").write_text(json.dumps(index | {"format": 99}))
    with pytest.raises(UsageError, match="format 99, this is 1"):
        open_pack(tmp_path, PAIRS)


def test_nothing_to_pack_is_an_error(tmp_path):
    with pytest.raises(EdgeRgbtError, match="nothing was packed"):
        PackWriter(tmp_path, PAIRS, {}).finish()


def test_pairs_keep_their_order_and_content(tmp_path):
    for folder in ("night", "day"):
        for number in range(3):
            write_image(tmp_path / folder / "visible" / f"{number}.png", rgb_picture(number))
            write_image(tmp_path / folder / "infrared" / f"{number}.png", picture(number))
    folders = [tmp_path / "night", tmp_path / "day"]
    pack("pairs", "--data", folders[0], "--data", folders[1], "--out", tmp_path / "pack", "--quality", 100)
    for ours, theirs in zip(load_image_pairs([tmp_path / "pack"]), load_image_pairs(folders), strict=True):
        assert np.abs(ours.tir.astype(int) - theirs.tir).max() <= 3


@pytest.fixture
def flights(tmp_path) -> Path:
    """Two made-up flights of four frames with one object, in the form in which flights are rendered."""
    for seed in (1, 2):
        folder = tmp_path / "flights" / f"{seed:06d}"
        folder.mkdir(parents=True)
        np.save(folder / "rgb.npy", np.stack([rgb_picture(i)[:, :, ::-1] for i in range(4)]))
        np.save(folder / "tir.npy", np.stack([picture(i) for i in range(4)]))
        rows = [(i, 7, *target_box(i), 1.0, 1, 1) for i in range(4)]
        np.save(folder / "objects.npy", np.array(rows, np.float32))
    (tmp_path / "flights" / "flights.json").write_text('{"seeds": [1, 2], "rate_hz": 2.0}')
    return tmp_path / "flights"


def test_flights_draw_the_same_samples_from_a_pack(flights, tmp_path):
    assert pack("flights", "--data", flights, "--out", tmp_path / "pack", "--quality", 100) == 0
    ours, theirs = (open_flights(folder, SIZES, 2)[0] for folder in (tmp_path / "pack", flights))
    for seed in range(5):
        packed, rendered = (source.draw(np.random.default_rng(seed)) for source in (ours, theirs))
        np.testing.assert_array_equal(packed.target, rendered.target)
        assert np.abs(packed.search_tir.astype(int) - rendered.search_tir).max() <= 4


def test_shrunken_flights_keep_targets_in_their_boxes(flights, tmp_path):
    pack("flights", "--data", flights, "--out", tmp_path / "pack", "--scale", 0.5)
    flight = open_flights(tmp_path / "pack", SIZES, 2)[0].flights[0]
    x, y, w, h = flight.by_object[7][2, 2:6]
    assert (x, y, w, h) == tuple(v / 2 for v in target_box(2))
    bright = cv2.boundingRect((flight.images(2).tir > 150).astype(np.uint8))
    np.testing.assert_allclose(bright, (x, y, w, h), atol=1)


def test_a_few_frames_of_a_flight_lie_near_enough_to_make_samples():
    shown = np.arange(3, 48)
    kept = [some_frames(shown, 3, 20, seed) for seed in range(40)]
    assert all(len(frames) == 3 and frames[-1] - frames[0] <= 20 for frames in kept)
    assert {frames[0] for frames in kept} != {3}
    assert some_frames(shown, 0, 20, 0) == shown.tolist()


def test_a_damaged_picture_in_a_pack_is_skipped_and_named(flights, tmp_path, caplog):
    pack("flights", "--data", flights, "--out", tmp_path / "pack")
    source = open_flights(tmp_path / "pack", SIZES, 2)[0]
    pictures = tmp_path / "pack" / "pictures.bin"
    with pictures.open("r+b") as file:
        file.write(bytes(pictures.stat().st_size))
    with pytest.raises(RejectedSample):
        source.draw(np.random.default_rng(0))
    assert source.skipped.count == 1
    assert f"frame skipped (1 so far): 000002: {pictures}" in caplog.text


def test_flights_give_a_dynamic_template_from_between(flights):
    source = open_flights(flights, SIZES, 2, dynamic=True)[0]
    drawn = [source.draw(np.random.default_rng(seed)) for seed in range(12)]
    with_one = [sample for sample in drawn if sample.dynamic_tir is not None]
    assert 0 < len(with_one) < len(drawn)
    assert all(sample.dynamic_rgb.shape == (32, 32, 3) for sample in with_one)
    assert not any((sample.dynamic_tir == sample.template_tir).all() for sample in with_one)
