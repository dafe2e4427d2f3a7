"""What compiling has to do with a step's memory: what it leaves behind, and what it is told to save.

XLA's compiler takes 200 to 300 MiB for a training step, and frees them in pieces where no array of the step has room.
Given back before the step runs, they count no more when its memory is at the highest.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"
# What is compiled more quickly leaves nothing worth the milliseconds that it takes to look for it.
_SECONDS = 0.5

_LITTLE_MEMORY = (("xla_cpu_scheduler_type", "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"),)


def compiler_options(remat: str, platform: str) -> dict[str, str]:
    """Returns XLA's options for a training step.

    On a CPU it orders operations so that many may run at once, and the results of all of them are there at once. Who
    has everything made again in the backward pass wants little memory, and gets another order: a sixth less of what a
    step makes, for 1 to 2 % of its time. With more kept ("dots") it would be 3 % less, for 5 %.

    Args:
      remat: what the backward pass makes again: see `models.stack`.
      platform: of the devices, as JAX names it.
    """
    wanted = platform == "cpu" and remat == "full"
    return dict(_LITTLE_MEMORY) if wanted and _is_known(_LITTLE_MEMORY) else {}


@functools.cache
def _is_known(options: tuple[tuple[str, str], ...]) -> bool:
    """Returns whether this release of XLA has these options; it promises none."""
    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


@functools.cache
def give_back_after_compiling() -> None:
    """From now on gives back what the compiler freed, whenever this process has compiled; once for each process."""

    def compiled(event: str, seconds: float, **_: Any) -> None:
        if event == _COMPILED and seconds > _SECONDS:
            give_back()

    jax.monitoring.register_event_duration_secs_listener(compiled)


def give_back() -> None:
    """Gives the system back what this process has freed, where the C library can do so at all."""
    trim = _find_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _find_trim() -> Callable[[int], int] | None:
    """Returns the GNU C library's `malloc_trim`, which gives back free pages wherever they are; None elsewhere."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return None
