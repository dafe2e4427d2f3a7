"""Pretrained parts as Hugging Face stores them: decoders and CLIP vision towers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import CheckpointReader, read_json
from convert.checkpoint_writer import MAX_SHARD_BYTES, check_no_weights, write_checkpoint, write_json
from convert.mapping import flatten_params, pending_tensors, read_params
from convert.tables import clip_vision_layout, decoder_layout
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vision import VisionConfig, VisionEncoder
from vlsm_jax.sharding import DEFAULT_RULES, Rules


def read_hf_decoder(
    directory: str | os.PathLike,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[DecoderConfig, nnx.State]:
    """Reads a decoder's checkpoint folder, of transformers 4 or 5; which families there are, `convert.tables` says.

    Args:
      directory: holds `config.json` and safetensors files.
      param_dtype: what the parameters are kept in.
      mesh, rules: where they are placed; without a mesh, on the default device.

    Returns:
      (config, parameters of a `Decoder`).

    Raises:
      CheckpointError: files, tensors or shapes that do not fit; all are listed.
      UnsupportedConfigError: the config asks for something the decoder does not do.
    """
    config = DecoderConfig.from_hf_config(read_json(Path(directory) / "config.json"))
    model = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), param_dtype=param_dtype))
    reader = CheckpointReader(directory)
    return config, read_params(reader, decoder_layout(config), nnx.state(model), mesh=mesh, rules=rules)


def read_hf_clip_vision(
    directory: str | os.PathLike,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[VisionConfig, nnx.State]:
    """Reads the vision tower of a CLIP checkpoint folder, of transformers 4 or 5; the text tower is left aside.

    Mean and deviation of the pixels come from `preprocessor_config.json` where there is one. Arguments and errors are
    those of `read_hf_decoder`.

    Returns:
      (config, parameters of a `VisionEncoder`).
    """
    directory = Path(directory)
    config = VisionConfig.from_hf_config(
        read_json(directory / "config.json"), preprocessor=read_preprocessor(directory)
    )
    model = nnx.eval_shape(lambda: VisionEncoder(config, rngs=nnx.Rngs(0), param_dtype=param_dtype))
    reader = CheckpointReader(directory)
    return config, read_params(reader, clip_vision_layout(), nnx.state(model), mesh=mesh, rules=rules)


def read_preprocessor(directory: Path) -> dict[str, Any]:
    """Returns the image processor's settings, empty where the folder has none."""
    path = directory / "preprocessor_config.json"
    return read_json(path) if path.is_file() else {}


def write_hf_decoder(
    directory: str | os.PathLike,
    config: DecoderConfig,
    params: nnx.State | Mapping[str, Any],
    *,
    dtype: jnp.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a decoder as a checkpoint folder that transformers 4 and 5 load.

    Args:
      directory: made where it does not exist; must not hold weights.
      config, params: of a `Decoder`.
      dtype: of the tensors in the file; None keeps each parameter's own.
      max_shard_bytes: a larger checkpoint is cut into shards.

    Raises:
      FileExistsError: the folder holds weights.
      CheckpointError: a parameter without a Hugging Face name.
      UnsupportedConfigError: the Hugging Face config cannot express this one.
    """
    directory = Path(directory)
    check_no_weights(directory)
    flat = flatten_params(params)
    name = str(np.dtype(dtype or flat["embedding/table"].dtype))
    hf = config.to_hf_config(dtype=name)
    tensors = list(pending_tensors(decoder_layout(config), flat, dtype=dtype))
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", hf)
    write_checkpoint(directory, tensors, max_shard_bytes=max_shard_bytes)
