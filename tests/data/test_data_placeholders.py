"""Placeholders for names: what is a name, what stands for it, and how it comes back."""

import dataclasses
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.data.lengths import count_lengths
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.placeholders import MARKS, Placeholders, find_names
from vlsm_jax.data.text_form import DEFAULT_FORM, TextForm
from vlsm_jax.data.tokenizer import batch_texts, load_tokenizer, train_bpe
from vlsm_jax.simulator.library import classes
from vlsm_jax.synth.prompts.terse import CLASSES as TERSE_CLASSES
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets
from vlsm_jax.wording import CLASSES

PROMPT = """The source Wash Basket feeds "hot press", which feeds Filler 1 and Filler 2.
Connect both Fillers to Wash Basket."""


def test_a_name_is_followed_by_a_placeholder_and_later_replaced_by_it():
    named = Placeholders.of('The queue Wash Basket feeds "hot press". Connect hot press to Filler-2 and Wash Basket.')
    assert named.prompt == ('The queue Wash Basket @A feeds "hot press @B". Connect @B to Filler-2 @C and @A.')
    assert named.names == {"@A": "Wash Basket", "@B": "hot press", "@C": "Filler-2"}
    script = 'a.name = "Wash Basket"; // "Wash" \nModel.find("hot press"); f("Wash Basket 2", "Queue");'
    short = 'a.name = "@A"; // "Wash" \nModel.find("@B"); f("Wash Basket 2", "Queue");'
    assert named.shorten(script) == short
    assert named.restore(short) == script


def test_what_is_being_written_is_not_told_half():
    named = Placeholders.of("Oven feeds Press.")
    script = 'x.name = "@B"; y("@A");'
    shown = [named.restore(script[:n], unfinished=True) for n in range(len(script) + 1)]
    assert all(later.startswith(one) for one, later in itertools.pairwise(shown))
    assert shown[-1] == named.restore(script) == 'x.name = "Press"; y("Oven");'


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("Stations:\n- Oven: Processor\n| Name | Class |\n|---|---|\n| M83 | Source |", ["Oven", "M83"]),
        ("Connect Glass Washer to Oven. Set up Oven as a processor.", ["Glass Washer", "Oven"]),
        # A class in front is of the name where the sentence has another.
        ("The Sink Batch Release takes what is done.", ["Batch Release"]),
        ("The last Processor, Rack Vial, is slow.", ["Rack Vial"]),
        ("Dispatcher AGV Dispatcher sends AGV 1.", ["AGV Dispatcher", "AGV 1"]),
        # One object with a verb in the singular, two with one in the plural.
        ("Flash and Charge has two steps.", ["Flash and Charge"]),
        ("Flash and Charge have two steps.", ["Flash", "Charge"]),
        ("Press 1 to 3 feed Oven.", ["Press 1", "Press 2", "Press 3", "Oven"]),
        ("Include a buffer and two ovens. Mount all of it.", []),
        # Neither distributions, numbers nor what FlexSim is called.
        ("In FlexSim, the Weibull time of Oven is 4.5 s, with 2 operators.", ["Oven"]),
        ("'Operator' is an operator, \"Transporter 2\" a transporter.", ["Transporter 2"]),
        ("nothing is called anything here", []),
    ],
)
def test_what_is_a_name(prompt, names):
    assert list(Placeholders.of(prompt).names.values()) == names


def test_a_slip_of_the_pen_is_the_same_name():
    named = Placeholders.of("Coating Queue is a queue. Oven 1 feeds Coating Queeue. Oven 2 feeds Coatnig Queue.")
    assert named.names == {"@A": "Coating Queue", "@B": "Oven 1", "@C": "Oven 2"}
    assert named.prompt == "Coating Queue @A is a queue. Oven 1 @B feeds @A. Oven 2 @C feeds @A."
    apart = "Press A feeds Press B. Oven C12 feeds Oven C13. Lane 1 feeds Lane 11."
    assert len(Placeholders.of(apart).names) == 6


def test_placeholders_that_stand_in_a_prompt_stay_what_they_are():
    named = Placeholders.of('Oven is called @A by us, and "@B" is Press.')
    assert set(named.names.values()) >= {"Oven", "Press"}
    assert not named.names.keys() & {"@A", "@B"}
    assert named.restore('x("@A", "@B");') == 'x("@A", "@B");'


def test_names_beyond_the_last_placeholder_are_spelt():
    names = [f"Machine {n}" for n in range(len(MARKS) + 5)]
    named = Placeholders.of(", ".join(names) + ". Connect Machine 0 to Machine 56.")
    assert list(named.names.values()) == names[: len(MARKS)]
    assert named.prompt.endswith(", Machine 55, Machine 56. Connect @A to Machine 56.")


