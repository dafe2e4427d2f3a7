"""Two scripts side by side: numbered, coloured, changed lines marked and aligned."""

from __future__ import annotations

import dataclasses
import difflib
import enum
from collections.abc import Sequence

from markupsafe import Markup, escape

try:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import CppLexer
except ImportError:  # colours are a nicety: without pygments the text stays plain
    highlight = None

MAX_LINES = 1000
"""Lines of a script that are shown; a generator that loops can write any number."""

MAX_LINE_LENGTH = 400


class Mark(enum.Enum):
    """What a line of a script is, set against the other script."""

    SAME = "same"
    CHANGED = "changed"
    ONLY = "only"
    GAP = "gap"


@dataclasses.dataclass(frozen=True)
class Line:
    """One line as HTML, safe to insert as it is; number 0 and mark GAP where only the other script has a line."""

    number: int
    html: Markup
    mark: Mark


@dataclasses.dataclass(frozen=True)
class Listing:
    """Two scripts as columns of equal height.

    Attributes:
      reference: lines of the reference.
      candidate: lines of the candidate, each beside its counterpart.
      changed: how many rows differ.
      left_out: lines that were cut off at the end of either script.
    """

    reference: tuple[Line, ...]
    candidate: tuple[Line, ...]
    changed: int
    left_out: int


def side_by_side(reference: str, candidate: str) -> Listing:
    """Aligns two scripts line by line. Lines count as equal when they agree up to their indentation."""
    mine, theirs = reference.splitlines(), candidate.splitlines()
    left_out = max(len(mine) - MAX_LINES, 0) + max(len(theirs) - MAX_LINES, 0)
    mine, theirs = mine[:MAX_LINES], theirs[:MAX_LINES]
    mine_html, theirs_html = _coloured(mine), _coloured(theirs)
    left: list[Line] = []
    right: list[Line] = []
    changed = 0
    matcher = difflib.SequenceMatcher(
        None, [line.strip() for line in mine], [line.strip() for line in theirs], autojunk=False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        rows = max(i2 - i1, j2 - j1)
        changed += 0 if tag == "equal" else rows
        mark = {"equal": Mark.SAME, "replace": Mark.CHANGED}.get(tag, Mark.ONLY)
        for row in range(rows):
            left.append(_line(mine_html, i1 + row, i2, mark))
            right.append(_line(theirs_html, j1 + row, j2, mark))
    return Listing(tuple(left), tuple(right), changed, left_out)


def _line(lines: Sequence[Markup], index: int, end: int, mark: Mark) -> Line:
    return Line(index + 1, lines[index], mark) if index < end else Line(0, Markup(""), Mark.GAP)


def _coloured(lines: Sequence[str]) -> list[Markup]:
    lines = [line if len(line) <= MAX_LINE_LENGTH else line[: MAX_LINE_LENGTH - 1] + "…" for line in lines]
    if highlight is None or not lines:
        return [escape(line) for line in lines]
    # FlexScript looks enough like C++ for its lexer: keywords, strings, numbers and comments are what is coloured.
    html = highlight("\n".join(lines), CppLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True))
    coloured = html.split("\n")[: len(lines)]
    if len(coloured) < len(lines):  # a lexer that swallowed a line break
        return [escape(line) for line in lines]
    return [Markup(line) for line in coloured]
