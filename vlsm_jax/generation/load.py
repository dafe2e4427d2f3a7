"""A generator from a model folder in Hugging Face layout.

The folder may be an export of ours, in parts as well, or anyone's LLaVA of a CLIP encoder and a Llama or StarCoder2
decoder.
It may also be named: the model that comes with the package is "nano".
"""

from __future__ import annotations

from pathlib import Path

import jax
from jax.sharding import Mesh

from vlsm_jax.data.tokenizer import TokenizerError, load_tokenizer
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.draft_examples import ExamplesError, find_lookup
from vlsm_jax.models import UnsupportedConfigError
from vlsm_jax.sharding import make_mesh
from vlsm_jax.shipped import NANO, NotShipped, model_folder
from vlsm_jax.training.network import Network, flatten


class ModelError(ValueError):
    """A model folder that cannot be used; the message says what is missing or does not fit."""


def load_generator(directory: str | Path = NANO, *, mesh: Mesh | None = None, drafts: bool = True) -> Generator:
    """Returns a generator with the weights, tokenizer and image processing of a folder.


    Args:
      directory: config, weights, tokenizer and preprocessor files; or the name of a shipped model.
      mesh: where the parameters go; None puts them on the first device.
      drafts: whether tokens are drafted, where the folder has examples for that; the same is written without.

    Raises:
      ModelError: nothing is there, or it is a model of another kind.
    """
    from convert.checkpoint_reader import CheckpointError, read_json
    from convert.llava import read_fit, read_llava
    from convert.parts import PARTS_TYPE, read_parts

    try:
        directory = model_folder(directory)
    except NotShipped as error:
        raise ModelError(str(error)) from error
    if not (directory / "config.json").is_file():
        raise ModelError(
            f"no model at {directory}: there is no config.json; `launch.py` writes one to <workdir>/export, and "
            f"the name {NANO!r} stands for the one that comes with the package"
        )
    mesh = make_mesh(devices=jax.devices()[:1]) if mesh is None else mesh
    try:
        kind = read_json(directory / "config.json").get("model_type")
        readers = {"llava": read_llava, PARTS_TYPE: read_parts}
        if kind not in readers:
            raise ModelError(f"{directory}: model_type {kind!r} is not one of {', '.join(readers)}")
        config, params = readers[kind](directory, mesh=mesh)
        tokenizer = load_tokenizer(directory)
        lookup = find_lookup(directory, tokenizer) if drafts else None
    except (CheckpointError, ExamplesError, TokenizerError, UnsupportedConfigError) as error:
        raise ModelError(str(error)) from error
    network, params = Network.create(config), flatten(params)
    return Generator(network, params, tokenizer, fit=read_fit(directory), mesh=mesh, lookup=lookup, take_params=True)
