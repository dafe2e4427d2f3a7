"""Curation: is a data set sound, and what is in it. Meets data, synthesis and the simulator; knows nothing of JAX."""

from vlsm_jax.curation.facts import Finding, Look
from vlsm_jax.curation.inspect import write_sheet
from vlsm_jax.curation.validate import Validation, validate

__all__ = ["Finding", "Look", "Validation", "validate", "write_sheet"]
