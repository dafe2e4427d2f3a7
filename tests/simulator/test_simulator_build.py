"""What scripts build."""

import pathlib

import pytest

from vlsm_jax.simulator import Dialect, Verdict, build, classes, property_default
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject

PHOTOMASK = (pathlib.Path(__file__).parent / "scripts" / "photomask.fsx").read_text(encoding="utf-8")


def built(script: str, **options) -> Twin:
    result = build(script, **options)
    assert result.ok, [str(d) for d in result.diagnostics]
    return result.twin


def parameters(script: str) -> dict:
    return dict(built(script).objects[0].parameters)


def codes(script: str) -> list[str]:
    return [d.code for d in build(script).diagnostics]


def test_a_full_script_in_the_published_style():
    twin = built(PHOTOMASK)
    assert len(twin.objects) == 13
    assert len(twin.connections) == 12
    assert twin.by_name["Mask Coater2"] == TwinObject(
        "Queue", "Mask Coater2", (6, -8, 0), {"MaxContent": 20, "ItemPlacement": "Stack Vertically", "StackBaseZ": 0.2}
    )
    assert twin.by_name["Mask Inspector1"].parameters["ProcessTime"] == Distribution("triangular", (5, 15, 10))
    assert twin.by_name["Mask Inspector1"].parameters["SeparateMode"] == "Split"
    assert twin.by_name["Mask Substrate Loader"].parameters["InterArrivalTime"] == Distribution("exponential", (0, 10))
    assert twin.ports["Packing Station"].inputs == ("Mask Inspector1", "Mask Inspector2")
    assert twin.ports["Transport Dispatcher"].outputs == ("Mover1", "Mover2")


@pytest.mark.parametrize(
    "create",
    [
        'Object x = Object.create("Queue");',
        'Object x = createinstance(library().find("?Queue"), model());',
        'Object x = createinstance(node("/?Queue", library()), model());',
        'treenode x = createcopy(library().find("?Queue"), model());',
        'Object first = Object.create("Queue"); Object x = first.copy(); first.destroy();',
    ],
)
@pytest.mark.parametrize(
    "name", ['x.name = "Q 1";', 'setname(x, "Q 1");', 'setnodename(x, "Q 1");', 'x.setProperty("Name", "Q 1");']
)
def test_ways_to_create_and_name(create, name):
    assert built(create + name).objects == (TwinObject("Queue", "Q 1"),)


@pytest.mark.parametrize("name", sorted(classes()))
def test_every_class_can_be_created(name):
    info = classes()[name]
    full = f"{info.namespace}::{name}" if info.namespace else name
    twin = built(f'Object x = Object.create("{full}"); x.name = "it"; x.location = Vec3(1, 2, 3);')
    assert twin.objects == (TwinObject(name, "it", (1, 2, 3)),)


@pytest.mark.parametrize(
    "place",
    [
        "x.location = Vec3(1, 2, 3);",
        "x.location = [1, 2, 3];",
        "x.setLocation(1, 2, 3);",
        "x.setLocation(Vec3(1, 2, 3));",
        "setloc(x, 1, 2, 3);",
        "x.location.x = 1; x.location.y += 2; x.location.z = x.location.y + 1;",
        'x.setProperty("Location", Vec3(1, 2, 3));',
        "Array all = [x]; for (int i = 1; i <= 1; i++) all[i].location = Vec3(i, i + 1, i + 2);",
        "x.setLocation(2, 1, 3.2, 0.5, 0.5, 1);",  # the middle of the top of a 2 x 2 x 0.2 Queue
    ],
)
def test_ways_to_place(place):
    (twin_object,) = built('Object x = Object.create("Queue"); x.name = "Q";' + place).objects
    assert twin_object.location == pytest.approx((1, 2, 3))


def test_vectors_are_values_but_a_location_is_alive():
    script = """
    Object a = Object.create("Queue"); Object b = Object.create("Queue"); a.name = "a"; b.name = "b";
    a.location = Vec3(1, 1, 0); b.location = a.location; b.location.x = 9;
    Vec3 v = a.location; v.x = 5;
    """
    twin = built(script)
    assert twin.by_name["a"].location == (1, 1, 0)
    assert twin.by_name["b"].location == (9, 1, 0)


