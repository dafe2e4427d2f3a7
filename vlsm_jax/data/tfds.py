"""Data sets that TFDS has prepared in ArrayRecord files, read and written without TensorFlow or tensorflow_datasets.

A folder of TFDS names its splits and shards in `dataset_info.json` and its features in `features.json`. What is written
here is such a folder: `tfds.builder_from_directory(folder).as_data_source("train")` reads it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsm_jax.data.array_records import ArrayRecordTriplets
from vlsm_jax.data.records import Columns, DataError

INFO, FEATURES = "dataset_info.json", "features.json"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_PACKAGE = "tensorflow_datasets.core.features"


def is_tfds(directory: Path) -> bool:
    """Whether TFDS has prepared this folder."""
    return (directory / INFO).is_file() and (directory / FEATURES).is_file()


def tfds_splits(directory: Path) -> list[str]:
    """Returns the names of the splits."""
    return [split["name"] for split in _splits(directory, _load(directory / INFO))]


def open_tfds(directory: Path, split: str, columns: Mapping[str, str] | None = None) -> ArrayRecordTriplets:
    """Returns the rows of one split.

    Raises:
      DataError: a file is missing, torn or not TFDS's, the split is not there, or its shards are not ArrayRecord files.
    """
    info = _load(directory / INFO)
    splits = {entry["name"]: entry for entry in _splits(directory, info)}
    if split not in splits:
        raise DataError(f"{directory} has no split {split!r}; there are {', '.join(splits) or 'none'}")
    form = info.get("fileFormat", "tfrecord")
    if form != "array_record":
        raise DataError(
            f"{directory} holds {form} files, which have no random access; prepare it with file_format='array_record'"
        )
    entry = splits[split]
    lengths = entry.get("shardLengths", [])
    template = entry.get("filepathTemplate") or TEMPLATE
    paths = [directory / _shard(template, info.get("name", ""), split, i, len(lengths)) for i in range(len(lengths))]
    if not paths:
        raise DataError(f"{directory}: split {split!r} has no shards")
    source = ArrayRecordTriplets(paths, columns, lists=_lists(_load(directory / FEATURES)), folder=directory)
    said = sum(map(int, lengths))
    if len(source) != said:
        raise DataError(f"{directory}: split {split!r} should have {said} rows and has {len(source)}; prepare it anew")
    return source


def shard_name(name: str, split: str, index: int, count: int) -> str:
    """Returns the file name of one shard, as TFDS gives it."""
    return _shard(TEMPLATE, name, split, index, count)


def dataset_name(directory: Path) -> str:
    """Returns a name that TFDS takes, made from the folder's."""
    name = re.sub(r"[^a-z0-9]+", "_", directory.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"triplets_{name}".rstrip("_")


def features_json(columns: Columns) -> str:
    """Returns `features.json` for the records of `array_records`; without an image column they have no picture."""
    text = {"pythonClassName": f"{_PACKAGE}.text_feature.Text", "text": {}}
    names = (columns.id or "id", "image_path", "metadata", columns.prompt, columns.response)
    features: dict[str, Any] = dict.fromkeys(names, text)
    if columns.image is not None:
        shape = {"dimensions": ["-1", "-1", "3"]}
        features[columns.image] = {
            "pythonClassName": f"{_PACKAGE}.image_feature.Image",
            "image": {"dtype": "uint8", "shape": shape},
        }
    whole = {"pythonClassName": f"{_PACKAGE}.features_dict.FeaturesDict", "featuresDict": {"features": features}}
    return json.dumps(whole, indent=4, sort_keys=True) + "\n"


def info_json(directory: Path, split: str, lengths: list[int], size: int) -> str:
    """Returns `dataset_info.json` with this split beside those that are there.

    Raises:
      DataError: the file that is there cannot be read.
    """
    path = directory / INFO
    others = _splits(directory, _load(path)) if path.exists() else []
    entry = {
        "filepathTemplate": TEMPLATE,
        "name": split,
        "numBytes": str(size),
        "shardLengths": [str(length) for length in lengths],
    }
    whole = {
        "description": "Triplets of sketch, prompt and FlexScript.",
        "fileFormat": "array_record",
        "name": dataset_name(directory),
        "splits": sorted([*(s for s in others if s["name"] != split), entry], key=lambda s: s["name"]),
        "version": "1.0.0",
    }
    return json.dumps(whole, indent=2, sort_keys=True) + "\n"


def _shard(template: str, name: str, split: str, index: int, count: int) -> str:
    for key, value in {
        "DATASET": name,
        "SPLIT": split,
        "FILEFORMAT": "array_record",
        "SHARD_INDEX": f"{index:05d}",
        "NUM_SHARDS": f"{count:05d}",
        "SHARD_X_OF_Y": f"{index:05d}-of-{count:05d}",
    }.items():
        template = template.replace(f"{{{key}}}", value)
    return os.path.basename(template)  # noqa: PTH119  (a template that leads elsewhere does not)


def _lists(features: Mapping[str, Any]) -> frozenset[str]:
    """Returns the features that are sequences, by the names they have in a record."""
    found = set()

    def walk(feature: Mapping[str, Any], name: str, inside: bool) -> None:
        inside = inside or "sequence" in feature or "datasetFeature" in feature
        inner = feature.get("sequence", {}).get("feature")
        parts = feature.get("featuresDict", {}).get("features")
        if parts is not None:
            for key, part in parts.items():
                walk(part, f"{name}/{key}" if name else key, inside)
        elif inner is not None:
            walk(inner, name, True)
        elif inside or feature.get("tensor", {}).get("shape", {}).get("dimensions"):
            found.add(name)

    walk(features, "", False)
    return frozenset(found)


def _load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected an object, found {type(found).__name__}")
    return found


def _splits(directory: Path, info: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = info.get("splits", [])
    if not isinstance(found, list) or not all(isinstance(s, dict) and isinstance(s.get("name"), str) for s in found):
        raise DataError(f"{directory / INFO}: its splits cannot be read")
    return found
