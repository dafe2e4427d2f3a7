"""A checkpoint of this package: a folder with `config.json` and the parameters as Orbax keeps a pure dict of arrays.

`files/` holds what else lay beside the weights that were converted, the tokenizer's files above all.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from convert.checkpoint_reader import CheckpointError, read_json
from convert.checkpoint_writer import write_json
from convert.pieces import Announced, Piece
from vlsm_jax.models.adaptation import Adaptation
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.lora import LoraConfig
from vlsm_jax.models.vision import VisionConfig
from vlsm_jax.models.vlsm import VlsmConfig

if TYPE_CHECKING:
    from convert.native_arrays import StoredArray

FORMAT, VERSION = "vlsm_jax", 1
PARAMS_FOLDER, FILES_FOLDER = "params", "files"
Config = VlsmConfig | DecoderConfig | VisionConfig
KINDS: dict[str, type] = {"vlsm": VlsmConfig, "decoder": DecoderConfig, "vision": VisionConfig}


class Description(NamedTuple):
    """What a checkpoint is, but for its parameters.

    Attributes:
      config: of the model.
      adaptation: how the model differs from the plain one.
      facts: other entries of `config.json`.
    """

    config: Config
    adaptation: Adaptation
    facts: Mapping[str, Any] = {}

    @property
    def kind(self) -> str:
        """A name in `KINDS`."""
        return next(name for name, kind in KINDS.items() if isinstance(self.config, kind))


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      config, adaptation, facts: see `Description`.
      params: flat, path to array; those of a checkpoint on disk are read when they are asked for.
    """

    config: Config
    adaptation: Adaptation
    params: Mapping[str, jax.Array | np.ndarray | StoredArray]
    facts: Mapping[str, Any] = {}

    @property
    def description(self) -> Description:
        """All but the parameters."""
        return Description(self.config, self.adaptation, self.facts)

    @property
    def kind(self) -> str:
        """A name in `KINDS`."""
        return self.description.kind


def write_native(directory: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; `directory` must not exist, or be empty."""
    from convert.native_arrays import write_arrays  # Orbax: it takes half a second to import

    directory = Path(directory).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    announced = {p: Announced(tuple(a.shape), np.dtype(a.dtype), False) for p, a in checkpoint.params.items()}
    pieces = (Piece(path, None, np.asarray(array)) for path, array in checkpoint.params.items())
    write_arrays(directory / PARAMS_FOLDER, announced, pieces)
    write_description(directory, checkpoint.description)


def write_description(directory: Path, description: Description) -> None:
    """Writes the `config.json` of a checkpoint."""
    config = description.config
    described = config.to_dict() if hasattr(config, "to_dict") else dataclasses.asdict(config)
    write_json(
        directory / "config.json",
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": description.kind,
            "config": described,
            "adaptation": dataclasses.asdict(description.adaptation),
            **description.facts,
        },
    )


def read_native(directory: str | os.PathLike) -> Checkpoint:
    """Reads a checkpoint, its arrays when they are asked for.

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
    from convert.native_arrays import open_arrays

    return Checkpoint(config, adaptation, open_arrays(directory / PARAMS_FOLDER), facts)
