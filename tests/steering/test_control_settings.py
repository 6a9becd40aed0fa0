"""The table [control]: off by default, and refused where it would be dangerous."""

from __future__ import annotations

import re

import pytest

from edge_rgbt.settings import SettingsError, build_settings
from edge_rgbt.steering.settings import ACKNOWLEDGEMENT, ControlSettings
from edge_rgbt.steering.situation import Level


def read(**values) -> ControlSettings:
    return build_settings(ControlSettings, values, "file.toml", "control.")


def test_steering_is_off_by_default():
    assert ControlSettings().most is Level.OFF
    assert ControlSettings().switch.channel is None
    assert not ControlSettings().auto_resume


def test_guided_needs_its_acknowledgement():
    with pytest.raises(SettingsError, match=re.escape('guided.acknowledgement = "I have a pilot')):
        read(level="guided")
    assert read(level="guided", guided={"acknowledgement": ACKNOWLEDGEMENT}).most is Level.GUIDED


def test_another_sentence_is_no_acknowledgement():
    with pytest.raises(SettingsError, match=r"control\.guided: acknowledgement has to be exactly"):
        read(level="guided", guided={"acknowledgement": "yes"})


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("gimbal", "rate_deg_s", 61),
        ("gimbal", "send_hz", 5),
        ("gimbal", "latency_ms", 0),
        ("guided", "speed_m_s", 5.1),
        ("guided", "climb_m_s", 1.6),
        ("guided", "acceleration_m_s2", 2.1),
        ("guided", "turn_deg_s", 31),
        ("guided", "distance_m", 9),
        ("limits", "frame_age_ms", 351),
        ("limits", "telemetry_age_ms", 301),
        ("limits", "autopilot_silent_s", 2.1),
        ("limits", "found_again_s", 6),
        ("limits", "jump_m", 31),
        ("switch", "channel", 4),
    ],
)
def test_a_limit_of_the_specification_cannot_be_widened(table, key, value):
    with pytest.raises(SettingsError, match=rf"control\.{table}: {key} is {value}, expected"):
        read(**{table: {key: value}})


def test_an_unknown_level_is_named():
    with pytest.raises(SettingsError, match=r"control\.level is 'follow', expected one of 'off', 'gimbal'"):
        read(level="follow")


def test_a_height_band_has_to_be_one():
    with pytest.raises(SettingsError, match="lowest_m 50 is not below highest_m 20"):
        read(guided={"lowest_m": 50, "highest_m": 20})
