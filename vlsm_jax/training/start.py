"""Where a run's parameters start: a whole model or pretrained parts where the config names them, else random values."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from vlsm_jax.data.known_names import FILE as KNOWN_NAMES
from vlsm_jax.models import DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.training.config import ConfigError
from vlsm_jax.training.network import Network, Params, flatten

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", KNOWN_NAMES)
"""What a tokenizer's folder may hold; the first is needed."""


def read_decoder_config(source: str) -> DecoderConfig:
    """Returns the sizes of a pretrained decoder, from its folder or its name on the Hugging Face hub.

    Raises:
      ConfigError: there is none, or it cannot be used.
    """
    from convert.checkpoint_reader import CheckpointError, read_json
    from convert.hub import find_source

    try:
        hf = dict(read_json(find_source(source) / "config.json"))
        hf.pop("quantization_config", None)
        return DecoderConfig.from_hf_config(hf)
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"model.init.decoder={source!r}: {error}") from error


def find_model(source: str) -> Path:
    """Returns the folder of a whole model, by its path or name; raises ConfigError where there is none."""
    from convert.checkpoint_reader import CheckpointError
    from convert.hub import find_source

    try:
        return find_source(source)
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"model.init.model={source!r}: {error}") from error


def check_init(init: Mapping[str, Any]) -> None:
    """Raises ConfigError where `model.init` has a key that there is not."""
    unknown = sorted(init.keys() - {"decoder", "vision", "model"})
    if unknown:
        raise ConfigError(f"no config key model.init.{unknown[0]}; there are decoder, vision, model")


def check_model(source: str, fit: str) -> None:
    """Raises ConfigError where a whole model is not there, or makes squares of sketches in another way than `fit`."""
    from convert.llava import read_fit

    trained = read_fit(find_model(source)).value
    if trained != fit:
        raise ConfigError(f"pipeline.fit={fit!r}, and model.init.model={source!r} was trained with {trained!r}")


def copy_tokenizer(source: str, target: Path) -> Path:
    """Copies the tokenizer of a whole model into a folder of its own, so that a run does not hang on where that lies.

    Raises:
      ConfigError: there is no such model, or its tokenizer is of another kind.
    """
    folder = find_model(source)
    if not (folder / TOKENIZER_FILES[0]).is_file():
        raise ConfigError(f"{folder} has no {TOKENIZER_FILES[0]}; name the model's tokenizer with data.tokenizer")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
        draft = Path(scratch, "tokenizer")
        draft.mkdir()
        for name in TOKENIZER_FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, draft / name)
        return draft.rename(target)


def read_model_config(source: str) -> VlsmConfig:
    """Returns the sizes of a whole model: an export, anyone's LLaVA, or the shipped one by its name.

    Raises:
      ConfigError: there is none, or it is a part of a model only.
    """
    from convert.checkpoint_reader import CheckpointError
    from convert.from_hf import open_hf

    try:
        config, _ = open_hf(find_model(source))
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"model.init.model={source!r}: {error}") from error
    if not isinstance(config, VlsmConfig):
        part = "decoder" if isinstance(config, DecoderConfig) else "vision"
        raise ConfigError(f"model.init.model={source!r} is no whole model but one part; name it as model.init.{part}")
    return config


def read_encoder_config(source: str) -> VisionConfig:
    """Returns the sizes of a pretrained CLIP vision tower; arguments and errors as for `read_decoder_config`."""
    from convert.checkpoint_reader import CheckpointError
    from convert.hub import find_source
    from convert.huggingface import read_vision_config

    try:
        return read_vision_config(find_source(source))
    except (CheckpointError, OSError) as error:
        raise ConfigError(f"model.init.vision={source!r}: {error}") from error


def initial_params(
    network: Network, seed: int, mesh: Mesh, *, decoder: str = "", vision: str = "", model: str = ""
) -> Params:
    """Returns the parameters of step 0, on `mesh`.

    Pretrained parts are read tensor by tensor straight to their places. A decoder that the network keeps in few bits is
    quantised weight by weight, or taken as it is where the checkpoint is in that format already.

    Args:
      network: the model.
      seed: of everything that starts at random: connector, adapters, and parts without a source.
      mesh: the devices.
      decoder, vision: a folder or a name on the Hugging Face hub; "" starts at random.
      model: the same of a whole model, or the name of a shipped one; decoder and vision take the place of its own.

    Raises:
      ConfigError: a source that is not there, or that is of another size than the network.
    """
    from convert.checkpoint_reader import CheckpointError

    read: Params = {}
    try:
        if model:
            read |= _read_model(network, model, seed, mesh)
        if decoder:
            read |= _read_decoder(network, decoder, mesh)
        if vision:
            read |= _read_encoder(network, vision, mesh)
    except CheckpointError as error:
        raise ConfigError(f"model.init: {error}") from error
    wanted, places = network.shapes, network.shardings(mesh)
    wrong = [
        f"{name}: {list(value.shape)}, the config has {list(wanted[name].shape) if name in wanted else 'no such array'}"
        for name, value in read.items()
        if name not in wanted or wanted[name].shape != value.shape
    ]
    if wrong:
        raise ConfigError("model.init: a pretrained part does not fit:\n  " + "\n  ".join(wrong[:10]))
    missing = [name for name in wanted if name not in read]

    # What is read is never made: XLA leaves out what nothing asks for.
    def fresh(seed: jax.Array) -> dict[str, jax.Array]:
        params = network.init(seed)
        return {name: params[name] for name in missing}

    return read | jax.jit(fresh, out_shardings={name: places[name] for name in missing})(seed)


def starter(network: Network, seed: int, mesh: Mesh, init: dict[str, Any]) -> Callable[[], Params] | None:
    """Returns what `train` calls for the parameters of a new run, or None where all of them start at random.

    Raises:
      ConfigError: see `check_init`.
    """
    check_init(init)
    if not any(init.values()):
        return None
    return lambda: initial_params(network, seed, mesh, **init)


def _read_model(network: Network, source: str, seed: int, mesh: Mesh) -> Params:
    from convert.from_hf import from_hf
    from convert.hub import find_source

    _, state = from_hf(find_source(source), param_dtype=network.param_dtype, mesh=mesh)
    params = flatten(state)
    if network.adaptation.quantise == "none":
        return params
    return jax.jit(network.adapt, out_shardings=network.shardings(mesh))(params, seed)


def _read_decoder(network: Network, source: str, mesh: Mesh) -> Params:
    from convert.bitsandbytes import read_quantised_decoder
    from convert.hub import find_source
    from convert.huggingface import read_hf_decoder

    options = {"param_dtype": network.param_dtype, "mesh": mesh}
    quantise = network.adaptation.quantise
    if quantise == "none":
        _, state = read_hf_decoder(find_source(source), **options)
    else:
        _, _, state = read_quantised_decoder(find_source(source), quantise, **options)
    return {f"decoder/{name}": value for name, value in flatten(state).items()}


def _read_encoder(network: Network, source: str, mesh: Mesh) -> Params:
    from convert.hub import find_source
    from convert.huggingface import read_vision

    if network.config.vision is None:
        raise ConfigError(f"model.init.vision={source!r}, and the model has no encoder; leave it empty")
    _, state = read_vision(find_source(source), param_dtype=network.param_dtype, mesh=mesh)
    return {f"vision/{name}": value for name, value in flatten(state).items()}
