"""Commands and methods that change the tree: copies, moves, ranks, labels, tools, groups, parameters, model units."""

import pytest

from vlsm_jax.flexscript import known_commands
from vlsm_jax.simulator import Budget, Dialect, Verdict, build
from vlsm_jax.simulator.building import build_world
from vlsm_jax.simulator.library import unsupported_tools
from vlsm_jax.simulator.tools import all_tools

QUEUE = (
    'Object x = Object.create("Queue"); x.name = "Q"; x.setProperty("MaxContent", 7); x.Mark = 3; x.location.x = 4;\n'
)


def printed(script: str, **options) -> tuple[str, ...]:
    result = build(script, **options)
    assert result.ok, result.diagnostics
    return result.output


def names(script: str) -> list[str]:
    return [obj.name for obj in build(script).twin.objects]


# --- Copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("copy", "name"),
    [
        ("createcopy(x, model())", "Q2"),
        ("createcopy(x, model(), 0)", "Q2"),
        ("createcopy(x, model(), 1)", "Q~2"),
        ("createcopy(x, model(), 1, 0, 0, 0)", "Q~2"),
        ("insertcopy(x, model())", "Q2"),
        ("x.copy()", "Q2"),
        ("x.copy(model())", "Q2"),
        ("x.copy(model(), 0)", "Q2"),
        ("x.copy(0)", "Q2"),
    ],
)
def test_copies_have_settings_and_another_name(copy, name):
    twin = build(QUEUE + f"Object y = {copy}; print(y.Mark);").twin
    assert [o.name for o in twin.objects] == ["Q", name]
    assert dict(twin.objects[1].parameters) == {"MaxContent": 7}
    assert twin.objects[1].location == (4, 0, 0)


def test_copies_are_numbered_on():
    assert names('Object x = Object.create("Queue"); x.name = "Oven1"; x.copy(); x.copy(); x.copy();') == [
        "Oven1", "Oven2", "Oven3", "Oven4",
    ]  # fmt: skip


def test_copies_have_no_connections():
    script = (
        QUEUE + 'Object y = x.copy(); contextdragconnection(x, y, "A"); Object z = y.copy(); print(z.inObjects.length);'
    )
    assert printed(script) == ("0",)


def test_copies_of_containers():
    script = (
        QUEUE
        + """
    Object inner = Object.create("Processor"); inner.name = "In"; transfernode(inner, x);
    Object y = createcopy(x, model()); y.name = "Y"; print(Model.find("Y/In").name, y.subnodes.length);
    """
    )
    assert printed(script) == ("In 1",)
    assert names(script) == ["Q", "In", "Y", "In~2"]


@pytest.mark.parametrize("call", ["createcopy(x, x);", "createcopy(model(), x);", "createcopy(x, library());"])
def test_copies_that_cannot_be_made(call):
    assert build(QUEUE + call).verdict is Verdict.BUILD_ERROR


def test_copies_are_bounded():
    script = QUEUE + "while (true) { for (int i = model().subnodes.length; i > 1; i--) rank(model(), i).copy(); }"
    assert build(script, budget=Budget(nodes=500)).verdict is Verdict.BUDGET


# --- Tree -------------------------------------------------------------------------------------------------------------

TREE = QUEUE + 'Object y = Object.create("Sink"); y.name = "Y"; Object z = Object.create("Source"); z.name = "Z";\n'


