"""The model as training sees it: a function of flat parameters, and where each of them lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, traverse_util
from jax.sharding import Mesh, NamedSharding

from vlsm_jax.models.adaptation import Adaptation, adapt, plain
from vlsm_jax.models.attention_kernels import PLATFORMS
from vlsm_jax.models.lora import LoraConfig, LoraParam
from vlsm_jax.models.quantised import Frozen
from vlsm_jax.models.vlsm import Vlsm, VlsmConfig, abstract_model
from vlsm_jax.sharding import DEFAULT_RULES, Rules, param_shardings
from vlsm_jax.training.compiler_memory import give_back_after_compiling
from vlsm_jax.training.config import ConfigError, build

Params = dict[str, jax.Array]
"""Flat parameters: "decoder/layers/attention/q/kernel" to array. What checkpoints, freeze lists and optimizers hold."""

PLAIN = Adaptation()
"""Nothing quantised, no adapters."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A VLSM without its parameters.

    Attributes:
      config: sizes.
      graphdef: the module's structure.
      abstract: parameter shapes, with their logical axes.
      param_dtype: of the parameters, those of quantised kernels apart.
      adaptation: which layers are quantised, and which have adapters.
      remat: what the backward pass makes again: see `models.stack`.
    """

    config: VlsmConfig
    graphdef: nnx.GraphDef
    abstract: nnx.State
    param_dtype: Any = jnp.float32
    adaptation: Adaptation = PLAIN
    remat: str = "none"

    @classmethod
    def create(
        cls,
        config: VlsmConfig,
        *,
        dtype: Any = jnp.float32,
        param_dtype: Any = jnp.float32,
        remat: bool | str = False,
        attention: str = "xla",
        adaptation: Adaptation = PLAIN,
    ) -> Network:
        """Returns the network; `dtype` is what it computes in, `param_dtype` what its parameters are kept in.

        From now on the process gives back what compiling leaves free, which is mostly what a network is made for.

        Args:
          config: sizes.
          dtype, param_dtype: see above.
          remat: what the backward pass makes again: see `models.stack`; True is "full", False "none".
          attention: an implementation, see `models.attention`; `attention_for` chooses one for a platform.
          adaptation: which layers are quantised, and which have adapters.

        Raises:
          ConfigError: `adaptation` names no layer, or one that cannot be quantised, or a choice that there is not.
        """
        give_back_after_compiling()
        if isinstance(remat, bool):
            remat = "full" if remat else "none"
        options = {"dtype": dtype, "param_dtype": param_dtype, "remat": remat, "attention_implementation": attention}

        def make() -> Vlsm:
            model = Vlsm(config, rngs=nnx.Rngs(0), **options)
            return adapt(model, adaptation, nnx.Rngs(0), param_dtype=param_dtype)

        try:
            graphdef, abstract = nnx.split(nnx.eval_shape(make))
        except ValueError as error:
            raise ConfigError(f"model: {error}") from error
        return cls(config, graphdef, abstract, param_dtype, adaptation, remat)

    @property
    def shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Path to shape and dtype of every parameter."""
        return flatten(self.abstract)

    @property
    def parameter_count(self) -> int:
        """Number of parameters."""
        return sum(x.size for x in self.shapes.values())

    def init(self, seed: jax.Array | int) -> Params:
        """Returns fresh parameters; traceable."""
        key = jax.random.key(seed)
        model = Vlsm(self.config, rngs=nnx.Rngs(key), param_dtype=self.param_dtype)
        return self._adapted(model, key)

    def adapt(self, params: Mapping[str, jax.Array], seed: jax.Array | int) -> Params:
        """Returns parameters of a plain model, pretrained ones, quantised and with fresh adapters; traceable."""
        graphdef, _ = abstract_model(self.config, param_dtype=self.param_dtype)
        return self._adapted(nnx.merge(graphdef, unflatten(params)), jax.random.key(seed))

    def plain(self, params: Mapping[str, jax.Array]) -> Params:
        """Returns the parameters of a plain model: kernels dequantised, adapters merged."""
        if not self.adaptation:
            return dict(params)
        merged = jax.jit(lambda params: nnx.state(plain(self.merge(params), self.param_dtype)))
        return flatten(merged(dict(params)))

    @property
    def quantised_names(self) -> frozenset[str]:
        """Paths of the arrays of quantised kernels."""
        flat = nnx.to_flat_state(self.abstract)
        return frozenset("/".join(map(str, path)) for path, variable in flat if type(variable) is Frozen)

    def check_trained(self, names: Iterable[str]) -> None:
        """Raises ConfigError when these cannot be trained, or not all that has to stay as it is stays so.

        Nothing that is quantised has a gradient; and where there are adapters, they are trained and the layers that
        they adapt are not.
        """
        trained = set(names)
        kinds = {"/".join(map(str, path)): type(variable) for path, variable in nnx.to_flat_state(self.abstract)}
        adapters = {name for name, kind in kinds.items() if issubclass(kind, LoraParam)}
        adapted = {name.rsplit("/lora/", 1)[0] for name in adapters}
        wrong = sorted(
            name
            for name in trained
            if kinds[name] is Frozen or (name.rsplit("/", 1)[0] in adapted and name not in adapters)
        )
        rules = "((r'/lora/', True), (r'^decoder/', False), ...)" if adapters else "((r'^decoder/', False), ...)"
        if wrong:
            raise ConfigError(
                f"train.trainable trains {wrong[0]} and {len(wrong) - 1} more arrays of quantised or adapted layers, "
                f"which stay as they are; begin it with {rules}"
            )
        if adapters - trained:
            raise ConfigError(f"train.trainable freezes the adapter {min(adapters - trained)}; begin it with {rules}")

    def _adapted(self, model: Vlsm, key: jax.Array) -> Params:
        rngs = nnx.Rngs(jax.random.fold_in(key, 1))
        return flatten(nnx.state(adapt(model, self.adaptation, rngs, param_dtype=self.param_dtype)))

    def merge(self, params: Mapping[str, jax.Array]) -> Vlsm:
        """Returns the module that holds `params`."""
        return nnx.merge(self.graphdef, unflatten(params))

    def shardings(self, mesh: Mesh, rules: Rules = DEFAULT_RULES) -> dict[str, NamedSharding]:
        """Returns the place of every parameter on `mesh`."""
        return flatten(param_shardings(self.abstract, mesh, rules))


