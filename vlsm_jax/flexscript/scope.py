"""Names of local variables: block scoping, resolved to frame slots before anything runs."""

from __future__ import annotations

from typing import NamedTuple

from vlsm_jax.flexscript.vocabulary import VARIANT

CODE_SLOT, PARAMETERS_SLOT, INSTANCE_SLOT = 0, 1, 2
FIRST_FREE_SLOT = 3


class Local(NamedTuple):
    """A local variable: where it lives in the frame, and its declared type."""

    slot: int
    type: str
    kind: str


class Scopes:
    """The nested scopes of one piece of code.

    Attributes:
      size: the number of slots that a frame needs.
    """

    def __init__(self) -> None:
        self._scopes: list[dict[str, Local]] = [
            # What FlexSim gives every code node: itself, and the instance it is called for.
            {"c": Local(CODE_SLOT, VARIANT, VARIANT), "i": Local(INSTANCE_SLOT, VARIANT, VARIANT)},
            {},
        ]
        self.size = FIRST_FREE_SLOT

    def enter(self) -> None:
        """Opens a scope."""
        self._scopes.append({})

    def leave(self) -> None:
        """Closes the innermost scope."""
        self._scopes.pop()

    def find(self, name: str) -> Local | None:
        """Returns the innermost variable of that exact name, or None."""
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def declares_here(self, name: str) -> bool:
        """Whether the innermost scope already declares the name."""
        return name in self._scopes[-1]

    def declare(self, name: str, type_name: str, kind: str) -> Local:
        """Adds a variable to the innermost scope."""
        local = Local(self.size, type_name, kind)
        self.size += 1
        self._scopes[-1][name] = local
        return local

    def names(self) -> list[str]:
        """Returns every visible name."""
        return [name for scope in self._scopes for name in scope]