@pytest.mark.parametrize(
    ("change", "order"),
    [
        ("setrank(z, 2);", "Z Q Y"),
        ("z.rank = 3;", "Q Z Y"),
        ("swapnoderanks(model(), 2, 4);", "Z Y Q"),
        ("destroyobject(y);", "Q Z"),
        ("y.destroy();", "Q Z"),
        ("transfernode(z, y);", "Q Y"),
        ("z.up = y;", "Q Y"),
        ("z.rank = 99;", "Q Y Z"),
    ],
)
def test_order_of_nodes(change, order):
    script = (
        TREE + change + 'string s; for (int i = 2; i <= model().subnodes.length; i++) s += " " + rank(model(), i).name;'
    )
    assert printed(script + "print(s.trim());") == (order,)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("first(model()).name, last(model()).name", "Tools Z"),
        ("next(x).name, prev(z).name, up(x).name", "Y Y model"),
        ("getrank(y), content(model()), contentobj(model()), rankobj(model(), 3).name", "3 4 4 Y"),
        ("model().first.name, model().last.name, x.next.name, x.prev.name, z.next", "Tools Z Y Tools NULL"),
        ('model().subnodes["Y"].name, model().subnodes.length, model().subnodes.toArray().length', "Y 4 4"),
        ("isclasstype(x, \"Queue\"), isclasstype(x, \"FixedResource\"), isclasstype(x, \"Processor\")", "1 1 0"),
        ("isclasstype(x, CLASSTYPE_FIXEDRESOURCE), isclasstype(x, CLASSTYPE_TASKEXECUTER)", "1 0"),
        ("classobject(x).name, classobject(x).up.name", "Queue library"),
        ("x.dataType, model().dataType, getdatatype(5), getdatatype(\"s\")", "4 0 1 2"),
        ("nodetomodelpath(x), tonum(5), tonum(NULL), tonode(x).name", "Q 5 0 Q"),
        ("x.getPath(), library().find(\"?Queue\").name", "model/Q Queue"),
        ("getmodelunit(LENGTH_MULTIPLE), getmodelunit(TIME_MULTIPLE)", "1 1"),
        ("getmodelunit(START_TIME_NODE).name, getmodelunit(WARMUP_TIME_NODE).name", "StartTime WarmupTime"),
    ],
)  # fmt: skip
def test_reading_the_tree(expression, value):
    assert printed(TREE + f"print({expression});") == (value,)


def test_plain_nodes():
    script = """
    treenode notes = Model.find("Tools").subnodes.add("Notes");
    notes.value = 5; notes.subnodes.add(); notes.first.name = "a"; notes.subnodes.assert("b", "text");
    notes.subnodes.assert("b", "other"); setnodenum(nodeinsertinto(notes), 7);
    nodeinsertafter(notes.first).name = "between";
    print(notes.value, notes.subnodes.length, notes.subnodes["b"].value, notes.last.value, notes.subnodes[2].name);
    print(assertsubnode(notes, "c", 2).dataType, notes.dataType, inc(notes, 3), getnodenum(notes));
    nodepoint(notes.first, notes); print(notes.first.value.name, Model.find("Tools/Notes/a+").name);
    notes.subnodes.clear(); print(notes.subnodes.length); notes.destroy(); print(Model.find("Tools/Notes"));
    """
    assert printed(script) == ("5 4 text 7 between", "2 1 8 8", "Notes Notes", "0", "NULL")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("destroyobject(model());", "argument"),
        ('destroyobject(Model.find("Tools"));', "argument"),
        ('Model.find("Tools").destroy();', "argument"),
        ("transfernode(x, x);", "argument"),
        ('Model.find("Tools").name = "Things";', "argument"),
        ('setname(Model.find("Tools"), "Things");', "argument"),
        ('Model.find("Tools").up = x;', "argument"),
        ("x.up = library();", "argument"),
        ('library().find("?Queue").name = "R";', "argument"),
        ("swapnoderanks(model(), 1, 99);", "array index"),
        ("model().subnodes[99];", "array index"),
        ("x.subnodes[0];", "array index"),
        ("library().subnodes.add();", "argument"),
    ],
)
def test_changes_that_are_exceptions(call, code):
    result = build(QUEUE + call)
    assert result.verdict is Verdict.BUILD_ERROR
    assert result.diagnostics[0].code == code


def test_clearing_the_model_keeps_tools():
    assert printed(TREE + "model().subnodes.clear(); print(model().subnodes.length, model().first.name);") == (
        "1 Tools",
    )
    assert names(TREE + "clearcontents(model());") == []


