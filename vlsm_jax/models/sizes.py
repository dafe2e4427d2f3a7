"""Numbers of a model's config that are possible at all: a checkpoint of others is damaged, or meant to do damage."""

from __future__ import annotations

import math

LARGEST = 2**24
MOST_LAYERS = 1024


def check_sizes(what: str, **sizes: object) -> None:
    """Raises ValueError, naming the first that is no whole number from 1 to what any model has.

    Args:
      what: of whom they are, for the message.
      sizes: by name; "layers" has a limit of its own, as each has parameters by name.
    """
    for name, size in sizes.items():
        most = MOST_LAYERS if name in ("layers", "num_hidden_layers") else LARGEST
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= most:
            raise ValueError(f"{what}: {name} is {size!r}; it has to be a whole number from 1 to {most:,}")


def check_positive(what: str, **numbers: object) -> None:
    """Raises ValueError, naming the first that is no finite number above 0."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
            raise ValueError(f"{what}: {name} is {number!r}; it has to be a finite number above 0")
