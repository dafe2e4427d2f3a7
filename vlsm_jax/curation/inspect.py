"""Inspection: a contact sheet of a data set and its statistics, on one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from vlsm_jax.curation.facts import Look, RowFacts, look_at, look_at_all
from vlsm_jax.data.images import ImageError, opened
from vlsm_jax.data.records import DataError
from vlsm_jax.data.source import TripletSource
from vlsm_jax.synth.cards import Tally, facts_of, tables
from vlsm_jax.synth.dataset import BLANK
from vlsm_jax.version import __version__

SAMPLES = 24
_WIDTH = 512
_SHOWN = (
    *("industry", "layout", "automation", "features", "prompt_style", "script_style", "sketch_style"),
    *("objects", "connections", "omitted", "goal", "misspelt", "letter_height", "legible_at"),
)


@dataclasses.dataclass(frozen=True)
class _Sample:
    split: str
    id: str
    picture: str
    prompt: str
    script: str
    facts: list[tuple[str, str]]
    findings: list[str]


def _data_uri(source: str | bytes) -> str:
    """Returns a picture as a small JPEG inside the page, whatever it was."""
    with opened(source) as image:
        image = image.convert("RGB")
        image.thumbnail((_WIDTH, _WIDTH))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {entry}" for key, entry in value.items() if entry not in (None, ""))
    return str(value)


def _sample(split: str, source: TripletSource, index: int, row: RowFacts) -> _Sample:
    fields = row.fields or {}
    picture = ""
    try:
        record = source[index]
        picture = _data_uri(record.image) if record.image is not None else ""
    except (DataError, ImageError):
        pass  # it stands among the findings
    facts = [(name, _said(fields[name])) for name in _SHOWN if fields.get(name) not in (None, "", [], {})]
    return _Sample(
        split=split,
        id=str(fields.get("id", row.where)),
        picture=picture,
        prompt=str(fields.get("prompt", "")),
        script=str(fields.get("response", "")),
        facts=facts,
        findings=[finding.message for finding in row.findings],
    )


def _evenly(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    """Returns row numbers, one out of each of `wanted` equal parts."""
    edges = np.linspace(0, count, min(wanted, count) + 1).astype(int)
    return [int(rng.integers(low, high)) for low, high in itertools.pairwise(edges)]


def write_sheet(
    path: str | os.PathLike,
    splits: Mapping[str, TripletSource],
    *,
    title: str,
    samples: int = SAMPLES,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Tally]:
    """Writes the page and returns what was counted, by split.

    Every script is built to count classes and distributions; those that are shown are run as well.

    Args:
      path: of the HTML file, written to a temporary name and renamed.
      splits: sources by the name of their split.
      title: of the page.
      samples: triplets shown, shared among the splits.
      seed: of which are shown.
      workers: processes.
      progress: called with (rows seen, rows in all).
    """
    tallies: dict[str, Tally] = {}
    shown: list[_Sample] = []
    rng = np.random.default_rng(seed)
    total, done = sum(map(len, splits.values())), 0
    # What has no picture to look at is counted only.
    pictured = [split for split in splits if not split.endswith(BLANK)] or list(splits)
    shares = {split: samples // len(pictured) + (i < samples % len(pictured)) for i, split in enumerate(pictured)}
    for split, source in splits.items():
        for index in _evenly(len(source), shares.get(split, 0), rng):
            shown.append(_sample(split, source, index, look_at(source, index, Look(keep_fields=True))))
        tally = tallies[split] = Tally()
        for row in look_at_all(source, Look(until=None, keep_fields=True), workers=workers):
            if row.fields is not None:
                tally.add(facts_of({"topology": row.topology, **row.fields}, row.twin, row.picture))
            done += 1
            if progress is not None:
                progress(done, total)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vlsm_jax.curation", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("sheet.html.jinja").render(
        title=title,
        rows=total,
        splits={s: len(x) for s, x in splits.items()},
        samples=shown,
        tables=tables(tallies),
        version=__version__,
    )
    path = Path(path)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
    return tallies
