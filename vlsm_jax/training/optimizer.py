"""AdamW or Muon with warm-up and a schedule, and the freeze list."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import optax
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from vlsm_jax.training.config import ConfigError


def check_pattern(setting: str, pattern: str) -> None:
    """Raises ValueError where a rule of a setting begins with what is no regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{setting}: {pattern!r} is no regular expression: {error}") from error


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Attributes:
    name: "adamw", or "muon" (Jordan et al., 2024): the kernels of layers move by their momentum made orthogonal, as far
      as AdamW moves them (Liu et al., 2025), so that rates are of the same kind; tables, the head, the patches' kernel
      and vectors stay with AdamW. Where kernels are spread over devices, XLA moves them about a dozen times a step.
    learning_rate: peak, reached after `warmup_steps`.
    schedule: "cosine" falls to `final_fraction` of the peak at the last step; "constant" stays; "stable" stays until it
      falls in a straight line to `final_fraction` (warm-up, stable, decay: Hu et al., 2024), so that a run may go on
      for longer than was planned: until the fall begins, the number of steps changes nothing.
    warmup_steps: over which the rate grows evenly, from `learning_rate / warmup_steps` in the first step.
    warmup_from_zero: it grows from 0, and the first step changes nothing, as in transformers' schedules.
    decay_share: of the steps, over which "stable" falls.
    weight_decay: applied to matrices, not to biases, norms and other vectors.
    decay_vectors: applied to these as well, as PyTorch's optimizers do unless told otherwise.
    clip_norm: global norm that gradients are scaled down to; 0 leaves them.
    rate_factors: (regular expression, factor) over parameter paths: the first that matches says by what the rate of a
      parameter, and its decay with it, is multiplied; what none matches learns at `learning_rate`. For an encoder that
      has learnt already, behind which a decoder begins.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant", "stable"] = "cosine"
    warmup_steps: int = 100
    warmup_from_zero: bool = False
    final_fraction: float = 0.1
    decay_share: float = 0.2
    weight_decay: float = 0.1
    decay_vectors: bool = False
    beta1: float = 0.9
    beta2: float = 0.95
    clip_norm: float = 1.0
    rate_factors: Sequence[tuple[str, float]] = ()

    def __post_init__(self):
        for name in ("learning_rate", "warmup_steps", "weight_decay", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)}; choose 0 or a positive number")
        if not 0 <= self.final_fraction <= 1:
            raise ValueError(f"final_fraction={self.final_fraction}; choose a share of the peak, from 0 to 1")
        if not 0 < self.decay_share <= 1:
            raise ValueError(f"decay_share={self.decay_share}; choose a share of the steps, above 0 and up to 1")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}; choose at least 0 and less than 1")
        for rule in self.rate_factors:
            if not isinstance(rule, Sequence) or [type(part) for part in rule] not in ([str, float], [str, int]):
                raise ValueError(f"rate_factors: {rule!r}; each rule is a regular expression and a number")
            if not 0 < rule[1] < math.inf:
                raise ValueError(
                    f"rate_factors: {rule!r}; choose a positive number, and train.trainable for what rests"
                )
            check_pattern("rate_factors", rule[0])


