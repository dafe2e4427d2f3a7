"""Verification: candidate scripts for a prompt are run, ranked and mended; the best is given back with its proof."""

from vlsm_jax.verification.trial import MENDED, Checks, Trial, try_script
from vlsm_jax.verification.verify import Asked, Verified, Verifier, rewrite, verify

__all__ = ["MENDED", "Asked", "Checks", "Trial", "Verified", "Verifier", "rewrite", "try_script", "verify"]
