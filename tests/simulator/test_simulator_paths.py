"""Paths of `find` and `node`, and the attributes of objects that they lead to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.simulator import Verdict, build
from vlsm_jax.simulator.paths import Step, steps

NESTED = """
Object line = Object.create("Queue"); line.name = "Line";
Object cell = Object.create("Processor"); cell.name = "Cell 1"; transfernode(cell, line);
Object a = Object.create("Queue"); a.name = "A"; Object b = Object.create("Queue"); b.name = "A";
b.location.x = 2; line.Next = a; line.Where = "Line/Cell 1"; line.Loop = "Line>labels/Loop+";
line.setProperty("MaxContent", 7);
"""


def printed(script: str) -> list[str]:
    result = build(NESTED + script)
    errors = [str(d) for d in result.diagnostics if d.severity.value == "error"]
    assert not errors
    return list(result.output)


def value_of(expression: str) -> str:
    return printed(f"print({expression});")[0]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Line", "Line"),
        ("Line/Cell 1", "Cell 1"),
        ('Line/\\"Cell 1\\"', "Cell 1"),
        ("/Line/Cell 1", "Cell 1"),
        ("Line/Cell 1/..", "Line"),
        ("Line/Cell 1/../..", "model"),
        ("Line/../A", "A"),
        ("?Cell 1", "Cell 1"),
        ("2", "Line"),
        ("2/1", "Cell 1"),
        ("MODEL:/Line/Cell 1", "Cell 1"),
        ("MODEL:/", "model"),
        ("MAIN:/project/model/Line", "Line"),
        ("MAIN:/project/library/?Queue", "Queue"),
        ("Line>labels/Next+", "A"),
        ("Line>labels/Where+", "Cell 1"),
        ("Line>variables/maxcontent", "maxcontent"),
        ("Line>variables/maxcontent/../../..", "model"),
    ],
)
@pytest.mark.parametrize("find", ['Model.find("{}")', 'node("{}")', 'model().find("{}")', 'node("{}", model())'])
def test_forms_of_a_path(find, path, name):
    assert value_of(find.format(path) + ".name") == name


def test_number_of_a_name():
    assert value_of('Model.find("A~1").as(Object).location.x') == "0"
    assert value_of('Model.find("A~2").as(Object).location.x') == "2"
    assert value_of('Model.find("?A~2").as(Object).location.x') == "2"
    assert value_of('Model.find("A~3")') == "NULL"


def test_paths_from_a_node():
    assert value_of('line.find("Cell 1").name') == "Cell 1"
    assert value_of('cell.find("../../A~2").location.x') == "2"
    assert value_of('node("Cell 1", line).name') == "Cell 1"
    assert value_of('line.find(">variables").find("maxcontent").value') == "7"
    assert value_of('line.find(">variables/maxcontent").up.name') == "variables"


@pytest.mark.parametrize(
    "path",
    ["Nowhere", "Line/Nowhere", "99", "Line>nothing", "Line>variables/nothing", "Line>labels/none", "VIEW:/1", "@",
     "a//b", "Line>labels/Loop+", "Line>variables/maxcontent/1", "Line>spatial/none", "Line>labels/Next/x"],
)  # fmt: skip
def test_find_gives_null_with_a_warning(path):
    result = build(NESTED + f'print(Model.find("{path}"));')
    assert result.output == ("NULL",)
    warning = next(d for d in result.diagnostics if d.code == "not found")
    assert path in warning.message
    assert warning.line == 7


def test_find_suggests_what_was_meant():
    def hint(path: str) -> str:
        return next(d.hint for d in build(NESTED + f'Model.find("{path}");').diagnostics if d.code == "not found")

    assert hint("line") == "did you mean Line?"
    assert hint("Line>variables/maxcontents") == "did you mean maxcontent?"


def test_node_gives_a_missing_node_that_is_not_null():
    assert value_of('objectexists(node("Nowhere")), node("Nowhere") == NULL, !node("Nowhere")') == "0 0 0"
    assert value_of('objectexists(Model.find("Nowhere")), Model.find("Nowhere") == NULL') == "0 1"
    assert value_of('objectexists(node("Line")), objectexists(line.find(">variables/maxcontent"))') == "1 1"


@pytest.mark.parametrize(
    ("use", "code"),
    [
        ('node("Nowhere").name;', "null reference"),
        ('node("Nowhere").name = "x";', "null reference"),
        ('node("Nowhere").destroy();', "null reference"),
        ('setname(node("Nowhere"), "x");', "null reference"),
        ('Object x = node("Nowhere");', "type"),
    ],
)
def test_using_a_missing_node_is_an_exception(use, code):
    result = build(use)
    assert result.verdict is Verdict.BUILD_ERROR
    assert result.diagnostics[0].code == code
    assert "Nowhere" in result.diagnostics[0].message + result.diagnostics[0].hint


def test_objectexists_of_a_destroyed_object():
    assert value_of("objectexists(a)") == "1"
    assert printed("a.destroy(); print(objectexists(a), objectexists(NULL));") == ["0 0"]


@pytest.mark.parametrize(
    "use", ["a.name;", "a.location.x = 1;", "a.copy();", 'setname(a, "x");', "a.destroy();", "a.L;"]
)
def test_using_a_destroyed_object_is_an_exception(use):
    for destroy in ("a.destroy();", "a.up = line; line.destroy();", "destroyobject(a);"):
        result = build(NESTED + destroy + use)
        assert result.diagnostics[0].code == "null reference"
        assert "'A', which was destroyed" in result.diagnostics[0].message


def test_attributes_of_place():
    script = """
    line.find(">spatial/spatialx").value = 4; line.find(">spatial/spatialsz").value = 3;
    line.find(">spatial/spatialrz").value = 90;
    print(line.location.x, line.size.z, line.rotation.z, line.find(">spatial/spatialsx").value);
    """
    assert printed(script) == ["4 3 90 2"]


def test_attributes_of_labels():
    script = """
    treenode labels = line.find(">labels");
    labels.subnodes.assert("Kind", "wide"); labels.subnodes.assert("Kind", "narrow");
    print(labels.subnodes.length, labels.subnodes["Kind"].value, labels.first.name, labels.subnodes[4].name, line.Kind);
    line.find(">labels/Kind").value = 5; print(line.Kind);
    line.find(">labels/Kind").destroy(); print(labels.subnodes.length, labels.subnodes["Kind"]);
    """
    assert printed(script) == ["4 wide Next Kind wide", "5", "3 NULL"]


def test_attributes_of_statistics():
    assert value_of('line.find(">stats/input").value, line.find(">stats/content").value') == "0 0"


def test_tools_is_the_first_node_and_objects_follow():
    assert value_of("model().subnodes[1].name, model().subnodes[2].name, line.rank") == "Tools Line 2"


def test_steps_of_a_path():
    assert steps('a/"b/c"~2') is None or steps('a/"b/c"')[1] == Step("/", "b/c", 1, True)
    assert steps("a~3>b")[0] == Step("", "a", 3, False)
    assert steps("") is None


_PIECES = (
    "/", ">", "..", "~2", "?", "+", "@", '\\"', "1", "MODEL:/", "MAIN:/", "VIEW:/", "project/model", "Line", "Cell 1",
    "A", "variables", "labels", "stats", "maxcontent", "Next", "Where", "Loop", " ", "é", "999999999999",
)  # fmt: skip


@given(pieces=st.lists(st.sampled_from(_PIECES), max_size=9))
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_path(pieces):
    """Whatever the text, find gives a node or NULL, and what it gives can be asked for its name."""
    path = "".join(pieces)
    result = build(
        NESTED + f'treenode n = Model.find("{path}"); if (n) print(n.name); print(objectexists(node("{path}", line)));'
    )
    assert result.ok, (path, result.diagnostics)
    assert result.output
