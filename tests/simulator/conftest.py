"""Writes small FlexScript models, so that tests exercise the whole way from text to figures."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)


def _model(objects: Mapping[str, tuple], links: str) -> str:
    """Returns a script.

    Args:
      objects: name to (class, {property: value}).
      links: wires such as "In>Q1 Q1>P1", in the order of drawing.
    """
    lines = []
    for number, (name, (cls, properties)) in enumerate(objects.items()):
        lines.append(
            f'Object {name} = Object.create("{cls}"); {name}.name = "{name}"; {name}.location.x = {5 * number};'
        )
        lines.extend(f'{name}.setProperty("{key}", {_literal(value)});' for key, value in properties.items())
    for link in links.split():
        source, target = link.split(">")
        lines.append(f'contextdragconnection({source}, {target}, "A");')
    return "\n".join(lines)


@pytest.fixture
def model() -> Callable[[Mapping[str, tuple], str], str]:
    """Returns the function that writes a model."""
    return _model
