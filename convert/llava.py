"""A VLSM as a LLaVA checkpoint, which transformers, vLLM and others load without custom code, and back."""

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

from convert.checkpoint_reader import CheckpointReader, read_json
from convert.checkpoint_writer import MAX_SHARD_BYTES, check_no_weights, write_checkpoint, write_json
from convert.huggingface import read_preprocessor, with_own_positions
from convert.mapping import Source, flatten_params, pending_tensors, read_params
from convert.parts import VISION_TOWER
from convert.processor_files import write_generation_config, write_preprocessor, write_processor
from convert.tables import llava_layout
from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import Tokenizer, load_tokenizer
from vlsm_jax.models.connector import ConnectorConfig
from vlsm_jax.models.decoder_config import DecoderConfig, UnsupportedConfigError
from vlsm_jax.models.vision import VisionConfig
from vlsm_jax.models.vlsm import VlsmConfig, abstract_model
from vlsm_jax.sharding import DEFAULT_RULES, Rules

# Key in config.json for what LLaVA's own fields cannot say; other readers ignore it.
OWN_SECTION = "vlsm_jax"
# Padded vocabularies are a multiple of this, as usual for matrix units.
VOCABULARY_MULTIPLE = 64


def padded_vocabulary(config: VlsmConfig) -> int:
    """Returns the rows of embedding and head in an export: the image token must have one."""
    if config.image_token_id < config.decoder.vocabulary:
        return config.decoder.vocabulary
    return -(-(config.image_token_id + 1) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE


def to_llava_config(config: VlsmConfig, *, dtype: str = "float32") -> dict[str, Any]:
    """Returns the `config.json` of an export, as transformers 4 and 5 both read it.

    Raises:
      UnsupportedConfigError, ValueError: naming what LLaVA cannot express.
    """
    if config.decoder.logit_softcap is not None:
        raise UnsupportedConfigError(f"llava: its head has no soft cap ({config.decoder.logit_softcap}) on the scores")
    rows = padded_vocabulary(config)
    text = config.decoder.to_hf_config(dtype) | {"vocab_size": rows}
    return {
        "model_type": "llava",
        "architectures": ["LlavaForConditionalGeneration"],
        "image_token_index": config.image_token_id,
        "image_seq_length": config.vision.tokens,
        "projector_hidden_act": "linear" if config.connector.kind == "linear" else "gelu",
        "multimodal_projector_bias": True,
        "vision_feature_layer": config.vision.feature_layer,
        "vision_feature_select_strategy": "default" if config.vision.drop_cls else "full",
        "tie_word_embeddings": config.decoder.tied,
        "text_config": text,
        "vision_config": config.vision.to_hf_config(dtype),
        "torch_dtype": dtype,
        "dtype": dtype,
        OWN_SECTION: {
            "vocabulary": config.decoder.vocabulary,
            "tied": config.decoder.tied,
            "connector": {"hidden": config.connector.hidden, "init_std": config.connector.init_std},
        },
    }


def from_llava_config(
    hf: Mapping[str, Any], *, has_head: bool, preprocessor: Mapping[str, Any] | None = None
) -> VlsmConfig:
    """Reads a LLaVA config, one of ours or another's.

    Args:
      hf: `config.json`.
      has_head: whether the checkpoint holds an output head; without one, the config must tie it to the embedding.
      preprocessor: `preprocessor_config.json`, for mean and deviation of the pixels.

    Raises:
      UnsupportedConfigError: naming the field that asks for something not supported.
    """
    if hf.get("model_type") != "llava":
        raise UnsupportedConfigError(f"model_type {hf.get('model_type')!r} is not 'llava'")
    own = hf.get(OWN_SECTION, {})
    act = hf.get("projector_hidden_act", "gelu")
    if act not in ("gelu", "linear"):
        raise UnsupportedConfigError(f"llava: projector_hidden_act {act!r} is neither 'gelu' nor 'linear'")
    if not hf.get("multimodal_projector_bias", True):
        raise UnsupportedConfigError("llava: a projector without bias (multimodal_projector_bias) is not supported")
    layer, strategy = hf.get("vision_feature_layer", -2), hf.get("vision_feature_select_strategy", "default")
    if not isinstance(layer, int) or layer >= 0:
        raise UnsupportedConfigError(f"llava: vision_feature_layer {layer!r} is not one layer counted from the end")
    if strategy not in ("default", "full"):
        raise UnsupportedConfigError(f"llava: vision_feature_select_strategy {strategy!r} is not 'default' or 'full'")
    text = dict(hf["text_config"])
    text["vocab_size"] = own.get("vocabulary", text.get("vocab_size"))
    text_tied = text.get("tie_word_embeddings", text.get("model_type") in ("starcoder2", "gemma3_text"))
    text["tie_word_embeddings"] = own.get("tied", not has_head and (text_tied or hf.get("tie_word_embeddings", False)))
    vision = VisionConfig.from_hf_config(
        hf["vision_config"], preprocessor=preprocessor, feature_layer=layer, drop_cls=strategy == "default"
    )
    return VlsmConfig(
        vision=vision,
        connector=ConnectorConfig(kind="linear" if act == "linear" else "mlp", **own.get("connector", {})),
        decoder=DecoderConfig.from_hf_config(text),
        image_token_id=hf.get("image_token_index", hf.get("image_token_id", 32000)),
    )


def write_llava(
    directory: str | os.PathLike,
    config: VlsmConfig,
    params: nnx.State | Mapping[str, Any],
    tokenizer: Tokenizer | str | os.PathLike | None = None,
    *,
    fit: Fit = Fit.PAD,
    dtype: jnp.dtype | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a VLSM as a `LlavaForConditionalGeneration` checkpoint, for transformers 4.57 and 5.

    Args:
      directory: made where it does not exist; must not hold weights.
      config, params: of a `Vlsm`; parameters nested or flat.
      tokenizer: one, or a folder with one; without it, the export has no tokenizer and no chat template.
      fit: how sketches became squares in training; recorded for the image processor.
      dtype: of the tensors in the file; None keeps each parameter's own.
      max_shard_bytes: a larger checkpoint is cut into shards.

    Raises:
      FileExistsError: the folder holds weights.
      CheckpointError: a parameter without a Hugging Face name.
      ValueError: a connector that LLaVA's projector cannot hold, or a tokenizer whose image token is another.
      UnsupportedConfigError: the Hugging Face configs cannot express this one.
    """
    directory = Path(directory)
    check_no_weights(directory)
    if tokenizer is not None and not isinstance(tokenizer, Tokenizer):
        tokenizer = load_tokenizer(tokenizer)
    if tokenizer is not None and tokenizer.image_id != config.image_token_id:
        raise ValueError(
            f"the tokenizer's image token has the id {tokenizer.image_id}, the model's is {config.image_token_id}"
        )
    vision, flat = with_own_positions(config.vision, flatten_params(params), "vision/position/table")
    config = dataclasses.replace(config, vision=vision)
    name = str(np.dtype(dtype or flat["decoder/embedding/table"].dtype))
    hf = to_llava_config(config, dtype=name)
    rows = padded_vocabulary(config)
    tensors = list(pending_tensors(llava_layout(config, rows), flat, dtype=dtype))
    directory.mkdir(parents=True, exist_ok=True)
    if tokenizer is not None:
        write_processor(directory, config.vision, tokenizer)
    write_preprocessor(directory, config.vision, fit)
    write_generation_config(directory, config.decoder, rows)
    write_json(directory / "config.json", hf)
    write_checkpoint(directory, tensors, max_shard_bytes=max_shard_bytes)


def read_fit(directory: str | os.PathLike) -> Fit:
    """Returns how a checkpoint's image processor makes squares of pictures; CLIP's own crop where it says nothing.

    Args:
      directory: a LLaVA model, or one in parts, which has the image processor beside its vision tower.
    """
    directory = Path(directory)
    settings = read_preprocessor(directory) or read_preprocessor(directory / VISION_TOWER)
    if settings.get("do_pad"):
        return Fit.PAD
    return Fit.CROP if settings.get("do_center_crop", True) else Fit.SQUASH


def read_llava(
    directory: str | os.PathLike,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[VlsmConfig, nnx.State]:
    """Reads a LLaVA checkpoint with a CLIP vision tower and one of our families of decoders, in any of its layouts.

    Arguments and errors are those of `read_hf_decoder`.

    Returns:
      (config, parameters of a `Vlsm`).
    """
    config, source = open_llava(directory, param_dtype=param_dtype)
    return config, read_params(*source, mesh=mesh, rules=rules)


def open_llava(directory: str | os.PathLike, *, param_dtype: jnp.dtype = jnp.float32) -> tuple[VlsmConfig, Source]:
    """Returns what `read_llava` does, with the parameters still in their files."""
    directory = Path(directory)
    hf = read_json(directory / "config.json")
    reader = CheckpointReader(directory)
    has_head = any(name.endswith("lm_head.weight") for name in reader.names)
    config = from_llava_config(hf, has_head=has_head, preprocessor=read_preprocessor(directory))
    rows = hf["text_config"].get("vocab_size", config.decoder.vocabulary)
    _, abstract = abstract_model(config, param_dtype=param_dtype)
    return config, Source(reader, llava_layout(config, rows), abstract)
