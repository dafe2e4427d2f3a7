"""How long every sample is: read once, kept beside the data, and all that planning an epoch needs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from vlsm_jax.data.text_form import DEFAULT_FORM, TextForm
from vlsm_jax.data.tokenizer import PROMPT_PREFIX, Tokenizer
from vlsm_jax.data.triplets import DataError, Record

CACHED_FROM = 2000
"""Rows from which lengths are kept on disk: fewer are counted again in a moment."""

_CHUNK = 512


class Lengths(NamedTuple):
    """Of every row of a source, arrays of [N].

    Attributes:
      text: int32, ids of prompt and response with what stands before and behind them; 0 for a row that cannot be read.
      pictures: bool, whether there is a picture.
    """

    text: np.ndarray
    pictures: np.ndarray

    def positions(self, visual_tokens: int) -> np.ndarray:
        """Returns int64 [N], the positions each sample takes in a row; 0 for a row that cannot be read."""
        return np.where(self.text > 0, self.text.astype(np.int64) + visual_tokens * self.pictures - 1, 0)


def find_lengths(source: Sequence[Record], tokenizer: Tokenizer, form: TextForm = DEFAULT_FORM) -> Lengths:
    """Returns the lengths of a source's rows, from the file beside the data if there is one for tokenizer and form.

    The file, `<data>.lengths-<rows and tokenizer>.npz`, holds `text`, `pictures` and `identity`, a digest of the names,
    sizes and times of the data's files. It may be deleted at any time. Where the folder cannot be written to, there is
    none.
    """
    path = _cache_path(source, tokenizer, form)
    if path is None or len(source) < CACHED_FROM:
        return count_lengths(source, tokenizer, form)
    identity = _identity(source)
    # A file that is torn or of another kind is not an error: it is written anew.
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile), np.load(path) as file:
        if str(file["identity"]) == identity and len(file["text"]) == len(source):
            return Lengths(file["text"], file["pictures"])
    logging.info("counting the tokens of %d rows of %s, once", len(source), path.name.split(".lengths-")[0])
    lengths = count_lengths(source, tokenizer, form)
    with contextlib.suppress(OSError):
        _write(path, lengths, identity)
    return lengths


def count_lengths(source: Sequence[Record], tokenizer: Tokenizer, form: TextForm = DEFAULT_FORM) -> Lengths:
    """Returns the lengths of a source's rows by reading and encoding all of them."""
    text, pictures = np.zeros(len(source), np.int32), np.zeros(len(source), bool)
    encode = tokenizer.backend.encode_batch_fast
    for start in range(0, len(source), _CHUNK):
        numbers, parts = [], []
        for number in range(start, min(start + _CHUNK, len(source))):
            with contextlib.suppress(DataError):  # its length stays 0, and the pipeline speaks of it
                record = source[number]
                numbers.append(number)
                parts.append(form.encoded(record.prompt, record.response, tokenizer))
                pictures[number] = record.image is not None
        # Prompts together, then scripts, or both as one.
        encoded = [encode(list(texts), add_special_tokens=False) for texts in zip(*parts, strict=True)]
        for number, (first, *rest) in zip(numbers, zip(*encoded, strict=True), strict=True):
            text[number] = form.length([len(tokenizer.beginning) + len(first), *map(len, rest)])
    return Lengths(text, pictures)


def _cache_path(source: Sequence[Record], tokenizer: Tokenizer, form: TextForm) -> Path | None:
    path = getattr(source, "path", None)
    if path is None or not Path(path).exists():
        return None
    # The source's own name for itself tells a part of a file from the whole.
    facts = (
        repr(source),
        tokenizer.beginning,
        tokenizer.eos_id,
        PROMPT_PREFIX,
        repr(form),
        tokenizer.placeholders,
        tokenizer.known,
    )
    key = hashlib.blake2b(tokenizer.backend.to_str().encode() + repr(facts).encode(), digest_size=6).hexdigest()
    path = Path(path)
    return path.with_name(f"{path.name}.lengths-{key}.npz")


def _identity(source: Sequence[Record]) -> str:
    """Returns a digest of the files of a source: its own, its other shards beside it, or those of its folder."""
    path = Path(source.path)  # type: ignore[attr-defined]
    folder, pattern = (path, "*") if path.is_dir() else (path.parent, f"*{path.suffix}*")
    files = (entry for entry in sorted(folder.glob(pattern)) if entry.is_file() and ".lengths-" not in entry.name)
    facts = [(entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files]
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def _write(path: Path, lengths: Lengths, identity: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, 0o644)  # others who read the data may read its lengths
            np.savez(file, text=lengths.text, pictures=lengths.pictures, identity=np.asarray(identity))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
