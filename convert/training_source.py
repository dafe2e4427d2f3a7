"""The folder of a training run as a checkpoint of this package, its parameters read layer by layer.

What training changes is in `checkpoints/<step>`, what it leaves alone in `checkpoints/frozen`; how the model was made
is in the facts of the step. Nothing is written there, so a run may be going on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from convert.checkpoint_reader import CheckpointError, read_json
from convert.native import Checkpoint
from convert.native_arrays import StoredArray, open_arrays
from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import Tokenizer, TokenizerError, load_tokenizer
from vlsm_jax.models.vlsm import VlsmConfig
from vlsm_jax.training.checkpoints import CheckpointError as NoCheckpoint
from vlsm_jax.training.checkpoints import Checkpoints
from vlsm_jax.training.frozen_parameters import FOLDER, checksums_of
from vlsm_jax.training.network import adaptation_of

CHECKPOINTS_FOLDER, TOKENIZER_FOLDER = "checkpoints", "tokenizer"
# Small arrays are summed together, large ones alone.
_BATCH_BYTES = 256 * 2**20


class TrainingSource(NamedTuple):
    """What a run holds.

    Attributes:
      checkpoint: its model at one step.
      step: which.
      tokenizer: the one it was trained with.
    """

    checkpoint: Checkpoint
    step: int
    tokenizer: Tokenizer


def is_training(directory: Path) -> bool:
    """Whether a folder is that of a run."""
    return (directory / CHECKPOINTS_FOLDER).is_dir() and not (directory / "config.json").exists()


def read_training(workdir: str | os.PathLike, which: str = "last") -> TrainingSource:
    """Reads a run's folder, its arrays when they are asked for.

    Args:
      workdir: as given to training.
      which: "last", the newest checkpoint, or "best", that of the lowest validation loss.

    Raises:
      CheckpointError: no such checkpoint, one that is damaged or does not say what it is, frozen parameters that are
        not those it was trained with, or no tokenizer.
    """
    workdir = Path(workdir).absolute()
    folder = workdir / CHECKPOINTS_FOLDER
    try:
        with Checkpoints(folder, read_only=True) as checkpoints:
            step = checkpoints.step_of(which)
    except NoCheckpoint as error:
        raise CheckpointError(str(error)) from error
    facts = read_json(folder / str(step) / "facts" / "metadata")
    try:
        settings = facts["config"]
        config = VlsmConfig.from_dict(facts["model"])
        adaptation = adaptation_of(settings["model"])
        fit = Fit(settings["pipeline"]["fit"]).value
        named, beginning = settings["data"]["tokenizer"], settings["data"]["beginning"]
        placeholders = settings["data"].get("placeholders", False)
        source = (settings["model"].get("init") or {}).get("decoder", "")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / str(step) / 'facts'} does not describe a model: {error!r}") from error
    state = open_arrays(folder / str(step) / "state", ("trained", "frozen"))
    params = {path.split("/", 1)[1]: array for path, array in state.items()}
    checksums = facts.get("frozen", {})
    if checksums:
        frozen = open_arrays(folder / FOLDER)
        found = _checksums(frozen)
        changed = sorted(n for n in checksums.keys() | found.keys() if checksums.get(n) != found.get(n))
        if changed:
            raise CheckpointError(
                f"{folder / FOLDER}: not what the checkpoint of step {step} was trained with: {', '.join(changed[:10])}"
            )
        params |= frozen
    try:
        tokenizer = load_tokenizer(named or workdir / TOKENIZER_FOLDER)
    except TokenizerError as error:
        raise CheckpointError(f"{workdir}: {error}") from error
    tokenizer = tokenizer.as_trained(beginning=beginning, placeholders=placeholders)
    described = {"fit": fit, "source": source, "step": step, "dtype": str(params["decoder/embedding/table"].dtype)}
    return TrainingSource(Checkpoint(config, adaptation, params, described), step, tokenizer)


def _checksums(arrays: Mapping[str, StoredArray]) -> dict[str, int]:
    """Returns the checksums of arrays, of which only a few, or one that is large, are in memory at a time."""
    found: dict[str, int] = {}
    names = sorted(arrays, key=lambda name: arrays[name].nbytes)
    while names:
        batch, size = [], 0
        while names and (not batch or size + arrays[names[0]].nbytes <= _BATCH_BYTES):
            batch.append(names.pop(0))
            size += arrays[batch[-1]].nbytes
        found |= checksums_of({name: jnp.asarray(np.asarray(arrays[name])) for name in batch})
    return found
