"""Any format to any other: rows one after the other, and files that are whole or not there."""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from absl import logging

from vlsm_jax.data.images import ImageError, check_picture, read_picture
from vlsm_jax.data.kinds import Kind, KindFinder
from vlsm_jax.data.pictures import PictureFolder
from vlsm_jax.data.records import Columns, DataError, Record
from vlsm_jax.data.source import LISTED, TripletSource
from vlsm_jax.data.triplets import SUFFIXES, find_splits, open_triplets, shard_path, shards_of, split_name
from vlsm_jax.data.writers import ArrayRecordWriter, ArrowWriter, JsonlWriter, Writer, XlsxTripletWriter

_SUFFIX = {"jsonl": ".jsonl", "xlsx": ".xlsx", "array_record": ".array_record", "parquet": ".parquet"}
# "tfds" and "hf" (what `Dataset.save_to_disk` writes) are folders.
FORMATS = (*_SUFFIX, "tfds", "hf")
_TYPED = ("xlsx", "parquet", "hf")  # columns of one type each, known before the first row is written

Progress = Callable[[int, int], None]
"""Called with how many rows are written and how many there are."""


class ConversionError(DataError):
    """A conversion that cannot be done; nothing half-written is left under the target's name."""


class ConversionReport(NamedTuple):
    """What a conversion did.

    Attributes:
      rows: rows that the target holds.
      left_out: bad rows that it does not.
      problems: the first of them, one message each.
      pictures: rows with a picture.
      files: the data files.
      bytes: of the data files, and of pictures newly written beside them.
      seconds: the time it took.
      unchanged: the same files were there already.
    """

    rows: int
    left_out: int
    problems: tuple[str, ...]
    pictures: int
    files: tuple[Path, ...]
    bytes: int
    seconds: float
    unchanged: bool


def convert_triplets(
    source: TripletSource | str | os.PathLike,
    target: str | os.PathLike,
    *,
    form: str | None = None,
    columns: Mapping[str, str] | None = None,
    target_columns: Mapping[str, str] | None = None,
    split: str | None = None,
    shards: int = 1,
    skip_bad: bool = False,
    most_bad: float = 0.01,
    progress: Progress | None = None,
) -> ConversionReport:
    """Writes the rows of `source` to `target` and puts the files in place when they are whole.

    Metadata is carried along: what a format has no type for is JSON text in it, and comes back as it was. Pictures are
    carried bit for bit; JSON lines and workbooks have them in `images/` beside.

    Args:
      source: rows, or where they lie.
      target: a file, or for "tfds" and "hf" a folder.
      form: one of `FORMATS`; by default what the target's suffix says.
      columns: names of the source's columns, where `source` is a path; see `open_triplets`.
      target_columns: names of the target's, such as {"prompt": "instruction"}.
      split: of a source folder that has several; and the name of the split in TFDS, by default that of the source.
      shards: number of files, of about as many rows each.
      skip_bad: leave out rows that are bad, or that the target cannot hold.
      most_bad: the greatest share of rows that may be left out.
      progress: called now and then.

    Raises:
      ConversionError: the target cannot be written so, or is there already and is not the same.
      DataError: the source cannot be read, or a row is bad.
    """
    began = time.monotonic()
    rows = source if isinstance(source, TripletSource) else open_triplets(source, columns, split=split)
    target = Path(target)
    form = form or SUFFIXES.get(target.suffix)
    if form not in FORMATS:
        raise ConversionError(f"{target}: format {form!r}; choose one of {', '.join(FORMATS)}")
    if not 1 <= shards <= len(rows):
        raise ConversionError(f"{shards} shards of {len(rows)} rows; choose 1 to {len(rows)}")
    if shards > 1 and form in ("jsonl", "xlsx"):
        raise ConversionError(f"{form} is written as one file; shards are of array_record, parquet, tfds and hf")
    job = _Job(rows, form, skip_bad, most_bad, progress)
    names, kinds = job.look(target_columns or {})
    split = split or split_name(rows.path)
    paths = _data_files(target, form, split, shards)
    pictures = PictureFolder(target.parent)
    with _Drafts() as drafts:
        lengths = job.write([drafts.add(path) for path in paths], names, kinds, pictures)
        size = sum(draft.stat().st_size for draft in drafts.of.values())
        # What makes a folder a data set comes last.
        if form == "tfds":
            from vlsm_jax.data.tfds import FEATURES, INFO, features_json, info_json

            drafts.add(target / FEATURES).write_text(features_json(names), encoding="utf-8")
            text = info_json(target, split, lengths, size)
            drafts.add(target / INFO, replaces=True).write_text(text, encoding="utf-8")
        elif form == "hf":
            from vlsm_jax.data.parquet import hf_features, saved_dataset_files

            for name, text in saved_dataset_files([path.name for path in paths], hf_features(kinds, names)).items():
                drafts.add(target / name).write_text(text, encoding="utf-8")
        unchanged = drafts.put_in_place()
    return ConversionReport(
        rows=sum(lengths),
        left_out=job.bad,
        problems=tuple(job.messages),
        pictures=job.pictures,
        files=tuple(paths),
        bytes=size + pictures.bytes,
        seconds=time.monotonic() - began,
        unchanged=unchanged,
    )


