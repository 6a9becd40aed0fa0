"""Tables of a TOML file as dataclasses: every key and every value is checked, and every fault is named.

The service's configuration and the recipes of training are both read with this.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

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


def read_toml(path: Path, advice: str) -> dict[str, Any]:
    """The tables of a file. advice: what to do if it is not there. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: {error.strerror}; {advice}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: not valid TOML: {error}"]) from error


def build_settings(kind: type[T], values: Mapping[str, Any], where: str, prefix: str = "") -> T:
    """The dataclass `kind` from the values of its table; tables within it are dataclasses, dicts or tuples.

    where: the file, for messages; prefix: the table's own dotted name with a dot, or nothing. Raises
    SettingsError with every fault: the file, the key, its value and what is expected, or the nearest known
    key.
    """
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    faults: list[str] = []
    meant = set()
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)[0]
            faults.append(f"{where}: unknown key {prefix}{key}; did you mean {prefix}{near}?")
            meant.add(near)
    for key, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and key not in values and key not in meant:
            faults.append(f"{where}: {prefix}{key} is missing, expected {_expected(hints[key])}")
    built: dict[str, Any] = {}
    for key in fields.keys() & values.keys():
        try:
            built[key] = _value(hints[key], values[key], where, prefix + key)
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(sorted(faults, key=lambda fault: _place(fault, where, prefix, list(values))))
    try:
        return kind(**built)
    except (TypeError, ValueError, UsageError) as error:
        raise SettingsError([f"{where}: {prefix.rstrip('.') or 'the file'}: {error}"]) from error


def _place(fault: str, where: str, prefix: str, keys: list[str]) -> int:
    """Where in the file the fault's key stands; missing ones come last."""
    text = fault[len(where) + 2 :].removeprefix("unknown key ").removeprefix(prefix)
    key = text.split(" ")[0].split(".")[0].split("[")[0].split(";")[0].rstrip(":")
    return keys.index(key) if key in keys else len(keys)


def _value(wanted: Any, value: Any, where: str, key: str) -> Any:
    """The value as the type that its field asks for; whole numbers stand for numbers, lists for tuples."""
    if isinstance(value, Given):
        value = _parsed(wanted, value)
    if dataclasses.is_dataclass(wanted):
        if isinstance(value, dict):
            return build_settings(wanted, value, where, f"{key}.")  # type: ignore[type-var]
        raise SettingsError([f"{where}: {key} is {value!r}, expected a table [{key}]"])
    if get_origin(wanted) is tuple and isinstance(value, (list, tuple)):
        kinds = get_args(wanted)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        if len(kinds) == len(value):
            pairs = zip(kinds, value, strict=True)
            return tuple(_value(kind, item, where, f"{key}[{i}]") for i, (kind, item) in enumerate(pairs))
    if get_origin(wanted) is dict and isinstance(value, dict):
        kind = get_args(wanted)[1]
        return {str(name): _value(kind, item, where, f"{key}.{name}") for name, item in value.items()}
    if _is_union(wanted):
        kinds = [kind for kind in get_args(wanted) if kind is not type(None)]
        if value is not None and len(kinds) == 1:
            return _value(kinds[0], value, where, key)  # its own faults say more than "no such type"
        for kind in get_args(wanted):
            try:
                return _value(kind, value, where, key)
            except SettingsError:
                continue
    elif _fits(wanted, value):
        if wanted is Path:
            return Path(str(value))
        return float(value) if wanted is float else value  # type: ignore[arg-type]
    raise SettingsError([f"{where}: {key} is {value!r}, expected {_expected(wanted)}"])


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
    if dataclasses.is_dataclass(wanted):
        return "a table"
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in get_args(wanted))
    if get_origin(wanted) is tuple:
        kinds = get_args(wanted)
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            return f"a list, each {_expected(kinds[0])}"
        return f"a list of {len(kinds)}: {', '.join(_expected(kind) for kind in kinds)}"
    if get_origin(wanted) is dict:
        return f"a table, each value {_expected(get_args(wanted)[1])}"
    if _is_union(wanted):
        return " or ".join(_expected(kind) for kind in get_args(wanted) if kind is not type(None))
    names = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text"}
    names[Path] = "a path"
    return names.get(wanted, getattr(wanted, "__name__", str(wanted)))