QUEUE = 'Object x = Object.create("Queue"); x.name = "Q";'
PROCESSOR = 'Object x = Object.create("Processor"); x.name = "P";'
SOURCE = 'Object x = Object.create("Source"); x.name = "S";'


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (QUEUE + 'x.setProperty("MaxContent", 20);', {"MaxContent": 20}),
        (QUEUE + 'setvarnum(x, "maxcontent", 20);', {"MaxContent": 20}),
        (QUEUE + 'x.find(">variables/maxcontent").value = 20;', {"MaxContent": 20}),
        (QUEUE + 'setnodenum(getvarnode(x, "maxcontent"), 20);', {"MaxContent": 20}),
        (QUEUE + 'x.setProperty("ItemPlacement", 1);', {"ItemPlacement": "Stack Vertically"}),
        (QUEUE + 'x.setProperty("ItemPlacement", "Horizontal Line");', {"ItemPlacement": "Horizontal Line"}),
        (QUEUE + 'setvarnum(x, "placemode", 1);', {"ItemPlacement": "Stack Vertically"}),
        (QUEUE + 'x.setProperty("LIFO", true);', {"LIFO": 1}),
        (QUEUE + 'x.setProperty("MaxBatchTime", [2, "min"]);', {"MaxBatchTime": 120}),
        (QUEUE + 'x.setProperty("StackBaseZ", [20, "cm"]);', {"StackBaseZ": 0.2}),
        (PROCESSOR + 'x.setProperty("ProcessTime", "return 7;");', {"ProcessTime": 7}),
        (PROCESSOR + 'x.setProperty("ProcessTime", "uniform(1,2)");', {"ProcessTime": Distribution("uniform", (1, 2))}),
        (
            PROCESSOR + 'setvarstr(x, "cycletime", "return normal(9, 1, getstream(current));");',
            {"ProcessTime": Distribution("normal", (9, 1))},
        ),
        (
            PROCESSOR + 'x.setProperty("ProcessTime", "return 2 * duniform(1, 3);");',
            {"ProcessTime": Code("return 2 * duniform(1, 3);")},
        ),
        (
            PROCESSOR + 'x.setProperty("SetupTime", ["return uniform(1, 2);", "min"]);',
            {"SetupTime": Distribution("uniform", (60, 120))},
        ),
        (PROCESSOR + 'x.setProperty("Triggers.OnEntry", "return 0;");', {"Triggers.OnEntry": Code("return 0;")}),
        (SOURCE + 'x.setProperty("ArrivalStyle", 2);', {"ArrivalStyle": "Arrival Schedule"}),
        (SOURCE + 'x.setProperty("FlowItemClass", "Pallet");', {"FlowItemClass": "Pallet"}),
        (
            SOURCE + 'x.setProperty("ArrivalSchedule", [[0, "A", 1], [5, "B", 2]]);',
            {"ArrivalSchedule": Code('[[0, "A", 1], [5, "B", 2]]')},
        ),
        (QUEUE + "x.size = Vec3(3, 2, 1); x.color = Color(1, 0, 0);", {"Size": (3, 2, 1), "Color": (1, 0, 0, 1)}),
        (QUEUE + "setsize(x, 2, 2, 0.2);", {}),  # the size that it has anyway
        (PROCESSOR + "x.rotation.z = 90;", {"Rotation": (0, 0, 90)}),
    ],
)
def test_settings(script, expected):
    assert parameters(script) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ('x.getProperty("MaxContent")', "1000"),
        ('getvarnum(x, "placemode")', "3"),
        ('x.getProperty("ItemPlacement")', "Stack Inside Queue"),
        ("x.size.x", "2"),
        ("x.inObjects.length", "0"),
        ('x.getProperty("Nonsense")', "NULL"),
    ],
)
def test_defaults_can_be_read(read, expected):
    assert build(QUEUE + f"print({read});").output == (expected,)


def test_property_default():
    assert property_default("Queue", "MaxContent") == 1000
    assert property_default("Processor", "MaxContent") == 1
    assert property_default("Source", "InterArrivalTime") == Distribution("exponential", (0, 10))
    assert property_default("Combiner", "AnimateItems") == 0
    assert property_default("Combiner", "ProcessTime") == 10
    assert property_default("Source", "MaxContent") is None
    assert property_default("Nothing", "MaxContent") is None


PAIR = 'Object a = Object.create("Queue"); a.name = "a"; Object b = Object.create("Queue"); b.name = "b";'


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('contextdragconnection(a, b, "A");', [("a", "b", "A")]),
        ("contextdragconnection(a, b, 'A');", [("a", "b", "A")]),
        ("contextdragconnection(a, b, 65);", [("a", "b", "A")]),
        ('contextdragconnection(a, b, "S");', [("a", "b", "S")]),
        ("objectconnect(a, b);", [("a", "b", "A")]),
        ("connect(a, 1, b, 1);", [("a", "b", "A")]),
        ('contextdragconnection(a, b, "A"); contextdragconnection(a, b, "Q");', []),
        ('contextdragconnection(a, b, "S"); contextdragconnection(b, a, "W");', []),
        ('contextdragconnection(a, b, "A"); contextdragconnection(a, b, "A");', [("a", "b", "A"), ("a", "b", "A")]),
        ('contextdragconnection(Model.find("a"), node("b", model()), "A");', [("a", "b", "A")]),
        ('contextdragconnection(a, b, "A"); b.destroy();', []),
    ],
)
def test_connections(script, expected):
    assert [(c.source, c.target, c.port) for c in built(PAIR + script).connections] == expected


