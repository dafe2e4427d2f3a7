"""Names of local variables: block scoping, resolved to frame slots before anything runs."""

from __future__ import annotations

import dataclasses

from vlsm_jax.flexscript.vocabulary import VARIANT

CODE_SLOT, PARAMETERS_SLOT, INSTANCE_SLOT = 0, 1, 2
FIRST_FREE_SLOT = 3


@dataclasses.dataclass(slots=True)
class Local:
    """A local variable: where it lives in the frame, and its declared type."""

    slot: int
    type: str
    kind: str


class Scopes:
    """The nested scopes of one piece of code.

    Attributes:
      size: the number of slots that a frame needs.
      find: returns the innermost variable of that exact name, or None.
    """

    def __init__(self) -> None:
        # What FlexSim gives every code node: itself, and the instance it is called for.
        self._visible: dict[str, Local] = {
            "c": Local(CODE_SLOT, VARIANT, VARIANT),
            "i": Local(INSTANCE_SLOT, VARIANT, VARIANT),
        }
        # By scope, the names that it declares, each with the variable of an outer scope that it hides.
        self._hidden: list[dict[str, Local | None]] = [{}]
        self.size = FIRST_FREE_SLOT
        self.find = self._visible.get

    def enter(self) -> None:
        """Opens a scope."""
        self._hidden.append({})

    def leave(self) -> None:
        """Closes the innermost scope."""
        for name, before in self._hidden.pop().items():
            if before is None:
                del self._visible[name]
            else:
                self._visible[name] = before

    def declares_here(self, name: str) -> bool:
        """Whether the innermost scope already declares the name."""
        return name in self._hidden[-1]

    def declare(self, name: str, type_name: str, kind: str) -> Local:
        """Adds a variable to the innermost scope."""
        local = Local(self.size, type_name, kind)
        self.size += 1
        self._hidden[-1].setdefault(name, self._visible.get(name))
        self._visible[name] = local
        return local

    def names(self) -> list[str]:
        """Returns every visible name."""
        return list(self._visible)
