"""`vlsm repair`: a script mended by rules, and by a model where one is given, shown as a diff."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsm_jax.cli.terminal import (
    STDIN,
    Json,
    Script,
    Seed,
    fail,
    painter,
    read,
    refuse_sketch,
    say,
    say_json,
    write_whole,
)

if TYPE_CHECKING:
    from vlsm_jax.repair import Judged, Repair

NO_MODEL = "what is left takes a model that rewrites scripts: give one with --model"
NO_HELP = "the model writes nothing better either"
PAGE = (512, 341)
"""Of the empty page that a model gets where there is no sketch."""


def repair(
    script: Script,
    prompt: Annotated[str, typer.Option(help="The factory in words; it ranks what may have been meant.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="A text file with the prompt.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A model folder, or nano, which comes with the package; it rewrites what no rule mends, and has to do "
            "better."
        ),
    ] = None,
    sketch: Annotated[
        Path | None,
        typer.Option(help="A picture of the layout, for a model that looks at one; without it gets an empty page."),
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, help="Scripts that the model writes; the best one counts.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper limit of what the model writes.")] = 1536,
    out: Annotated[Path | None, typer.Option(help="Write the mended script here.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write the mended script over the file.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Mend a script: show what to change as a diff, with the reason of each edit; write it only when told to.

    Rules come first. A model is asked where something is wrong still, and only what proves strictly better is taken.
    Status 0 where the script runs, as it was or mended; 1 where it does not.
    """
    from vlsm_jax.repair import mend

    if in_place and (script == STDIN or out is not None):
        fail("--in-place writes over the file it reads: give a file, and no --out")
    if prompt_file is not None:
        if prompt:
            fail("give either --prompt or --prompt-file")
        prompt = read(prompt_file)
    if sketch is not None and not sketch.is_file():
        fail(f"{sketch}: there is no such file")
    done = mend(read(script), prompt, seed=seed)
    asked = model is not None and done.complaints
    if asked:
        better = _rewritten(done.after, prompt, model, sketch, candidates, max_tokens, seed)
        if better is not None:
            done = dataclasses.replace(done, after=better, rewritten=True)
    target = Path(script) if in_place else out
    if target is not None and (done.changed or not in_place):
        write_whole(target, done.after.script)
    left = "" if done.ok else NO_HELP if asked else NO_MODEL
    if as_json:
        row = {"needs": left or None, "sketch_read": asked and sketch is not None}
        say_json(done.to_dict() | row | {"written": str(target) if target else None})
    else:
        _tell(done, script, left)
        if sketch is not None and not asked:
            say(f"{sketch} was not looked at: only a model does, where rules leave something wrong")
    raise typer.Exit(0 if done.ok else 1)


def _rewritten(
    found: Judged, prompt: str, model: str, sketch: Path | None, candidates: int, max_tokens: int, seed: int
) -> Judged | None:
    """Returns what a model writes in the place of a script, judged, where that is strictly better."""
    import PIL.Image

    from vlsm_jax.cpu_settings import compute_in_calling_thread
    from vlsm_jax.data.images import ImageError
    from vlsm_jax.generation.compiled import keep_compiled
    from vlsm_jax.generation.constraint import ConstraintError, available
    from vlsm_jax.generation.load import ModelError, load_generator
    from vlsm_jax.generation.sampling import GREEDY, Sampling
    from vlsm_jax.repair import Statement, judge, repair_prompt
    from vlsm_jax.verification import Asked, Checks, verify

    keep_compiled()
    compute_in_calling_thread()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            generator = load_generator(model)
            if not generator.looks_at_sketches:
                if sketch is not None:
                    refuse_sketch(model, sketch)
            elif sketch is None:
                sketch = Path(scratch, "page.png")
                PIL.Image.new("RGB", PAGE, "white").save(sketch)
            made = generator.generate(
                [] if sketch is None else [sketch],
                [repair_prompt(prompt, found)],
                max_tokens=max_tokens,
                constrain=available(),
                candidates=candidates,
                sampling=Sampling() if candidates > 1 else GREEDY,
                seed=seed,
            )[0]
        except (ModelError, ImageError, ConstraintError) as error:
            fail(str(error))
    best = verify(Asked(prompt, tuple(m.text for m in made)), Checks(seed=seed)).best
    better = judge(best.script, Statement(prompt), runs=True, seed=seed)  # under the budget that `found` was judged by
    return better if better.judgement > found.judgement else None


def _tell(done: Repair, name: str, left: str) -> None:
    from vlsm_jax.simulator.listing import format_findings, visible

    paint = painter()
    if done.changed:
        diff = "\n".join(visible(line) for line in done.diff(Path(name).name).splitlines())
        say(diff + "\n")
        reasons = [f"- {step.rule}: {visible(step.reason)}" for step in done.steps]
        say("\n".join(reasons + ["- model: rewritten"] * done.rewritten))
    states = [paint(found.verdict.value, "green" if found.verdict.value == "ok" else "red")
              for found in (done.before, done.after)]  # fmt: skip
    findings = [len(found.diagnostics) for found in (done.before, done.after)]
    if done.changed:
        say(f"{name}: {states[0]}, {_findings(findings[0])} -> {states[1]}, {_findings(findings[1])}")
    elif done.ok and not done.left:
        say(f"{name}: {states[0]}, nothing to mend")
    else:
        say(f"{name}: {states[0]}, no rule makes it better")
    if done.left:
        say(format_findings(done.left, paint))
    if left:
        say(left)


def _findings(count: int) -> str:
    return f"{count} finding{'s' * (count != 1)}"
