"""Adapters as PEFT keeps them: `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from convert.checkpoint_reader import SINGLE_FILE, CheckpointError, CheckpointReader, read_json
from convert.checkpoint_writer import is_writer, write_checkpoint, write_json
from convert.mapping import Source, flatten_params, pending_tensors, read_params
from convert.operations import Linear
from convert.tables import Entry, Layout, decoder_layout
from vlsm_jax.models.adaptation import Adaptation, adapt
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.lora import LoraConfig, LoraParam
from vlsm_jax.sharding import DEFAULT_RULES, Rules

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX = "base_model.model."
# Settings that change what an adapter computes and that there is nothing for here; each with the value that means "no".
_UNSUPPORTED = {
    "use_dora": False,
    "bias": "none",
    "lora_bias": False,
    "fan_in_fan_out": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "alpha_pattern": {},
    "layers_to_transform": None,
    "layer_replication": None,
    "trainable_token_indices": None,
    "target_parameters": None,
}


def adapter_layers(config: DecoderConfig) -> dict[str, Entry]:
    """Returns the decoder's layers that PEFT can adapt, by path here: "layers/attention/q"."""
    kernels = [e for e in decoder_layout(config).entries if e.ours.endswith("/kernel")]
    return {e.ours.removesuffix("/kernel"): e for e in kernels if isinstance(e.operation, Linear) and e.part is None}


def adapter_layout(config: DecoderConfig, layers: Mapping[str, Entry]) -> Layout:
    """Returns the names of an adapter's tensors: lora_A [r, in] and lora_B [out, r] of every layer."""
    entries = []
    for path, entry in layers.items():
        base = PREFIX + entry.hf.removesuffix(".weight")
        # As kernels both are transposed; A has the inputs of the layer, B only the rank.
        entries.append(Entry(f"{base}.lora_A.weight", f"{path}/lora/a", entry.operation))
        entries.append(Entry(f"{base}.lora_B.weight", f"{path}/lora/b", Linear(1)))
    return Layout(tuple(entries))


def read_peft(
    directory: str | os.PathLike,
    config: DecoderConfig,
    *,
    param_dtype: jnp.dtype = jnp.float32,
    mesh: Mesh | None = None,
    rules: Rules = DEFAULT_RULES,
) -> tuple[LoraConfig, nnx.State]:
    """Reads an adapter of a decoder.

    Which layers it adapts is read from its tensors. A name in its `target_modules` that no tensor bears is logged: PEFT
    lets it pass, and the layer that was meant has no adapter.

    Args:
      directory: holds the two files.
      config: of the decoder.
      param_dtype, mesh, rules: as for `read_hf_decoder`.

    Returns:
      (config, with paths of a `Decoder` as targets; the adapters' parameters).

    Raises:
      CheckpointError: a kind of adapter that there is not here, or tensors that do not fit the decoder.
    """
    lora, source = open_peft(directory, config, param_dtype=param_dtype)
    return lora, read_params(*source, mesh=mesh, rules=rules)