def test_ports_can_be_read_back():
    script = (
        PAIR
        + """
    contextdragconnection(a, b, "A"); contextdragconnection(b, a, "A"); contextdragconnection(a, b, "S");
    print(a.outObjects[1].name, b.inObjects[1].name, a.centerObjects[1].name, b.centerObjects.length, nrop(a));
    print(outobject(a, 1).name, a.inObjects.toArray()[1].name, outobject(a, 9));
    """
    )
    assert build(script).output == ("b a b 1 1", "b b NULL")
    assert build(PAIR + "a.outObjects[1];").diagnostics[0].code == "array index"


def test_the_tree_can_be_walked():
    script = (
        PAIR
        + """
    print(model().subnodes.length, model().subnodes[1].name, model().first.next.name, a.up.name, b.rank, a.rank);
    forobjecttreeunder(model()) { if (a.name == "Tools") continue; print(a.name); }
    for (int n = content(model()); n > 1; n--) destroyobject(rank(model(), n));
    print(model().subnodes.length, Model.find("a"));
    """
    )
    assert build(script).output == ("3 Tools a model 3 2", "a", "b", "1 NULL")


def test_default_names_and_their_dialect():
    script = 'Object.create("Queue"); Object.create("Queue"); Object.create("Sink");'
    assert [o.name for o in built(script).objects] == ["Queue", "Queue~2", "Sink"]
    found = script + 'Model.find("Queue~2").location.x = 7; Model.find("Queue1").location.x = 3;'
    assert [o.location[0] for o in built(found).objects] == [3, 7, 0]
    assert codes(found).count("default name") == 2
    numbered = Dialect(bare_class_names=False)
    assert [o.name for o in built(script, dialect=numbered).objects] == ["Queue1", "Queue2", "Sink1"]
    strict = build(found, dialect=Dialect(numbered_fallback=False))
    assert (strict.verdict, strict.diagnostics[-1].code) == (Verdict.BUILD_ERROR, "duplicate name")
    assert "null reference" in [d.code for d in strict.diagnostics]


def test_names_that_collide_stay_reachable():
    script = PAIR + 'b.name = "a"; Model.find("a~2").location.x = 4; contextdragconnection(a, b, "A");'
    twin = built(script)
    assert [o.name for o in twin.objects] == ["a", "a~2"]
    assert twin.by_name["a~2"].location == (4, 0, 0)
    assert twin.connections == (Connection("a", "a~2"),)


def test_labels():
    script = (
        QUEUE
        + """
    x.Batch = 5; x.labels.assert("Kind", "wide"); setlabel(x, "Old", 2);
    print(x.Batch + 1, x.Kind, x.labels["Old"].value, getlabel(x, "none"), x.labels["none"]);
    """
    )
    assert build(script).output == ("6 wide 2 NULL NULL",)
    assert build(QUEUE + "x.Missing;").diagnostics[0].code == "missing label"


def test_code_in_code():
    script = QUEUE + 'executestring("Model.find(\\"Q\\").location.x = 3;"); print(executestring("2 + 3"));'
    result = build(script)
    assert result.twin.objects[0].location == (3, 0, 0)
    assert result.output == ("5",)
    assert codes('executestring("foo(1);");') == ["unknown command"]
    assert codes('string s = "executestring(s);"; executestring("executestring(1);");') == ["argument"]


def test_the_run_does_not_begin_within_the_script():
    script = QUEUE + "resetmodel(); runspeed(10); stoptime(500); go(); x.location.x = time() + 1;"
    assert built(script).objects[0].location == (1, 0, 0)