def attention_for(name: str, platform: str) -> str:
    """Returns the attention implementation that a config's `model.attention` asks for.

    "auto" is the kernel that the platform ("cpu", "tpu" or "gpu") has, or else "xla"; other names stand for themselves.
    """
    if name != "auto":
        return name
    return next((kernel for kernel, where in PLATFORMS.items() if where == platform), "xla")


def adaptation_of(section: Mapping[str, Any]) -> Adaptation:
    """Returns what a config's `model` section says of `quantise` and `lora`; without them, a plain model.

    `lora` has the fields of `LoraConfig`; a rank of 0 is no adapters.

    Raises:
      ConfigError: an unknown format, or values that make no adapter.
    """
    lora = dict(section.get("lora") or {})
    without = lora.get("rank") == 0
    # Its other keys are looked at all the same: one that is misspelt would show itself when adapters are wanted.
    config = build(LoraConfig, {**lora, "rank": 1} if without else lora, "model.lora") if lora else None
    config = None if without else config
    return build(Adaptation, {"quantise": section.get("quantise", "none")}, "model", lora=config)


def flatten(state: nnx.State | Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested parameters as {"a/b/c": array}."""
    pure = nnx.to_pure_dict(state) if isinstance(state, nnx.State) else state
    return traverse_util.flatten_dict(pure, sep="/")


def unflatten(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"a/b/c": array} as nested dicts; undoes `flatten`."""
    return traverse_util.unflatten_dict(dict(params), sep="/")
