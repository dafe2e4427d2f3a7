"""Checkpoints of state and data position together, through Orbax.

A checkpoint is written under a temporary name and renamed when it is whole, so a kill at any moment leaves the last
complete one. Frozen parameters are written once and not into every checkpoint (frozen_parameters.py). The newest ones
stay, and the one with the lowest validation loss.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from vlsm_jax.training.frozen_parameters import FOLDER, FrozenParameters
from vlsm_jax.training.optimizer import path_name
from vlsm_jax.training.step import TrainState

Which = Literal["last", "best"]
"""The newest checkpoint, or that of the lowest validation loss."""
WHICH = get_args(Which)


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written or does not fit; the message names folder and cause."""


class Checkpoints:
    """The checkpoints of one run, in `<workdir>/checkpoints/<step>`.

    Args:
      directory: made if missing, unless it is only read.
      keep: the newest this many stay, and the best one.
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
        self._read_only = read_only
        best = {"best_fn": _validation_loss, "best_mode": "min"}
        if read_only:
            options = ocp.CheckpointManagerOptions(
                read_only=True, create=False, save_interval_steps=0, enable_async_checkpointing=False, **best
            )
        else:
            lowest = policies.BestN(
                get_metric_fn=_validation_loss, reverse=True, n=1, keep_checkpoints_without_metrics=False
            )
            if jax.process_count() == 1:
                _remove_unfinished(self.directory)
            options = ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), lowest]),
                enable_async_checkpointing=True,
                **best,
            )
        self._frozen = FrozenParameters(self.directory)
        try:
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
        except json.JSONDecodeError as error:  # the losses of all checkpoints are read
            raise CheckpointError(
                f"a checkpoint in {self.directory} is damaged, in its file metrics/metrics: {error}; move it away"
            ) from error
        # Training asks this itself, call by call (preemption.py); by the number of a step it would upset the count.
        self._manager.reached_preemption = lambda step: False

    @property
    def latest_step(self) -> int | None:
        """Step of the newest complete checkpoint, or None."""
        return self._manager.latest_step()

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and validation loss of the complete checkpoint that has the lowest, or None."""
        step = self._manager.best_step()
        found = math.inf if step is None else _validation_loss(self._manager.metrics(step) or {})
        return None if step is None or found == math.inf else (step, found)

    def step_of(self, which: Which) -> int:
        """Returns the step of a checkpoint.

        Raises:
          CheckpointError: there is none, or none that was validated.
        """
        if self.latest_step is None:
            raise self._nothing_here()
        if which == "last":
            return self.latest_step
        if self.best is None:
            raise CheckpointError(
                f"no checkpoint in {self.directory} has a validation loss, so none is the best; take the last one"
            )
        return self.best[0]

    def begin(self, state: TrainState) -> None:
        """Starts writing what the checkpoints of a new run have in common, its frozen parameters.

        Raises:
          CheckpointError: it cannot be written.
        """
        try:
            self._frozen.write(state.frozen)
        except Exception as error:
            raise self._save_error(error) from error

    def save(
        self, step: int, state: TrainState, data: Any, facts: dict[str, Any], validation_loss: float | None = None
    ) -> None:
        """Starts writing state (arrays), data iterator and facts (JSON); returns before the disk has it.

        Of the state, frozen parameters are left out: `begin` has written them, or `restore` has read them.

        Raises:
          CheckpointError: this or the save before it failed, as on a full disk. Earlier checkpoints are untouched.
        """
        self.wait()  # so that a failure is told of the save that failed, and no checkpoint is ahead of what it needs
        self._saving = step
        # Without a loss it is no candidate for the best one.
        validated = validation_loss is not None and math.isfinite(validation_loss)
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state._replace(frozen={})),
                    data=ocp.args.JsonSave(data.get_state()),
                    facts=ocp.args.JsonSave({**facts, "frozen": self._frozen.checksums}),
                ),
                metrics={"loss": validation_loss} if validated else {},
            )
        except Exception as error:
            raise self._save_error(error) from error

    def wait(self) -> None:
        """Returns when everything that was saved is on disk; raises as `save` does."""
        try:
            self._frozen.wait()
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._save_error(error) from error

    def check(self, abstract_state: TrainState) -> None:
        """Compares the newest checkpoint's names and shapes with those of a state, so that a run that cannot go on
        ends before its data is read; without a checkpoint there is nothing to compare.

        Raises:
          CheckpointError: it was written by another model or optimizer, or its frozen parameters are missing.
        """
        if self.latest_step is not None:
            with self._reading(self.latest_step):
                self._check_shapes(self.latest_step, abstract_state)

    def restore(
        self, abstract_state: TrainState, data: Any, step: int | None = None
    ) -> tuple[int, TrainState, dict[str, Any]]:
        """Returns step, state and facts of a checkpoint, and sets the data iterator to its place.

        Args:
          abstract_state: shapes, dtypes and shardings of the state to be read.
          data: the iterator, or None to leave the data alone.
          step: None is the newest.

        Raises:
          CheckpointError: there is none, it is damaged, its arrays have other names or shapes than the state, or the
            frozen parameters are not those that it was written with.
        """
        step = self.step_of("last") if step is None else step
        with self._reading(step):
            state, facts, place = self._read(step, abstract_state, with_data=data is not None)
        if data is not None:
            try:
                data.set_state(place)
            except (LookupError, TypeError) as error:
                with self._reading(step):
                    raise ValueError(f"no place in the data: {place!r}") from error
        return step, state, facts

    def close(self) -> None:
        """Waits for the last save and lets go of the folder."""
        self.wait()
        self._manager.close()
        self._frozen.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is None:
            self.close()
            return
        # Orbax has threads at work that must not outlive the run, but what went wrong first is what counts.
        with contextlib.suppress(Exception):
            self._manager.close()
        with contextlib.suppress(Exception):
            self._frozen.close()

    def _nothing_here(self) -> CheckpointError:
        return CheckpointError(f"no complete checkpoint in {self.directory}; train first")

    def _save_error(self, error: Exception) -> CheckpointError:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(
            word in str(error) for word in ("No space left", "RESOURCE_EXHAUSTED", "File too large", "quota")
        )
        cause = "the disk is full" if full else f"{type(error).__name__}: {error}"
        if self._saving is None:
            return CheckpointError(
                f"the frozen parameters could not be written to {self.directory}: {cause}. Make room and run the same "
                "command again"
            )
        return CheckpointError(
            f"the checkpoint of step {self._saving} could not be written to {self.directory}: {cause}. "
            "Earlier checkpoints are whole; make room and run the same command to go on from the last one"
        )

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        """Says of a checkpoint that cannot be read where it is and what to do."""
        try:
            yield
        except _NOT_DAMAGE:
            raise
        except Exception as error:  # Orbax and its parts raise what they please over files that are cut short
            earlier = [other for other in self._manager.all_steps() if other < step]
            go_on = (
                f"move that folder away, and the same command goes on from step {max(earlier)}"
                if earlier
                else "there is no earlier one; bring it back from a copy, or train in another --workdir"
            )
            raise CheckpointError(
                f"the checkpoint {self.directory}/{step} is damaged ({_short(error)}); {go_on}"
            ) from error

    @contextlib.contextmanager
    def _reading_frozen(self, step: int) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise CheckpointError(
                f"the checkpoint {self.directory}/{step} needs the frozen parameters of its run, and "
                f"{self._frozen.path} is not there; bring that folder back, or copy it along with the checkpoints"
            ) from error
        except _NOT_DAMAGE:
            raise
        except Exception as error:
            raise CheckpointError(
                f"the frozen parameters in {self._frozen.path} are damaged ({_short(error)}); bring that folder back "
                "from a copy, or train in another --workdir"
            ) from error

    def _read(
        self, step: int, abstract_state: TrainState, *, with_data: bool
    ) -> tuple[TrainState, dict[str, Any], dict[str, Any] | None]:
        apart = self._check_shapes(step, abstract_state)
        items: dict[str, Any] = {
            "state": ocp.args.StandardRestore(abstract_state._replace(frozen={}) if apart else abstract_state),
            "facts": ocp.args.JsonRestore(),
        }
        if with_data:
            items["data"] = ocp.args.JsonRestore()
            if list((self.directory / str(step) / "data").glob("process_*-of-*.json")):
                raise CheckpointError(
                    f"the checkpoint {self.directory}/{step} keeps its place in the data as an earlier version did; "
                    "evaluate or export it, or train in another --workdir"
                )
        restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        state, facts = restored["state"], restored["facts"]
        if apart:
            state = state._replace(frozen=self._read_frozen(step, abstract_state.frozen, facts.get("frozen", {})))
        elif not self._read_only:
            self.begin(state)  # as an earlier version wrote it; from here on they stand apart
        return state, facts, restored["data"] if with_data else None

    def _check_shapes(self, step: int, abstract_state: TrainState) -> bool:
        """Compares names and shapes before any array is read: Orbax's own message is a page of trees.

        Returns whether frozen parameters stand apart; those of an earlier version are within.
        """
        metadata = self._manager.item_metadata(step)["state"]
        found, wanted = _shapes(getattr(metadata, "tree", metadata)), _shapes(abstract_state)
        within = any(name.startswith("frozen/") for name in found)
        if abstract_state.frozen and not within:
            with self._reading_frozen(step):
                found |= {f"frozen/{name}": tuple(x.shape) for name, x in self._frozen.shapes().items()}
        lines = [f"{name}: checkpoint only" for name in sorted(found.keys() - wanted.keys())]
        lines += [f"{name}: config only" for name in sorted(wanted.keys() - found.keys())]
        lines += [
            f"{name}: checkpoint {list(found[name])}, config {list(wanted[name])}"
            for name in sorted(found.keys() & wanted.keys())
            if found[name] != wanted[name]
        ]
        if lines:
            raise CheckpointError(
                f"the checkpoint {self.directory}/{step} was written by another model or optimizer:\n  "
                + "\n  ".join(_first(lines))
                + "\nuse the config it was trained with, or another --workdir"
            )
        return not within

    def _read_frozen(
        self, step: int, abstract: Mapping[str, jax.ShapeDtypeStruct], checksums: Mapping[str, int]
    ) -> dict[str, jax.Array]:
        if not abstract:
            return {}
        with self._reading_frozen(step):
            params, changed = self._frozen.read(abstract, checksums)
        if changed:
            raise CheckpointError(
                f"the frozen parameters in {self._frozen.path} are not those that the checkpoint of step {step} was "
                "trained with; these differ:\n  "
                + "\n  ".join(_first(changed))
                + f"\nbring back the folder {FOLDER!r} of that run"
            )
        return params


# What devices and other hosts raise, and what has been said already.
_NOT_DAMAGE = (CheckpointError, jax.errors.JaxRuntimeError, MemoryError)


def _short(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said if len(said) <= 300 else f'{said[:297]}...'}"


def _remove_unfinished(directory: Path) -> None:
    """Removes what a run that was ended has left half-written.

    Here and now: Orbax's manager does so in the background, and may find what this run has begun to write by then.
    """
    for path in directory.iterdir():
        if ocp.utils.TMP_DIR_SUFFIX in path.name:
            shutil.rmtree(path, ignore_errors=True)


def _validation_loss(metrics: Mapping[str, float]) -> float:
    return metrics.get("loss", math.inf)


def _first(lines: list[str], most: int = 10) -> list[str]:
    return lines[:most] + ([f"... and {len(lines) - most} more"] if len(lines) > most else [])


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {path_name(path): tuple(x.shape) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def to_json(facts: Any) -> Any:
    """Returns `facts` with NumPy scalars and paths turned into plain JSON values."""
    return json.loads(json.dumps(facts, default=lambda x: x.item() if isinstance(x, np.generic) else str(x)))
