"""Every operator on every pair of Variant types, and every conversion, against tables written by hand."""

import math

import pytest

from vlsm_jax.flexscript import Fault, values

NODE = object()
E = "raises"
KINDS = ("null", "number", "string", "node", "array", "map")
MAKE = {
    "null": lambda: None,
    "number": lambda: 2,
    "string": lambda: "a",
    "node": lambda: NODE,
    "array": lambda: [3],
    "map": dict,
}
INF = math.inf

# Rows are the left operands, columns the right ones, both in the order of KINDS.
SUM = [
    [E, 2, "a", E, E, E],
    [2, 4, "2a", E, E, E],
    ["a", "a2", "aa", "a", "a", "a"],
    [E, E, "a", E, E, E],
    [E, E, "a", E, E, E],
    [E, E, "a", E, E, E],
]
DIFFERENCE = [[E, -2, E, E, E, E], [2, 0, 2, 2, -1, 2], *[[E] * 6] * 4]
PRODUCT = [[E, 0, E, E, E, E], [0, 4, 0, 0, 6, 0], *[[E] * 6] * 4]
QUOTIENT = [[E, 0, E, E, E, E], [INF, 1, INF, INF, 2 / 3, INF], *[[E] * 6] * 4]
COMPOUND_SUM = [
    [E, 2, E, E, E, E],
    [E, 4, E, E, E, E],
    [E, E, "aa", E, E, E],
    *[[E] * 6] * 3,
]
EQUAL = [[int(row == column and row in (0, 1, 2, 3)) for column in range(6)] for row in range(6)]
LESS = [[0, 1, 0, 0, 0, 0], *[[0] * 6] * 5]

OPERATORS = {
    "+": (values.add, SUM, r"Invalid Variant types in \+ operation"),
    "-": (values.subtract, DIFFERENCE, "Invalid Variant type in - operation"),
    "*": (values.multiply, PRODUCT, r"Invalid Variant type in \* operation"),
    "/": (values.divide, QUOTIENT, "Invalid Variant type in / operation"),
    "+=": (values.add_in_place, COMPOUND_SUM, r"Invalid Variant type in \+= assignment"),
    "==": (values.equal, EQUAL, ""),
    "<": (values.less, LESS, ""),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("row", "left"), list(enumerate(KINDS)), ids=KINDS)
@pytest.mark.parametrize(("column", "right"), list(enumerate(KINDS)), ids=KINDS)
def test_operator_on_a_pair_of_types(operator, row, left, column, right):
    function, table, message = OPERATORS[operator]
    expected = table[row][column]
    if expected is E:
        with pytest.raises(Fault, match=message):
            function(MAKE[left](), MAKE[right]())
    else:
        assert function(MAKE[left](), MAKE[right]()) == expected


@pytest.mark.parametrize(
    ("kind", "truth", "number", "text", "array", "first"),
    [
        ("null", False, 0, "", [], E),
        ("number", True, 2, "2", [2], 2),
        ("string", True, 0, "", None, "a"),
        ("node", True, 0, "", [NODE], NODE),
        ("array", True, 3, "", [3], 3),
        ("map", True, 0, "", [{}], None),
    ],
)
def test_conversions_of_a_type(kind, truth, number, text, array, first):
    value = MAKE[kind]()
    assert values.truth(value) is truth
    assert values.to_number(value) == number
    assert values.to_text(value) == (text or ("a" if kind == "string" else ""))
    assert values.to_array(value) == (["a"] if array is None else array)
    if first is E:
        with pytest.raises(Fault, match=r"Invalid variant type used with \[\] array operator"):
            values.element(value, 1)
    else:
        assert values.element(value, 1) == first


