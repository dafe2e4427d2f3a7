"""What to build: how many triplets of each split, from which seed, made of what."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Final

import tensorflow_datasets as tfds

from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions


@dataclasses.dataclass(eq=False, kw_only=True, repr=False)
class GdtSynthConfig(tfds.core.BuilderConfig):
    """Numbers of triplets, seed and options of a data set.

    The seed, the split and the options say what triplet number i is; the numbers say how many there are. A smaller
    data set of the same seed and options is therefore the beginning of a larger one, split by split.

    Attributes:
      name: names the folder. By default made from all that follows, so that different data never share a folder.
      seed: the only source of chance.
      train, validation, iid, industry, layout, size, timing: number of triplets of each split; a split of 0 is left
        out, and with a test split its blank twin.
      options: what triplets may be made of.

    Raises:
      ValueError: a negative seed or number, no triplet at all, or options that leave a split nothing.
    """

    name: str = ""
    seed: int = 0
    train: int = 0
    validation: int = 0
    iid: int = 0
    industry: int = 0
    layout: int = 0
    size: int = 0
    timing: int = 0
    options: TripletOptions = dataclasses.field(default_factory=TripletOptions)

    def __post_init__(self):
        numbers = {"seed": self.seed, **{split.value: getattr(self, split.value) for split in Split}}
        for field, value in numbers.items():
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{field} is {value!r}; give a whole number, 0 or more")
        if not self.counts:
            raise ValueError("every split has 0 triplets; give at least one of them, such as train=1000")
        for split in self.counts:
            self.options.check(split)
        parameters = json.dumps(self.parameters(), sort_keys=True)
        self.name = self.name or f"seed{self.seed}-{hashlib.sha256(parameters.encode()).hexdigest()[:10]}"
        if self.description is None:
            parts = ", ".join(f"{count:,} {split.value}" for split, count in self.counts.items())
            self.description = f"Seed {self.seed}: {parts}."

    def __repr__(self) -> str:  # TFDS puts it into every message
        return f"GdtSynthConfig({self.name!r}: {self.description})"

    @property
    def counts(self) -> dict[Split, int]:
        """Number of triplets of each split that has any."""
        return {split: count for split in Split if (count := getattr(self, split.value))}

    def parameters(self) -> dict[str, Any]:
        """Returns, as JSON, all that decides what the data set holds."""
        counts = {split.value: count for split, count in self.counts.items()}
        return {"seed": self.seed, "counts": counts, **self.options.to_json()}


PAPER_SIZE: Final[dict[str, int]] = {
    "train": 108_257,
    "validation": 6_014,
    "iid": 6_014,
    "industry": 2_000,
    "layout": 2_000,
    "size": 2_000,
    "timing": 2_000,
}
"""As many as the paper has, 120,285, shared out 90 to 5 to 5 as there, and the tests that it lacks."""


def _with_tests(count: int) -> dict[str, int]:
    return {split.value: count for split in Split if split.is_test}


def named_configs() -> list[GdtSynthConfig]:
    """Returns the configs that have names, the default one first."""
    return [
        GdtSynthConfig(name="default", train=10_000, validation=500, **_with_tests(500)),
        GdtSynthConfig(name="paper_size", **PAPER_SIZE),
        GdtSynthConfig(name="tiny", train=12, validation=3, **_with_tests(3)),
    ]
