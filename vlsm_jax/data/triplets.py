"""Triplets on disk, in whatever format they are: `open_triplets` sees which, and which files belong together.

    train.jsonl            JSON lines, pictures beside (upstream's second stage)
    train.xlsx             a workbook of Prompt and Response (upstream's first stage), and perhaps Image
    train.parquet          as Hugging Face writes it, pictures inside
    train.array_record     tf.train.Examples, pictures inside
    a folder               of any of these, of TFDS, or of `Dataset.save_to_disk`

A file may come in shards, `train-00000-of-00008.parquet` or `train.array_record-00000-of-00008`: its name without the
numbers, `name@8` and a pattern such as `train-*` all mean all of them.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from absl import logging

from vlsm_jax.data.jsonl import JsonlTriplets
from vlsm_jax.data.records import Columns, DataError, Record
from vlsm_jax.data.source import Joined, Problem, Selection, TripletSource, hold_out, without_bad_rows

__all__ = [
    "SUFFIXES",
    "Columns",
    "DataError",
    "JsonlTriplets",
    "Problem",
    "Record",
    "Selection",
    "TripletSource",
    "find_splits",
    "has_split",
    "hold_out",
    "open_triplets",
    "shard_path",
    "shards_of",
    "split_name",
    "without_bad_rows",
]

# Suffix to format, in the order in which a folder that has several is searched: pictures first.
SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".array_record": "array_record",
    ".arrayrecord": "array_record",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
# The numbers of a shard: at the end of the name as TFDS has them, or before the suffix as Hugging Face has them.
_SHARD = re.compile(r"^(?P<stem>.+?)-(?P<index>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z_]+)?$")
_SPEC = re.compile(r"^(?P<name>.+)@(?P<count>\d{1,5})$")
# What others call the splits of this project.
_ALIASES = {"validation": ("valid", "val", "dev", "eval")}


def open_triplets(
    path: str | os.PathLike,
    columns: Mapping[str, str] | None = None,
    *,
    split: str | None = None,
    form: str | None = None,
    skip_bad: bool = False,
    most_bad: float = 0.01,
) -> TripletSource:
    """Returns the rows that lie at `path`.

    Args:
      path: a file, the name that shards share, `name@8`, a pattern, or a folder.
      columns: names of the columns where they are neither `image`, `prompt`, `response`, `id` nor these in other case:
        {"prompt": "instruction", "response": "script"}.
      split: of a folder that has several.
      form: the format, of a folder that has several: "jsonl", "array_record", "parquet", "xlsx", "tfds" or "hf".
      skip_bad: look at every row and picture, and leave out those that are bad; each is logged.
      most_bad: the greatest share of rows that may be left out.

    Raises:
      DataError: nothing there can be read, or too many rows are bad.
    """
    source = _open(os.fspath(path), columns, split, form)
    return without_bad_rows(source, most_bad) if skip_bad else source


def _open(path: str, columns: Mapping[str, str] | None, split: str | None, form: str | None) -> TripletSource:
    here = Path(path)
    if here.is_dir():
        return _open_folder(here, columns, split, form)
    if split is not None and not here.exists():
        raise DataError(f"no data file at {here}/{split}.jsonl: there is no such folder")
    paths = _files(path)
    wanted, form = form, _format(paths[0])
    if wanted not in (None, form):
        raise DataError(f"{path} is not of format {wanted}")
    if any(_format(other) != form for other in paths):
        raise DataError(f"{path}: files of more than one format")
    if form == "jsonl":
        return _joined([JsonlTriplets(path, columns) for path in paths])
    # Imported late: what one format needs, another does without.
    if form == "xlsx":
        from vlsm_jax.data.xlsx import XlsxTriplets

        return _joined([XlsxTriplets(path, columns) for path in paths])
    if form == "parquet":
        from vlsm_jax.data.parquet import ParquetTriplets

        return ParquetTriplets(paths, columns)
    if form == "array_record":
        from vlsm_jax.data.array_records import ArrayRecordTriplets

        return ArrayRecordTriplets(paths, columns)
    raise DataError(f"{paths[0]}: no known format; there are {', '.join(SUFFIXES)}, and folders")


def _joined(sources: list[TripletSource]) -> TripletSource:
    return sources[0] if len(sources) == 1 else Joined(sources)


def _open_folder(folder: Path, columns: Mapping[str, str] | None, split: str | None, form: str | None) -> TripletSource:
    from vlsm_jax.data.parquet import is_saved_dataset, open_saved_dataset
    from vlsm_jax.data.tfds import is_tfds, open_tfds

    if is_saved_dataset(folder):
        return open_saved_dataset(folder, columns)
    splits = find_splits(folder, form)
    if not splits:
        kind = f"nor of any other format{f' ({form} is asked for)' if form else ''} in that folder"
        raise DataError(f"no data file at {folder}/{split or 'train'}.jsonl, {kind}")
    if split is None:
        if len(splits) > 1:
            raise DataError(f"{folder} has the splits {', '.join(splits)}; say which with split=")
        (split,) = splits
    found = _alike(split, splits)
    if found is None:
        raise DataError(f"no data file at {folder}/{split}.jsonl; the splits there are {', '.join(splits)}")
    if is_tfds(folder):
        return open_tfds(folder, found, columns)
    places = splits[found]
    if len(places) > 1:
        logging.info("%s: of %s, %s is read", folder, ", ".join(p.name for p in places), places[0].name)
    return _open(str(places[0]), columns, None, None)


def find_splits(folder: str | os.PathLike, form: str | None = None) -> dict[str, list[Path]]:
    """Returns the splits of a folder, each with the files (or names that shards share, or folders) that hold it.

    Where several do, the one with pictures comes first. `form` is the only format to look for. Files in `data/` count,
    as Hugging Face's hub has them.
    """
    from vlsm_jax.data.parquet import is_saved_dataset
    from vlsm_jax.data.tfds import is_tfds, tfds_splits

    folder = Path(folder)
    if not folder.is_dir():
        return {}
    if is_tfds(folder):
        return {split: [folder] for split in tfds_splits(folder)} if form in (None, "tfds") else {}
    order = list(SUFFIXES)
    found: dict[str, dict[Path, int]] = {}
    for place in (folder, folder / "data"):
        for entry in sorted(place.iterdir()) if place.is_dir() else ():
            if entry.name.startswith((".", "~$")):  # ~$ is Excel's own, while a workbook is open
                continue
            if entry.is_dir():
                if is_saved_dataset(entry) and form in (None, "hf"):
                    found.setdefault(entry.name, {})[entry] = len(order)
                continue
            name = _without_numbers(entry.name)
            suffix = Path(name).suffix
            if suffix in SUFFIXES and form in (None, SUFFIXES[suffix]):
                found.setdefault(name.removesuffix(suffix), {})[entry.parent / name] = order.index(suffix)
    return {split: sorted(places, key=places.__getitem__) for split, places in sorted(found.items())}


def has_split(folder: str | os.PathLike, split: str, form: str | None = None) -> bool:
    """Whether a folder has a split, under this name or one that others give it, such as `val` for `validation`."""
    return _alike(split, find_splits(folder, form)) is not None


def _alike(split: str, splits: Iterable[str]) -> str | None:
    return next((name for name in (split, *_ALIASES.get(split, ())) if name in splits), None)


def split_name(path: Path) -> str:
    """Returns the split that a data file's name, or its folder's, says it holds."""
    from vlsm_jax.data.tfds import is_tfds

    stem = _without_numbers(path.name).split(".")[0]
    if is_tfds(path.parent):
        return stem.split("-", 1)[-1]
    return path.parent.name if stem == "data" else stem


def shard_path(path: Path, index: int, count: int) -> Path:
    """Returns the name of one of `count` shards of a file; of one, the file's own."""
    if count == 1:
        return path
    numbers = f"-{index:05d}-of-{count:05d}"
    if SUFFIXES.get(path.suffix) == "array_record":
        return path.with_name(path.name + numbers)
    return path.with_name(path.stem + numbers + path.suffix)


