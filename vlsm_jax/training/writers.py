"""Where metrics go besides `metrics.jsonl`: TensorBoard's event files, Weights & Biases."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from absl import logging

from vlsm_jax.training.config import ConfigError


class Writer(Protocol):
    """Takes metrics of a run, those of one step and kind at a time."""

    def write(self, step: int, kind: str, **values: Any) -> None:
        """Takes what there is to say of a step."""

    def flush(self) -> None:
        """Sees to it that others can read what was written."""

    def close(self) -> None:
        """Ends the run."""


class TensorBoardWriter:
    """Event files in a folder, by the writer that TensorBoard itself has; scalars are named "kind/name".

    Going on from step n hides what an interrupted run wrote after it.
    """

    def __init__(self, folder: Path, resume_step: int = 0):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        # Files are read in the order of their names, which have a second in them, and behind it nothing that tells
        # which came first.
        seconds = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
        last = max((int(second) for second in seconds if second.isdecimal()), default=0)
        while int(time.time()) == last:
            time.sleep(0.01)
        self._file = EventFileWriter(str(folder))
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._file.add_event(self._event(wall_time=time.time(), step=resume_step + 1, session_log=start))

    def write(self, step: int, kind: str, **values: Any) -> None:
        """Adds those values that are numbers."""
        found = [self._summary.Value(tag=f"{kind}/{name}", simple_value=x) for name, x in _numbers(values).items()]
        self._file.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=found)))

    def flush(self) -> None:
        """Puts all there is on disk."""
        self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


class WandbWriter:
    """A run of Weights & Biases, with its files in `workdir`; a run that goes on is the same run there.

    Project, mode, entity and the rest are chosen as everywhere, by `WANDB_PROJECT`, `WANDB_MODE` and their like.
    """

    def __init__(self, workdir: Path, facts: Mapping[str, Any]):
        import wandb

        kept = Path(workdir) / "wandb-run"
        name = kept.read_text().strip() if kept.exists() else ""
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "vlsm_jax"),
                dir=str(workdir),
                config=dict(facts),
                id=name or None,
                resume="allow",
                settings=wandb.Settings(console="off", quiet=True),
            )
        except wandb.Error as error:
            raise ConfigError(
                f"log.writers has 'wandb', and Weights & Biases does not start: {error}; log in by `wandb login`, or "
                "set WANDB_MODE=offline and upload later by `wandb sync`"
            ) from error
        kept.write_text(self._run.id + "\n")
        # Its own steps only go up; ours go back where a run goes on from a checkpoint.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, kind: str, **values: Any) -> None:
        """Logs those values that are numbers."""
        self._run.log({"step": step, **{f"{kind}/{name}": x for name, x in _numbers(values).items()}})

    def flush(self) -> None:
        """Nothing to do: it uploads by itself."""

    def close(self) -> None:
        """Ends the run, once all of it is uploaded."""
        self._run.finish()


WRITERS: Mapping[str, Callable[[Path, int, Mapping[str, Any]], Writer]] = {
    "tensorboard": lambda workdir, step, facts: TensorBoardWriter(workdir / "tensorboard", step),
    "wandb": lambda workdir, step, facts: WandbWriter(workdir, facts),
}


class Writers:
    """Several writers as one. What goes wrong with one of them, once it has started, costs the run nothing else: it is
    said, and the writer is left out from there on.

    Args:
      names: of `WRITERS`; one whose package is not installed is left out, and that is said.
      workdir: of the run.
      resume_step: what was written after this step is to be forgotten.
      facts: the config and what else describes the run.

    Raises:
      ConfigError: one of them does not start. When a run goes on, this too is only said.
    """

    def __init__(self, names: Sequence[str], workdir: Path, resume_step: int, facts: Mapping[str, Any]):
        self._open: dict[str, Writer] = {}
        for name in names:
            try:
                self._open[name] = WRITERS[name](Path(workdir), resume_step, facts)
            except ModuleNotFoundError as error:
                logging.warning(
                    "log.writers has %r, but %s is not installed (pip install %s): metrics.jsonl has the same figures",
                    *(name, str(error.name).split(".")[0], name),
                )
            except ConfigError as error:
                if not resume_step:
                    raise
                logging.warning("%s; the run goes on without it, and metrics.jsonl has the same figures", error)

    def write(self, step: int, kind: str, **values: Any) -> None:
        """Gives all of them what there is to say of a step."""
        self._each(lambda writer: writer.write(step, kind, **values))

    def flush(self) -> None:
        """Sees to it that others can read what was written."""
        self._each(lambda writer: writer.flush())

    def close(self) -> None:
        """Ends all of them."""
        self._each(lambda writer: writer.close())
        self._open.clear()

    def _each(self, call: Callable[[Writer], None]) -> None:
        for name, writer in list(self._open.items()):
            try:
                call(writer)
            except Exception as error:  # whatever theirs is called
                logging.warning(
                    "log.writers: %r is left out from here on, metrics.jsonl has the same figures: %s: %s",
                    *(name, type(error).__name__, error),
                )
                del self._open[name]


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, numbers.Real)}
