"""Prompts: what an engineer would write about a factory, in five styles, and what each prompt leaves open."""

from vlsm_jax.synth.prompts.prompt import Goal, Prompt, PromptStyle
from vlsm_jax.synth.prompts.writing import SCRIPT_WORDS, count_forms, write_prompt

__all__ = ["SCRIPT_WORDS", "Goal", "Prompt", "PromptStyle", "count_forms", "write_prompt"]
