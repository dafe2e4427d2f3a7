"""Splits: what each holds out, and that no factory may go to two."""

import dataclasses

import numpy as np
import pytest
from synth_examples import examples

from vlsm_jax.synth.distributions import SERVICES
from vlsm_jax.synth.factory import Factory
from vlsm_jax.synth.industries import INDUSTRIES
from vlsm_jax.synth.isomorphism import factory_key, topology_key
from vlsm_jax.synth.sampler import sample_factory, sample_unless, timing_pairs
from vlsm_jax.synth.splits import (
    HELD_OUT_INDUSTRIES,
    HELD_OUT_PAIRS,
    TESTS,
    TRAINED_OBJECTS,
    Keys,
    Split,
    has_held_out_shape,
    industries_of,
    refused_shapes,
    sampling,
    split_of,
    takes,
)
from vlsm_jax.twin import Twin

FACTORIES = [sample_factory(np.random.default_rng((3, i))) for i in range(400)]
SPLITS = [(factory, keys, split_of(factory, keys)) for factory in FACTORIES for keys in [Keys.of(factory)]]


def of(*splits):
    return [(factory, keys) for factory, keys, split in SPLITS if split in splits]


def test_every_split_can_be_drawn():
    for split in Split:
        rng = np.random.default_rng(0)
        industries = industries_of(split)
        for _ in range(300):
            factory = sample_factory(rng, industry=industries[int(rng.integers(len(industries)))], **sampling(split))
            if split_of(factory, Keys.of(factory)) is split:
                break
        else:
            pytest.fail(f"no factory for {split}")


def test_industries_are_held_out():
    assert {f.industry for f, _ in of(Split.INDUSTRY)} <= set(HELD_OUT_INDUSTRIES)
    others = {f.industry for f, _ in of(*(split for split in Split if split is not Split.INDUSTRY))}
    assert others.isdisjoint(HELD_OUT_INDUSTRIES)
    assert {*industries_of(Split.TRAIN), *HELD_OUT_INDUSTRIES} == set(INDUSTRIES)
    assert len(industries_of(Split.TRAIN)) == 10


def test_shapes_are_held_out():
    shapes = {keys.topology for _, keys in of(Split.LAYOUT)}
    assert shapes
    trained = {keys.topology for _, keys in of(Split.TRAIN, Split.VALIDATION, Split.IID)}
    assert shapes.isdisjoint(trained)
    assert all(not has_held_out_shape(f, keys) for f, keys in of(Split.TRAIN, Split.TIMING, Split.INDUSTRY))


def test_large_factories_are_held_out():
    assert all(len(f.twin.objects) > TRAINED_OBJECTS for f, _ in of(Split.SIZE))
    assert of(Split.SIZE)
    for split in Split:
        if split is not Split.SIZE:
            assert all(len(f.twin.objects) <= TRAINED_OBJECTS for f, _ in of(split))


def test_orders_of_distributions_are_held_out():
    assert of(Split.TIMING)
    assert all(timing_pairs(f.twin) & HELD_OUT_PAIRS for f, _ in of(Split.TIMING))
    for split in Split:
        if split is not Split.TIMING:
            assert all(timing_pairs(f.twin).isdisjoint(HELD_OUT_PAIRS) for f, _ in of(split))
    # Every family is seen in training on either side; what is unseen is the order.
    assert {first for first, _ in HELD_OUT_PAIRS} == {second for _, second in HELD_OUT_PAIRS}
    assert {first for first, _ in HELD_OUT_PAIRS} == set(SERVICES) - {"constant"}


def test_equal_factories_share_a_split_whatever_their_names():
    """Renaming, moving and relisting never carries a factory over to another split."""
    for factory, keys, split in SPLITS[:100]:
        objects = tuple(
            dataclasses.replace(obj, location=(i, -i, 0), parameters=dict(obj.parameters))
            for i, obj in enumerate(reversed(factory.twin.objects))
        )
        moved = dataclasses.replace(factory, twin=Twin(objects, factory.twin.connections))
        assert Keys.of(moved) == keys
        assert split_of(moved, Keys.of(moved)) is split


def test_what_two_splits_hold_out_goes_nowhere():
    factory = examples()["assembly"]
    keys = Keys.of(factory)
    assert split_of(factory, keys) is Split.LAYOUT
    assert split_of(dataclasses.replace(factory, industry="led"), keys) is None


def test_shares_of_the_keys():
    """Of factories that nothing else keeps apart, about 80 % are for training."""
    trained = len(of(Split.TRAIN))
    evaluated = len(of(Split.VALIDATION, Split.IID))
    assert 0.75 < trained / (trained + evaluated) < 0.93  # 0.86 expected of these three


def test_tests_are_the_splits_of_the_house():
    assert [split.value for split in TESTS] == ["iid", "industry", "layout", "size", "timing"]


@pytest.mark.parametrize("split", Split)
def test_what_is_sampled_for_a_split_is_told_quicker(split):
    rng, industries, asked = np.random.default_rng(1), industries_of(split), []

    def wants(twin):
        asked.append((twin, takes(split, twin, factory_key(twin))))
        return asked[-1][1]

    found = 0
    for i in range(60):
        choices = {"industry": industries[i % len(industries)], **sampling(split)}
        sampled = sample_unless(refused_shapes(split), wants, rng, **choices)
        tried = [asked.pop() for _ in range(len(asked))]
        for twin, wanted in tried:
            factory = Factory(twin, choices["industry"])
            assert wanted == (split_of(factory, Keys.of(factory)) is split)
        if sampled is not None:
            assert tried[0] == (sampled.factory.twin, True)
            assert sampled.topology == topology_key(sampled.factory.twin)
            found += 1
    assert found
