"""What the parser and the compiler say about texts that are wrong."""

import json
import time

import pytest

from vlsm_jax.flexscript import Severity


def test_several_errors_in_one_pass_each_with_its_place(evaluate):
    text = "int a = 1\nint b = ;\nfoo(3);\nif (a {\n  b = 2;\n}\nb = 4;\nArray c = [1, 2;\n"
    found = [(d.code, d.line) for d in evaluate(text).diagnostics]
    assert found == [
        ("syntax", 1),
        ("syntax", 2),
        ("unknown command", 3),
        ("syntax", 4),
        ("unknown name", 5),
        ("unknown name", 7),
        ("syntax", 8),
    ]


def test_of_a_very_long_line_the_part_around_the_caret_is_shown(evaluate):
    for before, after in ((3000, 3000), (3000, 0), (0, 3000)):
        text = "print(1);" * (before // 9) + "b = 2;" + "print(1);" * (after // 9)
        (diagnostic,) = evaluate(text).diagnostics
        _, shown, caret = str(diagnostic).splitlines()[:3]
        assert len(shown) < 200
        assert shown[caret.index("^")] == "b"


def test_text_shows_the_line_with_a_caret_and_a_hint(evaluate):
    (diagnostic,) = evaluate("int x = 1;\n\tMath.sqr_t(x);").diagnostics
    assert str(diagnostic).splitlines() == [
        "line 2, column 7: error (unknown method): Unknown method Math.sqr_t",
        "    \tMath.sqr_t(x);",
        "    \t     ^",
        "    hint: did you mean sqrt?",
    ]
    assert json.loads(json.dumps(diagnostic.to_dict()))["severity"] == "error"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("contextdragconection(1, 2);", "Unknown command contextdragconection being called", "contextdragconnection"),
        ("creatObject(1);", "Unknown command creatObject being called", ""),
        ("objct x;", "objct is not a type", ""),
        ("Arry x;", "Arry is not a type", "Array"),
        ("int total; totl = 2;", "totl is not declared", "total"),
        ("[1].psh(2);", "Unknown method psh of Array", "push"),
        ("time;", "time is a command", "time(...)"),
        ("pow(1);", "not enough parameters for pow", "pow(num num1, num num2) -> num"),
        ("int x; int x;", "x is already declared here", ""),
        ("int f(int n) { return n; }", "function f cannot be defined in a script", ""),
        ("do { 1; } while (0);", "do ... while is not part of FlexScript", "while"),
        ("for (int x : [1]) {}", "for over the elements is not part of FlexScript", ""),
        ('string s = "open;\n', "string without a closing quote", ""),
        ("string s = “x”;", "typographic quote “", "straight quotes"),
        ("{ int x = 1;", "'{' of line 1 is never closed", "add '}'"),
        ("}", "'}' without a matching '{'", ""),
        ("break;", "break outside of a loop or a switch", ""),
        ("int x = 1; x + 1 = 2;", "the left side cannot be assigned to", "=="),
        ('switch (1) { case "a": break; }', "a case needs a constant number", ""),
        ("const int x = 1;", "'const' is not part of FlexScript", ""),
    ],
)
def test_first_message(evaluate, text, message, hint):
    first = evaluate(text).diagnostics[0]
    assert message in first.message
    assert first.severity is Severity.ERROR
    assert hint in first.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('createObject("Source");', "Object.create"),
        ("newObject(1);", "Object.create"),
        ("connectPorts(1, 2);", "contextdragconnection"),
        ("connectobjects(1, 2);", "contextdragconnection"),
        ("double t = simtime();", "Model.time"),
        ("double t = getmodeltime();", "Model.time"),
        ("setstoptime(5);", "stoptime(t)"),
        ("Variant v = [1]; v.outputConnect(1);", "contextdragconnection"),
        ("Variant v = [1]; v.getLabel(1);", "obj.Label"),
        ('string s = "a"; s.substring(1, 2);', "substr"),
        ("Array a; a.add(1);", "push"),
        ("Array a; a.length();", "without parentheses"),
        ("Array a; return a.size;", ".length"),
        ("bool b;", "use int"),
        ("float f;", "use double"),
        ("String s;", "use string"),
        ("auto x = 1;", "use var"),
        ("return null;", "NULL"),
        ("return True;", "true"),
        ('console.log("x");', "print"),
        ("if (1) {} elif (2) {}", "else if"),
        ("foreach (x) {}", "for (int i = 1"),
        ("Variant q = new Queue();", "Queue.create"),
        ("int[] a = [1];", "int a[]"),
        ("contextdragconection(1, 2, 3);", "did you mean contextdragconnection?"),
        ("pow(1);", "pow(num num1, num num2) -> num"),
        ('"a".replace("b");', "replace takes 2 parameters"),
        ('string s = "a"; s.padStart();', "padStart takes 1 to 2 parameters"),
    ],
)
def test_invented_and_wrong_names_get_the_right_one(evaluate, text, hint):
    outcome = evaluate(text)
    found = outcome.diagnostics[0].hint if outcome.diagnostics else outcome.fault.hint
    assert hint in found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("triangular(5, 10, 15)", "triangular takes (min, max, mode)"),
        ("uniform(10, 5)", "uniform takes (min, max)"),
        ("duniform(10, 5)", "duniform takes (min, max)"),
        ("normal(10, -2)", "normal takes (mean, stddev)"),
        ("exponential(10, 0)", "exponential takes (location, scale)"),
        ("bernoulli(0.3, 1, 0)", "bernoulli takes a percentage"),
        ("beta(9, 1, 2, 3)", "beta takes (min, max"),
    ],
)
def test_arguments_in_the_wrong_order_get_a_hint(text, hint):
    from vlsm_jax.simulator import build

    first = build(f"int never; if (never) {text};").diagnostics[0]
    assert (first.severity, hint in first.hint) == (Severity.WARNING, True)


