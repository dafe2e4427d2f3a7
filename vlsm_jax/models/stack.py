"""Running a stack of equal layers: one scan, or unrolled, with or without rematerialisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from vlsm_jax.models.layers import KEPT
from vlsm_jax.models.layerwise import Layerwise

Carry = TypeVar("Carry")
Step = TypeVar("Step", bound=Callable[..., Any])

_named = jax.checkpoint_policies.save_only_these_names(KEPT)
# cuDNN's attention, whose results jax gives no name: without them the kernel would run once more.
_KERNELS = ("dot_product_attention_fwd_wrapper", "dot_product_attention_fwd")


def _dots(primitive: Any, *avals: Any, **params: Any) -> Any:
    return primitive.name in _KERNELS or _named(primitive, *avals, **params)


# What the backward pass finds stored, besides each layer's input: all, nothing, or the results of attention (not its
# scores) and of dense layers, quantised and adapted ones, too.
REMAT = {"none": None, "full": jax.checkpoint_policies.nothing_saveable, "dots": _dots}


def check_remat(remat: str) -> str:
    """Returns `remat`; raises ValueError listing the choices when it is none of them."""
    if remat not in REMAT:
        raise ValueError(f"remat {remat!r} is not one of {', '.join(REMAT)}")
    return remat


def rematerialised(step: Step, remat: str, *, scan: bool) -> Step:
    """Returns a layer of which the backward pass finds stored what `remat` says: see `run_stack`."""
    if check_remat(remat) == "none":
        return step
    # Inside a scan the loop itself keeps XLA from merging the recomputation with the forward pass.
    return jax.checkpoint(step, prevent_cse=not scan, policy=REMAT[remat])


def run_stack(
    layers: nnx.Module,
    body: Callable[[nnx.Module, Carry, jax.Array | int], Carry],
    carry: Carry,
    *,
    count: int,
    scan: bool,
    remat: str,
) -> Carry:
    """Returns `carry` after `carry = body(layer, carry, index)` for each layer of a stack, in order.

    Args:
      layers: a module whose every variable has a leading axis of length `count`. Which variables it has is its own
        affair, so a dense layer may be exchanged for a quantised or an adapted one without a change here.
      body: sees one layer, with variables that lack the leading axis. The index is traced when scanning.
      count: the number of layers to run; fewer than the stack holds runs the first ones.
      scan: one `jax.lax.scan` (compile time independent of depth) or a Python loop; the results are equal.
      remat: a name in `REMAT`: "none"; "full" keeps only each layer's input for the backward pass and makes the rest
        again; "dots" keeps the results of the dense layers and of attention too, and makes again what is cheap between
        them.
    """
    graphdef, state = nnx.split(layers)

    def step(carry: Carry, layer_state: nnx.State, index: jax.Array | int) -> Carry:
        return body(nnx.merge(graphdef, layer_state), carry, index)

    step = rematerialised(step, remat, scan=scan)
    if scan:
        state = jax.tree.map(lambda a: a[:count], state)
        carry, _ = jax.lax.scan(lambda c, xs: (step(c, *xs), None), carry, (state, jnp.arange(count)))
        return carry
    for index in range(count):
        layer = jax.tree.map(lambda a, i=index: a[i], state, is_leaf=lambda a: isinstance(a, Layerwise))
        carry = step(carry, layer, index)
    return carry