@pytest.mark.parametrize(
    ("script", "code", "hint"),
    [
        ('Model.find("nowhere");', "not found", ""),
        (PAIR + 'Model.find("A");', "not found", "did you mean a?"),
        ('library().find("?Proccessor");', "not found", "Processor"),
        (PAIR + 'contextdragconnection(a, Model.find("x"), "A");', "null connection", "found"),
        (PAIR + 'contextdragconnection(a, b, "a");', "connection", "'A'"),
        (PAIR + 'contextdragconnection(a, b, "X");', "connection", "use A, S, Q or W"),
        (PAIR + 'contextdragconnection(a, b, "Q");', "connection", ""),
        (PAIR + "objectconnect(a, b); objectconnect(a, b);", "duplicate connection", ""),
        (QUEUE + 'x.setProperty("MaxContents", 3);', "unknown property", "MaxContent"),
        (QUEUE + 'x.setProperty("OnEntry", "return 0;");', "unknown property", "Triggers.OnEntry"),
        (QUEUE + 'x.setProperty("ProcessTime", 3);', "unknown property", ""),
        (QUEUE + 'x.setProperty("ItemPlacement", "Stack Vertical");', "unknown option", "Stack Vertically"),
        (QUEUE + 'x.setProperty("ItemPlacement", 9);', "unknown option", "Horizontal Line"),
        (QUEUE + 'x.setProperty("MaxBatchTime", [3, "mins"]);', "unit", "min"),
        (QUEUE + 'setvarnum(x, "maxcontents", 3);', "unknown variable", "maxcontent"),
        (PROCESSOR + 'x.setProperty("ProcessTime", "uniform(1, 2)");', "bare expression", "return"),
        (PROCESSOR + 'x.setProperty("ProcessTime", uniform(1, 2));', "drawn once", "return uniform"),
        (QUEUE + 'x.name = ""; setname(x, "");', "name", ""),
    ],
)
def test_warnings_about_what_is_accepted_in_silence(script, code, hint):
    result = build(script)
    assert result.ok, result.diagnostics
    found = [d for d in result.diagnostics if d.code == code and hint in d.hint]
    assert found, result.diagnostics
    assert all(d.line == 1 for d in found)


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("Object x = NULL; x.location.x = 1;", "null reference", "location of NULL"),
        ('Object x = Model.find("Tools");', "type", "invalid cast exception"),
        ('Object.create("Proccessor");', "unknown class", "no class 'Proccessor'"),
        ('createinstance(library().find("?Nothing"), model());', "null reference", "createinstance() of NULL"),
        ('fileopen("x");', "refused command", "fileopen is refused"),
        ("clientcreate();", "refused command", "clientcreate is refused"),
        (QUEUE + "x.subnodes[1];", "array index", "out of bounds"),
        (QUEUE + "savestate(1);", "refused command", "refused"),
        (QUEUE + "createcoupling(x, x);", "unsupported command", "createcoupling is not supported"),
        ("while (true) {}", "budget", "steps"),
        ('while (true) Object.create("Queue");', "budget", "nodes"),
        ("return executestring(1);", "argument", "needs a string"),
        (QUEUE + "x.location.x = 1.0 / 0;", "value", "inf"),
    ],
)
def test_exceptions_end_the_script(script, code, message):
    result = build(script)
    assert result.verdict in (Verdict.BUILD_ERROR, Verdict.BUDGET)
    errors = [d for d in result.diagnostics if d.severity.value == "error"]
    assert [d.code for d in errors] == [code]
    assert message in errors[0].message


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("Object x = createObject(1);", "Unknown command createObject being called"),
        ("connectPorts(1, 2);", "Unknown command connectPorts being called"),
        (QUEUE + "x.outputConnect(1);", "Unknown method outputConnect of Object"),
        ("double t = simtime();", "Unknown command simtime being called"),
    ],
)
def test_invented_names_are_compile_errors(script, message):
    result = build(script)
    assert result.verdict is Verdict.PARSE_ERROR
    assert result.twin is None
    assert message in result.diagnostics[0].message


def test_an_exception_keeps_what_was_built_before():
    result = build(PAIR + "Object x = NULL; x.name = 1; b.destroy();")
    assert result.verdict is Verdict.BUILD_ERROR
    assert [o.name for o in result.twin.objects] == ["a", "b"]


def test_scripts_cannot_reach_python():
    for name in ("__class__", "__dict__", "__init__", "_parts", "settings", "live", "cls", "parent", "rename"):
        result = build(QUEUE + f"x.{name};")
        assert [d.code for d in result.diagnostics] == ["missing label"]
        assert build(QUEUE + f"x.{name}();").diagnostics[0].code == "unknown method"
        assert build(f'string s = "a"; s.{name};').verdict is Verdict.BUILD_ERROR
        assert build(f"{name};").diagnostics[0].code == "unknown name"


def test_two_builds_share_nothing():
    first = build(QUEUE + 'library().find("?Queue").Mark = 1; x.Mark = 2;')
    assert first.diagnostics[0].code == "argument"
    second = build(QUEUE + 'print(getlabel(library().find("?Queue"), "Mark"), getlabel(x, "Mark"));')
    assert second.output == ("NULL NULL",)
