"""What visual tokens are to say: from a sketch's annotation to targets for each patch of the picture.

The annotation that vlsm_jax.synth.sketches.annotations makes says where each name, icon and line is. A patch is to say
what stands in it, in the decoder's own tokens: a piece of a name the token that spells it, an icon its class and its
object's name, a line the names of the objects that it joins. A decoder that copies from a prompt can then copy from a
sketch. Other patches have no target.

A patch says several things, in `SLOTS` places; how one visual token does that is `vlsm_jax.models.vlsm.turned`. Behind
a piece of a name come its letters, from left to right: an encoder that tells but one of them has nothing to put names
together from. An icon says its class and, in the last two slots, the first and the last token of the name that is
written at it: then the name is in one place, from where lines can take it. A line says all along its way the first and
the last token of the name it leads to, and then those of the name it comes from: lanes of a line have one name and
differ in their number, and a decoder that writes what one object leads to finds it by the one and copies the other.

An encoder that starts from nothing takes that in lessons: letters first, of which there are few, then the pieces of
names that they make up, then lines.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from vlsm_jax.data.images import Fit, fitted
from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.data.triplets import DataError

COLUMN: Final = "annotation"
NONE: Final = -1
"""Target of a patch that is to say nothing in particular."""

THIRDS: Final = 3
"""Of a patch, from left to right: as many letters as stand in 16 pixels of a sketch."""
SLOTS: Final = 1 + THIRDS
"""What a patch says: a piece of a name and its letters, an icon, or the ends of a line; names by two tokens."""

_STEP: Final = 0.25
"""How close to one another points of a line are that say where it leads, in widths of a patch."""

# Kinds of what is said: where two share a slot, the first goes before the second.
_LETTER, _PIECE, _ICON, _LINE = range(4)

Point = Sequence[float]


class Lesson(enum.Enum):
    """What of a sketch patches are to say."""

    LETTERS = "letters"  # letters, and nothing else
    NAMES = "names"  # names by the pieces that the tokenizer has, and icons, too
    LINES = "lines"  # lines, too, by the names of the objects that they join


@dataclasses.dataclass(frozen=True)
class Patches:
    """How an encoder cuts pictures.

    Attributes:
      image_size: side of the square, in pixels.
      patch_size: side of a patch, in pixels.
      tokens: visual tokens of a picture; what they are more than patches stands before them and has no target.
      fit: how a picture becomes a square.
      seen: how many patches the encoder sees of a picture, those whose pixels differ most; 0: all.
    """

    image_size: int
    patch_size: int
    tokens: int
    fit: Fit
    seen: int = 0

    @property
    def across(self) -> int:
        """Patches of a row."""
        return self.image_size // self.patch_size

    @property
    def before(self) -> int:
        """Visual tokens that are no patches, and stand before these."""
        return self.tokens - (self.seen or self.across**2)

    def targets_of(self, seen: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Returns what visual tokens are to say [V, SLOTS] where only the patches `seen` of a picture are seen."""
        return np.concatenate([targets[: self.before], targets[self.before :][seen]])


def visual_targets(
    annotation: Mapping[str, Any] | None, tokenizer: Tokenizer, patches: Patches, lesson: Lesson = Lesson.LINES
) -> np.ndarray:
    """Returns the tokens that each visual token is to say, as if all were seen, int32 [V, SLOTS]; `NONE`: nothing.

    Where two things share a patch, names go before icons, and icons before lines; of two pieces, icons or lines, the
    one nearer to the patch's middle counts, and of two letters the one nearer to the middle of the patch's third. A
    piece of a name is said by each patch where a letter of it counts.

    Args:
      annotation: of a sketch; None gives no targets.
      tokenizer: of the decoder.
      patches: of the encoder.
      lesson: what is said at all.

    Raises:
      DataError: it is no annotation; the message says what is missing.
    """
    out = np.full((patches.before + patches.across**2, SLOTS), NONE, np.int32)
    if annotation is None:
        return out
    try:
        size = annotation["size"]
        said = list(_said(annotation, tokenizer, patches.patch_size * max(size) / patches.image_size, lesson))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{COLUMN}: {type(error).__name__}: {error}; see vlsm_jax.synth.sketches.annotate") from error
    if not said:
        return out
    kinds, slots, ids, points = (np.array(column) for column in zip(*said, strict=True))
    at = fitted(points.astype(float), size, patches.image_size, patches.fit) / patches.patch_size
    column, row = np.floor(at).astype(int).T
    patch = row * patches.across + column
    counted = ((at >= 0) & (at < patches.across)).all(1)
    for later in (_ICON, _LINE):
        counted &= ~((kinds == later) & np.isin(patch, patch[kinds < later]))
    kinds, slots, ids, at, patch = (values[counted] for values in (kinds, slots, ids, at, patch))
    letters, (x, y) = kinds == _LETTER, at.T % 1
    slots = np.where(letters, 1 + (x * THIRDS).astype(int), slots)
    from_middle = np.maximum(np.abs(np.where(letters, x * THIRDS % 1, x) - 0.5), np.abs(y - 0.5))
    order = np.lexsort((from_middle, kinds))
    places, first = np.unique((patch * SLOTS + slots)[order], return_index=True)
    out[patches.before :].reshape(-1)[places] = ids[order][first]
    return out


