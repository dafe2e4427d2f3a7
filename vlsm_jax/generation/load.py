"""A generator from a model folder in Hugging Face layout.

The folder may be an export of ours, in parts as well, anyone's LLaVA of a CLIP encoder and a decoder of a family that
is read, or such a decoder alone, plain or in bitsandbytes' 4 bits. It may also be named: the model that comes with the
package is "nano".
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vlsm_jax.data.images import Fit
from vlsm_jax.data.tokenizer import TokenizerError, load_tokenizer
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.draft_examples import ExamplesError, find_lookup
from vlsm_jax.models import DecoderConfig, UnsupportedConfigError, VisionConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.shipped import NANO, NotShipped, model_folder
from vlsm_jax.training.network import Network, flatten


class ModelError(ValueError):
    """A model folder that cannot be used; the message says what is missing or does not fit."""


def load_generator(directory: str | Path = NANO, *, mesh: Mesh | None = None, drafts: bool = True) -> Generator:
    """Returns a generator with the weights, tokenizer and image processing of a folder.

    On a CPU it computes in float32, on others in what `computing_dtype` says.

    Args:
      directory: config, weights, tokenizer and, for sketches, preprocessor files; or the name of a shipped model.
      mesh: where the parameters go; None puts them on the first device.
      drafts: whether tokens are drafted, where the folder has examples for that; the same is written without.

    Raises:
      ModelError: nothing is there, or it is a model of another kind.
    """
    from convert.checkpoint_reader import CheckpointError
    from convert.llava import read_fit
    from convert.mapping import read_params
    from convert.opening import of_whole_model, open_checkpoint, open_readers, stored_dtype

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
        stored = jnp.dtype(stored_dtype(open_readers(directory)))
        dtype = computing_dtype(stored, mesh.devices.flat[0].platform)
        config, adaptation, sources, _, _ = open_checkpoint(directory, dtype=dtype)
        if isinstance(config, VisionConfig):
            raise ModelError(f"{directory} is a vision tower, and writes nothing; name the folder of a whole model")
        tokenizer = load_tokenizer(directory)
        lookup = find_lookup(directory, tokenizer) if drafts else None
        if isinstance(config, DecoderConfig):
            config, adaptation = VlsmConfig(None, None, config, tokenizer.image_id), of_whole_model(adaptation)
            sources = [(f"decoder/{prefix}", source) for prefix, source in sources]
        params = {
            prefix + path: array
            for prefix, source in sources
            for path, array in flatten(read_params(*source, mesh=mesh)).items()
        }
        fit = Fit.PAD if config.vision is None else read_fit(directory)
    except (CheckpointError, ExamplesError, TokenizerError, UnsupportedConfigError) as error:
        raise ModelError(str(error)) from error
    network = Network.create(config, dtype=dtype, param_dtype=dtype, adaptation=adaptation)
    return Generator(network, params, tokenizer, fit=fit, mesh=mesh, lookup=lookup, take_params=True)


def computing_dtype(stored: jnp.dtype, platform: str) -> jnp.dtype:
    """Returns the dtype of parameters and products where a model is stored in `stored`.

    float32 on a CPU; elsewhere what is stored, and bfloat16 for float16, which TPUs do not compute in.
    """
    if platform == "cpu":
        return jnp.dtype(jnp.float32)
    return jnp.dtype(jnp.bfloat16 if stored == jnp.float16 else stored)
