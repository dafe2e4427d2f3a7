"""A script to what can be said of its factory without running it."""

from __future__ import annotations

from vlsm_jax.flexscript import Dialect
from vlsm_jax.simulator.building import build_world, unique_names
from vlsm_jax.simulator.report import Report, Verdict
from vlsm_jax.simulator.wiring import examine
from vlsm_jax.simulator.world import Budget


def check(script: str, *, budget: Budget = Budget(), dialect: Dialect = Dialect()) -> Report:
    """Builds the factory that a script describes and follows its wires, as `run` does before it runs; never raises.

    Returns:
      A Report without figures. The verdict is "ok" where `run` would start the model, else the one that `run` gives.
    """
    built, world = build_world(script, budget, dialect)
    if not built.ok:
        world.dismantle()
        return Report(built.verdict, built.twin, built.diagnostics, None, built.output)
    objects = world.tree.objects()
    wiring = examine(objects, unique_names(objects))
    world.dismantle()
    verdict = Verdict.OK if wiring.runnable else Verdict.RUN_ERROR
    if not wiring.has_flow:
        verdict = Verdict.WIRING
    return Report(verdict, built.twin, (*built.diagnostics, *wiring.diagnostics), None, built.output)
