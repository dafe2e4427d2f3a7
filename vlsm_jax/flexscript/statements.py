"""Syntax tree to Python closures: statements, and the compiled piece of code as a whole.

A statement's closure returns None, or a signal: `BREAK`, `CONTINUE`, or a one-tuple that holds a returned value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import arrays, misnomers, syntax, values
from vlsm_jax.flexscript.assignment import AssignmentCompiler
from vlsm_jax.flexscript.calls import Function
from vlsm_jax.flexscript.coroutines import Coroutine
from vlsm_jax.flexscript.diagnostics import Diagnostic, Severity, SourceText
from vlsm_jax.flexscript.faults import Fault, OutOfBudget
from vlsm_jax.flexscript.machine import Machine
from vlsm_jax.flexscript.operators import Run
from vlsm_jax.flexscript.scope import CODE_SLOT, INSTANCE_SLOT, PARAMETERS_SLOT, Scopes
from vlsm_jax.flexscript.vocabulary import ARRAY, PULL_RESULT, VARIANT, Dialect, TypeSpec, Vocabulary

BREAK, CONTINUE = object(), object()


class StatementCompiler(AssignmentCompiler):
    """Compiles statements; every method returns the closure and whether it may give a signal."""

    def __init__(self, source: SourceText, vocabulary: Vocabulary, machine: Machine, dialect: Dialect):
        super().__init__(source, vocabulary, machine, dialect)
        self._loops = 0
        self._switches = 0
        self.functions = {}

    def statement(self, node: syntax.Statement) -> tuple[Run, bool]:
        """Compiles one statement."""
        return _STATEMENTS[type(node)](self, node)

    def program(self, statements: tuple[syntax.Statement, ...]) -> tuple[Run, bool]:
        """Compiles the statements of a whole text; functions are known before the first statement."""
        for statement in statements:
            if type(statement) is syntax.Function:
                self._announce(statement)
        return self.sequence(statements)

    def _announce(self, node: syntax.Function) -> None:
        if not self.dialect.functions:
            hint = "write its statements where needed"
            self.error("syntax", f"function {node.name} cannot be defined in a script", node.at, hint)
            return
        types = self.vocabulary.types
        for name, at in ((node.type, node.at), *((p.type, p.at) for p in node.parameters)):
            if name not in types and name != "void":
                self._unknown_type(name, at)
        if node.name in self.functions:
            self.error("redeclared", f"function {node.name} is already defined", node.at, "choose another name")
        coercions = [self.type_coercion(types[p.type]) if p.type in types else None for p in node.parameters]
        self.functions[node.name] = Function(node.name, types.get(node.type), coercions)

    def _function(self, node: syntax.Function) -> tuple[Run, bool]:
        function = self.functions.get(node.name)
        if function is None:
            if self.dialect.functions:
                self.error("syntax", "a function is defined outside of every block", node.at, "move it to the top")
            return _nothing, False
        outer, self.scopes = self.scopes, Scopes()
        counts, (self._loops, self._switches) = (self._loops, self._switches), (0, 0)
        for parameter in node.parameters:
            spec = self.vocabulary.types.get(parameter.type)
            self.scopes.declare(parameter.name, parameter.type, spec.kind if spec else VARIANT)
        function.body = self.sequence(node.body.statements)[0]
        function.size = self.scopes.size
        self.scopes = outer
        self._loops, self._switches = counts
        return _nothing, False

    def sequence(self, statements: tuple[syntax.Statement, ...]) -> tuple[Run, bool]:
        """Compiles statements in the current scope."""
        runs: list[Run] = []
        places: list[int] = []
        signals = False
        for statement in statements:
            run, may_signal = self.statement(statement)
            runs.append(run)
            places.append(statement.at)
            signals = signals or may_signal
        steps = tuple(runs)

        def plain(frame: list) -> None:
            run = None
            try:
                for run in steps:
                    run(frame)
            except (Fault, ArithmeticError) as error:
                raise _located(error, places[steps.index(run)]) from None

        def signalling(frame: list) -> Any:
            run = None
            try:
                for run in steps:
                    signal = run(frame)
                    # An expression's value is no signal; only these three shapes are.
                    if signal is not None and (signal is BREAK or signal is CONTINUE or type(signal) is tuple):
                        return signal
            except (Fault, ArithmeticError) as error:
                raise _located(error, places[steps.index(run)]) from None
            return None

        return (signalling, True) if signals else (plain, False)

    def _scoped(self, statements: tuple[syntax.Statement, ...]) -> tuple[Run, bool]:
        self.scopes.enter()
        compiled = self.sequence(statements)
        self.scopes.leave()
        return compiled

    def _body(self, node: syntax.Statement) -> tuple[Run, bool, int]:
        """Compiles the body of a loop; also returns what one turn costs in steps."""
        statements = node.statements if type(node) is syntax.Block else (node,)
        self._loops += 1
        run, signals = self._scoped(statements)
        self._loops -= 1
        return run, signals, len(statements) + 1

    def _block(self, node: syntax.Block) -> tuple[Run, bool]:
        return self._scoped(node.statements)

    def _evaluate(self, node: syntax.Evaluate) -> tuple[Run, bool]:
        expression = node.expression
        operand = self.expression(expression)
        if type(expression) is syntax.Binary and expression.operator == "==":
            self.warn("no effect", "this comparison has no effect", expression.at, "write = to assign")
        return operand.run, False

    # --- Declarations -------------------------------------------------------------------------------------------------

    def _declare(self, node: syntax.Declare) -> tuple[Run, bool]:
        spec = self.vocabulary.types.get(node.type)
        if spec is None:
            self._unknown_type(node.type, node.at)
        runs = [self._declarator(node.type, spec, declarator) for declarator in node.declarators]
        if len(runs) == 1:
            return runs[0], False

        def declare(frame: list) -> None:
            for run in runs:
                run(frame)

        return declare, False

    def _unknown_type(self, name: str, at: int) -> None:
        words = ("if", "for", "while", "return", "else", "switch", "case")
        hint = misnomers.TYPES.get(name) or misnomers.KEYWORDS.get(name)
        hint = hint or self.suggest(name, self.vocabulary.types, words)
        self.error("unknown type", f"{name} is not a type", at, hint)

    def _declarator(self, type_name: str, spec: TypeSpec | None, declarator: syntax.Declarator) -> Run:
        keeps_result = spec is not None and spec.kind == PULL_RESULT
        compile_value = self.raw if keeps_result else self.expression
        operand = None if declarator.value is None else compile_value(declarator.value)
        if self.scopes.declares_here(declarator.name):
            hint = "assign to it without the type, or choose another name"
            self.error("redeclared", f"{declarator.name} is already declared here", declarator.at, hint)
        element = arrays.DEFAULTS.get(type_name)
        if declarator.is_array:
            type_name, spec = ARRAY, self.vocabulary.types[ARRAY]
        elif type_name == "var":
            kind = operand.kind if operand else VARIANT
            spec = self.vocabulary.types.get(kind) or self.vocabulary.types[VARIANT]
            type_name = kind if kind in self.vocabulary.types else VARIANT
        kind = spec.kind if spec else VARIANT
        length = None if declarator.length is None else self.expression(declarator.length).run
        slot = self.scopes.declare(declarator.name, type_name, kind).slot
        if operand is None and length is not None:
            made, new_array = self.machine.made, arrays.new_array

            def fill(frame: list) -> None:
                frame[slot] = made(arrays.array_fill(new_array(length(frame)), element))

            return fill
        if operand is None:
            default = spec.default if spec else _null

            def clear(frame: list) -> None:
                frame[slot] = default()

            return clear
        run = self.converted(spec, operand, declarator.at)

        def declare(frame: list) -> None:
            frame[slot] = run(frame)

        return declare

    # --- Branches -----------------------------------------------------------------------------------------------------

    def _branch(self, node: syntax.Statement) -> tuple[Run, bool]:
        return self._scoped(node.statements if type(node) is syntax.Block else (node,))

    def _if(self, node: syntax.If) -> tuple[Run, bool]:
        branches = []
        signals = False
        for test_node, body_node in node.branches:
            test = self.conditional_test(test_node)
            body, may_signal = self._branch(body_node)
            signals = signals or may_signal
            branches.append((test, body))
        otherwise = None
        if node.otherwise is not None:
            otherwise, may_signal = self._branch(node.otherwise)
            signals = signals or may_signal
        if len(branches) == 1:
            test, body = branches[0]
            if otherwise is None:
                return lambda frame: body(frame) if test(frame) else None, signals
            return lambda frame: body(frame) if test(frame) else otherwise(frame), signals

        def choose(frame: list) -> Any:
            for test, body in branches:
                if test(frame):
                    return body(frame)
            return otherwise(frame) if otherwise is not None else None

        return choose, signals

    def _switch(self, node: syntax.Switch) -> tuple[Run, bool]:
        subject = self.expression(node.subject).run
        entries: dict[int, int] = {}
        default = None
        runs: list[Run] = []
        self.scopes.enter()
        self._switches += 1
        for case in node.cases:
            if case.value is None:
                default = len(runs)
            else:
                value = self.expression(case.value).constant
                if isinstance(value, (int, float)):
                    entries.setdefault(values.to_int(value), len(runs))
                else:
                    self.error("type", "a case needs a constant number", case.at, "use if and else if for strings")
            runs.append(self.sequence(case.statements)[0])
        self._switches -= 1
        self.scopes.leave()
        to_int = values.to_int

        def switch(frame: list) -> Any:
            start = entries.get(to_int(subject(frame)), default)
            if start is not None:
                for run in runs[start:]:
                    signal = run(frame)
                    if signal is not None:
                        return None if signal is BREAK else signal
            return None

        return switch, True

    # --- Loops --------------------------------------------------------------------------------------------------------

    def _while(self, node: syntax.While) -> tuple[Run, bool]:
        test = self.conditional_test(node.test)
        body, signals, cost = self._body(node.body)
        return self._loop(test, body, None, cost), signals

    def _for(self, node: syntax.For) -> tuple[Run, bool]:
        self.scopes.enter()
        start = None
        if node.start is not None:
            # The parts of `for (a, b; ...)` share the loop's scope.
            parts = node.start.statements if type(node.start) is syntax.Block else (node.start,)
            start = self.sequence(parts)[0]
        test = self.conditional_test(node.test) if node.test is not None else _always
        steps = [self.expression(step).run for step in node.step]
        body, signals, cost = self._body(node.body)
        self.scopes.leave()
        loop = self._loop(test, body, _all_of(steps), cost)

        def run(frame: list) -> Any:
            if start is not None:
                start(frame)
            return loop(frame)

        return run, signals

    def _loop(self, test: Run, body: Run, step: Run | None, cost: int) -> Run:
        machine = self.machine

        def loop(frame: list) -> Any:
            while test(frame):
                machine.steps = left = machine.steps - cost
                if left < machine.check_at:
                    machine.check()
                signal = body(frame)
                if signal is not None:
                    if signal is BREAK:
                        break
                    if signal is not CONTINUE:
                        return signal
                if step is not None:
                    step(frame)
            return None

        return loop

    def _loop_macro(self, node: syntax.LoopMacro) -> tuple[Run, bool]:
        spec = self.vocabulary.loops.get(node.name)
        if spec is None:
            hint = misnomers.KEYWORDS.get(node.name) or self.suggest(node.name, self.vocabulary.loops)
            self.error("unknown command", f"{node.name} does not take a block", node.at, hint)
            return self._scoped(node.body.statements)
        if len(node.arguments) < spec.arguments:
            self.error("argument", f"not enough parameters for {node.name}", node.at)
        arguments = [self.expression(argument).run for argument in node.arguments[: spec.arguments]]
        self.scopes.enter()
        slot = self.scopes.declare(spec.variable, spec.kind, spec.kind).slot
        body, signals, cost = self._body(node.body)
        self.scopes.leave()
        machine, iterate = self.machine, spec.iterate

        def run(frame: list) -> Any:
            for value in iterate(*[argument(frame) for argument in arguments]):
                machine.charge(cost)
                frame[slot] = value
                signal = body(frame)
                if signal is not None:
                    if signal is BREAK:
                        break
                    if signal is not CONTINUE:
                        return signal
            return None

        return run, signals

    def _break(self, node: syntax.Break) -> tuple[Run, bool]:
        if not self._loops and not self._switches:
            self.error("syntax", "break outside of a loop or a switch", node.at)
        return lambda frame: BREAK, True

    def _continue(self, node: syntax.Continue) -> tuple[Run, bool]:
        if not self._loops:
            self.error("syntax", "continue outside of a loop", node.at)
        return lambda frame: CONTINUE, True

    def _return(self, node: syntax.Return) -> tuple[Run, bool]:
        if node.value is None:
            self.warn("syntax", "return without a value", node.at, "write return 0;")
            return lambda frame: (None,), True
        run = self.expression(node.value).run
        return lambda frame: (run(frame),), True


def _always(frame: list) -> bool:
    return True


def _null() -> None:
    return None


def _nothing(frame: list) -> None:
    return None


def _all_of(runs: list[Run]) -> Run | None:
    if len(runs) <= 1:
        return runs[0] if runs else None

    def run_all(frame: list) -> None:
        for run in runs:
            run(frame)

    return run_all


def _located(error: Exception, at: int) -> Fault:
    if isinstance(error, Fault):
        if error.at is None:
            error.at = at
        return error
    return Fault("a number is out of range", at=at)


_STATEMENTS: dict[type, Callable[[StatementCompiler, Any], tuple[Run, bool]]] = {
    syntax.Declare: StatementCompiler._declare,
    syntax.Evaluate: StatementCompiler._evaluate,
    syntax.Block: StatementCompiler._block,
    syntax.If: StatementCompiler._if,
    syntax.While: StatementCompiler._while,
    syntax.For: StatementCompiler._for,
    syntax.LoopMacro: StatementCompiler._loop_macro,
    syntax.Switch: StatementCompiler._switch,
    syntax.Break: StatementCompiler._break,
    syntax.Continue: StatementCompiler._continue,
    syntax.Return: StatementCompiler._return,
    syntax.Function: StatementCompiler._function,
}


class CompiledCode:
    """Code ready to run, as often as wanted.

    Attributes:
      source: its text.
      diagnostics: what the compiler found; the code runs only when none of it is an error.
    """

    __slots__ = ("_body", "_machine", "_size", "_waits", "diagnostics", "source")

    def __init__(
        self,
        source: SourceText,
        diagnostics: tuple[Diagnostic, ...],
        body: Run,
        machine: Machine,
        compiler: StatementCompiler,
    ):
        self.source = source
        self.diagnostics = diagnostics
        self._body = body
        self._size = compiler.scopes.size
        self._waits = compiler.waits
        self._machine = machine

    @property
    def ok(self) -> bool:
        """Whether there is no error among the diagnostics."""
        return not any(d.severity is Severity.ERROR for d in self.diagnostics)

    def run(self, code_node: Any = None, parameters: tuple = (), instance: Any = None) -> Any:
        """Runs the code and returns what it returns, None when it falls off its end or stops at an `await`.

        Args:
          code_node: what the code sees as `c`.
          parameters: what it sees as `param(1)`, `param(2)`, ...
          instance: what it sees as `i`.

        Raises:
          Fault: a FlexScript exception, with its place and `source`; `OutOfBudget` among them.
        """
        frame: list = [None] * self._size
        frame[CODE_SLOT] = code_node
        frame[PARAMETERS_SLOT] = parameters
        frame[INSTANCE_SLOT] = instance
        machine = self._machine
        if self._waits:
            return Coroutine(machine, self.source, lambda: self._wait(frame)).proceed()
        machine.enter()
        outer = machine.source, machine.at
        machine.source = self.source
        try:
            signal = self._body(frame)
        except Fault as fault:
            if fault.source is None:
                fault.source = self.source
            raise
        except RecursionError:
            raise self._too_deep() from None
        finally:
            machine.source, machine.at = outer
            machine.leave()
        return signal[0] if type(signal) is tuple else None

    def _wait(self, frame: list) -> Any:
        """Runs code that may wait, within its coroutine."""
        try:
            signal = self._body(frame)
        except RecursionError:
            raise self._too_deep() from None
        return signal[0] if type(signal) is tuple else None

    def _too_deep(self) -> Fault:
        fault = OutOfBudget("the code is nested too deeply to be run", hint="does every function end?")
        fault.source = self.source
        return fault


def compile_program(
    program: syntax.Program, vocabulary: Vocabulary, machine: Machine, dialect: Dialect | None = None
) -> CompiledCode:
    """Compiles a parsed program for a machine; never raises on any program, findings are in `diagnostics`."""
    compiler = StatementCompiler(program.source, vocabulary, machine, dialect or Dialect())
    body, _ = compiler.program(program.statements)
    diagnostics = sorted((*program.diagnostics, *compiler.diagnostics), key=lambda d: (d.line, d.column))
    return CompiledCode(program.source, tuple(diagnostics), body, machine, compiler)


def compile_expression(
    expression: syntax.Expression, source: SourceText, vocabulary: Vocabulary, machine: Machine, dialect: Dialect
) -> CompiledCode:
    """Compiles a lone expression as code that returns its value, as FlexSim's script console does."""
    program = syntax.Program((syntax.Return(expression, expression.at),), (), source)
    return compile_program(program, vocabulary, machine, dialect)
