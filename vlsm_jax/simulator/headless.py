"""Commands that mean nothing where there is no screen, and commands that would leave the emulator.

What only draws, shows, opens a window, plays a sound or speeds up the program is accepted and gives 0; so do
`resetmodel`, `go`, `step` and `stop`, since the run begins after the script in any case. In a trigger they give a
warning, for the run goes on. What reaches files, databases, the network, other programs, the machine or native code is
refused by name. Both are lists of names in `headless.json`; nothing is guessed.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Callable, Mapping
from typing import Any

from vlsm_jax.flexscript import Unsupported
from vlsm_jax.flexscript.vocabulary import INT, VARIANT, Command


@functools.cache
def names() -> Mapping[str, frozenset[str]]:
    """Returns the names under "accepted" and under "refused"."""
    text = importlib.resources.files("vlsm_jax.simulator").joinpath("headless.json").read_text(encoding="utf-8")
    return {kind: frozenset(commands) for kind, commands in json.loads(text).items()}


def _nothing(*arguments: Any) -> int:
    return 0


_OF_THE_RUN = ("stop", "go", "step", "reset", "resetmodel")


def _run_control(name: str) -> Callable[..., int]:
    def run(world: Any, *arguments: Any) -> int:
        if world.clock is not None:
            message = f"{name}() has no effect while the model runs: it goes on to its stop time"
            world.warn("unused", message, "set the stop time in the script: stoptime(t)")
        return 0

    return run


def refuse(name: str) -> Callable[..., Any]:
    """A command that reaches outside of the model: refused by name when it is reached."""

    def run(*arguments: Any) -> Any:
        raise Unsupported(
            f"{name} is refused: no command may reach files, the network or other programs",
            code="refused command",
            hint="remove it",
        )

    return run


def table() -> Mapping[str, Command]:
    """Returns the commands of both lists by name."""
    accepted = {name: Command(_nothing, INT, 0, 20) for name in names()["accepted"]}
    accepted |= {name: Command(_run_control(name), INT, 0, 20, True) for name in _OF_THE_RUN}
    return accepted | {name: Command(refuse(name), VARIANT, 0, 20) for name in names()["refused"]}
