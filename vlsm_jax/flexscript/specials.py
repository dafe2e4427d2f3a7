"""Commands that are more than a function of their arguments: they print, count, or evaluate an argument repeatedly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vlsm_jax.flexscript import syntax, values
from vlsm_jax.flexscript.compiler import ExpressionCompiler
from vlsm_jax.flexscript.conversions import shown
from vlsm_jax.flexscript.operators import Operand, Run
from vlsm_jax.flexscript.scope import PARAMETERS_SLOT
from vlsm_jax.flexscript.texts import character_of
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, STRING, VARIANT, known_commands


def signature(name: str) -> str:
    """Returns a command with its parameters as FlexSim lists it, an empty string for a name that it does not have."""
    known = known_commands().get(name)
    return f"{name}{known.signature}" if known else ""


def _print(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    runs = [compiler.expression(argument).run for argument in node.arguments]
    write = compiler.machine.write
    return Operand(lambda frame: write(*[run(frame) for run in runs]), INT)


def _print_part(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    """`pt(text)`, `pd(number)`, `pf(number)`: printed without a line end, which `pr()` gives."""
    runs = [compiler.expression(argument).run for argument in node.arguments]
    write = compiler.machine.write_part
    return Operand(lambda frame: write(shown(tuple(run(frame) for run in runs))), INT)


def _print_character(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    """`pc(code)`: one character, printed without a line end."""
    runs = [compiler.expression(argument).run for argument in node.arguments]
    write = compiler.machine.write_part
    return Operand(lambda frame: write("".join(character_of(run(frame)) for run in runs)), INT)


def _parameter_count(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    return Operand(lambda frame: len(frame[PARAMETERS_SLOT]), INT)


def _counted(compiler: ExpressionCompiler, node: syntax.Call, names: tuple[str, ...]) -> tuple[list[Run], list[int]]:
    """Compiles the first argument of a command, then the others in a scope with `count` and further names."""
    runs = [compiler.expression(node.arguments[0]).run]
    compiler.scopes.enter()
    slots = [compiler.scopes.declare(name, INT if name == "count" else DOUBLE, DOUBLE).slot for name in names]
    runs += [compiler.expression(argument).run for argument in node.arguments[1:]]
    compiler.scopes.leave()
    return runs, slots


def _repeat(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    """`repeat(n, expression)`: evaluates the expression n times, with `count` from 1."""
    if len(node.arguments) != 2:
        return compiler.error("argument", "repeat takes a number and an expression", node.at)
    (times, body), (slot,) = _counted(compiler, node, ("count",))
    machine = compiler.machine

    def run(frame: list) -> Any:
        result = None
        for count in range(1, values.to_int(times(frame)) + 1):
            machine.charge(1)
            frame[slot] = count
            result = body(frame)
        return result

    return Operand(run, VARIANT)


def _find_match(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    """`findmatch(n, test, result, reverse)`: the result for the first count whose test is true, else 0."""
    if not 2 <= len(node.arguments) <= 4:
        return compiler.error("argument", "not enough parameters for findmatch", node.at, signature("findmatch"))
    runs, (slot,) = _counted(compiler, node, ("count",))
    machine, truth = compiler.machine, values.truth

    def run(frame: list) -> Any:
        counts = range(1, values.to_int(runs[0](frame)) + 1)
        for count in reversed(counts) if len(runs) > 3 and truth(runs[3](frame)) else counts:
            machine.charge(1)
            frame[slot] = count
            if truth(runs[1](frame)):
                return runs[2](frame) if len(runs) > 2 else count
        return 0

    return Operand(run, VARIANT)


def _find_extreme(name: str, sign: int) -> Callable[[ExpressionCompiler, syntax.Call], Operand]:
    """`findmax(n, value, result, criterion, reverse)` and `findmin`: the result where the value is the most extreme."""

    def compile_call(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
        if not 2 <= len(node.arguments) <= 5:
            return compiler.error("argument", f"not enough parameters for {name}", node.at, signature(name))
        runs, (slot, best_slot) = _counted(compiler, node, ("count", "maxvalue" if sign > 0 else "minvalue"))
        machine, truth, to_float = compiler.machine, values.truth, values.to_float

        def run(frame: list) -> Any:
            counts = range(1, values.to_int(runs[0](frame)) + 1)
            best, result = None, 0
            for count in reversed(counts) if len(runs) > 4 and truth(runs[4](frame)) else counts:
                machine.charge(1)
                frame[slot] = count
                if len(runs) > 3 and not truth(runs[3](frame)):
                    continue
                value = to_float(runs[1](frame))
                if best is None or (value - best) * sign > 0:
                    frame[best_slot] = best = value
                    result = runs[2](frame) if len(runs) > 2 else value
            return result

        return Operand(run, VARIANT)

    return compile_call


def _string_token(compiler: ExpressionCompiler, node: syntax.Call) -> Operand:
    """`stringtoken(text, delimiters)`: the first part of a text; with 0 or NULL for the text, the next one."""
    if len(node.arguments) != 2:
        return compiler.error("argument", "not enough parameters for stringtoken", node.at, signature("stringtoken"))
    text, delimiters = (compiler.expression(argument).run for argument in node.arguments)
    machine = compiler.machine

    def run(frame: list) -> str:
        value, marks = text(frame), values.to_text(delimiters(frame))
        rest = (value if isinstance(value, str) and value else machine.token_rest).lstrip(marks)
        machine.charge(len(rest) >> 3)
        end = min((at for at in map(rest.find, marks) if at >= 0), default=len(rest))
        machine.token_rest = rest[end + 1 :]
        return rest[:end]

    return Operand(run, STRING)


SPECIAL: dict[str, Callable[[ExpressionCompiler, syntax.Call], Operand]] = {
    **dict.fromkeys(("print", "printarray", "pr", "mpr"), _print),
    **dict.fromkeys(("pt", "pd", "pf", "mpt", "mpd", "mpf"), _print_part),
    "pc": _print_character,
    "parqty": _parameter_count,
    "stringtoken": _string_token,
    "repeat": _repeat,
    "findmatch": _find_match,
    "findmax": _find_extreme("findmax", 1),
    "findmin": _find_extreme("findmin", -1),
}
