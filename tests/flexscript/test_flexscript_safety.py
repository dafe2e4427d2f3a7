"""Scripts are untrusted: budgets hold, nothing reaches Python, and no text raises anything but a Fault."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.flexscript import Dialect, Fault, Machine, compile_program, core_vocabulary, parse


@pytest.mark.parametrize(
    "text",
    [
        'string s = "x"; while (1) s += s;',
        'string s = "x"; while (1) s = s.replace(/x/g, "xx");',
        'string s = "x"; while (1) s = s.replace("x", "xx");',
        'string s = "x".padStart(90000); Array a; while (1) a.push(s + a.length);',
        "Array a = [1]; while (1) a = a.concat(a);",
        "Array a = [1]; while (1) a.append(a);",
        "Array a; while (1) a.push([1, 2, 3].clone());",
        "Array a = Array(1000000000);",
        "int a[1000000000];",
        "intarray a = makearray(2000000000);",
        "Array a; a.length = 2e9;",
        "Map m; int i; while (1) m[i++] = i;",
        "Map m; int i; while (1) m[i++];",
        "Array all; while (1) { Array a = Array(20000); all.push(a); }",
        "Array all; Map m; for (int i = 0; i < 9000; i++) m[i] = i; while (1) all.push(m.clone());",
        "Array all; Map m; for (int i = 0; i < 9000; i++) m[i] = i; while (1) all.push(m.keys);",
        "Array x; for (int i = 0; i < 10; i++) x.push(Array(20000)); Array all; while (1) all.push(x.clone());",
        "Array all; Table t = Table([[1]]); t.setSize(300, 300); while (1) all.push(t.clone());",
        "while (1) { Table t = Table([[1]]); t.setSize(300, 300); }",
        'string s = "a".repeat(50000); while (1) s.split();',
        'string s = "a".repeat(50000); while (1) s.match(/(a|b)*c/g);',
        'Array a; for (int i = 0; i < 20000; i++) a.push("xxxxxxxxxxxxxxxx"); while (1) a.join("--------");',
        "repeat(2000000000, 1);",
        "findmatch(2000000000, 0);",
        "iterate(1, 1e300, 1) {}",
        "iterate(1, 2, 1e-300) {}",
    ],
)
def test_budgets_hold(failed, text):
    began = time.perf_counter()
    assert failed(text).code == "budget"
    assert time.perf_counter() - began < 5


def test_brackets_that_are_never_closed_are_read_in_linear_time():
    """`(/[` could begin a regular expression at every turn."""
    began = time.process_time()
    assert not parse("(/[" * 20_000).ok
    assert time.process_time() - began < 3


def test_slow_matches_count_against_the_time():
    """Each match ends within its own limit; a loop of them ends with the budget."""
    machine = Machine(None, steps=10**9, wall_seconds=0.5)
    text = 'string s = "a".repeat(28); while (1) s.search(/^(a|aa)+$b/);'
    code = compile_program(parse(text), core_vocabulary(), machine)
    began = time.perf_counter()
    with pytest.raises(Fault) as raised:
        code.run()
    assert raised.value.code == "budget"
    assert time.perf_counter() - began < 2


def test_nested_containers_are_shown_copied_and_compared_without_end(returned):
    text = "Array a = [1]; for (int i = 0; i < 60; i++) a = [a, a, a]; print(a); Array b = a.clone(); return a == b;"
    assert returned(text) == 0
    assert (
        returned("Array a; Map m; a.push(m); m.a = a; print(a, m); Array b = a.clone(); return b[1].a[1].a.length;")
        == 1
    )


@pytest.mark.parametrize(
    "name", ["__class__", "__init__", "__dict__", "_machine", "rows", "append_", "encode", "format"]
)
@pytest.mark.parametrize(
    "value", ["5", '"a"', "[1]", "Map()", "Vec3(1)", "Table([[1]])", 'List("L")', "Delay(1)", "DateTime(1)"]
)
def test_no_python_attribute_is_reached(evaluate, clock, name, value):
    for use in (f"v.{name};", f"v.{name}();", f"v.{name} = 1;", f"v.#{name};", f"v.{name}?;", f'v["{name}"];'):
        outcome = evaluate(f"Variant v = {value}; Variant w = {use}", world=clock)
        if value == "Map()" and "(" not in use:
            continue  # names are keys of a map
        assert outcome.fault is not None or outcome.value is None
        assert outcome.lines == []


WORDS = (
    "int double string Variant var Array Map Vec3 Color Table List DateTime Delay Object x y a if "
    "else for while switch case default break continue return await repeat iterate ( ( ( ) ) ) { { } "
    "} [ ] ; ; ; , . ?. .# ? : = += -= *= /= %= ++ -- + - * / % == != < <= && || ! ~ & | << 0 1 2.5 "
    '1e300 "a" "Σ" "" /a+/g \'c\' NULL nullvar INT_MAX .length .push( .pop() .is( .as( .match( .split( '
    "Math. .max( #define /* */ // @ “ \\\\ "
)
TOKENS = st.sampled_from(WORDS.split())
VALUES = '0 1 -2 2.5 1e300 2147483647 "a" "Σb" NULL nullvar [] [1,[2]] x y a m v t Map() DateTime(5) Color.red '
EXPRESSION = st.recursive(
    st.sampled_from(VALUES.split()),
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "/", "%", "==", "<", ">=", "&&", "||", "&", "<<", "="]), inner
        ).map(lambda p: f"({' '.join(p)})"),
        st.tuples(st.sampled_from(["-", "!", "~", "await "]), inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"{p[0]}[{p[1]}]"),
        st.tuples(
            st.sampled_from("xamvt"), st.sampled_from(sorted(core_vocabulary().members[list].methods)), inner
        ).map(lambda p: f"{p[0]}.{p[1]}({p[2]})"),
        st.tuples(
            st.sampled_from("xmvt"), st.sampled_from(["length", "numRows", "x", "key", "Lab", "type", "Lab?"])
        ).map(".".join),
        st.tuples(st.sampled_from(sorted(core_vocabulary().commands)), inner, inner).map(
            lambda p: f"{p[0]}({p[1]}, {p[2]})"
        ),
        st.tuples(inner, st.sampled_from(sorted(core_vocabulary().types))).map(lambda p: f"{p[0]}.as({p[1]})"),
    ),
    max_leaves=8,
)
HEAD = "Variant x = [1, 2]; int y = 3; Array a = [1]; Map m; Vec3 v; Table t = Table([[1, 2]]);\n"


def run_anything(text):
    machine = Machine(None, steps=5_000, wall_seconds=5)
    code = compile_program(parse(text), core_vocabulary(), machine, Dialect(functions=True))
    assert all(str(d) and d.message for d in code.diagnostics)
    if code.ok:
        fault = None
        try:
            code.run()
        except Fault as raised:
            fault = raised
        assert fault is None or (fault.message and fault.source is not None)
    machine.end_run()
    assert (machine.depth, machine.calls, machine.coroutine) == (0, 0, None)


@given(st.lists(TOKENS, max_size=40))
@settings(max_examples=400, deadline=None)
def test_any_tokens_give_diagnostics_or_faults(tokens):
    run_anything(" ".join(tokens))


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "x = ", "y += ", "a[1] = ", "m.k = ", "Variant z = ", "print("]), EXPRESSION),
        max_size=3,
    )
)
@settings(max_examples=400, deadline=None)
def test_any_expressions_give_values_or_faults(parts):
    run_anything(HEAD + "\n".join(f"{start}{value}{')' * start.endswith('(')};" for start, value in parts))
