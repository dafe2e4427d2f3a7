"""An emulator of FlexSim: FlexScript in, a built factory and the figures of its run out."""

from vlsm_jax.flexscript import Diagnostic, Dialect, Severity
from vlsm_jax.simulator.building import build
from vlsm_jax.simulator.checking import check
from vlsm_jax.simulator.library import classes, property_default
from vlsm_jax.simulator.report import BuildResult, Report, Verdict
from vlsm_jax.simulator.running import STOP_TIME, run, watch
from vlsm_jax.simulator.simulation import TraceEvent
from vlsm_jax.simulator.statistics import Estimate, Kpis, ObjectStatistics
from vlsm_jax.simulator.world import Budget

__all__ = [
    "STOP_TIME",
    "Budget",
    "BuildResult",
    "Diagnostic",
    "Dialect",
    "Estimate",
    "Kpis",
    "ObjectStatistics",
    "Report",
    "Severity",
    "TraceEvent",
    "Verdict",
    "build",
    "check",
    "classes",
    "property_default",
    "run",
    "watch",
]
