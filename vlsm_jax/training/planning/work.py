"""Arithmetic of a step, counted in the program that is compiled: every product, as often as it runs, remat included."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import partial_eval

from vlsm_jax.data.pipeline import PipelineConfig
from vlsm_jax.training.flops import BatchCounts, StepFlops
from vlsm_jax.training.loop import StatePlan
from vlsm_jax.training.network import Network


@dataclasses.dataclass(frozen=True)
class Work:
    """Attributes:
    products: FLOPs of matrix products over all devices, two for each multiplication.
    kernels: FLOPs of attention kernels, which the program only names; masked blocks left out by half.
    """

    products: float = 0.0
    kernels: float = 0.0

    @property
    def flops(self) -> float:
        """All of them."""
        return self.products + self.kernels

    def __add__(self, other: Work) -> Work:
        return Work(self.products + other.products, self.kernels + other.kernels)

    def times(self, count: float) -> Work:
        """Returns the work of so many repetitions."""
        return Work(self.products * count, self.kernels * count)


def count_work(jaxpr: core.Jaxpr | core.ClosedJaxpr, taken: float | None = None) -> Work:
    """Returns the work of one run of a program.

    Element-wise arithmetic is not counted: it costs memory traffic, not arithmetic. Of branches the costliest counts,
    and of loops that may end early as many turns as they may have, or one where nothing says how many.

    Args:
      jaxpr: the program.
      taken: how often, of all times, a condition between two branches holds: the share of the layers of one kind, where
        a loop over layers of two kinds chooses between them. None: not known.
    """
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    total = Work()
    for equation in inner.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            total += Work(products=_product(equation))
        elif name == "conv_general_dilated":
            total += Work(products=_convolution(equation))
        elif name == "scan":
            total += count_work(params["jaxpr"], taken).times(params["length"])
        elif name == "while":
            total += count_work(params["body_jaxpr"], taken).times(_most_turns(params["cond_jaxpr"]))
        elif name == "cond":
            branches = [count_work(branch, taken) for branch in params["branches"]]  # the one of "false" first
            if taken is not None and len(branches) == 2:
                total += branches[0].times(1 - taken) + branches[1].times(taken)
            else:
                total += max(branches, key=lambda w: w.flops)
        elif name == "pallas_call":
            total += Work(kernels=_kernel(params))
        elif found := _FUSED_ATTENTION.match(name):
            total += Work(kernels=_fused_attention(equation, backward=found[1] == "bwd"))
        elif name == "shard_map":
            total += count_work(params["jaxpr"], taken).times(_shards(equation))
        else:
            for value in params.values():
                for program in _programs(value):
                    total += count_work(program, taken)
    return total


def _most_turns(condition: core.ClosedJaxpr) -> int:
    """Returns the number that the counter of a loop, from 0 up, is to stay below; 1 where there is none."""
    limits = [e.invars[1] for e in condition.jaxpr.eqns if e.primitive.name == "lt"]
    return next((int(limit.val) for limit in limits if isinstance(limit, core.Literal)), 1)


def _programs(value: Any) -> list:
    if isinstance(value, (core.Jaxpr, core.ClosedJaxpr)):
        return [value]
    if isinstance(value, (tuple, list)):
        return [program for part in value for program in _programs(part)]
    return []


def _product(equation: core.JaxprEqn) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(left[i] for i in contracted)


def _convolution(equation: core.JaxprEqn) -> float:
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) / outputs


def _shards(equation: core.JaxprEqn) -> float:
    """Returns how many different parts there are, from how the first result is cut."""
    whole = equation.outvars[0].aval.size
    part = equation.params["jaxpr"].outvars[0].aval.size
    return whole / max(part, 1)


def _kernel(params: dict[str, Any]) -> float:
    """Returns the products of a Pallas kernel: those of one grid cell, times the cells.

    Attention kernels skip what a causal mask hides, about half of the cells.
    """
    cells = math.prod(int(n) for n in params["grid_mapping"].grid if isinstance(n, int))
    once = count_work(params["jaxpr"]).products
    batch = 1
    return once * cells * batch / 2


# As jax names cuDNN's attention.
_FUSED_ATTENTION = re.compile(r"dot_product_attention_(fwd|bwd)")


def _fused_attention(equation: core.JaxprEqn, *, backward: bool) -> float:
    """Returns the products of cuDNN's attention: 2 forward, and 5 backward, where scores are made again."""
    query, key = (x.aval.shape for x in equation.invars[:2])  # [B, S, N, H], [B, T, K, H]
    once = 2.0 * math.prod(query) * key[1]
    causal = "CAUSAL" in str(equation.params["mask_type"]).upper()
    return once * (5 if backward else 2) / (2 if causal else 1)


def without_unused(program: core.ClosedJaxpr) -> core.Jaxpr:
    """Returns a program without what no result depends on, which a compiler leaves out, within loops as well.

    Such as the gradient of a head that is frozen, where a loss makes gradients with its logits.
    """
    return partial_eval.dce_jaxpr(program.jaxpr, [True] * len(program.jaxpr.outvars))[0]


def count_step(step: jax.stages.Traced, network: Network) -> Work:
    """Returns the work of one run of a traced training step."""
    decoder = network.config.decoder
    kinds = decoder.global_layers
    return count_work(without_unused(step.jaxpr), None if kinds is None else len(kinds) / decoder.layers)


def model_flops(
    network: Network, plan: StatePlan, pipeline: PipelineConfig, pictures: int, *, responses: bool = True
) -> float:
    """Returns the FLOPs that a step needs over all devices, nothing made again: what MFU is counted in.

    Padding and packing are not looked at: every position counts, and sees all of its row before it.
    """
    flops = StepFlops.create(network, plan.abstract.trained, responses=responses, kept_patches=pipeline.kept_patches)
    return flops.padded(BatchCounts.full(pipeline.batch_size, pipeline.sequence_length, flops.window, pictures))
