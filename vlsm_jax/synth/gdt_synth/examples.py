"""Triplets as examples of TFDS: plain functions of seed, split and index, which run on any machine.

Nothing here needs TFDS or Beam, so that the machines of a Beam runner import little.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from vlsm_jax.synth.dataset import DatasetError, blank_picture, blank_row
from vlsm_jax.synth.sketches import encode_image
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplet

Example = dict[str, Any]

TEXTS: Final = ("split", "industry", "layout", "automation", "prompt_style", "script_style", "sketch_style")
LISTS: Final = ("features", "omitted")
NUMBERS: Final = ("objects", "connections", "legible_at")
"""Fields of a row that are features of their own, so that a reader can choose by them; `metadata` has all fields."""


class Made(NamedTuple):
    """An example, and what decides whether it stays.

    Attributes:
      index: of the triplet in its split.
      factory: key of its factory; of several with the same key the first one stays.
      example: what is written.
    """

    index: int
    factory: str
    example: Example


class Recipe(NamedTuple):
    """All that examples of a split are made from.

    Attributes:
      seed: of the data set.
      split: which one.
      options: what triplets may be made of.
      blank: whether the sketches are empty pages.
    """

    seed: int
    split: Split
    options: TripletOptions
    blank: bool = False

    def made(self, index: int) -> Made:
        """Returns the example of triplet number `index`."""
        triplet = make_triplet(self.seed, index, self.options, self.split)
        row = triplet.row()
        if self.blank:
            example = to_example(blank_row(row), blank_picture(self.options)[0])
        else:
            example = to_example(row, encode_image(triplet.sketch)[0])
        return Made(index, triplet.keys.factory, example)


def to_example(row: dict[str, Any], picture: bytes) -> Example:
    """Returns the example of a row of a data set and the bytes of its picture's file."""
    metadata = {key: value for key, value in row.items() if key not in ("id", "image", "prompt", "response")}
    return {
        "id": row["id"],
        "image": picture,
        "prompt": row["prompt"],
        "response": row["response"],
        "metadata": json.dumps(metadata, ensure_ascii=False),
        **{key: row[key] for key in (*TEXTS, *LISTS, *NUMBERS)},
    }


def first_distinct(recipe: Recipe, count: int, *, start: int = 0, seen: Iterable[str] = ()) -> Iterator[Made]:
    """Yields the first `count` examples from index `start` on whose factories differ from each other and from `seen`.

    Raises:
      DatasetError: there are too few different factories.
    """
    known, found, index = set(seen), 0, start
    while found < count:
        made = recipe.made(index)
        index += 1
        if made.factory not in known:
            known.add(made.factory)
            found += 1
            yield made
        elif index - start - found > 20 * count + 200:
            raise DatasetError(
                f"split {recipe.split.value}: only {found} of {count} factories differ among {index - start}; ask for "
                "fewer triplets or allow more industries, layouts or objects"
            )
