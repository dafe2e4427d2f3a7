"""Distributions as commands: drawn where a script or a code body calls them, from the random stream that it names.

A stream is a number, the last argument of every distribution, 0 where it is missing. Streams up to 100 belong to
nobody: what they give depends on the number alone, so that all who name the same one take turns. `getstream(object)`
gives each object a stream of its own, from 101 on, and that one depends on the object's name: a model that differs in
another object draws the same numbers here. Within a stream every set of arguments has a sequence of its own, which is
drawn in blocks.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.host import find_table
from vlsm_jax.flexscript.values import as_float, describe, to_float, to_int
from vlsm_jax.flexscript.vocabulary import DOUBLE, INT, VARIANT, Command
from vlsm_jax.simulator import empirical
from vlsm_jax.simulator.distributions import SHAPES, DistributionError, check, order, sampler, stream
from vlsm_jax.simulator.paths import Attribute
from vlsm_jax.simulator.tree import Node
from vlsm_jax.simulator.world import World
from vlsm_jax.twin import Distribution

FIRST_OWN_STREAM = 101
_MAX_SAMPLERS = 1000
_MAX_KEPT_ROWS = 100
"""Samplers of longer tables are not kept, so that memory stays bounded."""


class _Streams(NamedTuple):
    """The objects that have streams of their own: their numbers, and the objects in the order of the numbers."""

    numbers: dict[Node, int]
    objects: list[Node]


class Draws:
    """Samplers by stream and distribution, all fed from one seed; the same calls in the same order give the same.

    Attributes:
      samplers: by (name, stream, arguments), for the commands to look into.
    """

    def __init__(self, seed: int, replication: int, streams: _Streams | None = None):
        self.samplers: dict[tuple, Iterator[Any]] = {}
        self._seed = seed
        self._replication = replication
        self._streams = streams if streams is not None else _Streams({}, [])
        self._owners: dict[int, str] = {}
        self._same_name: collections.Counter[str] = collections.Counter()
        self._spare: np.random.Generator | None = None

    def again(self, seed: int, replication: int) -> Draws:
        """Returns the draws of a run; objects keep the streams that they were given."""
        return Draws(seed, replication, self._streams)

    def stream_of(self, node: Node) -> int:
        """Returns the number of the object's own stream."""
        numbers, objects = self._streams
        if node not in numbers:
            numbers[node] = FIRST_OWN_STREAM + len(objects)
            objects.append(node)
        return numbers[node]

    def draw(self, name: str, stream_number: int, arguments: tuple[float, ...]) -> float:
        """Returns the next value; raises `DistributionError`."""
        distribution = Distribution(name, arguments)
        if len(self.samplers) < _MAX_SAMPLERS:
            values = sampler(distribution, self._generator(stream_number, str(distribution)))
            self.samplers[name, stream_number, arguments] = values
            return next(values)
        # Arguments that change with every call: one value at a time, so that memory stays bounded.
        check(distribution)
        return SHAPES[name].draw(self._spare_generator(), 1, *distribution.arguments).tolist()[0]

    def draw_row(self, name: str, stream_number: int, entries: empirical.Entries) -> Any:
        """Returns the next value of a distribution that is given as a table."""
        key = (name, stream_number, entries)
        if len(entries.values) > _MAX_KEPT_ROWS or (len(self.samplers) >= _MAX_SAMPLERS and key not in self.samplers):
            return empirical.draw(name, entries, self._spare_generator())
        if key not in self.samplers:
            self.samplers[key] = empirical.sampler(name, entries, self._generator(stream_number, f"{name}{entries}"))
        return next(self.samplers[key])

    def _generator(self, number: int, purpose: str) -> np.random.Generator:
        owner = self._owner(number)
        if owner is None:
            return stream(self._seed, self._replication, "script", f"stream {number}: {purpose}")
        return stream(self._seed, self._replication, owner, f"getstream: {purpose}")

    def _owner(self, number: int) -> str | None:
        """Returns the name of the object whose stream this is; objects of one name are told apart by a number."""
        objects = self._streams.objects
        if number not in self._owners and 0 <= number - FIRST_OWN_STREAM < len(objects):
            # The name counts that it has now: a script may ask for the stream before it names the object.
            name = objects[number - FIRST_OWN_STREAM].name
            self._same_name[name] += 1
            count = self._same_name[name]
            self._owners[number] = name if count == 1 else f"{name}~{count}"
        return self._owners.get(number)

    def _spare_generator(self) -> np.random.Generator:
        if self._spare is None:
            self._spare = stream(self._seed, self._replication, "script", "spare")
        return self._spare


def _command(name: str, count: int) -> Callable[..., float]:
    def draw(world: World, *arguments: Any) -> float:
        numbers = tuple([as_float(a) if isinstance(a, (int, float)) else to_float(a) for a in arguments[:count]])
        number = 0 if len(arguments) == count else _stream_number(world, name, arguments[count])
        if world.clock is None:
            _warn_at_build(world, name)
        values = world.draws.samplers.get((name, number, numbers))
        if values is not None:
            return next(values)
        if not all(map(math.isfinite, numbers)):
            raise Fault(f"{name} needs finite numbers", code="distribution", hint=order(name))
        return _guarded(world.draws.draw, name, number, numbers)

    return draw


def _table_command(name: str) -> Callable[..., Any]:
    def draw(world: World, table: Any, stream_argument: Any = 0) -> Any:
        rows = _rows(world, name, table)
        world.machine.charge(1 + len(rows) // 4)
        if world.clock is None:
            _warn_at_build(world, name)
        entries = _guarded(empirical.read, name, rows)
        return world.draws.draw_row(name, _stream_number(world, name, stream_argument), entries)

    return draw


def _rows(world: World, name: str, table: Any) -> list[Any]:
    if isinstance(table, list):
        return table
    if table is None or isinstance(table, float):
        hint = f"give it a table, its name, or the rows themselves: {name}([[40, 5], [60, 8]])"
        raise Fault(f"{name} needs a table, not {describe(table)}", code="distribution", hint=hint)
    return find_table(world, table).rows


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except DistributionError as error:
        raise Fault(str(error), code="distribution", hint=error.hint) from None
    except (ValueError, OverflowError) as error:
        raise Fault(str(error), code="distribution") from None


def _warn_at_build(world: World, name: str) -> None:
    message = f"{name} is drawn here, once, while the script builds"
    world.warn("drawn once", message, f'to draw it for every item, set a code body: "return {name}(...);"')


def _stream_number(world: World, name: str, value: Any) -> int:
    if not isinstance(value, (int, float)):
        message = f"the stream of {name} is a number, not {describe(value)}; stream 0 is used"
        world.warn("stream", message, "give an object a stream of its own: getstream(current)")
        return 0
    return to_int(value)


def get_stream(world: World, node: Any) -> int:
    """`getstream(object)`: the number of the object's own stream, the same at every call."""
    if isinstance(node, Attribute):
        node = node.owner
    if not isinstance(node, Node):
        world.warn("stream", f"getstream needs an object, not {describe(node)}; stream 0 is used", "getstream(current)")
        return 0
    return world.draws.stream_of(node)


def table() -> Mapping[str, Command]:
    """Returns the distributions as commands, and the command that gives an object its stream."""
    commands = {"getstream": Command(get_stream, INT, 1, 1, True)}
    for name, shape in SHAPES.items():
        count = len(shape.parameters)
        commands[name] = Command(_command(name, count), DOUBLE, count, count + 1, True)
    for name in empirical.NAMES:
        result = VARIANT if name == "dempirical" else DOUBLE
        commands[name] = Command(_table_command(name), result, 1, 2, True)
    return commands
