"""From a section of a config file to the dataclass it describes."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import typing
from collections.abc import Mapping
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
    if expected in (int, float, bool, str) and type(value) is not expected:
        raise ConfigError(f"{where}={value!r} is {type(value).__name__}; expected {expected.__name__}")
    return value
