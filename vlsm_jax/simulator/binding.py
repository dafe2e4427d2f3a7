"""What an object's settings mean in one replication: numbers, durations drawn from random streams, compiled code."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vlsm_jax.flexscript import CompiledCode, Fault, compile_program
from vlsm_jax.flexscript.values import describe, to_float, to_int
from vlsm_jax.simulator import codebody, distributions
from vlsm_jax.simulator.distributions import DistributionError
from vlsm_jax.simulator.kernel import Calendar
from vlsm_jax.simulator.objects.item import Item
from vlsm_jax.simulator.objects.live_object import Hook
from vlsm_jax.simulator.objects.resource import UNLIMITED
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World
from vlsm_jax.twin import Code, Distribution, ParameterValue

Duration = Callable[[Item | None], float]


class Binding:
    """Turns settings into what running objects call.

    Attributes:
      world: whose tree runs.
      calendar: the model's time.
      names: the Twin's name of every object.
      next_number: gives the items of the model their numbers.
      live: the running objects by node, complete once every object has been created.
      sender: whoever sent the message that is being handled, None outside of one.
      changed_times: what gives times that scripts changed during the run, by object, property and value.
    """

    def __init__(
        self,
        world: World,
        calendar: Calendar,
        names: Mapping[Node, str],
        *,
        seed: int,
        replication: int,
        codes: dict[tuple[Node, str], CompiledCode],
    ):
        self.world = world
        self.calendar = calendar
        self.names = names
        self.next_number = itertools.count(1).__next__
        self.live: dict[Node, Any] = {}
        self._seed = seed
        self._replication = replication
        self._codes = codes
        self.sender: Any = None
        self._odd_times: set[tuple[Node, str]] = set()
        self._before: dict[tuple[Node, str], ParameterValue | None] = {}
        self.changed_times: dict[tuple[Node, str, ParameterValue], Duration] = {}

    def setting(self, node: Node, name: str) -> ParameterValue | None:
        """Returns what a script set, else the default."""
        value = node.settings.get(name)
        return value if value is not None else node.cls.defaults.get(name)

    def number(self, node: Node, name: str) -> float:
        """Returns a property as a number; code is evaluated once, at reset."""
        value = self.setting(node, name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, Code):
            return to_float(self.code(node, name, value).run(node))
        if isinstance(value, Distribution):
            return next(self.sampler(node, name, value, -math.inf))
        return to_float(value)

    def flag(self, node: Node, name: str) -> bool:
        """Returns a property that is 0 or 1."""
        value = self.setting(node, name)
        if value is None or isinstance(value, (int, float)):
            return bool(value)
        return bool(self.number(node, name))

    def variable(self, node: Node, name: str) -> bool:
        """Returns whether a script set an old variable that has no property."""
        return bool(self.world.variables.get((node, name), 0))

    def count(self, node: Node, name: str) -> int:
        """Returns a property as a whole number; at least 0, at most what counts as unlimited."""
        value = self.number(node, name)
        return max(0, int(value)) if value < UNLIMITED else UNLIMITED

    def duration(self, node: Node, name: str) -> Duration:
        """Returns the function that gives the next duration; negative ones count as 0."""
        return self.duration_of(node, name, self.setting(node, name))

    def duration_of(self, node: Node, name: str, value: ParameterValue | None) -> Duration:
        """The same for a value that stands in no property of its own; the name tells its stream from others."""
        if isinstance(value, Distribution):
            # `next` takes a default, which is never needed here: it lets the item pass as the argument.
            return functools.partial(next, self.sampler(node, name, value, 0.0))
        if isinstance(value, Code):
            run = self.code(node, name, value).run

            def interpret(item: Item | None) -> float:
                result = run(node, (item,))
                seconds = to_float(result)
                if seconds > 0:
                    return seconds
                if seconds != 0 or not isinstance(result, (int, float)):
                    self._warn_of_time(node, name, result)
                return 0.0

            return interpret
        return functools.partial(next, itertools.repeat(max(0.0, to_float(value))))

    def _warn_of_time(self, node: Node, name: str, result: Any) -> None:
        """Notes once for each property that its code gave no time."""
        if (node, name) in self._odd_times:
            return
        self._odd_times.add((node, name))
        if isinstance(result, (int, float)):
            given = "no number" if math.isnan(result) else "a time below 0"
            hint = "give a time of 0 or more; max(0, ...) cuts a distribution off"
        elif result is None:
            given, hint = "nothing", "end it with return ...;"
        else:
            given, hint = describe(result), "return a number of seconds"
        what = f"{name} of {self.names.get(node, node.name)!r}"
        self.world.warn("value", f"the code in {what} gave {given}; it counts as 0", hint)

    def whole(self, node: Node, name: str) -> Callable[[Item | None], int] | None:
        """Returns a property that is a port or a flag as a function of the item; None for a constant 0."""
        value = self.setting(node, name)
        if isinstance(value, Distribution):
            values = self.sampler(node, name, value, -math.inf)
            return lambda item: to_int(next(values))
        if isinstance(value, Code):
            run = self.code(node, name, value).run
            return lambda item: to_int(run(node, (item,)))
        number = to_int(value)
        return (lambda item: number) if number else None

    def sampler(self, node: Node, name: str, value: Distribution, minimum: float) -> Iterator[float]:
        """Returns the values of a distribution from the stream of one property of one object; raises `Fault`."""
        owner = self.names.get(node, node.name)
        try:
            generator = distributions.stream(self._seed, self._replication, owner, name)
            return distributions.sampler(value, generator, minimum=minimum)
        except DistributionError as error:
            raise Fault(f"{name} of {owner!r}: {error}", code="distribution", hint=error.hint) from None

    def hook(self, node: Node, name: str) -> Hook | None:
        """Returns a trigger as a function of its parameters (item and port), None when a script has not set it."""
        value = node.settings.get(name)
        if not isinstance(value, Code):
            return None
        run = self.code(node, name, value).run
        return lambda *parameters: run(node, parameters)

    def keep(self, node: Node, name: str, value: ParameterValue | None) -> None:
        """Remembers what a property was before the run, when it is changed for the first time."""
        self._before.setdefault((node, name), value)

    def forget(self, node: Node, name: str) -> None:
        """Drops the compiled code of a property that has changed."""
        self._codes.pop((node, name), None)

    def restore(self) -> None:
        """Sets every property that changed during the run back to what it was."""
        for (node, name), value in self._before.items():
            self.forget(node, name)
            if value is None:
                node.settings.pop(name, None)
            else:
                node.settings[name] = value
        for node, name, value in self.changed_times:
            if isinstance(value, Code):
                for number in range(1, len(self.changed_times) + 1):
                    self.forget(node, f"{name} (change {number})")

    def code(self, node: Node, name: str, value: Code) -> CompiledCode:
        """Returns a code body, compiled; raises `Fault` when it does not compile."""
        compiled = self._codes.get((node, name))
        if compiled is None:
            compiled = compile_body(self.world, self.names.get(node, node.name), name, value)
            self._codes[node, name] = compiled
        return compiled


def compile_body(world: World, owner: str, name: str, value: Code) -> CompiledCode:
    """Compiles the code body of a property; raises `Fault` with its first error when it does not compile."""
    label = f"{name} of {owner!r}"
    compiled = compile_program(codebody.parsed(value.text, label), world.vocabulary, world.machine, world.dialect)
    for finding in compiled.diagnostics:
        if finding.severity.value == "error":
            fault = Fault(finding.message.removeprefix(f"in {label}: "), code=finding.code, hint=finding.hint)
            fault.source = compiled.source
            fault.at = sum(len(line) + 1 for line in value.text.split("\n")[: finding.line - 1]) + finding.column - 1
            raise fault
    return compiled
