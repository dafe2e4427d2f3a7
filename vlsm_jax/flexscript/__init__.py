"""The FlexScript language: text to syntax tree to Python closures, with diagnostics.

It knows nothing of factories: what a script may name stands in a `Vocabulary`, which a world extends; what the language
itself asks of a world, such as global tables and the passing of time, stands in `host`.
"""

from vlsm_jax.flexscript.core import core_vocabulary
from vlsm_jax.flexscript.diagnostics import Diagnostic, Severity
from vlsm_jax.flexscript.faults import Fault, OutOfBudget, Unsupported
from vlsm_jax.flexscript.machine import Machine
from vlsm_jax.flexscript.parser import parse, parse_expression
from vlsm_jax.flexscript.statements import CompiledCode, compile_expression, compile_program
from vlsm_jax.flexscript.syntax import Program
from vlsm_jax.flexscript.vocabulary import Dialect, Vocabulary, known_commands

__all__ = [
    "CompiledCode",
    "Diagnostic",
    "Dialect",
    "Fault",
    "Machine",
    "OutOfBudget",
    "Program",
    "Severity",
    "Unsupported",
    "Vocabulary",
    "compile_expression",
    "compile_program",
    "core_vocabulary",
    "known_commands",
    "parse",
    "parse_expression",
]
