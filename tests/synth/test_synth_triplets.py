"""Triplets: determined by seed and index, and checked by running them."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synth_twins import twins

from vlsm_jax import simulator
from vlsm_jax.synth import triplets
from vlsm_jax.synth.prompts import PromptStyle
from vlsm_jax.synth.sampler import horizon
from vlsm_jax.synth.scripts import ScriptStyle
from vlsm_jax.synth.triplets import TripletError, TripletOptions, check_script, make_triplet, twin_digest
from vlsm_jax.twin import Connection, Twin, TwinObject


def test_triplets_are_determined_by_seed_and_index():
    first = [make_triplet(7, index) for index in range(4)]
    again = [make_triplet(7, index) for index in reversed(range(4))][::-1]
    for a, b in zip(first, again, strict=True):
        assert (a.id, a.prompt, a.response, a.factory) == (b.id, b.prompt, b.response, b.factory)
        assert (a.sketch.image == b.sketch.image).all()
    assert len({t.prompt for t in first} | {make_triplet(8, 0).prompt}) == 5


def test_scripts_run_and_build_the_factory():
    for index in range(25):
        triplet = make_triplet(11, index)
        report = simulator.run(triplet.response, until=horizon(triplet.factory.twin))
        assert report.ok
        assert report.verdict.value == "ok"
        assert report.twin == triplet.factory.twin
        assert triplet.sketch.image.shape == (341, 512, 3)
        assert ("loop" in triplet.prompt) == (triplet.script_style is ScriptStyle.STRAIGHT)


def test_options_are_kept():
    options = TripletOptions(
        industries=("ev_battery",),
        layouts=("linear",),
        prompt_styles=(PromptStyle.SKETCH,),
        script_styles=(ScriptStyle.LOOP,),
        image_size=(300, 200),
        most_objects=6,
    )
    for index in range(5):
        triplet = make_triplet(1, index, options)
        assert (triplet.factory.industry, triplet.factory.layout) == ("ev_battery", "linear")
        assert triplet.prompt_style is PromptStyle.SKETCH
        assert triplet.script_style is ScriptStyle.LOOP
        assert triplet.sketch.image.shape == (200, 300, 3)
        assert len(triplet.factory.twin.objects) <= 6


def test_a_new_painter_changes_no_prompt(monkeypatch):
    before = make_triplet(2, 3)
    real = triplets.paint_sketch

    def wasteful(twin, rng, size, style):
        rng.random(1000)
        return real(twin, rng, size, style)

    monkeypatch.setattr(triplets, "paint_sketch", wasteful)
    after = make_triplet(2, 3)
    assert (after.prompt, after.response) == (before.prompt, before.response)
    assert (after.sketch.image != before.sketch.image).any()


def test_rejected_factories_are_counted(monkeypatch):
    real, calls = triplets.check_script, []

    def check(*args, **kwargs):
        calls.append(1)
        return "no flow" if len(calls) <= 2 else real(*args, **kwargs)

    monkeypatch.setattr(triplets, "check_script", check)
    assert make_triplet(2, 0).rejected == (("no flow", 2),)
    monkeypatch.setattr(triplets, "check_script", lambda *args, **kwargs: "no flow")
    with pytest.raises(TripletError, match=r"no flow \(25\)"):
        make_triplet(2, 0)


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="'wood'"):
        TripletOptions(industries=("wood",))
    with pytest.raises(ValueError, match="script_styles is empty"):
        TripletOptions(script_styles=())
    with pytest.raises(ValueError, match="index -1"):
        make_triplet(0, -1)


SCRIPT = """Object a = Object.create("Source"); a.name = "a"; a.setProperty("InterArrivalTime", 10);
Object b = Object.create("Queue"); b.name = "b"; b.setLocation(10, 0, 0);
Object d = Object.create("Sink"); d.name = "d"; d.setLocation(20, 0, 0);
contextdragconnection(a, b, "A"); contextdragconnection(b, d, "A");
"""
TWIN = Twin(
    (
        TwinObject("Source", "a", parameters={"InterArrivalTime": 10}),
        TwinObject("Queue", "b", (10, 0, 0)),
        TwinObject("Sink", "d", (20, 0, 0)),
    ),
    (Connection("a", "b"), Connection("b", "d")),
)


def test_checks():
    assert check_script(SCRIPT, TWIN, until=3600) == ""
    assert check_script(SCRIPT + "}", TWIN, until=3600) == "parse error"
    moved = Twin((dataclasses.replace(TWIN.objects[0], name="z"), *TWIN.objects[1:]))
    assert check_script(SCRIPT, moved, until=3600) == "another Twin: missing object"
    assert check_script(SCRIPT.replace("10);", "90000);"), TWIN, until=3600) == "no flow"
    extra = 'Object e = Object.create("Queue"); e.name = "e"; contextdragconnection(e, d, "A");\n'
    twin = Twin((*TWIN.objects, TwinObject("Queue", "e")), (*TWIN.connections, Connection("e", "d")))
    assert check_script(SCRIPT + extra, twin, until=3600) == "an object that no item reaches"


@given(twins(), st.randoms(use_true_random=False))
def test_digests_follow_equality(twin, random):
    objects = list(twin.objects)
    random.shuffle(objects)
    assert twin_digest(Twin(tuple(objects), twin.connections)) == twin_digest(twin)
    renamed = dataclasses.replace(objects[0], location=(0.5, 1e7, 0), parameters=dict(objects[0].parameters))
    assert twin_digest(Twin((renamed, *objects[1:]), twin.connections)) != twin_digest(twin)
    if twin.connections:
        fewer = Twin(twin.objects, twin.connections[:-1])
        assert twin_digest(fewer) != twin_digest(twin)


def test_digests_are_the_same_in_every_process():
    assert twin_digest(TWIN).hex() == "7dda8791fd9efb3bbe427fa0f794f9d7"
    assert np.unique([twin_digest(TWIN), twin_digest(Twin(TWIN.objects, TWIN.connections))]).size == 1
