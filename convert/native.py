"""A checkpoint of this package: a folder with `config.json` and the parameters as Orbax keeps a pure dict of arrays.

`files/` holds what else lay beside the weights that were converted, the tokenizer's files above all.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util

from convert.checkpoint_reader import CheckpointError, read_json
from convert.checkpoint_writer import write_json
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.models.vision import VisionConfig
from vlsm_jax.models.vlsm import VlsmConfig

FORMAT, VERSION = "vlsm_jax", 1
PARAMS_FOLDER, FILES_FOLDER = "params", "files"
Config = VlsmConfig | DecoderConfig | VisionConfig
KINDS: dict[str, type] = {"vlsm": VlsmConfig, "decoder": DecoderConfig, "vision": VisionConfig}


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      config: of the model.
      adaptation: how the model differs from the plain one.
      params: flat, path to array.
      facts: other entries of `config.json`.
    """

    config: Config
    adaptation: Adaptation
    params: Mapping[str, jax.Array | np.ndarray]
    facts: Mapping[str, Any] = {}

    @property
    def kind(self) -> str:
        """A name in `KINDS`."""
        return next(name for name, kind in KINDS.items() if isinstance(self.config, kind))


def write_native(directory: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; `directory` must not exist, or be empty."""
    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    tree = traverse_util.unflatten_dict(dict(checkpoint.params), sep="/")
    # Random mantissas hardly shrink, and packing them takes three times as long as writing them.
    handler = ocp.PyTreeCheckpointHandler(use_compression=False, save_concurrent_gb=1)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(directory / PARAMS_FOLDER, args=ocp.args.PyTreeSave(tree))
    config = checkpoint.config
    described = config.to_dict() if hasattr(config, "to_dict") else dataclasses.asdict(config)
    write_json(
        directory / "config.json",
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": checkpoint.kind,
            "config": described,
            "adaptation": dataclasses.asdict(checkpoint.adaptation),
            **checkpoint.facts,
        },
    )


def read_native(directory: str | os.PathLike) -> Checkpoint:
    """Reads a checkpoint, its arrays into the memory of the host.

    Raises:
      CheckpointError: it is none, of a newer format, or its arrays are damaged.
    """
    directory = Path(directory).absolute()
    path = directory / "config.json"
    described = read_json(path)
    if described.get("format") != FORMAT:
        raise CheckpointError(
            f'{path} is not of a checkpoint of {FORMAT}, which has "format": "{FORMAT}"; a checkpoint of Hugging '
            "Face becomes one with: vlsm convert from-hf"
        )
    if described.get("version") != VERSION:
        raise CheckpointError(f"{path} has the version {described.get('version')!r}; version {VERSION} is read")
    try:
        kind = KINDS[described["kind"]]
        fields = described["config"]
        config = kind.from_dict(fields) if hasattr(kind, "from_dict") else kind(**fields)
        adaptation = dict(described["adaptation"])
        lora = adaptation.pop("lora")
        adaptation = Adaptation(**adaptation, lora=None if lora is None else LoraConfig(**lora))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a model: {error!r}") from error
    known = {"format", "version", "kind", "config", "adaptation"}
    facts = {key: value for key, value in described.items() if key not in known}
    return Checkpoint(config, adaptation, _read_arrays(directory / PARAMS_FOLDER), facts)


def _read_arrays(directory: Path) -> dict[str, np.ndarray]:
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such folder; the checkpoint's arrays should be there")
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(restore_concurrent_gb=1)) as checkpointer:
            metadata = checkpointer.metadata(directory).item_metadata
            found = traverse_util.flatten_dict(getattr(metadata, "tree", metadata), sep="/")
            # One by one: Orbax would hold buffers for all arrays that it reads at the same time.
            return {path: _read_array(checkpointer, directory, path) for path in found}
    except Exception as error:
        # Orbax and TensorStore raise errors of many classes, several lines long.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{directory}: damaged ({type(error).__name__}: {reason[:300]})") from error


def _read_array(checkpointer: ocp.Checkpointer, directory: Path, path: str) -> np.ndarray:
    # Into the host's memory, where it is; as an array of JAX it would be copied once more.
    item, how = (
        traverse_util.unflatten_dict({path: leaf}, sep="/") for leaf in (0, ocp.RestoreArgs(restore_type=np.ndarray))
    )
    args = ocp.args.PyTreeRestore(item=item, restore_args=how, partial_restore=True)
    return traverse_util.flatten_dict(checkpointer.restore(directory, args=args), sep="/")[path]
