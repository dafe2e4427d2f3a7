"""Stacked parameters taken apart, an array for each layer.

A product with one layer of a stacked array copies that layer first, on CPUs and GPUs. In training, where a product has
thousands of rows, that is nothing; with the single row of decoding it is three quarters of the time.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax

STACKED = "decoder/layers/"
"""What the names of the decoder's stacked parameters begin with."""


@jax.tree_util.register_pytree_node_class
class Layerwise:
    """A stacked array as a sequence of its layers; `array[i]` is one of them, as of the array itself."""

    def __init__(self, layers):
        self._layers = tuple(layers)

    def __getitem__(self, index: int) -> jax.Array:
        return self._layers[index]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[jax.Array]:
        return iter(self._layers)

    def tree_flatten(self):
        """Returns the layers, as JAX asks."""
        return self._layers, None

    @classmethod
    def tree_unflatten(cls, aux, children):
        """Undoes `tree_flatten`."""
        del aux
        return cls(children)


def take_apart(params: dict[str, jax.Array]) -> dict[str, jax.Array | Layerwise]:
    """Returns flat parameters with the decoder's layers apart.

    One array after another is taken out of `params`, so that memory need not hold all of them twice; a caller who still
    wants them gives a copy of the dict.
    """
    apart: dict[str, jax.Array | Layerwise] = {}
    for name in list(params):
        value = params.pop(name)
        if name.startswith(STACKED) and not isinstance(value, Layerwise):
            value = Layerwise(value[i] for i in range(value.shape[0]))
        apart[name] = value
    return apart
