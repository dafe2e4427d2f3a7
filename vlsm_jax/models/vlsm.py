"""The VLSM: vision encoder, connector and decoder as one model.

Visual tokens take places in the decoder's sequence like text tokens do. `visual_index` says which visual token, if any,
sits at each place, so a row may hold one padded sample or several packed ones.

Letters: B rows, S places of a row, N images, V visual tokens per image, M visual tokens per row, D the decoder's width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models.attention_kernels import target_platform
from vlsm_jax.models.cache import CacheSize, KVCache
from vlsm_jax.models.connector import ConnectorConfig, make_connector
from vlsm_jax.models.decoder import Decoder
from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.layers import float32_product
from vlsm_jax.models.vision import VisionConfig, VisionEncoder


@dataclasses.dataclass(frozen=True)
class VlsmConfig:
    """Everything that shapes a VLSM.

    Attributes:
      vision, connector, decoder: the parts. A model for text alone has neither of the first two.
      image_token_id: the token that stands for a visual token wherever tokens are written out. The model never embeds
        it, so it may lie past the decoder's vocabulary; an export then pads the embedding.
    """

    vision: VisionConfig | None
    connector: ConnectorConfig | None
    decoder: DecoderConfig
    image_token_id: int

    def __post_init__(self):
        if (self.vision is None) != (self.connector is None):
            raise ValueError("a model has an encoder and a connector, or neither")

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of one image in the decoder's sequence, V: all of the encoder's, or a resampler's queries."""
        if self.vision is None or self.connector is None:
            return 0
        return self.connector.tokens(self.vision.tokens)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        vision = None
        if self.vision is not None:
            vision = dataclasses.asdict(self.vision)
            vision |= {name: list(value) for name, value in vision.items() if isinstance(value, tuple)}
        return {
            "vision": vision,
            "connector": None if self.connector is None else dataclasses.asdict(self.connector),
            "decoder": self.decoder.to_dict(),
            "image_token_id": self.image_token_id,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VlsmConfig:
        """Reads what `to_dict` wrote; raises KeyError or TypeError naming what is missing or unknown."""
        return cls(
            vision=None if data["vision"] is None else VisionConfig(**data["vision"]),
            connector=None if data["connector"] is None else ConnectorConfig(**data["connector"]),
            decoder=DecoderConfig.from_dict(data["decoder"]),
            image_token_id=data["image_token_id"],
        )


class Vlsm(nnx.Module):
    """A vision-language simulation model: sketch and prompt in, scores of the next script token out.

    The arguments beside `config` are those of `Decoder`, and go to every part.
    """

    def __init__(
        self,
        config: VlsmConfig,
        *,
        rngs: nnx.Rngs,
        dtype: jnp.dtype = jnp.float32,
        param_dtype: jnp.dtype = jnp.float32,
        remat: str = "none",
        scan_layers: bool = True,
        attention_implementation: str = "xla",
    ):
        self.config = config
        options = {"rngs": rngs, "dtype": dtype, "param_dtype": param_dtype}
        stack = {"remat": remat, "scan_layers": scan_layers, "attention_implementation": attention_implementation}
        if config.vision is None or config.connector is None:
            self.vision = self.connector = None
        else:
            self.vision = VisionEncoder(config.vision, **options, **stack)
            widths = config.vision.width, config.decoder.width
            self.connector = make_connector(config.connector, *widths, remat=remat, **options)
        self.decoder = Decoder(config.decoder, **options, **stack)

    def encode_images(self, images: jax.Array, kept: jax.Array | None = None) -> jax.Array:
        """Maps images [N, H, W, 3] to visual tokens [N, V, D]; see `VisionEncoder` for what an image is, and `kept`."""
        if self.vision is None or self.connector is None:
            raise ValueError("this model is for text alone and has no encoder")
        if self.config.connector.sizes is None:  # token by token, so that padding does no harm
            vision = self.config.vision
            tokens = vision.tokens if kept is None else vision.tokens_of(kept.shape[1])
            return self.connector(self.vision(images, padded=True, kept=kept))[:, :tokens]
        return self.connector(self.vision(images, kept=kept))

    def __call__(
        self,
        tokens: jax.Array,
        *,
        visual: jax.Array | None,
        visual_index: jax.Array,
        positions: jax.Array,
        segment_ids: jax.Array | None = None,
        cache: KVCache | CacheSize | None = None,
        leading: bool = False,
    ) -> tuple[jax.Array, KVCache | None]:
        """Runs the decoder over text and visual tokens.

        Args:
          tokens: int [B, S]; ignored where a visual token sits.
          visual: [B, M, D] visual tokens of each row, its images one after another, or None for text alone.
          visual_index: int32 [B, S]; which of the row's visual tokens sits here, or -1 for a text token.
          positions, segment_ids, cache, leading: see `Decoder`.

        Returns:
          (hidden [B, S, D], cache or None), as the decoder gives them.
        """
        is_visual = visual_index >= 0
        x = self.decoder.embed(tokens)
        if visual is not None:
            x = jnp.where(is_visual[:, :, None], placed(visual.astype(x.dtype), visual_index), x)
        return self.decoder(x, positions=positions, segment_ids=segment_ids, cache=cache, leading=leading)

    def said(self, visual: jax.Array, table: jax.Array | None = None) -> jax.Array:
        """Maps visual tokens [B, M, D] to float32 scores [B, M, C]: how alike each is to the embedding of a text token.

        They are products with the decoder's embeddings, times the root of D, so that a token need not be longer than
        embeddings to be sure. Its length counts: an encoder that starts from nothing is unsure at first, and learns its
        letters later where all tokens are brought to one length (benchmarks/letters.py). `table` stands for the
        embeddings [C, D], for a caller who has them elsewhere; of as many ids as it has.
        """
        table = self.decoder.embedding.table[...] if table is None else table
        scores = float32_product("bmd,cd->bmc", visual.astype(self.decoder.dtype), table.astype(self.decoder.dtype))
        return math.sqrt(table.shape[-1]) * scores

    def logits(self, hidden: jax.Array) -> jax.Array:
        """Maps hidden [B, S, D] to float32 scores [B, S, C]."""
        return self.decoder.logits(hidden)


def joined(visual: jax.Array) -> jax.Array:
    """Maps the visual tokens of a row's pictures [B, K, V, D] to [B, K * V, D], one picture after another."""
    if target_platform() == "tpu":
        # The tokens of a picture end within a tile. Piece by piece they take their places in a tenth of the program.
        return jnp.concatenate([visual[:, i] for i in range(visual.shape[1])], axis=1)
    return visual.reshape(visual.shape[0], -1, visual.shape[-1])


def turned(visual: jax.Array, ways: int) -> jax.Array:
    """Maps visual tokens [B, M, D] to [B, M * S, D], each in S ways: as it is, and turned by D / S, 2 D / S, ...

    So one token is like several embeddings at once, whose order is told by how far it has to be turned (permutation as
    a mark of order: Kanerva, 2009, Hyperdimensional Computing). Turned embeddings are like none of the others.
    """
    count, tokens, width = visual.shape
    each = [jnp.roll(visual, -way * (width // ways), axis=-1) for way in range(ways)]
    return jnp.stack(each, axis=2).reshape(count, tokens * ways, width)


def placed(visual: jax.Array, index: jax.Array) -> jax.Array:
    """Maps visual tokens [B, M, D] to [B, S, D], the one that `index` [B, S] says at each place."""
    if target_platform() == "tpu":
        # Rows of a product with ones and zeros, the same values: to look up and to add up rows is slow there.
        chosen = index[:, :, None] == jnp.arange(visual.shape[1])
        return jnp.einsum("bsm,bmd->bsd", chosen.astype(visual.dtype), visual, precision="highest")
    return jnp.take_along_axis(visual, jnp.maximum(index, 0)[:, :, None], axis=1, mode="clip")


def init_params(config: VlsmConfig, seed: int | jax.Array, *, param_dtype: jnp.dtype = jnp.float32) -> nnx.State:
    """Returns fresh parameters for `config`, the same for the same seed.

    Traceable: under `jax.jit` with `out_shardings` each device makes its own part, and `jax.eval_shape` gives shapes.
    """
    # A key, since nnx.Rngs takes no traced integer.
    return nnx.state(Vlsm(config, rngs=nnx.Rngs(jax.random.key(seed)), param_dtype=param_dtype))


def abstract_model(
    config: VlsmConfig, *, param_dtype: jnp.dtype = jnp.float32, **options: Any
) -> tuple[nnx.GraphDef, nnx.State]:
    """Returns (graphdef, parameters as shapes) without allocating any; `options` are those of `Vlsm`.

    `nnx.merge(graphdef, params)` gives the model, for parameters of the same structure or a pure dict of them.
    """
    model = nnx.eval_shape(lambda: Vlsm(config, rngs=nnx.Rngs(0), param_dtype=param_dtype, **options))
    return nnx.split(model)
