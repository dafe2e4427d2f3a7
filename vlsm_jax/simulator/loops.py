"""Commands that run a block for every node of some kind, with the node as `a`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vlsm_jax.flexscript.vocabulary import NODE, LoopSpec
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import node_of


def _tree_under(top: Any) -> Iterator[Node]:
    yield from list(node_of(top, "forobjecttreeunder").below())


def _layer_under(top: Any) -> Iterator[Node]:
    yield from list(node_of(top, "forobjectlayerunder").children)


def _before(node: Any) -> Iterator[Node]:
    target = node_of(node, "forobjectsbefore")
    siblings = list(target.parent.children) if target.parent is not None else []
    yield from siblings[: target.rank - 1]


def _behind(node: Any) -> Iterator[Node]:
    target = node_of(node, "forobjectsbehind")
    siblings = list(target.parent.children) if target.parent is not None else []
    yield from siblings[target.rank :]


def _selection(container: Any) -> Iterator[Node]:
    """The nodes that the children of the container refer to."""
    for child in list(node_of(container, "forobjectselectionset").children):
        if isinstance(child.value, Node):
            yield child.value


def _highlighted(view: Any) -> Iterator[Node]:
    """None: there is no view in which anything could be highlighted."""
    yield from ()


def table() -> Mapping[str, LoopSpec]:
    """Returns the loops by name."""
    walks = {
        "forobjecttreeunder": _tree_under,
        "forobjectlayerunder": _layer_under,
        "forobjectsbefore": _before,
        "forobjectsbehind": _behind,
        "forobjectselectionset": _selection,
        "forobjecthighlightedin": _highlighted,
    }
    return {name: LoopSpec("a", NODE, walk, 1) for name, walk in walks.items()}
