"""Rules on the smallest scripts that show each fault; the whole is measured by `benchmarks/repair.py`."""

from collections import Counter

import pytest

from vlsm_jax.repair import Level, Limits, mend
from vlsm_jax.simulator import build

LINE = """Object source = Object.create("Source");
source.name = "Arrivals";
source.setProperty("InterArrivalTime", "return exponential(0, 10);");
Object mill = Object.create("Processor");
mill.name = "Mill";
mill.setLocation(10, 0, 0);
mill.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Shipping";
sink.setLocation(20, 0, 0);
Array objects = [source, mill, sink];
for (int i = 1; i <= objects.length; i++) {
  if (i == 1) {
    print("first");
  }
  print(objects[i].name);
}
contextdragconnection(source, mill, "A");
contextdragconnection(mill, sink, "A");
"""
PROMPT = (
    "Arrivals is a Source with an exponential interarrival time (mean 10 s). Mill is a Processor with a process time "
    "of 8 s. Shipping is a Sink. Arrivals feeds Mill. Mill feeds Shipping."
)

CREATE = 'Object mill = Object.create("Processor");\n'
FAULTS = {
    "misspelt command": ('contextdragconnection(mill, sink, "A")', 'contextdragconection(mill, sink, "A")'),
    "misspelt member": ("mill.setLocation", "mill.setLoaction"),
    "misspelt type": ("Array objects", "Arry objects"),
    "misspelt keyword": ("for (int", "fro (int"),
    "misspelt variable": ("contextdragconnection(source", "contextdragconnection(sorce"),
    "misspelt property": ('"ProcessTime"', '"ProcesTime"'),
    "misspelt class": ('"Processor"', '"Procesor"'),
    "misspelt command in code": ("exponential(0", "exponentail(0"),
    "wrong case": ("Object.create", "object.create"),
    "foreign command": ('contextdragconnection(mill, sink, "A")', 'connectObjects(mill, sink, "A")'),
    "foreign method": ("mill.setLocation", "mill.moveTo"),
    "missing semicolon": ('mill.name = "Mill";', 'mill.name = "Mill"'),
    "missing bracket": ("setLocation(10, 0, 0)", "setLocation(10, 0, 0"),
    "missing brace": ("  }\n  print", "  print"),
    "missing opening brace": ("i++) {", "i++)"),
    "missing comma": ("[source, mill,", "[source mill,"),
    "missing quote": ('"Mill"', '"Mill'),
    "missing opening quote": ('"Mill"', 'Mill"'),
    "typographic quotes": ('"Mill"', "“Mill”"),
    "doubled bracket": ("setLocation(10, 0, 0)", "setLocation(10, 0, 0))"),
    "colon for semicolon": ("mill.setLocation(10, 0, 0);", "mill.setLocation(10, 0, 0):"),
    "missing declaration": ("Object mill", "mill"),
    "port letter": ('(mill, sink, "A")', '(mill, sink, "S")'),
    "assignment in condition": ("i == 1", "i = 1"),
    "index from 0": ("int i = 1", "int i = 0"),
    "argument order": ('setProperty("ProcessTime", 8)', 'setProperty(8, "ProcessTime")'),
    "port letter before the target": ('(mill, sink, "A")', '(mill, "A", sink)'),
    "missing argument": ('(mill, sink, "A")', "(mill, sink)"),
    "extra argument": ('"ProcessTime", 8)', '"ProcessTime", 8, 8)'),
    "repeated declaration": (CREATE, CREATE + CREATE),
    "swapped ends": ("(mill, sink,", "(sink, mill,"),
    "missing connection": ('contextdragconnection(mill, sink, "A");\n', ""),
}
TOLD = {
    "misspelt name": ('"Shipping"', '"Shiping"'),
    "wrong number": ('"ProcessTime", 8', '"ProcessTime", 80'),
    "wrong class": ('"Processor"', '"Queue"'),
    "duplicate name": ('"Shipping"', '"Mill"'),
}


