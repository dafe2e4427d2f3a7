"""Compiled calls, made on first use and kept; the time that compiling takes is counted apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax

from vlsm_jax.training.compiler_memory import give_back


class Programs:
    """A store of compiled calls.

    Attributes:
      seconds: spent on compiling so far.
    """

    def __init__(self):
        self._kept: dict[Hashable, jax.stages.Compiled] = {}
        self.seconds = 0.0

    def __call__(self, key: Hashable, function: Callable, *arguments: Any, donate: Sequence[int] = ()) -> Any:
        """Returns `function(*arguments)`, compiled once for each key.

        Args:
          key: says what is compiled, shapes of arguments included.
          function: traceable.
          arguments: arrays and trees of arrays.
          donate: numbers of arguments whose memory the result may take.
        """
        if key in self._kept:
            try:
                return self._kept[key](*arguments)
            except ValueError:
                pass  # an argument is spread over the devices in another way than the first time
        started = time.perf_counter()
        give_back()  # what reading the weights took, or compiling's memory would come on top of it
        self._kept[key] = jax.jit(function, donate_argnums=tuple(donate)).lower(*arguments).compile()
        self.seconds += time.perf_counter() - started
        return self._kept[key](*arguments)
