"""Arithmetic that training needs, by formula: what MFU is counted in.

Of a matrix: 2 FLOPs for each weight and position forward, 2 more where a gradient goes on through it, and 2 more where
the matrix itself is trained. Of attention: 4 for each pair of positions and width of all heads forward, three times
over where a gradient goes through it. Nothing that rematerialisation makes again, no element-wise arithmetic. Encoder,
connector and decoder count as wholes: a gradient goes through all of one in or before which something is trained. The
head counts where there is a target.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vlsm_jax.models.decoder_config import DecoderConfig
from vlsm_jax.models.vlsm import VlsmConfig
from vlsm_jax.training.network import Network


class BatchCounts(NamedTuple):
    """What there is in a batch, or in several together.

    Attributes:
      samples: triplets.
      tokens: positions that hold one, visual ones included.
      targets: positions that count in the loss.
      pairs: of positions of which one sees the other, in layers without a sliding window.
      local_pairs: the same in layers with one.
      pictures: that are there.
      positions: of all rows, padding included.
      padded_pairs, padded_local_pairs, padded_pictures: as if each row were one sample, and every place for a picture
        held one: about what is computed.
    """

    samples: float = 0
    tokens: float = 0
    targets: float = 0
    pairs: float = 0
    local_pairs: float = 0
    pictures: float = 0
    positions: float = 0
    padded_pairs: float = 0
    padded_local_pairs: float = 0
    padded_pictures: float = 0

    def plus(self, other: BatchCounts) -> BatchCounts:
        """Returns what is in both together."""
        return BatchCounts(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, count: int) -> BatchCounts:
        """Returns what is in so many alike."""
        return BatchCounts(*(count * n for n in self))

    @classmethod
    def of(cls, batch: Mapping[str, np.ndarray], window: int | None, visual_tokens: int) -> BatchCounts:
        """Counts a batch on the host, in the form that `make_dataset` gives.

        Args:
          batch: arrays by the names of `Batch`'s fields.
          window: the decoder's `sliding_window`.
          visual_tokens: positions that a picture takes.
        """
        segments = batch.get("segment_ids")
        place = batch["positions"] if segments is None else np.where(segments > 0, batch["positions"], -1)
        length = place.shape[1]
        pictures = batch["images"] if batch.get("features") is None else batch["features"]
        # A position sees its own sample up to itself, one more than its place; padding, at -1, sees nothing.
        pairs = int(place.sum(dtype=np.int64)) + place.size
        local = pairs
        if window is not None and window < length:
            local = int(np.minimum(place, window - 1).sum(dtype=np.int64)) + place.size
        visual = np.count_nonzero(batch["visual_index"] >= 0) if visual_tokens else 0
        return cls(
            samples=float(np.count_nonzero(place == 0)),
            tokens=float(np.count_nonzero(place >= 0)),
            targets=float(np.count_nonzero(batch["weights"])),
            pairs=float(pairs),
            local_pairs=float(local),
            pictures=visual / visual_tokens if visual_tokens else 0.0,
            **cls.full(len(place), length, window, pictures.shape[1] if visual_tokens else 0)._padded(),
        )

    @classmethod
    def full(cls, rows: int, length: int, window: int | None, pictures: int) -> BatchCounts:
        """Returns the counts of rows that one sample each fills, so many pictures a row, all positions targets."""
        width = min(window or length, length)
        pairs = rows * length * (length + 1) / 2
        local = rows * (width * (width + 1) / 2 + (length - width) * width)
        places, pictures = float(rows * length), float(rows * pictures)
        return cls(rows, places, places, pairs, local, pictures, places, pairs, local, pictures)

    def _padded(self) -> dict[str, float]:
        return {name: value for name, value in self._asdict().items() if name.startswith(("positions", "padded"))}


class Flops(NamedTuple):
    """FLOPs, by what they are for: matrices that are trained, matrices that are frozen, attention."""

    trained: float = 0.0
    frozen: float = 0.0
    attention: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self)


@dataclasses.dataclass(frozen=True)
class StepFlops:
    """What training takes for each of the things that are in a batch.

    Attributes:
      token: of a token, in the decoder's layers, attention apart.
      target: of a position that counts in the loss, in the decoder's head.
      pair: of a pair of positions, in the decoder's layers without a window. local_pair: in those with one.
      picture: of a picture, in encoder and connector.
      window: the decoder's, for `BatchCounts`.
      visual_tokens: positions that a picture takes, for `BatchCounts`.
    """

    token: Flops
    target: Flops
    pair: float
    local_pair: float
    picture: Flops
    window: int | None
    visual_tokens: int

    def useful(self, counts: BatchCounts) -> float:
        """Returns what the tokens and pictures of a batch need: none of it for padding."""
        return self._sum(counts.targets, counts.tokens, counts.pairs, counts.local_pairs, counts.pictures)

    def padded(self, counts: BatchCounts) -> float:
        """Returns the same if all of every row were one sample, with no more targets."""
        pairs, local_pairs = counts.padded_pairs, counts.padded_local_pairs
        return self._sum(counts.targets, counts.positions, pairs, local_pairs, counts.padded_pictures)

    def _sum(self, targets: float, tokens: float, pairs: float, local_pairs: float, pictures: float) -> float:
        attention = pairs * self.pair + local_pairs * self.local_pair
        matrices = targets * self.target.total + tokens * self.token.total
        return matrices + attention + pictures * self.picture.total

    def describe(self, length: int) -> str:
        """Returns a line for the log: what a token with a target and a picture of a row of `length` take."""
        full = BatchCounts.full(1, length, self.window, 0)
        attention = (full.pairs * self.pair + full.local_pairs * self.local_pair) / length
        trained, frozen = (a + b for a, b in zip(self.token[:2], self.target[:2], strict=True))
        said = (
            f"a token of a full row of {length} takes {(trained + frozen + attention) / 1e9:.3g} GFLOP in training: "
            f"trained matrices {trained / 1e9:.3g}, frozen ones {frozen / 1e9:.3g}, attention {attention / 1e9:.3g}"
        )
        if self.target.total:
            said += f"; without a target {self.target.total / 1e9:.3g} less"
        return said + (f"; a picture {self.picture.total / 1e9:.3g}" if self.picture.total else "")

    @classmethod
    def create(
        cls,
        network: Network,
        trained: Collection[str],
        *,
        features: bool = False,
        responses: bool = True,
        kept_patches: int = 0,
    ) -> StepFlops:
        """Counts a network.

        Args:
          network: sizes and parameters.
          trained: paths of the parameters that are trained; none of them counts the forward pass alone.
          features: the encoder does not run, its features are kept.
          responses: False: the decoder does not run.
          kept_patches: how many of a picture's patches the encoder sees; 0: all.
        """
        config, decoder = network.config, network.config.decoder
        patches = 0 if config.vision is None else kept_patches or config.vision.patches
        first_trained = {"vision": ("vision/",), "connector": ("vision/", "connector/"), "decoder": ("",)}
        through = {part: any(name.startswith(before) for name in trained) for part, before in first_trained.items()}
        token, target, picture = Flops(), Flops(), Flops()
        for name, shape in network.shapes.items():
            part = name.split("/", 1)[0]
            size = matrix_size(name, shape, decoder)
            if not size or (part == "vision" and features) or (part == "decoder" and not responses):
                continue
            each = size * (2 + 2 * through[part] + 2 * (name in trained))
            if name in ("decoder/head", "decoder/embedding/table"):
                target = _add(target, name in trained, each)
            elif part == "decoder":
                token = _add(token, name in trained, each)
            else:
                picture = _add(picture, name in trained, each * _places(name, config, patches))
        passes = {part: 3 if through[part] else 1 for part in through}
        seen = passes["vision"] * (not features) * _vision_attention(config, patches)
        picture = picture._replace(attention=seen + passes["connector"] * _connector_attention(config))
        layer = 4.0 * passes["decoder"] * responses * decoder.heads * decoder.head_dim
        local = 0 if decoder.sliding_window is None else decoder.layers - len(decoder.global_layers or ())
        return cls(
            token=token,
            target=target,
            pair=layer * (decoder.layers - local),
            local_pair=layer * local,
            picture=picture,
            window=decoder.sliding_window,
            visual_tokens=config.vision.tokens_of(patches) if kept_patches else config.visual_tokens,
        )


_MATRIX = re.compile(r"(kernel|kernel/codes|head|lora/[ab])$")


def matrix_size(name: str, shape: jax.ShapeDtypeStruct, decoder: DecoderConfig) -> int:
    """Returns how many weights an array has that positions are multiplied by; of 4-bit codes a byte holds two."""
    if name == "decoder/embedding/table":
        return shape.size if decoder.tied else 0
    if not _MATRIX.search(name):
        return 0
    packed = name.endswith("/codes") and shape.dtype == jnp.uint8
    return shape.size * (2 if packed else 1)


def _add(flops: Flops, trained: bool, more: float) -> Flops:
    if trained:
        return flops._replace(trained=flops.trained + more)
    return flops._replace(frozen=flops.frozen + more)


_SEES_VISUAL = re.compile(r"connector/(projection/|cross/[kv]/)")
_CONVOLUTION = re.compile(r"vision/stem/convolution_(\d+)/kernel$")
_SEES_BOTH = re.compile(r"connector/layers/[kv]/")


def _places(name: str, config: VlsmConfig, patches: int) -> float:
    """Returns how many positions of one picture a matrix of encoder or connector is multiplied by."""
    vision, sizes = config.vision, config.connector.sizes
    tokens = vision.tokens_of(patches)
    if found := _CONVOLUTION.match(name):
        finer = 2 ** (len(vision.stem_channels) - 1 - int(found[1]))  # results along the side of a patch
        if vision.cuts_out(patches):
            return patches * (2 * finer - 1) ** 2
        return (vision.image_size // vision.patch_size * finer + finer - 1) ** 2
    if name.startswith("vision/patch/"):
        return patches
    if name.startswith("vision/"):
        return (patches + 1) * _encoder_layers(config) / vision.layers
    if sizes is None or _SEES_VISUAL.match(name):
        return tokens
    if config.connector.kind == "perceiver" and _SEES_BOTH.match(name):
        return tokens + sizes.queries  # latents see themselves along with the visual tokens
    return sizes.queries


def _encoder_layers(config: VlsmConfig) -> int:
    """Returns how many layers run: those up to the one whose output is taken."""
    return config.vision.layers + 1 + config.vision.feature_layer


def _vision_attention(config: VlsmConfig, patches: int) -> float:
    """Returns the FLOPs of the encoder's attention for one picture, forward."""
    if config.vision is None:
        return 0.0
    return 4.0 * (patches + 1) ** 2 * config.vision.width * _encoder_layers(config)


def _connector_attention(config: VlsmConfig) -> float:
    """Returns the FLOPs of a resampler's attention for one picture, forward."""
    if config.vision is None or config.connector.sizes is None:
        return 0.0
    sizes, visual = config.connector.sizes, config.vision.tokens
    if config.connector.kind == "perceiver":
        return 4.0 * sizes.queries * (visual + sizes.queries) * sizes.heads * sizes.head_dim * sizes.depth
    crossings = sizes.depth // sizes.cross_every
    return 4.0 * sizes.queries * sizes.width * (sizes.queries * sizes.depth + visual * crossings)
