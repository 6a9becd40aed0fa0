"""Takes the fields of a JSON object one by one and collects everything that is wrong with them."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Limit(Protocol):
    """What a value may be: says so in words, tells whether one is, and brings it to its type."""

    @property
    def wanted(self) -> str: ...

    def admits(self, value: Any) -> bool: ...

    def read(self, value: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a closed range; kind is float or int."""

    kind: type
    low: float
    high: float

    @property
    def wanted(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def admits(self, value: Any) -> bool:
        return is_number(value, self.kind) and self.low <= value <= self.high

    def read(self, value: Any) -> Any:
        return self.kind(value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return ", ".join(self.words)

    def admits(self, value: Any) -> bool:
        return value in self.words

    def read(self, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Rising:
    """A list of two or more numbers in a closed range, none smaller than the one before."""

    low: float
    high: float

    @property
    def wanted(self) -> str:
        return f"two or more rising numbers, {self.low:g} to {self.high:g}"

    def admits(self, value: Any) -> bool:
        one = Number(float, self.low, self.high)
        if not isinstance(value, list) or len(value) < 2 or not all(one.admits(v) for v in value):
            return False
        return all(a <= b for a, b in itertools.pairwise(value))

    def read(self, value: Any) -> Any:
        return tuple(float(v) for v in value)


@dataclass(frozen=True, slots=True)
class Weights:
    """An object of finite numbers under known names."""

    names: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return f"numbers for one or more of {', '.join(self.names)}"

    def admits(self, value: Any) -> bool:
        return (
            isinstance(value, Mapping)
            and len(value) > 0
            and all(name in self.names and is_number(v) for name, v in value.items())
        )

    def read(self, value: Any) -> Any:
        return {name: float(v) for name, v in value.items()}


class FieldReader:
    """Reads one JSON object; `faults` grows by a phrase for everything that is missing or wrong."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.value = value
        self.faults: list[str] = []

    def present(self, key: str) -> Any:
        if key not in self.value:
            near = difflib.get_close_matches(key, self.value, 1)
            self.faults.append(f"'{key}' is missing" + (f" ('{near[0]}' is there)" if near else ""))
        return self.value.get(key)

    def checked(self, key: str, good: Any, expected: str, fallback: Any) -> Any:
        """The value where `good` says so; else the fallback and a fault."""
        if key not in self.value:
            self.present(key)
            return fallback
        value = self.value[key]
        if good(value):
            return value
        self.faults.append(f"{key} is {short(value)}, expected {expected}")
        return fallback

    def text(self, key: str) -> str:
        return self.checked(key, lambda v: isinstance(v, str) and v.strip(), "text", "")

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        return self.checked(key, lambda v: v in allowed, " or ".join(allowed), allowed[0])

    def whole(self, key: str, least: int) -> int:
        return self.checked(key, lambda v: is_number(v, int) and v >= least, f"a whole number >= {least}", 1)

    def real(self, key: str, low: float, high: float) -> float:
        limit = Number(float, low, high)
        return float(self.checked(key, limit.admits, limit.wanted, low))

    def mapping(self, key: str) -> Mapping[str, Any]:
        return self.checked(key, lambda v: isinstance(v, Mapping), "an object", {})

    def section(
        self,
        key: str,
        limits: Mapping[str, Limit],
        cls: Any,
        all_keys: bool = False,
        retired: tuple[str, ...] = (),
    ) -> Any:
        """A nested object whose keys are all known, or retired and dropped; None if it is null or absent."""
        value = self.value.get(key)
        if value is None:
            return None
        faults = len(self.faults)
        if not isinstance(value, Mapping):
            self.faults.append(f"{key} is {short(value)}, expected an object or null")
            return None
        for name, limit in limits.items():
            if name in value and not limit.admits(value[name]):
                self.faults.append(f"{key}.{name} is {short(value[name])}, expected {limit.wanted}")
            if all_keys and name not in value:
                self.faults.append(f"'{key}.{name}' is missing")
        for name in value:
            if name not in limits and name not in retired:
                self.faults.append(f"{key}.{name} is unknown, expected {', '.join(limits)}")
        if len(self.faults) > faults:
            return None
        return cls(**{name: limits[name].read(v) for name, v in value.items() if name in limits})


def is_number(value: Any, kind: type = float) -> bool:
    """True for finite numbers; whole ones count as float, True and False as neither."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (kind is float and isinstance(value, float) and math.isfinite(value))


def short(value: Any) -> str:
    """The value as it is written in code, cut off if long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