def test_old_label_commands():
    script = (
        QUEUE
        + """
    addlabel(x, "A", 5); setlabelnum(x, "A", 6); assertlabel(x, "B", 2); setlabelstr(x, "B", "text");
    print(getlabelnum(x, "A"), getlabelstr(x, "B"), label(x, "A").value, label(x, "none"), label(x, 1).name);
    setnodenum(label(x, "A"), 9); print(x.A, inc(label(x, "A"), 1)); dellabel(x, "A"); print(label(x, "A"));
    """
    )
    assert printed(script) == ("6 text 6 NULL Mark", "9 10", "NULL")


# --- Tools ------------------------------------------------------------------------------------------------------------

MACHINES = 'Object p = Object.create("Processor"); p.name = "P"; Object q = Object.create("Processor"); q.name = "Q";\n'


@pytest.mark.parametrize(
    "join",
    [
        't.setProperty("Members", [p, q]);',
        't.setProperty("Members", p); contextdragconnection(t, q, "A");',
        'contextdragconnection(p, t, "A"); contextdragconnection(t, q, "A");',
        't.find(">variables/members").value = [p, q];',
        't.find(">variables/members").subnodes.add().value = p; t.find(">variables/members").subnodes.add().value = q;',
        'nodeinsertinto(getvarnode(t, "members")).value = p; getvarnode(t, "members").subnodes.add().value = q;',
        'p.setProperty("{kind}s", [t]); q.setProperty("{kind}s", t);',
        'Group g = Tools.create("Group"); g.addMember(p); g.addMember(q); t.setProperty("Members", g);',
        't.setProperty("Members", ["P", "Q"]);',
    ],
)
@pytest.mark.parametrize("kind", ["MTBFMTTR", "TimeTable"])
def test_ways_to_join_a_tool(kind, join):
    script = MACHINES + f'treenode t = Tools.create("{kind}"); ' + join.replace("{kind}", kind)
    result, world = build_world(script, Budget(), Dialect())
    assert result.ok
    assert not result.diagnostics
    (tool,) = all_tools(world.tree, kind)
    assert [member.name for member in tool.members] == ["P", "Q"]
    assert result.twin.connections == ()


def test_a_breakdown_reads_back():
    script = (
        MACHINES
        + """
    treenode t = Tools.create("MTBFMTTR"); t.name = "Wear"; t.setProperty("Members", [p, q]);
    t.setProperty("FirstFailureTime", 0); t.setProperty("UpTime", "return exponential(0, 1000, getstream(current));");
    t.setProperty("DownTime", [5, "min"]); t.setProperty("DownState", STATE_REPAIR);
    t.setProperty("CountedStates", ["processing", STATE_SETUP]);
    print(Tools.get("MTBFMTTR", "Wear").name, Tools.get("MTBFMTTR", 1).name, Model.find("Tools/MTBFMTTRs/Wear").name);
    print(getvarnum(t, "downtime"), getvarnum(t, "downstate"), getvarnum(t, "enabled"), t.getProperty("CountedStates"));
    print(p.getProperty("MTBFMTTRs")[1].name, t.getProperty("Members")[2].name);
    contextdragconnection(t, p, "Q"); print(t.getProperty("Members").length, p.getProperty("MTBFMTTRs").length);
    q.destroy(); print(t.getProperty("Members").length);
    """
    )
    assert printed(script) == (
        "Wear Wear Wear", "300 32 1 Array[2]: {2,21}", "Wear Q", "1 0", "0",
    )  # fmt: skip
    assert names(script) == ["P"]


def test_a_time_table_has_rows():
    script = """
    treenode t = Tools.create("TimeTable"); t.setProperty("Table", [[3600, 12, 600], [7200, 12, 600]]);
    t.setProperty("RepeatInterval", [1, "day"]); Table rows = getvarnode(t, "table"); rows[2]["Duration"] = 900;
    print(t.name, rows.numRows, rows[2][3], getvarnum(t, "repeattime"));
    """
    assert printed(script) == ("TimeTable1 2 900 86400",)


