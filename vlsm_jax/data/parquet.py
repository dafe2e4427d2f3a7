"""Triplets in parquet files and Arrow folders, as Hugging Face's `datasets` writes and shows them.

The image column is a struct of the file's bytes and its name, and the schema says that it is an Image, so that
`datasets.load_dataset("parquet", data_files=...)` and the viewer show pictures. Columns of JSON text are named in the
schema under the key "vlsm_jax"; whoever drops that reads the text.

Needs pyarrow: `pip install vlsm_jax[parquet]`.
"""

from __future__ import annotations

import bisect
import collections
import hashlib
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsm_jax.data.kinds import Kind, from_columns
from vlsm_jax.data.records import Columns, DataError, Record, to_record
from vlsm_jax.data.scratch import scratch_file
from vlsm_jax.data.source import TripletSource, file_size

if TYPE_CHECKING:
    import pyarrow

# Unpacked row groups kept by each process: a row group is read whole for one of its rows.
_CACHED_BYTES = 64 * 2**20
_LARGE_GROUP = 32 * 2**20
_OWN_KEY, _HF_KEY = b"vlsm_jax", b"huggingface"


def need_pyarrow() -> Any:
    """Returns pyarrow.

    Raises:
      DataError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise DataError("parquet and Arrow files need pyarrow: pip install 'vlsm_jax[parquet]'") from error
    return pyarrow


class _ArrowTriplets(TripletSource):
    """What parquet and Arrow files have in common: rows of record batches.

    Args:
      paths: the files, in order.
      columns: which column holds what, where they have names of their own.

    Raises:
      DataError: a file is missing, torn or of another format, the files differ in their columns, a column is missing,
        or there are no rows.
    """

    def __init__(self, paths: Sequence[str | os.PathLike], columns: Mapping[str, str] | None = None):
        need_pyarrow()
        self._paths = [Path(path) for path in paths]
        self.path = self._paths[0]
        self._open()
        groups: list[tuple[int, int, int]] = []  # file, group in it, first row in the file
        ends: list[int] = []
        schema = None
        for file, path in enumerate(self._paths):
            found, lengths = self._lengths(file)
            if schema is not None and not schema.equals(found):
                raise DataError(f"{path}: its columns are not those of {self.path}")
            schema = found if schema is None else schema
            first = 0
            for group, length in enumerate(lengths):
                groups.append((file, group, first))
                ends.append(length)
                first += length
        self._groups, self._ends = groups, list(itertools.accumulate(ends))
        assert schema is not None
        if not self._ends or not self._ends[-1]:
            raise DataError(f"{self.path} holds no rows")
        self.columns = Columns.find(schema.names, columns, str(self.path))
        own = json.loads((schema.metadata or {}).get(_OWN_KEY, b"{}"))
        self._json_columns = tuple(name for name in own.get("json_columns", ()) if name in schema.names)

    def _lengths(self, file: int) -> tuple[pyarrow.Schema, list[int]]:
        """Returns the schema of a file and the rows of each of its groups."""
        raise NotImplementedError

    def _batch(self, file: int, group: int) -> pyarrow.RecordBatch | pyarrow.Table:
        raise NotImplementedError

    def _open(self) -> None:
        self._files: list[Any] = [None] * len(self._paths)
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_files", "_lock", "_cache", "_mapped")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return self._ends[-1]

    def _read(self, index: int) -> Record:
        at = bisect.bisect_right(self._ends, index)
        file, group, first = self._groups[at]
        inside = index - (self._ends[at - 1] if at else 0)
        where = f"{self._paths[file]}:{first + inside + 1}"
        try:
            row = self._batch(file, group).slice(inside, 1).to_pylist()[0]
        except (OSError, ValueError, need_pyarrow().ArrowException) as error:
            raise DataError(f"{where}: cannot be read: {error}") from error
        row = from_columns(row, self._json_columns, where)
        picture = None
        image = row.get(self.columns.image) if self.columns.image is not None else None
        if isinstance(image, dict):
            picture, row[self.columns.image] = image.get("bytes"), image.get("path")
        elif isinstance(image, bytes):
            picture, row[self.columns.image] = image, None
        return to_record(
            row, self.columns, where=where, name=Path(where).name, folder=self.path.parent, picture=picture
        )


class ParquetTriplets(_ArrowTriplets):
    """Random access to the rows of parquet files.

    A row group is unpacked for one of its rows. Where row groups are too large for that (pandas writes a million rows
    into one), the file is unpacked once into a scratch file, in the folder that TMPDIR names.
    """

    def _open(self) -> None:
        super()._open()
        self._cache: collections.OrderedDict[tuple[int, int], pyarrow.Table] = collections.OrderedDict()
        self._cached_bytes = 0
        self._mapped: dict[int, list[pyarrow.RecordBatch]] = {}
        self._scratch: dict[int, Path] = getattr(self, "_scratch", {})

    def _file(self, file: int) -> Any:
        import pyarrow.parquet

        if self._files[file] is None:
            path = self._paths[file]
            file_size(path)
            try:
                self._files[file] = pyarrow.parquet.ParquetFile(path, memory_map=True)
            except (OSError, ValueError, pyarrow.ArrowException) as error:
                raise DataError(f"{path} is torn, or is not a parquet file: {error}") from error
        return self._files[file]

    def _lengths(self, file: int) -> tuple[pyarrow.Schema, list[int]]:
        found = self._file(file)
        groups = [found.metadata.row_group(i) for i in range(found.metadata.num_row_groups)]
        if any(group.total_byte_size > _LARGE_GROUP for group in groups):
            self._unpack(file)
            return found.schema_arrow, [batch.num_rows for batch in self._mapped_batches(file)]
        return found.schema_arrow, [group.num_rows for group in groups]

    def _unpack(self, file: int) -> None:
        import pyarrow

        self._scratch[file] = scratch_file(self, ".arrow")
        try:
            with pyarrow.ipc.new_stream(self._scratch[file], self._file(file).schema_arrow) as stream:
                for batch in self._file(file).iter_batches(batch_size=100, use_threads=False):
                    stream.write_batch(batch)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise DataError(f"{self._paths[file]} cannot be unpacked into {self._scratch[file]}: {error}") from error

    def _mapped_batches(self, file: int) -> list[pyarrow.RecordBatch]:
        if file not in self._mapped:
            if not self._scratch[file].exists():  # the process that made it has ended
                self._unpack(file)
            self._mapped[file] = _map_stream(self._scratch[file])[1]
        return self._mapped[file]

    def _batch(self, file: int, group: int) -> pyarrow.RecordBatch | pyarrow.Table:
        key = (file, group)
        with self._lock:  # a parquet reader is of one thread
            if file in self._scratch:
                return self._mapped_batches(file)[group]
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
            table = self._file(file).read_row_group(group, use_threads=False)
            self._cache[key] = table
            self._cached_bytes += table.nbytes
            while len(self._cache) > 1 and self._cached_bytes > _CACHED_BYTES:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
            return table


class ArrowTriplets(_ArrowTriplets):
    """Random access to the rows of a folder that `Dataset.save_to_disk` wrote; files are mapped, not read."""

    def _file(self, file: int) -> tuple[pyarrow.Schema, list[pyarrow.RecordBatch]]:
        with self._lock:
            if self._files[file] is None:
                path = self._paths[file]
                file_size(path)
                try:
                    self._files[file] = _map_stream(path)
                except (OSError, ValueError, need_pyarrow().ArrowException) as error:
                    raise DataError(f"{path} is torn, or is not an Arrow stream: {error}") from error
            return self._files[file]

    def _lengths(self, file: int) -> tuple[pyarrow.Schema, list[int]]:
        schema, batches = self._file(file)
        for batch in batches:
            try:
                batch.validate(full=True)  # what is mapped is not looked at otherwise, and may point anywhere
            except ValueError as error:
                raise DataError(f"{self._paths[file]} is torn: {error}") from error
        return schema, [batch.num_rows for batch in batches]

    def _batch(self, file: int, group: int) -> pyarrow.RecordBatch:
        return self._file(file)[1][group]


def _map_stream(path: Path) -> tuple[pyarrow.Schema, list[pyarrow.RecordBatch]]:
    import pyarrow

    with pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))) as stream:
        return stream.schema, list(stream)


def is_saved_dataset(directory: Path) -> bool:
    """Whether `Dataset.save_to_disk` wrote this folder."""
    return (directory / "state.json").is_file()


def open_saved_dataset(directory: Path, columns: Mapping[str, str] | None = None) -> ArrowTriplets:
    """Returns the rows of a folder that `Dataset.save_to_disk` wrote.

    Raises:
      DataError: see `ArrowTriplets`; or the folder does not name its files.
    """
    try:
        state = json.loads((directory / "state.json").read_bytes())
        names = [str(entry["filename"]) for entry in state["_data_files"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{directory / 'state.json'} does not name the data's files: {error!r}") from error
    if not names:
        raise DataError(f"{directory} holds no rows")
    if outside := [name for name in names if Path(name).name != name]:
        raise DataError(f"{directory / 'state.json'}: {outside[0]!r} is outside of the folder")
    return ArrowTriplets([directory / name for name in names], columns)


def hf_features(kinds: Mapping[str, Kind], columns: Columns) -> dict[str, Any]:
    """Returns the columns as `datasets` describes them."""

    def value(dtype: str) -> dict[str, Any]:
        return {"dtype": dtype, "_type": "Value"}

    text = value("string")
    of_kind = {
        Kind.TEXT: text,
        Kind.INTEGER: value("int64"),
        Kind.NUMBER: value("float64"),
        Kind.FLAG: value("bool"),
        Kind.TEXTS: {"feature": text, "_type": "Sequence"},  # the name that every release reads
        Kind.JSON: text,
    }
    features: dict[str, Any] = {} if columns.image is None else {columns.image: {"_type": "Image"}}
    features |= {columns.prompt: text, columns.response: text}
    if columns.id is not None:
        features[columns.id] = text
    return features | {name: of_kind[kind] for name, kind in kinds.items()}


def arrow_schema(kinds: Mapping[str, Kind], columns: Columns) -> pyarrow.Schema:
    """Returns the schema of the files, with what `datasets` and this module want to know of it."""
    pa = need_pyarrow()
    of_kind = {
        Kind.TEXT: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.FLAG: pa.bool_(),
        Kind.TEXTS: pa.list_(pa.string()),
        Kind.JSON: pa.string(),
    }
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [] if columns.image is None else [(columns.image, image)]
    fields += [(columns.prompt, pa.string()), (columns.response, pa.string())]
    if columns.id is not None:
        fields.append((columns.id, pa.string()))
    fields += [(name, of_kind[kind]) for name, kind in kinds.items()]
    own = {"json_columns": [name for name, kind in kinds.items() if kind is Kind.JSON]}
    hf = {"info": {"features": hf_features(kinds, columns)}}
    return pa.schema(fields, metadata={_HF_KEY: json.dumps(hf), _OWN_KEY: json.dumps(own)})


def saved_dataset_files(names: Sequence[str], features: Mapping[str, Any]) -> dict[str, str]:
    """Returns the files that `Dataset.save_to_disk` writes beside the data: name to text."""
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": hashlib.sha256(json.dumps([list(names), features]).encode()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    return {
        "dataset_info.json": json.dumps(info, indent=2) + "\n",
        "state.json": json.dumps(state, indent=2, sort_keys=True) + "\n",
    }
