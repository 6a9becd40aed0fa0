"""From the `[data]` table to batches: which sources open, how they are weighted, shared and augmented."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from miniatures import write_sequence

from edge_rgbt.errors import EdgeRgbtError, UsageError
from training.__main__ import main
from training.data.loader import BatchStream, batch_loader, to_batch
from training.data.samples import CropSizes, RejectedSample, TrackingSample
from training.data.settings import DataSettings, SourceSettings
from training.data.sources import open_sources, training_stream, validation_stream
from training.recipes.settings import load_settings

SIZES = CropSizes(template=32, search=64)


@pytest.fixture(scope="module")
def lasher(tmp_path_factory) -> Path:
    """Three training sequences and one of the test split."""
    root = tmp_path_factory.mktemp("lasher")
    for name in ("a", "b", "c"):
        write_sequence(root, "lasher", name, 21, "trainingset")
    write_sequence(root, "lasher", "t", 21, "testingset")
    return root


def data(path: Path, **options) -> DataSettings:
    general = {key: options.pop(key) for key in ("augmentation", "dynamic_template") if key in options}
    return DataSettings(sources={"lasher": SourceSettings(str(path), **options)}, held_out=3, **general)


@dataclass
class Flat:
    """Samples of one grey level."""

    level: int

    def draw(self, rng: np.random.Generator) -> TrackingSample:
        rgb, tir = np.full((32, 32, 3), self.level, np.uint8), np.full((32, 32), self.level, np.uint8)
        rng.random()
        return TrackingSample(rgb, tir, rgb, tir, np.full(4, 0.25, np.float32), (0.5, 0.5))


class Never:
    """A source that always fails."""

    def draw(self, rng: np.random.Generator) -> TrackingSample:
        raise RejectedSample("there is nothing")


class AsDrawn:
    """No augmentation at all."""

    def apply(self, drawn: TrackingSample, rng: np.random.Generator) -> TrackingSample:
        return drawn


def names(sources) -> list[list[str]]:
    return [[track.name for track in source.tracks] for source, _ in sources]


def test_every_so_many_th_sequence_is_held_out(lasher):
    opened = open_sources(data(lasher), SIZES)
    assert names(opened.training) == [["b", "c"]]
    assert names(opened.held_out) == [["a"]]


def test_another_split_can_validate(lasher):
    opened = open_sources(data(lasher, validation_split="test"), SIZES)
    assert names(opened.training) == [["a", "b", "c"]]
    assert names(opened.held_out) == [["t"]]


def test_a_pack_takes_the_place_of_its_folder(lasher, tmp_path):
    out = str(tmp_path / "pack")
    main(["pack", "lasher", "--data", str(lasher), "--out", out, "--whole", "--workers", "1"])
    batches = [
        training_stream(open_sources(data(path), SIZES), data(path), 2, 3)[5] for path in (lasher, out)
    ]
    for name, array in batches[0].items():
        np.testing.assert_array_equal(array, batches[1][name])


def test_a_pack_is_not_taken_for_what_it_is_not(lasher, tmp_path):
    out = tmp_path / "pack"
    main(["pack", "lasher", "--data", str(lasher), "--out", str(out), "--workers", "1"])
    with pytest.raises(UsageError, match=r"data\.sources\.lasher: interpolate is True but .* False"):
        open_sources(data(out, interpolate=True), SIZES)
    with pytest.raises(UsageError, match=r"split is 'test' but .* was packed with 'train'"):
        open_sources(data(out, split="test"), SIZES)
    with pytest.raises(UsageError, match="one split"):
        open_sources(data(out, validation_split="test"), SIZES)


def test_a_table_whose_name_is_no_layout_must_tell_it(lasher):
    settings = DataSettings(sources={"mine": SourceSettings(str(lasher))})
    with pytest.raises(UsageError, match=r"data\.sources\.mine: which layout\?"):
        open_sources(settings, SIZES)


def test_no_data_at_all_is_refused():
    with pytest.raises(UsageError, match="names no data"):
        open_sources(DataSettings(), SIZES)


def test_a_recipe_holds_named_sources_with_weights(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[sources.lasher]\npath = "x"\n[sources.drone]\npath = "y"\nlayout = "vtuav"\n')
    settings = load_settings(DataSettings, recipe, ["sources.drone.weight=0.5"])
    assert settings.sources["drone"] == SourceSettings("y", "vtuav", weight=0.5)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("sources.lasher.weight=0", "weight is 0"),
        ("sources.lasher.layout=kitti", "layout is 'kitti'; known: gtot"),
        ("sources.lasher.pth=x", "did you mean sources.lasher.path"),
        ("augmentation=mild", "expected one of 'strong', 'published'"),
        ("held_out=1", "held_out is 1"),
    ],
)
def test_mistakes_in_the_data_table_are_named(tmp_path, override, named):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[sources.lasher]\npath = "x"\n')
    with pytest.raises(UsageError, match=named):
        load_settings(DataSettings, recipe, [override])


def test_sources_are_drawn_by_their_weights():
    stream = BatchStream([(Flat(10), 3.0), (Flat(20), 1.0)], 400, 0, augmentation=AsDrawn())
    share = (stream[0]["search_tir"][:, 0, 0] == 10).mean()
    assert share == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_batch_that_one_would_make(lasher, processes):
    settings = data(lasher)
    stream = training_stream(open_sources(settings, SIZES), settings, 4, 3)
    whole = stream[7]
    parts = [stream.share(process, processes)[7] for process in range(processes)]
    for name, array in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), array)


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(ValueError, match="batch of 4 cannot be shared by 3"):
        BatchStream([(Flat(1), 1.0)], 4, 0).share(0, 3)


@pytest.mark.parametrize("augmentation", ["strong", "published"])
def test_dynamic_templates_reach_the_batch(lasher, augmentation):
    settings = data(lasher, augmentation=augmentation, dynamic_template=True)
    stream = training_stream(open_sources(settings, SIZES), settings, 3, 1)
    batch = to_batch(next(iter(batch_loader(stream, 0, 1, workers=0))))
    assert batch.dynamic_rgb is not None
    assert batch.dynamic_tir is not None
    assert batch.dynamic_rgb.shape == batch.template_rgb.shape
    assert not (batch.dynamic_tir == batch.template_tir).all()


def test_a_sample_without_dynamic_template_repeats_the_first():
    arrays = BatchStream([(Flat(1), 1.0)], 2, 0, augmentation=AsDrawn(), dynamic=True)[0]
    np.testing.assert_array_equal(arrays["dynamic_rgb"], arrays["template_rgb"])


def test_nothing_of_a_dynamic_template_is_carried_where_none_is_asked_for(lasher):
    arrays = training_stream(open_sources(data(lasher), SIZES), data(lasher), 1, 1)[0]
    assert set(arrays) == {"template_rgb", "template_tir", "search_rgb", "search_tir", "target"}


def test_validation_as_published_changes_no_brightness(lasher):
    settings = data(lasher, augmentation="published")
    opened = open_sources(settings, SIZES)
    assert "gains" in training_stream(opened, settings, 2, 1)[0]
    assert "gains" not in validation_stream(opened, settings, 2, 1)[0]


def test_frames_that_workers_skip_are_counted_and_change_no_batch(lasher, tmp_path, caplog):
    write_sequence(tmp_path, "lasher", "d", 21, "trainingset")
    write_sequence(tmp_path, "lasher", "e", 21, "trainingset")
    for number in (4, 9):
        sorted((tmp_path / "trainingset" / "e" / "visible").iterdir())[number].write_bytes(b"no image")
    settings = data(tmp_path)
    opened = [open_sources(settings, SIZES) for _ in range(2)]
    with caplog.at_level(logging.CRITICAL):
        alone, helped = (
            [b["search_rgb"].numpy() for b in batch_loader(training_stream(o, settings, 8, 2), 0, 3, workers)]
            for o, workers in zip(opened, (0, 2), strict=True)
        )
    np.testing.assert_array_equal(np.stack(alone), np.stack(helped))
    alone, helped = (sorted(set(o.skipped())) for o in opened)
    assert alone == helped
    assert [frame.split("/")[-1].split(":")[0] for frame in alone] == ["v000005.jpg", "v000010.jpg"]
    assert not opened[1].skipped()


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True)])
def test_batches_for_a_gpu_are_pinned(device, pinned):
    loader = batch_loader(BatchStream([(Flat(1), 1.0)], 1, 0), 0, 1, 0, torch.device(device))
    assert loader.pin_memory is pinned


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("workers", [0, 1])
def test_pinned_batches_hold_what_others_do(workers):
    stream = BatchStream([(Flat(7), 1.0)], 2, 0)
    (pinned,), (plain,) = (batch_loader(stream, 0, 1, workers, torch.device(d)) for d in ("cuda", "cpu"))
    for name, array in pinned.items():
        assert array.is_pinned()
        assert torch.equal(array, plain[name])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_source_that_only_fails_stops_the_run_with_one_line(workers):
    loader = batch_loader(BatchStream([(Never(), 1.0)], 1, 0), 0, 1, workers)
    with pytest.raises(
        EdgeRgbtError, match=r"^50 draws in a row were rejected, .* there is nothing; [^\n]*$"
    ):
        next(iter(loader))
