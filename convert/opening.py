"""A checkpoint folder of any kind that is read, its parameters still in their files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp

from convert.bitsandbytes import STATE, STATISTICS, open_quantised_decoder
from convert.checkpoint_reader import OPEN_CLIP_FILE, SINGLE_FILE, CheckpointError, CheckpointReader, read_json
from convert.from_hf import open_hf
from convert.huggingface import OPEN_CLIP_CONFIG
from convert.mapping import Source
from convert.native import Config
from convert.parts import CONNECTOR_FILE, LANGUAGE_MODEL, PARTS_TYPE, VISION_TOWER
from convert.tables import DECODERS
from vlsm_jax.models.adaptation import Adaptation


class Opened(NamedTuple):
    """What a folder holds.

    Attributes:
      config: of the whole VLSM, or of the one part that is there.
      adaptation: which layers are in 4 bits; its paths are those of `config`'s model.
      sources: parameters, with what stands before the paths of each.
      readers: the files.
      dtype: of all parameters but quantised kernels.
    """

    config: Config
    adaptation: Adaptation
    sources: list[tuple[str, Source]]
    readers: list[CheckpointReader]
    dtype: jnp.dtype


def open_checkpoint(
    folder: str | os.PathLike, *, quantise: str | None = None, dtype: str | jnp.dtype | None = None
) -> Opened:
    """Opens a decoder, plain or in bitsandbytes' 4 bits, a CLIP vision tower, a LLaVA model, or a VLSM in parts.

    Args:
      folder: config and weights.
      quantise: a format for the layers' kernels of a plain decoder; a 4-bit checkpoint keeps its own.
      dtype: of the parameters, those of quantised kernels apart; None is what the files have, see `stored_dtype`.

    Raises:
      CheckpointError, UnsupportedConfigError: naming file and tensor, or the field of the config.
    """
    folder = Path(folder)
    readers = open_readers(folder)
    param_dtype = jnp.dtype(dtype or stored_dtype(readers))
    try:
        config, adaptation, sources = _open(folder, readers, quantise, param_dtype)
    except (TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise CheckpointError(
            f"{folder}: its config has a field with a value of another kind than it should: {error!r}"
        ) from error
    return Opened(config, adaptation, sources, readers, param_dtype)


def of_whole_model(adaptation: Adaptation) -> Adaptation:
    """Returns the adaptation of a VLSM whose decoder alone is adapted as is said."""
    lora = adaptation.lora
    if lora is not None:
        lora = dataclasses.replace(lora, targets=tuple(f"decoder/{target}" for target in lora.targets))
    quantised = adaptation.quantised
    if quantised != Adaptation.quantised:  # which has the decoder's paths in both
        quantised = f"(decoder/)?({quantised})"
    return Adaptation(adaptation.quantise, lora, quantised)


def stored_dtype(readers: Sequence[CheckpointReader]) -> str:
    """Returns the dtype that holds every plain weight without loss: what the files have, float32 for several.

    Raises:
      CheckpointError: float64, which nothing here computes in.
    """
    names = {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}
    found: set[str] = set()
    for reader in readers:
        statistics = {
            name.removesuffix(STATE) + suffix
            for name in reader.names
            if name.endswith(STATE)
            for suffix in ("", *STATISTICS)
        }
        for name in reader.names:
            if name in statistics:
                continue
            code = reader.dtype(name)
            if code == "F64":
                raise CheckpointError(f"{reader.where(name)} has the dtype F64; say to which one it is to be rounded")
            found.add(names.get(code, "float32"))
    return found.pop() if len(found) == 1 else "float32"


def open_readers(folder: Path) -> list[CheckpointReader]:
    """Opens all weights of a checkpoint: every file that is missing or cut off is found before anything is read."""
    if not (folder / "config.json").is_file() and (folder / OPEN_CLIP_CONFIG).is_file():
        return [CheckpointReader(folder, OPEN_CLIP_FILE)]
    if read_json(folder / "config.json").get("model_type") == PARTS_TYPE:
        parts = (folder / LANGUAGE_MODEL, SINGLE_FILE), (folder / VISION_TOWER, SINGLE_FILE), (folder, CONNECTOR_FILE)
        return [CheckpointReader(*part) for part in parts]
    return [CheckpointReader(folder)]


def _open(
    folder: Path, readers: list[CheckpointReader], quantise: str | None, dtype: jnp.dtype
) -> tuple[Config, Adaptation, list[tuple[str, Source]]]:
    path = folder / "config.json"
    hf = read_json(path) if path.is_file() else {}
    kind = hf.get("model_type")
    method = (hf.get("quantization_config") or {}).get("quant_method")
    if method not in (None, "bitsandbytes"):
        raise CheckpointError(f"{path}: quant_method {method!r}; of quantised checkpoints only bitsandbytes' are read")
    in_4_bits = any(name.endswith(STATE) for reader in readers for name in reader.names)
    if method and not in_4_bits:
        raise CheckpointError(
            f"{path} says bitsandbytes, and no tensor is in its 4-bit NF4; 8 bits and FP4 are not read"
        )
    if quantise is not None or in_4_bits:
        if kind not in DECODERS:
            raise CheckpointError(
                f"{path}: model_type {kind!r}; only decoders alone ({', '.join(sorted(DECODERS))}) are quantised, or "
                "read in 4 bits"
            )
        config, adaptation, source = open_quantised_decoder(folder, quantise, param_dtype=dtype)
        return config, adaptation, [("", source)]
    config, sources = open_hf(folder, param_dtype=dtype)
    return config, Adaptation(), [(f"{name}/" if name else "", source) for name, source in sources.items()]
