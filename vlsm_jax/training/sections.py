"""Those sections of an experiment that no other dataclass describes, so that every key of a config is looked at once.

A misspelt key, a value of another type or out of range is then named before data are made or a device is asked for, and
not where it is first used: that of an evaluation is when training is over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vlsm_jax.models.quantised import PRODUCTS
from vlsm_jax.training.checkpoints import WHICH
from vlsm_jax.training.config import ConfigError, build
from vlsm_jax.ways import Way, words

MOST_SEED = 2**31 - 1
"""What jax takes for a random key without 64-bit integers."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The keys of a config; sections of them are described here, or where they are used."""

    name: str
    seed: int
    data: Mapping[str, Any]
    pipeline: Mapping[str, Any]
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    mesh: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    export: bool
    synth: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    log: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    plan: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    departures: Sequence[str] = ()

    def __post_init__(self):
        if not 0 <= self.seed <= MOST_SEED:
            raise ValueError(f"seed={self.seed}; choose a number from 0 to {MOST_SEED}")


@dataclasses.dataclass(frozen=True)
class DataSection:
    """`config.data`; configs/reading.py says what its keys mean."""

    directory: str
    tokenizer: str
    vocab_size: int
    format: str
    columns: Mapping[str, str]
    most_bad: float
    mixture: str
    pictures: bool
    beginning: bool
    placeholders: bool = False

    def __post_init__(self):
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size={self.vocab_size} is below 1")
        if not 0 <= self.most_bad <= 1:
            raise ValueError(f"most_bad={self.most_bad} is no share of the rows, from 0 to 1")


@dataclasses.dataclass(frozen=True)
class ModelSection:
    """`config.model`; `decoder` and `vision` are as Hugging Face describes them.

    Attributes:
      feature_layer: which of the encoder's layers gives the visual features, counted from the end: -1 the last, -2 the
        one before, LLaVA's choice; those behind it do not run. 0 is that of the model in `init.model`, else the last.
      seen_patches: how many patches of an image the encoder sees, those whose pixels differ most. 0 is as many as the
        one of the model in `init.model` does, else all.
    """

    decoder: Mapping[str, Any]
    vision: Mapping[str, Any] | None
    connector: str
    remat: bool | str
    compute_dtype: str
    connector_sizes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    init: Mapping[str, str] = dataclasses.field(default_factory=dict)
    attention: str = "xla"
    quantise: str = "none"
    lora: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    feature_layer: int = 0
    seen_patches: int = 0

    def __post_init__(self):
        if self.compute_dtype not in ("float32", "bfloat16"):
            raise ValueError(f"compute_dtype={self.compute_dtype!r}; choose 'float32' or 'bfloat16'")
        for part in ("decoder", "vision"):
            for key, value in (getattr(self, part) or {}).items():
                a_size = key.startswith("num_") or key.endswith("_size")
                if a_size and value is not None and (type(value) is not int or value < 1):
                    raise ValueError(f"{part}.{key}={value!r}; choose a whole number from 1 on")


@dataclasses.dataclass(frozen=True)
class MeshSection:
    """`config.mesh`: devices along each axis; -1 takes what is left."""

    data: int
    fsdp: int
    tensor: int


@dataclasses.dataclass(frozen=True)
class EvaluateSection:
    """`config.evaluate`.

    Attributes:
      splits: of the triplets; with sketches that are empty pages where the name ends in -blank.
      ways: of writing: words of `vlsm_jax.ways`. Each split is evaluated in each way.
      model: folder in Hugging Face layout; empty evaluates the run's own checkpoint.
      samples: the first so many of each split.
      batch_size, max_tokens: of generation.
      checkpoint: the last or the best.
      until: simulated seconds.
      quantised_product: how layers in NF4 multiply when a token is decoded: "xla", "pallas" or "auto".
      svr_weights: of connections and of objects, under which SVR is reported as well.
      start: whether the model that training starts from, model.init.model, is evaluated before; a table has both.
    """

    splits: Sequence[str]
    ways: Sequence[str]
    model: str
    samples: int
    batch_size: int
    max_tokens: int
    checkpoint: str
    until: float
    quantised_product: str
    svr_weights: Sequence[tuple[float, float]] = ()
    start: bool = False

    def __post_init__(self):
        for name in ("splits", "ways"):
            object.__setattr__(self, name, words(getattr(self, name)))
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; name at least one")
        for way in self.ways:
            Way.parse(way)
        for name in ("samples", "batch_size", "max_tokens", "until"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}; choose a number above 0")
        if self.quantised_product not in PRODUCTS:
            raise ValueError(f"quantised_product={self.quantised_product!r}; choose one of {', '.join(PRODUCTS)}")
        if self.checkpoint not in WHICH:
            raise ValueError(f"checkpoint={self.checkpoint!r}; choose one of {', '.join(WHICH)}")
        for pair in self.svr_weights:
            if len(pair) != 2 or not all(isinstance(x, int | float) and x >= 0 for x in pair) or not sum(pair):
                raise ValueError(f"svr_weights: {pair!r}; each is two numbers, of connections and of objects")


@dataclasses.dataclass(frozen=True)
class PlanSection:
    """`config.plan`: places for pictures in a row, which a plan cannot read in the data; and whether to be quick."""

    pictures: int = 1
    quick: bool = False

    def __post_init__(self):
        if self.pictures < 0:
            raise ValueError(f"pictures={self.pictures} is below 0")


SECTIONS = {
    "data": DataSection,
    "model": ModelSection,
    "mesh": MeshSection,
    "evaluate": EvaluateSection,
    "plan": PlanSection,
}


def check_sections(config: ConfigDict) -> None:
    """Checks every key of a config that is not checked where it is used.

    Raises:
      ConfigError: a key is unknown or missing, or its value of another type or out of range.
    """
    keys = config.to_dict()
    build(Experiment, keys, "config")
    for name, section in SECTIONS.items():
        build(section, keys.get(name, {}), name)
    texts = {"data.columns": keys["data"]["columns"], "model.init": keys["model"].get("init", {})}
    for section, named in texts.items():
        for key, value in named.items():
            if not isinstance(value, str):
                raise ConfigError(f"{section}.{key}={value!r} is {type(value).__name__}; expected str")
