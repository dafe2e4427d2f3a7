"""`vlsm repair`: a script mended by rules, shown as a diff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsm_jax.cli.terminal import STDIN, Json, Script, Seed, fail, painter, read, say, say_json

if TYPE_CHECKING:
    from vlsm_jax.repair import Repair

NO_MODEL = "what is left takes a model that rewrites scripts, and this release has none: it mends by rules alone"


def repair(
    script: Script,
    prompt: Annotated[str, typer.Option(help="The factory in words; it ranks what may have been meant.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="A text file with the prompt.")] = None,
    sketch: Annotated[
        Path | None, typer.Option(help="A picture of the layout. Only a model could read it; rules do not.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the mended script here.")] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Write the mended script over the file.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Mend a script: show what to change as a diff, with the reason of each edit; write it only when told to.

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
    target = Path(script) if in_place else out
    if target is not None and (done.changed or not in_place):
        _write(target, done.after.script)
    if as_json:
        needs = None if done.ok else NO_MODEL
        say_json(done.to_dict() | {"needs": needs, "sketch_read": False, "written": str(target) if target else None})
    else:
        _tell(done, script, sketch)
    raise typer.Exit(0 if done.ok else 1)


def _write(path: Path, text: str) -> None:
    """Writes a file as a whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        draft.replace(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}")


def _tell(done: Repair, name: str, sketch: Path | None) -> None:
    from vlsm_jax.simulator.listing import format_findings, visible

    paint = painter()
    if done.changed:
        diff = "\n".join(visible(line) for line in done.diff(Path(name).name).splitlines())
        say(diff + "\n")
        say("\n".join(f"- {step.rule}: {visible(step.reason)}" for step in done.steps))
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
    if not done.ok:
        say(NO_MODEL)
    if sketch is not None:
        say(f"{sketch} was not looked at: {NO_MODEL.split(',')[0].replace('what is left takes', 'that takes')}")


def _findings(count: int) -> str:
    return f"{count} finding{'s' * (count != 1)}"