@pytest.mark.parametrize("kind", KINDS)
def test_increment_and_negation_of_a_type(kind):
    expected = {"null": (1, E), "number": (3, -2)}.get(kind, (E, E))
    for function, wanted in zip((lambda v: values.step(v, 1), values.negate), expected, strict=True):
        if wanted is E:
            with pytest.raises(Fault, match="Invalid Variant type in"):
                function(MAKE[kind]())
        else:
            assert function(MAKE[kind]()) == wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Variant v = 5; return v.type == VAR_TYPE_NUMBER;", 1),
        ('Variant v = "a"; return v.type == VAR_TYPE_STRING;', 1),
        ("Variant v = [1]; return v.type == VAR_TYPE_ARRAY;", 1),
        ("Variant v; return v.type == VAR_TYPE_NULL;", 1),
        ('return getvartype("a") * 10 + getvartype([1]);', 24),
        ("Variant v = 5; return v.is(int) * 100 + v.is(double) * 10 + v.is(string);", 110),
        ('Variant v = "a"; return v.is(string) * 100 + v.is(Array) * 10 + v.is(Map);', 100),
        ("Variant v = [1]; return v.is(Array);", 1),
        ("Variant v; return v.is(double) + v.is(Array) + v.is(Vec3);", 0),
        ("Variant v = Vec3(1); return v.is(Vec3) * 10 + v.is(Vec2);", 10),
        ("Variant v = DateTime(1); return v.is(DateTime);", 1),
        ("Variant v = 2.7; return v.as(string) + v.as(int);", "2.72"),
        ('Variant v = "a"; return v.as(double);', 0),
        ("Variant v = 3; return v.as(Array).length;", 1),
    ],
)
def test_is_and_as(returned, text, expected):
    assert returned(text) == expected


def test_is_of_what_is_no_type(evaluate):
    (diagnostic,) = evaluate("Variant v; v.is(Strin);").diagnostics
    assert diagnostic.message == "Strin is not a type"


def test_is_and_as_of_nodes():
    from vlsm_jax.simulator import build

    text = """Object q = Object.create("Queue"); q.name = "Q"; treenode tools = Model.find("Tools"); Variant v = q;
    print(q.is(Object), tools.is(Object), v.is(treenode), q.is(FixedResource), q.is(TaskExecuter), q.as(Object).name);
    Object x = NULL; print(x ? 1 : 0, x.is(Object)); tools.as(Object);"""
    built = build(text)
    assert built.output == ("1 0 1 1 0 Q", "0 0")
    assert built.diagnostics[-1].message == "invalid cast exception"
    assert [d.message for d in build('Object x = Model.find("Tools");').diagnostics] == ["invalid cast exception"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Variant v = "5"; int i = v; return i;', 0),
        ("Variant v = 5; string s = v; return s;", "5"),
        ("Variant v = 5; Array a = v; return a;", [5]),
        ("Array a = nullvar; return a.length;", 0),
        ("Variant v = [7, 8]; double d = v; return d;", 7),
        ("double d = 7; int i = d / 2; return i;", 3),
        ("int i = -2.9; return i;", -2),
        ("int i = true; string s = i; return s;", "1"),
        ("Vec3 v = [1, 2]; return v.y * 10 + v.z;", 20),
        ("Color c = [1, 0, 0]; return c.a;", 1),
    ],
)
def test_implicit_casts(returned, text, expected):
    assert returned(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int i = 2147483647; i++; return i;", -2147483648),
        ("int i = 2147483647; return ++i;", -2147483648),
        ("int i = -2147483647; i -= 2; return i;", 2147483647),
        ("int i = 100000; double d = i * i; return d;", 1410065408),
        ("int i = 2147483647; return i + 1;", -2147483648),
        ("double d = 2147483647; d++; return d;", 2147483648),
        ("int i = 1; return i << 31;", -2147483648),
        ("return ~0;", -1),
        ("int i = 7; i %= 4; return i;", 3),
        ("return -7 / 2 * 10 + -7 % 3;", -31),
        ("int i = 7; i /= 2; return i;", 3),
        ("int i = 7; i /= 2.0; return i;", 3),
        ("return 7 % 2.9;", 1),
    ],
)
def test_int_arithmetic(returned, text, expected):
    assert returned(text) == expected


def test_int_overflow_may_wait_for_the_assignment(returned):
    from vlsm_jax.flexscript import Dialect

    text = "int i = 100000; double d = i * i; return d;"
    assert returned(text, dialect=Dialect(wrap_ints=False)) == 1e10


@pytest.mark.parametrize("text", ["int i; return 1 / i;", "int i; return 1 % i;"])
def test_int_division_by_zero(failed, text):
    assert failed(text).message == "integer division by zero"
