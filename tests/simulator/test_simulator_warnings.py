"""What FlexSim accepts in silence and a modeller would regret: one test per warning, and none for good models."""

import pathlib

import numpy as np
import pytest

from vlsm_jax.simulator import Budget, Diagnostic, Dialect, Severity, build, run
from vlsm_jax.simulator.building import build_world, unique_names
from vlsm_jax.simulator.wiring import examine
from vlsm_jax.synth.sampler import sample_factory
from vlsm_jax.synth.scripts import ScriptStyle, write_script

SCRIPTS = pathlib.Path(__file__).parent / "scripts"

LINE = """
Object source = Object.create("Source"); source.name = "In";
Object queue = Object.create("Queue"); queue.name = "Line";
Object press = Object.create("Processor"); press.name = "Press";
Object sink = Object.create("Sink"); sink.name = "Out";
contextdragconnection(source, queue, "A"); contextdragconnection(queue, press, "A");
contextdragconnection(press, sink, "A");
"""
WORKER = 'Object worker = Object.create("Operator"); worker.name = "Ann";\n'
TEAM = 'Object team = Object.create("Dispatcher"); team.name = "Team";\n'


def diagnostics(script: str) -> list[Diagnostic]:
    """Returns what is said of a script that is built and examined, but not run."""
    result, world = build_world(script, Budget(), Dialect())
    assert result.ok, result.diagnostics
    objects = world.tree.objects()
    return [*result.diagnostics, *examine(objects, unique_names(objects)).diagnostics]


def warnings(script: str) -> list[tuple[str, int]]:
    """Returns code and line of the warnings."""
    return [(d.code, d.line) for d in diagnostics(script) if d.severity is Severity.WARNING]


def found(script: str, code: str) -> Diagnostic:
    """Returns the only finding with that code."""
    (diagnostic,) = [d for d in diagnostics(script) if d.code == code]
    assert diagnostic.hint
    return diagnostic


def test_a_good_line_gives_none():
    assert warnings(LINE) == []


def test_unreachable_object():
    diagnostic = found(LINE + 'Object extra = Object.create("Queue"); extra.name = "Extra";', "unreachable")
    assert "'Extra' (Queue)" in diagnostic.message
    assert diagnostic.line == 8


def test_dead_end():
    extra = 'Object extra = Object.create("Queue"); extra.name = "Extra"; contextdragconnection(queue, extra, "A");'
    diagnostic = found(LINE + extra, "dead end")
    assert "'Extra' (Queue)" in diagnostic.message
    assert diagnostic.line == 8


@pytest.mark.parametrize(
    ("setting", "value", "port"),
    [
        ("SendToPort", "2", "port 2"),
        ("SendToPort", '"return duniform(1, 3);"', "port 3"),
        ("PullStrategy", "4", "port 4"),
    ],
)
def test_port_beyond_the_last(setting, value, port):
    diagnostic = found(LINE + f'queue.setProperty("{setting}", {value});', "port")
    assert f"{setting} of 'Line' gives {port}; the object has 1" in diagnostic.message
    assert diagnostic.line == 3


@pytest.mark.parametrize("value", ["0", "1", '"return 1;"', '"return duniform(1, 1);"'])
def test_ports_that_exist(value):
    assert warnings(LINE + f'queue.setProperty("SendToPort", {value});') == []


def test_batch_larger_than_the_queue():
    script = LINE + 'queue.setProperty("DoBatching", 1); queue.setProperty("MaxContent", 4);'
    large = script + 'queue.setProperty("BatchSize", 5);'
    assert "BatchSize 5 of 'Line' is more than its MaxContent 4" in found(large, "batch").message
    assert warnings(script + 'queue.setProperty("BatchSize", 4);') == []


def test_component_list_longer_than_the_inputs():
    script = LINE.replace('"Processor"', '"Combiner"') + 'press.setProperty("ComponentsList", [1, 2]);'
    assert "2 rows for 1 input ports" in found(script, "components").message


# --- Task executers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "setting", "what"),
    [
        ("queue", "UseTransport", "a transport"),
        ("press", "UseProcessOperators", "operators"),
        ("press", "UseSetupOperators", "operators"),
    ],
)
def test_executer_asked_for_but_not_connected(who, setting, what):
    diagnostic = found(LINE + f'{who}.setProperty("{setting}", 1);', "no executer")
    assert setting in diagnostic.message
    assert what in diagnostic.hint
    assert '"S"' in diagnostic.hint
    assert diagnostic.line == {"queue": 3, "press": 4}[who]


def test_executer_asked_for_and_connected():
    script = LINE + WORKER + 'press.setProperty("UseProcessOperators", 1); contextdragconnection(press, worker, "S");'
    assert warnings(script) == []
    team = TEAM + 'contextdragconnection(team, worker, "A"); queue.setProperty("UseTransport", 1);'
    script = LINE + WORKER + team + 'contextdragconnection(queue, team, "S");'
    assert warnings(script) == []


def test_executer_found_by_name_needs_no_connection():
    script = LINE + WORKER + 'press.setProperty("UseProcessOperators", 1); press.setProperty("OperatorRef", worker);'
    assert warnings(script) == []


@pytest.mark.parametrize("who", ["queue", "press", "sink"])
def test_executer_connected_but_not_used(who):
    diagnostic = found(LINE + WORKER + f'contextdragconnection({who}, worker, "S");', "unused executer")
    assert "'Ann' (Operator)" in diagnostic.message


def test_executer_used_by_code_only():
    code = "Object current = ownerobject(c); return current.centerObjects[1].Mark;"
    script = LINE + WORKER + 'worker.Mark = 1; contextdragconnection(press, worker, "S");'
    assert warnings(script + f'press.setProperty("Triggers.OnExit", "{code}");') == []


