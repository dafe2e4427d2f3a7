"""Pretrained parts as Hugging Face stores them: decoders and CLIP vision towers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import OPEN_CLIP_FILE, CheckpointReader, read_json
from convert.checkpoint_writer import MAX_SHARD_BYTES, check_no_weights, write_checkpoint, write_json
from convert.mapping import Source, flatten_params, pending_tensors, read_params
from convert.processor_files import write_generation_config, write_tokenizer
from convert.tables import clip_vision_layout, decoder_layout, open_clip_layout
from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.positions import resize_positions
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
    config, source = open_hf_decoder(directory, param_dtype=param_dtype)
    return config, read_params(*source, mesh=mesh, rules=rules)


def open_hf_decoder(
    directory: str | os.PathLike, *, param_dtype: jnp.dtype = jnp.float32
) -> tuple[DecoderConfig, Source]:
    """Returns what `read_hf_decoder` does, with the parameters still in their files."""
    config = DecoderConfig.from_hf_config(read_json(Path(directory) / "config.json"))
    model = nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0), param_dtype=param_dtype))
    return config, Source(CheckpointReader(directory), decoder_layout(config), nnx.state(model))


OPEN_CLIP_CONFIG = "open_clip_config.json"


def _is_open_clip(directory: Path) -> bool:
    return (directory / OPEN_CLIP_CONFIG).is_file() and not (directory / "config.json").is_file()


def read_vision_config(
    directory: str | os.PathLike, *, image_size: int | None = None, feature_layer: int = -1, drop_cls: bool = False
) -> VisionConfig:
    """Reads the vision tower's config from a checkpoint folder, no weights; arguments as for `read_vision`."""
    directory, features = Path(directory), {"feature_layer": feature_layer, "drop_cls": drop_cls}
    if _is_open_clip(directory):
        config = VisionConfig.from_open_clip_config(read_json(directory / OPEN_CLIP_CONFIG), **features)
    else:
        hf = read_json(directory / "config.json")
        config = VisionConfig.from_hf_config(hf, preprocessor=read_preprocessor(directory), **features)
    return config if image_size is None else config.for_images(image_size)


def read_vision(
    directory: str | os.PathLike,
    *,
    image_size: int | None = None,
    feature_layer: int = -1,
    drop_cls: bool = False,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[VisionConfig, nnx.State]:
    """Reads the vision tower of a CLIP checkpoint folder: transformers' layout (4 or 5), else open_clip's own.

    The text tower is left aside. Mean and deviation of the pixels come from `preprocessor_config.json` or
    `open_clip_config.json` where they say them.

    Args:
      directory: holds `config.json` and safetensors files as transformers names them, or `open_clip_config.json` and
        `open_clip_model.safetensors`.
      image_size: in pixels, where images are to be larger or smaller than the tower was trained for; its positions are
        then interpolated.
      feature_layer, drop_cls: what the VLSM takes from the encoder; see `VisionConfig`.
      param_dtype, mesh, rules: as for `read_hf_decoder`, whose errors are raised here too.

    Returns:
      (config, parameters of a `VisionEncoder`).
    """
    features = {"image_size": image_size, "feature_layer": feature_layer, "drop_cls": drop_cls}
    config, source = open_vision(directory, param_dtype=param_dtype, **features)
    return config, read_params(*source, mesh=mesh, rules=rules)


def open_vision(
    directory: str | os.PathLike,
    *,
    image_size: int | None = None,
    feature_layer: int = -1,
    drop_cls: bool = False,
    param_dtype: jnp.dtype = jnp.float32,
) -> tuple[VisionConfig, Source]:
    """Returns what `read_vision` does, with the parameters still in their files."""
    directory = Path(directory)
    config = read_vision_config(directory, image_size=image_size, feature_layer=feature_layer, drop_cls=drop_cls)
    model = nnx.eval_shape(lambda: VisionEncoder(config, rngs=nnx.Rngs(0), param_dtype=param_dtype))
    if _is_open_clip(directory):
        return config, Source(CheckpointReader(directory, OPEN_CLIP_FILE), open_clip_layout(), nnx.state(model))
    return config, Source(CheckpointReader(directory), clip_vision_layout(), nnx.state(model))


def read_preprocessor(directory: Path) -> dict[str, Any]:
    """Returns the image processor's settings, empty where the folder has none."""
    path = directory / "preprocessor_config.json"
    return read_json(path) if path.is_file() else {}


def write_hf_decoder(
    directory: str | os.PathLike,
    config: DecoderConfig,
    params: nnx.State | Mapping[str, Any],
    tokenizer: Tokenizer | None = None,
    *,
    dtype: jnp.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a decoder as a checkpoint folder that transformers 4 and 5 load.

    Args:
      directory: made where it does not exist; must not hold weights.
      config, params: of a `Decoder`.
      tokenizer: written beside it, with a chat template and settings of generation; None writes none of them.
      dtype: of the tensors in the file; None keeps each parameter's own.
      max_shard_bytes: a larger checkpoint is cut into shards.

    Raises:
      FileExistsError: the folder holds weights.
      CheckpointError: a parameter without a Hugging Face name.
      UnsupportedConfigError: the Hugging Face config cannot express this one.
      ValueError: see `processor_files.write_tokenizer`.
    """
    directory = Path(directory)
    check_no_weights(directory)
    flat = flatten_params(params)
    name = str(np.dtype(dtype or flat["embedding/table"].dtype))
    hf = config.to_hf_config(dtype=name)
    tensors = list(pending_tensors(decoder_layout(config), flat, dtype=dtype))
    directory.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        write_tokenizer(directory, tokenizer)
        write_generation_config(directory, config, config.vocabulary)
    write_json(directory / "config.json", hf)
    write_checkpoint(directory, tensors, max_shard_bytes=max_shard_bytes)


def write_hf_vision(
    directory: str | os.PathLike,
    config: VisionConfig,
    params: nnx.State | Mapping[str, Any],
    *,
    dtype: jnp.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a vision tower as a `CLIPVisionModel` checkpoint folder that transformers 4 and 5 load.

    Positions for another image size are written interpolated. Arguments and errors are those of `write_hf_decoder`.
    """
    directory = Path(directory)
    check_no_weights(directory)
    config, flat = with_own_positions(config, flatten_params(params))
    name = str(np.dtype(dtype or flat["cls"].dtype))
    tensors = list(pending_tensors(clip_vision_layout(), flat, dtype=dtype))
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "config.json", config.to_hf_config(name))
    write_checkpoint(directory, tensors, max_shard_bytes=max_shard_bytes)


def with_own_positions(
    config: VisionConfig, flat: Mapping[str, Any], table: str = "position/table"
) -> tuple[VisionConfig, dict[str, Any]]:
    """Returns a tower that needs no interpolation and does the same: config, and parameters by path.

    Args:
      config, flat: of the tower; `flat` may hold others too.
      table: path of its positions.
    """
    flat = dict(flat)
    if config.position_size not in (None, config.image_size):
        across = config.image_size // config.patch_size
        flat[table] = resize_positions(jnp.asarray(flat[table]), across, antialias=config.position_antialias)
        config = dataclasses.replace(config, position_size=None)
    return config, flat
