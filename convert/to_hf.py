"""From parameters here to Hugging Face: a whole VLSM as LLaVA or in parts, a decoder or a vision tower on its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flax import nnx

from convert.huggingface import write_hf_decoder, write_hf_vision
from convert.llava import write_llava
from convert.parts import write_parts
from convert.tables import fits_llava
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vision import VisionConfig
from vlsm_jax.models.vlsm import VlsmConfig


def to_hf(
    directory: str | os.PathLike,
    config: VlsmConfig | DecoderConfig | VisionConfig,
    params: nnx.State | Mapping[str, Any],
    **options: Any,
) -> None:
    """Writes a checkpoint folder of the kind that `config` says; `options` are those of that kind's writer.

    A VLSM becomes one LLaVA model where LLaVA can hold it, else a folder of parts, which is logged.

    Raises:
      TypeError: another kind of config.
    """
    if isinstance(config, VlsmConfig):
        if fits_llava(config):
            write_llava(directory, config, params, **options)
        else:
            write_parts(directory, config, params, **options)
    elif isinstance(config, DecoderConfig):
        write_hf_decoder(directory, config, params, **options)
    elif isinstance(config, VisionConfig):
        write_hf_vision(directory, config, params, **options)
    else:
        raise TypeError(f"{type(config).__name__} is no VlsmConfig, DecoderConfig or VisionConfig")
