"""Data cards: what is in a data set, counted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vlsm_jax.synth.splits import HELD_OUT_INDUSTRIES, HELD_OUT_PAIRS, HELD_OUT_SHAPES, TRAINED_OBJECTS
from vlsm_jax.twin import Distribution, ParameterValue, Twin

COUNTED: Final[Mapping[str, str]] = {
    "industry": "Industries",
    "layout": "Layouts",
    "automation": "Automation",
    "features": "Features",
    "objects": "Objects per factory",
    "class": "Object classes",
    "arrival": "Interarrival times",
    "service": "Process times",
    "prompt_style": "Prompt styles",
    "script_style": "Script styles",
    "sketch_style": "Sketch styles",
    "omitted": "What prompts leave open",
    "goal": "Goals",
    "misspelt": "Misspelt labels per sketch",
    "legible_at": "Side of the encoder's picture at which all names can be read",
}
"""What is counted of each triplet, with the title of its table."""

MEASURED: Final[Mapping[str, str]] = {
    "prompt": "prompt, bytes",
    "response": "script, bytes",
    "picture": "picture, bytes",
    "connections": "connections",
}
"""What is measured of each triplet."""

_FIELDS = (*COUNTED, *MEASURED)
_OF_ROWS = ("industry", "layout", "automation", "prompt_style", "script_style", "sketch_style", "legible_at")
_BAND = 5


def _band(count: int) -> str:
    low = (count - 1) // _BAND * _BAND + 1
    return f"{low} to {low + _BAND - 1}"


def _kind(value: ParameterValue) -> str:
    if isinstance(value, Distribution):
        return value.name
    return "constant" if isinstance(value, (int, float)) else "code"


def _omitted(entry: str) -> str:
    return f"parameter {entry.rpartition('.')[2]}" if "." in entry else entry


def _listed(value: Any) -> list[str]:
    """Returns the entries of a field that should be a list: data of others may have anything there."""
    if isinstance(value, (list, tuple)):
        return list(map(str, value))
    return [] if value in (None, "", {}) else [str(value)]


class Facts(NamedTuple):
    """What is counted of one triplet.

    Attributes:
      values: (field, value), each of which occurs once more; fields are those of `COUNTED` and `MEASURED`.
      shape: the key of the shape of the flow, "" where it is not known.
    """

    values: list[tuple[str, str]]
    shape: str


def facts_of(row: Mapping[str, Any], twin: Twin | None, picture: int) -> Facts:
    """Returns what is counted of one triplet.

    Args:
      row: of the data set; fields that it lacks are not counted.
      twin: what its script builds, None where it builds nothing.
      picture: size of the picture's file in bytes.
    """
    out = [(field, str(row[field])) for field in _OF_ROWS if row.get(field) not in (None, "")]
    for field in ("features", "omitted"):
        out += [(field, value) for value in dict.fromkeys(map(_omitted, _listed(row.get(field))))]
    misspelt, goal = row.get("misspelt"), row.get("goal")
    if isinstance(misspelt, (Mapping, list)):
        out.append(("misspelt", str(len(misspelt))))
    if isinstance(goal, Mapping) and "measure" in goal:
        out.append(("goal", str(goal["measure"])))
    sizes = {"prompt": len(row["prompt"].encode()), "response": len(row["response"].encode()), "picture": picture}
    out += [(field, str(size)) for field, size in sizes.items()]
    if twin is not None:
        if twin.objects:
            out.append(("objects", _band(len(twin.objects))))
        out.append(("connections", str(len(twin.connections))))
        out += [("class", obj.cls) for obj in twin.objects]
        for field, parameter in (("arrival", "InterArrivalTime"), ("service", "ProcessTime")):
            out += [(field, _kind(o.parameters[parameter])) for o in twin.objects if parameter in o.parameters]
    return Facts(out, str(row.get("topology") or ""))


@dataclasses.dataclass
class Tally:
    """Counts over triplets; tallies can be added up, in any order.

    Attributes:
      triplets: how many.
      counts: for each field of `COUNTED` and `MEASURED`, how often each value occurs.
      shapes: how often each shape of the flow occurs, by its key.
    """

    triplets: int = 0
    counts: dict[str, Counter[str]] = dataclasses.field(default_factory=lambda: {field: Counter() for field in _FIELDS})
    shapes: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, facts: Facts) -> None:
        """Counts one triplet."""
        self.triplets += 1
        for field, value in facts.values:
            self.counts[field][value] += 1
        if facts.shape:
            self.shapes[facts.shape] += 1

    def merge(self, other: Tally) -> None:
        """Adds another tally to this one."""
        self.triplets += other.triplets
        self.shapes.update(other.shapes)
        for field, counter in other.counts.items():
            self.counts[field].update(counter)

    def to_json(self) -> dict[str, Any]:
        """Returns the tally as JSON."""
        counts = {field: dict(counter) for field, counter in self.counts.items()}
        return {"triplets": self.triplets, "counts": counts, "shapes": dict(self.shapes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Reads what `to_json` returned."""
        counts = {field: Counter(data["counts"].get(field, {})) for field in _FIELDS}
        return cls(data["triplets"], counts, Counter(data["shapes"]))

    def spread(self, field: str) -> tuple[float, float, float, float] | None:
        """Returns smallest, mean, 95th percentile (nearest rank) and largest of a measured field; None without any."""
        values = sorted((int(value), count) for value, count in self.counts[field].items())
        if not values:
            return None
        total = sum(count for _, count in values)
        rank, seen, percentile = -(-95 * total // 100), 0, values[-1][0]
        for value, count in values:
            seen += count
            if seen >= rank:
                percentile = value
                break
        return values[0][0], sum(value * count for value, count in values) / total, percentile, values[-1][0]


def _sorted_values(values: Iterable[str]) -> list[str]:
    """Returns values in order, those that begin with a number by that number."""

    def key(value: str) -> tuple[int, float, str]:
        first = value.split(" ", 1)[0]
        return (0, float(first), value) if first.isdecimal() else (1, 0.0, value)

    return sorted(values, key=key)


def tables(tallies: Mapping[str, Tally]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Returns (title, columns, rows) of every table there is something to say in, one column per split."""
    out = []
    splits = list(tallies)
    shapes = [["triplets", *(str(t.triplets) for t in tallies.values())]]
    if any(t.shapes for t in tallies.values()):
        shapes.append(["different shapes of the flow", *(str(len(t.shapes)) for t in tallies.values())])
        trained = tallies["train"].shapes if "train" in tallies else Counter()
        unseen = [
            f"{100 * sum(n for k, n in t.shapes.items() if k not in trained) / t.triplets:.1f} %" if t.triplets else ""
            for t in tallies.values()
        ]
        if trained:
            shapes.append(["triplets whose shape training never sees", *unseen])
    out.append(("Splits", ["", *splits], shapes))
    for field, title in COUNTED.items():
        values = _sorted_values({value for t in tallies.values() for value in t.counts[field]})
        rows = [[value, *(str(t.counts[field][value]) for t in tallies.values())] for value in values]
        if rows:
            out.append((title, ["", *splits], rows))
    rows = []
    for split, tally in tallies.items():
        for field, title in MEASURED.items():
            spread = tally.spread(field)
            if spread is not None:
                low, mean, percentile, high = spread
                rows.append([split, title, f"{low:.0f}", f"{mean:.1f}", f"{percentile:.0f}", f"{high:.0f}"])
    out.append(("Sizes", ["split", "", "smallest", "mean", "95 %", "largest"], rows))
    return out


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    return f"## {title}\n\n{head}" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


_ROWS = """\
Each line of a split's file is a JSON object:

| field | |
|---|---|
| `image` | path of the sketch, from the folder of the file |
| `prompt`, `response` | what is asked for, and the script (FlexScript) |
| `id`, `split` | which triplet of which split |
| `industry`, `layout`, `automation`, `features` | what kind of factory it is |
| `prompt_style`, `script_style`, `sketch_style` | how its parts were made |
| `objects`, `connections` | how many the factory has |
| `omitted` | what the prompt does not determine: "connections", "locations", "script style", "object.Property" |
| `goal` | what the prompt asks the factory to achieve, or null |
| `misspelt` | names that the sketch spells otherwise, with what it says |
| `letter_height`, `legible_at` | x-height of the smallest letters in pixels; side of a square that shows them 5 high |
| `topology`, `factory` | keys up to isomorphism: of the shape of the flow; of the factory without names and places |

"""


def _splits_text() -> str:
    pairs = ", ".join(f"{first} before {second}" for first, second in sorted(HELD_OUT_PAIRS))
    return (
        "Which split a factory may go to is a property of the factory alone (`vlsm_jax/synth/splits.py`):\n\n"
        "- `train`, `validation`, `iid`: drawn alike; no two of them hold isomorphic factories with equal parameters.\n"
        f"- `industry`: {', '.join(HELD_OUT_INDUSTRIES)}, which no other split has.\n"
        f"- `layout`: shapes of the flow kept out of training, {HELD_OUT_SHAPES:.0%} of all that branch (graphs up to "
        "isomorphism, whatever classes and names).\n"
        f"- `size`: more than {TRAINED_OBJECTS} objects; all other splits have at most that many.\n"
        f"- `timing`: a distribution behind another one along the flow as in no other split: {pairs}.\n"
        "- `<split>-blank`: the same rows with an empty page as the sketch. What is lost there is what vision is "
        "worth.\n\n"
    )


def write_card(
    parameters: Mapping[str, Any],
    tallies: Mapping[str, Tally],
    rejected: Mapping[str, int],
    duplicates: int,
) -> str:
    """Returns the data card (Markdown) of a made data set.

    Args:
      parameters: what determines it, as in `dataset.json`.
      tallies: of every split, by its name.
      rejected: why factories were dropped, with how often.
      duplicates: how many triplets were left out since the split held an isomorphic one with equal parameters.
    """
    total = sum(tally.triplets for tally in tallies.values())
    parts = [
        f"# {total} triplets of sketch, prompt and script\n\n",
        f"Made by vlsm_jax {parameters['version']} with seed {parameters['seed']}; `dataset.json` holds all "
        "parameters. The same parameters give the same bytes.\n\n"
        "Every script was run in the embedded simulator: it builds exactly the factory of sketch and prompt without a "
        "warning, and items flow everywhere. The factories are invented: stations, orders and times are plausible, no "
        "plant was copied.\n\n",
        _ROWS,
        _splits_text(),
        "Locations are told only where they do not follow the grid rule, which `vlsm_jax/synth/layouts.py` states.\n\n",
    ]
    parts += [_table(*table) for table in tables(tallies)]
    left_out = [*sorted(rejected.items()), ("an isomorphic factory with equal parameters was there", duplicates)]
    parts.append(_table("Left out", ("reason", "factories"), [[reason, str(count)] for reason, count in left_out]))
    return "".join(parts).rstrip("\n") + "\n"
