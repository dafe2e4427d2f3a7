"""`vlsm generate`: a sketch and a prompt into a script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlsm_jax.cli.terminal import (
    Json,
    Seed,
    Until,
    fail,
    read,
    report_object,
    say,
    say_json,
)

if TYPE_CHECKING:
    pass


def generate(
    sketch: Annotated[Path, typer.Option(help="A picture of the layout (PNG or JPEG).")],
    model: Annotated[Path, typer.Option(help="A model folder in Hugging Face LLaVA layout, such as <workdir>/export.")],
    prompt: Annotated[str, typer.Option(help="The factory in words.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="A text file with the prompt.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the script here as well.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper limit of the script's length.")] = 1024,
    constrain: Annotated[
        bool | None,
        typer.Option(
            "--constrain/--no-constrain",
            help="Let nothing but FlexScript be written; needs llguidance, and is on where that is installed.",
            show_default=False,
        ),
    ] = None,
    until: Until = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Turn a sketch and a prompt into FlexScript, and prove it by running it."""
    from vlsm_jax.data.images import ImageError
    from vlsm_jax.generation.constraint import ConstraintError, available
    from vlsm_jax.generation.load import ModelError, load_generator
    from vlsm_jax.simulator import run as run_script
    from vlsm_jax.simulator.listing import format_report

    if prompt_file is not None:
        prompt = read(prompt_file)
    if not prompt.strip():
        fail("the prompt is empty; describe the factory with --prompt or --prompt-file")
    if constrain is None:
        constrain = available()
    try:
        generator = load_generator(model)
        ((made,),) = generator.generate([sketch], [prompt], max_tokens=max_tokens, constrain=constrain)
    except (ModelError, ImageError, ConstraintError) as error:
        fail(str(error))
    try:
        report = run_script(made.text, until=until, seed=seed)
    except ValueError as error:
        fail(str(error))
    if out is not None:
        draft = out.with_name(f".{out.name}.new")
        draft.write_text(made.text)
        draft.replace(out)
    if as_json:
        row: dict[str, Any] = {
            "script": made.text,
            "tokens": made.tokens,
            "ended": made.ended,
            "constrained": made.constrained,
            "cut": made.cut,
        }
        say_json(row | {"report": report_object(report)})
    else:
        say(made.text)
        ending = "" if made.ended else f", cut off at --max-tokens={max_tokens}"
        ending += ", unfinished end left out" if made.cut else ""
        how = "with" if made.constrained else "without"
        print(f"\n// {made.tokens} tokens {how} grammar constraint{ending}\n\n{format_report(report)}", file=sys.stderr)
    raise typer.Exit(0 if report.ok else 1)
