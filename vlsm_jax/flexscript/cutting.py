"""What is whole of a script that was cut off: its finished statements, with the open blocks closed."""

from __future__ import annotations

from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.lexer import END, tokenize
from vlsm_jax.flexscript.parser import parse


def whole_statements(text: str) -> str:
    """Returns the longest beginning of `text` that ends with a statement and parses once its blocks are closed.

    Nothing is invented: what stands unfinished at the end is left out, and `}` is written for each `{` that is still
    open. A text that parses is returned as it is; one in which nothing is whole becomes "".
    """
    if parse(text).ok:
        return text
    tokens = tokenize(SourceText(text))
    open_braces = parentheses = 0
    cuts: list[tuple[int, int]] = []
    for kind, token, offset in zip(tokens.kinds, tokens.texts, tokens.offsets, strict=True):
        if kind == END:
            break
        if kind in ("(", "["):
            parentheses += 1
        elif kind in (")", "]"):
            parentheses = max(0, parentheses - 1)
        elif kind == "{":
            open_braces += 1
        elif kind == "}":
            open_braces = max(0, open_braces - 1)
        if kind in (";", "{", "}") and not parentheses:
            cuts.append((offset + len(token), open_braces))
    for end, braces in reversed(cuts):
        script = text[:end] + "\n" + "}" * braces + ("\n" if braces else "")
        if parse(script).ok:
            return script
    return ""