def test_global_tables():
    script = """
    treenode t = Tools.create("GlobalTable"); t.name = "Times"; Table times = Table("Times"); times.setSize(2, 2);
    times[1][2] = 5; settablenum("Times", 2, 1, 7);
    print(gettablenum(t, 1, 2), reftable("Times")[2][1], Table(1).numRows);
    print(Model.find("Tools/GlobalTables/Times").name, Table("Tools/GlobalTables/Times")[1][2]);
    """
    assert printed(script) == ("5 7 2", "Times 5")


def test_groups():
    script = (
        MACHINES
        + """
    Group staff = Tools.create("Group"); staff.name = "Staff"; staff.addMember(p); staff.addMember(q);
    print(staff.length, staff[2].name, staff.indexOf(q), staff.isMember(p), Group("Staff").toArray().length);
    Group all = Tools.create("Group"); all.name = "All"; all.addMember(staff);
    print(all.isMember(p), all.isMember(p, 1), all.toFlatArray().length, groupnummembers("All"));
    groupaddmember("All", p); groupremovemember("All", staff); print(groupmember("All", 1).name, groupmember("All", 2));
    staff.removeMember(1); print(staff[1].name, p.getProperty("Groups").length); p.setProperty("Groups", ["Staff"]);
    print(p.getProperty("Groups")[1].name);
    """
    )
    assert printed(script) == ("2 Q 2 1 2", "0 1 2 1", "P NULL", "Q 1", "Staff")
    assert build(MACHINES + 'Group g = Tools.create("Group"); g[1];').diagnostics[0].code == "array index"
    assert [d.code for d in build('Group g = Group("None");').diagnostics] == ["not found"]


def test_tools_that_are_not_supported_say_so_by_name():
    for name in unsupported_tools():
        (error,) = build(f'Tools.create("{name}");').diagnostics
        assert name in error.message
        assert error.code == "unsupported"
    (error,) = build('Tools.create("TimeTables");').diagnostics
    assert (error.code, error.hint) == ("unknown class", "did you mean TimeTable?")


@pytest.mark.parametrize(
    "create", ['Object.create("MTBFMTTR")', 'createinstance(library().find("?MTBFMTTR"), model())']
)
def test_a_tool_created_as_an_object_is_a_tool_all_the_same(create):
    result = build(f"treenode t = {create}; print(t.up.name);")
    assert result.output == ("MTBFMTTRs",)
    assert [d.code for d in result.diagnostics] == ["tool"]
    assert result.twin.objects == ()


@pytest.mark.parametrize(
    ("cls", "navigator"),
    [
        ("Operator", "DefaultNavigator"), ("Robot", "DefaultNavigator"), ("NetworkNode", "DefaultNetworkNavigator"),
        ("AGV::ControlPoint", "AGVNetwork"), ("AGV::StraightPath", "AGVNetwork"),
        ("Conveyor::StraightConveyor", "ConveyorSystem"),
    ],
)  # fmt: skip
def test_navigators_come_by_themselves_and_are_no_objects(cls, navigator):
    script = f'for (int i = 1; i <= 2; i++) {{ Object x = Object.create("{cls}"); x.name = "X" + i; }}'
    script += f'print(Model.find("{navigator}").name, model().subnodes.length);'
    script += 'print(Model.find("Tools/Navigators").subnodes.length);'
    assert printed(script) == (f"{navigator} 3", "1")
    assert names(script) == ["X1", "X2"]
    assert build('Model.find("DefaultNavigator");').diagnostics[0].code == "not found"


# --- Model ------------------------------------------------------------------------------------------------------------


def test_model_parameters():
    script = """
    Model.parameters.Speed = 3; Model.parameters["Mode"].value = "fast"; Model.parameters.Speed += 1;
    print(Model.parameters.Speed, Model.parameters["Speed"].value);
    print(Model.parameters["Mode"].name, Model.parameters.Mode);
    Model.performanceMeasures.Output = 5; print(Model.performanceMeasures["Output"].value);
    """
    result = build(script)
    assert result.output == ("4 4", "Mode fast", "5")
    assert [d.code for d in result.diagnostics] == ["parameter"] * 3
    assert build("Model.parameters.None;").diagnostics[0].code == "missing parameter"


