"""Run-time faults of a script: FlexScript exceptions, and budgets that ran out."""

from __future__ import annotations

from vlsm_jax.flexscript.diagnostics import SourceText


class Fault(Exception):
    """A FlexScript exception: it ends the code that raised it.

    Attributes:
      code: the phrase under which a diagnostic reports it.
      message: FlexSim's own words where they are known.
      at: character offset in the source, None until the statement that failed is known.
      hint: what to do, possibly empty.
      source: the text that `at` belongs to, None until it is known.
    """

    def __init__(self, message: str, *, code: str = "exception", at: int | None = None, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.code = code
        self.at = at
        self.hint = hint
        self.source: SourceText | None = None

    def place(self, at: int) -> None:
        """Notes where the exception was raised, unless that is known more closely already."""
        if self.at is None:
            self.at = at


class OutOfBudget(Fault):
    """A budget ran out: the script or the model is stopped, whatever it was doing."""

    def __init__(self, message: str, *, hint: str = ""):
        super().__init__(message, code="budget", hint=hint)


class Unsupported(Fault):
    """FlexSim knows this, the emulator does not; the run stops rather than going on with a wrong result."""

    def __init__(self, message: str, *, code: str = "unsupported", hint: str = ""):
        super().__init__(message, code=code, hint=hint)
