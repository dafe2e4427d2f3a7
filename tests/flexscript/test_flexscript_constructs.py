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


# --- Types, and what is no part of the language -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "treenode", "Object", "Group", "Dispatcher", "TaskExecuter", "TaskSequence", "Token", "Conveyor.Item",
        "Storage.Object", "Storage.Bay", "Storage.Slot", "Storage.Item", "AGV", "AGV.ControlPoint", "TrackedVariable",
        "Http.Request",
    ],
)  # fmt: skip
def test_type_of_a_reference_begins_as_null(name):
    assert printed(f"{name} x; print(x, x == NULL); x = NULL; if (!x) print(1);") == ("NULL 1", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goto x;", "'goto' is not part of FlexScript"),
        ("static int x = 1;", "'static' is not part of FlexScript"),
        ("const int x = 1;", "'const' is not part of FlexScript"),
        ("do { 1; } while (0);", "do ... while is not part of FlexScript"),
        ("for (int x : [1]) {}", "for over the elements is not part of FlexScript"),
        ("Variant f = x => x;", "expected an expression, found '>'"),
        ("int f() { return 1; }", "function f cannot be defined in a script"),
        ('switch (1) { case "a": break; }', "a case needs a constant number"),
        ("If (1) print(1);", "expected ';' before 'print'"),
    ],
)
def test_construct_that_flexscript_does_not_have(evaluate, text, message):
    first = evaluate(text).diagnostics[0]
    assert (first.severity.value, message in first.message) == ("error", True), first.message


def test_return_without_a_value_is_a_warning(evaluate):
    outcome = evaluate("print(1); if (1) return; print(2);")
    assert [(d.severity.value, d.message) for d in outcome.diagnostics] == [("warning", "return without a value")]
    assert outcome.lines == ["1"]


def test_a_name_is_a_command_only_before_parentheses():
    assert printed("int first = 3; int time = 5; print(first(model()).name, first, time(), time);") == ("Tools 3 0 5",)


def test_forobjecttreeunder_is_depth_first_without_its_node():
    text = """
    Array all; for (int i = 1; i <= 4; i++) { Object x = Object.create("Sink"); x.name = "N" + i; all.push(x); }
    all[1].up = q; all[2].up = all[1]; all[3].up = all[1]; all[4].up = q;
    string seen; forobjecttreeunder(q) { seen += a.name; } print(seen);
    """
    assert printed(text) == ("N1N2N3N4",)


# --- Messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Array a = [1]; a[2];", "Array index out of bounds"),
        ("Array a; a[1];", "Accessing element in empty array"),
        ("Array a; a.pop();", "Popping from empty array"),
        ("[1].slice(5, 6);", "Index out of bounds on array slice() method"),
        ("Variant v = [1]; v + 1;", "Invalid Variant types in + operation"),
        ('Variant v = "a"; v - 1;', "Invalid Variant type in - operation"),
        ('Variant v = "a"; v * 1;', "Invalid Variant type in * operation"),
        ('Variant v = "a"; v / 1;', "Invalid Variant type in / operation"),
        ('Variant v = "a"; v++;', "Invalid Variant type in ++ operation"),
        ('Variant v = "a"; v--;', "Invalid Variant type in -- operation"),
        ('Variant v = "a"; v += 1;', "Invalid Variant type in += assignment"),
        ('Variant v = "a"; v -= 1;', "Invalid Variant type in -= assignment"),
        ('Variant v = "a"; v *= 1;', "Invalid Variant type in *= assignment"),
        ('Variant v = "a"; v /= 1;', "Invalid Variant type in /= assignment"),
        ('Variant v = "a"; -v;', "Invalid Variant type in negation operation"),
        ("Variant v; v[1];", "Invalid variant type used with [] array operator"),
        ("Vec2(1, 1) / 0;", "Divide by zero error: denominator is 0"),
        ("Vec3(1, 1, 1) / 0;", "Divide by zero error: denominator is 0"),
        ("Vec4(1, 1, 1, 1) / 0;", "Divide by zero error: denominator is 0"),
        ("Color.red / 0;", "Divide by zero error: denominator is 0"),
        ("Array a; a.foo;", "Array does not support property foo"),
        ("Vec3 v; v.foo;", "Vec3 does not support property foo"),
        ("Map m; m.K;", "the Map has no key 'K'"),
        ("int i; 1 / i;", "integer division by zero"),
        ("int i; 1 % i;", "integer division by zero"),
    ],
)
def test_exception_text(failed, text, message):
    assert failed(text).message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (f"{name}(1);", f"Unknown command {name} being called")
            for name in (
                "createObject", "newObject", "connectPorts", "connectobjects", "simtime", "getmodeltime", "setstoptime",
                "nosuchcommand",
            )
        ),
        ("Math.foo(1);", "Unknown method Math.foo"),
        ("q.foo();", "Unknown method foo of Object"),
        ("q.outputConnect(q);", "Unknown method outputConnect of Object"),
        ('q.getLabel("x");', "Unknown method getLabel of Object"),
        ("setname(q);", "not enough parameters for setname"),
        ("x = 1;", "x is not declared"),
    ],
)  # fmt: skip
def test_compile_error_text(text, message):
    result = build(OBJECTS + "print(1);" + text)
    assert result.diagnostics[0].message == message
    assert result.output == ()  # the whole script is compiled first: nothing has run


def test_an_exception_keeps_what_was_done_before():
    result = build("print(1); Array a; a[1]; print(2);")
    assert (result.output, result.ok) == (("1",), False)


def test_string_and_number_of_static_types():
    assert printed('int i = 2; print("Floor" + i, "a" + 2.5, "In_" + i + "_Entry");') == ("Floor2 a2.5 In_2_Entry",)
    assert build('int i = 2; print(i + "a");').diagnostics[0].message == "a number and a string cannot be added"


def test_division_by_zero_of_a_double_is_infinite(returned):
    assert returned("return [1 / 0.0, -1 / 0.0];") == [float("inf"), float("-inf")]


def test_text_display_takes_a_plain_text():
    script = 'Object v = Object.create("VisualTool"); v.name = "V"; v.setProperty("TextDisplay", "hello");'
    result = build(script)
    assert dict(result.twin.objects[0].parameters) == {"TextDisplay": "hello"}
    assert not result.diagnostics
