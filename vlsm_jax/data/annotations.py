"""What visual tokens are to say: from a sketch's annotation to a target for each patch of the picture.

The annotation that vlsm_jax.synth.sketches.annotations makes says where each name, icon and line is. A patch is to say
what stands in it, in the decoder's own tokens: a piece of a name the token that spells it, an icon its class, the
beginning of a line the name it leads to, and its end the name it comes from. A decoder that copies from a prompt can
then copy from a sketch. Other patches have no target.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from vlsm_jax.data.images import Fit, fitted
from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.data.triplets import DataError

COLUMN: Final = "annotation"
NONE: Final = -1
"""Target of a patch that is to say nothing in particular."""

# How far from its end a line says which token of the name at its other end, in widths of a patch: the first and the
# last, since lanes of a line have one name and differ in their number.
_ALONG: Final = ((0.5, 0), (1.25, -1))

Point = Sequence[float]


@dataclasses.dataclass(frozen=True)
class Patches:
    """How an encoder cuts pictures.

    Attributes:
      image_size: side of the square, in pixels.
      patch_size: side of a patch, in pixels.
      tokens: visual tokens of a picture; what they are more than patches stands before them and has no target.
      fit: how a picture becomes a square.
    """

    image_size: int
    patch_size: int
    tokens: int
    fit: Fit

    @property
    def across(self) -> int:
        """Patches of a row."""
        return self.image_size // self.patch_size


def visual_targets(annotation: Mapping[str, Any] | None, tokenizer: Tokenizer, patches: Patches) -> np.ndarray:
    """Returns the token that each visual token is to say, int32 [V]; `NONE` where there is none.

    Where two things share a patch, names go before icons, and icons before lines.

    Args:
      annotation: of a sketch; None gives no targets.
      tokenizer: of the decoder.
      patches: of the encoder.

    Raises:
      DataError: it is no annotation; the message says what is missing.
    """
    out = np.full(patches.tokens, NONE, np.int32)
    if annotation is None:
        return out
    try:
        size = annotation["size"]
        said = list(_said(annotation, tokenizer, patches.patch_size * max(size) / patches.image_size))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{COLUMN}: {type(error).__name__}: {error}; see vlsm_jax.synth.sketches.annotate") from error
    if not said:
        return out
    ids, points = zip(*said, strict=True)
    column, row = (fitted(np.array(points, float), size, patches.image_size, patches.fit) // patches.patch_size).T
    inside = (column >= 0) & (column < patches.across) & (row >= 0) & (row < patches.across)
    first = patches.tokens - patches.across**2
    places = (row * patches.across + column).astype(int) + first
    for place, token, there in zip(places.tolist(), ids, inside.tolist(), strict=True):
        if there and out[place] == NONE:
            out[place] = token
    return out


def _said(annotation: Mapping[str, Any], tokenizer: Tokenizer, patch: float) -> Iterator[tuple[int, Point]]:
    """Yields each token with where in the picture it is said; a patch is as wide as `patch` pixels of it."""
    spelt: dict[str, list[int]] = {}

    def ids(text: str) -> list[int]:
        if text not in spelt:
            spelt[text] = tokenizer.backend.encode(text, add_special_tokens=False).ids
        return spelt[text]

    for item in annotation["objects"]:
        yield from _spelt(item["words"], tokenizer)
    for item in annotation["objects"]:
        yield ids(item["class"])[0], item["icon"]
    for wire in annotation["connections"]:
        path = np.array(wire["path"], float)
        for name, way in ((wire["target"], path), (wire["source"], path[::-1])):
            steps = np.hypot(*np.diff(way, axis=0).T)
            reached = np.concatenate([[0.0], np.cumsum(steps)])
            for distance, token in _ALONG:
                at = distance * patch
                if at < reached[-1] / 2:  # The other half is the other end's.
                    point = np.interp(at, reached, way[:, 0]), np.interp(at, reached, way[:, 1])
                    yield ids(name)[token], point


def _spelt(words: Sequence[Sequence[Any]], tokenizer: Tokenizer) -> Iterator[tuple[int, Point]]:
    """Yields the tokens of a name as it is written in the picture, each with its middle."""
    text = " ".join(word[0] for word in words)
    encoded = tokenizer.backend.encode(text, add_special_tokens=False)
    starts = np.cumsum([0, *(len(word[0]) + 1 for word in words)])
    for token, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
        if text[start:end].isspace():  # is not to be seen
            continue
        if text[start:end].startswith(" "):  # of a token that begins with the blank before its word
            start += 1
        middle = (start + end) / 2
        number = int(np.searchsorted(starts, middle, side="right")) - 1
        if number == len(words):
            continue
        written, x0, y0, x1, y1 = words[number]
        part = min((middle - starts[number]) / max(len(written), 1), 1.0)
        yield token, (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
