"""Arrays on their way to disk: announced as a whole, handed over a layer at a time."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np


@dataclasses.dataclass(frozen=True)
class Announced:
    """An array that is to be written, before there is any of it.

    Attributes:
      shape, dtype: of the whole.
      stacked: whether it comes layer by layer, along its first axis.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    stacked: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in memory and on disk."""
        return self.size * self.dtype.itemsize


class Piece(NamedTuple):
    """One layer of an array, or an array without layers.

    Attributes:
      path: of the array.
      layer: its place along the first axis, or None.
      value: what stands there.
    """

    path: str
    layer: int | None
    value: np.ndarray