@pytest.mark.parametrize(
    "text", ["triangular(5, 15, 10)", "uniform(5, 10)", "exponential(0, 10)", "bernoulli(30, 1, 0)"]
)
def test_arguments_in_the_right_order_get_none(text):
    from vlsm_jax.simulator import build

    assert build(f"int never; if (never) {text};").diagnostics == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int a; if (a = 1) {}", "this condition assigns"),
        ("int a; a == 1;", "this comparison has no effect"),
        ("sqrt(1, 2);", "sqrt takes 1 parameter, the rest is ignored"),
    ],
)
def test_warnings_do_not_stop_the_script(evaluate, text, message):
    outcome = evaluate(text)
    assert [(d.severity, d.message) for d in outcome.diagnostics] == [(Severity.WARNING, message)]


def test_a_known_but_unsupported_command_fails_only_when_it_is_reached(evaluate):
    assert evaluate("if (0) savetree(1, 2); return 1;").value == 1
    fault = evaluate("savetree(1, 2);").fault
    assert fault.code == "unsupported command"
    assert "savetree" in fault.message


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000,
        "[" * 5000,
        "{" * 5000,
        "if (1) " * 5000,
        "-" * 5000 + "1;",
        "1" + "+1" * 5000 + ";",
        "x" + ".x" * 5000 + ";",
        "x" + "(x" * 5000,
        "x = " * 5000 + "1;",
        "1 ? " * 5000,
        'a["' * 3000,
        "#define A B B\n#define B A A\nA;",
        "\n".join(f"#define A{i} A{i + 1} + A{i + 1}" for i in range(100)) + "\nA0;",
        "9" * 5000 + ";",
        "/*" * 100_000,
        "/*/" * 100_001,
        '"' + '\\"' * 100_000,
        "foo();" * 20_000,
        "x;" * 20_000,
        "\0\x01\ufeff",
        "else else else",
        "case 1:",
        "switch (1) { 5; }",
        "for (;;",
    ],
)
def test_pathological_texts_are_diagnosed_not_raised(evaluate, text):
    began = time.perf_counter()
    outcome = evaluate(text)
    assert time.perf_counter() - began < 10
    assert len(outcome.diagnostics) <= 110
    assert all(str(d) for d in outcome.diagnostics[:3])
