"""Pairs of scripts to score: two files, two folders matched by file name, or rows of a JSON-lines file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

MOST_BYTES = 8_000_000
"""Of one script file; no script that can be run is as long."""

_NOT_METADATA = frozenset(("id", "reference", "candidate", "prompt", "image"))
_NAMED = 10


class PairingError(ValueError):
    """Files that give no pairs; the message says which and why."""


class ScriptPair(NamedTuple):
    """A reference and a candidate script.

    Attributes:
      id: what the pair is called: the file name, or the row's id.
      reference, candidate: the texts.
      metadata: what else is known of the sample, such as its industry and layout.
    """

    id: str
    reference: str
    candidate: str
    metadata: Mapping[str, Any]


def read_script(path: str | os.PathLike) -> str:
    """Reads one script.

    Raises:
      PairingError: the file is missing, cannot be read, is too long, or is not UTF-8.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise PairingError(f"no file at {path}") from error
    except OSError as error:
        raise PairingError(f"{path}: {error.strerror}") from error
    return decode_script(data, str(path))


def decode_script(data: bytes, where: str) -> str:
    """Returns the text of a script; raises `PairingError` where it is too long or not UTF-8."""
    if len(data) > MOST_BYTES:
        raise PairingError(f"{where} is longer than {MOST_BYTES} bytes; that is no script")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PairingError(f"{where} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def pair_folders(reference: str | os.PathLike, candidate: str | os.PathLike) -> list[ScriptPair]:
    """Pairs the files of two folders by their names, in alphabetical order. Hidden files and subfolders are left out.

    Raises:
      PairingError: a file of one folder has no counterpart in the other, or there are none, or one cannot be read.
    """
    folders = Path(reference), Path(candidate)
    mine, theirs = ({path.name: path for path in _files(folder)} for folder in folders)
    problems = [
        f"{_listed(only)} in {here} but not in {there}"
        for only, here, there in (
            (mine.keys() - theirs.keys(), *folders),
            (theirs.keys() - mine.keys(), *reversed(folders)),
        )
        if only
    ]
    if problems:
        raise PairingError("; ".join(problems))
    if not mine:
        raise PairingError(f"no files in {folders[0]}")
    return [ScriptPair(name, read_script(mine[name]), read_script(theirs[name]), {}) for name in sorted(mine)]


def read_pairs(path: str | os.PathLike) -> list[ScriptPair]:
    """Reads the rows of a JSON-lines file, such as the `predictions.jsonl` of an evaluation.

    Each row is an object with `reference` and `candidate`, two scripts, and as it likes `id` and `metadata`. Other
    fields that are plain texts, numbers or truth values count as metadata too.

    Raises:
      PairingError: the file is missing or has no rows, a row is not such an object, or two have the same id.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise PairingError(f"no file at {path}") from error
    except OSError as error:
        raise PairingError(f"{path}: {error.strerror}") from error
    pairs: dict[str, ScriptPair] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        pair = _pair(line, where)
        if pair.id in pairs:
            raise PairingError(f"{where}: id {pair.id!r} occurs twice; ids are unique within a file")
        pairs[pair.id] = pair
    if not pairs:
        raise PairingError(f"{path} holds no rows")
    return list(pairs.values())


def _pair(line: bytes, where: str) -> ScriptPair:
    try:
        row = json.loads(line)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise PairingError(f"{where}: not JSON: {error}") from error
    if not isinstance(row, dict):
        raise PairingError(f"{where}: expected an object with 'reference' and 'candidate', found {type(row).__name__}")
    for field in ("reference", "candidate"):
        if not isinstance(row.get(field), str):
            raise PairingError(f"{where}: field {field!r} is missing or not text")
    known = {k: v for k, v in row.items() if k not in _NOT_METADATA and isinstance(v, (str, int, float))}
    more = row.get("metadata")
    metadata = {**known, **more} if isinstance(more, dict) else known
    return ScriptPair(str(row.get("id", where)), row["reference"], row["candidate"], metadata)


def _files(folder: Path) -> Iterable[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise PairingError(f"{folder}: {error.strerror}") from error


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return ", ".join(ordered[:_NAMED]) + more
