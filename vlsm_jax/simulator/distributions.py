"""FlexSim's distributions in its own argument order, drawn in blocks from one random stream per object and property.

FlexSim's command reference gives the names and the order of the parameters, not the densities. Those are the ones of
the textbooks that use the same words for the same parameters:

  Law, Simulation Modeling and Analysis, ch. 6, and its fitting program, which FlexSim ships: location moves a
    distribution, scale stretches it, shape does the rest. All continuous distributions here but the next two lines.
  Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions, vol. 1, ch. 15: the inverse Gaussian with mean
    `scale` and variance scale^3 / shape, and the random walk distribution, its reciprocal (Wise).
  The same, vol. 2, ch. 22 to 24: extreme values of type 1 (A: the largest, B: the smallest), logistic, Laplace.

No public source states which form of the random walk distribution FlexSim has; here it is the reciprocal of what
`inversegaussian` gives for the same scale and shape, so that its mean is location + 1 / scale + 1 / shape. FlexSim's
generator is not public either: single numbers cannot be reproduced, only their distribution.
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from vlsm_jax.twin import Distribution

SEED_WORDS = 4
_FIRST_BLOCK = 16
_BLOCK = 512
_LARGEST_BLOCK = 16384


class DistributionError(ValueError):
    """A distribution that does not exist or whose arguments have no meaning; the message says which and why.

    Attributes:
      hint: the order of the parameters, possibly empty.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.hint = hint


class Shape(NamedTuple):
    """How one distribution is drawn.

    Attributes:
      parameters: their names, in FlexSim's order, without the stream.
      draw: (generator, count, *arguments) to an array of `count` values.
      check: arguments to a complaint, empty when they are fine.
    """

    parameters: tuple[str, ...]
    draw: Callable[..., np.ndarray]
    check: Callable[..., str] = lambda *arguments: ""


def _positive(*positions: int) -> Callable[..., str]:
    def check(*arguments: float) -> str:
        wrong = [p for p in positions if not arguments[p] > 0]
        return f"argument {wrong[0] + 1} must be greater than 0" if wrong else ""

    return check


def _not_negative(*positions: int) -> Callable[..., str]:
    def check(*arguments: float) -> str:
        wrong = [p for p in positions if not arguments[p] >= 0]
        return f"argument {wrong[0] + 1} must not be negative" if wrong else ""

    return check


def _ordered(low: float, high: float, *rest: float) -> str:
    return "" if low <= high else "min is greater than max"


def _triangular_order(low: float, high: float, mode: float) -> str:
    return "" if low <= mode <= high else "the mode does not lie between min and max"


def _percent(position: int) -> Callable[..., str]:
    def check(*arguments: float) -> str:
        return "" if 0 <= arguments[position] <= 100 else f"argument {position + 1} is a percentage, 0 to 100"

    return check


def _probability(position: int) -> Callable[..., str]:
    def check(*arguments: float) -> str:
        return "" if 0 < arguments[position] <= 1 else f"argument {position + 1} is a probability, above 0 up to 1"

    return check


def _triangular(rng: np.random.Generator, n: int, low: float, high: float, mode: float) -> np.ndarray:
    return np.full(n, float(low)) if low == high else rng.triangular(low, mode, high, n)


def _lognormal_mean(rng: np.random.Generator, n: int, mean: float, stdev: float) -> np.ndarray:
    variance = math.log(1 + (stdev / mean) ** 2)
    return rng.lognormal(math.log(mean) - variance / 2, math.sqrt(variance), n)


def _log_laplace(rng: np.random.Generator, n: int, location: float, scale: float, shape: float) -> np.ndarray:
    u = _open_uniform(rng, n)
    power = np.where(u < 0.5, (2 * u) ** (1 / shape), (2 * (1 - u)) ** (-1 / shape))
    return location + scale * power


def _johnson_bounded(rng: np.random.Generator, n: int, low: float, high: float, s1: float, s2: float) -> np.ndarray:
    return low + (high - low) / (1 + np.exp(-(rng.standard_normal(n) - s1) / s2))


