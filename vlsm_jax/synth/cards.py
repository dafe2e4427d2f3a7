"""Data cards: what is in a data set, counted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vlsm_jax.synth.distributions import CONSTANT
from vlsm_jax.synth.triplets import Triplet
from vlsm_jax.twin import Distribution, ParameterValue, Twin


def _kind(value: ParameterValue) -> str:
    return value.name if isinstance(value, Distribution) else CONSTANT


def _kinds(twin: Twin, parameter: str) -> tuple[str, ...]:
    return tuple(_kind(obj.parameters[parameter]) for obj in twin.objects if parameter in obj.parameters)


@dataclasses.dataclass(frozen=True)
class Record:
    """What a card counts of one triplet.

    Attributes:
      industry, layout, prompt_style, script_style, sketch_style: keys.
      objects, connections: how many.
      classes: the class of each object.
      arrivals, services: the distribution of each InterArrivalTime and ProcessTime.
      prompt_bytes, script_bytes: lengths in UTF-8.
      rejected: see `Triplet`.
    """

    industry: str
    layout: str
    prompt_style: str
    script_style: str
    sketch_style: str
    objects: int
    connections: int
    classes: tuple[str, ...]
    arrivals: tuple[str, ...]
    services: tuple[str, ...]
    prompt_bytes: int
    script_bytes: int
    rejected: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, triplet: Triplet) -> Record:
        """Returns the record of a triplet."""
        twin = triplet.factory.twin
        return cls(
            industry=triplet.factory.industry,
            layout=triplet.factory.layout,
            prompt_style=triplet.prompt_style.value,
            script_style=triplet.script_style.value,
            sketch_style=triplet.sketch_style.value,
            objects=len(twin.objects),
            connections=len(twin.connections),
            classes=tuple(obj.cls for obj in twin.objects),
            arrivals=_kinds(twin, "InterArrivalTime"),
            services=_kinds(twin, "ProcessTime"),
            prompt_bytes=len(triplet.prompt.encode()),
            script_bytes=len(triplet.response.encode()),
            rejected=triplet.rejected,
        )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    return f"## {title}\n\n{head}" + "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows) + "\n"


def _counts(records: Mapping[str, Sequence[Record]], field: str) -> list[list[Any]]:
    """Returns rows (value, count per split) of a field, the values of tuples counted one by one."""
    counters: dict[str, Counter] = {}
    for split, members in records.items():
        counters[split] = Counter()
        for record in members:
            value = getattr(record, field)
            counters[split].update(value if isinstance(value, tuple) else (value,))
    values = sorted({value for counter in counters.values() for value in counter})
    return [[value, *(counters[split][value] for split in records)] for value in values]


def _spread(values: Sequence[int]) -> list[Any]:
    """Returns smallest, mean, 95th percentile (nearest rank) and largest."""
    if not values:
        return ["", "", "", ""]
    ordered = sorted(values)
    rank = max(-(-95 * len(ordered) // 100) - 1, 0)
    return [ordered[0], f"{sum(ordered) / len(ordered):.1f}", ordered[rank], ordered[-1]]


_COUNTED = (
    ("industry", "Industries"),
    ("layout", "Layouts"),
    ("prompt_style", "Prompt styles"),
    ("script_style", "Script styles"),
    ("sketch_style", "Sketch styles"),
    ("objects", "Objects per factory"),
    ("classes", "Object classes"),
    ("arrivals", "Interarrival times"),
    ("services", "Process times"),
)
_MEASURED = (("prompt_bytes", "prompt"), ("script_bytes", "script"))


def write_card(
    parameters: Mapping[str, Any],
    records: Mapping[str, Sequence[Record]],
    rejected: Mapping[str, int],
    duplicates: int,
) -> str:
    """Returns the data card (Markdown) of a data set.

    Args:
      parameters: what determines it, as in `dataset.json`.
      records: those of every split, by split.
      rejected: why factories were dropped, with how often.
      duplicates: how many triplets were left out since an equal Twin was there already.
    """
    total = sum(len(members) for members in records.values())
    width, height = parameters["image_size"]
    parts = [
        f"# {total} triplets of sketch, prompt and script\n\n",
        f"Made by vlsm_jax {parameters['version']} with seed {parameters['seed']}; `dataset.json` holds all "
        "parameters. The same parameters give the same bytes.\n\n"
        "Each line of `train.jsonl`, `validation.jsonl` and `test.jsonl` is a JSON object: `image` (path of a PNG, "
        f"{width} x {height}), `prompt`, `response` (FlexScript), and `id`, `industry`, `layout`, `prompt_style`, "
        "`script_style`, `sketch_style`.\n\n"
        "Every script was run in the embedded simulator: it builds exactly the factory of sketch and prompt, and "
        "items reach every object. The splits are drawn alike (`iid`); no factory occurs twice.\n\n"
        "Prompts of style `complete` tell everything; those of style `sketch` leave the connections to the sketch. "
        "Locations are told only where they do not follow the grid rule: column = steps on the longest path from where "
        "items enter, x = 10 per column; the objects of a column in port order, 8 apart in y, centred on 0.\n\n",
        _table("Splits", ("split", "triplets"), [(split, len(members)) for split, members in records.items()]),
    ]
    for field, title in _COUNTED:
        parts.append(_table(title, ("", *records), _counts(records, field)))
    rows = [
        (split, name, *_spread([getattr(record, field) for record in members]))
        for split, members in records.items()
        for field, name in _MEASURED
    ]
    parts.append(_table("Lengths in bytes", ("split", "", "smallest", "mean", "95 %", "largest"), rows))
    left_out = [*sorted(rejected.items()), ("a Twin that was there already", duplicates)]
    parts.append(_table("Left out", ("reason", "factories"), left_out))
    return "".join(parts).rstrip("\n") + "\n"