def shards_of(path: Path) -> list[Path]:
    """Returns the shards of a file that lie beside it, of any number."""
    suffix = re.escape(path.suffix)
    stem, numbers = re.escape(path.stem), r"-\d{5}-of-\d{5}"
    wanted = re.compile(rf"{stem}(?:{suffix}{numbers}|{numbers}{suffix})")
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    return sorted(entry for entry in there if wanted.fullmatch(entry.name))


def _files(path: str) -> list[Path]:
    """Returns the files that a name means.

    Raises:
      DataError: there are none, or shards are missing.
    """
    here = Path(path)
    if here.exists():
        return [here]
    spec = _SPEC.match(here.name)
    if spec:
        base, count = here.with_name(spec["name"]), int(spec["count"])
        found = [entry for entry in shards_of(base) if int(_numbers(entry)["count"]) == count]
        found = found or ([base] if count == 1 and base.exists() else [])
    elif glob.has_magic(path):
        found = sorted(Path(name) for name in glob.glob(path) if not Path(name).name.startswith("."))  # noqa: PTH207
    else:
        found = shards_of(here)
    if not found:
        raise DataError(f"no data file at {path}")
    numbered = [match for entry in found if (match := _SHARD.match(entry.name))]
    for match in numbered:
        alike = [m for m in numbered if (m["stem"], m["suffix"]) == (match["stem"], match["suffix"])]
        counts = sorted({m["count"] for m in alike})
        if len(counts) > 1:
            raise DataError(f"{path}: shards of {' and of '.join(counts)}; say which with name@{int(counts[0])}")
        missing = sorted(set(range(int(counts[0]))) - {int(m["index"]) for m in alike})
        if missing:
            raise DataError(f"{path}: shard {missing[0]:05d}-of-{counts[0]} is missing ({len(missing)} in all)")
    return found


def _numbers(path: Path) -> re.Match[str]:
    match = _SHARD.match(path.name)
    assert match is not None
    return match


def _without_numbers(name: str) -> str:
    match = _SHARD.match(name)
    return name if match is None else match["stem"] + (match["suffix"] or "")


def _format(path: Path) -> str | None:
    return SUFFIXES.get(Path(_without_numbers(path.name)).suffix)
