"""Distributions as commands: drawn where a script or a code body calls them, from blocks per set of arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from vlsm_jax.flexscript import Fault
from vlsm_jax.flexscript.values import to_float
from vlsm_jax.flexscript.vocabulary import DOUBLE, Command
from vlsm_jax.simulator.distributions import SHAPES, check, sampler, stream
from vlsm_jax.simulator.world import World
from vlsm_jax.twin import Distribution

_MAX_SAMPLERS = 1000


class Draws:
    """Samplers by distribution, all fed from one seed; the same calls in the same order give the same numbers."""

    def __init__(self, seed: int, replication: int):
        self._seed = seed
        self._replication = replication
        self._samplers: dict[Distribution, Iterator[float]] = {}
        self._spare: np.random.Generator | None = None

    def draw(self, distribution: Distribution) -> float:
        """Returns the next value; raises `DistributionError`."""
        values = self._samplers.get(distribution)
        if values is not None:
            return next(values)
        if len(self._samplers) < _MAX_SAMPLERS:
            generator = stream(self._seed, self._replication, "script", str(distribution))
            values = self._samplers[distribution] = sampler(distribution, generator)
            return next(values)
        # Arguments that change with every call: one value at a time, so that memory stays bounded.
        if self._spare is None:
            self._spare = stream(self._seed, self._replication, "script", "spare")
        check(distribution)
        return SHAPES[distribution.name].draw(self._spare, 1, *distribution.arguments).tolist()[0]


def _command(name: str, count: int) -> Callable[..., float]:
    def draw(world: World, *arguments: Any) -> float:
        numbers = tuple(to_float(a) for a in arguments[:count])
        if not all(map(math.isfinite, numbers)):
            raise Fault(f"{name} needs finite numbers", code="distribution")
        if world.clock is None:
            world.warn(
                "drawn once",
                f"{name} is drawn here, once, while the script builds",
                f'to draw it for every item, set a code body: "return {name}(...);"',
            )
        try:
            return world.draws.draw(Distribution(name, numbers))
        except (ValueError, OverflowError) as error:
            raise Fault(str(error), code="distribution") from None

    return draw


def table() -> Mapping[str, Command]:
    """Returns the distributions as commands; the last argument, the stream, is accepted and ignored."""
    return {
        name: Command(
            _command(name, len(shape.parameters)), DOUBLE, len(shape.parameters), len(shape.parameters) + 1, True
        )
        for name, shape in SHAPES.items()
    }
