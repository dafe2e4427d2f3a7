"""Names lent to prompts: whose class, in which order, and how they come back."""

import dataclasses
import json
import re

import pytest

from convert.processor_files import write_tokenizer
from vlsm_jax.data.known_names import (
    FILE,
    STEP,
    KnownNames,
    KnownNamesError,
    Station,
    Vocabulary,
    find_known_names,
    said_classes,
)
from vlsm_jax.data.placeholders import read_names
from vlsm_jax.data.text_form import DEFAULT_FORM
from vlsm_jax.data.tokenizer import TokenizerError, load_tokenizer, train_bpe
from vlsm_jax.shipped import SHIPPED
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, make_triplets
from vlsm_jax.synth.vocabularies import known_names

BAKERY = Vocabulary(
    (Station("Mixer", "Processor"), Station("Filler", "Combiner", ("Jam Supply",)), Station("Oven", "Processor")),
    {"Source": ("Flour", "Dough"), "Sink": ("Shop",), STEP: ("Knead", "Rest")},
)
FOUNDRY = Vocabulary(
    (Station("Melter", "Processor"), Station("Caster", "Processor"), Station("Cooler", "Queue")),
    {"Source": ("Scrap Yard",), "Sink": ("Ingot Store",)},
)
KNOWN = KnownNames((BAKERY, FOUNDRY))


def test_names_are_lent_by_class_in_the_order_of_their_stations():
    lent = KNOWN.lend("Bead Hopper is a source. Welder is a processor, Tumbler is a processor. Depot is the sink.")
    assert lent.names == {"Flour": "Bead Hopper", "Mixer": "Welder", "Oven": "Tumbler", "Shop": "Depot"}
    assert lent.prompt == "Flour is a source. Mixer is a processor, Oven is a processor. Shop is the sink."
    assert lent.restore('a.name = "Oven"; Model.find("Flour"); "Caster"') == (
        'a.name = "Tumbler"; Model.find("Bead Hopper"); "Caster"'
    )


def test_the_vocabulary_with_most_of_the_prompts_own_names_then_with_most_names_is_lent_from():
    # Only a foundry has a queue.
    assert KNOWN.lend("Tub is a queue. Lathe is a processor.").names == {"Cooler": "Tub", "Melter": "Lathe"}
    # A name that is known stays, and what is lent goes with it.
    kept = KNOWN.lend("Scrap Yard is a source. Lathe is a processor.")
    assert kept.names == {"Melter": "Lathe"}
    assert kept.kept == ("Scrap Yard",)
    # Where everything is known nothing is lent, a slip of the pen in the prompt stays, and so does a range.
    for prompt in (
        "Mixer feeds Oven 1 to 3. Mixer is a Processor.",
        "Mixer, a processor. Mixer feeds Mixre.",
        "No names.",
    ):
        assert KNOWN.lend(prompt).prompt == prompt
        assert not KNOWN.lend(prompt).names


def test_lanes_share_a_name_and_have_numbers():
    lent = KNOWN.lend("Press1, Press2 and Press3 are processors. Press1 is fed by the source Bin 7.")
    assert lent.names == {"Mixer 1": "Press1", "Mixer 2": "Press2", "Mixer 3": "Press3", "Flour": "Bin 7"}
    # Those of two classes are not lanes.
    codes = KNOWN.lend("OP10 is a processor. OP20 is a processor. OP30 is a sink.")
    assert codes.names == {"Mixer 1": "OP10", "Mixer 2": "OP20", "Shop": "OP30"}


def test_what_is_added_to_a_line_comes_from_its_own_supply():
    lent = KNOWN.lend("Bin is a source. Tray is a source. Packer is a combiner. Trolley is a source.")
    assert lent.names == {"Flour": "Bin", "Jam Supply": "Tray", "Filler": "Packer", "Dough": "Trolley"}


def test_a_name_without_a_class_and_one_for_which_none_is_left_stay():
    lent = KNOWN.lend("Lathe is a processor. Depot is a sink. Dump is a sink. It was drawn by Miller.")
    assert lent.names == {"Mixer": "Lathe", "Shop": "Depot"}
    assert lent.kept == ("Dump", "Miller")


