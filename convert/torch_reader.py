"""Reading PyTorch's own files (.pt, .bin), tensors alone: nothing that such a file says to run is run.

PyTorch is imported here, and only when such a file is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import CheckpointError
from convert.mapping import Source, read_params
from convert.tables import stage_two_layout
from vlsm_jax.models.connector import ConnectorConfig, make_connector
from vlsm_jax.models.vision import VisionConfig, VisionEncoder
from vlsm_jax.sharding import DEFAULT_RULES, Rules


class TorchReader:
    """The tensors of one PyTorch file, by name, nested dictionaries joined by dots; used as a `CheckpointReader`.

    Raises:
      CheckpointError: no such file, no PyTorch, a file that holds more than tensors, or something else than
        floating-point weights; the message names file and entry.
    """

    def __init__(self, path: str | os.PathLike):
        self.directory = Path(path)
        try:
            import torch
        except ImportError as error:
            raise CheckpointError(
                f"{path}: reading PyTorch's files needs torch (pip install 'vlsm_jax[torch]'); or save as safetensors"
            ) from error
        try:
            data = torch.load(self.directory, map_location="cpu", weights_only=True)
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such file") from error
        except Exception as error:
            # PyTorch's own errors here are of many classes, and advise to switch the protection off.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise CheckpointError(
                f"{path}: damaged, or holds other things than tensors, which are never loaded; save its state_dict "
                f"alone ({type(error).__name__}: {reason[:200]})"
            ) from error
        if not isinstance(data, Mapping):
            raise CheckpointError(f"{path}: expected a dictionary of tensors, not {type(data).__name__}")
        self._tensors: dict[str, Any] = {}
        for name, value in _flatten(data):
            if not isinstance(value, torch.Tensor):
                raise CheckpointError(f"{path}: {name} is {type(value).__name__}, not a tensor")
            if not value.is_floating_point():
                raise CheckpointError(f"{path}: {name} has the dtype {value.dtype}; only plain weights are read")
            self._tensors[name] = value

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(self._tensors)

    def where(self, name: str) -> str:
        """Returns file and tensor name, for messages."""
        return f"{self.directory}: {name}"

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor."""
        return tuple(self._tensors[name].shape)

    def dtype(self, name: str) -> str:
        """Returns the dtype of a tensor, as numpy names it."""
        return str(self._tensors[name].dtype).removeprefix("torch.")

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    def read(self, name: str) -> np.ndarray:
        """Returns one tensor."""
        tensor = self._tensors[name].detach().contiguous()
        if str(tensor.dtype) == "torch.bfloat16":  # which numpy has from ml_dtypes, and torch does not know of
            import torch

            return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        return tensor.numpy()


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_stage_two(
    path: str | os.PathLike,
    vision: VisionConfig,
    connector: ConnectorConfig,
    d_text: int,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> dict[str, nnx.State]:
    """Reads the paper's `best_model.pt`: `vision_encoder`, and `proj` (linear) or `connector` (two layers).

    Args:
      path: the file.
      vision, connector: what it holds; "linear" or "mlp", since the others' names are not known.
      d_text: the decoder's width.
      param_dtype, mesh, rules: as for `read_hf_decoder`.

    Returns:
      {"vision": parameters of a `VisionEncoder`, "connector": those of a connector}, to stand in a `Vlsm`'s.

    Raises:
      CheckpointError: as `TorchReader`, or listing the tensors that are missing, left over or of another shape.
      ValueError: a resampling connector.
    """

    abstract = _abstract(vision, connector, d_text, param_dtype)
    params = read_params(TorchReader(path), stage_two_layout(connector), abstract, mesh=mesh, rules=rules)
    return {"vision": params["vision"], "connector": params["connector"]}


def open_stage_two(
    path: str | os.PathLike, vision: VisionConfig, d_text: int, *, param_dtype: jnp.dtype | None = None
) -> tuple[ConnectorConfig, Source]:
    """Returns which connector the paper's `best_model.pt` holds, and the parameters of both parts, as in a `Vlsm`'s.

    Args:
      path, vision, d_text: as for `read_stage_two`.
      param_dtype: None is what the file has, float32 for several.

    Raises:
      CheckpointError: as `TorchReader`, or a file without a connector.
    """
    reader = TorchReader(path)
    kinds = {name.split(".")[0] for name in reader.names} & {"proj", "connector"}
    if len(kinds) != 1:
        raise CheckpointError(
            f"{path}: expected 'vision_encoder' and either 'proj', a linear connector, or 'connector', one of two "
            f"layers; it begins with {', '.join(reader.names[:3]) or 'nothing'}"
        )
    if kinds == {"proj"}:
        connector = ConnectorConfig("linear")
    else:
        first = next((n for n in reader.names if n.startswith("connector.") and n.endswith("0.weight")), None)
        hidden = None if first is None else reader.shape(first)[0]
        connector = ConnectorConfig("mlp", hidden=None if hidden == d_text else hidden)
    dtypes = {reader.dtype(name) for name in reader.names}
    if param_dtype is None:
        param_dtype = jnp.dtype(dtypes.pop() if len(dtypes) == 1 and "float64" not in dtypes else "float32")
    return connector, Source(reader, stage_two_layout(connector), _abstract(vision, connector, d_text, param_dtype))


def _abstract(vision: VisionConfig, connector: ConnectorConfig, d_text: int, param_dtype: jnp.dtype) -> nnx.State:
    def fresh() -> dict[str, nnx.State]:
        rngs = nnx.Rngs(0)
        tower = VisionEncoder(vision, rngs=rngs, param_dtype=param_dtype)
        joint = make_connector(connector, vision.width, d_text, rngs=rngs, param_dtype=param_dtype)
        return {"connector": nnx.state(joint), "vision": nnx.state(tower)}

    return nnx.State(jax.eval_shape(fresh))
