"""What building and running a script gives back."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from vlsm_jax.flexscript import Diagnostic
from vlsm_jax.simulator.statistics import Kpis
from vlsm_jax.twin import Twin


class Verdict(enum.Enum):
    """How far a script came."""

    OK = "ok"
    PARSE_ERROR = "parse error"
    BUILD_ERROR = "build error"
    WIRING = "wiring"
    NO_FLOW = "no flow"
    RUN_ERROR = "run error"
    BUDGET = "budget"


@dataclasses.dataclass(frozen=True)
class BuildResult:
    """What a script built.

    Attributes:
      verdict: `OK`, `PARSE_ERROR`, `BUILD_ERROR` or `BUDGET`.
      twin: the factory in the tree when the script ended, be it with an exception; None when the script did not run.
      diagnostics: findings, errors among them exactly when the verdict is not `OK`.
      output: the lines that the script printed.
    """

    verdict: Verdict
    twin: Twin | None
    diagnostics: tuple[Diagnostic, ...]
    output: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the script was parsed and ran to its end without an exception."""
        return self.verdict is Verdict.OK

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "ok": self.ok,
            "verdict": self.verdict.value,
            "diagnostics": [d.to_dict() for d in self.diagnostics],
            "twin": self.twin.to_dict() if self.twin else None,
            "output": list(self.output),
        }


@dataclasses.dataclass(frozen=True)
class Report:
    """What a script built and how the model ran.

    Attributes:
      verdict: how far it came.
      twin: as in `BuildResult`.
      diagnostics: findings of parsing, building, checking and running.
      kpis: figures; None when the model did not run to its end.
      output: the lines that the script printed.
    """

    verdict: Verdict
    twin: Twin | None
    diagnostics: tuple[Diagnostic, ...]
    kpis: Kpis | None = None
    output: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the script was parsed, built, wired from a Source to a Sink, ran to the end, and items arrived."""
        return self.verdict is Verdict.OK

    def to_dict(self) -> dict[str, Any]:
        """Returns plain dicts, lists, strings and numbers, ready for JSON."""
        return {
            "ok": self.ok,
            "verdict": self.verdict.value,
            "diagnostics": [d.to_dict() for d in self.diagnostics],
            "twin": self.twin.to_dict() if self.twin else None,
            "kpis": self.kpis.to_dict() if self.kpis else None,
            "output": list(self.output),
        }