def _open_uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    return 1.0 - rng.random(n)  # in (0, 1], so that logarithms and powers stay finite


def _frechet(rng: np.random.Generator, n: int, location: float, scale: float, shape: float) -> np.ndarray:
    return location + scale * rng.standard_exponential(n) ** (-1 / shape)


def _log_logistic(rng: np.random.Generator, n: int, location: float, scale: float, shape: float) -> np.ndarray:
    u = _open_uniform(rng, n)
    return location + scale * (1 / u - 1) ** (1 / shape)


def _hypergeometric_order(trials: float, successes: float, size: float) -> str:
    return "" if 0 <= successes <= size and 0 <= trials <= size else "successes and trials lie between 0 and size"


_LSS = ("location", "scale", "shape")
_LS = ("location", "scale")

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "exponential": Shape(_LS, lambda g, n, loc, scale: loc + g.exponential(scale, n), _not_negative(1)),
        "normal": Shape(("mean", "stddev"), lambda g, n, mean, sd: g.normal(mean, sd, n), _not_negative(1)),
        "triangular": Shape(("min", "max", "mode"), _triangular, _triangular_order),
        "uniform": Shape(("min", "max"), lambda g, n, low, high: g.uniform(low, high, n), _ordered),
        "duniform": Shape(
            ("min", "max"),
            lambda g, n, low, high: g.integers(math.ceil(low), math.floor(high), n, endpoint=True),
            lambda low, high: "" if math.ceil(low) <= math.floor(high) else "no whole number lies between min and max",
        ),
        "bernoulli": Shape(
            ("probPercent", "succeedValue", "failValue"),
            lambda g, n, percent, yes, no: np.where(g.random(n) * 100 < percent, yes, no),
            _percent(0),
        ),
        "binomial": Shape(
            ("trials", "probPercent"),
            lambda g, n, trials, percent: g.binomial(int(trials), percent / 100, n),
            lambda trials, percent: _percent(1)(trials, percent) or _not_negative(0)(trials),
        ),
        "poisson": Shape(("mean",), lambda g, n, mean: g.poisson(mean, n), _not_negative(0)),
        # Failures before the first (the n-th) success.
        "geometric": Shape(("prob",), lambda g, n, p: g.geometric(p, n) - 1, _probability(0)),
        "negbinomial": Shape(
            ("successes", "prob"),
            lambda g, n, k, p: g.negative_binomial(k, p, n),
            lambda k, p: _positive(0)(k) or _probability(1)(k, p),
        ),
        "erlang": Shape(_LSS, lambda g, n, loc, scale, k: loc + g.gamma(k, scale, n), _positive(1, 2)),
        "gamma": Shape(_LSS, lambda g, n, loc, scale, k: loc + g.gamma(k, scale, n), _positive(1, 2)),
        "weibull": Shape(_LSS, lambda g, n, loc, scale, k: loc + scale * g.weibull(k, n), _positive(1, 2)),
        "beta": Shape(
            ("min", "max", "shape1", "shape2"),
            lambda g, n, low, high, a, b: low + (high - low) * g.beta(a, b, n),
            lambda low, high, a, b: _ordered(low, high) or _positive(2, 3)(low, high, a, b),
        ),
        "lognormal": Shape(
            ("location", "normalmean", "normalstdev"),
            lambda g, n, loc, mean, sd: loc + g.lognormal(mean, sd, n),
            _not_negative(2),
        ),
        "lognormal2": Shape(
            _LSS,
            lambda g, n, loc, scale, shape: loc + g.lognormal(math.log(scale), shape, n),
            lambda loc, scale, shape: _positive(1)(loc, scale) or _not_negative(2)(loc, scale, shape),
        ),
        "lognormalmeanstdev": Shape(
            ("mean", "stdev"), _lognormal_mean, lambda m, s: _positive(0)(m) or _not_negative(1)(m, s)
        ),
        "loglogistic": Shape(_LSS, _log_logistic, _positive(1, 2)),
        "loglaplace": Shape(_LSS, _log_laplace, _positive(1, 2)),
        "inversegaussian": Shape(_LSS, lambda g, n, loc, scale, k: loc + g.wald(scale, k, n), _positive(1, 2)),
        "randomwalk": Shape(_LSS, lambda g, n, loc, scale, k: loc + 1 / g.wald(scale, k, n), _positive(1, 2)),
        "inverseweibull": Shape(_LSS, _frechet, _positive(1, 2)),
        "invertedweibull": Shape(_LSS, _frechet, _positive(1, 2)),
        "pearsont5": Shape(_LSS, lambda g, n, loc, scale, k: loc + scale / g.standard_gamma(k, n), _positive(1, 2)),
        "pearsont6": Shape(
            ("location", "scale", "shape1", "shape2"),
            lambda g, n, loc, scale, a, b: loc + scale * g.standard_gamma(a, n) / g.standard_gamma(b, n),
            _positive(1, 2, 3),
        ),
        "johnsonbounded": Shape(
            ("min", "max", "shape1", "shape2"),
            _johnson_bounded,
            lambda low, high, a, b: _ordered(low, high) or _positive(3)(low, high, a, b),
        ),
        "johnsonunbounded": Shape(
            ("location", "scale", "shape1", "shape2"),
            lambda g, n, loc, scale, a, b: loc + scale * np.sinh((g.standard_normal(n) - a) / b),
            _positive(1, 3),
        ),
        "laplace": Shape(_LS, lambda g, n, loc, scale: g.laplace(loc, scale, n), _not_negative(1)),
        "logistic": Shape(_LS, lambda g, n, loc, scale: g.logistic(loc, scale, n), _not_negative(1)),
        "cauchy": Shape(_LS, lambda g, n, loc, scale: loc + scale * g.standard_cauchy(n), _not_negative(1)),
        # Type A is the largest of many, type B the smallest.
        "extremevalue1a": Shape(_LS, lambda g, n, loc, scale: g.gumbel(loc, scale, n), _not_negative(1)),
        "extremevalue1b": Shape(_LS, lambda g, n, loc, scale: loc - g.gumbel(0, scale, n), _not_negative(1)),
        "pareto": Shape(("min", "scale"), lambda g, n, low, a: low * (1 + g.pareto(a, n)), _positive(0, 1)),
        "logarithmic": Shape(
            ("theta",),
            lambda g, n, theta: g.logseries(theta, n),
            lambda theta: "" if 0 < theta < 1 else "theta lies between 0 and 1",
        ),
        "hypergeometric": Shape(
            ("trials", "successes", "size"),
            lambda g, n, trials, successes, size: g.hypergeometric(
                int(successes), int(size) - int(successes), int(trials), n
            ),
            _hypergeometric_order,
        ),
    }
)


