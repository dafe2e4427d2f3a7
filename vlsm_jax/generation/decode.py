"""Greedy decoding with a key-value cache: prefill and the whole loop in one compiled call.

Letters: B rows, P prompt positions (visual tokens included), N new tokens.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from vlsm_jax.data.images import Fit, load_image
from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.flexscript.cutting import whole_statements
from vlsm_jax.models.cache import KVCache
from vlsm_jax.models.quantised import product_for, set_implementation
from vlsm_jax.models.vlsm import Vlsm
from vlsm_jax.sharding import batch_sharding
from vlsm_jax.training.network import Network, Params

if TYPE_CHECKING:
    from vlsm_jax.generation.constrained import ConstrainedDecoder

# Prompt lengths are rounded up to a multiple, so that few shapes are compiled.
PROMPT_BUCKET = 64


class Prompts(NamedTuple):
    """A batch of prompts, each `[visual tokens][text]` and padded behind.

    Attributes:
      tokens: int32 [B, P].
      positions: int32 [B, P]; -1 is padding.
      visual_index: int32 [B, P]; -1 where text stands.
      images: uint8 [B, H, W, 3]; [B, 0] for a model of text alone.
    """

    tokens: np.ndarray
    positions: np.ndarray
    visual_index: np.ndarray
    images: np.ndarray


class Generated(NamedTuple):
    """What decoding returns.

    Attributes:
      tokens: int32 [B, N]; after a row's end-of-text id, that id again.
      lengths: int32 [B]; ids up to and including the end-of-text id, or N for a row that did not end.
    """

    tokens: jax.Array
    lengths: jax.Array


def make_prompts(
    tokenizer: Tokenizer, prompts: Sequence[str], images: Sequence[np.ndarray], visual_tokens: int
) -> Prompts:
    """Returns a batch; the text is encoded exactly as in training.

    Raises:
      ValueError: an empty prompt.
    """
    for i, prompt in enumerate(prompts):
        if not prompt.strip():
            raise ValueError(f"prompt {i} is empty; describe the factory in words, the sketch alone is not enough")
    rows = [[tokenizer.image_id] * visual_tokens + tokenizer.encode_prompt(p) for p in prompts]
    width = -(-max(map(len, rows)) // PROMPT_BUCKET) * PROMPT_BUCKET
    tokens = np.full((len(rows), width), tokenizer.pad_id, np.int32)
    positions = np.full((len(rows), width), -1, np.int32)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        positions[i, : len(row)] = np.arange(len(row))
    visual_index = np.where((positions >= 0) & (positions < visual_tokens), positions, -1).astype(np.int32)
    return Prompts(tokens, positions, visual_index, np.stack(images))


def read_prompts(model: Vlsm, prompts: Prompts, new_tokens: int) -> tuple[jax.Array, KVCache, jax.Array]:
    """Returns logits [B, C] of the first new token, a cache with room for N more, and lengths [B]; traceable."""
    batch, width = prompts.tokens.shape
    lengths = jnp.max(prompts.positions, axis=1) + 1
    hidden, cache = model(
        prompts.tokens,
        visual=None if model.vision is None else model.encode_images(prompts.images),
        visual_index=prompts.visual_index,
        positions=prompts.positions,
        cache=KVCache.init(model.config.decoder, batch, width + new_tokens, model.decoder.dtype),
    )
    last = jnp.take_along_axis(hidden, (lengths - 1)[:, None, None], axis=1)
    return model.logits(last)[:, 0], cache, lengths


def read_token(model: Vlsm, token: jax.Array, position: jax.Array, cache: KVCache) -> tuple[jax.Array, KVCache]:
    """Returns logits [B, C] of what follows a token [B] at its position [B], -1 for a row that ended; traceable."""
    hidden, cache = model(
        token[:, None],
        visual=None,
        visual_index=jnp.full((token.shape[0], 1), -1, jnp.int32),
        positions=position[:, None],
        cache=cache,
    )
    return model.logits(hidden)[:, 0], cache


def greedy(model: Vlsm, prompts: Prompts, new_tokens: int, eos_id: int, vocabulary: int) -> Generated:
    """Returns the most likely continuation, one id at a time; traceable, one `while_loop`.

    Args:
      model: with parameters.
      prompts: the batch.
      new_tokens: N, an upper limit; the loop ends when every row has.
      eos_id: ends a row.
      vocabulary: ids below it can be chosen; an embedding padded beyond the tokenizer has rows that mean nothing.
    """
    batch = prompts.tokens.shape[0]

    def choose(logits):  # [B, C] to [B]
        logits = jnp.where(jnp.arange(logits.shape[-1]) < vocabulary, logits, -jnp.inf)
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)

    logits, cache, lengths = read_prompts(model, prompts, new_tokens)
    first = choose(logits)
    out = jnp.full((batch, new_tokens), eos_id, jnp.int32).at[:, 0].set(first)

    def going_on(carry):
        count, _, _, _, done = carry
        return (count < new_tokens) & ~jnp.all(done)

    def next_token(carry):
        count, token, cache, out, done = carry
        # A row that ended writes nothing more.
        logits, cache = read_token(model, token, jnp.where(done, -1, lengths + count - 1), cache)
        token = jnp.where(done, eos_id, choose(logits))
        out = jax.lax.dynamic_update_slice(out, token[:, None], (0, count))
        return count + 1, token, cache, out, done | (token == eos_id)

    carry = (jnp.ones((), jnp.int32), first, cache, out, first == eos_id)
    out = jax.lax.while_loop(going_on, next_token, carry)[3]
    ended = out == eos_id
    return Generated(out, jnp.where(ended.any(axis=1), jnp.argmax(ended, axis=1) + 1, new_tokens))


class Candidate(NamedTuple):
    """One generated script.

    Attributes:
      text: the script.
      tokens: how many ids it took, end-of-text included.
      ended: whether the model ended it, or the limit did.
      constrained: whether it was written under the grammar constraint.
      cut: whether, for it did not end, an unfinished statement was left out and open blocks were closed. Only under the
        constraint.
    """

    text: str
    tokens: int
    ended: bool
    constrained: bool = False
    cut: bool = False


def within_grammar(candidate: Candidate) -> Candidate:
    """Returns a candidate of constrained decoding; of one that the limit cut off, and does not parse, what does."""
    text = whole_statements(candidate.text)
    return candidate._replace(text=text, constrained=True, cut=text != candidate.text)


def decoding_network(network: Network, mesh: Mesh, product: str = "auto") -> Network:
    """Returns a network whose quantised layers multiply the rows of single tokens in the way that is fastest.

    Args:
      network: of training, where products go through XLA.
      mesh: devices that decode.
      product: see `models.quantised.product_for`.

    Raises:
      ValueError: a product that there is not, or not on these devices.
    """
    chosen = product_for(product, mesh.devices.flat[0].platform, mesh.size)
    model = nnx.merge(network.graphdef, network.abstract)
    set_implementation(model, chosen)
    return dataclasses.replace(network, graphdef=nnx.split(model)[0])


class Generator:
    """Turns sketches and prompts into scripts with one set of parameters.

    Args:
      network: the model.
      params: its parameters, on `mesh`.
      tokenizer: the one it was trained with.
      fit: how sketches become squares, as in training.
      mesh: devices; rows are spread over `data` and `fsdp`.
      product: how layers in NF4 multiply; see `decoding_network`, whose errors are raised here.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        tokenizer: Tokenizer,
        *,
        fit: Fit = Fit.PAD,
        mesh: Mesh,
        product: str = "auto",
    ):
        self._network, self._params, self._tokenizer = decoding_network(network, mesh, product), params, tokenizer
        self._fit, self._mesh = fit, mesh
        self._compiled: dict[int, Callable[[Params, Prompts], Generated]] = {}
        self._constrained: ConstrainedDecoder | None = None

    def generate(
        self,
        images: Sequence[str | Path],
        prompts: Sequence[str],
        *,
        max_tokens: int,
        rows: int = 1,
        constrain: bool = False,
    ) -> list[Candidate]:
        """Returns one script for each sketch and prompt.

        Args:
          images: paths of the sketches; a model of text alone looks at none.
          prompts: the engineers' texts.
          max_tokens: limit of new ids for each.
          rows: the batch is filled up to a multiple of this many, so that a short last batch is not compiled anew.
          constrain: whether only FlexScript can be written; every text then parses. Needs llguidance.

        Raises:
          ConstraintError: llguidance is missing or cannot read the tokenizer.
          ImageError: a sketch cannot be read.
          ValueError: a prompt is empty.
        """
        config = self._network.config
        pixels = [np.zeros(0, np.uint8)] * len(prompts)
        if config.vision is not None:
            pixels = [load_image(path, config.vision.image_size, self._fit) for path in images]
        batch = make_prompts(self._tokenizer, prompts, pixels, config.visual_tokens)
        count = len(prompts)
        missing = -count % math.lcm(rows, self._mesh.shape["data"] * self._mesh.shape["fsdp"])
        if missing:  # repeat the first row until the batch has its size and divides among the devices
            batch = Prompts(*(np.concatenate([x, np.repeat(x[:1], missing, axis=0)]) for x in batch))
        with jax.set_mesh(self._mesh):
            on_devices = jax.device_put(batch, batch_sharding(self._mesh))
            if constrain:
                result = self._constrained_decoder().decode(self._params, on_devices, max_tokens)
            else:
                result = self._decoder(max_tokens)(self._params, on_devices)
        tokens, lengths = jax.device_get(result)
        candidates = [
            Candidate(
                text=self._tokenizer.decode(tokens[i, : lengths[i]]),
                tokens=int(lengths[i]),
                ended=bool(tokens[i, lengths[i] - 1] == self._tokenizer.eos_id),
            )
            for i in range(count)
        ]
        return [within_grammar(candidate) for candidate in candidates] if constrain else candidates

    def _constrained_decoder(self) -> ConstrainedDecoder:
        if self._constrained is None:
            from vlsm_jax.generation.constrained import ConstrainedDecoder
            from vlsm_jax.generation.constraint import Constraint

            self._constrained = ConstrainedDecoder(self._network, Constraint(self._tokenizer))
        return self._constrained

    def _decoder(self, max_tokens: int) -> Callable[[Params, Prompts], Generated]:
        if max_tokens not in self._compiled:
            self._compiled[max_tokens] = jax.jit(functools.partial(self._decode, max_tokens=max_tokens))
        return self._compiled[max_tokens]

    def _decode(self, params: Params, prompts: Prompts, *, max_tokens: int) -> Generated:
        model = self._network.merge(params)
        return greedy(model, prompts, max_tokens, self._tokenizer.eos_id, self._tokenizer.size)