@pytest.mark.parametrize("cls", ["Operator", "Transporter", "TaskExecuter", "Robot", "Dispatcher"])
def test_executer_connected_to_nothing(cls):
    diagnostic = found(LINE + f'Object x = Object.create("{cls}"); x.name = "X";', "idle executer")
    assert f"'X' ({cls})" in diagnostic.message
    assert diagnostic.line == 8


@pytest.mark.parametrize(
    "code", ['Object a = Model.find(\\"Ann\\"); return 0;', "createemptytasksequence(param(2), 0, 0);"]
)
def test_executer_that_code_may_use(code):
    assert warnings(LINE + WORKER + f'press.setProperty("Triggers.OnExit", "{code}");') == []


def test_dispatcher_without_a_team():
    script = LINE + TEAM + 'queue.setProperty("UseTransport", 1); contextdragconnection(queue, team, "S");'
    assert "'Team'" in found(script, "no team").message


# --- Tools, names, properties -----------------------------------------------------------------------------------------


def test_tools_without_effect():
    assert "no members" in found(LINE + 'Tools.create("MTBFMTTR");', "tool").message
    table = 'treenode t = Tools.create("TimeTable"); t.setProperty("Members", [press]);'
    assert "no rows" in found(LINE + table, "tool").message
    assert warnings(LINE + 'treenode t = Tools.create("TimeTable"); t.setProperty("Enabled", 0);') == []


def test_duplicate_names_are_placed_where_the_second_object_was_created():
    result = build('Object a = Object.create("Queue"); a.name = "A";\nObject b = Object.create("Queue"); b.name = "A";')
    (diagnostic,) = result.diagnostics
    assert (diagnostic.code, diagnostic.line) == ("duplicate name", 2)


def test_default_names_that_a_script_depends_on():
    script = 'Object.create("Queue");\nModel.find("Queue").location.x = 3;'
    (diagnostic,) = build(script).diagnostics
    assert (diagnostic.code, diagnostic.line) == ("default name", 2)
    assert "x.name" in diagnostic.hint
    assert build('Object q = Object.create("Queue"); q.location.x = 3;').diagnostics == ()


def test_warnings_are_placed_in_code_of_code():
    result = build('Object q = Object.create("Queue"); q.name = "Q"; executestring("Model.find(\\"none\\");");')
    assert [d.code for d in result.diagnostics] == ["not found"]
    assert "executestring" in result.diagnostics[0].message


# --- No false alarm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ScriptStyle)
def test_sampled_factories_give_no_warning(style):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        script = write_script(sample_factory(rng).twin, style, rng)
        assert diagnostics(script) == [], script


def test_the_published_sample_gives_no_warning_about_its_wiring():
    report = run((SCRIPTS / "photomask.fsx").read_text(encoding="utf-8"), until=100)
    codes = {d.code for d in report.diagnostics if d.severity is Severity.WARNING}
    assert codes <= {"unused"}  # the capacities of its Combiners have no effect


def test_times_below_zero():
    assert warnings(LINE + 'press.setProperty("ProcessTime", -5);') == [("negative time", 4)]
    assert warnings(LINE + 'press.setProperty("ProcessTime", 0);') == []


@pytest.mark.parametrize(
    ("code", "given"),
    [
        ("return Model.time > 15 ? -1 : 1;", "a time below 0"),
        ("return sqrt(-1);", "no number"),
        ('return \\"10\\";', "the string '10'"),
        ("double t = 5;", "nothing"),
    ],
)
def test_code_that_gives_no_time(code, given):
    script = LINE + f'source.setProperty("InterArrivalTime", 10); press.setProperty("ProcessTime", "{code}");'
    report = run(script, until=100, replications=2)
    assert report.ok
    assert [(d.code, given in d.message) for d in report.diagnostics] == [("value", True)]


def test_labels_named_as_properties():
    assert warnings(LINE + "press.ProcessTime = 3;") == [("label", 4)]
    assert warnings(LINE + 'setlabel(press, "cycletime", 3);') == [("label", 4)]
    read = 'press.setProperty("Triggers.OnEntry", "Object current = ownerobject(c); print(current.MaxContent);");'
    for good in ('press.setProperty("ProcessTime", 4); press.ProcessTime = 3;', "press.MaxContent = 3; " + read):
        assert warnings(LINE + good) == []


def test_columns_of_arrival_tables_without_a_name():
    rows = 'source.setProperty("ArrivalStyle", 2); source.setProperty("ArrivalSchedule", [{}[0, "A", 1, 7]]);'
    assert warnings(LINE + rows.format("")) == [("value", 2)]
    assert warnings(LINE + rows.format('["ArrivalTime", "ItemName", "Quantity", "Type"], ')) == []
    assert warnings(LINE + rows.format('["ArrivalTime", "ItemName", "Quantity"], ')) == [("value", 2)]


@pytest.mark.parametrize("command", ["stop()", "stop(1)", "go()", "resetmodel()", "step()"])
def test_commands_of_the_run_in_a_trigger(command):
    report = run(LINE + f'sink.setProperty("Triggers.OnEntry", "{command};");', until=200)
    assert report.ok
    assert [d.code for d in report.diagnostics] == ["unused"]
    assert command.split("(")[0] in report.diagnostics[0].message
    assert not run(LINE + f"{command};", until=200).diagnostics


def test_nothing_arrives_after_the_warmup():
    script = LINE + 'source.setProperty("InterArrivalTime", 20);'
    report = run(script, until=100, warmup=95)
    assert "no item reached a Sink from 95 to 100 s" in report.diagnostics[-1].message
    assert "no item reached a Sink within 25 s" in run(script, until=25).diagnostics[-1].message
