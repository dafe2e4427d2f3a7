"""What happens to a tensor between Hugging Face's layout and ours: shape and order of the axes, never a value.

Linear kernels are transposed ([out, in] there, [in, out] here) and their head axes unfolded; nothing is scaled, and the
rotary halves stay where they are.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import numpy as np

Shape = tuple[int, ...]


class Operation(Protocol):
    """One way to convert, in both directions; shapes are those of one layer."""

    def hf_shape(self, ours: Shape) -> Shape:
        """The shape of the tensor on Hugging Face's side."""

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        """From Hugging Face's layout to ours."""

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        """From our layout to Hugging Face's."""


@dataclasses.dataclass(frozen=True)
class Copy:
    """The same on both sides."""

    def hf_shape(self, ours: Shape) -> Shape:
        return ours

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return tensor

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        return array


@dataclasses.dataclass(frozen=True)
class BatchOfOne:
    """There it has a leading axis of length one, to be repeated for a batch."""

    def hf_shape(self, ours: Shape) -> Shape:
        return (1, *ours)

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return tensor[0]

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        return array[None]


@dataclasses.dataclass(frozen=True)
class Flatten:
    """A bias over several axes, [heads, head_dim], is one axis there."""

    def hf_shape(self, ours: Shape) -> Shape:
        return (math.prod(ours),)

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return tensor.reshape(ours)

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(-1)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A kernel [*inputs, *outputs] is [out, in] there; the first `inputs` axes are the input."""

    inputs: int = 1

    def hf_shape(self, ours: Shape) -> Shape:
        return (math.prod(ours[self.inputs :]), math.prod(ours[: self.inputs]))

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return tensor.T.reshape(ours)

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(math.prod(array.shape[: self.inputs]), -1).T


@dataclasses.dataclass(frozen=True)
class Patch:
    """A patch kernel [row, column, channel, width] is a convolution [width, channel, row, column] there."""

    def hf_shape(self, ours: Shape) -> Shape:
        return (ours[3], ours[2], ours[0], ours[1])

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return tensor.transpose(2, 3, 1, 0)

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        return array.transpose(3, 2, 0, 1)


@dataclasses.dataclass(frozen=True)
class PadRows:
    """After `inner`, the tensor there has `rows` rows, the additional ones the mean of the real ones.

    The mean, since in an output head it scores the mean of all scores: a padded row never beats the best real one.
    """

    inner: Operation
    rows: int

    def hf_shape(self, ours: Shape) -> Shape:
        return (self.rows, *self.inner.hf_shape(ours)[1:])

    def to_ours(self, tensor: np.ndarray, ours: Shape) -> np.ndarray:
        return self.inner.to_ours(tensor[: self.inner.hf_shape(ours)[0]], ours)

    def to_hf(self, array: np.ndarray) -> np.ndarray:
        tensor = self.inner.to_hf(array)
        mean = tensor.astype(np.float32).mean(axis=0, keepdims=True).astype(tensor.dtype)
        return np.concatenate([tensor, np.repeat(mean, self.rows - tensor.shape[0], axis=0)])


COPY, FLATTEN, PATCH, BATCH_OF_ONE = Copy(), Flatten(), Patch(), BatchOfOne()
LINEAR, LINEAR_FROM_HEADS = Linear(1), Linear(2)
