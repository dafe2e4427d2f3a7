"""`await`: code that stops in the middle and goes on later, each piece of such code in a greenlet of its own.

Code that holds an `await` runs in a greenlet. At the `await` the greenlet hands what it waits for to whoever runs it,
and sleeps; the caller goes on as if the code had returned Null. Something of the world wakes it up later: for a Delay
that is `world.suspend(delay, resume)`. What the machine keeps of the code that runs (its source, its depth of calls)
is put aside while it sleeps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit, getcurrent, greenlet

from vlsm_jax.flexscript import host
from vlsm_jax.flexscript.conversions import ValueType, describe, format_number, to_float
from vlsm_jax.flexscript.diagnostics import SourceText
from vlsm_jax.flexscript.faults import Fault, OutOfBudget, Unsupported
from vlsm_jax.flexscript.vocabulary import VARIANT, Command, Namespace, TypeSpec

if TYPE_CHECKING:
    from vlsm_jax.flexscript.machine import Machine

MAX_SLEEPING = 10_000
"""So many pieces of code may wait at one time."""

MAX_DELAY = 1e15


class Awaitable(ValueType):
    """Something that code can wait for. A world derives types of its own, such as an event of an object."""

    __slots__ = ()
    type_name = "Awaitable"

    def begin(self, world: Any, resume: Callable[[Any], None]) -> None:
        """Arranges that `resume(value)` is called once, later; the `await` gives that value. Raises `Fault`."""
        raise NotImplementedError

    def waits(self) -> bool:
        """Whether there is something to wait for; else `gained()` is there already."""
        return True

    def gained(self) -> Any:
        """What the `await` gives when there is nothing to wait for."""
        return None


class Delay(Awaitable):
    """A length of model time, in seconds; each `await` of it waits anew."""

    __slots__ = ("seconds",)
    type_name = "Delay"

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __str__(self) -> str:
        return f"Delay({format_number(self.seconds)})"

    def begin(self, world: Any, resume: Callable[[Any], None]) -> None:
        """Asks the world to resume when the time has passed."""
        suspend = host.offered(world, "suspend")
        if suspend is None:
            raise no_model()
        suspend(self.seconds, resume)


def no_model() -> Fault:
    """The fault of waiting where no time passes."""
    return Fault("await needs a running model: no time passes while the script builds", code="coroutine",
                 hint="wait in a trigger or in a code body of an object")  # fmt: skip


class Coroutine:
    """One run of a piece of code that may wait.

    Attributes:
      source: the text of the code.
    """

    __slots__ = ("_awaited", "_calls", "_greenlet", "_machine", "source")

    def __init__(self, machine: Machine, source: SourceText, body: Callable[[], Any]):
        self._machine = machine
        self.source = source
        self._awaited: Any = None
        self._calls = 0
        self._greenlet = greenlet(lambda _: body())

    def proceed(self, value: Any = None) -> Any:
        """Runs the code until it waits or ends; returns what it returned, None when it waits. Raises its `Fault`."""
        machine, sleeper = self._machine, self._greenlet
        if sleeper.dead:
            return None
        machine.sleeping.pop(self, None)
        machine.enter()
        outer = machine.source, machine.at, machine.coroutine
        calls = machine.calls
        machine.source, machine.coroutine = self.source, self
        machine.calls += self._calls
        sleeper.parent = getcurrent()
        try:
            result = sleeper.switch(value)
            self._calls = machine.calls - calls
        except Fault as fault:
            if fault.source is None:
                fault.source = self.source
            raise
        finally:
            machine.source, machine.at, machine.coroutine = outer
            machine.calls = calls
            machine.leave()
        if sleeper.dead:
            return result
        machine.sleeping[self] = None
        if len(machine.sleeping) > MAX_SLEEPING:
            raise OutOfBudget(f"more than {MAX_SLEEPING} pieces of code wait at one time")
        awaited, self._awaited = self._awaited, None
        try:
            awaited.begin(machine.world, self.proceed)
        except Fault as fault:
            # The code itself is at fault: it gets the exception at its `await`, and ends with it.
            self._fail(fault)
        return None

    def _fail(self, exception: Any) -> None:
        """Ends the sleeping code with an exception, and with it the functions of the script that it stands in."""
        machine = self._machine
        outer = machine.source, machine.at, machine.coroutine, machine.calls
        machine.sleeping.pop(self, None)
        machine.calls += self._calls
        self._greenlet.parent = getcurrent()
        try:
            self._greenlet.throw(exception)
        except Fault as fault:
            if fault.source is None:
                fault.source = self.source
            raise
        finally:
            machine.source, machine.at, machine.coroutine, machine.calls = outer

    def wait(self, awaitable: Awaitable) -> Any:
        """Called from within the code: sleeps until something calls `proceed(value)`, and returns the value."""
        self._awaited = awaitable
        return self._greenlet.parent.switch(None)

    def dispose(self) -> None:
        """Ends code that nothing will wake up any more."""
        if not self._greenlet.dead:
            self._fail(GreenletExit)


def wait_for(machine: Machine, value: Any) -> Any:
    """`await value`: what is no awaitable is there already and is returned at once; raises `Fault`."""
    if not isinstance(value, Awaitable):
        return value
    if not value.waits():
        return value.gained()
    coroutine = machine.coroutine
    if coroutine is None:
        raise no_model()
    machine.charge(10)
    return coroutine.wait(value)


# --- What scripts may name --------------------------------------------------------------------------------------------


def _delay(unit: float, count: Any) -> Delay:
    seconds = to_float(count) * unit
    if not abs(seconds) <= MAX_DELAY:
        raise Fault(f"a Delay of {format_number(to_float(count))} is no time", code="argument")
    return Delay(max(0.0, seconds))


def _real_time(*arguments: Any) -> Any:
    raise Unsupported("Delay.realTime is not supported: the emulator waits in model time only",
                      code="unsupported command", hint="use Delay.seconds(n)")  # fmt: skip


def _event(*arguments: Any) -> Any:
    raise Unsupported("awaiting an Event is not supported", code="unsupported command",
                      hint="wait with Delay.seconds(n), or react in a trigger of the object")  # fmt: skip


def _to_delay(value: Any) -> Delay | None:
    if value is None or isinstance(value, Delay):
        return value
    raise Fault(f"expected a Delay, got {describe(value)}", code="type", hint="for example Delay.seconds(5)")


def namespace() -> Namespace:
    """Returns what stands behind `Delay.`."""
    units = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0, "milliseconds": 0.001}
    methods = {name: Command(functools.partial(_delay, unit), VARIANT, 1, 1) for name, unit in units.items()}
    return Namespace({**methods, "realTime": Command(_real_time, VARIANT, 1, 1)})


def event_namespace() -> Namespace:
    """Returns what stands behind `Event.`."""
    return Namespace({"evaluation": Command(_event, VARIANT, 0, 20)})


def types() -> Mapping[str, TypeSpec]:
    """Returns the type `Delay`."""
    return {"Delay": TypeSpec("Delay", lambda: None, _to_delay)}


def commands() -> Mapping[str, Command]:
    """Returns the constructor; model time is in seconds."""
    return {
        "Delay": Command(functools.partial(_delay, 1.0), VARIANT, 1, 1),
        "Event": Command(_event, VARIANT, 0, 20),
    }
