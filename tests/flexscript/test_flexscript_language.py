"""What pieces of FlexScript compute."""

import pytest


def returned(evaluate, text):
    outcome = evaluate(text)
    assert outcome.fault is None, outcome.fault
    assert not [c for c in outcome.diagnostics if c.severity.value == "error"], outcome.diagnostics
    return outcome.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return 20/7;", 2),
        ("return -7/2;", -3),
        ("return -7 % 3;", -1),
        ("return 20/7.0;", 20 / 7),
        ("double d = 20; return d/7;", 20 / 7),
        ("int i = 20; int j = 7; return i/j;", 2),
        ("Array a = [20]; return a[1]/7;", 20 / 7),
        ("int i = 2.9; return i;", 2),
        ("int i = 2147483647; i = i + 1; return i;", -2147483648),
        ("return 1 + 2 * 3 - 4 / 2;", 5),
        ("return (1 + 2) * 3;", 9),
        ("return 2 < 3 && 3 < 2 || !0;", 1),
        ("return 1 == 1 ? 10 : 20;", 10),
        ("return 6 & 3 | 8;", 10),
        ("return 0x1F;", 31),
        ("return 'a';", 97),
        ("return 1.0/0;", float("inf")),
        ('return "a" + "b" + 1;', "ab1"),
        ('Variant v = 1; return v + "x";', "1x"),
        ('return "line\\n\\"q\\"";', 'line\n"q"'),
        ('return "con\\\ntinued";', "continued"),
        ('return "abc".length;', 3),
        ('return "Queue12".slice(1, 6);', "Queue"),
        ('return "abc".indexOf("z");', -1),
        ('return "a,b".split(",");', ["a", "b"]),
        ('return "3.5 s".toNum() + 1;', 4.5),
        ("return string.fromNum(2.5, 2);", "2.50"),
        ("return Math.max(1, 7, 3) + Math.floor(2.7);", 9),
        ("return Math.round(2.5);", 3),
        ("return sqrt(16) + pow(2, 3);", 12),
        ("Array a; a.push(1); a.push(2, 3); return a.pop() + a.length;", 5),
        ("Array a = [3, 1, 2]; a.sort(); return a;", [1, 2, 3]),
        ('return [1, "b"].join("-");', "1-b"),
        ('string names[] = {"a", "b"}; return names[2] + names.length;', "b2"),
        ("Array a = [1]; Array b = a; b.push(2); return a.length;", 2),
        ("Vec3 v = Vec3(1, 2, 3); Vec3 w = v; w.x += 5; return v.x * 10 + w.x;", 16),
        ("Array a = [Vec3(1, 0, 0)]; a[1].x += 2; return a[1].x;", 3),
        ('Map m; m["k"] = 2; m.Other = 3; return m["k"] + m.Other;', 5),
        ("int a; int b; a = b = 5; return a * 10 + b;", 55),
        ("int i = 5; return i++ + ++i;", 12),
        ("double x = 10; x /= 4; x *= 2; x -= 1; return x;", 4),
        ("Variant v; v++; return v;", 1),
        ("int max = 3; return max;", 3),  # a local may shadow a command
        ("int source = 1; int Source = 2; return source * 10 + Source;", 12),
        ("return true + false;", 1),
        ("#define RATE 3\nreturn RATE * 2;", 6),
        ("/***popup:X*//**/return/**/1/**/;", 1),
        ("int n = 0; repeat(4, n += count); return n;", 10),
        ("int n = 0; iterate(1, 3, 1) { n += count; } return n;", 6),
        ("return nullvar == 0;", 0),
        ("return nullvar < 1;", 1),
        ("return NULL == 0;", 1),
        ("var s = 2; s = s * 2; return s;", 4),
        ("1;", None),
    ],
)
def test_value(evaluate, text, expected):
    assert returned(evaluate, text) == expected


def test_loops_and_branches(evaluate):
    text = """
    Array out;
    for (int i = 1; i <= 10; i++) {
        if (i == 2) continue;
        else if (i == 6) { break; }
        switch (i) {
            case 1: out.push("one"); break;
            case 3:
            case 4: out.push("many");
            default: out.push(i);
        }
    }
    for (int i = 3; i > 0; i -= 1) out.push(i);
    int k = 0;
    while (1) { k++; if (k > 3) break; }
    out.push(k);
    return out.join(",");
    """
    assert returned(evaluate, text) == "one,many,3,many,4,5,3,2,1,4"


def test_blocks_scope_their_variables(evaluate):
    assert returned(evaluate, "int x = 1; { int x = 2; } if (1) { int x = 3; } return x;") == 1
    outcome = evaluate("{ int inner = 2; } return inner;")
    assert outcome.codes == ["unknown name"]


def test_a_declaration_in_a_loop_starts_afresh_each_turn(evaluate):
    assert returned(evaluate, "int sum; for (int i = 0; i < 3; i++) { int x; x += i; sum += x; } return sum;") == 3


def test_assignments_evaluate_their_target_once(evaluate):
    assert returned(evaluate, "Array a = [5, 6]; int i = 1; a[i++] += 10; return a[1] * 100 + i;") == 1502


def test_print_separates_with_blanks_and_shows_arrays(evaluate):
    assert evaluate('print(1, "a", 2.5, [1, 2]); print();').lines == ["1 a 2.5 Array[2]: {1,2}", ""]


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("int a = 1;\nreturn a / 0;", "exception", 2, 1),
        ("Array a;\n\na[3];", "array index", 3, 2),
        ("Array a;\na.pop();", "array index", 2, 3),
        ("Variant v;\nv.name = 3;", "null reference", 2, 3),
        ('Variant v = "x";\nv - 1;', "exception", 2, 1),
        ("Map m;\nreturn m.Missing;", "map key", 2, 10),
        ("while (1) {}", "budget", 1, 1),
        ("return [1, 2].slice(9, 10);", "array index", 1, 15),
    ],
)
def test_exceptions_name_their_place(evaluate, text, code, line, column):
    fault = evaluate(text).fault
    assert (fault.code, fault.source.place(fault.at)[:2]) == (code, (line, column))


def test_steps_are_counted_over_nested_loops(evaluate):
    text = "int n; for (int i = 0; i < 100; i++) for (int j = 0; j < 100; j++) n++; return n;"
    assert evaluate(text, steps=30_000).value == 10_000
    assert evaluate(text, steps=10_000).fault.code == "budget"


def test_building_a_huge_string_or_array_runs_out_of_budget(evaluate):
    assert evaluate('string s = "x"; while (1) s += s;').fault.code == "budget"
    assert evaluate("Array a = [1]; while (1) a = a.concat(a);").fault.code == "budget"
    assert evaluate("Array a = Array(1000000000);").fault.code == "budget"
    assert evaluate('string s = "x".padStart(1000000000);').fault is None
    assert evaluate('string s = "x".repeat(1000000000);').fault.code == "budget"


def test_dialect_switches_string_and_number(evaluate):
    from vlsm_jax.flexscript import Dialect

    assert evaluate('return "Q" + 1;').value == "Q1"
    assert evaluate('return "Q" + 1;', dialect=Dialect(text_plus_number=False)).codes == ["type"]
    assert evaluate('return 1 + "Q";').codes == ["type"]
    assert evaluate('return 1 + "Q";', dialect=Dialect(number_plus_text=True)).value == "1Q"
