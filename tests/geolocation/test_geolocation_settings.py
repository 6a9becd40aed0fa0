"""The tables [mount] and [geolocation]: what they take and how they refuse."""

from pathlib import Path

import pytest

from edge_rgbt.geolocation import GeolocationSettings, MountSettings
from edge_rgbt.settings import SettingsError, build_settings


def test_empty_tables_are_a_gimbal_over_flat_ground():
    assert build_settings(MountSettings, {}, "f.toml", "mount.").kind == "gimbal"
    settings = build_settings(GeolocationSettings, {}, "f.toml", "geolocation.")
    assert settings.heights == ("elevation", "terrain", "rangefinder", "home", "fixed")


def test_a_whole_table_is_read():
    table = {
        "hfov_deg": 62, "heights": ["elevation", "home"], "elevation_file": "alps.tif", "target": "person",
        "link_latency_ms": 30,
    }  # fmt: skip
    settings = build_settings(GeolocationSettings, table, "f.toml", "geolocation.")
    assert (settings.hfov_deg, settings.elevation_file, settings.target) == (62.0, Path("alps.tif"), "person")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"hfov_deg": 0}, "hfov_deg is 0, expected 0.5 to 175"),
        ({"heights": []}, "heights is"),
        ({"heights": ["home", "home"]}, "each source once"),
        ({"heights": ["sky"]}, "one of 'elevation', 'terrain', 'rangefinder', 'home', 'fixed'"),
        ({"heights": ["elevation"]}, "needs elevation_file"),
        ({"heights": ["fixed"]}, "needs target_altitude_m"),
        ({"max_range_m": -1}, "max_range_m is -1"),
        ({"target": "bird"}, "one of 'vehicle', 'person'"),
        ({"max_rnage_m": 5}, "did you mean geolocation.max_range_m"),
    ],
)
def test_impossible_values_are_named_with_what_is_allowed(table, words):
    with pytest.raises(SettingsError, match=words) as error:
        build_settings(GeolocationSettings, table, "f.toml", "geolocation.")
    assert len(error.value.faults) == 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "hand"}, "one of 'gimbal', 'fixed'"),
        ({"misalignment_deg": [0, 25, 0]}, "at most 20 each"),
        ({"lever_arm_m": [0.1, 0, -60]}, "at most 50 each"),
        ({"gimbal_component": 0}, "expected 1 to 250"),
        ({"heading_sigma_deg": 0}, "expected 0.01 to 45"),
    ],
)
def test_impossible_mounts_are_named_with_what_is_allowed(table, words):
    with pytest.raises(SettingsError, match=words):
        build_settings(MountSettings, table, "f.toml", "mount.")
