"""Properties and variables: every one of every class, every form of value, their defaults, and table properties."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.simulator import Verdict, build, classes
from vlsm_jax.simulator.library import tools
from vlsm_jax.simulator.properties import TRIGGER_NAMES
from vlsm_jax.twin import Code, Distribution, Twin

CLASSES = (
    "Source", "Queue", "Processor", "Combiner", "Separator", "MultiProcessor", "Sink", "StraightConveyor",
    "CurvedConveyor", "Rack", "FloorStorage", "BasicFR", "Operator", "TaskExecuter", "Transporter", "AGV", "Robot",
    "Crane", "ASRSvehicle", "Elevator", "Dispatcher", "NetworkNode",
)  # fmt: skip


def made(cls: str, then: str, name: str = "x") -> str:
    return f'Object x = Object.create("{cls}"); x.name = "{name}";\n{then}'


def parameters(cls: str, then: str) -> dict:
    result = build(made(cls, then))
    assert result.ok, result.diagnostics
    assert not result.diagnostics
    return dict(result.twin.objects[0].parameters)


def printed(cls: str, then: str) -> tuple[str, ...]:
    result = build(made(cls, then))
    assert result.ok, result.diagnostics
    return result.output


# --- Every property of every class ------------------------------------------------------------------------------------

VALUES = {
    "bool": [("1", 1), ("0", 0), ("true", 1), ('"return 1;"', 1)],
    "unit": [("7", 7), ("0.5", 0.5), ('"return 7;"', 7), ('[2, "min"]', 120),
             ('"return normal(9, 1, getstream(current));"', Distribution("normal", (9, 1))),
             ('["return uniform(1, 2);", "h"]', Distribution("uniform", (3600, 7200)))],
    "number": [("3", 3), ("0.25", 0.25)],
    "value": [("3", 3), ('"return 2 * duniform(1, 3);"', Code("return 2 * duniform(1, 3);"))],
    "any": [("2", 2), ('"return duniform(1, 2);"', Distribution("duniform", (1, 2))),
            ('"Object item = param(1); return item.Type;"', Code("Object item = param(1); return item.Type;"))],
    "vec3": [("Vec3(1, 2, 3)", (1, 2, 3)), ("[1, 2, 3]", (1, 2, 3))],
    "array": [("[1, 2]", (1, 2)), ("[0.5]", (0.5,))],
    "table": [('[[1, "a"], [2, "b"]]', Code('[[1, "a"], [2, "b"]]')), ('"[[1, 2]]"', Code("[[1, 2]]"))],
}  # fmt: skip
TEXTS = {"TravelSequence", "Visualization", "AddressScheme"}
NOT_KEPT = {"Name", "Class", "Location", "Size", "Rotation", "Color", "MTBFMTTRs", "TimeTables", "Groups", "Classes",
            "Container"}  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
def test_every_property_takes_every_form_of_value(cls):
    for name, info in classes()[cls].properties.items():
        if name in NOT_KEPT or name in TEXTS or info.kind == "connections":
            continue
        forms = VALUES.get(info.kind, ())
        if info.kind == "enum":
            forms = [(f'"{option}"', option) for option in info.options]
            forms += [(str(number), option) for option, number in info.options.items()]
        for literal, expected in forms:
            assert parameters(cls, f'x.setProperty("{name}", {literal});') == {name: expected}, (name, literal)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_variable_is_its_property(cls):
    info = classes()[cls]
    for variable, name in info.variables.items():
        known = info.properties.get(name)
        if known is None or known.kind not in ("unit", "number", "value", "any", "bool"):
            continue
        expected = {name: 1}
        assert parameters(cls, f'setvarnum(x, "{variable}", 1);') == expected
        assert parameters(cls, f'x.find(">variables/{variable}").value = 1;') == expected
        assert parameters(cls, f'setnodenum(getvarnode(x, "{variable}"), 1);') == expected
        assert parameters(cls, f'x.setVariable("{variable}", 1);') == expected
        assert printed(cls, f'setvarnum(x, "{variable}", 1); print(getvarnum(x, "{variable}"));') == ("1",)
        if known.kind != "bool" and name not in TEXTS:
            code = f'setvarstr(x, "{variable}", "return uniform(1, 2);");'
            assert parameters(cls, code) == {name: Distribution("uniform", (1, 2))}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_default_can_be_read(cls):
    info = classes()[cls]
    for name, value in info.defaults.items():
        (shown,) = printed(cls, f'print(x.getProperty("{name}"));')
        if isinstance(value, (int, float, str)):
            assert shown == str(value)
        assert shown != "NULL"
    assert build(made(cls, "")).twin.objects[0].parameters == {}


@pytest.mark.parametrize(
    ("cls", "variable", "value"),
    [
        ("Source", "arrivalmode", "1"), ("Source", "timezerocreate", "0"), ("Source", "itemclass", "1"),
        ("Source", "repeat", "0"), ("Source", "usetransport", "0"), ("Source", "sendtocontinuous", "0"),
        ("Source", "interarrivaltime", "return exponential(0, 10, getstream(current));"),
        ("Queue", "maxcontent", "1000"), ("Queue", "usebatching", "0"), ("Queue", "batchsize", "2"),
        ("Queue", "maxwaittime", "0"), ("Queue", "flush", "0"), ("Queue", "placemode", "3"),
        ("Queue", "stackinitz", "0.1"), ("Queue", "pull", "0"), ("Queue", "lifo", "0"), ("Queue", "sendtoport", "0"),
        ("Processor", "cycletime", "10"), ("Processor", "setuptime", "0"), ("Processor", "maxcontent", "1"),
        ("Processor", "nrofprocessoperators", "1"), ("Processor", "usesameop", "1"), ("Processor", "convey", "1"),
        ("Processor", "processdispatcher", "return current.centerObjects[1];"),
        ("Processor", "transportdispatcher", "return current.centerObjects[1];"),
        ("Combiner", "pack", "1"), ("Combiner", "convey", "0"), ("Combiner", "cycletime", "10"),
        ("Combiner", "collectingcontainer", "1"), ("Combiner", "recycle", "0"), ("Separator", "unpack", "1"),
        ("Sink", "recycle", "1"), ("Operator", "maxcontent", "1"), ("Operator", "maxspeed", "2"),
        ("Operator", "acceleration", "1"), ("Operator", "useoffsets", "1"), ("Operator", "flipthreshold", "180"),
        ("Operator", "breakto", "New Tasksequences Only"), ("Operator", "passto", "0"),
        ("Operator", "queuestrategy", "return taskSequence.priority;"), ("Transporter", "forkspeed", "1"),
        ("Transporter", "forktravel", "1"), ("Crane", "travelsequence", "L>XY>D"), ("StraightConveyor", "speed", "1"),
        ("StraightConveyor", "width", "1"), ("StraightConveyor", "accumType", "1"), ("Rack", "pull", "1"),
        ("Rack", "minimumstaytime", "0"), ("Station", "processTime", "2"), ("Dispatcher", "passto", "0"),
    ],
)  # fmt: skip
def test_defaults_of_variables(cls, variable, value):
    command = "getvarnum" if value.replace(".", "").isdigit() else "getvarstr"
    assert printed(cls, f'print({command}(x, "{variable}"));') == (value,)


def test_defaults_name_their_evidence():
    assert "11 of them" in classes()["Queue"].evidence["Queue"]
    assert classes()["Combiner"].evidence["Combiner"].startswith("weak")
    for cls in ("Source", "Queue", "Processor", "Operator", "Rack", "Dispatcher", "StraightConveyor"):
        assert classes()[cls].evidence


# --- Forms of values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "part"),
    [("Location", "location"), ("Size", "size"), ("Rotation", "rotation")],
)
@pytest.mark.parametrize("value", ["Vec3(1, 2, 3)", "[1, 2, 3]"])
def test_places_as_properties(place, part, value):
    script = f'x.setProperty("{place}", {value}); print(x.{part}.x, x.{part}.y, x.getProperty("{place}").z);'
    assert printed("Queue", script) == ("1 2 3",)


@pytest.mark.parametrize("trigger", sorted(TRIGGER_NAMES))
def test_triggers(trigger):
    code = {f"Triggers.{trigger}": Code("return 0;")}
    assert parameters("Processor", f'x.setProperty("Triggers.{trigger}", "return 0;");') == code


@pytest.mark.parametrize("variable", ["entrytrigger", "exittrigger", "processfinishtrigger", "resettrigger"])
def test_triggers_by_variable(variable):
    (name,) = parameters("Processor", f'setvarstr(x, "{variable}", "return 0;");')
    assert name.startswith("Triggers.On")


def test_a_map_for_dimensions():
    script = 'Map size; size["NumBays"] = 5; size["BaySize"] = 2; x.setProperty("Dimensions", size);'
    assert parameters("Rack", script) == {"Dimensions": Code('[["NumBays", 5], ["BaySize", 2]]')}


@pytest.mark.parametrize("name", ["OperatorRef", "TransportRef"])
def test_an_object_as_a_reference(name):
    script = f'Object worker = Object.create("Operator"); worker.name = "Ann"; x.setProperty("{name}", worker);'
    assert parameters("Processor", script) == {name: Code('return Model.find("Ann");')}


@pytest.mark.parametrize(
    ("cls", "call", "code", "hint"),
    [
        ("Queue", 'x.setProperty("ItemPlacement", "Stack Vertical");', "unknown option", "Stack Vertically"),
        ("Queue", 'x.setProperty("MaxContnt", 3);', "unknown property", "MaxContent"),
        ("Queue", 'x.setProperty("maxcontent", 3);', "unknown property", "MaxContent"),
        ("Queue", 'x.getProperty("MaxContnt");', "unknown property", "MaxContent"),
        ("Queue", 'x.setProperty("MaxBatchTime", [3, "mins"]);', "unit", "min"),
        ("Queue", 'x.setProperty("MaxContent", NULL);', "value", ""),
        ("Source", 'x.setProperty("ArrivalSchedule", 3);', "value", "ArrivalTime, ItemName, Quantity"),
        ("Source", 'setvarnum(x, "maxcontent", 3);', "unused", ""),
        ("Queue", 'setvarnum(x, "nroftransportsin", 1);', "unused", ""),
        ("Queue", 'setvarnum(x, "maxcontnt", 1);', "unknown variable", "maxcontent"),
        ("Processor", 'x.setProperty("OperatorRef", model());', "value", ""),
    ],
)
def test_values_that_are_not_taken(cls, call, code, hint):
    result = build(made(cls, call))
    assert result.ok
    (warning,) = result.diagnostics
    assert (warning.code, warning.line) == (code, 2)
    assert hint in warning.hint
    assert result.twin.objects[0].parameters == {}


def test_connections_as_properties():
    script = """
    Object y = Object.create("Queue"); y.name = "y"; contextdragconnection(x, y, "A"); contextdragconnection(x, y, "S");
    print(x.getProperty("OutObjects")[1].name, y.getProperty("InObjects")[1].name);
    print(y.getProperty("CenterObjects")[1].name);
    print(x.getProperty("Container").name, x.getProperty("Class"), x.getProperty("Name"));
    """
    assert printed("Queue", script) == ("y x", "x", "model Queue x")


def test_a_variable_of_ones_own():
    script = 'assertvariable(x, "mine", 1); setvarnum(x, "mine", 4);'
    script += 'print(getvarnum(x, "mine"), x.find(">variables/mine").value);'
    assert printed("Queue", script) == ("4 4",)
    assert parameters("Queue", script) == {}


# --- Tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        'x.setProperty("ArrivalSchedule", [[0, "A", 1], [5, "B", 2]]);',
        'x.setProperty("ArrivalSchedule", "[[0,\'A\',1], [5, \'B\', 2]]".replace("\'", "\\""));',
        'Table t = Table([[0, "A", 1], [5, "B", 2]]); x.setProperty("ArrivalSchedule", t);',
        'Table t = x.find(">variables/schedule"); t.setSize(2, 3);'
        ' t[1][1] = 0; t[1][2] = "A"; t[1][3] = 1;'
        ' t[2]["ArrivalTime"] = 5; t[2]["ItemName"] = "B"; t[2]["Quantity"] = 2;',
        'treenode t = getvarnode(x, "schedule"); settablesize(t, 2, 3); settablestr(t, 1, 2, "A");'
        ' settablenum(t, 2, 1, 5); settablestr(t, 2, 2, "B"); settablenum(t, 2, 3, 2);',
        'treenode t = getvarnode(x, "schedule"); t.find("1/2").value = "A"; treenode row = t.subnodes.add();'
        ' row.find("1").value = 5; row.find("2").value = "B"; row.subnodes[3].value = 2;',
    ],
)
def test_ways_to_fill_a_table(write):
    assert parameters("Source", write) == {"ArrivalSchedule": Code('[[0, "A", 1], [5, "B", 2]]')}


@pytest.mark.parametrize(
    ("cls", "name", "variable", "value", "rows"),
    [
        ("Source", "ArrivalSequence", "sequence", '[["A", 2]]', '[["A", 2]]'),
        ("Source", "ArrivalSequence", "sequence", '["A", 2]', '[["A", 2]]'),
        ("Combiner", "ComponentsList", "componentlist", "[2, 3]", "[[2], [3]]"),
        ("Combiner", "ComponentsList", "componentlist", "[[2], [3]]", "[[2], [3]]"),
        ("Crane", "CraneSpeeds", "cranespeeds", "[[1, 2], [3, 4]]", "[[1, 2], [3, 4]]"),
        ("Robot", "JointSpeeds", "speedtable", "[[90], [45.5]]", "[[90], [45.5]]"),
        ("MultiProcessor", "ProcessTable", "optable", '[["Cut", "return uniform(1, 2);", 1, 0, 0, ""]]',
         '[["Cut", "return uniform(1, 2);", 1, 0, 0, ""]]'),
    ],
)  # fmt: skip
def test_table_properties(cls, name, variable, value, rows):
    assert parameters(cls, f'x.setProperty("{name}", {value});') == {name: Code(rows)}
    read = f'Table t = x.find(">variables/{variable}"); print(t.numRows, t[1][1], gettablestr(t, 1, 1));'
    first = f'x.setProperty("{name}", {value});' + read
    assert printed(cls, first)[0].split()[0] == str(rows.count("[") - 1)


def test_a_table_that_is_only_read_is_not_set():
    script = 'Table t = x.find(">variables/schedule"); print(t[1]["ItemName"], t.numRows, t.numCols);'
    assert printed("Source", script) == ("Product 1 3",)
    assert parameters("Source", script) == {}


def test_the_component_list_has_a_row_per_further_input():
    script = """
    for (int i = 1; i <= 3; i++) {
      Object q = Object.create("Queue"); q.name = "Q" + i; contextdragconnection(q, x, "A");
    }
    treenode list = getvarnode(x, "componentlist");
    settablenum(list, 1, 1, 4);
    Table t = list; t[2]["Target Quantity"] = 5; print(t.numRows, t.getRowHeader(1));
    """
    assert printed("Combiner", script) == ("2 From Input Port 2",)
    assert build(made("Combiner", script)).twin.by_name["x"].parameters == {"ComponentsList": Code("[[4], [5]]")}


def test_tables_are_copied_with_their_object():
    script = 'Table t = x.find(">variables/schedule"); t[1][1] = 5; Object y = x.copy(); y.name = "y"; t[1][1] = 7;'
    twin = build(made("Source", script)).twin
    assert twin.by_name["y"].parameters["ArrivalSchedule"] == Code('[[5, "Product", 1]]')
    assert twin.by_name["x"].parameters["ArrivalSchedule"] == Code('[[7, "Product", 1]]')


def test_a_table_may_be_code():
    code = 'return Table(\\"Plan\\");'
    script = f'x.setProperty("ArrivalSchedule", "{code}");'
    assert parameters("Source", script) == {"ArrivalSchedule": Code('return Table("Plan");')}


@pytest.mark.parametrize("cell", ["[1]", "x.location", "1.0 / 0"])
def test_cells_hold_numbers_and_strings(cell):
    result = build(made("Source", f'Table t = x.find(">variables/schedule"); t[1][1] = {cell};'))
    assert result.verdict is Verdict.BUILD_ERROR
    assert result.diagnostics[-1].code in ("type", "value")


# --- Tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["MTBFMTTR", "TimeTable"])
def test_every_property_of_a_tool(kind):
    for name, info in tools()[kind].properties.items():
        for literal, _ in VALUES.get(info.kind, ()):
            script = f'treenode t = Tools.create("{kind}"); t.setProperty("{name}", {literal});'
            result = build(script)
            assert result.ok
            assert not result.diagnostics
            assert result.twin.objects == ()


# --- Anything at all --------------------------------------------------------------------------------------------------

_LITERALS = st.sampled_from(
    ("0", "-1", "1e300", "0.5", "NULL", "nullvar", '""', '"x"', '"return 1;"', '"[[1, 2]]"', '"[["', "[]", "[1]",
     "[[]]", "[[1, [2]]]", '[1, "min"]', '["return 1;", "h"]', '[1, "x"]', "Vec3(1, 2, 3)", "Color.red", "Map()", "x",
     "model()", 'library().find("?Queue")', 'node("none")', 'Tools.create("Group")', "Table([[1]])", "true",
     '"STATE_IDLE"')
)  # fmt: skip
_KEYS = sorted({name for info in classes().values() for name in (*info.properties, *info.variables)})
_KEYS += ["Nope", "", "Triggers.", "Triggers.OnExit", "a/b"]
_WAYS = st.sampled_from(
    ('x.setProperty("{0}", {1});', 'setvarnum(x, "{0}", {1});', 'setvarstr(x, "{0}", {1});',
     'x.setVariable("{0}", {1});', 'x.find(">variables/{0}").value = {1};',
     'nodeinsertinto(getvarnode(x, "{0}")).value = {1};')
)  # fmt: skip


@given(cls=st.sampled_from(CLASSES), key=st.sampled_from(_KEYS), value=_LITERALS, way=_WAYS)
@settings(deadline=None, max_examples=400)
def test_any_value_for_any_property(cls, key, value, way):
    """Whatever is set, it is kept as something that a Twin can hold, warned of, or an exception of the script."""
    result = build(made(cls, way.format(key, value) + f'\nprint(x.getProperty("{key}"));'))
    assert "internal error" not in [d.code for d in result.diagnostics], result.diagnostics
    assert result.verdict in (Verdict.OK, Verdict.BUILD_ERROR)
    assert Twin.from_json(result.twin.to_json()) == result.twin
