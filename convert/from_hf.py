"""From Hugging Face to parameters here: a whole LLaVA model, one part, or a new VLSM from pretrained parts."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import read_json
from convert.huggingface import (
    OPEN_CLIP_CONFIG,
    open_hf_decoder,
    open_vision,
    read_hf_decoder,
    read_vision,
    read_vision_config,
)
from convert.llava import open_llava, read_llava
from convert.mapping import Source, join_parts
from convert.parts import PARTS_TYPE, open_parts, read_parts
from convert.tables import DECODERS
from vlsm_jax.models.connector import ConnectorConfig, make_connector
from vlsm_jax.models.decoder_config import DecoderConfig, UnsupportedConfigError
from vlsm_jax.models.vision import CLIP_TYPE, OWN_TYPE, VisionConfig, VisionEncoder
from vlsm_jax.models.vlsm import VlsmConfig
from vlsm_jax.sharding import DEFAULT_RULES, Rules, param_shardings

_READERS = {
    "llava": (read_llava, open_llava),
    PARTS_TYPE: (read_parts, open_parts),
    **dict.fromkeys(DECODERS, (read_hf_decoder, open_hf_decoder)),
    "clip": (read_vision, open_vision),
    CLIP_TYPE: (read_vision, open_vision),
    OWN_TYPE: (read_vision, open_vision),
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
    return _READERS[_kind(Path(directory))][0](directory, param_dtype=param_dtype, mesh=mesh, rules=rules)


def open_hf(
    directory: str | os.PathLike, *, param_dtype: jnp.dtype = jnp.float32
) -> tuple[VlsmConfig | DecoderConfig | VisionConfig, dict[str, Source]]:
    """Returns what `from_hf` does, with the parameters still in their files: by part, or under "" when it is one."""
    config, found = _READERS[_kind(Path(directory))][1](directory, param_dtype=param_dtype)
    return config, {"": found} if isinstance(found, Source) else found


def _kind(directory: Path) -> str:
    if (directory / OPEN_CLIP_CONFIG).is_file() and not (directory / "config.json").is_file():
        return "clip"
    kind = read_json(directory / "config.json").get("model_type")
    if not isinstance(kind, str) or kind not in _READERS:
        raise UnsupportedConfigError(f"model_type {kind!r} is not one of {', '.join(sorted(_READERS))}")
    return kind


def assemble_vlsm(
    decoder_directory: str | os.PathLike,
    vision_directory: str | os.PathLike,
    *,
    connector: ConnectorConfig,
    image_token_id: int | None = None,
    seed: int = 0,
    random_vision: bool = False,
    image_size: int | None = None,
    feature_layer: int = -1,
    drop_cls: bool = False,
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
      random_vision: start the vision tower anew, in the sizes of `vision_directory`: what pretraining is worth.
      image_size, feature_layer, drop_cls: as for `read_vision`.
      param_dtype, mesh, rules: as for `read_hf_decoder`.

    Returns:
      (config, parameters of a `Vlsm`).
    """
    options = {"param_dtype": param_dtype, "mesh": mesh, "rules": rules}
    decoder_config, decoder = read_hf_decoder(decoder_directory, **options)
    features = {"image_size": image_size, "feature_layer": feature_layer, "drop_cls": drop_cls}
    if random_vision:
        vision_config, vision = read_vision_config(vision_directory, **features), None
    else:
        vision_config, vision = read_vision(vision_directory, **features, **options)
    if image_token_id is None:
        image_token_id = decoder_config.vocabulary
    config = VlsmConfig(vision_config, connector, decoder_config, image_token_id)

    def fresh() -> dict[str, nnx.State]:
        keys, widths = jax.random.split(jax.random.key(seed)), (vision_config.width, decoder_config.width)
        made = make_connector(connector, *widths, rngs=nnx.Rngs(keys[0]), param_dtype=param_dtype)
        parts = {"connector": nnx.state(made)}
        if vision is None:
            parts["vision"] = nnx.state(VisionEncoder(vision_config, rngs=nnx.Rngs(keys[1]), param_dtype=param_dtype))
        return parts

    places = None if mesh is None else {k: param_shardings(v, mesh, rules) for k, v in jax.eval_shape(fresh).items()}
    made = jax.jit(fresh, out_shardings=places)()
    return config, join_parts({"decoder": decoder, "vision": vision} | made)
