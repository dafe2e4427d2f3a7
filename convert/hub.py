"""Where a checkpoint is: a folder, the name of a shipped model, or a name on the Hugging Face hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from convert.checkpoint_reader import CheckpointError
from vlsm_jax.shipped import NotShipped, model_folder

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


def find_source(source: str | os.PathLike) -> Path:
    """Returns the folder of a checkpoint, fetched from the hub where `source` is no folder but may be a name there.

    Raises:
      CheckpointError: no such folder, no weights of a shipped model, or the hub cannot give it; the message says which.
    """
    try:
        path = model_folder(source)
    except NotShipped as error:
        raise CheckpointError(str(error)) from error
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{path} is a file; give the folder of a checkpoint")
    if not _NAME.fullmatch(os.fspath(source)):
        raise CheckpointError(f"{path}: no such folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise CheckpointError(
            f"{source}: no such folder; as a name on the Hugging Face hub it needs huggingface_hub (pip install "
            "huggingface_hub)"
        ) from error
    try:
        return Path(snapshot_download(os.fspath(source), allow_patterns=list(_FILES)))
    except Exception as error:
        # Errors of several libraries, from no network to no permission.
        reason = (str(error).strip().splitlines() or [""])[0]
        raise CheckpointError(
            f"{source}: no such folder, and the Hugging Face hub did not give it ({type(error).__name__}: "
            f"{reason[:300]}); download it elsewhere and give its folder"
        ) from error
