"""The old commands that color objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript.members import PALETTE, color_by_number
from vlsm_jax.flexscript.values import Color, to_int, to_number
from vlsm_jax.flexscript.vocabulary import DOUBLE, NODE, Command
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.world import World, node_of


def _paint(node: Any, color: Color, what: str) -> Any:
    if isinstance(node, Item):
        node.color = color
    else:
        node_of(node, what).color.assign(color)
    return node


def _named(name: str, rgb: tuple[float, ...]) -> Callable[[World, Any], Any]:
    return lambda world, node: _paint(node, Color(*rgb), f"{name}()")


def _rgb(world: World, node: Any, red: Any, green: Any, blue: Any) -> Any:
    return _paint(node, Color(to_number(red), to_number(green), to_number(blue)), "colorrgb()")


def _by_number(world: World, node: Any, number: Any) -> Any:
    return _paint(node, color_by_number(number), "colorarray()")


def _random(world: World, node: Any) -> Any:
    return _paint(node, Color(*(world.random_number() for _ in "rgb")), "colorrandom()")


def _component(world: World, node: Any, index: Any) -> float:
    color = (node.color or Color(1, 1, 1)) if isinstance(node, Item) else node_of(node, "getcolorcomponent()").color
    return float(tuple(color)[max(1, min(4, to_int(index))) - 1])


def table() -> Mapping[str, Command]:
    """Returns the commands by name."""
    named = {f"color{name.lower()}": Command(_named(name, rgb), NODE, 1, 1, True) for name, rgb in PALETTE.items()}
    return {
        **named,
        "colorrgb": Command(_rgb, NODE, 4, 4, True),
        "colorarray": Command(_by_number, NODE, 2, 2, True),
        "colorrandom": Command(_random, NODE, 1, 1, True),
        "getcolorcomponent": Command(_component, DOUBLE, 2, 2, True),
    }
