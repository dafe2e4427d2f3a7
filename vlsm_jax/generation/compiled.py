"""Compiled programs kept between runs of the command line, so that only the first one compiles."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import jax

MOST_BYTES = 256 * 2**20
"""Of what is kept; what was not used for longest goes first."""


def keep_compiled() -> Path | None:
    """Makes JAX keep what it compiles below the user's cache folder; returns where, or None.

    Nothing is changed where `JAX_COMPILATION_CACHE_DIR` says where already or `JAX_ENABLE_COMPILATION_CACHE` says not
    to, and nothing is kept where the folder cannot be made.
    """
    if jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return None
    try:
        folder = cache_folder() / "compiled" / _machine()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    # The many programs that place parameters are small, and together take as long as a large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def cache_folder() -> Path:
    """Returns the folder of what this package keeps for a user and can make again; raises RuntimeError without home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlsm_jax"


def _machine() -> str:
    """Returns what tells processors apart: code for one may not run on another, and homes may lie on a network."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    except OSError:
        known = [platform.processor()]
    digest = hashlib.blake2b("\n".join(known).encode(), digest_size=4).hexdigest()
    return f"{platform.machine() or 'machine'}-{digest}"
