import random

import pytest

from benchmarks.mutation import any_script
from vlsm_jax.repair import Limits, judge, mend
from vlsm_jax.synth.corruptions import KINDS, make_corruption


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
