"""Splits: what a model is trained on, and five questions that are put to it afterwards.

Which split a factory may go to is a property of the factory alone, so that splits can be made apart, on as many
machines as one likes, and still share nothing:

  train, validation, iid: drawn alike; told apart by the factory's key without names and locations, so no two of them
    hold isomorphic factories with equal parameters.
  industry: industries that training never sees. Their keys, too, are kept out of the other splits.
  layout: shapes of the flow (graphs up to isomorphism) that training never sees; rows without a branch, which are the
    alphabet of layouts, stay in training.
  size: more objects than any factory in training has.
  timing: a distribution behind another one, in an order that training never sees.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final

from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.industries import INDUSTRIES
from vlsm_jax.synth.isomorphism import factory_key, is_chain, topology_key
from vlsm_jax.synth.sampler import Refuses, timing_pairs
from vlsm_jax.twin import Twin


class Split(enum.Enum):
    """A part of a data set. The value names its file."""

    TRAIN = "train"
    VALIDATION = "validation"
    IID = "iid"
    INDUSTRY = "industry"
    LAYOUT = "layout"
    SIZE = "size"
    TIMING = "timing"

    @property
    def is_test(self) -> bool:
        """Whether results are reported on it."""
        return self not in (Split.TRAIN, Split.VALIDATION)


TESTS: Final[tuple[Split, ...]] = tuple(split for split in Split if split.is_test)

HELD_OUT_INDUSTRIES: Final[tuple[str, ...]] = ("display", "led", "medical")
HELD_OUT_PAIRS: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        ("exponential", "lognormalmeanstdev"),
        ("gamma", "weibull"),
        ("lognormalmeanstdev", "triangular"),
        ("normal", "poisson"),
        ("poisson", "uniform"),
        ("triangular", "gamma"),
        ("uniform", "exponential"),
        ("weibull", "normal"),
    }
)
"""Each family is in front of one and behind one other: (family, family of what follows it in the flow)."""

HELD_OUT_SHAPES: Final[float] = 0.15
"""Share of the shapes of the flow that are kept for the split `layout`."""

TRAINED_OBJECTS: Final[int] = 24
"""Most objects of a factory outside of the split `size`."""

MOST_OBJECTS: Final[int] = 40

_SHARES: Final[tuple[tuple[Split, float], ...]] = (
    (Split.TRAIN, 0.8),
    (Split.VALIDATION, 0.06),
    (Split.IID, 0.07),
    (Split.INDUSTRY, 0.07),
)
"""How the keys of factories are shared out among the splits that nothing else keeps apart."""


def _fraction(key: str) -> float:
    return int(key[:8], 16) / 2**32


def _key_split(key: str) -> Split:
    """Returns which of the splits in `_SHARES` a factory's key belongs to."""
    at, upper = _fraction(key), 0.0
    for split, share in _SHARES:
        upper += share
        if at < upper:
            return split
    return _SHARES[-1][0]


@dataclasses.dataclass(frozen=True)
class Keys:
    """What tells factories apart.

    Attributes:
      topology: `topology_key` of the Twin.
      factory: `factory_key` of the Twin.
    """

    topology: str
    factory: str

    @classmethod
    def of(cls, factory: Factory) -> Keys:
        """Returns the keys of a factory."""
        return cls(topology_key(factory.twin), factory_key(factory.twin))


def industries_of(split: Split) -> tuple[str, ...]:
    """Returns the industries that a split draws from."""
    held_out = split is Split.INDUSTRY
    return tuple(key for key in INDUSTRIES if (key in HELD_OUT_INDUSTRIES) == held_out)


def sampling(split: Split) -> dict[str, Any]:
    """Returns what `sample_factory` must be given for a split: sizes and what is not to follow what."""
    if split is Split.SIZE:
        return {"fewest": TRAINED_OBJECTS + 1, "most": MOST_OBJECTS, "avoid_pairs": HELD_OUT_PAIRS}
    avoided = frozenset() if split is Split.TIMING else HELD_OUT_PAIRS
    return {"most": TRAINED_OBJECTS, "avoid_pairs": avoided}


def is_held_out_shape(topology: str, chain: bool) -> bool:
    """Whether flows with a `topology_key` are kept for the split `layout`; `chain` says if they are rows."""
    # The topology key's other half: its first digits shall be free for whoever samples by key.
    return not chain and _fraction(topology[8:]) < HELD_OUT_SHAPES


def has_held_out_shape(factory: Factory, keys: Keys) -> bool:
    """Whether the shape of the flow is kept for the split `layout`."""
    return is_held_out_shape(keys.topology, False) and not is_chain(factory.twin)


def refused_shapes(split: Split) -> Refuses:
    """Returns which flows are of no use for a split, for `sample_unless`."""
    if split is Split.SIZE:
        return lambda topology, chain: False
    if split is Split.LAYOUT:
        return lambda topology, chain: not is_held_out_shape(topology, chain)
    return is_held_out_shape


def takes(split: Split, twin: Twin, key: str) -> bool:
    """Whether `split_of` is `split`, for what was sampled for it; quicker, as what sampling heeds is not asked again.

    Args:
      split: for which it was sampled, from `industries_of` it, by `sample_unless` with its `refused_shapes` and its
        `sampling`.
      twin: of the factory.
      key: its `factory_key`.
    """
    if split is Split.TIMING:
        return not HELD_OUT_PAIRS.isdisjoint(timing_pairs(twin))
    return split in (Split.LAYOUT, Split.SIZE) or _key_split(key) is split


def split_of(factory: Factory, keys: Keys) -> Split | None:
    """Returns the one split a factory may go to, None when it is of no use: it mixes what two splits hold out.

    The rules do not use how the factory was sampled, so that any Twin of a known industry can be asked about.
    """
    large = len(factory.twin.objects) > TRAINED_OBJECTS
    held_out = {
        Split.INDUSTRY: factory.industry in HELD_OUT_INDUSTRIES,
        Split.LAYOUT: not large and has_held_out_shape(factory, keys),
        Split.SIZE: large,
        Split.TIMING: not HELD_OUT_PAIRS.isdisjoint(timing_pairs(factory.twin)),
    }
    reasons = [split for split, reason in held_out.items() if reason]
    if len(reasons) > 1:
        return None
    by_key = _key_split(keys.factory)
    if not reasons:
        return by_key if by_key is not Split.INDUSTRY else None
    if reasons[0] is Split.INDUSTRY:
        return Split.INDUSTRY if by_key is Split.INDUSTRY else None
    return reasons[0]
