"""A recipe's TOML file as dataclasses: every key and every value is checked before the run starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from edge_rgbt.errors import UsageError
from edge_rgbt.settings import Given, build_settings, read_toml

T = TypeVar("T")
BASE = "based_on"  # names the recipe that a file follows, from the file's own folder


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
    return build_settings(kind, values, str(path))


def _read(kind: type, path: Path, followers: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a file and below them those of the one it is based on. followers: who led here."""
    values = read_toml(path, f"{followers[-1]} is based on it" if followers else "give a recipe file")
    if BASE not in values:
        return values
    named = values.pop(BASE)
    if not isinstance(named, str) or not named:
        raise UsageError(f"{path}: {BASE} is {named!r}, expected the name of a recipe file")
    base, followers = path.parent / named, (*followers, path)
    if base.resolve() in [follower.resolve() for follower in followers]:
        raise UsageError(f"{path}: {BASE} leads back to {base}; name a recipe that does not follow this one")
    below = _read(kind, base, followers)
    build_settings(kind, below, str(base))  # its mistakes are named as its own
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
    values[last] = Given(value.strip())
