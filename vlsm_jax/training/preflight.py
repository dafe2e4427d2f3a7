"""What would end a run late, seen before it begins: a folder that cannot be written, too little data."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsm_jax.data.pipeline import BatchDataset
from vlsm_jax.data.triplets import DataError
from vlsm_jax.training.config import ConfigError, flat_settings


def check_workdir(workdir: Path) -> None:
    """Makes the folder of a run if it is not there, and writes a file in it that it deletes again.

    Raises:
      ConfigError: it cannot be written; the message says why.
    """
    if re.match(r"[a-z][a-z0-9]+:/", str(workdir)):  # a path has lost one of the two slashes
        raise ConfigError(f"--workdir={workdir} is no folder; mount the store (gcsfuse, s3fs) and give that path")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=workdir, prefix=".writable-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = "make room" if full else "give a folder that this user may write"
        raise ConfigError(f"--workdir={workdir} cannot be written: {error.strerror}; {todo}") from error


def check_rows(dataset: BatchDataset, batch_size: int) -> None:
    """Raises DataError when the training data do not fill one batch, so that samples would stand in it repeatedly."""
    found = dataset.plan.statistics()
    if found["rows"] < batch_size:
        raise DataError(
            f"pipeline.batch_size={batch_size} is more than there is: {found['samples']} training triplets fill "
            f"{found['rows']} of its rows, so each would stand in every batch several times; lower it, or train on "
            "more triplets"
        )


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns a line for every setting that is not what it was, as "train.steps: 100, was 50"; by name."""
    old, new = flat_settings(before), flat_settings(now)
    nothing = object()
    return [
        f"{name}: {_shown(new, name)}, was {_shown(old, name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name, nothing) != new.get(name, nothing)
    ]


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return repr(settings[name]) if name in settings else "not there"
