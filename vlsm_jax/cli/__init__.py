"""`vlsm <verb>`: everything that is not an experiment. Each verb is a thin shell over one function.

Exit status: 0 all is well, 1 the script (or the data) fails, 2 wrong usage or unreadable input, 130 interrupted.
`vlsm_jax/REPORT.md` describes what `--json` prints.
"""

from __future__ import annotations

import sys

import typer

from vlsm_jax.cli.convert import convert_app
from vlsm_jax.cli.data import data_app
from vlsm_jax.cli.generate import generate
from vlsm_jax.cli.repair import repair
from vlsm_jax.cli.score import score
from vlsm_jax.cli.scripts import check, run
from vlsm_jax.cpu_settings import start_with_cpu_settings

# Verbs that compute with a model, and what they are given where they do.
COMPUTING = {"generate": "", "repair": "--model"}

app = typer.Typer(
    name="vlsm",
    help="A layout sketch and a prompt in, a FlexScript that runs out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (run, check, score, generate, repair):
    app.command()(verb)
app.add_typer(data_app, name="data")
app.add_typer(convert_app, name="convert")


def main() -> None:
    """Runs the command line."""
    given = sys.argv[2:]
    if sys.argv[1:] and sys.argv[1] in COMPUTING and any(a.startswith(COMPUTING[sys.argv[1]]) for a in given):
        start_with_cpu_settings()
    app()