def convert_dataset(
    folder: str | os.PathLike, target: str | os.PathLike, form: str, *, splits: tuple[str, ...] = (), **options
) -> dict[str, ConversionReport]:
    """Converts every split of a folder into another folder; returns a report for each.

    Args:
      folder: of the data.
      target: a folder, made if need be.
      form: one of `FORMATS`.
      splits: those to convert; none is all.
      options: of `convert_triplets`.

    Raises:
      ConversionError, DataError: see `convert_triplets`.
    """
    folder, target = Path(folder), Path(target)
    there = find_splits(folder)
    if missing := [split for split in splits if split not in there]:
        raise DataError(f"{folder} has no split {missing[0]!r}; there are {', '.join(there) or 'none'}")
    if not there:
        raise DataError(f"{folder} holds no data file that is known")
    if form not in FORMATS:
        raise ConversionError(f"{target}: format {form!r}; choose one of {', '.join(FORMATS)}")
    reports = {}
    for split in splits or there:
        place = target if form == "tfds" else target / f"{split}{_SUFFIX.get(form, '')}"
        reports[split] = convert_triplets(folder, place, form=form, split=split, **options)
    if form == "hf":
        listed = sorted(entry.name for entry in target.iterdir() if (entry / "state.json").is_file())
        (target / "dataset_dict.json").write_text(json.dumps({"splits": listed}), encoding="utf-8")
    return reports


