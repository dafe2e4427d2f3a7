"""Whether an export gives the scores of the checkpoint it was made of, once transformers has loaded it.

Both sides compute in float32 from the same weights. PyTorch is imported here, and only when asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util

from convert.checkpoint_reader import CheckpointError
from convert.plain_kernels import make_model, plain_params
from vlsm_jax.models.adaptation import adapt
from vlsm_jax.models.vlsm import VlsmConfig

if TYPE_CHECKING:
    from convert.exporting import Export

TOKENS = 16
# Of the largest score, or of 1 where that is less.
TOLERANCE = 1e-4


class VerificationError(RuntimeError):
    """The export is not loaded as a whole, or gives other scores."""


def compare_scores(folder: Path, export: Export, base: str | os.PathLike | None = None) -> tuple[float, float]:
    """Returns the largest difference of the scores here and there, and the largest score.

    Args:
      folder: what was written.
      export: what it was made of.
      base: the decoder that an adapter goes with.

    Raises:
      VerificationError: tensors that transformers misses or does not know, or scores that differ.
      CheckpointError: this layout cannot be compared, or PyTorch is not installed.
    """
    if export.layout in ("parts", "upstream"):
        raise CheckpointError(f"{export.layout}: no model of transformers loads it as a whole, so nothing is compared")
    if export.layout == "peft" and export.part.adaptation.quantise != "none":
        raise CheckpointError(
            f"peft: the decoder here is in {export.part.adaptation.quantise!r}, as PEFT's base is not; write it "
            "without --verify"
        )
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise CheckpointError("--verify needs PyTorch and transformers (pip install 'vlsm_jax[torch]')") from error
    rng = np.random.default_rng(0)
    config = export.part.config
    decoder = getattr(config, "decoder", config)
    image = tokens = None
    if export.part.kind != "vision":
        tokens = rng.integers(0, decoder.vocabulary, (1, TOKENS))
    if export.part.kind != "decoder":
        vision = getattr(config, "vision", config)
        if not vision.is_clip:
            raise CheckpointError(
                "transformers has CLIP's encoder and not this one, so nothing is compared; write it without --verify"
            )
        size = vision.image_size
        image = rng.integers(0, 256, (1, size, size, 3)).astype(np.uint8)
    if isinstance(config, VlsmConfig):
        tokens = np.where(tokens == config.image_token_id, (config.image_token_id + 1) % decoder.vocabulary, tokens)
        tokens = np.concatenate([np.full((1, config.visual_tokens), config.image_token_id), tokens], axis=1)
    ours = our_scores(export, tokens, image)
    with torch.no_grad():
        theirs = _their_scores(folder, export, base, tokens, image)[..., : ours.shape[-1]]
    difference, scale = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
    if not difference <= TOLERANCE * max(1.0, scale):  # also where one is not a number
        raise VerificationError(
            f"the {export.layout} export gives other scores in transformers: the largest is {scale:.3g}, and they "
            f"differ by up to {difference:.3g}; it was not kept"
        )
    return difference, scale


def our_scores(export: Export, tokens: np.ndarray | None, image: np.ndarray | None) -> np.ndarray:
    """Returns the scores [1, T, C] of a checkpoint here, in float32; of a vision tower alone its output [1, V, D].

    Args:
      export: what goes out; adapters and quantised kernels count as they are written.
      tokens: int [1, T], those of the image first; None for a vision tower.
      image: uint8 [1, H, W, 3], or None for a decoder.
    """
    part = export.part
    adapted = export.layout in ("peft", "bitsandbytes")

    def make() -> nnx.Module:
        model = make_model(part.config)
        return adapt(model, part.adaptation, nnx.Rngs(0)) if adapted else model

    graphdef, _ = nnx.split(nnx.eval_shape(make))
    if adapted:
        params = {path: jnp.asarray(np.asarray(array)) for path, array in part.params.items()}
    else:
        params = {
            path: jnp.asarray(np.asarray(array), export.dtype or array.dtype)
            for path, array in plain_params(part).items()
        }

    @jax.jit
    def scores(params: dict[str, Any]) -> jax.Array:
        model = nnx.merge(graphdef, traverse_util.unflatten_dict(params, sep="/"))
        if tokens is None:
            return model(jnp.asarray(image))
        positions = jnp.arange(tokens.shape[1])[None]
        if image is None:
            hidden, _ = model(model.embed(jnp.asarray(tokens)), positions=positions)
        else:
            count = part.config.visual_tokens
            index = jnp.where(positions < count, positions, -1)
            visual = model.encode_images(jnp.asarray(image))
            hidden, _ = model(jnp.asarray(tokens), visual=visual, visual_index=index, positions=positions)
        return model.logits(hidden)

    return np.asarray(scores(params))


def _their_scores(
    folder: Path, export: Export, base: str | os.PathLike | None, tokens: np.ndarray | None, image: np.ndarray | None
) -> np.ndarray:
    import torch
    import transformers

    pixels = None
    if image is not None:
        vision = getattr(export.part.config, "vision", export.part.config)
        normal = (image / 255 - np.array(vision.image_mean)) / np.array(vision.image_std)
        pixels = torch.tensor(normal.astype(np.float32)).permute(0, 3, 1, 2)
    if export.layout == "vision":
        model = _load(transformers.CLIPVisionModel, folder)
        hidden = model(pixels, output_hidden_states=True).hidden_states[export.part.config.feature_layer]
        return hidden[:, 1 if export.part.config.drop_cls else 0 :].numpy()
    ids = torch.tensor(tokens)
    if export.part.kind == "vlsm":
        return _load(transformers.LlavaForConditionalGeneration, folder)(
            input_ids=ids, pixel_values=pixels
        ).logits.numpy()
    if export.layout == "peft":
        return _load_adapted(folder, base)(input_ids=ids).logits.numpy()
    model = _load(transformers.AutoModelForCausalLM, folder)
    if export.layout == "bitsandbytes":
        _compute_in_float32(model)
        # What is differentiated is multiplied by a float32 kernel; else bitsandbytes rounds on the way.
        with torch.enable_grad():
            return model(input_ids=ids).logits.detach().numpy()
    return model(input_ids=ids).logits.numpy()


def _load(kind: Any, folder: str | os.PathLike) -> Any:
    import torch

    try:
        model, found = kind.from_pretrained(
            folder, dtype=torch.float32, device_map={"": "cpu"}, output_loading_info=True, local_files_only=True
        )
    except ImportError as error:  # of bitsandbytes or accelerate, which transformers then asks for
        raise CheckpointError(f"--verify: {(str(error).strip().splitlines() or ['an import failed'])[0]}") from error
    wrong = {key: found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if found.get(key)}
    if wrong:
        raise VerificationError(f"transformers does not load it as a whole: {wrong}; it was not kept")
    return model.eval()


def _load_adapted(folder: Path, base: str | os.PathLike | None) -> Any:
    if not base or not Path(base).is_dir():
        raise CheckpointError(
            f"peft: to verify an adapter the folder of its decoder is needed, and {str(base)!r} is none; give --base"
        )
    try:
        import peft
    except ImportError as error:
        raise CheckpointError("peft: --verify needs PEFT (pip install 'vlsm_jax[torch]')") from error
    import transformers

    return peft.PeftModel.from_pretrained(_load(transformers.AutoModelForCausalLM, base), folder).eval()


def _compute_in_float32(model: Any) -> None:
    """Makes bitsandbytes dequantise without rounding to what the checkpoint computes in, and the rest keep pace."""
    import torch

    for parameter in model.parameters():
        if parameter.is_floating_point():  # codes are bytes
            parameter.data = parameter.data.float()
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            state.dtype = module.compute_dtype = torch.float32
