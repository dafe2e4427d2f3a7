"""What the writers write, the grammar that constrains decoding lets through."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synth_examples import examples
from synth_twins import lane_twins, sampled, stage_twins, twins

from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.flexscript import parse
from vlsm_jax.generation.constraint import Constraint
from vlsm_jax.synth.scripts import ScriptStyle, write_script

pytest.importorskip("llguidance")

EXAMPLES = {name: factory.twin for name, factory in examples().items()}
SAMPLED = [factory.twin for factory in sampled(20)]
SEEDS = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def constraint(tmp_path_factory):
    scripts = [
        write_script(twin, style, np.random.default_rng(0)) for twin in EXAMPLES.values() for style in ScriptStyle
    ]
    return Constraint(train_bpe(scripts, 600, tmp_path_factory.mktemp("bpe") / "bpe"))


def check(constraint, twin, style, seed):
    script = write_script(twin, style, np.random.default_rng(seed))
    if parse(script).ok:
        ids = constraint.tokenizer.encode_response(script)[:-1]
        assert constraint.accepts(ids), script
        assert constraint.tokenizer.decode(ids) == script


@pytest.mark.parametrize("style", ScriptStyle)
@given(twin=twins(), seed=SEEDS)
@settings(deadline=None, max_examples=15)
def test_arbitrary_twins(constraint, style, twin, seed):
    check(constraint, twin, style, seed)


@pytest.mark.parametrize("style", ScriptStyle)
@given(twin=st.one_of(lane_twins(), stage_twins(), st.sampled_from([*EXAMPLES.values(), *SAMPLED])), seed=SEEDS)
@settings(deadline=None, max_examples=15)
def test_factories(constraint, style, twin, seed):
    check(constraint, twin, style, seed)
