"""Triplets in ArrayRecord files: one tf.train.Example to a record, the picture's file inside.

tf.train.Example is what TFDS writes into ArrayRecord and what readers of it expect: `tfds.builder_from_directory`,
TensorFlow, and any protobuf library read it. The features of a record are

    image       bytes: the file of the picture (PNG, JPEG, ...) as it was; absent where there is none
    image_path  text: what the data set calls the picture
    prompt, response, id   text
    metadata    text: the row's other fields, a JSON object

Metadata is one JSON text since an Example has neither null, nor nesting, nor 64-bit floats, and a reader of TFDS wants
the same features in every record. Records written by others are read too: features of theirs become metadata, "a/b" is
an object `a` with a field `b`, and one of which `json` is the only field is JSON text.
"""

from __future__ import annotations

import bisect
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from array_record.python import array_record_module

from vlsm_jax.data.examples import read_example, write_example
from vlsm_jax.data.kinds import to_json
from vlsm_jax.data.records import Columns, DataError, Record, to_record
from vlsm_jax.data.source import TripletSource, file_size

# For one record at a time, in any order; grain asks for files written with a group size of 1.
READ_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
WRITE_OPTIONS = "group_size:1"
_METADATA, _IMAGE_PATH = "metadata", "image_path"
_RECORDS_SEARCHED = 20  # for the names of features
_LONGEST_NAME = 1024


class ArrayRecordTriplets(TripletSource):
    """Random access to the records of one or several ArrayRecord files.

    Args:
      paths: the files, in order.
      columns: which feature holds what, where they have names of their own.
      lists: features that are lists even where they hold one value; a file alone does not tell.
      folder: pictures that are named and not held are relative to it; by default the files' own.

    Raises:
      DataError: a file is missing, torn or no ArrayRecord; there is no record; or no feature holds prompt or response.
        Reading a record raises it where the record is torn or is not a tf.train.Example.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike],
        columns: Mapping[str, str] | None = None,
        *,
        lists: frozenset[str] = frozenset(),
        folder: Path | None = None,
    ):
        self._paths = [Path(path) for path in paths]
        self.path = self._paths[0]
        self._folder = folder or self.path.parent
        self._lists = lists
        self._open()
        counts = [self._reader(i).num_records() for i in range(len(self._paths))]
        self._ends = list(itertools.accumulate(counts))
        if not len(self):
            raise DataError(f"{self.path}: no records")
        self.columns = self._find_columns(columns)

    def _find_columns(self, wanted: Mapping[str, str] | None) -> Columns:
        error: DataError | None = None
        for index in range(min(len(self), _RECORDS_SEARCHED)):
            try:
                features, where = self._features(index)
                names = [name.split("/")[0] for name in features if name not in (_METADATA, _IMAGE_PATH)]
                # Later records may have a picture, or an id, where this one has none.
                there = {name.strip().lower() for name in names} | set(wanted or {})
                extra = [key for key in ("image", "id") if key not in there]
                return Columns.find([*dict.fromkeys(names), *extra], wanted, where)
            except DataError as raised:
                error = error or raised
        assert error is not None
        raise error

    def _open(self) -> None:
        self._readers: list[Any] = [None] * len(self._paths)
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_readers", "_lock", "_process")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _reader(self, file: int) -> Any:
        if self._process != os.getpid():  # a forked process has readers, and none of their threads
            self._open()
        if self._readers[file] is None:
            with self._lock:
                if self._readers[file] is None:
                    path = self._paths[file]
                    file_size(path)
                    reader = array_record_module.ArrayRecordReader(str(path), READ_OPTIONS)
                    if not reader.ok():
                        raise DataError(f"{path} is torn, or is not an ArrayRecord file: {_why(reader)}")
                    self._readers[file] = reader
        return self._readers[file]

    def __len__(self) -> int:
        return self._ends[-1]

    def _features(self, index: int) -> tuple[dict[str, list[Any]], str]:
        file = bisect.bisect_right(self._ends, index)
        number = index - (self._ends[file - 1] if file else 0)
        where = f"{self._paths[file]}:{number + 1}"
        try:
            return read_example(self._reader(file).read([number])[0]), where
        except RuntimeError as error:
            raise DataError(f"{where}: the record is torn: {error}") from error
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error

    def _read(self, index: int) -> Record:
        features, where = self._features(index)
        column = self.columns.image
        picture = name = None
        if values := features.pop(column, None) if column is not None else None:
            picture = values[0]
        if values := features.pop(_IMAGE_PATH, None):
            name = _text(values[0])
        try:
            row = _to_row(features, self._lists)
        except ValueError as error:
            raise DataError(f"{where}: {error}") from error
        if column is not None:
            if isinstance(picture, bytes) and len(picture) < _LONGEST_NAME and _is_name(picture):
                picture, name = None, picture.decode()  # the data names its pictures and does not hold them
            row[column] = name
        return to_record(
            row,
            self.columns,
            where=where,
            name=Path(where).name,
            folder=self._folder,
            picture=picture if isinstance(picture, bytes) and picture else None,
        )


def _is_name(data: bytes) -> bool:
    text = _text(data)
    return isinstance(text, str) and text.isprintable() and text != ""


def _why(reader: Any) -> str:
    try:
        reader.read([0])
    except RuntimeError as error:
        return str(error)
    return "its index cannot be read"


def _to_row(features: dict[str, list[Any]], lists: frozenset[str]) -> dict[str, Any]:
    """Returns feature to value; text is text where it is UTF-8, and bytes otherwise.

    Raises:
      ValueError: what should be JSON is not.
    """
    row: dict[str, Any] = {}
    metadata = features.pop(_METADATA, None)
    for name, values in features.items():
        plain = [_text(value) if isinstance(value, bytes) else value for value in values]
        value = plain if name in lists or len(plain) != 1 else plain[0]
        outer, *inner = name.split("/")
        if inner and isinstance(row.setdefault(outer, {}), dict):
            row[outer]["/".join(inner)] = value
        else:
            row[name] = value
    for name, value in row.items():
        if isinstance(value, dict) and list(value) == ["json"]:
            row[name] = _json(value["json"], f"{name}/json")
    if metadata:
        found = _json(_text(metadata[0]), _METADATA)
        if not isinstance(found, dict):
            raise ValueError(f"feature {_METADATA!r} is not a JSON object")
        row |= {name: value for name, value in found.items() if name not in row}
    return row


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _json(text: Any, name: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"feature {name!r} is not the JSON it should be: {error}") from error


def to_example(record: Record, picture: bytes | None, columns: Columns) -> bytes:
    """Returns the record of a triplet.

    Args:
      record: the triplet.
      picture: the bytes of its picture's file.
      columns: what the features are called; one that is None is left out.

    Raises:
      DataError: its metadata has no JSON.
    """
    row: dict[str, Any] = {} if picture is None or columns.image is None else {columns.image: picture}
    row |= {
        _IMAGE_PATH: record.image_name,
        columns.prompt: record.prompt,
        columns.response: record.response,
        columns.id or "id": record.id if record.has_own_id else "",
        _METADATA: to_json(record.extra),
    }
    return write_example(row)