_TWO_DRAWS = frozenset(("pearsont6",))
"""Distributions whose values are made of two draws from the stream."""


def check(distribution: Distribution) -> None:
    """Raises `DistributionError` when the distribution is unknown or its arguments have no meaning."""
    shape = SHAPES.get(distribution.name)
    if shape is None:
        raise DistributionError(f"there is no distribution {distribution.name!r} of numbers")
    if len(distribution.arguments) != len(shape.parameters):
        given = len(distribution.arguments)
        raise DistributionError(f"{distribution.name} has {given} arguments", order(distribution.name))
    complaint = shape.check(*distribution.arguments)
    if complaint:
        raise DistributionError(f"{distribution}: {complaint}", order(distribution.name))


def order(name: str) -> str:
    """Returns what a distribution takes, as a hint: `triangular takes (min, max, mode)`."""
    return f"{name} takes ({', '.join(SHAPES[name].parameters)})"


def sampler(
    distribution: Distribution, generator: np.random.Generator, *, minimum: float = -math.inf
) -> Iterator[float]:
    """Returns an endless iterator of values as plain Python numbers; values below `minimum` become it.

    Raises:
      DistributionError: the distribution is unknown, or its arguments have no meaning.
    """
    check(distribution)
    draw, arguments = SHAPES[distribution.name].draw, distribution.arguments

    def block(size: int) -> list[float]:
        with np.errstate(all="ignore"):
            values = draw(generator, size, *arguments)
        # nan, from arguments at the edge of a domain, counts as the minimum, so that no event is due at nan.
        return np.fmax(minimum, values).tolist() if minimum > -math.inf else values.tolist()

    try:
        # Short runs use few values. Where a value takes two draws, blocks of other lengths would pair them otherwise.
        first = block(_BLOCK if distribution.name in _TWO_DRAWS else _FIRST_BLOCK)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise DistributionError(f"{distribution}: {error}", order(distribution.name)) from error
    return in_blocks(block, first)


