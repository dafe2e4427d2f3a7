import random

import numpy as np
import pytest

from benchmarks.mutation import any_script
from vlsm_jax.repair import Limits, judge, mend
from vlsm_jax.synth.corruptions import KINDS, make_corruption
from vlsm_jax.synth.prompts import PromptStyle, write_prompt
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, sample_for


@pytest.mark.parametrize("seed", range(6))
def test_scripts_that_are_almost_right_never_get_worse(seed):
    text = any_script(random.Random(seed))
    done = mend(text, limits=Limits(scripts=25, runs=2))
    before, after = judge(text, runs=True).judgement, judge(done.after.script, runs=True).judgement
    assert after >= before
    assert done.changed == (done.after.script != text)
    if done.changed:
        assert after > before


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith(("missing", "misspelt"))])
def test_a_single_fault_of_a_sampled_script_is_mended(kind):
    broken = make_corruption(1, 0, kind=kind)
    assert mend(broken.script, broken.prompt).after.twin == broken.twin


@pytest.mark.parametrize("style", PromptStyle)
def test_scripts_that_are_right_stay_as_they_are_whatever_the_prompt(style):
    for index in range(6):
        rng = np.random.default_rng((77, index))
        factory, _ = sample_for(Split.IID, TripletOptions(), rng, rng)
        prompt = write_prompt(factory, style, rng)
        script = write_script(factory.twin, ScriptStyle.STRAIGHT if index % 2 else ScriptStyle.LOOP, rng)
        assert not mend(script, prompt.text, limits=Limits(scripts=60)).changed