def learning_rate_schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Returns step (from 0) to learning rate."""
    warmup = min(config.warmup_steps, steps)
    first = 0.0 if config.warmup_from_zero and warmup else config.learning_rate / max(warmup, 1)
    if config.schedule == "cosine":
        # optax's final value is reached at decay_steps; a run of one step still needs one.
        return optax.warmup_cosine_decay_schedule(
            init_value=first,
            peak_value=config.learning_rate,
            warmup_steps=warmup,
            decay_steps=max(steps, warmup + 1),
            end_value=config.learning_rate * config.final_fraction,
        )
    if config.schedule in ("constant", "stable"):
        ramp = optax.linear_schedule(first, config.learning_rate, warmup)
        parts, bounds = [ramp, optax.constant_schedule(config.learning_rate)], [warmup]
        if config.schedule == "stable":
            fall = max(1, round(steps * config.decay_share))
            parts.append(
                optax.linear_schedule(config.learning_rate, config.learning_rate * config.final_fraction, fall)
            )
            bounds.append(max(warmup, steps - fall))
        return optax.join_schedules(parts, bounds)
    raise ConfigError(f"optimizer.schedule={config.schedule!r}; choose 'cosine', 'constant' or 'stable'")


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """Returns clipping, Adam or Muon, decoupled weight decay and the schedule, in this order, then `rate_factors`."""
    moved = _make_mover(config, steps)
    return optax.chain(moved, _at_their_rates(config.rate_factors)) if config.rate_factors else moved


def _at_their_rates(rules: Sequence[tuple[str, float]]) -> optax.GradientTransformation:
    """Returns what multiplies the update of each parameter by the factor of the first rule that matches it."""
    compiled = [re.compile(pattern) for pattern, _ in rules]

    def rule_of(path: Sequence[Any]) -> int | None:
        return _first_match(compiled, path_name(path))

    def init(params: Any) -> optax.EmptyState:
        met = {rule_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)}
        idle = [pattern for i, (pattern, _) in enumerate(rules) if i not in met]
        if idle:
            raise ConfigError(
                f"optimizer.rate_factors: {idle} decides the rate of nothing that is trained; first match wins"
            )
        return optax.EmptyState()

    def scaled(path: Sequence[Any], update: jax.Array) -> jax.Array:
        rule = rule_of(path)
        return update if rule is None else rules[rule][1] * update

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        del params
        return jax.tree_util.tree_map_with_path(scaled, updates), state

    return optax.GradientTransformation(init, update)


def _make_mover(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    parts = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    rate = learning_rate_schedule(config, steps)
    adamw = optax.adamw(
        rate,
        b1=config.beta1,
        b2=config.beta2,
        weight_decay=config.weight_decay,
        mask=None if config.decay_vectors else _is_matrix,
    )
    if config.name == "adamw":
        return optax.chain(*parts, adamw)
    if config.name != "muon":
        raise ConfigError(f"optimizer.name={config.name!r}; choose 'adamw' or 'muon'")
    muon = optax.chain(
        scale_by_muon(beta=MUON_MOMENTUM, weight_dimension_numbers=_sides),
        optax.stateless(_sized),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(rate),
    )
    return optax.chain(*parts, optax.partition({"muon": muon, "adamw": adamw}, _kinds))


def _kinds(params: Any) -> Any:
    """Says which of the two moves each parameter."""
    kinds = jax.tree_util.tree_map_with_path(
        lambda path, _: "muon" if _ORTHOGONAL.search(path_name(path)) else "adamw", params
    )
    if "muon" not in jax.tree.leaves(kinds):
        raise ConfigError("optimizer.name='muon' moves kernels of layers, and none is trained; choose 'adamw'")
    return kinds


def _sides(params: Any) -> Any:
    """Says which axes of each kernel are its inputs and which its outputs; those before them count layers."""
    return jax.tree_util.tree_map_with_path(lambda path, _: _sides_of(path_name(path)), params)


def _sides_of(name: str) -> MuonDimensionNumbers:
    if _FROM_HEADS.search(name):
        return MuonDimensionNumbers((-3, -2), (-1,))
    return MuonDimensionNumbers((-3,), (-2, -1)) if _TO_HEADS.search(name) else MuonDimensionNumbers((-2,), (-1,))


def _sized(updates: Any, params: Any) -> Any:
    """Scales orthogonal kernels, whose root mean square is one over the root of the longer side, to `MUON_SIZE`."""
    del params

    def scaled(path: Sequence[Any], update: jax.Array) -> jax.Array:
        longer = max(math.prod(update.shape[axis] for axis in side) for side in _sides_of(path_name(path)))
        return MUON_SIZE * math.sqrt(longer) * update

    return jax.tree_util.tree_map_with_path(scaled, updates)


def _is_matrix(params: Any) -> Any:
    """Marks what decays: kernels, tables and the head, by name, since stacked layers make every array a matrix."""
    return jax.tree_util.tree_map_with_path(lambda path, _: _DECAYS.search(path_name(path)) is not None, params)


_DECAYS = re.compile(r"(kernel|table|head)$")
# Not those that see pixels, which are no product of one side with another.
_ORTHOGONAL = re.compile(r"(?<!patch/)(?<!convolution_\d/)kernel$")
_TO_HEADS = re.compile(r"/[qkv]/kernel$")
_FROM_HEADS = re.compile(r"/o/kernel$")
MUON_MOMENTUM = 0.95
MUON_SIZE = 0.2
"""Root mean square of a kernel's step, before the learning rate; that of AdamW's steps (Liu et al., 2025)."""


def path_name(path: Sequence[Any]) -> str:
    """Returns a tree path as "decoder/layers/attention/q/kernel"."""
    return "/".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path)


def _first_match(patterns: Sequence[re.Pattern[str]], name: str) -> int | None:
    """Returns which of the patterns decides for a parameter: the first that is found in its name; None for none."""
    return next((i for i, pattern in enumerate(patterns) if pattern.search(name)), None)


def split_frozen(params: Mapping[str, Any], rules: Sequence[tuple[str, bool]]) -> tuple[dict, dict, str]:
    """Splits flat parameters into those that are trained and those that are frozen.

    Args:
      params: path ("vision/layers/...") to array or shape.
      rules: (regular expression, trained or not), searched in order; the first that matches decides.

    Returns:
      The trained and the frozen part, and a table for the log, one line for each rule.

    Raises:
      ConfigError: a parameter matches no rule, a rule matches no parameter, or nothing is trained.
    """
    compiled = [re.compile(pattern) for pattern, _ in rules]
    hits = [0] * len(rules)
    sizes = [0] * len(rules)
    parts: tuple[dict, dict] = ({}, {})
    unmatched = []
    for name, value in params.items():
        rule = _first_match(compiled, name)
        if rule is None:
            unmatched.append(name)
            continue
        hits[rule] += 1
        sizes[rule] += value.size
        parts[0 if rules[rule][1] else 1][name] = value
    if unmatched:
        raise ConfigError(f"train.trainable has no rule for: {', '.join(sorted(unmatched))}; end it with ('.*', True)")
    idle = [rules[i][0] for i, count in enumerate(hits) if count == 0]
    if idle:
        raise ConfigError(f"train.trainable: nothing is decided by {idle}; first match wins, so check their order")
    if not parts[0]:
        raise ConfigError("train.trainable freezes every parameter; nothing would be trained")
    table = "\n".join(
        f"{'train ' if trained else 'freeze'} {pattern!r}: {hits[i]} arrays, {sizes[i]:,} parameters"
        for i, (pattern, trained) in enumerate(rules)
    )
    return *parts, table