def open_peft(
    directory: str | os.PathLike, config: DecoderConfig, *, param_dtype: jnp.dtype = jnp.float32
) -> tuple[LoraConfig, Source]:
    """Returns what `read_peft` does, with the parameters still in their files."""
    directory = Path(directory)
    settings = read_json(directory / CONFIG_FILE)
    if settings.get("peft_type") != "LORA":
        raise CheckpointError(f"{directory / CONFIG_FILE}: peft_type {settings.get('peft_type')!r}; only LORA is read")
    asked = [f"{k}={settings[k]!r}" for k, off in _UNSUPPORTED.items() if settings.get(k) and settings[k] != off]
    if asked:
        raise CheckpointError(f"{directory / CONFIG_FILE}: not supported: {', '.join(asked)}")
    reader = CheckpointReader(directory, WEIGHTS_FILE)
    layers = {
        path: entry
        for path, entry in adapter_layers(config).items()
        if f"{PREFIX}{entry.hf.format(layer=0).removesuffix('.weight')}.lora_A.weight" in reader.names
    }
    if not layers:
        raise CheckpointError(
            f"{directory / WEIGHTS_FILE} adapts no layer of a {config.family!r} decoder; its first tensor is "
            f"{min(reader.names, default='(none)')}, and a name like {PREFIX}model.layers.0.…lora_A.weight was expected"
        )
    targets = settings.get("target_modules")
    if isinstance(targets, list):
        adapted = {entry.hf.removesuffix(".weight").rsplit(".", 1)[1] for entry in layers.values()}
        idle = sorted(set(targets) - adapted)
        if idle:
            logging.getLogger(__name__).warning(
                "%s names the targets %s, for which there is no adapter", directory / CONFIG_FILE, ", ".join(idle)
            )
    try:
        lora = LoraConfig(
            rank=settings.get("r", 8),
            alpha=float(settings.get("lora_alpha", 8)),
            dropout=float(settings.get("lora_dropout", 0.0)),
            rslora=bool(settings.get("use_rslora", False)),
            targets=tuple(layers),
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{directory / CONFIG_FILE}: {error}") from error
    abstract = abstract_adapters(config, lora, param_dtype)
    return lora, Source(reader, adapter_layout(config, layers), abstract)


def abstract_adapters(config: DecoderConfig, lora: LoraConfig, param_dtype: jnp.dtype = jnp.float32) -> nnx.State:
    """Returns the shapes of a decoder's adapters; raises ValueError for a target that matches no layer."""

    def make() -> nnx.State:
        model = adapt(Decoder(config, rngs=nnx.Rngs(0)), Adaptation(lora=lora), nnx.Rngs(0), param_dtype=param_dtype)
        return nnx.state(model, LoraParam)

    return nnx.eval_shape(make)


def write_peft(
    directory: str | os.PathLike,
    config: DecoderConfig,
    lora: LoraConfig,
    params: nnx.State | Mapping[str, Any],
    *,
    base: str = "",
    dtype: jnp.dtype | None = None,
) -> None:
    """Writes a decoder's adapters as PEFT loads them.

    Args:
      directory: made where it does not exist; must not hold an adapter.
      config: of the decoder.
      lora: of the adapters.
      params: of the decoder; all but the adapters are left aside.
      base: where PEFT finds the model that is adapted, a name or a folder.
      dtype: of the tensors in the file; None keeps each parameter's own.

    Raises:
      FileExistsError: the folder holds an adapter.
      CheckpointError: no adapter among the parameters, or one of a layer that has no tensor of its own there.
    """
    directory = Path(directory)
    if (directory / WEIGHTS_FILE).exists():
        raise FileExistsError(f"{directory} already holds an adapter ({WEIGHTS_FILE}); choose another folder")
    adapters = {path: array for path, array in flatten_params(params).items() if "/lora/" in path}
    paths = sorted({path.rsplit("/lora/", 1)[0] for path in adapters})
    known = adapter_layers(config)
    unknown = [path for path in paths if path not in known]
    if unknown or not paths:
        raise CheckpointError(
            f"PEFT has no name for an adapter of {', '.join(unknown)}" if unknown else "the parameters hold no adapter"
        )
    layers = {path: known[path] for path in paths}
    tensors = list(pending_tensors(adapter_layout(config, layers), adapters, dtype=dtype))
    directory.mkdir(parents=True, exist_ok=True)
    write_json(
        directory / CONFIG_FILE,
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": lora.rank,
            "lora_alpha": int(lora.alpha) if lora.alpha == int(lora.alpha) else lora.alpha,
            "lora_dropout": lora.dropout,
            "use_rslora": lora.rslora,
            "target_modules": sorted({e.hf.removesuffix(".weight").rsplit(".", 1)[1] for e in layers.values()}),
            "bias": "none",
            "fan_in_fan_out": False,
            "init_lora_weights": True,
            "inference_mode": True,
            "modules_to_save": None,
        },
    )
    with tempfile.TemporaryDirectory(dir=directory, prefix=".adapter-") as scratch:
        write_checkpoint(Path(scratch), tensors, max_shard_bytes=sum(tensor.nbytes for tensor in tensors))
        if is_writer():
            Path(scratch, SINGLE_FILE).replace(directory / WEIGHTS_FILE)
