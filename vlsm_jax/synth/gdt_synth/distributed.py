"""The same examples made by a runner of Apache Beam, on as many machines as it has.

    range of indices --> examples --> those whose factory came earlier are dropped --+
                            |                                                       +--> (index, example)
                            +--> keys of all factories --> as many more as were dropped

Which example of two with one factory stays, and which ones take the places of those dropped, is decided by index and
not by who was first: a runner gives exactly what a build on one machine gives. Dropped examples are few (4 in 1,000 at
120,000 triplets), so one worker makes up for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import apache_beam as beam

from vlsm_jax.synth.gdt_synth.examples import Example, Made, Recipe, first_distinct

RANGE = 16
"""Indices that are made in one go: a second of work, so that a runner can share out even small splits."""


def _make_range(indices: range, recipe: Recipe) -> Iterator[Made]:
    return map(recipe.made, indices)


def _key_and_index(made: Made) -> tuple[str, int]:
    return made.factory, made.index


def _repeats(found: tuple[str, Iterable[int]]) -> list[int]:
    """Returns the indices of a factory's examples, without the first one."""
    return sorted(found[1])[1:]


def _is_first(made: Made, repeats: Collection[int]) -> bool:
    return made.index not in repeats


def _make_up(count: int, recipe: Recipe, keys: Collection[str]) -> Iterator[Made]:
    """Yields as many examples as are missing when the first `count` of a split have only these keys."""
    return first_distinct(recipe, count - len(keys), start=count, seen=keys)


def _keyed(made: Made) -> tuple[int, Example]:
    return made.index, made.example


class MakeExamples(beam.PTransform):
    """Makes the first `count` examples of a split with different factories, keyed by index."""

    def __init__(self, recipe: Recipe, count: int):
        super().__init__()
        self._recipe = recipe
        self._count = count

    def expand(self, pbegin):
        """Returns the collection of (index, example)."""
        count, recipe = self._count, self._recipe
        ranges = [range(start, min(start + RANGE, count)) for start in range(0, count, RANGE)]
        made = (
            pbegin
            | "Ranges" >> beam.Create(ranges)
            | "ShareOut" >> beam.Reshuffle()
            | "Make" >> beam.FlatMap(_make_range, recipe)
        )
        by_factory = made | "KeyAndIndex" >> beam.Map(_key_and_index) | "ByFactory" >> beam.GroupByKey()
        repeats = by_factory | "Repeats" >> beam.FlatMap(_repeats) | "AllRepeats" >> beam.combiners.ToSet()
        keys = by_factory | "Factories" >> beam.Keys() | "AllFactories" >> beam.combiners.ToSet()
        first = made | "Firsts" >> beam.Filter(_is_first, beam.pvalue.AsSingleton(repeats))
        more = (
            pbegin
            | "Count" >> beam.Create([count])
            | "MakeUp" >> beam.FlatMap(_make_up, recipe, beam.pvalue.AsSingleton(keys))
        )
        return (first, more) | "Together" >> beam.Flatten() | "Keyed" >> beam.Map(_keyed)
