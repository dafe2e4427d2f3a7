"""Generating scripts: sketches and prompts in, candidates out.

What the devices do is in `generation.loop`, and under the grammar constraint in `generation.constrained`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from vlsm_jax.data.images import Fit, load_image
from vlsm_jax.data.tokenizer import Tokenizer
from vlsm_jax.flexscript.cutting import whole_statements
from vlsm_jax.generation.loop import Generated, Limits, State, begin, finish, go_on
from vlsm_jax.generation.programs import Programs
from vlsm_jax.generation.prompts import Prompts, make_prompts
from vlsm_jax.generation.sampling import GREEDY, Sampling
from vlsm_jax.generation.speculation import Lookup
from vlsm_jax.generation.speed import Speed
from vlsm_jax.generation.streaming import OnText, Stream
from vlsm_jax.models.layerwise import take_apart
from vlsm_jax.models.quantised import laid_out, product_for, set_implementation
from vlsm_jax.sharding import batch_sharding
from vlsm_jax.training.network import Network, Params

if TYPE_CHECKING:
    from vlsm_jax.generation.constrained import ConstrainedDecoder

# How many times the model reads new tokens between two looks at what is written.
STREAMED_STEPS = 8


class Candidate(NamedTuple):
    """One generated script.

    Attributes:
      text: the script.
      tokens: how many ids it took, end-of-text included.
      ended: whether the model ended it, or the limit did.
      constrained: whether it was written under the grammar constraint.
      cut: whether, for it did not end, an unfinished statement was left out and open blocks were closed. Only under the
        constraint.
      log_probability: mean over the ids of the logarithm of the probability that the model gives each, before anything
        that sampling and constraint do to it.
    """

    text: str
    tokens: int
    ended: bool
    constrained: bool = False
    cut: bool = False
    log_probability: float = 0.0


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

    Attributes:
      speed: figures of the last call of `generate`.
      total: figures of all calls.

    Args:
      network: the model.
      params: its parameters, on `mesh`; those of the decoder are copied, layer by layer.
      tokenizer: the one it was trained with.
      fit: how sketches become squares, as in training.
      mesh: devices; rows are spread over `data` and `fsdp`.
      product: how layers in NF4 multiply; see `decoding_network`, whose errors are raised here.
      lookup: how tokens are drafted that the model then reads together; None reads one at a time.
      take_params: whether arrays may be taken out of `params`, so that memory need not hold any of them twice.
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
        lookup: Lookup | None = None,
        take_params: bool = False,
    ):
        self._network, self._tokenizer = decoding_network(network, mesh, product), tokenizer
        chosen = product_for(product, mesh.devices.flat[0].platform, mesh.size)
        self._params = laid_out(take_apart(params if take_params else dict(params)), chosen)
        self._fit, self._mesh, self._lookup = fit, mesh, lookup
        self._programs = Programs()
        self._constrained: ConstrainedDecoder | None = None
        self.speed = self.total = Speed()

    @property
    def network(self) -> Network:
        """The model."""
        return self._network

    def lent(self, prompt: str) -> Mapping[str, str]:
        """Returns the names that a prompt is lent while its script is written, each with the prompt's own."""
        return {} if self._tokenizer.placeholders else self._tokenizer.read(prompt).names

    @property
    def looks_at_sketches(self) -> bool:
        """Whether the model has an encoder; one of text alone has none."""
        return self._network.config.vision is not None

    def generate(
        self,
        images: Sequence[str | Path],
        prompts: Sequence[str],
        *,
        max_tokens: int,
        rows: int = 1,
        constrain: bool = False,
        names: Sequence[Sequence[str]] | None = None,
        candidates: int = 1,
        sampling: Sampling = GREEDY,
        seed: int = 0,
        on_text: OnText | None = None,
    ) -> list[list[Candidate]]:
        """Returns a list of candidates for each sketch and prompt.

        What is drawn for a prompt depends on its text, its sketch, the candidate's number and the seed, not on the
        other prompts of the batch.

        Args:
          images: paths of the sketches; a model of text alone looks at none.
          prompts: the engineers' texts.
          max_tokens: limit of new ids for each.
          rows: prompts are filled up to a multiple of this many, so that a short last batch is not compiled anew.
          constrain: whether only FlexScript can be written; every text then parses. Needs llguidance.
          names: of each prompt, what objects may be called, each once, as far as names are literals; only together with
            `constrain`. None: anything.
          candidates: how many for each prompt; of several the first is greedy, and the others are drawn.
          sampling: how a lone candidate, or all but the first, are chosen.
          seed: of the draws.
          on_text: told what is written, a few tokens at a time.

        Raises:
          ConstraintError: llguidance is missing or cannot read the tokenizer.
          ImageError: a sketch cannot be read.
          ValueError: a prompt is empty, or has no sketch where the model looks at one; or several candidates are asked
            for that would all be the same; or names without constraint, or not for each prompt.
        """
        if candidates < 1:
            raise ValueError(f"candidates={candidates}; at least 1 is written for each prompt")
        if candidates > 1 and sampling.greedy:
            raise ValueError(f"{candidates} greedy candidates would be the same; give a sampling, such as Sampling()")
        if names is not None and (not constrain or len(names) != len(prompts)):
            raise ValueError(f"names of {len(names)} prompts for {len(prompts)}, constrain={constrain}; see `names`")
        config = self._network.config
        pixels = [np.zeros(0, np.uint8)] * len(prompts)
        if self.looks_at_sketches:
            if len(images) != len(prompts):
                raise ValueError(f"{len(images)} sketches for {len(prompts)} prompts; give one for each")
            pixels = [load_image(path, config.vision.image_size, self._fit) for path in images]
        named = [self._tokenizer.read(prompt) for prompt in prompts]
        if names is not None:
            # What stands for a name is written in its place.
            names = [[*p.names, *p.kept] if p.names else own for p, own in zip(named, names, strict=True)]
        batch = make_prompts(self._tokenizer, [prompt.prompt for prompt in named], pixels, config.visual_tokens)
        missing = -len(prompts) % math.lcm(rows, self._mesh.shape["data"] * self._mesh.shape["fsdp"])
        if missing:  # repeat the first row until the batch has its size and divides among the devices
            batch = Prompts(*(np.concatenate([x, np.repeat(x[:1], missing, axis=0)]) for x in batch))
            names = None if names is None else [*names, *[names[0]] * missing]
        limits = Limits(max_tokens, self._tokenizer.eos_id, self._tokenizer.size, candidates, sampling, self._lookup)
        stream = None if on_text is None else Stream(self._tokenizer, on_text, named, candidates)
        with jax.set_mesh(self._mesh):
            on_devices = jax.device_put(batch, batch_sharding(self._mesh))
            if constrain:
                decoder = self._constrained_decoder()
                result = decoder.decode(self._params, on_devices, limits, seed=seed, stream=stream, names=names)
                speed = decoder.speed
            else:
                result, speed = self._write(on_devices, seed, limits, stream)
        result = Generated(*(x[: len(prompts) * candidates] for x in jax.device_get(result)))
        self.speed = speed._replace(
            tokens=int(result.lengths.sum()), drafted=int(result.drafted.sum()), taken=int(result.taken.sum())
        )
        self.total = self.total.plus(self.speed)
        made = self._candidates(result)
        if constrain:
            made = [within_grammar(candidate) for candidate in made]
        made = [c._replace(text=named[row // candidates].restore(c.text)) for row, c in enumerate(made)]
        return [made[i : i + candidates] for i in range(0, len(made), candidates)]

    def _candidates(self, result: Generated) -> list[Candidate]:
        """Returns rows as texts."""
        return [
            Candidate(
                text=self._tokenizer.decode(tokens[:length]),
                tokens=int(length),
                ended=bool(tokens[length - 1] == self._tokenizer.eos_id),
                log_probability=float(log_probability / length),
            )
            for tokens, length, log_probability in zip(*result[:3], strict=True)
        ]

    def _constrained_decoder(self) -> ConstrainedDecoder:
        if self._constrained is None:
            from vlsm_jax.generation.constrained import ConstrainedDecoder
            from vlsm_jax.generation.constraint import Constraint

            self._constrained = ConstrainedDecoder(self._network, Constraint(self._tokenizer))
        return self._constrained

    def _write(self, prompts: Prompts, seed: int, limits: Limits, stream: Stream | None) -> tuple[Generated, Speed]:
        """Runs the two compiled calls; what is compiled is kept, and its time counted apart."""
        shapes = (limits, prompts.tokens.shape)
        network, programs, seed = self._network, self._programs, np.uint32(seed)

        def start(params: Params, prompts: Prompts, seed: jax.Array) -> State:
            return begin(network.merge(params), prompts, seed, limits)

        def proceed(params: Params, state: State, steps: jax.Array) -> tuple[State, Generated]:
            state = go_on(network.merge(params), state, steps, limits)
            return state, finish(state, limits)

        started, compiling = time.perf_counter(), programs.seconds
        state = jax.block_until_ready(programs(("start", *shapes), start, self._params, prompts, seed))
        first_token = time.perf_counter() - started - (programs.seconds - compiling)
        # Few steps at a time for who looks on; else all in one call.
        steps = np.int32(limits.new_tokens if stream is None else STREAMED_STEPS)
        while True:
            state, result = programs(("proceed", *shapes), proceed, self._params, state, steps, donate=(1,))
            if stream is None:
                break
            done = np.asarray(state.done)
            stream.show(np.asarray(result.tokens), np.asarray(result.lengths), done)
            if done.all():
                break
        result = jax.block_until_ready(result)
        compiled = programs.seconds - compiling
        seconds = time.perf_counter() - started - compiled
        return result, Speed(seconds=seconds, first_token_seconds=first_token, generations=1, compile_seconds=compiled)
