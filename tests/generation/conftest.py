"""Settings for this room's tests."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _quick_compilation():
    """These models are tiny and run once: what counts is the time to compile."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
