"""One row of a data set: which columns it has, what they must hold, and where its picture may lie."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

KEYS = ("image", "prompt", "response")


class DataError(ValueError):
    """A data file that cannot be used; the message names file, line and field."""


class Record(NamedTuple):
    """One triplet as it lies on disk.

    Attributes:
      id: the row's own `id`, or "<file>:<line>".
      image: the sketch: its path, or the bytes of its file; None where the row is text only.
      prompt: the engineer's text.
      response: the reference script.
      where: "<file>:<line>", for messages.
      extra: the row's other fields, such as industry and layout.
      image_name: what the data set calls the picture, such as "images/7.png"; "" where it has no name.
    """

    id: str
    image: str | bytes | None
    prompt: str
    response: str
    where: str
    extra: dict[str, Any]
    image_name: str = ""

    @property
    def has_own_id(self) -> bool:
        """Whether the data names the row, or its place does."""
        return self.id != Path(self.where).name


class Columns(NamedTuple):
    """The names of a file's columns; None where it has none.

    `Columns.find` takes upstream's two spellings without being told: `prompt` and `Prompt`.
    """

    image: str | None
    prompt: str
    response: str
    id: str | None

    @classmethod
    def find(cls, names: Iterable[str], wanted: Mapping[str, str] | None, where: str) -> Columns:
        """Returns which of `names` holds what.

        Args:
          names: the columns that there are.
          wanted: names that the caller gives, such as {"prompt": "instruction"}; the rest is found in any case.
          where: the file, for messages.

        Raises:
          DataError: a column is missing, stands twice, or could be either of two; or `wanted` has an unknown key.
        """
        names, wanted = list(names), dict(wanted or {})
        unknown = [key for key in wanted if key not in cls._fields]
        if unknown:
            raise DataError(f"columns has {unknown[0]!r}; its keys are {', '.join(cls._fields)}")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{where}: column {twice[0]!r} stands twice; rename one or take it out")
        found: dict[str, str | None] = {}
        for key in cls._fields:
            if key in wanted:
                alike = [wanted[key]] if wanted[key] in names else []
            else:
                alike = [key] if key in names else [name for name in names if name.strip().lower() == key]
            if len(alike) > 1:
                raise DataError(
                    f"{where}: {' and '.join(map(repr, alike))} may each be the {key}; say which in columns"
                )
            if alike or (key in ("image", "id") and key not in wanted):
                found[key] = alike[0] if alike else None
                continue
            there = ", ".join(map(repr, names)) or "none"
            near = difflib.get_close_matches(wanted.get(key, key), names, n=1)
            raise DataError(
                f"{where}: no column {wanted.get(key, key)!r}; there are {there}; say which it is with "
                f"columns={{{key!r}: {near[0] if near else '<its name>'!r}}}"
            )
        return cls(**found)  # type: ignore[arg-type]


def to_record(
    row: Mapping[str, Any], columns: Columns, *, where: str, name: str, folder: Path, picture: bytes | None = None
) -> Record:
    """Returns a row as a `Record`.

    Args:
      row: column to value.
      columns: which column holds what.
      where: "<file>:<line>", for messages.
      name: the id of a row that has none of its own.
      folder: pictures are named relative to it.
      picture: the bytes of the picture, where the data holds them; the image column then holds its name.

    Raises:
      DataError: a field is missing, is empty or is not text; or the picture lies outside of `folder`.
    """
    texts = []
    for column in (columns.prompt, columns.response):
        text = row.get(column)
        if not isinstance(text, str) or not text.strip():
            if column not in row:
                raise missing(column, row, where)
            raise DataError(f"{where}: field {column!r} is empty or not text{_found(text)}")
        _check_unicode(text, column, where)
        texts.append(text)
    image: str | bytes | None = picture
    called = ""
    if columns.image is not None:
        if columns.image not in row:
            raise missing(columns.image, row, where)
        value = row[columns.image]
        if isinstance(value, str) and value.strip():
            _check_unicode(value, columns.image, where)
            called = value
            if picture is None:
                image = find_picture(value, folder, f"{where}: field {columns.image!r}")
        elif not (value is None or value == "" or (isinstance(value, float) and math.isnan(value))):
            raise DataError(f"{where}: field {columns.image!r} is empty or not text{_found(value)}")
    own = row.get(columns.id) if columns.id is not None else None
    if isinstance(own, float) and own.is_integer():
        own = int(own)
    used = set(columns)
    return Record(
        id=name if own is None or own == "" else str(own),
        image=image,
        prompt=texts[0],
        response=texts[1],
        where=where,
        extra={key: value for key, value in row.items() if key not in used},
        image_name=called,
    )


def missing(column: str, row: Mapping[str, Any], where: str) -> DataError:
    """Returns the error of a row without a column."""
    return DataError(f"{where}: no field {column!r}; the row has {', '.join(map(repr, row)) or 'none'}")


def _check_unicode(text: str, column: str, where: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{where}: field {column!r} holds half of a character (U+{ord(text[error.start]):04X}) at {error.start}"
            ) from error


def _found(value: Any) -> str:
    if value is None or isinstance(value, str):
        return ""
    shown = repr(value)
    return f": found {type(value).__name__} {shown if len(shown) <= 40 else shown[:40] + '…'}"


def safe_name(name: str) -> str | None:
    """Returns a picture's name with "/" between its parts, or None where it may lie outside of the data's folder.

    Absolute paths, drives, addresses and every ".." are outside. A backslash parts folders, as it does where many of
    FlexSim's users write their data.
    """
    path = PureWindowsPath(name)
    if path.drive or path.root or "://" in name or "\0" in name or not path.parts or ".." in path.parts:
        return None
    return "/".join(path.parts)


def find_picture(name: str, folder: Path, what: str) -> str:
    """Returns the path of the picture that a row names.

    A bare file name is looked for in `folder` and then in its `images/`. Symbolic links are followed: they are laid by
    whoever owns the folder, and not by a row. What they lead to has to be a picture all the same.

    Raises:
      DataError: the name leads out of `folder`.
    """
    inside = safe_name(name)
    if inside is None:
        raise DataError(
            f"{what} is refused: {name[:200]!r} is outside of {folder}; "
            "pictures are named relative to the data's own folder"
        )
    path = os.path.join(folder, inside)  # noqa: PTH118  (ten times as fast as Path, for every row read)
    if "/" not in inside and not os.path.exists(path):  # noqa: PTH110
        below = os.path.join(folder, "images", inside)  # noqa: PTH118
        if os.path.exists(below):  # noqa: PTH110
            return below
    return path
