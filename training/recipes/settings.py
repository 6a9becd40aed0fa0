"""A recipe's TOML file as dataclasses: every key is checked before the run starts."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from edge_rgbt.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def load_settings(kind: type[T], path: Path | str, overrides: Sequence[str] = ()) -> T:
    """Reads a TOML file into the dataclass `kind`, then applies `section.key=value` overrides.

    Raises UsageError that names the file, the key, and the nearest known key.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a recipe file") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    for text in overrides:
        _override(values, text)
    return _build(kind, values, str(path), "")


def _override(values: dict[str, Any], text: str) -> None:
    key, separator, value = text.partition("=")
    if not separator:
        raise UsageError(f"--set {text}: expected section.key=value")
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {text}: {section} is no table of values")
    try:
        values[last] = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        values[last] = value.strip()


def _build(kind: type[T], values: dict[str, Any], where: str, prefix: str) -> T:
    hints = get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise UsageError(f"{where}: unknown key {prefix}{key}; did you mean {prefix}{near[0]}?")
    built: dict[str, Any] = {}
    for key, value in values.items():
        wanted = hints[key]
        if dataclasses.is_dataclass(wanted):
            if not isinstance(value, dict):
                raise UsageError(f"{where}: {prefix}{key} is {value!r}, expected a table [{prefix}{key}]")
            built[key] = _build(wanted, value, where, f"{prefix}{key}.")  # type: ignore[type-var]
        else:
            built[key] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**built)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: {prefix.rstrip('.') or 'recipe'}: {error}") from error
