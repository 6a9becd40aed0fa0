"""A recipe's TOML file as dataclasses: every key and every value is checked before the run starts."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edge_rgbt.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
BASE = "based_on"  # names the recipe that a file follows, from the file's own folder


class _Given(str):
    """The value of a `--set`, still as text: what it means depends on the type that its key wants."""


def load_settings(kind: type[T], path: Path | str, overrides: Sequence[str] = ()) -> T:
    """Reads a TOML file into the dataclass `kind`, then applies `section.key=value` overrides.

    A file with `based_on` holds only what it changes of another, which must be whole by itself. Its tables
    are laid over the other's, but one of free names, such as `data.sources`, takes the other's place.
    Raises UsageError that names the file, the key, its value and what is expected, or the nearest known key.
    """
    path = Path(path)
    values = _read(kind, path, ())
    for text in overrides:
        _override(values, text)
    return _build(kind, values, str(path), "")


def _read(kind: type, path: Path, followers: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a file and below them those of the one it is based on. followers: who led here."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        wanted = f"{followers[-1]} is based on it" if followers else "give a recipe file"
        raise UsageError(f"{path}: {error.strerror}; {wanted}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    if BASE not in values:
        return values
    named = values.pop(BASE)
    if not isinstance(named, str) or not named:
        raise UsageError(f"{path}: {BASE} is {named!r}, expected the name of a recipe file")
    base, followers = path.parent / named, (*followers, path)
    if base.resolve() in [follower.resolve() for follower in followers]:
        raise UsageError(f"{path}: {BASE} leads back to {base}; name a recipe that does not follow this one")
    below = _read(kind, base, followers)
    _build(kind, below, str(base), "")  # its mistakes are named as its own
    return _laid_over(kind, below, values)


def _laid_over(kind: type, below: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    merged = {**below, **values}
    for key in below.keys() & values.keys():
        both_tables = isinstance(below[key], dict) and isinstance(values[key], dict)
        if both_tables and dataclasses.is_dataclass(hints.get(key)):
            merged[key] = _laid_over(hints[key], below[key], values[key])
    return merged


def _override(values: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--set {text}: expected section.key=value")
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {text}: {section} is no table of values")
    values[last] = _Given(value.strip())


def _build(kind: type[T], values: dict[str, Any], where: str, prefix: str) -> T:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
            raise UsageError(f"{where}: unknown key {prefix}{key}; did you mean {prefix}{near[0]}?")
    for key, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and key not in values:
            raise UsageError(f"{where}: {prefix}{key} is missing, expected {_expected(hints[key])}")
    built = {key: _value(hints[key], value, where, prefix + key) for key, value in values.items()}
    try:
        return kind(**built)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {prefix.rstrip('.') or 'recipe'}: {error}") from error


def _value(wanted: Any, value: Any, where: str, key: str) -> Any:
    """The value as the type that its field asks for; whole numbers stand for numbers, lists for tuples."""
    if isinstance(value, _Given):
        value = _parsed(wanted, value)
    if dataclasses.is_dataclass(wanted):
        if isinstance(value, dict):
            return _build(wanted, value, where, f"{key}.")  # type: ignore[type-var]
        raise UsageError(f"{where}: {key} is {value!r}, expected a table [{key}]")
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
        for kind in get_args(wanted):
            try:
                return _value(kind, value, where, key)
            except UsageError:
                continue
    elif _fits(wanted, value):
        return float(value) if wanted is float else value  # type: ignore[arg-type]
    raise UsageError(f"{where}: {key} is {value!r}, expected {_expected(wanted)}")


def _parsed(wanted: Any, text: _Given) -> Any:
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
    return names.get(wanted, getattr(wanted, "__name__", str(wanted)))