def test_model_dates():
    script = """
    function_s(getmodelunit(START_TIME_NODE), "setDateTime", DateTime("2030-05-01 00:00:00"));
    function_s(getmodelunit(STOP_TIME_NODE), "setDateTime", DateTime("2030-05-02 00:00:00"));
    print(Model.getTime(DateTime("2030-05-01 08:00:00")), Model.nextStopTime, Model.getTime());
    print(Model.getDateTime(3600) == DateTime("2030-05-01 01:00:00"), Model.dateTime == Model.startDateTime);
    """
    assert printed(script) == ("28800 86400 0", "1 1")
    (error,) = build("Model.startDateTime;").diagnostics
    assert error.code == "unsupported"
    assert "START_TIME_NODE" in error.hint
    assert not build('function_s(model(), "anything");').ok


def test_model_time_while_building():
    assert printed("stoptime(500); print(Model.time, Model.nextStopTime, Model.warmupTime, time());") == ("0 500 0 0",)


def test_every_known_command_is_supported_or_says_its_name():
    """No command of FlexSim is unknown: it runs, or faults with a message that names it."""
    for name in filter(str.isidentifier, known_commands()):
        if "no parentheses" in known_commands()[name].signature:
            continue
        arguments = ", ".join(["0"] * known_commands()[name].arity[0])
        result = build(f"{name}({arguments});", budget=Budget(steps=1000, nodes=100))
        assert "internal error" not in [d.code for d in result.diagnostics], name
        for diagnostic in result.diagnostics:
            assert diagnostic.code != "unknown command", name
            if diagnostic.code in ("unsupported command", "refused command"):
                assert name in diagnostic.message


# --- Dialect ----------------------------------------------------------------------------------------------------------


def test_dialect_bare_class_names():
    script = 'Object.create("Queue"); Object.create("Queue");'
    assert names(script) == ["Queue", "Queue~2"]
    numbered = build(script, dialect=Dialect(bare_class_names=False)).twin
    assert [o.name for o in numbered.objects] == ["Queue1", "Queue2"]


def test_dialect_numbered_fallback():
    script = 'Object.create("Queue"); print(Model.find("Queue1"));'
    assert "Queue" in build(script).output[0]
    assert build(script, dialect=Dialect(numbered_fallback=False)).output == ("NULL",)


@pytest.mark.parametrize(
    "again",
    ['y.name = "Q";', 'setname(y, "Q");', 'y.setProperty("Name", "Q");'],
)
def test_dialect_duplicate_names(again):
    script = QUEUE + 'Object y = Object.create("Queue"); ' + again
    assert names(script) == ["Q", "Q~2"]
    strict = build(script, dialect=Dialect(duplicate_names=False))
    assert strict.verdict is Verdict.BUILD_ERROR
    assert strict.diagnostics[0].code == "duplicate name"


def test_dialect_unknown_properties():
    for call in ('x.setProperty("Nope", 1);', 'x.getProperty("Nope");'):
        assert build(QUEUE + call).ok
        strict = build(QUEUE + call, dialect=Dialect(unknown_properties=False))
        assert strict.verdict is Verdict.BUILD_ERROR
        assert strict.diagnostics[0].code == "unknown property"


def test_dialect_untyped_properties():
    script = QUEUE + 'Model.find("Q").location.x = 3;'
    assert build(script).twin.objects[0].location == (3, 0, 0)
    assert build(script, dialect=Dialect(untyped_properties=False)).verdict is Verdict.PARSE_ERROR


def test_dialect_bare_expressions():
    script = 'Object p = Object.create("Processor"); p.name = "P"; p.setProperty("ProcessTime", "uniform(1, 2)");'
    assert [d.code for d in build(script).diagnostics] == ["bare expression"]
    strict = build(script, dialect=Dialect(bare_expressions=False))
    assert (strict.verdict, strict.diagnostics[0].code) == (Verdict.BUILD_ERROR, "bare expression")