@given(st.text(alphabet="AaBb @\"'12\n.-", max_size=60), st.text(alphabet='AaBb @"12\\;', max_size=60))
@settings(max_examples=300)
def test_a_script_comes_back_whatever_is_written(prompt, script):
    named = Placeholders.of(prompt)
    if not any(mark in script for mark in named.names):
        assert named.restore(named.shorten(script)) == script
    assert len(set(named.names.values())) == len(named.names)
    assert find_names(prompt) == list(dict.fromkeys(find_names(prompt)))


@pytest.mark.parametrize("split", [Split.IID, Split.INDUSTRY])
@pytest.mark.parametrize("open_names", [0.0, 1.0])
def test_nearly_every_object_of_a_prompt_has_a_placeholder(split, open_names):
    """Of prompts that no rule was made with, and of industries that training does not have."""
    found = objects = stray = 0
    for triplet in make_triplets(4711, range(120), TripletOptions(open_names=open_names, plain_scripts=True), split):
        named, script = Placeholders.of(triplet.prompt.text), triplet.response
        names = {obj.name for obj in triplet.factory.twin.objects if f'"{obj.name}"' in script}
        objects += len(names)
        found += len(names & set(named.names.values()))
        stray += sum(f'"{name}"' not in script for name in named.names.values())
        assert named.restore(named.shorten(script)) == script
    assert objects > 500
    assert found / objects > 0.985
    assert stray / objects < 0.1


def test_the_words_for_classes_are_those_of_the_library():
    plain = {re.sub(r".*::", "", name) for name in classes()}
    assert set(CLASSES.values()) <= plain
    made = make_triplets(3, range(60), TripletOptions(), Split.IID)
    used = {re.sub(r".*::", "", obj.cls) for triplet in made for obj in triplet.factory.twin.objects}
    assert used <= set(CLASSES.values())
    said = {word for words in TERSE_CLASSES.values() for word in words}
    assert {word.lower() for word in said} <= CLASSES.keys()


def test_a_tokenizer_with_placeholders_encodes_counts_and_decodes_them(corpus):
    triplets, tokenizer = corpus
    known = dataclasses.replace(tokenizer, placeholders=True)
    prompt, script = PROMPT, 'a.name = "hot press"; Model.find("Filler 2");'
    named = Placeholders.of(prompt)
    assert set(named.names.values()) >= {"Wash Basket", "hot press", "Filler 1", "Filler 2"}
    for form in (DEFAULT_FORM, TextForm(joint=True), TextForm(strip=True)):
        expected = form.encode(named.prompt, named.shorten(script), tokenizer)
        assert form.encode(prompt, script, known) == expected
        assert form.encode(prompt, script, tokenizer) != expected
    ids, asked = DEFAULT_FORM.encode(prompt, script, known)
    assert named.restore(known.decode(ids[asked:])) == script
    counted = count_lengths(triplets, known).text
    assert [len(DEFAULT_FORM.encode(row.prompt, row.response, known)[0]) for row in triplets] == counted.tolist()
    texts = list(batch_texts(list(triplets), limit=1, placeholders=True))
    assert texts[0].endswith(Placeholders.of(triplets[0].prompt).prompt)
    assert texts[1] == known.texts(triplets[0].prompt, triplets[0].response)[1]


def test_readers_in_other_processes_have_placeholders_too(corpus):
    triplets, tokenizer = corpus
    known = dataclasses.replace(tokenizer, placeholders=True)
    config = PipelineConfig(sequence_length=512, batch_size=2, image_size=20, visual_tokens=4, pack=False)
    here, there = (
        next(iter(make_dataset(triplets, known, dataclasses.replace(config, workers=workers)))) for workers in (0, 1)
    )
    plain = next(iter(make_dataset(triplets, tokenizer, config)))
    assert (here["tokens"] == there["tokens"]).all()
    assert here["tokens"].shape != plain["tokens"].shape or (here["tokens"] != plain["tokens"]).any()


def test_it_is_kept_with_the_tokenizer(tmp_path):
    from convert.processor_files import write_tokenizer

    tokenizer = train_bpe(["Oven feeds Press."], 300, tmp_path / "bpe")
    for known in (False, True):
        folder = tmp_path / str(known)
        folder.mkdir()
        write_tokenizer(folder, dataclasses.replace(tokenizer, placeholders=known))
        assert load_tokenizer(folder).placeholders == known
