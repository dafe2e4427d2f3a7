"""Names of no industry: other ones for the same factory, lanes together, words of held-out industries left out."""

import dataclasses

import numpy as np
import pytest

from vlsm_jax.synth import Split, TripletOptions, make_triplet
from vlsm_jax.synth.industries import industry
from vlsm_jax.synth.isomorphism import factory_key
from vlsm_jax.synth.names import LONGEST, with_open_names
from vlsm_jax.synth.splits import industries_of
from vlsm_jax.twin import Connection, Twin, TwinObject

OPEN = TripletOptions(open_names=1.0)


def words_of(keys):
    return {word for key in keys for station in industry(key).stations for word in station.name.split()}


def test_a_factory_stays_what_it_is_under_other_names():
    for index in range(30):
        twin = make_triplet(3, index).factory.twin
        named = with_open_names(twin, np.random.default_rng(index))
        assert factory_key(named) == factory_key(twin)
        assert [(item.cls, item.location, item.parameters) for item in named.objects] == [
            (item.cls, item.location, item.parameters) for item in twin.objects
        ]
        assert all(len(item.name) <= LONGEST for item in named.objects)
        assert with_open_names(twin, np.random.default_rng(index)) == named


def test_lanes_share_the_new_name_too():
    lanes = tuple(TwinObject("Processor", f"Mill_{n}", (0, n, 0)) for n in (1, 2, 3))
    twin = Twin((TwinObject("Source", "Dock"), *lanes), tuple(Connection("Dock", lane.name) for lane in lanes))
    for seed in range(40):
        dock, *named = (item.name for item in with_open_names(twin, np.random.default_rng(seed)).objects)
        bases = {name.removesuffix(f"_{n}") for n, name in enumerate(named, 1)}
        assert len(bases) == 1
        assert not bases.pop()[-1].isdigit()
        assert dock != "Dock"


def test_words_of_held_out_industries_stay_unread():
    """Else the split that holds them out would be no test for who learnt from open names."""
    held_out = words_of(industries_of(Split.INDUSTRY)) - words_of(industries_of(Split.TRAIN))
    assert held_out
    seen = set()
    for index in range(60):
        for item in make_triplet(4, index, OPEN).factory.twin.objects:
            seen |= set(item.name.split())
    assert not seen & held_out


def test_a_share_of_the_factories_and_none_by_default():
    half = dataclasses.replace(OPEN, open_names=0.5)
    named = [make_triplet(5, i, half).factory.twin != make_triplet(5, i).factory.twin for i in range(40)]
    assert 10 < sum(named) < 30
    every = make_triplet(5, 0, OPEN)
    assert every.prompt.text != make_triplet(5, 0).prompt.text
    assert all(item.name in every.response for item in every.factory.twin.objects)
    with pytest.raises(ValueError, match="open_names=2 is no share"):
        TripletOptions(open_names=2)