@pytest.mark.parametrize(
    ("prompt", "classes"),
    [
        ("The Source Bin feeds Lathe (Processor).", {"Bin": "Source", "Lathe": "Processor"}),
        (
            "Bin = src: IAT 5\nLathe: proc, 2 ops\nMiller: op",
            {"Bin": "Source", "Lathe": "Processor", "Miller": "Operator"},
        ),
        ("| Bin | Source |\n| Lathe | Processor | 2 operators |", {"Bin": "Source", "Lathe": "Processor"}),
        ("Bin and Tub are queues. Lathe needs one operator.", {"Bin": "Queue", "Tub": "Queue"}),
        (
            "Lathe is a MultiProcessor with Cut (4 s) and Turn (5 sec).",
            {"Lathe": "MultiProcessor", "Cut": STEP, "Turn": STEP},
        ),
        ("From a source (Bin), then the Lathe (5 s) or Press.", {"Bin": "Source"}),
        ("Lathe is fast. A queue stands elsewhere.", {}),
    ],
)
def test_the_class_that_a_prompt_says(prompt, classes):
    assert said_classes(*read_names(prompt)) == classes


@pytest.mark.parametrize("open_names", [0.0, 1.0])
@pytest.mark.parametrize("split", [Split.IID, Split.INDUSTRY])
def test_classes_are_told_as_the_factory_has_them_and_scripts_come_back(split, open_names):
    known = KnownNames.from_json(known_names())
    told = right = 0
    for triplet in make_triplets(815, range(60), TripletOptions(open_names=open_names), split):
        text, names = read_names(triplet.prompt.text)
        classes = said_classes(text, names)
        for obj in triplet.factory.twin.objects:
            told += obj.name in classes
            right += classes.get(obj.name) == re.sub(r".*::", "", obj.cls)
        lent = known.lend(triplet.prompt.text)
        assert lent.restore(lent.shorten(triplet.response)) == triplet.response
        strangers = {obj.name for obj in triplet.factory.twin.objects} & set(lent.names.values())
        assert bool(strangers) == (split is Split.INDUSTRY or open_names == 1.0)
        taken = known.lend(lent.prompt)
        assert not taken.names, "what was lent is known"
    assert told > 300
    assert right / told > 0.97


def test_the_shipped_model_has_the_names_of_its_training():
    assert json.loads((SHIPPED["nano"] / FILE).read_text()) == json.loads(json.dumps(known_names()))


def test_it_goes_with_the_tokenizer(tmp_path):
    tokenizer = dataclasses.replace(train_bpe(["Oven feeds Press."], 300, tmp_path / "bpe"), known=KNOWN)
    (tmp_path / "export").mkdir()
    write_tokenizer(tmp_path / "export", tokenizer)
    loaded = load_tokenizer(tmp_path / "export")
    assert loaded.known == KNOWN == find_known_names(tmp_path / "export")
    prompt, script = "Lathe is a processor.", 'a.name = "Lathe";'
    assert loaded.texts(prompt, script) == ("Mixer is a processor.", 'a.name = "Mixer";')
    ids, asked = DEFAULT_FORM.encode(prompt, script, loaded)
    assert loaded.decode(ids[asked:]) == 'a.name = "Mixer";'
    # Who learns placeholders knows no names by heart.
    marks = dataclasses.replace(loaded, placeholders=True)
    assert marks.texts(prompt, script) == ("Lathe @A is a processor.", 'a.name = "@A";')
    (tmp_path / "marks").mkdir()
    write_tokenizer(tmp_path / "marks", marks)
    assert not (tmp_path / "marks" / FILE).exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "known_names.json: not an object"),
        (
            '{"vocabularies": [{"stations": [["Mill", "Grinder"]], "others": {}}]}',
            "there is no class 'Grinder'; choose",
        ),
        ("no json", "names that the model does not know are lent none"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, said):
    tokenizer = train_bpe(["Oven"], 300, tmp_path / "bpe")
    (tmp_path / "bpe" / FILE).write_text(text)
    with pytest.raises(KnownNamesError, match=said):
        find_known_names(tmp_path / "bpe")
    with pytest.raises(TokenizerError, match=said):
        load_tokenizer(tokenizer.directory)