def in_blocks(block: Callable[[int], list[Any]], first: list[Any] | None = None) -> Iterator[Any]:
    """Returns an endless iterator over lists that `block(size)` draws, the longer the more of them are used."""

    def blocks() -> Iterator[list[Any]]:
        values = block(_BLOCK) if first is None else first
        size = len(values)
        yield values
        while True:
            size = min(2 * size, _LARGEST_BLOCK)
            yield block(size)

    return itertools.chain.from_iterable(blocks())


def stream(seed: int, replication: int, owner: str, purpose: str) -> np.random.Generator:
    """Returns the random stream of one purpose of one object.

    The stream depends on the object's name, not on the number of objects, so that two models that differ in one object
    draw the same numbers everywhere else (common random numbers). The generator is integer arithmetic, the same on
    every platform; the last bit of a transformed value is the platform's mathematical library's.
    """
    key = (replication, zlib.crc32(owner.encode()), zlib.crc32(purpose.encode()))
    return np.random.Generator(np.random.PCG64(KnownSeed(_seed_words(seed, key))))


@functools.lru_cache(maxsize=1 << 14)
def _seed_words(seed: int, key: tuple[int, int, int]) -> np.ndarray:
    """Returns the four words that a stream starts from. Finding them takes far longer than drawing a few values.

    They are kept, since models that are run one after the other have most of their names, and the seed, in common.
    """
    return np.random.SeedSequence(entropy=seed, spawn_key=key).generate_state(SEED_WORDS, np.uint64)


class KnownSeed(np.random.bit_generator.ISeedSequence):
    """Hands out words that are known already, for `PCG64`, which asks once for `SEED_WORDS` of 64 bits."""

    def __init__(self, words: np.ndarray):
        self._words = words

    def generate_state(self, n_words: int, dtype: type = np.uint32) -> np.ndarray:
        return self._words


def mean(distribution: Distribution) -> float | None:
    """Returns the exact mean where it is finite for all arguments and simple to state, None for the others."""
    name, a = distribution.name, distribution.arguments
    formulas: dict[str, Callable[[], Any]] = {
        "exponential": lambda: a[0] + a[1],
        "normal": lambda: a[0],
        "triangular": lambda: sum(a) / 3,
        "uniform": lambda: (a[0] + a[1]) / 2,
        "duniform": lambda: (a[0] + a[1]) / 2,
        "poisson": lambda: a[0],
        "bernoulli": lambda: (a[0] * a[1] + (100 - a[0]) * a[2]) / 100,
        "gamma": lambda: a[0] + a[1] * a[2],
        "erlang": lambda: a[0] + a[1] * a[2],
        "weibull": lambda: a[0] + a[1] * math.gamma(1 + 1 / a[2]),
        "beta": lambda: a[0] + (a[1] - a[0]) * a[2] / (a[2] + a[3]),
        "binomial": lambda: int(a[0]) * a[1] / 100,
        "geometric": lambda: (1 - a[0]) / a[0],
        "negbinomial": lambda: a[0] * (1 - a[1]) / a[1],
        "inversegaussian": lambda: a[0] + a[1],
        "randomwalk": lambda: a[0] + 1 / a[1] + 1 / a[2],
        "laplace": lambda: a[0],
        "logistic": lambda: a[0],
        "lognormal": lambda: a[0] + math.exp(a[1] + a[2] ** 2 / 2),
        "lognormal2": lambda: a[0] + a[1] * math.exp(a[2] ** 2 / 2),
        "lognormalmeanstdev": lambda: a[0],
    }
    return float(formulas[name]()) if name in formulas else None
