"""Writing data sets of triplets: splits that share nothing, byte for byte the same for a seed.

On disk, as the paper's own code has it: a file `<split>.jsonl` with one JSON object per line (`image`, `prompt`,
`response`, and what the triplet was made of) for each split, and a second one, `<split>-blank.jsonl`, for each test
split, whose sketches are empty pages. Pictures lie under `images/`. Beside them a data card `README.md` and
`dataset.json` with all parameters.

While it is made, everything lies in a hidden folder beside (`.<name>.partial`) with a journal; a stopped run goes on
there. The folder is renamed as a whole when all is written.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import gc
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import filelock

from vlsm_jax.processes import in_order
from vlsm_jax.synth.cards import Facts, Tally, facts_of, write_card
from vlsm_jax.synth.sketches import blank_sketch, encode_image
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets
from vlsm_jax.version import __version__

FORMAT = "vlsm_jax.dataset/4"
BLANK = "-blank"
CHUNK = 16
IMAGES_PER_FOLDER = 1000

Progress = Callable[[int, int], None]
"""Called with how many triplets are written and how many there will be."""


class DatasetError(ValueError):
    """A data set that cannot be written where or as it was asked for; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What is on disk.

    Attributes:
      directory: where.
      counts: number of triplets per split.
      written: False when the directory already held exactly this data set.
    """

    directory: Path
    counts: dict[Split, int]
    written: bool


# --- Making, in processes ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Made:
    """A triplet as it travels from a worker.

    Attributes:
      row: of the data set as JSON, without the picture's path.
      factory: its key.
      picture, suffix: the picture's file, and the end of its name.
      facts: what is counted.
      rejected: see `Triplet`.
    """

    row: str
    factory: str
    picture: bytes
    suffix: str
    facts: Facts
    rejected: tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True)
class _Chunk:
    """Consecutive indices of a split."""

    split: Split
    start: int
    count: int


@functools.cache
def _settle() -> None:
    """Makes a process that does nothing but make triplets quicker; the caller's own process is left as it is."""
    cv2.setNumThreads(1)  # the processes share the cores already
    gc.disable()
    gc.collect()
    _tidy()


def _tidy() -> None:
    """Frees what lies about in circles, between chunks; what is left is kept for good and not looked through again.

    That is what was imported, and what caches hold: words, seeds, constants. It grows to hundreds of thousands of
    objects, and to look at each of them after every chunk would take longer than to draw its sketches.
    """
    gc.collect(0)  # all that is not frozen is of the youngest generation
    gc.freeze()


def _make_chunk(chunk: _Chunk, seed: int, options: TripletOptions) -> list[_Made]:
    own_process = multiprocessing.parent_process() is not None
    if own_process:
        _settle()
    out = []
    for triplet in make_triplets(seed, range(chunk.start, chunk.start + chunk.count), options, chunk.split):
        picture, suffix = encode_image(triplet.sketch)
        row = triplet.row()
        facts = facts_of(row, triplet.factory.twin, len(picture))
        text = json.dumps(row, ensure_ascii=False)
        out.append(_Made(text, triplet.keys.factory, picture, suffix, facts, triplet.rejected))
    if own_process:
        _tidy()
    return out


# --- Writing, resumably -----------------------------------------------------------------------------------------------


