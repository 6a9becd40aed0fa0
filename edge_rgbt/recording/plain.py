"""Our frozen dataclasses as plain values and back, so that recordings grow with `edge_rgbt.types`."""

from __future__ import annotations

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Fields:
    """Named values, taken from an object in a microsecond; `to_plain` makes the rest of it elsewhere."""

    names: tuple[str, ...]
    values: tuple[Any, ...]

    def __add__(self, more: Mapping[str, Any]) -> Fields:
        return Fields((*self.names, *more), (*self.values, *more.values()))


def fields_of(value: Any, leave_out: tuple[str, ...] = ()) -> Fields:
    """The fields of a dataclass as they are now; nothing that is left out is kept alive."""
    names, get = _getter(type(value), leave_out)
    return Fields(names, get(value))


def to_plain(value: Any) -> Any:
    """What JSON can hold: enums by value, tuples as lists, numbers that are not finite as None.

    Raises TypeError for what has no plain form.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, Fields):
        return {name: to_plain(entry) for name, entry in zip(value.names, value.values, strict=True)}
    if dataclasses.is_dataclass(value):
        return to_plain(fields_of(value))
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if isinstance(value, np.ndarray) and value.ndim <= 2 and value.size <= 64:
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be recorded as plain values")


def from_plain(cls: type[T], plain: Mapping[str, Any], **given: Any) -> T:
    """The dataclass that `to_plain` was made from; `given` supplies fields that were left out.

    Keys that the class does not know (a newer version wrote them) are ignored, missing ones take defaults.
    """
    hints = _hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.init and field.name in plain and field.name not in given:
            given[field.name] = _restored(hints[field.name], plain[field.name])
    return cls(**given)


def json_schema(cls: type) -> dict[str, Any]:
    """JSON schema of `to_plain` of this dataclass, by which Foxglove offers the fields for plots."""
    hints = _hints(cls)
    fields = dataclasses.fields(cls)
    return {"type": "object", "properties": {f.name: _schema(hints[f.name]) for f in fields}}


@cache
def _getter(cls: type, leave_out: tuple[str, ...]) -> tuple[tuple[str, ...], Any]:
    """Names of the fields that are wanted, and what takes them all at once."""
    names = tuple(field.name for field in dataclasses.fields(cls) if field.name not in leave_out)
    if len(names) > 1:
        return names, operator.attrgetter(*names)
    return names, lambda value: tuple(getattr(value, name) for name in names)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _restored(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    hint = _without_none(hint)
    origin = typing.get_origin(hint)
    if origin is tuple:
        parts = typing.get_args(hint)
        if len(parts) == 2 and parts[1] is Ellipsis:
            return tuple(_restored(parts[0], entry) for entry in value)
        return tuple(_restored(part, entry) for part, entry in zip(parts, value, strict=True))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if dataclasses.is_dataclass(hint):
        return from_plain(typing.cast(type, hint), value)
    return float(value) if hint is float else value


def _without_none(hint: Any) -> Any:
    """`X` of `X | None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _schema(hint: Any) -> dict[str, Any]:
    hint = _without_none(hint)
    if typing.get_origin(hint) is tuple:
        return {"type": "array", "items": _schema(typing.get_args(hint)[0])}
    if dataclasses.is_dataclass(hint):
        return json_schema(typing.cast(type, hint))
    names = {bool: "boolean", int: "integer", float: "number"}
    if hint in names:
        return {"type": names[hint]}
    if hint is str or (isinstance(hint, type) and issubclass(hint, Enum)):
        return {"type": "string"}
    return {}
