"""Tables as dataclasses: every fault is named, each in a line of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_rgbt.settings import SettingsError, build_settings, read_toml


@dataclass(frozen=True)
class Inner:
    rate_hz: float = 30.0
    device: Path | None = None

    def __post_init__(self) -> None:
        if self.rate_hz <= 0:
            raise ValueError(f"rate_hz is {self.rate_hz:g}, expected more than 0")


@dataclass(frozen=True)
class Outer:
    name: str
    count: int = 1
    inner: Inner = field(default_factory=Inner)


def test_values_take_the_types_of_their_fields():
    outer = build_settings(Outer, {"name": "a", "inner": {"rate_hz": 9, "device": "/dev/video0"}}, "file")
    assert outer == Outer("a", 1, Inner(9.0, Path("/dev/video0")))
    assert isinstance(outer.inner.rate_hz, float)


def test_every_fault_has_its_line_in_the_order_of_the_file():
    values = {"count": 1.5, "inner": {"rate": 3, "device": 4}, "nmae": "x"}
    with pytest.raises(SettingsError) as found:
        build_settings(Outer, values, "service.toml")
    assert str(found.value).splitlines() == [
        "service.toml: count is 1.5, expected a whole number",
        "service.toml: unknown key inner.rate; did you mean inner.rate_hz?",
        "service.toml: inner.device is 4, expected a path",
        "service.toml: unknown key nmae; did you mean name?",
    ]


def test_what_a_table_refuses_is_told_with_its_name():
    with pytest.raises(SettingsError, match=r"^f: inner: rate_hz is -1, expected more than 0$"):
        build_settings(Outer, {"name": "a", "inner": {"rate_hz": -1}}, "f")


def test_a_missing_value_is_named():
    with pytest.raises(SettingsError, match=r"^f: name is missing, expected text$"):
        build_settings(Outer, {}, "f")


def test_a_file_that_is_not_there_or_not_toml_is_one_line(tmp_path):
    with pytest.raises(SettingsError, match="No such file or directory; write one"):
        read_toml(tmp_path / "absent.toml", "write one")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(SettingsError, match="not valid TOML") as found:
        read_toml(tmp_path / "bad.toml", "write one")
    assert len(found.value.faults) == 1