class _Job:
    """The reading side of a conversion: rows in order, and what becomes of the bad ones."""

    def __init__(self, rows: TripletSource, form: str, skip_bad: bool, most_bad: float, progress: Progress | None):
        self._rows, self._form, self._progress = rows, form, progress
        self._most_bad = most_bad * len(rows) if skip_bad else -1
        self.bad = self.pictures = 0
        self.messages: list[str] = []

    def look(self, wanted: Mapping[str, str]) -> tuple[Columns, dict[str, Kind]]:
        """Returns what the target's columns are called and which metadata it has, from a look at the rows."""
        found = KindFinder()
        for index in range(len(self._rows)):
            try:
                record = self._rows[index]
            except DataError:
                if self._most_bad < 0:
                    raise
                continue  # it is met again, and counted, when rows are written
            found.add(record)
            if self._form not in _TYPED:
                break
        usual = {"image": "Image", "prompt": "Prompt", "response": "Response"} if self._form == "xlsx" else {}
        if unknown := [key for key in wanted if key not in Columns._fields]:
            raise ConversionError(f"target_columns has {unknown[0]!r}; its keys are {', '.join(Columns._fields)}")
        names = Columns(*(wanted.get(key, usual.get(key, key)) for key in Columns._fields))
        if len(set(names)) < len(names):
            raise ConversionError(f"two columns of the target have one name: {', '.join(map(str, names))}")
        # A row of JSON lines, and a record, has a picture or not; the other formats have a column or not.
        if self._form in (*_TYPED, "tfds") and not found.pictures:
            names = names._replace(image=None)
        if self._form in _TYPED and not found.own_ids:
            names = names._replace(id=None)
        return names, found.kinds()

    def write(self, paths: list[Path], names: Columns, kinds: Mapping[str, Kind], pictures: PictureFolder) -> list[int]:
        """Writes every row, and returns the number in each file."""
        lengths = [0] * len(paths)
        taken = {name for name in names if name} | set(Columns._fields)
        count = len(self._rows)
        for shard, path in enumerate(paths):
            first, end = (-(-count * i // len(paths)) for i in (shard, shard + 1))
            with contextlib.closing(self._writer(path, names, kinds, pictures)) as writer:
                for index in range(first, end):
                    try:
                        record, picture, suffix = self._read(index, names, taken)
                        try:
                            writer.write(record, picture, suffix)
                        except DataError as error:
                            raise DataError(f"{record.where}: {error}") from error
                    except DataError as error:
                        self._leave_out(error)
                    else:
                        lengths[shard] += 1
                        self.pictures += picture is not None
                    if self._progress is not None and (index % 100 == 99 or index == count - 1):
                        self._progress(index + 1, count)
            if not lengths[shard]:
                raise ConversionError(f"{path}: none of its rows can be written")
        return lengths

    def _read(self, index: int, names: Columns, taken: set[str]) -> tuple[Record, bytes | None, str]:
        record = self._rows[index]
        for name in record.extra:
            if name in taken or name.strip().lower() in Columns._fields:
                raise DataError(
                    f"{record.where}: the metadata has a column {name!r}, as the triplet itself; map it with columns, "
                    "or take it out"
                )
        if self._form == "tfds" and (record.image is None) != (names.image is None):
            raise DataError(f"{record.where}: TFDS has a picture in every row or in none; this row is not as the first")
        if record.image is None:
            return record, None, ""
        try:
            picture = read_picture(record.image)
            return record, picture, check_picture(record.image, picture)
        except ImageError as error:
            raise DataError(f"{record.where}: {error}") from error

    def _leave_out(self, error: DataError) -> None:
        self.bad += 1
        if self._most_bad < 0:
            raise error
        if len(self.messages) < LISTED:
            self.messages.append(str(error))
            logging.warning("left out: %s", error)
        if self.bad > self._most_bad:
            listed = "\n  ".join(self.messages)
            raise ConversionError(
                f"{self._rows!r}: {self.bad} bad rows are more than may be left out ({self._most_bad:g}):\n  {listed}"
            ) from error

    def _writer(self, path: Path, names: Columns, kinds: Mapping[str, Kind], pictures: PictureFolder) -> Writer:
        if self._form == "jsonl":
            return JsonlWriter(path, names, pictures)
        if self._form == "xlsx":
            return XlsxTripletWriter(path, names, pictures, kinds)
        if self._form in ("array_record", "tfds"):
            return ArrayRecordWriter(path, names)
        return ArrowWriter(path, names, kinds, stream=self._form == "hf")


def _data_files(target: Path, form: str, split: str, shards: int) -> list[Path]:
    """Returns the files that are to be written.

    Raises:
      ConversionError: files of another number of shards lie there.
    """
    if form == "tfds":
        from vlsm_jax.data.tfds import dataset_name, shard_name

        name = dataset_name(target)
        paths = [target / shard_name(name, split, i, shards) for i in range(shards)]
        old = shards_of(target / f"{name}-{split}.array_record")
    elif form == "hf":
        paths = [target / f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
        old = shards_of(target / "data.arrow")
    else:
        paths = [shard_path(target, i, shards) for i in range(shards)]
        old = [*shards_of(target), *([target] if target.exists() else [])]
    if others := [path for path in old if path not in paths]:
        raise ConversionError(f"{others[0]} is there already; take it away, or choose another name or number of shards")
    return paths


class _Drafts:
    """Files under other names until all of them are whole.

    Attributes:
      of: the final path to the draft's.
    """

    def __init__(self) -> None:
        self.of: dict[Path, Path] = {}
        self._replacing: set[Path] = set()

    def add(self, path: Path, *, replaces: bool = False) -> Path:
        """Returns where to write what is to become `path`; `replaces` allows that another is there."""
        if path.is_dir():
            raise ConversionError(f"{path} is a folder; name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.of[path] = path.with_name(f".{path.name}.partial")
        if replaces:
            self._replacing.add(path)
        return self.of[path]

    def put_in_place(self) -> bool:
        """Gives every file its name, in the order in which they were added; returns whether all were there already.

        Raises:
          ConversionError: a file of that name is there and is not the same; then nothing is changed.
        """
        same = {path: path.exists() and filecmp.cmp(path, draft, shallow=False) for path, draft in self.of.items()}
        for path, equal in same.items():
            if path.exists() and not equal and path not in self._replacing:
                raise ConversionError(
                    f"{path} is there already and is not the same; take it away or choose another name"
                )
        for path, draft in self.of.items():
            if not same[path]:
                os.replace(draft, path)  # noqa: PTH105
        return all(same.values())

    def __enter__(self) -> _Drafts:
        return self

    def __exit__(self, *_: object) -> None:
        for draft in self.of.values():
            draft.unlink(missing_ok=True)