@pytest.mark.parametrize(("right", "wrong"), FAULTS.values(), ids=FAULTS)
def test_a_single_fault_is_mended_without_a_prompt(right, wrong):
    assert LINE.count(right) >= 1
    done = mend(LINE.replace(right, wrong, 1))
    assert done.changed
    assert build(done.after.script).twin == build(LINE).twin
    assert done.ok
    assert not done.left


@pytest.mark.parametrize(("right", "wrong"), TOLD.values(), ids=TOLD)
def test_what_the_prompt_states_is_put_right(right, wrong):
    done = mend(LINE.replace(right, wrong, 1), PROMPT)
    assert done.after.script == LINE


def test_an_option_becomes_the_one_that_the_prompt_says():
    shelf = 'Object shelf = Object.create("Queue");\nshelf.name = "Shelf";\nshelf.setProperty("ItemPlacement", "{}");\n'
    rest = LINE.replace('(mill, sink, "A")', '(mill, shelf, "A");\ncontextdragconnection(shelf, sink, "A")')
    prompt = PROMPT.replace("Mill feeds Shipping.", "Mill feeds Shelf. Shelf feeds Shipping. ")
    prompt += "Shelf is a Queue that lines items up horizontally."
    done = mend(shelf.format("Stack Inside Queue") + rest, prompt)
    assert done.after.script == shelf.format("Horizontal Line") + rest


def test_formatting_and_comments_stay():
    text = "// A line.\r\n" + LINE.replace("\n", "\r\n").replace('"ProcessTime"', '/* s */"ProcesTime"')
    assert mend(text).after.script == text.replace("ProcesTime", "ProcessTime")


def test_three_faults_take_three_edits():
    text = LINE.replace('"Processor"', '"Procesor"').replace('"Shipping";', '"Shipping"').replace("int i", "itn i")
    done = mend(text)
    assert done.after.script == LINE
    assert len(done.steps) == 3


def test_a_script_that_is_right_stays_as_it_is():
    done = mend(LINE, PROMPT)
    assert (done.changed, done.ok, done.diff()) == (False, True, "")


def test_a_prompt_of_another_factory_changes_nothing():
    assert not mend(LINE, "Kiln is a Processor with a process time of 90 s. Feeder is a Source.").changed


@pytest.mark.parametrize("text", ["", "}{", "((((((", '"', "Object", "\0", "x" * 3000, "if (" * 400, "é„“"])
def test_no_text_is_too_broken_to_be_looked_at(text):
    done = mend(text, "12 s", limits=Limits(scripts=20))
    assert done.after.judgement >= done.before.judgement


def test_the_number_of_scripts_that_are_judged_is_bounded():
    text = LINE.replace("source", "sorce", 1).replace("mill", "mll", 2).replace(";", "")
    assert mend(text, limits=Limits(scripts=15)).judged <= 15


def test_mending_is_the_same_every_time():
    text = LINE.replace("mill, sink", "mil, sink").replace("Object.create", "Object.creat", 1)
    assert mend(text).to_dict() == mend(text).to_dict()


