"""Repair: scripts that do not run, or are not what their prompt asks for, mended by rules, judged by running them."""

from vlsm_jax.repair.edits import Edit, Proposal, unified_diff
from vlsm_jax.repair.judging import Judged, Judgement, Level, judge, judged
from vlsm_jax.repair.rewriting import complaints, repair_prompt
from vlsm_jax.repair.search import Limits, Repair, mend, proposals
from vlsm_jax.repair.session import RepairSession, Rewriter
from vlsm_jax.repair.stating import Mismatch, Statement

__all__ = [
    "Edit",
    "Judged",
    "Judgement",
    "Level",
    "Limits",
    "Mismatch",
    "Proposal",
    "Repair",
    "RepairSession",
    "Rewriter",
    "Statement",
    "complaints",
    "judge",
    "judged",
    "mend",
    "proposals",
    "repair_prompt",
    "unified_diff",
]
