"""Tables of a TOML or JSON file as dataclasses: every key and value is checked, and every fault is named.

The service's configuration, the recipes of training and the manifests of bundles are read with this. What a
field may be beyond its type stands beside it, `share: Annotated[float, Within(0, 1)]`, or in `__post_init__`,
which raises ValueError.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import itertools
import math
import re
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from edge_rgbt.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


class SettingsError(UsageError):
    """Values that cannot be; the text has one line per fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = list(faults)


class Given(str):
    """A value from a command line, still as text: what it means depends on the type that its key wants."""


class Limit(Protocol):
    """What a value of the right type must be besides; `wanted` says it in words."""

    @property
    def wanted(self) -> str: ...

    def admits(self, value: Any) -> bool: ...


@dataclass(frozen=True, slots=True)
class Within:
    """A number in a closed range."""

    low: float
    high: float = math.inf

    @property
    def wanted(self) -> str:
        return f"{self.low:g} or more" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"

    def admits(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Rising:
    """Two or more numbers in a closed range, none smaller than the one before."""

    low: float
    high: float

    @property
    def wanted(self) -> str:
        return f"two or more and rising, {self.low:g} to {self.high:g}"

    def admits(self, value: Sequence[float]) -> bool:
        ends = (self.low, *value, self.high)
        return len(value) >= 2 and all(a <= b for a, b in itertools.pairwise(ends))


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def wanted(self) -> str:
        return "one of " + ", ".join(repr(word) for word in self.words)

    def admits(self, value: str) -> bool:
        return value in self.words


@dataclass(frozen=True, slots=True)
class Matching:
    """Text that a regular expression matches as a whole; `wanted` says what that is."""

    pattern: str
    wanted: str

    def admits(self, value: str) -> bool:
        return re.fullmatch(self.pattern, value) is not None


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """At least one item."""

    wanted: str = "at least one"

    def admits(self, value: Sequence[Any] | Mapping[str, Any]) -> bool:
        return len(value) > 0


def read_toml(path: Path, advice: str) -> dict[str, Any]:
    """The tables of a file. advice: what to do if it is not there. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}; {advice}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from error


def build_settings(
    kind: type[T], values: Mapping[str, Any], where: str = "", prefix: str = "", *, rest: str = ""
) -> T:
    """The dataclass `kind` from the values of its table; tables within it are dataclasses, dicts or tuples.

    where: the file, for messages. prefix: the table's own dotted name with a dot, or nothing. rest: the field
    that takes unknown keys; without one they are faults. Raises SettingsError with every fault: the file, the
    key, its value and what is expected, or the nearest known key.
    """
    try:
        return _built(kind, values, prefix, rest)
    except SettingsError as error:
        raise SettingsError([f"{where}: {fault}" if where else fault for fault in error.faults]) from error


def _built(kind: type[T], values: Mapping[str, Any], prefix: str, rest: str = "") -> T:
    hints = get_type_hints(kind, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.name != rest}  # type: ignore[arg-type]
    needed = [key for key, field in fields.items() if key not in values and _has_no_default(field)]
    faults: list[str] = []
    built: dict[str, Any] = {}
    if rest:
        built[rest] = {key: value for key, value in values.items() if key not in fields}
    for key in values:
        if key in fields:
            try:
                built[key] = _value(hints[key], values[key], prefix + key)
            except SettingsError as error:
                faults += error.faults
        elif near := difflib.get_close_matches(key, needed if rest else fields, 1, 0.6 if rest else 0.0):
            faults.append(f"unknown key {prefix}{key}; did you mean {prefix}{near[0]}?")
            needed = [name for name in needed if name != near[0]]
    faults += [f"{prefix}{key} is missing, expected {_expected(hints[key])}" for key in needed]
    if faults:
        raise SettingsError(faults)
    try:
        return kind(**built)
    except (TypeError, ValueError, UsageError) as error:
        raise SettingsError([f"{prefix.rstrip('.') or 'the file'}: {error}"]) from error


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(wanted: Any, value: Any, key: str) -> Any:
    """The value as the type that its field asks for; whole numbers stand for numbers, lists for tuples."""
    origin, parts = get_origin(wanted), get_args(wanted)
    if isinstance(value, Given):
        value = _parsed(wanted, value)
    if wanted is Any:
        return value
    if origin is Annotated:
        found = _value(parts[0], value, key)
        if all(limit.admits(found) for limit in parts[1:]):
            return found
    elif dataclasses.is_dataclass(wanted):
        if isinstance(value, Mapping):
            return _built(wanted, value, f"{key}.")  # type: ignore[type-var]
        raise SettingsError([f"{key} is {_short(value)}, expected a table [{key}]"])
    elif origin is tuple and isinstance(value, (list, tuple)):
        kinds = parts[:1] * len(value) if parts[1:] == (Ellipsis,) else parts
        if len(kinds) == len(value):
            pairs = zip(kinds, value, strict=True)
            return tuple(_each((kind, item, f"{key}[{i}]") for i, (kind, item) in enumerate(pairs)))
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        names = _each((parts[0], name, f"the name {key}.{name}") for name in value)
        items = _each((parts[1], item, f"{key}.{name}") for name, item in value.items())
        return dict(zip(names, items, strict=True))
    elif _is_union(wanted):
        return _one_of(wanted, value, key)
    elif _fits(wanted, value):
        if wanted is Path:
            return Path(str(value))
        return float(value) if wanted is float else value
    raise SettingsError([f"{key} is {_short(value)}, expected {_expected(wanted)}"])


def _each(wanted: Iterable[tuple[Any, Any, str]]) -> list[Any]:
    """All the values; the faults of all together."""
    found, faults = [], []
    for kind, value, key in wanted:
        try:
            found.append(_value(kind, value, key))
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(faults)
    return found


def _one_of(wanted: Any, value: Any, key: str) -> Any:
    """The value as the first of several types that it fits."""
    kinds = [kind for kind in get_args(wanted) if kind is not type(None)]
    if value is None and len(kinds) < len(get_args(wanted)):
        return None
    if len(kinds) == 1:
        return _value(kinds[0], value, key)  # its own faults say more than "no such type"
    for kind in kinds:
        try:
            return _value(kind, value, key)
        except SettingsError:
            continue
    raise SettingsError([f"{key} is {_short(value)}, expected {_expected(wanted)}"])


def _parsed(wanted: Any, text: Given) -> Any:
    """Text of a `--set` as TOML or Python writes it; a bare word is text."""
    plain = str(text)
    lowered = {"true": True, "false": False}.get(plain.lower())
    if wanted is str:
        quoted = len(plain) >= 2 and plain[0] == plain[-1] and plain[0] in "'\""
        return plain[1:-1] if quoted else plain
    if lowered is not None:
        return lowered
    try:
        return ast.literal_eval(plain)
    except (ValueError, SyntaxError):
        return plain


def _fits(wanted: Any, value: Any) -> bool:
    if get_origin(wanted) is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(wanted))
    if wanted is Path:
        return isinstance(value, (str, Path)) and str(value) != ""
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is type(None):
        return value is None
    return isinstance(wanted, type) and isinstance(value, wanted)


def _is_union(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, types.UnionType)


def _expected(wanted: Any) -> str:
    origin, parts = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        limits = [limit.wanted for limit in parts[1:]]
        return ", ".join(limits if parts[0] is str else [_expected(parts[0]), *limits])
    if dataclasses.is_dataclass(wanted):
        return "a table"
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in parts)
    if origin is tuple:
        if parts[1:] == (Ellipsis,):
            return f"a list, each {_expected(parts[0])}"
        return f"a list of {len(parts)}: {', '.join(_expected(kind) for kind in parts)}"
    if origin in (dict, Mapping):
        return "a table" if parts[1] is Any else f"a table, each value {_expected(parts[1])}"
    if _is_union(wanted):
        return " or ".join(_expected(kind) for kind in parts if kind is not type(None))
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}
    names[Path] = "a path"
    return names.get(wanted, getattr(wanted, "__name__", str(wanted)))


def _short(value: Any) -> str:
    """The value as it is written in code, cut off if long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
