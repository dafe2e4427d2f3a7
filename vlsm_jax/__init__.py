"""vlsm_jax: a layout sketch and a prompt in, a FlexScript that runs out.

The few names that a notebook needs; each is loaded when it is first used, so that importing the package is quick.

    import vlsm_jax
    report = vlsm_jax.run(open("model.fsx").read(), until=28800)
    report.kpis.total_throughput.mean          # items per hour
    score = vlsm_jax.score_pair(reference, candidate)
    generator = vlsm_jax.load_generator("runs/quickstart/export")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vlsm_jax.version import __version__

if TYPE_CHECKING:
    from vlsm_jax.generation.load import load_generator
    from vlsm_jax.metrics.score import score_pair
    from vlsm_jax.simulator import Report, build, check, run
    from vlsm_jax.twin import Twin

_HOMES = {
    "Report": "vlsm_jax.simulator",
    "Twin": "vlsm_jax.twin",
    "build": "vlsm_jax.simulator",
    "check": "vlsm_jax.simulator",
    "load_generator": "vlsm_jax.generation.load",
    "run": "vlsm_jax.simulator",
    "score_pair": "vlsm_jax.metrics.score",
}

__all__ = ["Report", "Twin", "__version__", "build", "check", "load_generator", "run", "score_pair"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
