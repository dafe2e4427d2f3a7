"""The syntax tree: frozen tuples, one class per construct.

Every node ends with `at`, the character offset at which it starts, from which line and column follow.
"""

from __future__ import annotations

from typing import NamedTuple

from vlsm_jax.flexscript.diagnostics import Diagnostic, Severity, SourceText

# --- Expressions ------------------------------------------------------------------------------------------------------


class Number(NamedTuple):
    """A literal number; an int when written without a point or exponent."""

    value: int | float
    at: int


class String(NamedTuple):
    """A literal string."""

    value: str
    at: int


class Pattern(NamedTuple):
    """A literal regular expression with its flags."""

    value: str
    flags: str
    at: int


class Name(NamedTuple):
    """An identifier."""

    name: str
    at: int


class ArrayLiteral(NamedTuple):
    """`[a, b]`, or `{a, b}` behind a declaration."""

    items: tuple[Expression, ...]
    at: int


class Unary(NamedTuple):
    """`-x`, `+x`, `!x` or `~x`."""

    operator: str
    operand: Expression
    at: int


class Increment(NamedTuple):
    """`x++`, `x--`, `++x` or `--x`; `step` is 1 or -1."""

    target: Expression
    step: int
    prefix: bool
    at: int


class Binary(NamedTuple):
    """An operator between two operands; `at` is the operator's own place."""

    operator: str
    left: Expression
    right: Expression
    at: int


class Conditional(NamedTuple):
    """`test ? yes : no`."""

    test: Expression
    yes: Expression
    no: Expression
    at: int


class Assign(NamedTuple):
    """`target = value`, or a compound such as `+=`."""

    operator: str
    target: Expression
    value: Expression
    at: int


class Index(NamedTuple):
    """`base[index]`."""

    base: Expression
    index: Expression
    at: int


class Member(NamedTuple):
    """`base.name`; `at` is the place of the name; `optional` for `?.`."""

    base: Expression
    name: str
    optional: bool
    at: int


class Label(NamedTuple):
    """`base.name?`, which gives Null where there is no such label, or `base.#name`, which is the label in any case.

    Attributes:
      quiet: whether a missing label is Null instead of an exception.
      forced: whether the label is meant although there is a property of that name.
    """

    base: Expression
    name: str
    quiet: bool
    forced: bool
    at: int


class Await(NamedTuple):
    """`await operand`."""

    operand: Expression
    at: int


class Call(NamedTuple):
    """`function(arguments)`, where the function is a `Name` or a `Member`."""

    function: Expression
    arguments: tuple[Expression, ...]
    at: int


Expression = (
    Number
    | String
    | Pattern
    | Name
    | ArrayLiteral
    | Unary
    | Increment
    | Binary
    | Conditional
    | Assign
    | Index
    | Member
    | Label
    | Await
    | Call
)

# --- Statements -------------------------------------------------------------------------------------------------------


class Declarator(NamedTuple):
    """One declared name; `is_array` for `names[]`; `value` is None without an initialiser, `length` without a size."""

    name: str
    is_array: bool
    value: Expression | None
    at: int
    length: Expression | None = None


class Declare(NamedTuple):
    """`type name = value, other;`."""

    type: str
    declarators: tuple[Declarator, ...]
    at: int


class Evaluate(NamedTuple):
    """An expression as a statement."""

    expression: Expression
    at: int


class Block(NamedTuple):
    """`{ ... }`."""

    statements: tuple[Statement, ...]
    at: int


class If(NamedTuple):
    """A chain of `if` and `else if`, flat, with an optional `else`."""

    branches: tuple[tuple[Expression, Statement], ...]
    otherwise: Statement | None
    at: int


class While(NamedTuple):
    """`while (test) body`."""

    test: Expression
    body: Statement
    at: int


class For(NamedTuple):
    """`for (start; test; step) body`; each part may be missing."""

    start: Statement | None
    test: Expression | None
    step: tuple[Expression, ...]
    body: Statement
    at: int


class LoopMacro(NamedTuple):
    """A command followed by a block, such as `forobjecttreeunder(node) { ... }`."""

    name: str
    arguments: tuple[Expression, ...]
    body: Statement
    at: int


class Case(NamedTuple):
    """One `case value:` or, with `value` None, `default:`."""

    value: Expression | None
    statements: tuple[Statement, ...]
    at: int


class Switch(NamedTuple):
    """`switch (subject) { case 1: ... default: ... }`."""

    subject: Expression
    cases: tuple[Case, ...]
    at: int


class Break(NamedTuple):
    """`break;`."""

    at: int


class Continue(NamedTuple):
    """`continue;`."""

    at: int


class Return(NamedTuple):
    """`return value;`."""

    value: Expression | None
    at: int


class Parameter(NamedTuple):
    """One parameter of a function."""

    type: str
    name: str
    at: int


class Function(NamedTuple):
    """`type name(type parameter, ...) { ... }`: a function that a script defines for itself."""

    type: str
    name: str
    parameters: tuple[Parameter, ...]
    body: Block
    at: int


Statement = Declare | Evaluate | Block | If | While | For | LoopMacro | Switch | Break | Continue | Return | Function


class Program(NamedTuple):
    """A parsed script.

    Attributes:
      statements: the statements that could be read.
      diagnostics: findings of lexer and parser, in reading order.
      source: the text.
    """

    statements: tuple[Statement, ...]
    diagnostics: tuple[Diagnostic, ...]
    source: SourceText

    @property
    def ok(self) -> bool:
        """Whether the text has no syntax error."""
        return not any(d.severity is Severity.ERROR for d in self.diagnostics)
