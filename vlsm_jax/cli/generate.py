"""`vlsm generate`: a sketch and a prompt into a script."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlsm_jax.cli.terminal import (
    Goals,
    Json,
    Model,
    Seed,
    Until,
    check_times,
    fail,
    format_goals,
    read,
    read_goals,
    refuse_sketch,
    report_object,
    say,
    say_json,
    write_whole,
)
from vlsm_jax.shipped import NANO

if TYPE_CHECKING:
    from vlsm_jax.generation.decode import Candidate
    from vlsm_jax.verification import Verified

CANDIDATES = 4
"""Of `vlsm generate`, where nothing else is asked for."""

_NAMED = 4
"""Objects that the prompt does not have which are named; the rest are counted."""


def generate(
    sketch: Annotated[
        Path | None,
        typer.Option(help="A picture of the layout (PNG or JPEG). Only a model of text alone does without one."),
    ] = None,
    model: Model = NANO,
    prompt: Annotated[str, typer.Option(help="The factory in words.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="A text file with the prompt.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the script here as well.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper limit of the script's length.")] = 1536,
    candidates: Annotated[
        int, typer.Option(min=1, help="Scripts that are written, the first greedily; the best one is given.")
    ] = CANDIDATES,
    mend: Annotated[
        bool, typer.Option("--mend/--no-mend", help="Mend the best one by rules where it needs it.")
    ] = True,
    rewrite: Annotated[
        bool, typer.Option("--rewrite/--no-rewrite", help="Let the model rewrite it where rules do not help.")
    ] = False,
    constrain: Annotated[
        bool | None,
        typer.Option(
            "--constrain/--no-constrain",
            help="Let nothing but FlexScript be written; needs llguidance, and is on where that is installed.",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        bool,
        typer.Option(
            "--names/--any-names", help="Let objects be called only what the prompt calls something; needs llguidance."
        ),
    ] = False,
    goal: Goals = None,
    until: Until = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Turn a sketch and a prompt into FlexScript, and prove it by running it.

    Several candidates are written and run; the best by verdict, by what the prompt states and by its goals is given.
    Status 0 where it runs and every goal, of --goal or else of the prompt, is met; 1 where not.
    """
    from vlsm_jax.cpu_settings import compute_in_calling_thread
    from vlsm_jax.data.images import ImageError
    from vlsm_jax.generation.compiled import keep_compiled
    from vlsm_jax.generation.constraint import ConstraintError, available
    from vlsm_jax.generation.load import ModelError, load_generator
    from vlsm_jax.generation.sampling import GREEDY, Sampling
    from vlsm_jax.metrics import stated_goals
    from vlsm_jax.repair import Statement
    from vlsm_jax.verification import MENDED, Asked, Checks, verify
    from vlsm_jax.verification import rewrite as let_rewrite

    check_times(until, 0.0)
    if prompt_file is not None:
        prompt = read(prompt_file)
    if not prompt.strip():
        fail("the prompt is empty; describe the factory with --prompt or --prompt-file")
    goals = read_goals(goal) or stated_goals(prompt)
    if names and constrain is False:
        fail("--names is for scripts under the grammar constraint; leave out --no-constrain")
    if constrain is None:
        constrain = names or available()
    called = [Statement(prompt).phrases] if names else None
    sampling = Sampling() if candidates > 1 else GREEDY
    settings = {"max_tokens": max_tokens, "constrain": constrain, "candidates": candidates}
    keep_compiled()
    compute_in_calling_thread()
    try:
        generator = load_generator(model)
        if generator.looks_at_sketches and sketch is None:
            fail(f"{model} looks at a sketch of the layout; give one with --sketch")
        if sketch is not None and not generator.looks_at_sketches:
            refuse_sketch(model, sketch)
        sketches = [] if sketch is None else [sketch]

        def write(text: str) -> list[Candidate]:
            return generator.generate(sketches, [text], names=called, sampling=sampling, seed=seed, **settings)[0]

        made, lent = write(prompt), generator.lent(prompt)
        speed = generator.speed
        checks = Checks(until=until, seed=seed, mend=MENDED if mend else 0)
        scripts, chances = tuple(m.text for m in made), tuple(m.log_probability for m in made)
        asked = Asked(prompt, scripts, chances, goals)
        found = verify(asked, checks)
        if rewrite:
            found = let_rewrite(found, asked, lambda text: [m.text for m in write(text)], checks)
    except (ModelError, ImageError, ConstraintError) as error:
        fail(str(error))
    twin = found.best.judged.twin
    strangers = Statement(prompt).strangers(twin) if twin is not None else []
    if out is not None:
        write_whole(out, found.best.script)
    if as_json:
        kinds = {"names": "prompt" if names else "any", "lent": dict(lent), "not_in_prompt": strangers}
        say_json(_object(found, made) | kinds | {"speed": speed.to_dict()})
    else:
        say(found.best.script)
        print(f"\n// {speed}\n{_told(found, made, lent, strangers, max_tokens)}", file=sys.stderr)
    met = all(attained.outcome.value == "met" for attained in found.best.goals)
    raise typer.Exit(0 if found.best.runs and met else 1)


def _object(found: Verified, made: Sequence[Candidate]) -> dict[str, Any]:
    """Returns what `--json` prints: the best script with its Report, and the verdicts of all candidates."""
    first = made[found.origin.index]
    verification = found.to_dict()
    for row in verification["candidates"]:
        candidate = made[row["candidate"]]
        row |= {"tokens": candidate.tokens, "ended": candidate.ended, "cut": candidate.cut}
    return {
        "script": found.best.script,
        "tokens": first.tokens,
        "ended": first.ended,
        "constrained": first.constrained,
        "cut": first.cut,
        "report": report_object(found.best.report),
        "goals": [attained.to_dict() for attained in found.best.goals],
        "verification": verification,
    }


def _told(
    found: Verified, made: Sequence[Candidate], lent: Mapping[str, str], strangers: Sequence[str], max_tokens: int
) -> str:
    """Returns how the script came about, what the prompt does not have, its Report and its goals, for a reader."""
    from vlsm_jax.simulator.listing import format_report, plain, visible

    first = made[found.origin.index]
    ending = "" if first.ended else f", cut off at --max-tokens={max_tokens}"
    ending += ", unfinished end left out" if first.cut else ""
    how = "with" if first.constrained else "without"
    lines = [f"// {first.tokens} tokens {how} grammar constraint{ending}"]
    if len(made) > 1:
        lines.append(f"// {found.ran} of {len(made)} candidates run; number {found.origin.index + 1} is the best")
    if lent:
        count = (
            "1 name that the model does not know was" if len(lent) == 1 else f"{len(lent)} names it does not know were"
        )
        lines.append(f"// {count} lent another while it wrote")
    lines += [f"// mended: {visible(step.reason)}" for step in found.steps]
    if found.by == "rewriting":
        lines.append("// rewritten by the model")
    if strangers:
        # A model that has learnt names by heart writes a factory that runs and is another one.
        first, left = ", ".join(repr(visible(name)) for name in strangers[:_NAMED]), len(strangers) - _NAMED
        more = f" and {left} more" if left > 0 else ""
        count = "1 object has a name" if len(strangers) == 1 else f"{len(strangers)} objects have names"
        lines.append(f"// warning: {count} that the prompt does not have: {first}{more}")
    goals = format_goals(found.best.goals, plain)
    return "\n".join(lines) + f"\n\n{format_report(found.best.report)}" + (f"\n\n{goals}" if goals else "")
