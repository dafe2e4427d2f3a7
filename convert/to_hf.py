"""From parameters here to Hugging Face: a whole VLSM as LLaVA, or a decoder on its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flax import nnx

from convert.huggingface import write_hf_decoder
from convert.llava import write_llava
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vlsm import VlsmConfig


def to_hf(
    directory: str | os.PathLike,
    config: VlsmConfig | DecoderConfig,
    params: nnx.State | Mapping[str, Any],
    **options: Any,
) -> None:
    """Writes a checkpoint folder of the kind that `config` says; `options` are those of that kind's writer.

    Raises:
      TypeError: another kind of config.
    """
    if isinstance(config, VlsmConfig):
        write_llava(directory, config, params, **options)
    elif isinstance(config, DecoderConfig):
        write_hf_decoder(directory, config, params, **options)
    else:
        raise TypeError(f"{type(config).__name__} is neither a VlsmConfig nor a DecoderConfig")