class _Journal:
    """A half-written data set: what lies in its folder, chunk by chunk, so that a stopped run can go on.

    A chunk counts as written when its line stands in the journal; rows behind the last such line are cut off.
    """

    def __init__(self, directory: Path, counts: Mapping[Split, int]):
        self.directory = directory
        self.rows = dict.fromkeys(counts, 0)
        self.ends = dict.fromkeys(counts, 0)
        self.next_index = dict.fromkeys(counts, 0)
        self.tallies = {split: Tally() for split in counts}
        self.seen: dict[Split, set[str]] = {split: set() for split in counts}
        self.rejected: Counter[str] = Counter()
        self.duplicates = 0
        self._path = directory / "journal.jsonl"
        self._read()
        self._files: dict[Split, BinaryIO] = {}

    def _read(self) -> None:
        lines = self._path.read_bytes().split(b"\n") if self._path.exists() else [b""]
        whole = lines[:-1]  # what follows the last line end was cut off while it was written
        for line in whole:
            entry = json.loads(line)
            split = Split(entry["split"])
            self.rows[split], self.ends[split] = entry["rows"], entry["end"]
            self.next_index[split] = entry["next_index"]
            self.tallies[split].merge(Tally.from_json(entry["tally"]))
            self.rejected.update(entry["rejected"])
            self.duplicates += entry["duplicates"]
            self.seen[split].update(entry["factories"])
        self._path.write_bytes(b"".join(line + b"\n" for line in whole))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Holds the files of all splits open, each cut to what the journal knows of."""
        with contextlib.ExitStack() as stack:
            for split, end in self.ends.items():
                file = stack.enter_context(open(self.directory / f"{split.value}.jsonl", "ab"))
                file.truncate(end)
                self._files[split] = file
            self._log = stack.enter_context(open(self._path, "ab"))
            yield

    def write(self, chunk: _Chunk, made: list[_Made], limit: int) -> None:
        """Writes the triplets of a chunk whose factories are new to their split, up to `limit` rows of it in all."""
        split, file = chunk.split, self._files[chunk.split]
        tally, rejected, factories, duplicates = Tally(), Counter(), [], 0
        for triplet in made:
            if self.rows[split] == limit:
                break
            rejected.update(dict(triplet.rejected))
            if triplet.factory in self.seen[split]:
                duplicates += 1
                continue
            self.seen[split].add(triplet.factory)
            factories.append(triplet.factory)
            place = self.rows[split]
            image = self._image(split, place, triplet.suffix)
            path = self.directory / image
            if place % IMAGES_PER_FOLDER == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(triplet.picture)
            file.write(f'{{"image": {json.dumps(image)}, {triplet.row[1:]}\n'.encode())
            tally.add(triplet.facts)
            self.rows[split] += 1
        file.flush()
        self.next_index[split] = chunk.start + chunk.count
        self.tallies[split].merge(tally)
        self.rejected.update(rejected)
        self.duplicates += duplicates
        entry = {
            "split": split.value,
            "rows": self.rows[split],
            "end": file.tell(),
            "next_index": self.next_index[split],
            "rejected": dict(rejected),
            "duplicates": duplicates,
            "factories": factories,
            "tally": tally.to_json(),
        }
        self._log.write(json.dumps(entry).encode() + b"\n")
        self._log.flush()

    @staticmethod
    def _image(split: Split, place: int, suffix: str) -> str:
        return f"images/{split.value}/{place // IMAGES_PER_FOLDER:03d}/{place:06d}.{suffix}"

    def remove(self) -> None:
        """Removes the journal: the data set is whole."""
        self._path.unlink()


def _missing(journal: _Journal, counts: Mapping[Split, int]) -> list[_Chunk]:
    """Returns the chunks that are to be made next: as many indices as rows are missing."""
    out = []
    for split, count in counts.items():
        start, end = journal.next_index[split], journal.next_index[split] + count - journal.rows[split]
        out += [_Chunk(split, at, min(CHUNK, end - at)) for at in range(start, end, CHUNK)]
    return out


def blank_row(row: dict[str, Any]) -> dict[str, Any]:
    """Returns the row of a triplet's blank twin; where its picture lies is up to the caller."""
    name = {"id": row["id"] + BLANK, "split": row["split"] + BLANK}
    row = {key: value for key, value in row.items() if key != "annotation"}
    return row | name | {"misspelt": {}, "sketch_style": "blank", "letter_height": 0, "legible_at": 0}


@functools.cache  # one page for all twins of a data set, wherever they are made
def blank_picture(options: TripletOptions) -> tuple[bytes, str]:
    """Returns the file of the empty page that all blank twins of a data set share, and the suffix of its name."""
    return encode_image(blank_sketch(options.image_size))


def _write_blank(directory: Path, split: Split, image: str) -> None:
    """Writes the twin of a test split whose sketches are empty."""
    with (
        open(directory / f"{split.value}.jsonl", encoding="utf-8") as rows,
        open(directory / f"{split.value}{BLANK}.jsonl", "w", encoding="utf-8", newline="\n") as blank,
    ):
        for line in rows:
            row = blank_row(json.loads(line)) | {"image": image}
            blank.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write(
    directory: Path,
    parameters: dict[str, Any],
    counts: Mapping[Split, int],
    options: TripletOptions,
    workers: int,
    progress: Progress | None,
) -> None:
    seed: int = parameters["seed"]
    total = sum(counts.values())
    journal = _Journal(directory, counts)
    with journal.open():
        while chunks := _missing(journal, counts):
            if journal.duplicates > 20 * total + 200:
                raise DatasetError(
                    f"only {sum(journal.rows.values())} different factories came out of {total + journal.duplicates}; "
                    f"ask for fewer than {total} triplets or allow more industries, layouts or objects"
                )
            make = functools.partial(_make_chunk, seed=seed, options=options)
            with contextlib.closing(in_order(make, chunks, min(workers, len(chunks)))) as made:
                for chunk, triplets in zip(chunks, made, strict=True):
                    journal.write(chunk, triplets, counts[chunk.split])
                    if progress is not None:
                        progress(sum(journal.rows.values()), total)
    tests = [split for split, count in counts.items() if split.is_test and count]
    if tests:
        picture, suffix = blank_picture(options)
        (directory / "images" / f"blank.{suffix}").write_bytes(picture)
        for split in tests:
            _write_blank(directory, split, f"images/blank.{suffix}")
    tallies = {split.value: tally for split, tally in journal.tallies.items()}
    card = write_card(parameters, tallies, journal.rejected, journal.duplicates)
    (directory / "README.md").write_text(card, encoding="utf-8", newline="\n")
    _write_json(directory / "dataset.json", parameters)
    journal.remove()


