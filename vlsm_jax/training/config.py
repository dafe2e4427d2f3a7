"""From a section of a config file to the dataclass it describes."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class ConfigError(ValueError):
    """A config that cannot be run; the message names the key, its value, and what to do."""


def build(cls: type[T], section: Mapping[str, Any], name: str, **fixed: Any) -> T:
    """Returns `cls(**section, **fixed)` for a dataclass.

    Args:
      cls: the dataclass.
      section: keys of the config file.
      name: of the section, for messages.
      fixed: fields that are derived and so cannot stand in the config.

    Raises:
      ConfigError: an unknown key (with the nearest known one), a missing one, or a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.name not in fixed}  # type: ignore[arg-type]
    types = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in section.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; did you mean {name}.{near[0]}?" if near else f"; there are {', '.join(fields)}"
            raise ConfigError(f"no config key {name}.{key}{hint}")
        values[key] = _value(types[key], value, f"{name}.{key}")
    missing = [
        key
        for key, field in fields.items()
        if key not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"the config lacks {', '.join(f'{name}.{key}' for key in missing)}")
    try:
        return cls(**values, **fixed)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error


def _value(expected: Any, value: Any, where: str) -> Any:
    if isinstance(expected, type) and issubclass(expected, enum.Enum):
        try:
            return expected(value)
        except ValueError as error:
            choices = ", ".join(str(member.value) for member in expected)
            raise ConfigError(f"{where}={value!r}; choose one of {choices}") from error
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    kinds = _kinds(expected)
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        said = " or ".join(_WORDS.get(kind, kind.__name__) for kind in kinds)
        raise ConfigError(f"{where}={value!r} is {type(value).__name__}; expected {said}")
    return value


def flat_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings without their nesting, as "train.steps" to value; an empty section is a value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        inner = flat_settings(value) if isinstance(value, Mapping) else {}
        found |= {f"{key}.{name}": x for name, x in inner.items()} or {str(key): value}
    return found


_WORDS = {Mapping: "a section of keys", Sequence: "a list", types.NoneType: "None"}


def _kinds(expected: Any) -> tuple[type, ...]:
    """Returns what a value of an annotated type may be; nothing where anything may be."""
    origin = typing.get_origin(expected)
    if origin in (typing.Union, types.UnionType):
        parts = [_kinds(part) for part in typing.get_args(expected)]
        return tuple(kind for part in parts for kind in part) if all(parts) else ()
    if origin in (Sequence, tuple):
        return (Sequence,)
    if origin is Mapping:
        return (Mapping,)
    return (expected,) if expected in (int, float, bool, str, types.NoneType) else ()


def _is_a(value: Any, kind: type) -> bool:
    # What is True is an int to Python, and not to a reader of configs.
    return isinstance(value, kind) if kind in (Mapping, Sequence) else type(value) is kind
