"""One test per construct of the language that no other file is about."""

import pytest

from vlsm_jax.flexscript import Dialect
from vlsm_jax.simulator import build

OBJECTS = 'Object q = Object.create("Queue"); q.name = "Q"; q.Weight = 5; '


def printed(text):
    built = build(OBJECTS + text)
    assert built.ok, [*map(str, built.diagnostics)]
    return built.output


# --- Lexis ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return 5;", 5),
        ("return 5.0;", 5.0),
        ("return .5;", 0.5),
        ("return 1e3;", 1000),
        ("return 0x1F;", 31),
        ("return 'a' == 97;", 1),
        ("return true + false + TRUE;", 2),
        ('return [1, "a", [2]];', [1, "a", [2]]),
        ("return INT_MAX;", 2147483647),
        ("return NULL == 0;", 1),
        ("/* a */ return /**/1/***tag:x*//**/ + /**Custom Code*/ 1; // end", 2),
    ],
)
def test_literals_and_comments(returned, text, expected):
    assert returned(text) == expected


def test_names_are_case_sensitive_and_may_shadow_commands(returned):
    assert returned('int first = 1; int First = 2; string msg = "m"; return msg + first + First;') == "m12"


# --- Declarations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int x; return x;", 0),
        ("double x; return x;", 0),
        ("string x; return x;", ""),
        ("Variant x; return x == nullvar;", 1),
        ("Array x; return x;", []),
        ("Map x; return x.length;", 0),
        ("Vec3 x; return x.toArray();", [0, 0, 0]),
        ("Color x; return x.a;", 1),
        ("DateTime x; return x.value;", 0),
        ("Table x; return x == NULL;", 1),
        ("List x; return x == NULL;", 1),
        ("var x = 2.5; return x * 2;", 5),
        ("var x = [1]; return x.length;", 1),
        ("int a = 1, b = a + 1; return b;", 2),
    ],
)
def test_declaration_without_initialiser(returned, text, expected):
    assert returned(text) == expected


def test_block_scoping_and_loop_scope(returned):
    assert (
        returned("for (int i = 0; i < 2; i++) {} for (int i = 5; i < 6; i++) { int x = i; } int x = 1; return x;") == 1
    )


# --- Statements -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("if (0) return 1; else if (2) return 2; else return 3;", 2),
        ("int n; while (n < 5) n++; return n;", 5),
        ("int n; for (;;) { if (++n == 4) break; } return n;", 4),
        ("int n; for (int i = 0, j = 9; i < j; i++, j--) n++; return n;", 5),
        ("switch (2) { case 1: return 1; case 2: { return 20; } default: return 9; }", 20),
        ("switch (7) { case 1: return 1; default: return 9; }", 9),
        ("int n; switch (1) { case 1: n += 1; case 2: n += 2; break; case 3: n += 4; } return n;", 3),
        ("int n; for (int i = 0; i < 5; i++) { if (i % 2) continue; n += i; } return n;", 6),
        ("int n = 3; return n > 2 ? n < 5 ? 1 : 2 : 3;", 1),
        ("int a; int b; int c; a = b = c = 7; return a + b + c;", 21),
        ("int a = 1; int b = (a += 4) * 2; return b + a;", 15),
        ("Array a = [1, 2]; a[1] = a[2] = 9; return a;", [9, 9]),
        ("Map m; int x = m.k = 3; return x + m.k;", 6),
        ("int i = 1; return i++ + i++ * 10 + i;", 24),
        ("int x = 5; x -= 2; x *= 4; x /= 3; return x;", 4),
        ("return 6 & 3 | 8 ^ 1;", 11),
        ("return ~5 & 0xF;", 10),
        ("return !0 && !nullvar && !NULL;", 1),
        ('return "" ? 1 : 0;', 1),
        ("return 1 < 2 == 1;", 1),
        ('return "abc" < "abd" && "Z" < "a";', 1),
        ("int x = 1; if (x) ; return x;", 1),
    ],
)
def test_statements_and_operators(returned, text, expected):
    assert returned(text) == expected


def test_logical_operators_stop_early(returned):
    assert returned("int n; int a = 0 && n++; int b = 1 || n++; return n * 100 + a * 10 + b;") == 1


def test_falling_off_the_end_returns_null(returned):
    assert returned("int x = 1;") is None


# --- Members ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print(q.Weight);", "5"),
        ("print(q.Weight?);", "5"),
        ("print(q.Missing? == nullvar);", "1"),
        ("if (q.Missing?) print(1); else print(2);", "2"),
        ("print(q.Weight? + 1, q.Missing? ? 3 : 4);", "6 4"),
        ("print(q.Weight ? 1 : 2, q.Weight? 1 : 2);", "1 1"),
        ("Array a = [q.Missing?, q.Weight?]; print(a[2]);", "5"),
        ("q.New? = 4; print(q.New);", "4"),
        ("q.#next = 7; print(q.#next, q.next == NULL);", "7 1"),
        ("q.#name = 8; print(q.#name, q.name);", "8 Q"),
        ("print(q.#absent? == nullvar);", "1"),
        ("q.#n = 1; q.#n += 2; q.#n++; print(q.#n);", "4"),
        ('Object none; print(none?.name == nullvar, none?.find("x") == NULL, q?.name);', "1 1 Q"),
        (
            'Object r = Object.create("Sink"); r.name = "R";'
            ' for (int i = 0; i < 3; i++) contextdragconnection(q, r, "A");'
            " print(q.outObjects.length / 2);",
            "1",
        ),
        ("q.length = 2.5; print(q.length / 2);", "1.25"),
        ('q.length = [7]; print(q.length + "x");', "x"),
        ("Array all = [q]; all[1].location.x += 5; all[1].location.x *= 2; print(q.location.x);", "10"),
        ("q.Counter = 1; q.Counter++; print(q.Counter++ + q.Counter);", "5"),
        ("q.List = [1, 2]; q.List[2] = 5; print(q.List[2]);", "5"),
        ("Object a; Object b; a = b = q; print(a == b, a.name);", "1 Q"),
    ],
)
def test_labels_and_optional_chaining(text, expected):
    assert printed(text) == (expected,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q.Missing;", 'Property "Missing": Label does not exist'),
        ("q.#next;", 'Property "next": Label does not exist'),
        ("Object none; none.Label?;", "Label of NULL"),
    ],
)
def test_a_missing_label_or_object_raises(text, message):
    assert message in build(OBJECTS + text).diagnostics[-1].message


def test_property_tables_as_tables():
    text = (
        'Object c = Object.create("Source"); c.name = "S"; Table t = c.find(">variables/schedule"); print(t.is(Table));'
    )
    assert printed(text) == ("1",)


# --- Switches of the dialect ------------------------------------------------------------------------------------------


def test_dialect_switches(evaluate):
    assert evaluate('return "Q" + 1;').value == "Q1"
    assert evaluate('return "Q" + 1;', dialect=Dialect(text_plus_number=False)).codes == ["type"]
    assert evaluate('return 1 + "Q";').codes == ["type"]
    assert evaluate('return 1 + "Q";', dialect=Dialect(number_plus_text=True)).value == "1Q"
    assert evaluate("int f() { return 1; } return f();").codes[0] == "syntax"
    assert evaluate("int f() { return 1; } return f();", dialect=Dialect(functions=True)).value == 1
