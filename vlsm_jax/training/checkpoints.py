"""Checkpoints of state and data position together, through Orbax.

A checkpoint is written under a temporary name and renamed when it is whole, so a kill at any moment leaves the last
complete one.
"""

from __future__ import annotations

import contextlib
import errno
import json
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp

from vlsm_jax.training.optimizer import path_name


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or does not fit; the message names folder and cause."""


class Checkpoints:
    """The checkpoints of one run, in `<workdir>/checkpoints/<step>`.

    Args:
      directory: made if missing, unless it is only read.
      keep: the newest this many stay.
      read_only: nothing is written, made or tidied up, so that another process may be training into the folder.

    Raises:
      CheckpointError: the folder cannot be made, or is to be read and is not there.
    """

    def __init__(self, directory: Path, *, keep: int = 2, read_only: bool = False):
        self.directory = Path(directory).absolute()
        if read_only and not self.directory.is_dir():
            raise self._nothing_here()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"cannot make {self.directory}: {error.strerror}") from error
        self._saving: int | None = None
        if read_only:
            options = ocp.CheckpointManagerOptions(
                read_only=True, create=False, save_interval_steps=0, enable_async_checkpointing=False
            )
        else:
            options = ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                enable_async_checkpointing=True,
                cleanup_tmp_directories=jax.process_count() == 1,
            )
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=options,
            # Named here and not left to the first save: what another process wrote must be readable at once.
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                # The place in the data is the same on all hosts, so their number may be another one next time.
                "data": ocp.JsonCheckpointHandler(),
                "facts": ocp.JsonCheckpointHandler(),
            },
        )

    @property
    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, data: Any, facts: dict[str, Any]) -> None:
        """Starts writing state (arrays), data iterator and facts (JSON); returns before the disk has it.

        Raises:
          CheckpointError: this or the save before it failed, as on a full disk. Earlier checkpoints are untouched.
        """
        try:
            self._manager.wait_until_finished()  # so that a failure is told of the save that failed
        except Exception as error:
            raise self._save_error(error) from error
        self._saving = step
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    data=ocp.args.JsonSave(data.get_state()),
                    facts=ocp.args.JsonSave(facts),
                ),
            )
        except Exception as error:
            raise self._save_error(error) from error

    def wait(self) -> None:
        """Returns when everything that was saved is on disk; raises as `save` does."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._save_error(error) from error

    def restore(self, abstract_state: Any, data: Any, step: int | None = None) -> tuple[int, Any, dict[str, Any]]:
        """Returns step, state and facts of a checkpoint, and sets the data iterator to its place.

        Args:
          abstract_state: shapes, dtypes and shardings of the state to be read.
          data: the iterator, or None to leave the data alone.

        Raises:
          CheckpointError: there is none, or its arrays have other names or shapes than the state.
        """
        step = self.latest_step if step is None else step
        if step is None:
            raise self._nothing_here()
        self._check_shapes(step, abstract_state)
        items: dict[str, Any] = {
            "state": ocp.args.StandardRestore(abstract_state),
            "facts": ocp.args.JsonRestore(),
        }
        if data is not None:
            items["data"] = ocp.args.JsonRestore()
            if list((self.directory / str(step) / "data").glob("process_*-of-*.json")):
                raise CheckpointError(
                    f"the checkpoint {self.directory}/{step} keeps its place in the data as an earlier version did; "
                    "evaluate or export it, or train in another --workdir"
                )
        restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        if data is not None:
            data.set_state(restored["data"])
        return step, restored["state"], restored["facts"]

    def close(self) -> None:
        """Waits for the last save and lets go of the folder."""
        self.wait()
        self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is None:
            self.close()
            return
        # Orbax has threads at work that must not outlive the run, but what went wrong first is what counts.
        with contextlib.suppress(Exception):
            self._manager.close()

    def _nothing_here(self) -> CheckpointError:
        return CheckpointError(f"no complete checkpoint in {self.directory}; train first")

    def _save_error(self, error: Exception) -> CheckpointError:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(
            word in str(error) for word in ("No space left", "RESOURCE_EXHAUSTED", "File too large", "quota")
        )
        cause = "the disk is full" if full else f"{type(error).__name__}: {error}"
        return CheckpointError(
            f"the checkpoint of step {self._saving} could not be written to {self.directory}: {cause}. "
            "Earlier checkpoints are whole; make room and run the same command to go on from the last one"
        )

    def _check_shapes(self, step: int, abstract_state: Any) -> None:
        """Compares names and shapes before any array is read: Orbax's own message is a page of trees."""
        metadata = self._manager.item_metadata(step)["state"]
        found, wanted = _shapes(getattr(metadata, "tree", metadata)), _shapes(abstract_state)
        lines = [f"{name}: checkpoint only" for name in sorted(found.keys() - wanted.keys())]
        lines += [f"{name}: config only" for name in sorted(wanted.keys() - found.keys())]
        lines += [
            f"{name}: checkpoint {list(found[name])}, config {list(wanted[name])}"
            for name in sorted(found.keys() & wanted.keys())
            if found[name] != wanted[name]
        ]
        if lines:
            shown = lines[:10] + ([f"... and {len(lines) - 10} more"] if len(lines) > 10 else [])
            raise CheckpointError(
                f"the checkpoint {self.directory}/{step} was written by another model or optimizer:\n  "
                + "\n  ".join(shown)
                + "\nuse the config it was trained with, or another --workdir"
            )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {path_name(path): tuple(x.shape) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def to_json(facts: Any) -> Any:
    """Returns `facts` with NumPy scalars and paths turned into plain JSON values."""
    return json.loads(json.dumps(facts, default=lambda x: x.item() if isinstance(x, np.generic) else str(x)))
