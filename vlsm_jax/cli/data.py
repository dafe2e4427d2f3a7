"""`vlsm data`: triplets made, looked through, checked and carried over into other formats."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsm_jax.cli.terminal import (
    Seed,
    fail,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    pass

data_app = typer.Typer(help="Triplets: sketch, prompt, script.", no_args_is_help=True)

Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; the result is the same for any number. By default one a core.")
]


@data_app.command("make")
def data_make(
    directory: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    train: Annotated[int, typer.Option(min=0)] = 1000,
    validation: Annotated[int, typer.Option(min=0)] = 100,
    test: Annotated[int, typer.Option(min=0, help="Of each test split.")] = 100,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Generate triplets, each checked by running its script; a stopped run goes on where it was.

    Splits: train, validation, and the tests iid, industry, layout, size and timing, each of which a second time with
    empty sketches.
    """
    from vlsm_jax.synth import DatasetError, Split, TripletError, write_dataset

    counts = {split: test if split.is_test else train for split in Split} | {Split.VALIDATION: validation}
    with progress_bar(sum(counts.values()), "triplet") as progress:
        try:
            made = write_dataset(
                directory, counts, seed=seed, workers=workers or os.cpu_count() or 1, progress=progress
            )
        except (DatasetError, TripletError) as error:
            fail(str(error))
    say(f"{directory}" if made.written else f"{directory} (was there already)")
