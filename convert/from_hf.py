"""From Hugging Face to parameters here: a whole LLaVA model, one part, or a new VLSM from pretrained parts."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import read_json
from convert.huggingface import read_hf_clip_vision, read_hf_decoder
from convert.llava import read_llava
from convert.tables import DECODERS
from vlsm_jax.models.connector import ConnectorConfig, make_connector
from vlsm_jax.models.decoder_config import DecoderConfig, UnsupportedConfigError
from vlsm_jax.models.vision import VisionConfig
from vlsm_jax.models.vlsm import VlsmConfig
from vlsm_jax.sharding import DEFAULT_RULES, Rules, param_shardings

_READERS = {
    "llava": read_llava,
    **dict.fromkeys(DECODERS, read_hf_decoder),
    "clip": read_hf_clip_vision,
    "clip_vision_model": read_hf_clip_vision,
}


def from_hf(
    directory: str | os.PathLike,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[VlsmConfig | DecoderConfig | VisionConfig, nnx.State]:
    """Reads a checkpoint folder of any supported kind, which its `config.json` tells.

    Arguments and errors are those of `read_hf_decoder`.
    """
    kind = read_json(Path(directory) / "config.json").get("model_type")
    if kind not in _READERS:
        raise UnsupportedConfigError(f"model_type {kind!r} is not one of {', '.join(sorted(_READERS))}")
    return _READERS[kind](directory, param_dtype=param_dtype, mesh=mesh, rules=rules)


def assemble_vlsm(
    decoder_directory: str | os.PathLike,
    vision_directory: str | os.PathLike,
    *,
    connector: ConnectorConfig,
    image_token_id: int | None = None,
    seed: int = 0,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[VlsmConfig, nnx.State]:
    """Returns a VLSM of a pretrained decoder, a pretrained CLIP vision tower and a fresh connector.

    Args:
      decoder_directory, vision_directory: checkpoint folders.
      connector: which connector to start.
      image_token_id: None is the first id past the decoder's vocabulary.
      seed: of the connector's initial values.
      param_dtype, mesh, rules: as for `read_hf_decoder`.

    Returns:
      (config, parameters of a `Vlsm`).
    """
    options = {"param_dtype": param_dtype, "mesh": mesh, "rules": rules}
    decoder_config, decoder = read_hf_decoder(decoder_directory, **options)
    vision_config, vision = read_hf_clip_vision(vision_directory, **options)
    if image_token_id is None:
        image_token_id = decoder_config.vocabulary
    config = VlsmConfig(vision_config, connector, decoder_config, image_token_id)

    def fresh() -> nnx.State:
        rngs = nnx.Rngs(jax.random.key(seed))
        widths = (vision_config.width, decoder_config.width)
        return nnx.state(make_connector(connector, *widths, rngs=rngs, param_dtype=param_dtype))

    places = None if mesh is None else param_shardings(jax.eval_shape(fresh), mesh, rules)
    parts = {"vision": vision, "connector": jax.jit(fresh, out_shardings=places)(), "decoder": decoder}
    return config, nnx.State(parts)
