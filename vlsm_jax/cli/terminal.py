"""What every verb says, reads and asks: options, output, errors."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from vlsm_jax.metrics import Attainment, Goal
    from vlsm_jax.simulator import Report

STDIN = "-"
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for a program to read.")]
Script = Annotated[str, typer.Argument(help="A FlexScript file, or - for standard input.", show_default=False)]
Model = Annotated[
    str,
    typer.Option(help="A model folder in Hugging Face layout, such as <workdir>/export; nano comes with the package."),
]
Until = Annotated[
    float | None,
    typer.Option(help="Simulated seconds to run; by default what the script gives stoptime(), or 8 hours."),
]
Warmup = Annotated[float, typer.Option(help="Seconds at the start that the figures leave out.")]
Replications = Annotated[int, typer.Option(min=1, help="Independent runs.")]
Goals = Annotated[
    list[str] | None,
    typer.Option(
        "--goal",
        help='What the factory is to achieve, such as "throughput >= 40/h" or "utilisation of Oven >= 80 %"; judged by '
        "replications. Give it for each.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of the random streams.")]


def read(path: str | Path) -> str:
    """Returns the text of a script file, or of standard input for "-"; ends the program where it cannot be read."""
    from vlsm_jax.evaluation.pairing import MOST_BYTES, PairingError, decode_script, read_script

    try:
        if str(path) == STDIN:
            return decode_script(sys.stdin.buffer.read(MOST_BYTES + 1), "standard input")
        return read_script(path)
    except PairingError as error:
        fail(str(error))


def refuse_sketch(model: str, sketch: Path) -> NoReturn:
    """Ends the program where a sketch is given to a model that looks at none."""
    fail(f"{model} is a model of text alone and would not look at {sketch}; leave --sketch out")


def check_times(until: float | None, warmup: float) -> None:
    """Ends the program where simulated times make no sense."""
    if not 0 <= warmup < math.inf:
        fail(f"--warmup is {warmup:g}; give seconds, not negative")
    if until is not None and not 0 < until < math.inf:
        fail(f"--until is {until:g}; give seconds, more than 0")
    if until is not None and warmup >= until:
        fail(f"--warmup {warmup:g} leaves nothing of --until {until:g}; give less than that")


def read_goals(texts: Sequence[str] | None) -> tuple[Goal, ...]:
    """Returns the goals of `--goal`; ends the program where one is none."""
    from vlsm_jax.metrics import GoalError, parse_goal

    try:
        return tuple(parse_goal(text) for text in texts or ())
    except GoalError as error:
        fail(f"--goal: {error}")


def report_object(report: Report) -> dict[str, Any]:
    """Returns a Report as JSON, with the label of its failure."""
    from vlsm_jax.metrics import failure

    label = failure(report)
    return report.to_dict() | {"failure": label.value if label else None}


def format_goals(attained: Sequence[Attainment], paint: Callable[[str, str], str]) -> str:
    """Returns what came of goals, a line each."""
    from vlsm_jax.simulator.listing import visible

    colours = {"met": "green", "missed": "red", "undecided": "yellow"}
    lines = []
    for found in attained:
        outcome = found.outcome.value
        head, mark, tail = visible(str(found)).partition(f": {outcome}")
        lines.append(f"goal  {head}: {paint(outcome, colours[outcome])}{tail}" if mark else head)
    return "\n".join(lines)


def painter() -> Callable[[str, str], str]:
    """Returns what colours text: nothing where the output is no terminal, or colours are not wanted."""
    from vlsm_jax.simulator.listing import plain

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return lambda text, style: typer.style(text, bold=True) if style == "bold" else typer.style(text, fg=style)


@contextlib.contextmanager
def progress_bar(total: int, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on a terminal's standard error, and nothing elsewhere or for a single one."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, dynamic_ncols=True, disable=True if total == 1 else None) as bar:
        yield lambda done, _: bar.update(done - bar.n)


def say_json(value: Any) -> None:
    """Prints one JSON object."""
    say(json.dumps(value, indent=2))


def say(text: str) -> None:
    """Prints text, whatever characters the terminal has; ends quietly where nobody reads on."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        # Scripts may hold characters that the terminal, or UTF-8, has not.
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain once more when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(128 + 13) from None


def write_whole(path: Path, text: str) -> None:
    """Writes a file as a whole or not at all; ends the program where it cannot be written."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(text, encoding="utf-8", newline="")
        draft.replace(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}")


def fail(message: str) -> NoReturn:
    """Prints an error and ends the program with status 2: wrong usage or unreadable input."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
