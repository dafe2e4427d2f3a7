"""Plans: what a training step costs on hardware that is not there, from compiling the real step for it."""

from vlsm_jax.training.planning.compiling import Plan, plan_step
from vlsm_jax.training.planning.report import format_plan
from vlsm_jax.training.planning.topology import PlanError, Target, find_target

__all__ = ["Plan", "PlanError", "Target", "find_target", "format_plan", "plan_step"]
