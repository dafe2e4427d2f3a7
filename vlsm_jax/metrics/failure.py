"""Why a script fails, as one label out of a fixed list, from its verdict and the codes of its diagnostics.

A diagnostic's code says what was found; there are dozens. The label says which kind of mistake it is, so that the
failures of a test set can be counted. Every code has a label, those of mere warnings too, so that findings of scripts
that run can be counted as well.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.simulator import Verdict


class Failure(enum.Enum):
    """Kinds of failure. The value is what files and tables show, and does not change."""

    PARSE = "parse"
    """The text is no FlexScript."""
    UNKNOWN_NAME = "unknown name"
    """A variable, command, method, class, property, label or option that does not exist."""
    NULL_REFERENCE = "null reference"
    """Something was asked of an object that is not there."""
    TYPE = "type"
    """A value of the wrong type."""
    ARGUMENT = "argument"
    """A command with too few or with senseless arguments."""
    INDEX = "index"
    """An index, key, row or list that is not there."""
    VALUE = "value"
    """A property value, distribution or unit without meaning."""
    EXCEPTION = "exception"
    """Any other exception of the script, such as a division by zero."""
    WIRING = "wiring"
    """No Sink can be reached from a Source, or an executer, path or other partner is not connected."""
    STARVED = "starved"
    """It runs, and objects wait for items that do not come."""
    BLOCKED = "blocked"
    """It runs, and items stand where no port leads on."""
    DEADLOCK = "deadlock"
    """It runs, and objects wait for each other in a circle."""
    NO_FLOW = "no flow"
    """It runs, and items are still under way at the end."""
    UNSUPPORTED = "unsupported"
    """FlexSim knows it, this emulator does not: the script may be right."""
    BUDGET = "budget"
    """It did not end: steps, events, items or time ran out."""
    INTERNAL = "internal"
    """A fault of this program."""


LABELS: Mapping[str, Failure] = MappingProxyType(
    {
        code: label
        for label, codes in {
            Failure.PARSE: ("syntax", "condition"),
            Failure.UNKNOWN_NAME: (
                "unknown name", "unknown command", "unknown method", "unknown type", "unknown class",
                "unknown property", "unknown variable", "unknown option", "missing label", "redeclared", "name",
                "default name", "duplicate name", "tool", "missing parameter", "parameter", "member",
            ),
            Failure.NULL_REFERENCE: ("null reference", "null connection", "not found"),
            Failure.TYPE: ("type", "task"),
            Failure.ARGUMENT: ("argument", "regular expression"),
            Failure.INDEX: ("array index", "map key", "table", "list"),
            Failure.VALUE: (
                "value", "unit", "distribution", "bare expression", "assumed", "batch", "drawn once", "stream",
                "date", "speed", "capacity",
            ),
            Failure.EXCEPTION: ("exception", "no effect", "no run", "coroutine", "dispatch", "aborted"),
            Failure.WIRING: (
                "wiring", "connection", "duplicate connection", "unsupported pair", "unreachable", "dead end", "port",
                "unused", "no executer", "network", "team",
            ),
            Failure.STARVED: ("starved",),
            Failure.BLOCKED: ("blocked",),
            Failure.DEADLOCK: ("deadlock",),
            Failure.NO_FLOW: ("no flow",),
            Failure.UNSUPPORTED: ("unsupported", "unsupported class", "unsupported command", "refused command"),
            Failure.BUDGET: ("budget",),
            Failure.INTERNAL: ("internal error",),
        }.items()
        for code in codes
    }
)  # fmt: skip
"""The label of every diagnostic code."""

_OF_VERDICT: Mapping[str, Failure] = MappingProxyType(
    {
        Verdict.PARSE_ERROR.value: Failure.PARSE,
        Verdict.BUILD_ERROR.value: Failure.EXCEPTION,
        Verdict.WIRING.value: Failure.WIRING,
        Verdict.NO_FLOW.value: Failure.NO_FLOW,
        Verdict.RUN_ERROR.value: Failure.EXCEPTION,
        Verdict.BUDGET.value: Failure.BUDGET,
    }
)


class Outcome(Protocol):
    """What `failure` needs of a Report or a BuildResult."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def diagnostics(self) -> Sequence[Diagnostic]: ...


def failure(outcome: Outcome) -> Failure | None:
    """Returns the label of a Report or a BuildResult; None where all is well."""
    return failure_of(outcome.verdict.value, outcome.diagnostics)


def failure_of(verdict: str, diagnostics: Iterable[Diagnostic]) -> Failure | None:
    """Returns the label of a script by the value of its verdict and its diagnostics.

    The first error decides: what follows it is often its consequence. Two verdicts decide by themselves, "wiring" and
    "budget". A verdict without any error, which the simulator does not give, has the label of its kind.

    Raises:
      ValueError: there is no such verdict.
    """
    if verdict == Verdict.OK.value:
        return None
    label = _OF_VERDICT.get(verdict)
    if label is None:
        raise ValueError(f"no verdict {verdict!r}; there are {', '.join(v.value for v in Verdict)}")
    if label in (Failure.WIRING, Failure.BUDGET):
        return label
    for diagnostic in diagnostics:
        if diagnostic.severity is Severity.ERROR:
            return LABELS.get(diagnostic.code, label)
    return label


def failure_counts(failures: Iterable[Failure | None]) -> Mapping[Failure, int]:
    """Counts labels, the most frequent first; scripts that run (None) are left out."""
    order = list(Failure)
    counts = Counter(label for label in failures if label is not None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], order.index(item[0]))))
