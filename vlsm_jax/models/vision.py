"""The vision encoder: a CLIP vision transformer, or one of our own that learns from fewer pictures.

Letters: N images, V visual tokens (patches and the class token), D the encoder's width, H a head's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models import layers
from vlsm_jax.models.attention import attention, check_implementation
from vlsm_jax.models.attention_kernels import target_platform
from vlsm_jax.models.decoder_config import UnsupportedConfigError
from vlsm_jax.models.layers import Axes, Declare, Dense, Embedding, LayerNorm
from vlsm_jax.models.positions import resize_positions
from vlsm_jax.models.rope import Rope, rotate
from vlsm_jax.models.sizes import check_sizes
from vlsm_jax.models.stack import check_remat, run_stack
from vlsm_jax.models.stem import Stem, even_kernel, surroundings, with_margin
from vlsm_jax.sharding import constrain_batch

# Mean and standard deviation per channel of CLIP's training images, of values in [0, 1].
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

CLIP_TYPE = "clip_vision_model"
OWN_TYPE = "vlsm_vision_model"
"""What `config.json` calls an encoder with what CLIP's lacks; transformers knows none of that name, and says so."""

_OWN_FIELDS = ("stem_channels", "rope_theta", "seen_patches")

# Rows of a TPU's tile of bfloat16.
_TILE_TOKENS = 16


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """Everything that shapes the vision encoder.

    Attributes:
      width: D. layers: how many. heads: how many; they divide the width. mlp_width: of the feed-forward block.
      patch_size, image_size: in pixels; the former divides the latter.
      activation: "quick_gelu" (OpenAI's CLIP) or "gelu" (LAION's OpenCLIP).
      norm_eps: added to the variance.
      image_mean, image_std: per channel, of values in [0, 1].
      feature_layer: which hidden state is the output; -1 is the last layer's, -2 the one before.
      drop_cls: leave out the class token. The paper keeps it: 257 tokens for 224 pixels in patches of 14.
      position_size: the image size that the stored positions are for; None is `image_size`. Others are interpolated.
      position_antialias: how, see `positions.resize_positions`; False as transformers, True as open_clip.
      init_std: standard deviation of the initial kernels and embeddings.
      stem_channels: of the convolutions that come down to a patch, each to half the side; none is CLIP's one matrix.
      rope_theta: queries and keys are rotated by column and row of their patch, by angles from 1 down to about its
        inverse (axial RoPE: Heo et al., 2024), besides the learned positions; None is CLIP's, without.
      seen_patches: how many of an image, those whose pixels differ most: three quarters of a sketch are paper, which
        costs encoder and decoder as much as what is drawn on it. 0 is all, as in CLIP.
    """

    width: int
    layers: int
    heads: int
    mlp_width: int
    patch_size: int
    image_size: int
    activation: str = "quick_gelu"
    norm_eps: float = 1e-5
    image_mean: tuple[float, float, float] = CLIP_MEAN
    image_std: tuple[float, float, float] = CLIP_STD
    feature_layer: int = -1
    drop_cls: bool = False
    position_size: int | None = None
    position_antialias: bool = False
    init_std: float = 0.02
    stem_channels: tuple[int, ...] = ()
    rope_theta: float | None = None
    seen_patches: int = 0

    def __post_init__(self):
        object.__setattr__(self, "stem_channels", tuple(self.stem_channels))
        object.__setattr__(self, "image_mean", tuple(self.image_mean))
        object.__setattr__(self, "image_std", tuple(self.image_std))
        names = ("width", "layers", "heads", "mlp_width", "patch_size", "image_size")
        check_sizes("vision encoder", **{name: getattr(self, name) for name in names})
        if self.width % self.heads:
            raise ValueError(f"a vision width of {self.width} does not divide among {self.heads} heads")
        for size in (self.image_size, self.position_size or self.image_size):
            if size % self.patch_size:
                raise ValueError(f"an image of {size} pixels does not divide into patches of {self.patch_size}")
        if not -self.layers <= self.feature_layer <= -1:
            raise ValueError(f"feature_layer is {self.feature_layer}; count from the end, -1 to {-self.layers}")
        if self.stem_channels:
            check_sizes("stem", **{f"stem_channels[{i}]": size for i, size in enumerate(self.stem_channels)})
            if 2 ** len(self.stem_channels) != self.patch_size:
                raise ValueError(
                    f"{len(self.stem_channels)} convolutions of a stem (stem_channels={self.stem_channels}) come down "
                    f"to patches of {2 ** len(self.stem_channels)} pixels, and these have {self.patch_size}"
                )
        if not 0 <= self.seen_patches <= self.all_patches:
            raise ValueError(
                f"seen_patches={self.seen_patches}: an image of {self.image_size} pixels has {self.all_patches} "
                f"patches of {self.patch_size}; 0 is all"
            )
        if self.rope_theta is not None and (self.rope_theta <= 1 or self.head_dim % 4):
            raise ValueError(
                f"rope_theta={self.rope_theta} with heads {self.head_dim} wide: choose more than 1, and a multiple of 4"
            )

    @property
    def is_clip(self) -> bool:
        """Whether it is an encoder that CLIP's classes elsewhere can hold."""
        return not any(getattr(self, name) for name in _OWN_FIELDS)

    @property
    def all_patches(self) -> int:
        """Number of patches of one image."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def patches(self) -> int:
        """Number of patches that the encoder sees of one image."""
        return self.seen_patches or self.all_patches

    @property
    def tokens(self) -> int:
        """Number of visual tokens of one image, V."""
        return self.tokens_of(self.patches)

    def tokens_of(self, patches: int) -> int:
        """Returns the number of visual tokens of an image of which the encoder sees so many patches."""
        return patches + (0 if self.drop_cls else 1)

    def cuts_out(self, patches: int) -> bool:
        """Whether a stem goes over the surroundings of so many patches one by one, which overlap, or over all at once.

        The former takes twice the work for each patch, and a device that looks up pixels slowly is better off without.
        """
        return 2 * patches < self.all_patches

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def positions(self) -> int:
        """Number of stored positions, the class token's included."""
        return ((self.position_size or self.image_size) // self.patch_size) ** 2 + 1

    def for_images(self, size: int) -> VisionConfig:
        """Returns this config for images of `size` pixels, with the positions it has."""
        stored = self.position_size or self.image_size
        return dataclasses.replace(self, image_size=size, position_size=None if stored == size else stored)

    @classmethod
    def from_hf_config(
        cls,
        hf: Mapping[str, Any],
        *,
        preprocessor: Mapping[str, Any] | None = None,
        feature_layer: int = -1,
        drop_cls: bool = False,
    ) -> VisionConfig:
        """Reads a `clip_vision_model` config, the vision part of a `clip` config, or one of ours.

        Ours (`OWN_TYPE`) has the fields of a `clip_vision_model`, and those of `_OWN_FIELDS`.

        Args:
          hf: the config. Fields that it leaves out take transformers' defaults, as in the files that OpenAI and LAION
            released.
          preprocessor: `preprocessor_config.json`, for mean and deviation of the pixels; CLIP's where it has none.
          feature_layer, drop_cls: what the VLSM takes from the encoder; not part of a vision config.

        Raises:
          UnsupportedConfigError: naming the field, for another `model_type` or another number of channels.
        """
        if hf.get("model_type") == "clip" and "vision_config" in hf:
            hf = {"model_type": CLIP_TYPE, **hf["vision_config"]}
        kind = hf.get("model_type")
        if kind not in (CLIP_TYPE, OWN_TYPE):
            raise UnsupportedConfigError(f"model_type {kind!r} is not the vision encoder there is: CLIP")
        own = [key for key in _OWN_FIELDS if hf.get(key)]
        if kind == CLIP_TYPE and own:
            raise UnsupportedConfigError(
                f"{CLIP_TYPE} with {' and '.join(own)}: CLIP has none; an encoder that does is a {OWN_TYPE}"
            )
        if hf.get("num_channels", 3) != 3:
            raise UnsupportedConfigError(f"{kind}: num_channels {hf['num_channels']} is not supported, only 3")
        name = hf.get("hidden_act", "quick_gelu")
        if name not in ("quick_gelu", "gelu"):
            raise UnsupportedConfigError(f"{kind}: hidden_act {name!r} is neither 'quick_gelu' nor 'gelu'")
        return cls(
            width=hf.get("hidden_size", 768),
            layers=hf.get("num_hidden_layers", 12),
            heads=hf.get("num_attention_heads", 12),
            mlp_width=hf.get("intermediate_size", 3072),
            patch_size=hf.get("patch_size", 32),
            image_size=hf.get("image_size", 224),
            activation=name,
            norm_eps=hf.get("layer_norm_eps", 1e-5),
            image_mean=(preprocessor or {}).get("image_mean", CLIP_MEAN),
            image_std=(preprocessor or {}).get("image_std", CLIP_STD),
            feature_layer=feature_layer,
            drop_cls=drop_cls,
            init_std=hf.get("initializer_range", 0.02),
            stem_channels=hf.get("stem_channels") or (),
            rope_theta=hf.get("rope_theta"),
            seen_patches=hf.get("seen_patches", 0),
        )

    @classmethod
    def from_open_clip_config(
        cls, config: Mapping[str, Any], *, feature_layer: int = -1, drop_cls: bool = False
    ) -> VisionConfig:
        """Reads `open_clip_config.json`, as open_clip's own checkpoints have it.

        Raises:
          UnsupportedConfigError: naming the field, for another vision tower than CLIP's plain transformer.
        """
        model, pixels = config.get("model_cfg", config), config.get("preprocess_cfg", {})
        vision = model.get("vision_cfg") or {}
        plain = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size"}
        # Dropped patches act in training only; the pooled output is not used here.
        neutral = {"patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads", "timm_drop"}
        other = sorted(key for key, value in vision.items() if key not in plain | neutral and value)
        if other:
            raise UnsupportedConfigError(f"open_clip: vision_cfg with {', '.join(other)} is not supported")
        absent = [key for key in ("layers", "width", "patch_size") if not isinstance(vision.get(key), int)]
        if absent:
            raise UnsupportedConfigError(f"open_clip: vision_cfg does not say {', '.join(absent)} as whole numbers")
        width = vision["width"]
        return cls(
            width=width,
            layers=vision["layers"],
            heads=width // vision.get("head_width", 64),
            mlp_width=int(width * vision.get("mlp_ratio", 4.0)),
            patch_size=vision["patch_size"],
            image_size=vision.get("image_size", 224),
            activation="quick_gelu" if model.get("quick_gelu") else "gelu",
            image_mean=pixels.get("mean", CLIP_MEAN),
            image_std=pixels.get("std", CLIP_STD),
            feature_layer=feature_layer,
            drop_cls=drop_cls,
            position_antialias=True,
        )

    def to_hf_config(self, dtype: str = "float32") -> dict[str, Any]:
        """Returns a `clip_vision_model` config that transformers 4 and 5 both read, or one of our own type.

        Raises:
          UnsupportedConfigError: positions of another image size, which an export has to interpolate first.
        """
        if self.position_size not in (None, self.image_size):
            raise UnsupportedConfigError(
                f"a clip_vision_model has positions for its own image size, {self.image_size}, not {self.position_size}"
            )
        own = {name: getattr(self, name) for name in _OWN_FIELDS} | {"stem_channels": list(self.stem_channels)}
        return ({} if self.is_clip else own) | {
            "model_type": CLIP_TYPE if self.is_clip else OWN_TYPE,
            "architectures": ["CLIPVisionModel" if self.is_clip else "VlsmVisionModel"],
            "hidden_size": self.width,
            "intermediate_size": self.mlp_width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_channels": 3,
            "patch_size": self.patch_size,
            "image_size": self.image_size,
            "hidden_act": self.activation,
            "layer_norm_eps": self.norm_eps,
            "initializer_range": self.init_std,
            "initializer_factor": 1.0,
            "attention_dropout": 0.0,
            "torch_dtype": dtype,
            "dtype": dtype,
        }


class VisionBlock(nnx.Module):
    """One encoder layer: x + attention(norm x), then x + mlp(norm x), every token seeing every other."""

    def __init__(self, declare: Declare, config: VisionConfig, dtype: jnp.dtype):
        embed, inner = Axes.of(embed=config.width), Axes.of(mlp=config.mlp_width)
        heads = Axes.of(heads=config.heads, head_dim=config.head_dim)
        options = {"init": layers.normal(config.init_std), "use_bias": True, "dtype": dtype}
        self.activation = config.activation
        self.attention_norm = LayerNorm(declare, config.width, eps=config.norm_eps, dtype=dtype)
        self.q = Dense(declare, embed, heads, **options)
        self.k = Dense(declare, embed, heads, **options)
        self.v = Dense(declare, embed, heads, **options)
        self.o = Dense(declare, heads, embed, **options)
        self.mlp_norm = LayerNorm(declare, config.width, eps=config.norm_eps, dtype=dtype)
        self.up = Dense(declare, embed, inner, **options)
        self.down = Dense(declare, inner, embed, **options)

    def __call__(
        self, x: jax.Array, implementation: str, real: int | None = None, rope: Rope | None = None
    ) -> jax.Array:
        """Maps [N, V, D] to [N, V, D]; tokens behind the first `real` are padding."""
        normed = self.attention_norm(x)
        q, k, v = self.q(normed), self.k(normed), self.v(normed)
        if rope is not None:
            q, k = rotate(q, rope), rotate(k, rope)
        x = x + self.o(attention(q, k, v, None, implementation=implementation, real=real))
        return x + self.down(layers.activation(self.activation)(self.up(self.mlp_norm(x))))


class VisionEncoder(nnx.Module):
    """A CLIP vision transformer, or one with a stem and rotations, that gives hidden states before the final norm.

    `post_norm` takes no part in the output; it is kept so that a loaded encoder can be exported whole.
    The arguments are those of `Decoder`.
    """

    def __init__(
        self,
        config: VisionConfig,
        *,
        rngs: nnx.Rngs,
        dtype: jnp.dtype = jnp.float32,
        param_dtype: jnp.dtype = jnp.float32,
        remat: str = "none",
        scan_layers: bool = True,
        attention_implementation: str = "xla",
    ):
        self.config, self.dtype = config, dtype
        self.remat, self.scan_layers = check_remat(remat), scan_layers
        self.attention_implementation = check_implementation(attention_implementation)
        declare = Declare(rngs, param_dtype)
        init = layers.normal(config.init_std)
        if config.stem_channels:
            self.stem = Stem(declare, config.stem_channels, eps=config.norm_eps, dtype=dtype)
            seen = (1, 1, config.stem_channels[-1])
        else:
            self.stem = None
            seen = (config.patch_size, config.patch_size, 3)
        # Behind a stem places alone are seen at first, and what it makes of pixels comes in as it learns.
        kernel = layers.zeros if config.stem_channels else even_kernel(init)
        seen = Axes(seen, ("patch", "patch", "channels"))
        self.patch = Dense(declare, seen, Axes.of(embed=config.width), init=kernel, use_bias=False, dtype=dtype)
        self.cls = declare((config.width,), ("embed",), init)
        self.position = Embedding(
            declare, config.positions, config.width, names=("positions", "embed"), init=_places(config), dtype=dtype
        )
        self.pre_norm = LayerNorm(declare, config.width, eps=config.norm_eps, dtype=dtype)
        self.layers = VisionBlock(declare.stacked(config.layers), config, dtype)
        self.post_norm = LayerNorm(declare, config.width, eps=config.norm_eps, dtype=dtype)

    def __call__(self, images: jax.Array, *, padded: bool = False, kept: jax.Array | None = None) -> jax.Array:
        """Encodes images [N, image_size, image_size, 3] to [N, V, D].

        uint8 images are pixels 0 to 255, normalised here with the config's mean and deviation; images of a floating
        dtype are taken as normalised already. V is `config.tokens`, the class token first. With `padded`, there may be
        tokens without meaning behind those; see `_padding`. With `kept`, int32 [N, P], the encoder sees these patches
        of an image alone, each at its place, and V goes by their number: less to compute for training (patch dropout of
        Li et al., 2023, Scaling Language-Image Pre-training via Masking, with a choice in place of chance).

        Raises:
          ValueError: the images have another shape.
        """
        side, across = self.config.image_size, self.config.image_size // self.config.patch_size
        if images.ndim != 4 or images.shape[1:] != (side, side, 3):
            raise ValueError(f"images have the shape {images.shape}; this encoder takes [N, {side}, {side}, 3]")
        if kept is None and self.config.seen_patches:
            kept = self._most_varied(images)
        count = images.shape[0]
        x = self.patch(self._patches(images, kept))  # [N, V - 1, D]
        cls = jnp.broadcast_to(self.cls[...].astype(x.dtype), (count, 1, self.config.width))
        x = jnp.concatenate([cls, x], axis=1)
        position = resize_positions(self.position.table[...], across, antialias=self.config.position_antialias)
        if kept is not None:
            first = jnp.zeros_like(kept[:, :1])  # the class token's
            position = jnp.take(position, jnp.concatenate([first, kept + 1], axis=1), axis=0, mode="clip")
        x = x + position.astype(x.dtype)
        real, padding = x.shape[1], _padding(x.shape[1])
        if padding:
            x = jnp.pad(x, ((0, 0), (0, padding), (0, 0)))
        x = constrain_batch(self.pre_norm(x))
        rope = _rotations(self.config, kept, padding)

        def body(block: VisionBlock, x: jax.Array, index: jax.Array | int) -> jax.Array:
            return constrain_batch(block(x, self.attention_implementation, real if padding else None, rope))

        count = self.config.layers + 1 + self.config.feature_layer
        x = run_stack(self.layers, body, x, count=count, scan=self.scan_layers, remat=self.remat)
        x = x if padded or not padding else x[:, :real]
        return x[:, 1:] if self.config.drop_cls else x

    def _patches(self, images: jax.Array, kept: jax.Array | None) -> jax.Array:
        """Returns what there is of each patch [N, V - 1, *] of images [N, H, H, 3]: its pixels, or what a stem sees."""
        count, side, patch = images.shape[0], self.config.image_size, self.config.patch_size
        if self.stem is not None:
            images, channels = with_margin(images, patch), self.config.stem_channels[-1]
            if kept is not None and self.config.cuts_out(kept.shape[1]):
                images, kept = surroundings(images, kept, patch), None
            seen = self.stem(self._normalised(images)).reshape(count, -1, channels)
            seen = seen if kept is None else jnp.take_along_axis(seen, kept[:, :, None], axis=1, mode="clip")
            return seen[:, :, None, None]
        across = side // patch
        pixels = images.reshape(count, across, patch, across, patch, 3).transpose(0, 1, 3, 2, 4, 5)
        pixels = pixels.reshape(count, across * across, patch, patch, 3)
        if kept is not None:
            pixels = jnp.take_along_axis(pixels, kept[:, :, None, None, None], axis=1, mode="clip")
        return self._normalised(pixels)

    def _most_varied(self, images: jax.Array) -> jax.Array:
        """Returns which patches of images [N, H, H, 3] are seen, int32 [N, P]; as in `vlsm_jax.data.annotations`."""
        if images.dtype != jnp.uint8:
            mean, std = jnp.array(self.config.image_mean), jnp.array(self.config.image_std)
            images = jnp.round((images * std + mean) * 255)
        count, side, patch = images.shape[0], self.config.image_size, self.config.patch_size
        pixels = images.astype(jnp.int32).reshape(count, side // patch, patch, side // patch, patch, 3)
        differ = (pixels.max((2, 4)) - pixels.min((2, 4))).max(-1).reshape(count, -1)
        # Of two alike the first is taken.
        return jnp.sort(jax.lax.top_k(differ, self.config.seen_patches)[1], axis=-1)

    def _normalised(self, pixels: jax.Array) -> jax.Array:
        """Returns pixels [..., 3] as the encoder takes them; those of a floating dtype are that already."""
        if pixels.dtype != jnp.uint8:
            return pixels
        mean, std = jnp.array(self.config.image_mean), jnp.array(self.config.image_std)
        return (pixels.astype(jnp.float32) / 255 - mean) / std


def _places(config: VisionConfig) -> jax.nn.initializers.Initializer:
    """Returns positions [1 + A * A, D] that tell neighbours from the first step on; the class token's is random.

    Sines and cosines of column and row, as Beyer et al., 2022, Better plain ViT baselines for ImageNet-1k, have them,
    in waves of 6 to 630 patches. Their deviation is .4 of what patches have whose pixels deviate by 1.
    """
    random = layers.normal(config.init_std)

    def places(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
        across, waves = math.isqrt(shape[0] - 1), shape[1] // 4
        angles = jnp.arange(across)[:, None] * 100.0 ** (-jnp.arange(waves) / max(waves, 1))
        line = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)  # [A, D / 2]
        grid = jnp.concatenate([jnp.tile(line, (across, 1)), jnp.repeat(line, across, axis=0)], axis=1)
        told = config.init_std * config.patch_size * grid
        return random(key, shape, dtype).at[1:, : told.shape[1]].set(told.astype(dtype))

    return places


def _rotations(config: VisionConfig, kept: jax.Array | None, padding: int) -> Rope | None:
    """Returns the rotations of all tokens [N or 1, V, 1, H / 2]: half by column, half by row."""
    if config.rope_theta is None:
        return None
    across, waves = config.image_size // config.patch_size, config.head_dim // 4
    patches = jnp.arange(across**2)[None] if kept is None else kept
    frequency = config.rope_theta ** (-jnp.arange(waves) / waves)
    places = jnp.stack([patches % across, patches // across], axis=-1).astype(jnp.float32)
    angles = (places[..., None] * frequency).reshape(*patches.shape, 2 * waves)
    angles = jnp.pad(angles, ((0, 0), (1, padding), (0, 0)))[:, :, None]
    return Rope(jnp.cos(angles), jnp.sin(angles))


def _padding(tokens: int) -> int:
    """Returns how many tokens to put behind those of an image: on a TPU, up to full tiles.

    257 tokens of an image end within a tile there, and to make rows of a product of them, or pictures of rows, moves
    every byte by some places: a third of the encoder's program, and some of its time.
    """
    return -tokens % _TILE_TOKENS if target_platform() == "tpu" else 0
