"""Syntax tree to Python closures: expressions that read. Assignments and statements follow in modules of their own.

A closure takes the frame, a list with one slot per local variable. Names are resolved here, before anything runs:
locals first, then constants and namespaces; `name(` is a command. What no table knows is a diagnostic, and several are
reported in one pass. No script text is ever executed as Python, and no name of a script reaches a Python attribute.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from vlsm_jax.flexscript import operators, syntax, values
from vlsm_jax.flexscript.diagnostics import Diagnostic, Severity, SourceText, did_you_mean
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.machine import Machine
from vlsm_jax.flexscript.operators import VARIES, Operand, Run
from vlsm_jax.flexscript.patterns import Pattern
from vlsm_jax.flexscript.scope import PARAMETERS_SLOT, Scopes
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    DOUBLE,
    INT,
    NODE,
    NUMERIC,
    STRING,
    VARIANT,
    Command,
    Dialect,
    Members,
    Vocabulary,
    known_commands,
)

MAX_DIAGNOSTICS = 50
"""After so many findings the compiler goes on in silence."""

_PARAMETER_COMMANDS = {"param": VARIANT, "msgparam": VARIANT, "parval": DOUBLE, "parstr": STRING, "parnode": NODE}


class ExpressionCompiler:
    """Compiles expressions of one piece of code.

    Attributes:
      diagnostics: findings so far.
      scopes: the local variables.
      handlers: the method for every kind of expression.
    """

    handlers: ClassVar[dict[type, Callable[[Any, Any], Operand]]] = {}

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
        return operators.constant(node.value, INT if isinstance(node.value, int) else DOUBLE)

    def _string(self, node: syntax.String) -> Operand:
        return operators.constant(node.value, STRING)

    def _pattern(self, node: syntax.Pattern) -> Operand:
        return operators.constant(Pattern(node.value, node.flags), "RegExp")

    def _array(self, node: syntax.ArrayLiteral) -> Operand:
        runs = [self.expression(item).run for item in node.items]
        copied, made = values.copied, self.machine.made
        return Operand(lambda frame: made([copied(run(frame)) for run in runs]), ARRAY)

    def _name(self, node: syntax.Name) -> Operand:
        local = self.scopes.find(node.name)
        if local is not None:
            slot = local.slot
            return Operand(lambda frame: frame[slot], local.kind, VARIES, slot)
        constants = self.vocabulary.constants
        if node.name in constants:
            value = constants[node.name]
            kind = INT if isinstance(value, int) else NODE if node.name == "NULL" else VARIANT
            return operators.constant(value, kind)
        return self._unknown_name(node)

    def _unknown_name(self, node: syntax.Name) -> Operand:
        name = node.name
        usual = self.vocabulary.hints.get(name)
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
            left = operators.binary(part.operator, left, right, self.machine.text)
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
        base, index = self.expression(node.base).run, self.expression(node.index).run
        at, element, members = node.at, values.element, self.vocabulary.members

        def read(frame: list) -> Any:
            holder, key = base(frame), index(frame)
            try:
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
        operand = self.expression(base)
        run, members, optional = operand.run, self.vocabulary.members, node.optional

        def read(frame: list) -> Any:
            holder = run(frame)
            if optional and holder is None:
                return None
            try:
                table = members.get(type(holder))
                if table is None:
                    raise no_property(holder, name)
                return read_property(table, holder, name)
            except Fault as fault:
                fault.place(at)
                raise

        return Operand(read, INT if name == "length" else VARIANT)

    def _call(self, node: syntax.Call) -> Operand:
        function = node.function
        if type(function) is syntax.Member:
            return self._call_method(node, function)
        name = function.name
        if name in _PARAMETER_COMMANDS:
            return self._parameter(name, node)
        special = _SPECIAL_COMMANDS.get(name)
        if special is not None:
            return special(self, node)
        command = self.vocabulary.commands.get(name)
        if command is None:
            return self._unknown_command(name, node)
        return self._checked_call(command, name, node)

    def _checked_call(self, command: Command, name: str, node: syntax.Call) -> Operand:
        operands = [self.expression(argument) for argument in node.arguments]
        if len(operands) < command.minimum:
            known = known_commands().get(name)
            hint = f"{name}{known.signature}" if known else f"it takes at least {command.minimum}"
            return self.error("argument", f"not enough parameters for {name}", node.at, hint)
        if len(operands) > command.maximum:
            takes = f"{name} takes {command.maximum} parameter{'s' * (command.maximum != 1)}"
            self.warn("argument", f"{takes}, the rest is ignored", node.at)
        return self._call_closure(command, [operand.run for operand in operands[: command.maximum]], node.at)

    def _call_closure(self, command: Command, runs: list[Run], at: int) -> Operand:
        function = command.function
        if command.bound:
            return Operand(_bound_call(function, self.machine, runs, at), command.result)
        made = self.machine.made
        if len(runs) == 1:
            (first,) = runs
            return Operand(_guarded(lambda frame: made(function(first(frame))), at), command.result)
        return Operand(_guarded(lambda frame: made(function(*[run(frame) for run in runs])), at), command.result)

    def _unknown_command(self, name: str, node: syntax.Call) -> Operand:
        for argument in node.arguments:
            self.expression(argument)
        if self.scopes.find(name) is not None:
            return self.error("unknown command", f"{name} is a variable and cannot be called", node.at)
        if name in known_commands():

            def refuse(frame: list) -> Any:
                raise Unsupported(f"the command {name} is not supported", code="unsupported command", hint="remove it")

            return Operand(_guarded(refuse, node.at), VARIANT)
        hint = self.suggest(name, self.vocabulary.commands, known_commands())
        return self.error("unknown command", f"Unknown command {name} being called", node.at, hint)

    def _parameter(self, name: str, node: syntax.Call) -> Operand:
        if len(node.arguments) != 1:
            return self.error("argument", f"not enough parameters for {name}", node.at, f"{name}(num index)")
        index = self.expression(node.arguments[0]).run
        convert = {"parval": values.to_number, "parstr": values.to_text}.get(name)

        def read(frame: list) -> Any:
            parameters = frame[PARAMETERS_SLOT]
            at = values.to_int(index(frame))
            value = parameters[at - 1] if 1 <= at <= len(parameters) else None
            return convert(value) if convert else value

        return Operand(read, _PARAMETER_COMMANDS[name])

    def _call_method(self, node: syntax.Call, function: syntax.Member) -> Operand:
        base, name, at = function.base, function.name, function.at
        if type(base) is syntax.Name and self.scopes.find(base.name) is None:
            namespace = self.vocabulary.namespaces.get(base.name)
            if namespace is not None:
                command = namespace.methods.get(name)
                if command is None:
                    hint = self.suggest(name, namespace.methods)
                    return self.error("unknown method", f"Unknown method {base.name}.{name}", at, hint)
                return self._checked_call(command, f"{base.name}.{name}", node)
        self._static_member(function)
        holder = self.expression(base)
        runs = [self.expression(argument).run for argument in node.arguments]
        python_type = self.vocabulary.kinds.get(holder.kind)
        result = VARIANT
        if python_type is not None:
            methods = self.vocabulary.members[python_type].methods
            command = methods.get(name)
            if command is None and name not in self.vocabulary.elsewhere:
                hint = self.suggest(name, methods)
                return self.error("unknown method", f"Unknown method {name} of {holder.kind}", at, hint)
            if command is not None:
                result = command.result
                if len(runs) < command.minimum:
                    return self.error("argument", f"not enough parameters for {name}", at)
        return Operand(self._method_closure(holder.run, name, runs, at, function.optional), result)

    def _method_closure(self, base: Run, name: str, runs: list[Run], at: int, optional: bool) -> Run:
        members, machine, elsewhere = self.vocabulary.members, self.machine, self.vocabulary.elsewhere
        world = machine.world

        def call(frame: list) -> Any:
            holder = base(frame)
            if holder is None and optional:
                return None
            arguments = [run(frame) for run in runs]
            try:
                table = members.get(type(holder))
                command = table.methods.get(name) if table is not None else None
                if command is None:
                    raise no_method(holder, name, table, elsewhere)
                if not command.minimum <= len(arguments):
                    raise Fault(f"not enough parameters for {name}", code="argument")
                if len(arguments) > command.maximum:
                    arguments = arguments[: command.maximum]
                if command.bound:
                    machine.at = at
                    return command.function(world, holder, *arguments)
                if type(holder) is list or type(holder) is str:
                    machine.charge(len(holder) >> 4)
                return machine.made(command.function(holder, *arguments))
            except Fault as fault:
                fault.place(at)
                raise

        return call


def read_property(table: Members, holder: Any, name: str) -> Any:
    """Reads `holder.name` by its table; raises `Fault` where there is no such property."""
    getter = table.getters.get(name)
    if getter is not None:
        return getter(holder)
    if table.missing is not None:
        return table.missing(holder, name)
    raise no_property(holder, name)


def no_property(holder: Any, name: str) -> Fault:
    """The fault of reading or writing a property that a value does not have."""
    if holder is None:
        return Fault(f"{name} of NULL", code="null reference", hint="the object was not found, or never assigned")
    return Fault(f"{values.type_name(holder)} does not support property {name}", code="unknown property")


def no_method(holder: Any, name: str, table: Members | None, elsewhere: frozenset[str]) -> Fault:
    """The fault of calling a method that a value does not have."""
    if holder is None:
        return Fault(f"{name}() of NULL", code="null reference", hint="the object was not found, or never assigned")
    if table is not None and table.index is not None and name in elsewhere:
        return Unsupported(f"the method {name} is not supported", code="unsupported command")
    hint = did_you_mean(name, table.methods) if table is not None else ""
    return Fault(f"Unknown method {name} of {values.type_name(holder)}", code="unknown method", hint=hint)


def _guarded(run: Run, at: int) -> Run:
    def guarded(frame: list) -> Any:
        try:
            return run(frame)
        except Fault as fault:
            fault.place(at)
            raise

    return guarded


def _bound_call(function: Callable[..., Any], machine: Machine, runs: list[Run], at: int) -> Run:
    world = machine.world

    def call(frame: list) -> Any:
        arguments = [run(frame) for run in runs]
        machine.at = at
        try:
            return function(world, *arguments)
        except Fault as fault:
            fault.place(at)
            raise

    return call


def _print(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    runs = [compiler.expression(argument).run for argument in node.arguments]
    write = compiler.machine.write
    return Operand(lambda frame: write(*[run(frame) for run in runs]), INT)


def _repeat(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    """`repeat(n, expression)`: evaluates the expression n times, with `count` from 1."""
    if len(node.arguments) != 2:
        return compiler.error("argument", "repeat takes a number and an expression", node.at)
    times = compiler.expression(node.arguments[0]).run
    compiler.scopes.enter()
    slot = compiler.scopes.declare("count", INT, INT).slot
    body = compiler.expression(node.arguments[1]).run
    compiler.scopes.leave()
    machine = compiler.machine

    def run(frame: list) -> Any:
        result = None
        for count in range(1, values.to_int(times(frame)) + 1):
            machine.charge(1)
            frame[slot] = count
            result = body(frame)
        return result

    return Operand(run, VARIANT)


_SPECIAL_COMMANDS = dict.fromkeys(("print", "pt", "pd", "pf", "pr", "printarray"), _print) | {"repeat": _repeat}


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
    syntax.Call: ExpressionCompiler._call,
}