def kept_patches(picture: np.ndarray, targets: np.ndarray, patches: Patches, count: int) -> np.ndarray:
    """Returns which patches of a picture [H, W, 3] teach an encoder most, int32 [count], in their order.

    These are those that are to say something, and of the others, in the order of how much their pixels differ, some at
    even distances, from lines to paper: an encoder that has never seen paper looks at it where all patches are shown.
    Of too many that are to say something, those whose pixels differ most.
    """
    asked = (targets[patches.before :] != NONE).any(-1)
    order = np.argsort(-(_differing(picture, patches) + 256 * asked), kind="stable")
    first, others = np.split(order, [asked.sum()])
    spread = np.linspace(0, len(others) - 1, max(count - len(first), 0)).round().astype(int)
    return np.sort(np.concatenate([first[:count], others[spread]])).astype(np.int32)


def seen_patches(picture: np.ndarray, patches: Patches) -> np.ndarray:
    """Returns which patches of a picture [H, W, 3] the encoder sees by itself, int32 [P], in their order."""
    if not patches.seen:
        return np.arange(patches.across**2, dtype=np.int32)
    order = np.argsort(-_differing(picture, patches), kind="stable")
    return np.sort(order[: patches.seen]).astype(np.int32)


def _differing(picture: np.ndarray, patches: Patches) -> np.ndarray:
    """Returns by how much the pixels of each patch differ, in the channel where they differ most, int [A * A]."""
    across, side = patches.across, patches.patch_size
    rows = picture.reshape(across, side, -1)
    most, least = (
        reduce(reduce(rows, axis=1).reshape(across, across, side, 3), axis=2).astype(int) for reduce in (np.max, np.min)
    )
    return (most - least).max(-1).reshape(-1)


def _said(
    annotation: Mapping[str, Any], tokenizer: Tokenizer, patch: float, lesson: Lesson
) -> Iterator[tuple[int, int, int, Point]]:
    """Yields kind, slot, token and place of what is said; a patch is `patch` pixels wide. A letter's slot is open."""
    spelt: dict[str, list[int]] = {}

    def ids(text: str) -> list[int]:
        if text not in spelt:
            spelt[text] = tokenizer.backend.encode(text, add_special_tokens=False).ids
        return spelt[text]

    def ends(name: str) -> tuple[int, int]:
        return ids(name)[0], ids(name)[-1]

    for item in annotation["objects"]:
        for letter, token, point in _spelt(item["words"], tokenizer):
            yield _LETTER, NONE, ids(letter)[-1], point
            if lesson is not Lesson.LETTERS:
                yield _PIECE, 0, token, point
    if lesson is Lesson.LETTERS:
        return
    for item in annotation["objects"]:
        for slot, token in zip((0, 2, 3), (ids(item["class"])[0], *ends(item["name"])), strict=True):
            yield _ICON, slot, token, item["icon"]
    for wire in annotation["connections"] if lesson is Lesson.LINES else ():
        path = np.array(wire["path"], float)
        reached = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
        along = np.arange(0.0, reached[-1] + 1e-6, _STEP * patch)
        tokens = (*ends(wire["target"]), *ends(wire["source"]))
        for x, y in zip(*(np.interp(along, reached, values) for values in path.T), strict=True):
            yield from ((_LINE, slot, token, (x, y)) for slot, token in enumerate(tokens))


def _spelt(words: Sequence[Sequence[Any]], tokenizer: Tokenizer) -> Iterator[tuple[str, int, Point]]:
    """Yields the letters of a name as it is written in the picture, each with its token and its middle."""
    encoded = tokenizer.backend.encode(" ".join(word[0] for word in words), add_special_tokens=False)
    start = 0
    for written, x0, y0, x1, y1 in words:
        for number, letter in enumerate(written):
            token = encoded.char_to_token(start + number)
            if token is not None:  # of a tokenizer that leaves some out
                part = (number + 0.5) / len(written)
                yield letter, encoded.ids[token], (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
        start += len(written) + 1
