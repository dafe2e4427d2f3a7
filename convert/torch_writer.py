"""Writing the paper's own `best_model.pt`. PyTorch is imported here, and only when such a file is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from convert.checkpoint_reader import CheckpointError
from convert.mapping import pending_tensors
from convert.tables import stage_two_layout
from vlsm_jax.models.connector import ConnectorConfig

STAGE_TWO_FILE = "best_model.pt"


def write_stage_two(
    path: str | os.PathLike,
    connector: ConnectorConfig,
    params: Mapping[str, Any],
    *,
    dtype: jnp.dtype | None = None,
) -> int:
    """Writes encoder and connector of a VLSM as `{"vision_encoder": ..., "proj" or "connector": ...}`.

    The connector is `proj` when it is linear, and `connector` with the layers 0 and 2 when it has two.

    Args:
      path: the file; its folder is made.
      connector: "linear" or "mlp".
      params: of the VLSM, flat; the decoder is no part of this file.
      dtype: in the file; None keeps each parameter's own.

    Returns:
      How many tensors it holds.

    Raises:
      CheckpointError: no PyTorch, or a connector whose names there are not known.
    """
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(f"{path}: writing PyTorch's files needs torch (pip install 'vlsm_jax[torch]')") from error
    try:
        layout = stage_two_layout(connector)
    except ValueError as error:
        raise CheckpointError(f"upstream: {error}") from error
    ours = {path: array for path, array in params.items() if path.startswith(("vision/", "connector/"))}
    name = "proj" if connector.kind == "linear" else "connector"
    data: dict[str, dict[str, Any]] = {"vision_encoder": {}, name: {}}
    for tensor in pending_tensors(layout, ours, dtype=dtype):
        array = np.asarray(tensor.make(), order="C")
        # torch knows no numpy bfloat16: through float32 nothing is lost.
        exact = torch.from_numpy(array.astype(np.float32)).to(getattr(torch, np.dtype(tensor.dtype).name))
        if tensor.name.startswith("vision_encoder."):
            data["vision_encoder"][tensor.name.removeprefix("vision_encoder.")] = exact
            continue
        _, layer, kind = tensor.name.split(".")
        place = "" if connector.kind == "linear" else {"linear_1": "0.", "linear_2": "2."}[layer]
        data[name][place + kind] = exact
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(data, path)
    return sum(map(len, data.values()))
