"""Diagnostics: what is wrong with a script, where, and what to do about it."""

from __future__ import annotations

import bisect
import dataclasses
import difflib
import enum
import functools
from collections.abc import Iterable
from typing import Any


class Severity(enum.Enum):
    """How serious a diagnostic is: an error stops the script, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


# Characters of a source line that are printed; generated scripts may have lines of thousands.
_SHOWN = 160


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One finding about a script.

    Attributes:
      code: a short fixed phrase for the kind of finding, such as "syntax", "unknown command" or "null reference".
      severity: `Severity.ERROR` or `Severity.WARNING`.
      message: one sentence.
      line: 1-based; 0 when the finding belongs to no place in the text.
      column: 1-based; 0 when the finding belongs to no place in the text.
      hint: what to do, possibly empty.
      source_line: the line of text concerned, possibly empty.
    """

    code: str
    severity: Severity
    message: str
    line: int = 0
    column: int = 0
    hint: str = ""
    source_line: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.line else ""
        text = f"{where}{self.severity.value} ({self.code}): {self.message}"
        if self.source_line and self.column:
            shown, at = _around(self.source_line, self.column - 1)
            # Tabs are kept in the padding so that the caret lands under its character.
            padding = "".join("\t" if char == "\t" else " " for char in shown[:at])
            text += f"\n    {shown}\n    {padding}^"
        if self.hint:
            text += f"\n    hint: {self.hint}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain strings and numbers, ready for JSON."""
        data = dataclasses.asdict(self)
        data["severity"] = self.severity.value
        return data


def _around(line: str, at: int) -> tuple[str, int]:
    """Returns what of a long line stands around an index, and the index within it."""
    first, last = max(0, at - _SHOWN // 2), at + _SHOWN // 2
    if len(line) <= _SHOWN:
        return line, at
    head, tail = ("…" if first else ""), ("…" if last < len(line) else "")
    return f"{head}{line[first:last]}{tail}", at - first + len(head)


class SourceText:
    """The text of one script or code body, able to turn an offset into a line and a column.

    Attributes:
      text: the characters.
      label: where the text comes from when it is not the script itself, such as "ProcessTime of 'Oven'".
    """

    def __init__(self, text: str, label: str = ""):
        self.text = text
        self.label = label

    @functools.cached_property
    def line_starts(self) -> list[int]:
        """The offset at which each line begins."""
        starts = [0]
        find = self.text.find
        at = find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = find("\n", at + 1)
        return starts

    def place(self, offset: int) -> tuple[int, int, str]:
        """Returns the 1-based line, the 1-based column and the line's text at a character offset."""
        starts = self.line_starts
        offset = max(0, min(offset, len(self.text)))
        line = bisect.bisect_right(starts, offset) - 1
        end = starts[line + 1] - 1 if line + 1 < len(starts) else len(self.text)
        return line + 1, offset - starts[line] + 1, self.text[starts[line] : end].rstrip("\r")

    def diagnostic(
        self, code: str, message: str, offset: int | None, *, hint: str = "", severity: Severity = Severity.ERROR
    ) -> Diagnostic:
        """Returns a `Diagnostic` placed at an offset, or without a place when `offset` is None."""
        if self.label:
            message = f"in {self.label}: {message}"
        if offset is None:
            return Diagnostic(code, severity, message, hint=hint)
        line, column, source_line = self.place(offset)
        return Diagnostic(code, severity, message, line, column, hint, source_line)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Returns the candidate that `name` was most likely meant to be, or None."""
    lowered = name.lower()
    close = []
    for candidate in candidates:
        if candidate.lower() == lowered and candidate != name:
            return candidate
        if abs(len(candidate) - len(name)) <= 4:
            close.append(candidate)
    matches = difflib.get_close_matches(name, close, n=1, cutoff=0.75)
    return matches[0] if matches and matches[0] != name else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Returns "did you mean X?" for the nearest candidate, or an empty string."""
    match = nearest(name, candidates)
    return f"did you mean {match}?" if match else ""
