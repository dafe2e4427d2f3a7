"""Syntax tree to Python closures: expressions that read. Assignments and statements follow in modules of their own.

A closure takes the frame, a list with one slot per local variable. Names are resolved here, before anything runs:
locals first, then constants and namespaces; `name(` is a command. What no table knows is a diagnostic, and several are
reported in one pass. No script text is ever executed as Python, and no name of a script reaches a Python attribute.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from vlsm_jax.flexscript import misnomers, operators, syntax, values
from vlsm_jax.flexscript.diagnostics import Diagnostic, Severity, SourceText, did_you_mean
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.machine import Machine
from vlsm_jax.flexscript.operators import Operand, Run
from vlsm_jax.flexscript.patterns import Pattern
from vlsm_jax.flexscript.scope import Scopes
from vlsm_jax.flexscript.texts import text_char, text_length
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    DOUBLE,
    INT,
    MAP,
    NODE,
    NUMERIC,
    STRING,
    VARIANT,
    Dialect,
    Members,
    Vocabulary,
    known_commands,
)

MAX_DIAGNOSTICS = 50
"""After so many findings the compiler goes on in silence."""

_SHORT = 32
"""Characters of strings that scripts may have in common: names of classes and properties, keys of connections."""

_COLLECTIONS = frozenset(("subnodes", "inObjects", "outObjects", "centerObjects", "labels", "keys", "values"))
_MEASURED = frozenset((STRING, ARRAY, MAP))
_MISSING = ("missing label", "map key")
"""Faults that `obj.Label?` turns into Null."""


class ExpressionCompiler:
    """Compiles expressions of one piece of code.

    Attributes:
      diagnostics: findings so far.
      scopes: the local variables.
      handlers: the method for every kind of expression.
    """

    handlers: ClassVar[dict[type, Callable[[Any, Any], Operand]]] = {}
    raw: Callable[[Any, syntax.Expression], Operand]
    _call_closure: Callable[..., Operand]

    def __init__(self, source: SourceText, vocabulary: Vocabulary, machine: Machine, dialect: Dialect):
        self.source = source
        self.vocabulary = vocabulary
        self.machine = machine
        self.dialect = dialect
        self.scopes = Scopes()
        self.diagnostics: list[Diagnostic] = []

    def error(self, code: str, message: str, at: int, hint: str = "") -> Operand:
        """Reports an error and returns an operand that stands in for what could not be compiled."""
        if len(self.diagnostics) < MAX_DIAGNOSTICS:
            self.diagnostics.append(self.source.diagnostic(code, message, at, hint=hint))
        return operators.constant(None, VARIANT)

    def warn(self, code: str, message: str, at: int, hint: str = "") -> None:
        """Reports a warning."""
        if len(self.diagnostics) < MAX_DIAGNOSTICS:
            diagnostic = self.source.diagnostic(code, message, at, hint=hint, severity=Severity.WARNING)
            self.diagnostics.append(diagnostic)

    def suggest(self, name: str, *candidates: Iterable[str]) -> str:
        """Returns "did you mean ...?", while there is still room for it: a search takes a while."""
        if len(self.diagnostics) >= MAX_DIAGNOSTICS:
            return ""
        return did_you_mean(name, itertools.chain(*candidates))

    def expression(self, node: syntax.Expression) -> Operand:
        """Compiles one expression."""
        return self.handlers[type(node)](self, node)

    def conditional_test(self, node: syntax.Expression) -> Run:
        """Compiles a condition; warns where `=` was probably meant to be `==`."""
        if type(node) is syntax.Assign and node.operator == "=":
            self.warn("condition", "this condition assigns", node.at, "write == to compare")
        return operators.condition(self.expression(node))

    # --- Literals and names -------------------------------------------------------------------------------------------

    def _number(self, node: syntax.Number) -> Operand:
        value = node.value
        return operators.common_constant(value, INT) if isinstance(value, int) else operators.constant(value, DOUBLE)

    def _string(self, node: syntax.String) -> Operand:
        value = node.value
        return operators.common_constant(value, STRING) if len(value) <= _SHORT else operators.constant(value, STRING)

    def _pattern(self, node: syntax.Pattern) -> Operand:
        return operators.constant(Pattern(node.value, node.flags), "RegExp")

    def _array(self, node: syntax.ArrayLiteral) -> Operand:
        runs = [self.expression(item).run for item in node.items]
        copied, made = values.copied, self.machine.made
        return Operand(lambda frame: made([copied(run(frame)) for run in runs]), ARRAY)

    def _name(self, node: syntax.Name) -> Operand:
        local = self.scopes.find(node.name)
        if local is not None:
            return operators.local(local.slot, local.kind)
        constants = self.vocabulary.constants
        if node.name in constants:
            value = constants[node.name]
            kind = INT if isinstance(value, int) else NODE if node.name == "NULL" else VARIANT
            return operators.constant(value, kind)
        return self._unknown_name(node)

    def _unknown_name(self, node: syntax.Name) -> Operand:
        name = node.name
        usual = self.vocabulary.hints.get(name) or misnomers.NAMES.get(name)
        if usual:
            return self.error("unknown name", f"{name} is not declared", node.at, usual)
        if name in self.vocabulary.commands or name in known_commands():
            return self.error("unknown name", f"{name} is a command", node.at, f"call it: {name}(...)")
        if name in self.vocabulary.namespaces or name in self.vocabulary.types:
            return self.error("unknown name", f"{name} is not a value", node.at)
        hint = self.vocabulary.hints.get(name) or self.suggest(name, self.scopes.names(), self.vocabulary.constants)
        return self.error("unknown name", f"{name} is not declared", node.at, hint)

    # --- Operators ----------------------------------------------------------------------------------------------------

    def _unary(self, node: syntax.Unary) -> Operand:
        operand = self.expression(node.operand)
        run = operand.run
        if node.operator == "!":
            test = operators.condition(operand)
            return Operand(lambda frame: not test(frame), INT)
        if node.operator == "~":
            to_int = values.to_int
            return Operand(lambda frame: ~to_int(run(frame)), INT)
        if operand.kind in NUMERIC:
            return Operand(lambda frame: -run(frame), operand.kind)
        negate = values.negate
        return Operand(lambda frame: negate(run(frame)), VARIANT)

    def _binary(self, node: syntax.Binary) -> Operand:
        # Walk down the left side in a loop: a chain such as a + b + c is as deep as it is long.
        spine = [node]
        left_node = node.left
        while type(left_node) is syntax.Binary:
            spine.append(left_node)
            left_node = left_node.left
        left = self.expression(left_node)
        for part in reversed(spine):
            right = self.expression(part.right)
            if part.operator in ("&&", "||"):
                left = operators.logical(part.operator, left, right)
                continue
            if part.operator == "+":
                self._check_sum(left, right, part.at)
            left = operators.binary(part.operator, left, right, self.machine.text, self.dialect.wrap_ints)
        return left

    def _check_sum(self, left: Operand, right: Operand, at: int) -> None:
        if left.kind == STRING and right.kind in NUMERIC and not self.dialect.text_plus_number:
            self.error("type", "a string and a number cannot be added", at, "wrap the number: string.fromNum(x)")
        elif left.kind in NUMERIC and right.kind == STRING and not self.dialect.number_plus_text:
            self.error("type", "a number and a string cannot be added", at, "wrap the number: string.fromNum(x)")

    def _conditional(self, node: syntax.Conditional) -> Operand:
        test = self.conditional_test(node.test)
        yes, no = self.expression(node.yes), self.expression(node.no)
        kind = yes.kind if yes.kind == no.kind else DOUBLE if {yes.kind, no.kind} <= NUMERIC else VARIANT
        a, b = yes.run, no.run
        return Operand(lambda frame: a(frame) if test(frame) else b(frame), kind)

    # --- Elements, members and calls ----------------------------------------------------------------------------------

    def _index(self, node: syntax.Index) -> Operand:
        holder_operand = self.expression(node.base)
        base, index = holder_operand.run, self.expression(node.index).run
        at, element, members = node.at, values.element, self.vocabulary.members
        if holder_operand.kind == STRING:
            return Operand(_character(base, index, at), STRING)

        def read(frame: list) -> Any:
            holder, key = base(frame), index(frame)
            try:
                if type(holder) is not list:
                    special = members.get(type(holder))
                    if special is not None and special.index is not None:
                        return special.index(holder, key)
                return element(holder, key)
            except Fault as fault:
                fault.place(at)
                raise

        return Operand(read, VARIANT)

    def _static_member(self, node: syntax.Member) -> None:
        """Reports a property read from an untyped node, where the dialect refuses that."""
        if self.dialect.untyped_properties:
            return
        base = node.base
        if type(base) is syntax.Call and self.expression(base).kind == NODE and node.name in ("location", "size"):
            hint = "declare it first: Object x = ...;"
            self.error("type", f'Property "{node.name}" cannot be read from an untyped node', node.at, hint)

    def _member(self, node: syntax.Member) -> Operand:
        base, name, at = node.base, node.name, node.at
        if type(base) is syntax.Name and self.scopes.find(base.name) is None:
            namespace = self.vocabulary.namespaces.get(base.name)
            if namespace is not None:
                getter = namespace.properties.get(name)
                if getter is None:
                    hint = self.suggest(name, namespace.properties)
                    return self.error("unknown property", f"{base.name} does not support property {name}", at, hint)
                return self._call_closure(getter, [], at)
        self._static_member(node)
        operand = self.raw(base) if name == "backOrder" else self.expression(base)
        run, members, optional = operand.run, self.vocabulary.members, node.optional

        def read(frame: list) -> Any:
            holder = run(frame)
            if optional and holder is None:
                return None
            try:
                table = members.get(type(holder))
                if table is None:
                    return typeless_property(holder, name)
                return read_property(table, holder, name)
            except Fault as fault:
                if optional and fault.code in _MISSING and fault.at is None:
                    return None
                fault.place(at)
                raise

        if name == "length":
            # Only of these is it known that the length is an int and no label, whose value could be anything.
            if operand.kind in _MEASURED:
                return Operand(read, INT)
            if type(base) is syntax.Member and base.name in _COLLECTIONS:
                to_int = values.to_int
                return Operand(lambda frame: to_int(read(frame)), INT)
        return Operand(read, VARIANT)

    def _label(self, node: syntax.Label) -> Operand:
        name, quiet, forced, at = node.name, node.quiet, node.forced, node.at
        run, members = self.expression(node.base).run, self.vocabulary.members

        def read(frame: list) -> Any:
            holder = run(frame)
            try:
                table = members.get(type(holder))
                if table is None:
                    raise no_property(holder, name)
                if not forced:
                    return read_property(table, holder, name)
                if table.missing is None:
                    raise no_property(holder, name)
                return table.missing(holder, name)
            except Fault as fault:
                if quiet and fault.code in _MISSING:
                    return None
                fault.place(at)
                raise

        return Operand(read, VARIANT)


def _character(base: Run, index: Run, at: int) -> Run:
    """`text[n]` on a string variable: the character at that byte."""

    def read(frame: list) -> Any:
        text = base(frame)
        char = text_char(text, index(frame))
        if not char:
            hint = f"the string has {text_length(text)} bytes, counted from 1"
            raise Fault("Array index out of bounds", code="array index", at=at, hint=hint)
        return char

    return read


def read_property(table: Members, holder: Any, name: str) -> Any:
    """Reads `holder.name` by its table; raises `Fault` where there is no such property."""
    getter = table.getters.get(name)
    if getter is not None:
        return getter(holder)
    if table.missing is not None:
        return table.missing(holder, name)
    raise no_property(holder, name)


def typeless_property(holder: Any, name: str) -> Any:
    """Reads a property of NULL or of a number, which have only a `type`."""
    if name == "type" and (holder is None or isinstance(holder, (int, float))):
        return 0 if holder is None else 1
    raise no_property(holder, name)


def no_property(holder: Any, name: str) -> Fault:
    """The fault of reading or writing a property that a value does not have."""
    if holder is None:
        return Fault(f"{name} of NULL", code="null reference", hint="the object was not found, or never assigned")
    hint = misnomers.PROPERTIES.get(name, "")
    return Fault(f"{values.type_name(holder)} does not support property {name}", code="unknown property", hint=hint)


def no_method(holder: Any, name: str, table: Members | None, elsewhere: frozenset[str]) -> Fault:
    """The fault of calling a method that a value does not have."""
    if holder is None:
        return Fault(f"{name}() of NULL", code="null reference", hint="the object was not found, or never assigned")
    if table is not None and table.index is not None and name in elsewhere:
        return Unsupported(f"the method {name} is not supported", code="unsupported command")
    if table is not None and name in table.getters:
        hint = f"{name} is a property: write .{name} without parentheses"
        return Fault(f"Unknown method {name} of {values.type_name(holder)}", code="unknown method", hint=hint)
    hint = misnomers.METHODS.get(name, "") or (did_you_mean(name, table.methods) if table is not None else "")
    return Fault(f"Unknown method {name} of {values.type_name(holder)}", code="unknown method", hint=hint)


ExpressionCompiler.handlers = {
    syntax.Number: ExpressionCompiler._number,
    syntax.String: ExpressionCompiler._string,
    syntax.Pattern: ExpressionCompiler._pattern,
    syntax.Name: ExpressionCompiler._name,
    syntax.ArrayLiteral: ExpressionCompiler._array,
    syntax.Unary: ExpressionCompiler._unary,
    syntax.Binary: ExpressionCompiler._binary,
    syntax.Conditional: ExpressionCompiler._conditional,
    syntax.Index: ExpressionCompiler._index,
    syntax.Member: ExpressionCompiler._member,
    syntax.Label: ExpressionCompiler._label,
}
