"""Syntax tree to Python closures: calls of commands, methods and functions, type tests, and `await`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import misnomers, syntax, values
from vlsm_jax.flexscript.arrays import size_within
from vlsm_jax.flexscript.compiler import ExpressionCompiler, no_method
from vlsm_jax.flexscript.conversions import ValueType
from vlsm_jax.flexscript.coroutines import wait_for
from vlsm_jax.flexscript.faults import Fault, Unsupported
from vlsm_jax.flexscript.lists import PullResult
from vlsm_jax.flexscript.machine import Machine
from vlsm_jax.flexscript.operators import VARIES, Operand, Run
from vlsm_jax.flexscript.patterns import Pattern
from vlsm_jax.flexscript.scope import FIRST_FREE_SLOT, INSTANCE_SLOT, PARAMETERS_SLOT
from vlsm_jax.flexscript.specials import SPECIAL, signature
from vlsm_jax.flexscript.vocabulary import (
    ARRAY,
    DOUBLE,
    INT,
    MAP,
    NODE,
    NODES,
    NUMERIC,
    PULL_RESULT,
    STRING,
    VARIANT,
    Command,
    TypeSpec,
    known_commands,
)

_PARAMETER_COMMANDS = {"param": VARIANT, "msgparam": VARIANT, "parval": DOUBLE, "parstr": STRING, "parnode": NODE}
_PYTHON_TYPES = {ARRAY: list, MAP: dict, STRING: str}


class Function:
    """A function that a script defines.

    Attributes:
      name: as in the script.
      result: what it returns; None for `void` and for a type that is unknown.
      coercions: one per parameter, None where any value will do.
      body: the closure, None until it is compiled: a function may call itself and those below it.
      size: the number of slots of its frame.
    """

    __slots__ = ("body", "coercions", "name", "result", "size")

    def __init__(self, name: str, result: TypeSpec | None, coercions: list[Callable[[Any], Any] | None]):
        self.name = name
        self.result = result
        self.coercions = coercions
        self.body: Run | None = None
        self.size = FIRST_FREE_SLOT


class CallCompiler(ExpressionCompiler):
    """Compiles calls.

    Attributes:
      functions: those that the script defines, by name.
      waits: whether the code holds an `await` and so runs as a coroutine.
    """

    functions: dict[str, Function]
    waits: bool = False

    def _call(self, node: syntax.Call) -> Operand:
        function = node.function
        if type(function) is syntax.Member:
            return self._pull(node, function) if function.name == "pull" else self.raw_method(node, function)
        name = function.name
        own = self.functions.get(name)
        if own is not None:
            return self._call_function(own, node)
        if name in _PARAMETER_COMMANDS:
            return self._parameter(name, node)
        special = SPECIAL.get(name)
        if special is not None:
            return special(self, node)
        command = self.vocabulary.commands.get(name)
        if command is None:
            return self._unknown_command(name, node)
        return self._checked_call(command, name, node)

    # --- Commands -----------------------------------------------------------------------------------------------------

    def _checked_call(self, command: Command, name: str, node: syntax.Call) -> Operand:
        operands = [self.expression(argument) for argument in node.arguments]
        if len(operands) < command.minimum:
            return self.error("argument", f"not enough parameters for {name}", node.at, _takes(name, command))
        if len(operands) > command.maximum:
            takes = f"{name} takes {command.maximum} parameter{'s' * (command.maximum != 1)}"
            self.warn("argument", f"{takes}, the rest is ignored", node.at, signature(name))
        if name in misnomers.ORDERED:
            self._check_order(name, operands, node.at)
        return self._call_closure(command, [operand.run for operand in operands[: command.maximum]], node.at)

    def _check_order(self, name: str, operands: list[Operand], at: int) -> None:
        """Warns where constant arguments cannot have been meant in the order given."""
        constants = [None if operand.constant is VARIES else operand.constant for operand in operands]
        doubtful = misnomers.suspicious(name, constants)
        if doubtful:
            self.warn("argument", f"the arguments of {name} look out of order", at, doubtful)

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
        hint = misnomers.COMMANDS.get(name) or self.suggest(
            name, self.vocabulary.commands, known_commands(), self.functions
        )
        return self.error("unknown command", f"Unknown command {name} being called", node.at, hint)

    def _parameter(self, name: str, node: syntax.Call) -> Operand:
        if len(node.arguments) != 1:
            return self.error("argument", f"not enough parameters for {name}", node.at, f"{name}(num index)")
        index = self.expression(node.arguments[0]).run
        convert = {"parval": values.to_number, "parstr": values.to_text}.get(name)
        before = int(name == "msgparam")  # of an OnMessage trigger, whose first parameter is the sender

        def read(frame: list) -> Any:
            parameters = frame[PARAMETERS_SLOT]
            at = values.to_int(index(frame)) + before
            value = parameters[at - 1] if 1 <= at <= len(parameters) else None
            return convert(value) if convert else value

        return Operand(read, _PARAMETER_COMMANDS[name])

    # --- Functions of the script --------------------------------------------------------------------------------------

    def _call_function(self, function: Function, node: syntax.Call) -> Operand:
        runs = [self.expression(argument).run for argument in node.arguments]
        wanted = len(function.coercions)
        if len(runs) != wanted:
            what = "not enough" if len(runs) < wanted else "too many"
            hint = f"{function.name} takes {wanted} parameter{'s' * (wanted != 1)}"
            return self.error("argument", f"{what} parameters for {function.name}", node.at, hint)
        machine, at, copied = self.machine, node.at, values.copied
        steps = [(run, coerce or copied) for run, coerce in zip(runs, function.coercions, strict=True)]
        result = function.result
        convert = result.coerce if result is not None else None

        def call(frame: list) -> Any:
            arguments = [coerce(run(frame)) for run, coerce in steps]
            inner = [None] * function.size
            inner[: INSTANCE_SLOT + 1] = frame[: INSTANCE_SLOT + 1]
            inner[FIRST_FREE_SLOT : FIRST_FREE_SLOT + wanted] = arguments
            machine.enter_function()
            try:
                signal = function.body(inner)
            except Fault as fault:
                fault.place(at)
                raise
            finally:
                machine.calls -= 1
            value = signal[0] if type(signal) is tuple else None
            return convert(value) if convert is not None else value

        return Operand(call, result.kind if result is not None else VARIANT)

    # --- Methods ------------------------------------------------------------------------------------------------------

    def _pull(self, node: syntax.Call, function: syntax.Member) -> Operand:
        operand = self.raw_method(node, function)
        # Only `await`, `.backOrder` and a List.PullResult variable see the result as such; all else gets its value.
        run = operand.run

        def value(frame: list) -> Any:
            result = run(frame)
            return result.value if type(result) is PullResult else result

        return Operand(value, VARIANT if operand.kind == PULL_RESULT else operand.kind)

    def raw(self, node: syntax.Expression) -> Operand:
        """Compiles an expression whose value may be the result of a pull, with its back order."""
        if type(node) is syntax.Call and type(node.function) is syntax.Member and node.function.name == "pull":
            return self.raw_method(node, node.function)
        return self.expression(node)

    def raw_method(self, node: syntax.Call, function: syntax.Member) -> Operand:
        """Compiles the call of a method, or of a function of a namespace."""
        base, name, at = function.base, function.name, function.at
        if type(base) is syntax.Name and self.scopes.find(base.name) is None:
            namespace = self.vocabulary.namespaces.get(base.name)
            if namespace is not None:
                command = namespace.methods.get(name)
                if command is None:
                    hint = self.suggest(name, namespace.methods)
                    return self.error("unknown method", f"Unknown method {base.name}.{name}", at, hint)
                return self._checked_call(command, f"{base.name}.{name}", node)
        if name in ("is", "as") and len(node.arguments) == 1:
            type_name = dotted(node.arguments[0])
            if type_name is not None and self.scopes.find(type_name) is None:
                return self._type_call(base, name, type_name, node, function.optional)
        self._static_member(function)
        holder = self.expression(base)
        runs = [self.expression(argument).run for argument in node.arguments]
        python_type = self.vocabulary.kinds.get(holder.kind)
        result = VARIANT
        if python_type is not None:
            methods = self.vocabulary.members[python_type].methods
            command = methods.get(name)
            if command is None and name not in self.vocabulary.elsewhere:
                hint = misnomers.METHODS.get(name) or self.suggest(name, methods)
                if name in self.vocabulary.members[python_type].getters:
                    hint = f"{name} is a property: write .{name} without parentheses"
                return self.error("unknown method", f"Unknown method {name} of {holder.kind}", at, hint)
            if command is not None:
                result = command.result
                if len(runs) < command.minimum:
                    return self.error("argument", f"not enough parameters for {name}", at, _takes(name, command))
                if len(runs) > command.maximum:
                    self.warn("argument", f"{_takes(name, command)}, the rest is ignored", at)
        return Operand(self._method_closure(holder.run, name, runs, at, function.optional), result)

    def _method_closure(self, base: Run, name: str, runs: list[Run], at: int, optional: bool) -> Run:
        members, machine, elsewhere = self.vocabulary.members, self.machine, self.vocabulary.elsewhere
        world, clones = machine.world, name == "clone"

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
                    raise Fault(f"not enough parameters for {name}", code="argument", hint=_takes(name, command))
                if len(arguments) > command.maximum:
                    arguments = arguments[: command.maximum]
                if command.bound:
                    machine.at = at
                    return command.function(world, holder, *arguments)
                if type(holder) is list or type(holder) is str or type(holder) is dict:
                    machine.charge(size_within(holder) >> 2 if clones and type(holder) is not str else len(holder) >> 4)
                    if arguments and type(arguments[0]) is Pattern:
                        machine.check_time()  # one match may take as long as thousands of steps
                elif isinstance(holder, ValueType):
                    before = holder.weight()
                    machine.charge(before >> (2 if clones else 4))
                    result = machine.made(command.function(holder, *arguments))
                    machine.charge(max(0, holder.weight() - before) >> 2)
                    return result
                return machine.made(command.function(holder, *arguments))
            except Fault as fault:
                fault.place(at)
                raise

        return call

    # --- Types --------------------------------------------------------------------------------------------------------

    def _type_call(self, base: syntax.Expression, name: str, type_name: str, node: syntax.Call, optional: bool):
        """`x.is(Type)` and `x.as(Type)`."""
        spec = self.vocabulary.types.get(type_name)
        run, at = self.expression(base).run, node.at
        if spec is None:
            hint = self.suggest(type_name, self.vocabulary.types)
            return self.error("unknown type", f"{type_name} is not a type", node.arguments[0].at, hint)
        if name == "is":
            accepts = spec.accepts or _acceptance(spec)

            def test(frame: list) -> int:
                value = run(frame)
                return int(value is not None and accepts(value))

            return Operand(test, INT)
        coerce = self.type_coercion(spec) or values.copied

        def convert(frame: list) -> Any:
            value = run(frame)
            if value is None and optional:
                return None
            try:
                return coerce(value)
            except Fault as fault:
                fault.place(at)
                raise

        return Operand(convert, spec.kind)

    # --- Waiting ------------------------------------------------------------------------------------------------------

    def _await(self, node: syntax.Await) -> Operand:
        self.waits = True
        operand = self.raw(node.operand)
        run, machine, at = operand.run, self.machine, node.at

        def wait(frame: list) -> Any:
            try:
                return wait_for(machine, run(frame))
            except Fault as fault:
                fault.place(at)
                raise

        return Operand(wait, VARIANT)


def dotted(node: syntax.Expression) -> str | None:
    """Returns the name that an expression such as `Conveyor.Item` spells, None for any other expression."""
    if type(node) is syntax.Name:
        return node.name
    if type(node) is syntax.Member and not node.optional:
        base = dotted(node.base)
        return None if base is None else f"{base}.{node.name}"
    return None


def _acceptance(spec: TypeSpec) -> Callable[[Any], bool]:
    """Returns the test whether a value that is not Null is of a type."""
    kind, coerce = spec.kind, spec.coerce
    if kind in NUMERIC:
        return lambda value: isinstance(value, (int, float))
    if kind in _PYTHON_TYPES:
        python_type = _PYTHON_TYPES[kind]
        return lambda value: type(value) is python_type
    if kind in NODES:

        def is_node(value: Any) -> bool:
            if isinstance(value, (int, float, str, list, dict, ValueType)):
                return False
            try:
                return coerce is None or coerce(value) is value
            except Fault:
                return False

        return is_node
    return lambda value: kind == VARIANT or (isinstance(value, ValueType) and value.type_name == kind)


def _takes(name: str, command: Command) -> str:
    """What a command or method takes: its signature where that is known."""
    known = signature(name)
    if known:
        return known
    least, most = command.minimum, command.maximum
    count = f"{least}" if least == most else f"at least {least}" if most >= 20 else f"{least} to {most}"
    return f"{name} takes {count} parameter{'s' * (count != '1')}"


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


CallCompiler.handlers = {
    **ExpressionCompiler.handlers,
    syntax.Call: CallCompiler._call,
    syntax.Await: CallCompiler._await,
}
