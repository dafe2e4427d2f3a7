"""`await`, Delay, and global lists."""

import gc
import weakref

import pytest

from vlsm_jax.flexscript import Fault, Machine, compile_program, core_vocabulary, parse


@pytest.mark.parametrize(
    ("delay", "at"),
    [
        ("Delay(5)", 5),
        ("Delay.seconds(22)", 22),
        ("Delay.minutes(2)", 120),
        ("Delay.hours(1)", 3600),
        ("Delay.days(1)", 86400),
        ("Delay(-3)", 0),
    ],
)
def test_await_delay(evaluate, clock, delay, at):
    outcome = evaluate(f'print("a"); await {delay}; print("b");', world=clock)
    assert outcome.fault is None
    assert (outcome.lines, clock.now) == (["a", "b"], at)


def test_await_variant_returns_at_once(returned, clock):
    assert returned("int x = await 3; return x + await 4;", world=clock) == 7
    assert clock.now == 0


def test_await_the_same_delay_twice_waits_twice(evaluate, clock):
    evaluate("Delay d = Delay.seconds(5); await d; await d;", world=clock)
    assert clock.now == 10


def test_code_that_waits_gives_null_to_its_caller_and_keeps_its_variables(evaluate, clock):
    text = "int n = 1; for (int i = 0; i < 3; i++) { await Delay(2); n *= 3; } print(n); return n;"
    outcome = evaluate(text, world=clock)
    assert (outcome.value, outcome.lines, clock.now) == (None, ["27"], 6)


def test_pieces_of_code_that_wait_take_turns(clock):
    machine = Machine(clock, steps=10_000, wall_seconds=10)
    text = 'int k = param(1); for (int i = 1; i <= 2; i++) { await Delay(k); print(k, "at", i * k); }'
    code = compile_program(parse(text), core_vocabulary(), machine)
    code.run(parameters=(3,))
    code.run(parameters=(2,))
    assert (machine.depth, machine.coroutine, machine.source, len(machine.sleeping)) == (0, None, None, 2)
    clock.run()
    assert machine.lines == ["2 at 2", "3 at 3", "2 at 4", "3 at 6"]
    assert (machine.depth, machine.calls, machine.coroutine, machine.sleeping) == (0, 0, None, {})


def test_await_within_a_function(evaluate, clock):
    from vlsm_jax.flexscript import Dialect

    text = "int wait(int n) { await Delay(n); return n * 2; } print(wait(3) + wait(4));"
    outcome = evaluate(text, world=clock, dialect=Dialect(functions=True))
    assert (outcome.lines, clock.now, outcome.machine.calls) == (["14"], 7, 0)


def test_await_outside_of_a_run(failed):
    fault = failed("await Delay(1);")
    assert fault.message == "await needs a running model: no time passes while the script builds"
    assert fault.at == 0


def test_a_fault_after_waiting_names_its_place(evaluate, clock):
    fault = evaluate("await Delay(1);\nArray a;\na[1];", world=clock).fault
    assert fault.message == "Accessing element in empty array"
    assert fault.source.place(fault.at)[0] == 3


def test_events_are_refused_by_name(failed, clock):
    for text in ("Event e = Event.evaluation(1);", 'await Event(1, "OnEntry");'):
        assert failed(text, world=clock).message == "awaiting an Event is not supported"


def test_real_time_is_refused(failed, clock):
    assert failed("await Delay.realTime(1);", world=clock).code == "unsupported command"


def test_code_that_is_never_resumed_leaves_nothing_behind(clock):
    class Kept:
        pass

    machine = Machine(clock, steps=10_000, wall_seconds=10)
    code = compile_program(parse("Variant kept = param(1); await Delay(1); print(1);"), core_vocabulary(), machine)
    kept = Kept()
    gone = weakref.ref(kept)
    code.run(parameters=(kept,))
    del kept
    assert gone() is not None
    machine.end_run()
    clock._due.clear()
    gc.collect()
    assert gone() is None
    assert (machine.sleeping, machine.lines, machine.depth) == ({}, [], 0)


def test_too_many_waiting_pieces_run_out_of_budget(clock):
    machine = Machine(clock, steps=10_000_000, wall_seconds=10)
    code = compile_program(parse("await Delay(1);"), core_vocabulary(), machine)
    for _ in range(10_000):
        code.run()
    with pytest.raises(Fault, match="pieces of code wait"):
        code.run()
    machine.end_run()


