"""Crops of what is seen, and what stands in for a camera that cannot be used."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundles import tiny_manifest
from worlds import path_box, square_pair

from edge_rgbt.bundle import TrackerSettings
from edge_rgbt.imageops import crop_geometry
from edge_rgbt.manifest import STAND_INS as NAMES
from edge_rgbt.tracker.crops import STAND_INS, Crops, Cutter
from edge_rgbt.types import Modality, Usable

ONE_GONE = ((Usable.RGB, Modality.TIR), (Usable.TIR, Modality.RGB))


def cutter(stand_in: str) -> Cutter:
    return Cutter(tiny_manifest(tracker=TrackerSettings(stand_in=stand_in)))


def geometry(t: int):
    return crop_geometry(path_box(t), 4.0, 128)


def test_manifest_names_every_stand_in_that_there_is():
    assert tuple(STAND_INS) == NAMES


@pytest.mark.parametrize("stand_in", NAMES)
@pytest.mark.parametrize(("usable", "missing"), ONE_GONE)
def test_seen_modality_is_cut_as_ever_and_the_missing_picture_never_read(stand_in, usable, missing):
    crops = cutter(stand_in)
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.BOTH)
    crops.search(square_pair(1, path_box(1)), geometry(1), Usable.BOTH)
    pair = square_pair(2, path_box(2))
    wanted = Crops.cut(pair, geometry(2))
    first = crops.search(pair, geometry(2), usable)
    pair.frame(missing).image[:] = 77
    second = crops.search(pair, geometry(2), usable)
    seen = Modality(usable.value)
    assert np.array_equal(first.of(seen), wanted.of(seen))
    assert np.array_equal(first.of(missing), second.of(missing))
    assert first.of(missing).shape == wanted.of(missing).shape


@pytest.mark.parametrize(("usable", "missing"), ONE_GONE)
def test_hold_shows_the_last_sound_crop(usable, missing):
    crops = cutter("hold")
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.BOTH)
    last = crops.search(square_pair(1, path_box(1)), geometry(1), Usable.BOTH)
    for t in (2, 3):
        shown = crops.search(square_pair(t, path_box(t)), geometry(t), usable)
        assert np.array_equal(shown.of(missing), last.of(missing))


def test_hold_without_any_past_shows_grey():
    crops = cutter("hold")
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.RGB)
    shown = crops.search(square_pair(1, path_box(1)), geometry(1), Usable.RGB)
    assert (shown.tir == 128).all()


def test_other_shows_brightness_in_search_crop_and_template_alike():
    crops = cutter("other")
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.BOTH)
    shown = crops.search(square_pair(1, path_box(1)), geometry(1), Usable.TIR)
    assert np.array_equal(shown.rgb, shown.tir)
    template = crops.shown_template(Usable.TIR)
    assert np.array_equal(template.rgb, template.tir)
    assert not np.array_equal(crops.shown_template(Usable.BOTH).rgb, template.rgb)


def test_template_mean_is_the_mean_of_the_missing_modalitys_template():
    crops = cutter("template-mean")
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.BOTH)
    mean = crops.shown_template(Usable.BOTH).tir.mean()
    shown = crops.search(square_pair(1, path_box(1)), geometry(1), Usable.RGB)
    assert np.ptp(shown.tir) == 0
    assert shown.tir[0, 0, 0, 0] == pytest.approx(mean, abs=0.5)


def test_template_that_lacked_a_modality_is_completed_around_a_trusted_box():
    crops = cutter("hold")
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.RGB)
    assert crops.lacking is Modality.TIR
    before = crops.shown_template(Usable.BOTH)
    pair = square_pair(5, path_box(5))
    crops.complete(pair, path_box(5))
    after = crops.shown_template(Usable.BOTH)
    assert crops.lacking is None
    assert np.array_equal(after.rgb, before.rgb)
    assert np.array_equal(after.tir, crops.template(pair, path_box(5)).tir)


def test_settings_are_those_of_the_manifest():
    manifest = dataclasses.replace(tiny_manifest(), tracker=TrackerSettings(stand_in="black"))
    crops = Cutter(manifest)
    crops.start(square_pair(0, path_box(0)), path_box(0), Usable.BOTH)
    assert not crops.search(square_pair(1, path_box(1)), geometry(1), Usable.RGB).tir.any()
