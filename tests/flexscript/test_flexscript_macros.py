"""Loop macros, definitions, functions of a script, and parameters."""

import pytest

from vlsm_jax.flexscript import Dialect
from vlsm_jax.simulator import build

FUNCTIONS = Dialect(functions=True)
TREE = 'Object q = Object.create("Queue"); q.name = "A"; Object r = Object.create("Sink"); r.name = "B"; '


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int n; iterate(1, 5, 2) { n = n * 10 + count; } return n;", 135),
        ("int n; iterate(3, 1, -1) { n = n * 10 + count; } return n;", 321),
        ("int n; iterate(1, 9, 1) { if (count == 2) continue; if (count == 5) break; n += count; } return n;", 8),
        ("int n; repeat(3, n = n * 10 + count); return n;", 123),
        ("return findmatch(10, count * count > 20);", 5),
        ("return findmatch(10, count * count > 20, count * 100, 1);", 1000),
        ("Array a = [3, 9, 4]; return findmax(3, a[count], count);", 2),
        ("Array a = [3, 9, 4]; return findmin(3, a[count]);", 3),
        ("Array a = [3, 9, 4]; return findmax(3, a[count], count, a[count] < 5);", 3),
    ],
)
def test_counting_macros(returned, text, expected):
    assert returned(text) == expected


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("forobjecttreeunder(model())", "Tools,A,B"),
        ("forobjectlayerunder(model())", "Tools,A,B"),
        ("forobjectsbefore(r)", "Tools,A"),
        ("forobjectsbehind(q)", "B"),
        ("forobjectselectionset(model())", ""),
        ("forobjecthighlightedin(model())", ""),
    ],
)
def test_tree_macros(macro, expected):
    text = TREE + f'Array names; {macro} {{ if (a.up == model()) names.push(a.name); }} print(names.join(","));'
    built = build(text)
    assert built.ok, [*map(str, built.diagnostics)]
    assert built.output == (expected,)


def test_define(returned):
    assert returned("#define RATE 3\n#define TWICE (RATE * 2)\nreturn TWICE + RATE;") == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int twice(int n) { return n * 2; } return twice(4);", 8),
        ("return twice(4); int twice(int n) { return n * 2; }", 8),
        ("int f(int n) { if (n < 2) return 1; return n * f(n - 1); } return f(10);", 3628800),
        (
            "int even(int n) { return n == 0 ? 1 : odd(n - 1); }"
            " int odd(int n) { return n == 0 ? 0 : even(n - 1); } return even(9);",
            0,
        ),
        ("int f(double d) { return d; } return f(2.9);", 2),
        ('string f(Variant v) { return v; } return f(3) + "!";', "3!"),
        ("void f(Array a) { a.push(1); } Array a; f(a); f(a); return a.length;", 2),
        ("Vec3 f(Vec3 v) { v.x = 9; return v; } Vec3 v; Vec3 w = f(v); return v.x * 10 + w.x;", 9),
        ("int x = 1; int f(int x) { x = 5; return x; } return f(2) * 10 + x;", 51),
        ("int f() { for (int i = 0; i < 9; i++) if (i == 3) return i; return -1; } return f();", 3),
    ],
)
def test_functions(returned, text, expected):
    assert returned(text, dialect=FUNCTIONS) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int f(int n) { return n; } return f();", "not enough parameters for f"),
        ("int f(int n) { return n; } return f(1, 2);", "too many parameters for f"),
        ("int f(int n) { return n; } int f(int n) { return n; }", "function f is already defined"),
        ("int f(objct n) { return n; }", "objct is not a type"),
        ("if (1) { int f(int n) { return n; } }", "a function is defined outside of every block"),
        ("int f(int n) { return m; }", "m is not declared"),
        ("int f(n) { return n; }", "expected a parameter"),
    ],
)
def test_functions_that_are_wrong(evaluate, text, message):
    assert message in evaluate(text, dialect=FUNCTIONS).diagnostics[0].message


def test_recursion_without_end_runs_out_of_depth(failed):
    assert failed("int f(int n) { return f(n + 1); } f(0);", dialect=FUNCTIONS).code == "budget"
    nested = "if (1) { " * 20 + "return f(n + 1);" + " }" * 20
    assert failed(f"int f(int n) {{ {nested} return 0; }} f(0);", dialect=FUNCTIONS).code == "budget"


def test_exponential_recursion_runs_out_of_steps(failed):
    text = "int f(int n) { if (n == 0) return 0; return f(n - 1) + f(n - 1); } f(40);"
    assert failed(text, dialect=FUNCTIONS).code == "budget"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return param(1) + param(2);", "7a"),
        ("return parval(1) + 1;", 8),
        ('return parstr(2) + "!";', "a!"),
        ("return parnode(3) == NULL;", 1),
        ("return parqty();", 2),
        ("return msgparam(1);", "a"),  # behind the sender of the message
        ("return param(9) == nullvar;", 1),
    ],
)
def test_parameters(returned, text, expected):
    assert returned(text, parameters=(7, "a")) == expected


CODE = 'Object q = Object.create("Queue"); q.name = "Q"; '


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('print(executestring("1 + 2"));', "3"),
        ('print(executestring("int x = 4; return x * 2;"));', "8"),
        ('q.Code = "return param(1) * 10;"; print(q.labels["Code"].evaluate(5));', "50"),
        ('q.Code = "return param(1) + param(2);"; print(nodefunction(q.labels["Code"], 1, 2));', "3"),
        ('q.Code = "return param(1) + 1;"; print(function_s(q, "Code", 5));', "6"),
        ('q.Code = "return param(1) + 2;"; print(function_n(q, 1, 5));', "7"),
        ('q.Code = "return c.name;"; print(executefsnode(q.labels["Code"], q));', "Q"),
        ('setvarstr(q, "sendtoport", "return 7;"); print(nodefunction(getvarnode(q, "sendtoport")));', "7"),
    ],
)
def test_code_in_nodes(text, line):
    built = build(CODE + text)
    assert built.ok, [*map(str, built.diagnostics)]
    assert built.output == (line,)
