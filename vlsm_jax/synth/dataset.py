"""Writing data sets of triplets: three splits without common factories, byte for byte the same for a seed.

On disk, as the paper's own code has it: `train.jsonl`, `validation.jsonl` and `test.jsonl` with one JSON object per
line (`image`, `prompt`, `response`, and what the triplet was made of), images as PNG under `images/`. Beside them a
data card `README.md` and `dataset.json` with all parameters.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import multiprocessing
import os
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from vlsm_jax.synth.cards import Record, write_card
from vlsm_jax.synth.prompts import PromptStyle
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.synth.sketches import SketchStyle, encode_image
from vlsm_jax.synth.triplets import TripletOptions, make_triplet, twin_digest
from vlsm_jax.version import __version__

FORMAT = "vlsm_jax.dataset/1"
SPLITS = ("train", "validation", "test")
CHUNK = 16

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
    counts: dict[str, int]
    written: bool


@dataclasses.dataclass(frozen=True)
class _Made:
    """A triplet as it travels from a worker: the row without its image, the image as a file, and what identifies it."""

    id: str
    row: dict[str, str]
    file: bytes
    suffix: str
    digest: bytes
    record: Record


def _make_chunk(seed: int, start: int, options: TripletOptions) -> list[_Made]:
    out = []
    for index in range(start, start + CHUNK):
        triplet = make_triplet(seed, index, options)
        image, suffix = encode_image(triplet.sketch)
        factory = triplet.factory
        row = {
            "prompt": triplet.prompt,
            "response": triplet.response,
            "id": triplet.id,
            "industry": factory.industry,
            "layout": factory.layout,
            "prompt_style": triplet.prompt_style.value,
            "script_style": triplet.script_style.value,
            "sketch_style": triplet.sketch_style.value,
        }
        out.append(_Made(triplet.id, row, image, suffix, twin_digest(factory.twin), Record.of(triplet)))
    return out


def _chunks(seed: int, options: TripletOptions, workers: int) -> Iterator[list[_Made]]:
    """Yields chunks of triplets in order of their index without end, made by `workers` processes."""
    starts = itertools.count(0, CHUNK)
    if workers == 1:
        for start in starts:
            yield _make_chunk(seed, start, options)
    # Fresh processes: a fork would copy whatever threads and devices the caller holds.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        pending = deque(pool.submit(_make_chunk, seed, next(starts), options) for _ in range(2 * workers))
        while True:
            done = pending.popleft().result()
            pending.append(pool.submit(_make_chunk, seed, next(starts), options))
            yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _parameters(counts: dict[str, int], seed: int, options: TripletOptions) -> dict[str, Any]:
    """Returns what determines a data set, as JSON."""
    return {
        "format": FORMAT,
        "version": __version__,
        "split": "iid",
        "seed": seed,
        "counts": counts,
        "image_size": list(options.image_size),
        "industries": list(options.industries),
        "layouts": list(options.layouts),
        "prompt_styles": [style.value for style in options.prompt_styles],
        "script_styles": [style.value for style in options.script_styles],
        "sketch_styles": [style.value for style in options.sketch_styles],
        "most_objects": options.most_objects,
    }


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
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{record} is not JSON ({error}); give a new directory") from error
    keys = [*parameters, *(key for key in found if key not in parameters)] if isinstance(found, dict) else []
    other = [key for key in keys if found.get(key) != parameters.get(key)]
    if other or not keys:
        differences = "; ".join(f"{key} is {found.get(key)!r}, not {parameters.get(key)!r}" for key in other)
        raise DatasetError(f"{directory} holds another data set ({differences}); give a new directory or remove it")
    return True


def _write(
    directory: Path, parameters: dict[str, Any], options: TripletOptions, workers: int, progress: Progress | None
) -> None:
    counts: dict[str, int] = parameters["counts"]
    seed: int = parameters["seed"]
    total = sum(counts.values())
    places = deque(split for split in SPLITS for _ in range(counts[split]))
    (directory / "images").mkdir()
    records: dict[str, list[Record]] = {split: [] for split in SPLITS}
    rejected: Counter[str] = Counter()
    seen: set[bytes] = set()
    tried = duplicates = 0
    with contextlib.ExitStack() as stack:
        files = {
            split: stack.enter_context(open(directory / f"{split}.jsonl", "w", encoding="utf-8", newline="\n"))
            for split in SPLITS
        }
        made = stack.enter_context(contextlib.closing(_chunks(seed, options, workers if total else 1)))
        for triplet in itertools.chain.from_iterable(made if total else ()):
            tried += 1
            rejected.update(dict(triplet.record.rejected))
            if triplet.digest in seen:
                duplicates += 1
                if duplicates > 20 * total + 200:
                    raise DatasetError(
                        f"only {len(seen)} different factories came out of {tried}; ask for fewer "
                        f"than {total} triplets or allow more industries, layouts or objects"
                    )
                continue
            seen.add(triplet.digest)
            split = places.popleft()
            image = f"images/{triplet.id}.{triplet.suffix}"
            (directory / image).write_bytes(triplet.file)
            files[split].write(json.dumps({"image": image, **triplet.row}, ensure_ascii=False) + "\n")
            records[split].append(triplet.record)
            if progress is not None:
                progress(total - len(places), total)
            if not places:
                break
    card = write_card(parameters, records, rejected, duplicates)
    (directory / "README.md").write_text(card, encoding="utf-8", newline="\n")
    (directory / "dataset.json").write_text(json.dumps(parameters, indent=2) + "\n", encoding="utf-8", newline="\n")


def write_dataset(
    directory: str | os.PathLike[str],
    *,
    train: int,
    validation: int,
    test: int,
    seed: int,
    image_size: tuple[int, int] = (512, 341),
    industries: tuple[str, ...] = (),
    layouts: tuple[str, ...] = (),
    prompt_styles: tuple[PromptStyle, ...] = tuple(PromptStyle),
    script_styles: tuple[ScriptStyle, ...] = tuple(ScriptStyle),
    sketch_styles: tuple[SketchStyle, ...] = tuple(SketchStyle),
    most_objects: int = 12,
    workers: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Writes a data set of checked triplets, or finds it written.

    The same parameters give the same bytes, whatever the number of workers. No two triplets, in one split or in two,
    have equal Twins. Everything is written to a temporary directory beside and renamed as a whole.

    Args:
      directory: where; must not exist, be empty, or hold exactly this data set.
      train, validation, test: number of triplets in each split. Splits are drawn alike (`iid`).
      seed: the only source of chance.
      image_size: width and height of the sketches in pixels.
      industries, layouts, prompt_styles, script_styles, sketch_styles, most_objects: see `TripletOptions`.
      workers: number of processes.
      progress: called with (written, total) after every triplet.

    Raises:
      DatasetError: the directory holds something else, a count is negative, or there are too few different factories.
      TripletError: a factory could not be made.
    """
    counts = {"train": train, "validation": validation, "test": test}
    for split, count in counts.items():
        if count < 0:
            raise DatasetError(f"{split} is {count}; a split has 0 triplets or more")
    if workers < 1:
        raise DatasetError(f"workers is {workers}; give 1 or more")
    options = TripletOptions(
        tuple(industries),
        tuple(layouts),
        tuple(prompt_styles),
        tuple(script_styles),
        tuple(sketch_styles),
        tuple(image_size),
        most_objects,
    )
    target = Path(directory)
    parameters = _parameters(counts, seed, options)
    if _holds(target, parameters):
        return Dataset(target, counts, written=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write(temporary, parameters, options, workers, progress)
        # mkdtemp makes directories for their owner alone; a data set is as readable as its parent.
        temporary.chmod(0o777 & ~_umask())
        temporary.replace(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Dataset(target, counts, written=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
