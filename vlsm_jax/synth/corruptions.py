"""Corrupted scripts: one fault each, with what the language and the simulator say of it, and the script as it was.

They train and test whatever mends scripts. Every fault is real: the script comes to a worse verdict, gets a warning
that it had not, or builds another factory. Kinds of faults that the script alone does not give away come with the
prompt, one that says classes, parameters and connections in words.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from vlsm_jax.flexscript import Diagnostic
from vlsm_jax.simulator import Budget, Verdict, check
from vlsm_jax.synth.corruption_kinds import SCRIPT_ALONE, WITH_PROMPT, Change, Written, pick
from vlsm_jax.synth.prompts import PromptStyle, write_prompt
from vlsm_jax.synth.scripts import ScriptStyle, write_script
from vlsm_jax.synth.splits import Split
from vlsm_jax.synth.triplets import TripletOptions, sample_for
from vlsm_jax.twin import Twin

KINDS: Final[tuple[str, ...]] = (*SCRIPT_ALONE, *WITH_PROMPT)

TRIES: Final = 60
"""Of factories and places, until a fault of a kind shows."""

BUDGET: Final = Budget(steps=200_000, nodes=5_000, wall_seconds=2.0)


@dataclasses.dataclass(frozen=True)
class Corruption:
    """A script with one fault.

    Attributes:
      id: "<seed>-<split>-<index>", the same for the same arguments of `make_corruption`.
      kind: of the fault, one of `KINDS`.
      script: with the fault.
      original: the script as it was.
      start: where the fault is in `original`, as an offset.
      removed: what stood there.
      put: what stands there now.
      prompt: what the factory was asked for; "" where the script alone gives the fault away.
      twin: what the original builds.
      verdict: of the script with the fault, as `check` gives it.
      diagnostics: what `check` says of it.
    """

    id: str
    kind: str
    script: str
    original: str
    start: int
    removed: str
    put: str
    prompt: str
    twin: Twin
    verdict: Verdict
    diagnostics: tuple[Diagnostic, ...]

    def row(self) -> dict[str, Any]:
        """Returns the row of a data set."""
        return {
            "id": self.id,
            "kind": self.kind,
            "script": self.script,
            "response": self.original,
            "start": self.start,
            "removed": self.removed,
            "put": self.put,
            "prompt": self.prompt,
            "verdict": self.verdict.value,
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
        }


class CorruptionError(RuntimeError):
    """No script had a place for a kind of fault where it shows."""


def make_corruption(seed: int, index: int, *, kind: str | None = None, split: Split = Split.TRAIN) -> Corruption:
    """Returns corrupted script number `index`: the same on every call, whatever was made before.

    Args:
      seed: of the set.
      index: of the script; without a `kind`, the kinds take turns.
      kind: of the fault, one of `KINDS`.
      split: from whose factories the script is.

    Raises:
      CorruptionError: none of `TRIES` tries gave a fault of that kind.
      ValueError: a negative seed or index, or an unknown kind.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed {seed} and index {index} must not be negative")
    kind = KINDS[index % len(KINDS)] if kind is None else kind
    if kind not in KINDS:
        raise ValueError(f"there is no kind of fault {kind!r}; choose among {', '.join(KINDS)}")
    fault = SCRIPT_ALONE.get(kind) or WITH_PROMPT[kind]
    for attempt in range(TRIES):
        number = np.random.SeedSequence((seed, list(Split).index(split), index, attempt), spawn_key=(7,))
        rng = np.random.Generator(np.random.PCG64(number))
        written = _written(split, rng)
        change = fault(written, rng)
        if change is None:
            continue
        found = _corrupted(written, change)
        if found is None:
            continue
        script, verdict, diagnostics = found
        return Corruption(
            f"{seed}-{split.value}-{index:06d}", kind, script, written.text, change.start,
            written.text[change.start : change.end], change.text, written.prompt if kind in WITH_PROMPT else "",
            written.twin, verdict, diagnostics,
        )  # fmt: skip
    raise CorruptionError(f"no place for a fault of the kind {kind!r} in {TRIES} scripts of seed {seed}")


def write_corruptions(path: str | Path, count: int, seed: int, *, split: Split = Split.TRAIN) -> int:
    """Writes corrupted scripts 0 to `count` - 1 of a seed as JSON lines, kinds in turn, the whole file or nothing.

    Returns:
      How many were written: those that no script had a place for are left out.
    """
    path, written = Path(path), 0
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        for index in range(count):
            try:
                row = make_corruption(seed, index, split=split).row()
            except CorruptionError:
                continue
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1
    draft.replace(path)
    return written


def _written(split: Split, rng: np.random.Generator) -> Written:
    factory, _ = sample_for(split, TripletOptions(), rng, rng)
    script = write_script(factory.twin, pick(tuple(ScriptStyle), rng), rng)
    prompt = write_prompt(factory, PromptStyle.COMPLETE, rng)
    return Written(script, factory.twin, prompt.text)


def _corrupted(written: Written, change: Change) -> tuple[str, Verdict, tuple[Diagnostic, ...]] | None:
    script = written.text[: change.start] + change.text + written.text[change.end :]
    before, after = check(written.text, budget=BUDGET), check(script, budget=BUDGET)
    if before.twin != written.twin or not before.ok or before.diagnostics:
        return None
    if after.ok and not after.diagnostics and after.twin == before.twin:
        return None
    return script, after.verdict, after.diagnostics
