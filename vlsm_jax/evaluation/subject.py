"""What is evaluated: a checkpoint of a run, or a model folder in Hugging Face layout."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsm_jax.shipped import NotShipped, model_folder

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from vlsm_jax.evaluation.figures import Curve
    from vlsm_jax.generation.decode import Generator

_BLOCKS, _BLOCK = 16, 65_536  # of each file of weights, spread over it


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model with the words for it.

    Attributes:
      name: for titles, such as the config's.
      said: told with every row, and compared when rows are gone on with: the name, and the step or a digest.
      folder: of its results, below `<workdir>/evaluation`.
      generator: writes the scripts.
      losses: over training by set, for the report.
      facts: for the report: name to value.
    """

    name: str
    said: str
    folder: str
    generator: Generator
    losses: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_subject(folder: str | Path, mesh: Mesh) -> Subject:
    """Returns the model of a folder in Hugging Face layout, such as an export.

    Args:
      folder: as for `load_generator`; or the name of a shipped model.
      mesh: devices that decode.

    Raises:
      vlsm_jax.generation.load.ModelError: nothing is there, or it is a model of another kind.
    """
    from vlsm_jax.generation.load import ModelError, load_generator

    try:
        folder = model_folder(folder).resolve()
    except NotShipped as error:
        raise ModelError(str(error)) from error
    generator = load_generator(folder, mesh=mesh)
    name, digest = folder.name, model_digest(folder)
    return Subject(name, f"{name} ({digest})", f"{name}-{digest}", generator, {}, {"model": str(folder)})


def model_digest(folder: Path) -> str:
    """Returns eight digits that tell models apart, also those of the same folder and sizes: of parts of each file.

    Files of folders within count, where a model in parts has its decoder and its encoder.
    """
    digest = hashlib.blake2b(digest_size=4)
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)} {size}".encode())
        with path.open("rb") as file:
            for start in _starts(size):
                file.seek(start)
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _starts(size: int) -> Sequence[int]:
    if size <= _BLOCKS * _BLOCK:
        return range(0, size, _BLOCK)
    return [(size - _BLOCK) * i // (_BLOCKS - 1) for i in range(_BLOCKS)]