SERVED = """Object obj = Object.create("Source");
obj.name = "Arrivals";
obj = Object.create("Queue");
obj.name = "Shelf";
obj.setLocation(10, 0, 0);
obj = Object.create("Processor");
obj.name = "Mill";
obj.setLocation(20, 0, 0);
obj.setProperty("UseTransport", 1);
obj = Object.create("Processor");
obj.name = "Lathe";
obj.setLocation(30, 0, 0);
obj.setProperty("UseTransport", 1);
obj = Object.create("Sink");
obj.name = "Shipping";
obj.setLocation(40, 0, 0);
obj = Object.create("Operator");
obj.name = "Porter";
contextdragconnection(Model.find("Arrivals"), Model.find("Shelf"), "A");
contextdragconnection(Model.find("Shelf"), Model.find("Mill"), "A");
contextdragconnection(Model.find("Mill"), Model.find("Lathe"), "A");
contextdragconnection(Model.find("Lathe"), Model.find("Shipping"), "A");
contextdragconnection(Model.find("Mill"), Model.find("Porter"), "S");
contextdragconnection(Model.find("Lathe"), Model.find("Porter"), "S");
"""
DOUBLED = SERVED[SERVED.index('obj = Object.create("Processor");') : SERVED.index('obj = Object.create("Sink");')]
MISLED = {
    "an executer of another object": [('"Lathe"), Model.find("Porter")', '"Shelf"), Model.find("Porter")')],
    "an executer of others": [
        ('"Lathe"), Model.find("Porter")', '"Shelf"), Model.find("Porter")'),
        ('"Mill"), Model.find("Porter")', '"Arrivals"), Model.find("Porter")'),
    ],
    "an executer twice": [('"Lathe"), Model.find("Porter")', '"Mill"), Model.find("Porter")')],
    "an executer of one alone": [('contextdragconnection(Model.find("Lathe"), Model.find("Porter"), "S");\n', "")],
    "to the same object again": [('"Mill"), Model.find("Lathe")', '"Shelf"), Model.find("Mill")')],
    "to itself": [('"Mill"), Model.find("Lathe")', '"Mill"), Model.find("Mill")')],
    "an executer too many": [
        ('"Lathe"), Model.find("Porter"), "S");', '"Lathe"), Model.find("Porter"), "S");\n'
         'contextdragconnection(Model.find("Shelf"), Model.find("Porter"), "S");'),
    ],
    "objects twice": [('obj = Object.create("Sink");', DOUBLED + 'obj = Object.create("Sink");')],
}  # fmt: skip


@pytest.mark.parametrize("faults", MISLED.values(), ids=MISLED)
def test_what_a_model_connects_wrongly_is_connected_as_is_asked_for(faults):
    """Which objects lack something, and what is of no use, is told by the simulator; there is no prompt."""
    text = SERVED
    for right, wrong in faults:
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    done = mend(text)
    assert done.ok
    assert not done.left
    before, after = build(SERVED).twin, build(done.after.script).twin
    assert after.objects == before.objects
    assert Counter(after.connections) == Counter(before.connections)


def test_a_missing_connection_is_written_as_the_others_are():
    text = LINE.replace("(source, mill", '(Model.find("Arrivals"), Model.find("Mill")')
    right = text.replace("(mill, sink", '(Model.find("Mill"), Model.find("Shipping")')
    broken = text.replace('contextdragconnection(mill, sink, "A");\n', "")
    assert mend(broken, PROMPT).after.script == right


def test_a_flow_that_a_prompt_tells_is_drawn_as_it_is_told():
    text = LINE.replace("(source, mill", '(Model.find("Arrivals"), Model.find("Mill")')
    right = text.replace("(mill, sink", '(Model.find("Mill"), Model.find("Shipping")')
    wrong = right.replace(
        '(Model.find("Mill"), Model.find("Shipping")', '(Model.find("Arrivals"), Model.find("Shipping")'
    )
    assert mend(wrong, f"{PROMPT} Arrivals feeds Mill, which feeds Shipping.").after.script == right
    # A line too many, of a script that runs.
    more = right + 'contextdragconnection(Model.find("Arrivals"), Model.find("Shipping"), "A");\n'
    assert mend(more).after.script == more
    done = mend(more, f"{PROMPT} Arrivals feeds Mill, which feeds Shipping.")
    assert build(done.after.script).twin == build(right).twin


def test_the_level_tells_how_far_a_script_comes():
    levels = [mend(text, limits=Limits(scripts=1)).before.judgement.level for text in (
        LINE[:-4], LINE.replace("Array ", ""), LINE.replace('"Sink"', '"Skin"'),
        LINE.replace('contextdragconnection(mill, sink, "A");', ""), LINE,
    )]  # fmt: skip
    assert levels == [Level.SYNTAX, Level.NAMES, Level.BUILD, Level.FLOW, Level.RUNS]