# --- Lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('List l = List("L"); l.push(1); l.push(2); return l.pull() * 10 + l.pull("");', 12),
        ('List("L").push([1, 2, 3]); return List("L").pull("", 2);', [1, 2]),
        (
            'List("L").push(["a", "b"]); return List("L").pull("", 1, 0) + List("L").entries()[1];',
            "ab",
        ),
        ('List("L").push(5, "p"); return [List("L").entries().length, List("L").entries("p").length];', [0, 1]),
        ('Variant v = List("L").pull(); return v == nullvar;', 1),
        ('List l = List("L"); l.push(1); List.PullResult r = l.pull("", 2, 2); return r.backOrder.numRequired;', 2),
        ('List l = List("L"); List.PullResult r = l.pull("", 1, 1); return r.backOrder ? 1 : 0;', 1),
        ('List l = List("L"); l.push(1); List.PullResult r = l.pull("", 1, 1); return r.backOrder ? 1 : 0;', 0),
        ('List l = List("L"); l.pull("", 1, 1); l.push(7); return l.entries().length * 10 + l.backOrders().length;', 0),
        ('List l = List("L"); l.pull("", 1, 1).backOrder.remove(); l.push(7); return l.entries();', [7]),
        ('listpush("L", 4); return listpull("L", "", 1) + listentries("L").length;', 4),
        ('List("L").push([1, 2]); List("L").remove(1); return List("L").entries();', [2]),
    ],
)
def test_list(returned, clock, text, expected):
    assert returned(text, world=clock) == expected


def test_await_list_pull(clock):
    machine = Machine(clock, steps=10_000, wall_seconds=10)
    clock.machine = machine
    vocabulary = core_vocabulary()
    waiting = compile_program(
        parse('Variant v = await List("L").pull("", 1, 1); print("got", v);'), vocabulary, machine
    )
    pushing = compile_program(parse('await Delay(4); List("L").push("item");'), vocabulary, machine)
    waiting.run()
    pushing.run()
    clock.run()
    assert (machine.lines, clock.now) == (["got item"], 4)


def test_list_query_is_refused(failed, clock):
    fault = failed('List("L").pull("WHERE Type == 1");', world=clock)
    assert (fault.code, "no SQL" in fault.message) == ("unsupported command", True)


def test_lists_cannot_fill_the_memory(failed, clock):
    assert failed('while (1) List("L").push("x");', world=clock).code == "budget"
    assert failed('int n; while (1) { n++; List("L" + n).push(1); }', world=clock).code == "budget"


# --- In a running model -----------------------------------------------------------------------------------------------

LINE = """
Object s = Object.create("Source"); s.name = "In";
Object q = Object.create("Queue"); q.name = "Q";
Object k = Object.create("Sink"); k.name = "Out";
contextdragconnection(s, q, "A"); contextdragconnection(q, k, "A");
s.setProperty("InterArrivalTime", "return 10;");
"""


def test_code_of_an_object_waits_in_model_time():
    from vlsm_jax.simulator import run

    code = "double t = Model.time; await Delay.seconds(3); print(t, Model.time); return 1;"
    wait = f'q.setProperty("SendToPort", "{code}");'
    report = run(LINE + wait, until=35, replications=2)
    assert report.kpis is not None, [*map(str, report.diagnostics)]
    assert report.output == ("10 13", "20 23", "30 33") * 2


def test_waiting_in_a_build_script_is_an_exception():
    from vlsm_jax.simulator import build

    (diagnostic,) = build("int x = 1;\nawait Delay.seconds(3);").diagnostics
    assert (diagnostic.code, diagnostic.line) == ("coroutine", 2)


def test_lists_are_empty_when_a_run_begins():
    from vlsm_jax.simulator import run

    code = 'List(\\"L\\").push(param(1).name); print(List(\\"L\\").entries().length); return 1;'
    script = LINE + f'List("L").push("old"); q.setProperty("SendToPort", "{code}");'
    report = run(script, until=25, replications=2)
    assert report.output == ("1", "2") * 2


def test_code_that_waits_within_code_goes_on_by_itself():
    from vlsm_jax.simulator import run

    inner = 'await Delay(1); print(\\\\\\"inner\\\\\\", Model.time); return 1;'
    code = f'executestring(\\"{inner}\\"); await Delay(2); print(\\"outer\\", Model.time); return 1;'
    report = run(LINE + f'q.setProperty("SendToPort", "{code}");', until=15)
    assert report.output == ("inner 11", "outer 12"), [*map(str, report.diagnostics)]
