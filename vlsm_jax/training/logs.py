"""What a run says of itself: one JSON line per event in a file, and a progress bar (or plain lines) for a person."""

from __future__ import annotations

import json
import logging as std_logging
import math
import sys
import time
from pathlib import Path
from typing import Any

from absl import logging
from tqdm import tqdm


class _OurRecords(std_logging.Filter):
    """Lets pass what this project says, and what any library warns of."""

    def filter(self, record: std_logging.LogRecord) -> bool:
        ours = (str(Path(__file__).parents[1]), str(Path(sys.argv[0]).resolve()))
        return record.levelno >= std_logging.WARNING or str(Path(record.pathname).resolve()).startswith(ours)


def show_progress_only() -> None:
    """Sends this project's log lines to the terminal, short; libraries that narrate every save stay silent."""
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    if not any(isinstance(f, _OurRecords) for f in handler.filters):
        handler.addFilter(_OurRecords())
    logging.set_verbosity(logging.INFO)


class MetricsFile:
    """`metrics.jsonl`: one object per line, each with `step` and `kind` ("train", "validation", ...).

    Going on from step n drops what an interrupted run wrote after it, so that each step stands there once.
    """

    def __init__(self, path: Path, resume_step: int = 0):
        self.path = Path(path)
        kept = [row for row in read_metrics(self.path) if row["step"] <= resume_step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text("".join(json.dumps(row) + "\n" for row in kept))
        new.replace(self.path)
        self._file = self.path.open("a")

    def write(self, step: int, kind: str, **values: Any) -> None:
        """Appends one line; it is on disk when this returns. What is infinite or no number becomes null, as in JSON."""
        row = {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in values.items()}
        self._file.write(json.dumps({"step": step, "kind": kind, **row}) + "\n")
        self._file.flush()

    def flush(self) -> None:
        """Nothing is left to do: every line is on disk."""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a metrics file; a last line cut short by a kill is left out, and no file has no rows."""
    rows: list[dict[str, Any]] = []
    if not Path(path).exists():
        return rows
    for line in Path(path).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class Progress:
    """A bar on a terminal; elsewhere a plain line every ten seconds and at the end.

    Attributes:
      done: how many of the total.
      total: how many there are.
    """

    def __init__(self, total: int, start: int = 0, unit: str = "step", every: float = 10.0):
        self.total, self._unit, self._every = total, unit, every
        self.done = start
        self._last = time.monotonic()
        self._bar = tqdm(total=total, initial=start, unit=unit, dynamic_ncols=True) if sys.stderr.isatty() else None

    def update(self, count: int = 1, **values: float) -> None:
        """Moves on by `count` and shows `values`, four significant digits each."""
        self.done += count
        shown = {key: f"{value:.4g}" for key, value in values.items()}
        if self._bar is not None:
            self._bar.update(count)
            self._bar.set_postfix(shown, refresh=False)
        elif time.monotonic() - self._last >= self._every or self.done == self.total:
            self._last = time.monotonic()
            text = " ".join(f"{key} {value}" for key, value in shown.items())
            logging.info("%s %d/%d %s", self._unit, self.done, self.total, text)

    def to(self, done: int, total: int) -> None:
        """Moves on to `done` of `total`; what other rooms call back."""
        self.total = total
        if self._bar is not None and self._bar.total != total:
            self._bar.total = total
        self.update(done - self.done)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
