"""95 % intervals over the samples of a test set."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
_BLOCK = 2_000_000  # numbers drawn at a time, which bounds the memory for a large test set


class Interval(NamedTuple):
    """A mean over samples and the bounds of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def resampled_means(values: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Returns the means of bootstrap resamples, drawn with replacement.

    The same seed draws the same samples for every column, and for every array with as many rows.

    Args:
      values: `[n, m]`, one row per sample.

    Returns:
      `[resamples, m]`.

    Raises:
      ValueError: there are no rows, or the array is not two-dimensional.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"bootstrap over an array of shape {values.shape}; expected [n, m] with at least one row")
    return np.concatenate([weights @ values for weights in _weights(len(values), seed, resamples)])


def bootstrap_interval(values: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> tuple[Interval, ...]:
    """Returns the mean and the percentile bootstrap interval of each column of `values` `[n, m]`.

    The interval covers the choice of test samples, not the randomness of training. Where all samples agree it has no
    width, which says little about the next sample.
    """
    values = np.asarray(values, np.float64)
    means = resampled_means(values, seed=seed, resamples=resamples)
    return tuple(
        Interval(float(mean), *percentiles(draws)) for mean, draws in zip(values.mean(0), means.T, strict=True)
    )


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """Returns the bounds between which the middle 95 % of `draws` lie."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def share_interval(successes: int, n: int) -> Interval:
    """Returns a share and its Wilson score interval.

    Unlike the bootstrap it keeps its width at 0 and 1: twenty out of twenty is [0.84, 1]. Source: E. B. Wilson,
    "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Raises:
      ValueError: `n` is not positive, or `successes` is not between 0 and `n`.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"a share of {successes} out of {n} is undefined; give 0 <= successes <= n and n >= 1")
    z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the bound is exactly the share; the formula misses it by a rounding error.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Interval(share, low, high)


def _weights(n: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // n)
    for start in range(0, resamples, block):
        yield rng.multinomial(n, np.full(n, 1 / n), size=min(block, resamples - start)) / n
