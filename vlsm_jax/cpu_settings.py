"""Settings that make a CPU faster and count only before a process starts: the program starts itself again with them.

The C library gives arrays back to the system and takes them again, zeroed page by page, for every step of training.
Huge pages, and thresholds that keep what is freed, save that: `benchmarks/training.py`, with and without `--plain`,
measures it.

Nothing is done where an accelerator computes, where the system has another C library, or about a variable that is set
already: the user's value stays, and an empty one turns the setting off.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

SETTINGS: Mapping[str, str] = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": str(16 * 2**30),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 2**30),
}
# The first release with huge pages for malloc.
_GLIBC = (2, 35)
# Set for the second start, so that there is no third one whatever becomes of the other variables.
_AGAIN = "VLSM_JAX_CPU_SETTINGS"
# What a TPU or a GPU shows itself by on Linux, before any library is asked.
_ACCELERATORS = ("accel[0-9]*", "vfio/[0-9]*", "nvidia[0-9]*", "kfd", "dxg")


def start_with_cpu_settings() -> None:
    """Starts this program again, once, when it will compute on a CPU and settings are missing.

    To be called before anything is imported that takes long. The process keeps its number, so whoever waits for it or
    sends it signals sees no difference.
    """
    if os.environ.pop(_AGAIN, None) is not None:
        return
    missing = missing_settings(os.environ, libc=_libc(), accelerator=_has_accelerator(Path("/dev")))
    if missing:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing, _AGAIN: "1"})


def compute_in_calling_thread() -> None:
    """Makes JAX's CPU devices compute in the thread that asks for it. To be called before JAX starts them.

    Else a thread of XLA's does, and the C library's heap of any but the main thread holds 64 MiB at most: the temporary
    array of a large training step would go back to the system after each step, whatever the thresholds above say, and
    come again zeroed page by page. Nothing is lost: there is nothing to do meanwhile that other threads cannot.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def missing_settings(environment: Mapping[str, str], *, libc: tuple[int, int] | None, accelerator: bool) -> dict:
    """Returns the variables to set.

    Args:
      environment: what is set now.
      libc: the version of the GNU C library; None for another one.
      accelerator: whether there is a TPU or a GPU, which is used unless JAX_PLATFORMS says otherwise.
    """
    platforms = environment.get("JAX_PLATFORMS", "").split(",")[0].strip()
    on_cpu = platforms == "cpu" if platforms else not accelerator
    if not on_cpu or libc is None or libc < _GLIBC:
        return {}
    return {name: value for name, value in SETTINGS.items() if name not in environment}


def _libc() -> tuple[int, int] | None:
    try:
        found = re.match(r"glibc (\d+)\.(\d+)", os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (AttributeError, OSError, ValueError):  # no POSIX system, or a C library that is not asked that
        return None
    return (int(found[1]), int(found[2])) if found else None


def _has_accelerator(devices: Path) -> bool:
    return any(next(devices.glob(pattern), None) is not None for pattern in _ACCELERATORS)
