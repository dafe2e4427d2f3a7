"""Folders that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn


@contextlib.contextmanager
def whole_folder(out: str | os.PathLike) -> Iterator[Path]:
    """Gives a path beside `out` for a draft, which becomes `out` at the end; an error or SIGTERM removes it.

    Raises:
      FileExistsError: `out` is a file, or a folder that holds something.
    """
    out = Path(out).absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is there already and not empty; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with _terminated_as_error():
        try:
            yield draft
            draft.rename(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _terminated_as_error() -> Iterator[None]:
    """Makes SIGTERM an exception, so that what has to be tidied up is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
