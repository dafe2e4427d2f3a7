"""The law of the house: what a script builds is the Twin it was written from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synth_twins import lane_twins, sampled, twins

from vlsm_jax.simulator import build
from vlsm_jax.synth.literals import string_literal
from vlsm_jax.synth.loops import Lanes, find_lanes
from vlsm_jax.synth.scripts import ScriptStyle, variable_names, write_script
from vlsm_jax.twin import Connection, Twin, TwinObject, diff

SEEDS = st.integers(0, 20)


def check_law(twin, style, seed):
    script = write_script(twin, style, np.random.default_rng(seed))
    result = build(script)
    assert result.ok, (script, [str(d) for d in result.diagnostics])
    assert result.twin == twin, (script, [str(d) for d in diff(twin, result.twin)])
    return script


@pytest.mark.parametrize("style", ScriptStyle)
@given(twin=twins(), seed=SEEDS)
@settings(deadline=None, max_examples=120)
def test_law_for_arbitrary_twins(twin, style, seed):
    check_law(twin, style, seed)


@pytest.mark.parametrize("style", ScriptStyle)
@given(twin=lane_twins(), seed=SEEDS)
@settings(deadline=None, max_examples=80)
def test_law_for_chains_and_lanes(twin, style, seed):
    check_law(twin, style, seed)


@pytest.mark.parametrize("style", ScriptStyle)
def test_law_for_sampled_twins(style):
    for i, factory in enumerate(sampled(120, seed=3)):
        script = check_law(factory.twin, style, i)
        if style is ScriptStyle.LOOP:
            assert "links" not in script  # Sampled layouts are drawn inside the loop.
            assert script.count("Object obj = ") == 1
        else:
            assert "for (" not in script


def test_scripts_stay_short():
    """Training targets for a small model: bytes per script by number of objects, mean over sampled factories."""
    sizes = {style: {} for style in ScriptStyle}
    for i, factory in enumerate(sampled(250, seed=4)):
        for style in ScriptStyle:
            script = write_script(factory.twin, style, np.random.default_rng(i))
            sizes[style].setdefault(len(factory.twin.objects), []).append(len(script.encode()))
    mean = {style: {n: np.mean(values) for n, values in found.items()} for style, found in sizes.items()}
    assert mean[ScriptStyle.LOOP][9] < 1600
    assert mean[ScriptStyle.STRAIGHT][9] < 2200
    assert mean[ScriptStyle.LOOP][12] < 2000


def test_both_creators_are_used():
    twin = sampled(1)[0].twin
    scripts = {write_script(twin, ScriptStyle.LOOP, np.random.default_rng(i)) for i in range(60)}
    assert len(scripts) == 2
    assert any("createinstance(" in script for script in scripts)
    assert all(build(script).twin == twin for script in scripts)


def test_an_empty_twin():
    for style in ScriptStyle:
        check_law(Twin(), style, 0)


def test_port_order_decides_whether_the_loop_may_draw():
    def lanes(*wires):
        return Twin(tuple(TwinObject("Queue", n) for n in "sabt"), tuple(Connection(*w) for w in wires))

    straight = lanes("sa", "sb", "at", "bt")
    assert find_lanes(straight) == Lanes(1, 2, 1, 1)
    crossed = lanes("sa", "sb", "bt", "at")  # b takes the first input port of t.
    assert find_lanes(crossed) is None
    assert straight != crossed
    for style in ScriptStyle:
        check_law(crossed, style, 0)
    assert find_lanes(lanes("sa", "ab", "bt")) == Lanes(4)
    assert find_lanes(lanes("sa", "ab", "bt", "bt")) is None


@given(lane_twins())
def test_patterns_draw_exactly_the_wires(twin):
    pattern = find_lanes(twin)
    if pattern is not None:
        names = [obj.name for obj in twin.objects]
        wires = tuple(Connection(names[a - 1], names[b - 1]) for a, b in pattern.wires())
        assert Twin(twin.objects, wires) == twin


def test_literals():
    assert string_literal('a"b\\c\nd\te\rf') == '"a\\"b\\\\c\\nd\\te\\rf"'


def test_variables_are_distinct_identifiers():
    objects = [
        TwinObject(cls, f"{cls}{i}") for i in range(3) for cls in ("Source", "source", "AGV::ControlPoint", "漢")
    ]
    names = list(variable_names(Twin(tuple(objects))).values())
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names)
