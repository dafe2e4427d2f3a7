"""The model that comes with the package: a name that stands for its folder wherever a model is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

NANO = "nano"
SHIPPED: Mapping[str, Path] = MappingProxyType({NANO: Path(__file__).parent / "nano"})
"""Name to folder, which holds config, weights, tokenizer and image processor in Hugging Face's LLaVA layout."""

_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


class NotShipped(ValueError):
    """The shipped model is asked for, and its weights are not in this installation."""


def model_folder(model: str | os.PathLike) -> Path:
    """Returns the folder of a model.

    Args:
      model: the name of a shipped model, or a folder. A folder of the same name is told apart by `./nano`; a `Path` is
        always a folder.

    Raises:
      NotShipped: a name whose weights are not there; says what to do.
    """
    if not isinstance(model, str) or model not in SHIPPED:
        return Path(model)
    folder = SHIPPED[model]
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise NotShipped(
            f"the model {model!r} is not in this installation: {folder} has no {missing[0]}. Name another model's "
            f"folder, or make this one as {folder / 'README.md'} says; a folder of that name is written ./{model}"
        )
    return folder
