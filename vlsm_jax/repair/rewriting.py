"""What a model is told that rewrites a script: the prompt, the script, and in words what is wrong with it.

The same text is what models are trained on and what they are asked with; see `vlsm_jax.synth.repairs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.repair.judging import Judged
from vlsm_jax.repair.stating import Mismatch
from vlsm_jax.twin import Twin

MOST_COMPLAINTS = 5
_MOST_LETTERS = 120  # of a line of the script that is quoted


def repair_prompt(prompt: str, found: Judged) -> str:
    """Returns the prompt to rewrite a script by.

    Args:
      prompt: of the factory, "" where there is none.
      found: the script, with what is wrong with it.
    """
    said = complaints(found.diagnostics, found.mismatches, found.twin) or ["it is not what the prompt asks for"]
    parts = [prompt.strip(), f"This script for it is wrong:\n{found.script.strip()}"]
    parts.append("What is wrong:\n" + "\n".join(f"- {line}" for line in said) + "\nWrite the whole script again.")
    return "\n\n".join(part for part in parts if part)


def complaints(
    diagnostics: Sequence[Diagnostic], mismatches: Sequence[Mismatch] = (), twin: Twin | None = None
) -> list[str]:
    """Returns what is wrong with a script in words, errors before warnings before what does not fit the prompt.

    Args:
      diagnostics: of checking or running it.
      mismatches: of what it builds with its prompt.
      twin: what it builds.
    """
    ordered = sorted(diagnostics, key=lambda finding: finding.severity is not Severity.ERROR)
    wires = set() if twin is None else {(wire.source, wire.target) for wire in twin.connections}
    said = [*map(_finding, ordered), *(text for mismatch in mismatches if (text := _mismatch(mismatch, wires)))]
    return list(dict.fromkeys(said))[:MOST_COMPLAINTS]


def _finding(finding: Diagnostic) -> str:
    line = " ".join(finding.source_line.split())
    quoted = f" `{line[:_MOST_LETTERS]}`" if line else ""
    where = f"line {finding.line}{quoted}: " if finding.line else ""
    hint = f" ({' '.join(finding.hint.split())})" if finding.hint else ""
    return f"{where}{' '.join(finding.message.split())}{hint}"


def _mismatch(mismatch: Mismatch, wires: set[tuple[str, str]]) -> str:
    expected = " or ".join(mismatch.expected[:4])
    match mismatch.kind:
        case "name":
            return f'the prompt has no "{mismatch.value}"'
        case "class":
            return f'"{mismatch.object}" is a {mismatch.value}, the prompt has it as a {expected}'
        case "number":
            return f'{mismatch.property} of "{mismatch.object}" has {mismatch.value}' + (
                f", the prompt says {expected} of it" if expected else ", which the prompt does not say"
            )
        case "option":
            has = f'"{mismatch.value}"' if mismatch.value else "nothing"
            return f'{mismatch.property} of "{mismatch.object}" has {has}, the prompt says "{expected}"'
        case "link" if (mismatch.object, mismatch.value) in wires:
            return f'"{mismatch.object}" is connected to "{mismatch.value}", which the prompt does not say'
        case "link":
            return f'"{mismatch.object}" is not connected to "{mismatch.value}"'
    return ""  # a number to spare says nothing of where it belongs
