"""Tables as dataclasses: every fault is named, each in a line of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from edge_rgbt.settings import (
    Matching,
    NotEmpty,
    OneOf,
    Rising,
    SettingsError,
    Within,
    build_settings,
    read_toml,
)


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


@dataclass(frozen=True)
class Limited:
    share: Annotated[float, Within(0.0, 1.0)] = 0.0
    count: Annotated[int, Within(1)] = 1
    way: Annotated[str, OneOf(("hold", "black"))] = "hold"
    digits: Annotated[str, Matching("[0-9]+", "digits alone")] = "0"
    knots: Annotated[tuple[float, ...], Rising(0.0, 1.0)] = (0.0, 1.0)
    weights: Annotated[Mapping[Annotated[str, OneOf(("a", "b"))], float], NotEmpty()] = field(
        default_factory=lambda: {"a": 1.0}
    )
    more: Mapping[str, Any] = field(default_factory=dict)


def test_values_within_their_limits_are_taken():
    values = {"share": 1, "count": 7, "way": "black", "digits": "12", "knots": [0, 0, 1], "weights": {"b": 2}}
    limited = build_settings(Limited, {**values, "unknown": [1, None]}, "f", rest="more")
    assert limited == Limited(1.0, 7, "black", "12", (0.0, 0.0, 1.0), {"b": 2.0}, {"unknown": [1, None]})


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("share", 1.5, "share is 1.5, expected a finite number, 0 to 1"),
        ("share", "x", "share is 'x', expected a finite number"),
        ("count", 0, "count is 0, expected a whole number, 1 or more"),
        ("way", "grey", "way is 'grey', expected one of 'hold', 'black'"),
        ("digits", "1a", "digits is '1a', expected digits alone"),
        (
            "knots",
            [0.0, 0.5, 0.4],
            "expected a list, each a finite number, two or more and rising",
        ),
        ("knots", [0.5], "two or more and rising, 0 to 1"),
        ("knots", [0.0, 2.0], "two or more and rising, 0 to 1"),
        ("knots", [0.0, "x"], "knots[1] is 'x', expected a finite number"),
        ("weights", {}, "weights is {}, expected a table, each value a finite number, at least one"),
        ("weights", {"c": 1}, "the name weights.c is 'c', expected one of 'a', 'b'"),
        ("weights", {"a": "x" * 100}, "weights.a is 'xxxxx"),
    ],
)
def test_what_lies_outside_a_limit_is_told_with_the_limit(key, value, said):
    with pytest.raises(SettingsError) as found:
        build_settings(Limited, {key: value}, "f")
    (fault,) = found.value.faults
    assert fault.startswith("f: ")
    assert said in fault
    assert len(fault) < 160
