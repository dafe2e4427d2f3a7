"""Scratch files: rows unpacked once from a format that has no random access, and shared with worker processes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from pathlib import Path


def scratch_file(owner: object, suffix: str) -> Path:
    """Returns the path of a new empty file that is removed with `owner`, or when this process ends.

    It lies in the folder that TMPDIR names. Copies of `owner` in other processes read it and do not remove it.
    """
    handle, path = tempfile.mkstemp(prefix="vlsm-triplets-", suffix=suffix)
    os.close(handle)
    weakref.finalize(owner, _remove, path, os.getpid())
    return Path(path)


def _remove(path: str, process: int) -> None:
    if os.getpid() == process:  # not a fork of it
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108  (at the end of a process, pathlib may be gone)
