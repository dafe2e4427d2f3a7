"""A VLSM as its parts, for what no model of transformers can hold as a whole: resampling connectors, above all.

The folder holds `language_model/` and `vision_tower/`, which transformers loads, and `connector.safetensors`, whose
names are those of the model that has such a connector (Idefics2, BLIP-2, LLaVA). `config.json` says how they go
together.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import CheckpointError, CheckpointReader, read_json
from convert.checkpoint_writer import (
    MAX_SHARD_BYTES,
    check_no_weights,
    write_checkpoint,
    write_json,
)
from convert.huggingface import open_hf_decoder, open_vision, with_own_positions, write_hf_decoder, write_hf_vision
from convert.mapping import Source, flatten_params, join_parts, pending_tensors, read_params
from convert.processor_files import write_preprocessor, write_tokenizer
from convert.tables import connector_parts_layout
from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import Tokenizer, load_tokenizer
from vlsm_jax.models.connector import make_connector
from vlsm_jax.models.vlsm import VlsmConfig
from vlsm_jax.sharding import DEFAULT_RULES, Rules

PARTS_TYPE = "vlsm_jax_parts"
LANGUAGE_MODEL, VISION_TOWER, CONNECTOR_FILE = "language_model", "vision_tower", "connector.safetensors"
NOTE = (
    "No model of transformers holds this connector, so this is not one checkpoint but its parts: language_model and "
    "vision_tower load in transformers, connector.safetensors needs code that runs it. vlsm_jax reads the folder whole."
)


def write_parts(
    directory: str | os.PathLike,
    config: VlsmConfig,
    params: nnx.State | Mapping[str, Any],
    tokenizer: Tokenizer | str | os.PathLike | None = None,
    *,
    fit: Fit = Fit.PAD,
    dtype: jnp.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes the parts of a VLSM with any connector, and logs that they are parts.

    Arguments and errors are those of `convert.llava.write_llava`.
    """
    directory = Path(directory)
    if tokenizer is not None and not isinstance(tokenizer, Tokenizer):
        tokenizer = load_tokenizer(tokenizer)
    for folder in (directory, directory / LANGUAGE_MODEL, directory / VISION_TOWER):
        check_no_weights(folder)
    flat = flatten_params(params)
    name = str(np.dtype(dtype or flat["decoder/embedding/table"].dtype))
    vision, flat = with_own_positions(config.vision, flat, "vision/position/table")
    whole = VlsmConfig(vision, config.connector, config.decoder, config.image_token_id)
    config.decoder.to_hf_config(name)  # what it cannot express is found before anything is written
    connector = list(pending_tensors(connector_parts_layout(config.connector), _below(flat, "connector/"), dtype=dtype))
    options = {"dtype": dtype, "max_shard_bytes": max_shard_bytes}
    write_hf_decoder(directory / LANGUAGE_MODEL, config.decoder, _below(flat, "decoder/"), **options)
    write_hf_vision(directory / VISION_TOWER, vision, _below(flat, "vision/"), **options)
    write_preprocessor(directory / VISION_TOWER, vision, fit)
    if tokenizer is not None:
        write_tokenizer(directory, tokenizer)
    write_json(directory / "config.json", {"model_type": PARTS_TYPE, "note": NOTE, "vlsm": whole.to_dict()})
    # One file, under a name that no loader of whole models looks for.
    write_checkpoint(directory, connector, max_shard_bytes=2**62, single_file=CONNECTOR_FILE)
    logging.getLogger(__name__).warning("%s: %s", directory, NOTE)


def read_parts(
    directory: str | os.PathLike,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[VlsmConfig, nnx.State]:
    """Reads what `write_parts` wrote; arguments and errors are those of `read_hf_decoder`."""
    config, sources = open_parts(directory, param_dtype=param_dtype)
    return config, join_parts({name: read_params(*part, mesh=mesh, rules=rules) for name, part in sources.items()})


def open_parts(
    directory: str | os.PathLike, *, param_dtype: jnp.dtype = jnp.float32
) -> tuple[VlsmConfig, dict[str, Source]]:
    """Returns what `read_parts` does, with the parameters still in their files; by part of the VLSM."""
    directory = Path(directory)
    path = directory / "config.json"
    described = read_json(path)
    try:
        config = VlsmConfig.from_dict(described["vlsm"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not describe a VLSM in parts: {error!r}") from error
    decoder_config, decoder = open_hf_decoder(directory / LANGUAGE_MODEL, param_dtype=param_dtype)
    features = {"feature_layer": config.vision.feature_layer, "drop_cls": config.vision.drop_cls}
    vision_config, vision = open_vision(directory / VISION_TOWER, **features, param_dtype=param_dtype)
    # How positions would be interpolated is ours to know; here they are those of the image size.
    vision_config = dataclasses.replace(vision_config, position_antialias=config.vision.position_antialias)
    for ours, theirs, folder in (
        (config.decoder, decoder_config, LANGUAGE_MODEL),
        (config.vision, vision_config, VISION_TOWER),
    ):
        if ours != theirs:
            raise CheckpointError(f"{path} and {directory / folder / 'config.json'} describe different models")
    widths = (config.vision.width, config.decoder.width)
    abstract = nnx.state(
        nnx.eval_shape(lambda: make_connector(config.connector, *widths, rngs=nnx.Rngs(0), param_dtype=param_dtype))
    )
    reader = CheckpointReader(directory, CONNECTOR_FILE)
    connector = Source(reader, connector_parts_layout(config.connector), abstract)
    return config, {"connector": connector, "decoder": decoder, "vision": vision}


def _below(flat: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {path.removeprefix(prefix): array for path, array in flat.items() if path.startswith(prefix)}
