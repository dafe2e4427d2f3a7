"""Text to tokens: one master regular expression, then the kind by the text; three parallel lists.

Comments are dropped wherever they stand, so picklist markup such as `/***popup:X*/` or `/**/` needs nothing special.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vlsm_jax.flexscript.diagnostics import Diagnostic, SourceText

NAME, NUMBER, STRING, CHARACTER, REGEX, END = "name", "number", "string", "character", "regex", "end"

KEYWORDS = frozenset(
    ("if", "else", "for", "while", "do", "switch", "case", "default", "break", "continue", "return", "await")
)

_MASTER = re.compile(
    r"""\s*
    ([A-Za-z_]\w*                                            # a name
    |[;,()\[\]{}]                                            # what comes most often of the operators
    |"[^"\\\n]*(?:\\(?s:.)[^"\\\n]*)*"                       # a string; a backslash may escape the end of a line
    |0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?  # a number
    |//[^\n]*|/\*(?s:.*?)(?:\*/|\Z)|\ufeff                   # a comment, or what counts as a blank
    |'(?:[^'\\\n]|\\.)*'                                     # a character
    |(?:(?<=[(,])|(?<=[(,][ ]))/(?![*/])(?:\[(?:[^\]\\\n]|\\.){0,500}\]|[^/\\\n\[]|\\.)+/[gi]*   # a regex, an argument
    |\+\+|--|[-+*/%]=|==|!=|<=|>=|&&|\|\||\?\.(?!\d)|\.\#(?=[A-Za-z_])|<<|>>|::|[-+*/%<>=!&|^~?:.]
    |\#[^\n]*                                                # a directive
    |.                                                       # anything else
    |\Z)""",
    re.VERBOSE | re.ASCII,
)
_CLOSED_COMMENTS = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*(?s:.*?)\*/)*")
_OPERATORS = (
    "++", "--", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "&&", "||", "?.", ".#", "<<", ">>", "::",
    *"-+*/%<>=!&|^~?:;,.(){}[]",
)  # fmt: skip
_KINDS = {**{text: text for text in (*_OPERATORS, *KEYWORDS)}, "": "", '"': "", "'": ""}
"""The kinds of tokens with but one text, "" for what needs a closer look; else the first character tells the kind."""

_FIRST = {
    **dict.fromkeys("_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", NAME),
    **dict.fromkeys("0123456789.", NUMBER),
    '"': STRING, "'": CHARACTER,
}  # fmt: skip
_COMMENTS = ("//", "/*", "\ufeff")
_DEFINE = re.compile(r"#\s*define\s+([A-Za-z_]\w*)[ \t]+([^\n]*)", re.ASCII)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "0": "\0"}
_ESCAPE = re.compile(r"\\(\r\n|(?s:.))")
_TYPOGRAPHIC_QUOTES = "“”„‟‘’‚«»"


class Tokens(NamedTuple):
    """The tokens of a text, as parallel lists that end with one `END` token.

    Attributes:
      kinds: `NAME`, `NUMBER`, ... for tokens with a value; the text itself for keywords and operators.
      texts: the text of each token.
      offsets: where each token starts.
      defines: the text that stands behind each `#define` name.
      diagnostics: characters that belong to no token.
    """

    kinds: list[str]
    texts: list[str]
    offsets: list[int]
    defines: dict[str, str]
    diagnostics: list[Diagnostic]


def tokenize(source: SourceText) -> Tokens:
    """Splits a text into tokens; never raises, findings are in `diagnostics`."""
    kinds: list[str] = []
    texts: list[str] = []
    offsets: list[int] = []
    defines: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    add_kind, add_text, add_offset = kinds.append, texts.append, offsets.append
    kind_of, kind_by_first = _KINDS.get, _FIRST.get
    for match in _MASTER.finditer(source.text):
        text = match[1]
        kind = kind_of(text)
        if kind is None:
            kind = kind_by_first(text[0])
        if not kind:
            if not text:
                break
            if text[:2] in _COMMENTS:
                continue
            if text[0] == "/":
                kind = REGEX
            elif text[0] == "#":
                _directive(source, text, match.start(1), defines, diagnostics)
                continue
            elif _stray(source, text, match.start(1), diagnostics):
                continue
            else:
                break
        add_kind(kind)
        add_text(text)
        add_offset(match.start(1))
    end = offsets[-1] + len(texts[-1]) if offsets else 0
    closed = _CLOSED_COMMENTS.match(source.text, end)
    if closed and closed.end() < len(source.text) and source.text.startswith("/*", closed.end()):
        diagnostics.append(source.diagnostic("syntax", "comment that is never closed", closed.end(), hint="add */"))
    add_kind(END)
    add_text("")
    add_offset(len(source.text))
    return Tokens(kinds, texts, offsets, defines, diagnostics)


def _directive(source: SourceText, text: str, at: int, defines: dict[str, str], diagnostics: list[Diagnostic]) -> None:
    match = _DEFINE.match(text)
    if match:
        defines[match[1]] = match[2].split("//")[0].strip()
    else:
        hint = "only `#define NAME value` is known"
        diagnostics.append(source.diagnostic("syntax", f"unknown directive {text.split()[0]!r}", at, hint=hint))


def _stray(source: SourceText, text: str, at: int, diagnostics: list[Diagnostic]) -> bool:
    """Reports a character that starts no token; returns False when the rest of the text cannot be read."""
    if len(diagnostics) > 100:
        return False
    if text == '"':
        diagnostics.append(source.diagnostic("syntax", "string without a closing quote", at, hint='add "'))
    elif text == "'":
        diagnostics.append(source.diagnostic("syntax", "character without a closing quote", at, hint="add '"))
    elif text in _TYPOGRAPHIC_QUOTES:
        hint = 'write straight quotes: "text"'
        diagnostics.append(source.diagnostic("syntax", f"typographic quote {text}", at, hint=hint))
    else:
        diagnostics.append(source.diagnostic("syntax", f"unexpected character {text!r}", at))
    return True


def string_value(text: str) -> str:
    """Returns the value of a string or character token: quotes removed, escapes resolved."""
    body = text[1:-1]
    if "\\" not in body:
        return body
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], "" if match[1] in "\r\n" else match[1]), body)