# --- The whole --------------------------------------------------------------------------------------------------------


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8", newline="\n")


def _check_same(record: Path, parameters: dict[str, Any]) -> None:
    """Raises `DatasetError` unless a file holds exactly these parameters."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{record} is not JSON ({error}); give a new directory") from error
    keys = [*parameters, *(key for key in found if key not in parameters)] if isinstance(found, dict) else []
    other = [key for key in keys if found.get(key) != parameters.get(key)]
    if other or not keys:
        differences = "; ".join(f"{key} is {found.get(key)!r}, not {parameters.get(key)!r}" for key in other)
        raise DatasetError(f"{record.parent} holds another data set ({differences}); give a new directory or remove it")


def _holds(directory: Path, parameters: dict[str, Any]) -> bool:
    """Whether a directory holds exactly this data set; raises `DatasetError` when it holds anything else."""
    if not directory.exists():
        return False
    if not directory.is_dir():
        raise DatasetError(f"{directory} is a file; give a directory")
    if not any(directory.iterdir()):
        return False
    record = directory / "dataset.json"
    if not record.is_file():
        raise DatasetError(f"{directory} is not empty and holds no data set; give a new directory")
    _check_same(record, parameters)
    return True


def _begin(partial: Path, parameters: dict[str, Any]) -> None:
    """Makes the folder of a half-written data set, or makes sure that the one there is of this one."""
    begun = partial / "begun.json"
    if begun.is_file():
        _check_same(begun, parameters)
        return
    partial.mkdir(exist_ok=True)
    _write_json(partial / ".begun.json", parameters)
    (partial / ".begun.json").replace(begun)


def write_dataset(
    directory: str | os.PathLike[str],
    counts: Mapping[Split, int],
    *,
    seed: int,
    options: TripletOptions = TripletOptions(),
    workers: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Writes a data set of checked triplets, goes on with one that was stopped, or finds it written.

    The same arguments give the same bytes, whatever the number of workers and however often the run was stopped. No
    two splits share isomorphic factories with equal parameters, and none occurs twice in a split.

    Args:
      directory: where; must not exist, be empty, or hold exactly this data set.
      counts: number of triplets of each split; splits that are left out or 0 get no file.
      seed: the only source of chance.
      options: what triplets may be made of.
      workers: number of processes.
      progress: called with (written, total) after every few triplets.

    Raises:
      DatasetError: the directory holds something else or cannot be written, a count is negative, another process is
        writing there or one of this call's was ended, or there are too few different factories.
      TripletError: a factory could not be made.
      ValueError: options that leave a split nothing.
    """
    for split, count in counts.items():
        if count < 0:
            raise DatasetError(f"{split.value} is {count}; a split has 0 triplets or more")
    if workers < 1:
        raise DatasetError(f"workers is {workers}; give 1 or more")
    counts = {split: counts[split] for split in Split if counts.get(split)}
    for split in counts:
        options.check(split)
    target = Path(directory)
    parameters = {
        "format": FORMAT,
        "version": __version__,
        "seed": seed,
        "counts": {split.value: count for split, count in counts.items()},
        **options.to_json(),
    }
    if _holds(target, parameters):
        return Dataset(target, counts, written=False)
    partial = target.parent / f".{target.name}.partial"
    lock = filelock.FileLock(f"{partial}.lock", timeout=0)
    kept = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock:
            _begin(partial, parameters)
            kept = "; the same call goes on where it was"
            _write(partial, parameters, counts, options, workers, progress)
            (partial / "begun.json").unlink()
            if target.exists():
                target.rmdir()
            partial.replace(target)
    except filelock.Timeout:
        raise DatasetError(f"another process is writing {target}; wait for it") from None
    except OSError as error:
        raise DatasetError(f"{error.filename or target} cannot be written: {error.strerror or error}{kept}") from error
    except concurrent.futures.BrokenExecutor as error:
        raise DatasetError(
            f"a process that made triplets for {target} was ended, perhaps for want of memory{kept}, and fewer workers "
            "need less"
        ) from error
    Path(lock.lock_file).unlink(missing_ok=True)
    return Dataset(target, counts, written=True)
