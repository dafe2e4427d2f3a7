"""The shape of the syntax tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.flexscript import known_commands, parse, parse_expression, syntax


def shape(node):
    """An expression as nested lists, without places."""
    match node:
        case syntax.Number(value, _) | syntax.String(value, _) | syntax.Name(value, _):
            return value
        case syntax.Binary(operator, left, right, _) | syntax.Assign(operator, left, right, _):
            return [operator, shape(left), shape(right)]
        case syntax.Unary(operator, operand, _):
            return [operator, shape(operand)]
        case syntax.Conditional(test, yes, no, _):
            return ["?", shape(test), shape(yes), shape(no)]
        case syntax.Member(base, name, _, _):
            return [".", shape(base), name]
        case syntax.Index(base, index, _):
            return ["[]", shape(base), shape(index)]
        case syntax.Call(function, arguments, _):
            return ["()", shape(function), *map(shape, arguments)]
        case syntax.ArrayLiteral(items, _):
            return ["array", *map(shape, items)]
    return type(node).__name__


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = b = c", ["=", "a", ["=", "b", "c"]]),
        ("a - b - c", ["-", ["-", "a", "b"], "c"]),
        ("a + b * c == d && e || f", ["||", ["&&", ["==", ["+", "a", ["*", "b", "c"]], "d"], "e"], "f"]),
        ("a & b == c", ["&", "a", ["==", "b", "c"]]),
        ("a ? b : c ? d : e", ["?", "a", "b", ["?", "c", "d", "e"]]),
        ("x = a ? b : c", ["=", "x", ["?", "a", "b", "c"]]),
        ("p[i].location.x += 5 * i", ["+=", [".", [".", ["[]", "p", "i"], "location"], "x"], ["*", 5, "i"]]),
        ('library().find("?Q").x', [".", ["()", [".", ["()", "library"], "find"], "?Q"], "x"]),
        ("-a * b", ["*", ["-", "a"], "b"]),
        ("-2", -2),
        ("!a.b", ["!", [".", "a", "b"]]),
        ("[1, [2]]", ["array", 1, ["array", 2]]),
    ],
)
def test_precedence(text, expected):
    assert shape(parse_expression(text)) == expected


def test_else_if_chains_are_flat():
    text = "if (a) x; " + "".join(f"else if (b == {i}) x; " for i in range(500)) + "else y;"
    program = parse(text)
    assert program.ok
    (statement,) = program.statements
    assert len(statement.branches) == 501


def test_declarations():
    program = parse('Conveyor.Item x; string n[] = {"a"}; int a = 1, b; Object o = NULL;')
    assert program.ok
    assert [s.type for s in program.statements] == ["Conveyor.Item", "string", "int", "Object"]
    assert program.statements[1].declarators[0].is_array
    assert [d.name for d in program.statements[2].declarators] == ["a", "b"]


def test_the_tree_is_frozen():
    statement = parse("int a = 1;").statements[0]
    with pytest.raises(AttributeError):
        statement.type = "double"


@given(st.text(alphabet="abx(){}[];=+-*/<>!&|\"'.,? \n0123456789#", max_size=80))
@settings(max_examples=400, deadline=None)
def test_any_text_is_parsed_without_an_exception(text):
    program = parse(text)
    for diagnostic in program.diagnostics:
        assert 1 <= diagnostic.line <= text.count("\n") + 1
        assert diagnostic.column >= 1
        assert diagnostic.message


def test_the_command_table_is_complete():
    commands = known_commands()
    assert len(commands) == 1215
    assert commands["contextdragconnection"].arity == (3, 3)
    assert commands["exponential"].arity == (2, 3)
    assert commands["createinstance"].deprecated
