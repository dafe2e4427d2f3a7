"""Intervals over replications, against SciPy."""

import math

import numpy as np
import pytest
import scipy.stats

from vlsm_jax.simulator.statistics import estimate, t_quantile


@pytest.mark.parametrize(
    ("confidence", "degrees", "expected"),
    [(0.95, 1, 12.7062), (0.95, 10, 2.2281), (0.99, 5, 4.0321), (0.999, 29, 3.6594)],
)
def test_t_quantile_is_the_two_sided_one_of_the_tables(confidence, degrees, expected):
    assert t_quantile(confidence, degrees) == pytest.approx(expected, abs=1e-4)


def test_interval_of_the_mean():
    values = np.random.default_rng(0).normal(5, 2, 12).tolist()
    result = estimate(values)
    low, high = scipy.stats.t.interval(0.95, 11, np.mean(values), scipy.stats.sem(values))
    assert (result.mean - result.half_width, result.mean + result.half_width) == pytest.approx((low, high))
    assert result.interval(0.999) == pytest.approx(
        scipy.stats.t.interval(0.999, 11, np.mean(values), scipy.stats.sem(values))
    )


def test_missing_values_are_left_out():
    assert estimate([None, None]) is None
    assert estimate([1.0, None, 3.0]).mean == 2
    assert estimate([7.0]).half_width is None
    with pytest.raises(ValueError, match="at least two"):
        estimate([7.0]).interval()
    assert math.isclose(estimate([1.0, 1.0]).half_width, 0)
