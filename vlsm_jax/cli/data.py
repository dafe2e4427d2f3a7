"""`vlsm data`: triplets made, looked through, checked and carried over into other formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vlsm_jax.cli.terminal import Json, Seed, check_times, fail, progress_bar, say, say_json

if TYPE_CHECKING:
    from vlsm_jax.data.triplets import TripletSource

data_app = typer.Typer(help="Triplets: sketch, prompt, script.", no_args_is_help=True)

ROWS_WORTH_A_PROCESS = 200
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that share the work; by default one a core.")]
Paths = Annotated[
    list[str],
    typer.Argument(
        help="Folders of splits, or data files: .jsonl, .xlsx, .parquet, .array_record, TFDS.", show_default=False
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Another name of a column, such as prompt=instruction; give it for each."),
]


@data_app.command("make")
def data_make(
    directory: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    train: Annotated[int, typer.Option(min=0)] = 1000,
    validation: Annotated[int, typer.Option(min=0)] = 100,
    test: Annotated[int, typer.Option(min=0, help="Of each of the five test splits.")] = 100,
    repairs: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Samples of repair for each triplet, damaged scripts to be rewritten, in DIRECTORY/repair.",
        ),
    ] = 0.0,
    readings: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Samples of reading for each triplet, sketches with what stands in them, in DIRECTORY/reading.",
        ),
    ] = 0.0,
    annotate: Annotated[
        bool,
        typer.Option("--annotate", help="Tell in each row what is where in its sketch: names, icons and lines."),
    ] = False,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Generate triplets, each checked by running its script.

    Splits: train, validation, and the tests iid, industry, layout, size and timing, each a second time with empty
    sketches. The same seed gives the same bytes for any number of processes; a stopped run goes on where it was.
    """
    from vlsm_jax.synth import DatasetError, Split, TripletError, TripletOptions, write_dataset

    counts = {split: test if split.is_test else train for split in Split} | {Split.VALIDATION: validation}
    workers = workers or os.cpu_count() or 1
    with progress_bar(sum(counts.values()), "triplet") as progress:
        try:
            options = TripletOptions(annotated=annotate)
            made = write_dataset(directory, counts, seed=seed, options=options, workers=workers, progress=progress)
        except (DatasetError, TripletError) as error:
            fail(str(error))
    say(f"{directory}" if made.written else f"{directory} (was there already)")
    triplets = sum(counts.values())
    if repairs:
        from vlsm_jax.synth.repairs import write_repairs

        _make_more(directory, "repair", partial(write_repairs, seed=seed), repairs, triplets, workers)
    if readings:
        from vlsm_jax.synth.readings import write_readings

        _make_more(directory, "reading", write_readings, readings, triplets, workers)


def _make_more(
    directory: Path, kind: str, write: Callable[..., dict[str, int]], share: float, triplets: int, workers: int
) -> None:
    with progress_bar(round(share * triplets), kind) as progress, _data_errors():
        made = write(directory, share, workers=workers, progress=progress)
    say(f"{directory / kind}: {', '.join(f'{count} {split}' for split, count in made.items())}")


@data_app.command("inspect")
def data_inspect(
    paths: Paths,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("inspect.html"),
    samples: Annotated[int, typer.Option(min=0, help="Triplets shown, shared among the splits.")] = 24,
    seed: Seed = 0,
    columns: Columns = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Write a contact sheet and the statistics of data sets as one HTML page."""
    from vlsm_jax.curation import write_sheet

    splits = _splits(paths, columns)
    rows = sum(map(len, splits.values()))
    with progress_bar(rows, "triplet") as progress, _data_errors():
        tallies = write_sheet(
            out,
            splits,
            title=", ".join(paths),
            samples=samples,
            seed=seed,
            workers=_workers(workers, rows),
            progress=progress,
        )
    if as_json:
        say_json({split: tally.to_json() for split, tally in tallies.items()})
    else:
        say(str(out))


@data_app.command("validate")
def data_validate(
    paths: Paths,
    tokenizer: Annotated[str, typer.Option(help="Folder or hub name; tokens are counted with it.")] = "",
    most_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of prompt and script together; needs --tokenizer.")
    ] = None,
    until: Annotated[float, typer.Option(min=0, help="Simulated seconds for each script; 0 builds it only.")] = 3600.0,
    columns: Columns = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Read every row, open every picture, run every script, and compare the splits with training.

    What is found is printed with file and row. Status 1 where anything but a warning is.
    """
    from vlsm_jax.curation import Finding, Look, validate
    from vlsm_jax.data.tokenizer import TokenizerError, load_tokenizer
    from vlsm_jax.simulator.listing import visible

    check_times(until or None, 0)
    if most_tokens is not None and not tokenizer:
        fail("--most-tokens needs a --tokenizer that counts")
    if tokenizer:
        try:
            load_tokenizer(tokenizer)  # before the work begins
        except TokenizerError as error:
            fail(str(error))
    splits = _splits(paths, columns)
    rows = sum(map(len, splits.values()))
    told: list[Finding] = []

    def tell(finding: Finding) -> None:
        told.append(finding)
        if not as_json:
            say(f"{finding.code}: {visible(finding.message)}")

    with progress_bar(rows, "row") as progress, _data_errors():
        found = validate(
            splits,
            Look(until or None, tokenizer, most_tokens),
            workers=_workers(workers, rows),
            tell=tell,
            progress=progress,
        )
    if as_json:
        say_json(
            {
                "ok": found.ok,
                "rows": found.rows,
                "counts": dict(found.findings),
                "tokens": {split: list(spread) for split, spread in found.tokens.items()},
                "findings": [finding._asdict() for finding in told],
            }
        )
    else:
        for split, (fewest, mean, most) in found.tokens.items():
            say(f"{split}: {fewest} to {most} tokens, {mean:.0f} in the mean")
        counted = ", ".join(f"{count} {code}" for code, count in sorted(found.findings.items()))
        say(f"{rows} rows: {counted or 'nothing wrong'}")
    raise typer.Exit(0 if found.ok else 1)


@data_app.command("convert")
def data_convert(
    source: Annotated[str, typer.Argument(help="A folder of splits, or a data file.", show_default=False)],
    target: Annotated[Path, typer.Argument(help="A folder where the source is one, else a file.", show_default=False)],
    form: Annotated[
        Literal["jsonl", "xlsx", "array_record", "parquet", "tfds", "hf"] | None,
        typer.Option("--format", help="By default what the target's suffix says."),
    ] = None,
    shards: Annotated[int, typer.Option(min=1, help="Files of each split.")] = 1,
    columns: Columns = None,
    target_columns: Annotated[
        list[str] | None, typer.Option("--target-column", help="The same for what is written.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option(help="Leave out bad rows, as many as --most-bad allows.")] = False,
    most_bad: Annotated[float, typer.Option(min=0, max=1, help="The greatest share of rows to leave out.")] = 0.01,
    as_json: Json = False,
) -> None:
    """Carry triplets over into another format, pictures bit for bit, all metadata with them."""
    from vlsm_jax.data.conversion import FORMATS, convert_dataset, convert_triplets
    from vlsm_jax.data.triplets import DataError
    from vlsm_jax.simulator.listing import visible

    with progress_bar(0, "row") as progress, _data_errors():
        options: dict[str, Any] = {
            "columns": _mapping(columns),
            "target_columns": _mapping(target_columns),
            "shards": shards,
            "skip_bad": skip_bad,
            "most_bad": most_bad,
            "progress": progress,
        }
        if Path(source).is_dir():
            if form is None:
                raise DataError(f"{source} is a folder: say into what with --format, {', '.join(FORMATS)}")
            reports = convert_dataset(source, target, form, **options)
        else:
            reports = {target.name: convert_triplets(source, target, form=form, **options)}
    if as_json:
        fields = {name: report._asdict() | {"files": [*map(str, report.files)]} for name, report in reports.items()}
        say_json(fields)
        return
    for name, report in reports.items():
        for problem in report.problems:
            say(f"left out: {visible(problem)}")
        state = "was there already" if report.unchanged else f"{report.bytes:,} bytes in {report.seconds:.1f} s"
        say(f"{name}: {report.rows} rows, {report.pictures} pictures, {report.left_out} left out, {state}")


# --- What the verbs share ---------------------------------------------------------------------------------------------


@contextmanager
def _data_errors() -> Iterator[None]:
    from vlsm_jax.data.images import ImageError
    from vlsm_jax.data.triplets import DataError

    try:
        yield
    except (DataError, ImageError, ModuleNotFoundError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except BrokenExecutor:
        fail("a process that shared the work was ended, perhaps for want of memory; fewer --workers need less")


def _mapping(columns: list[str] | None) -> dict[str, str]:
    out = {}
    for entry in columns or ():
        key, equals, name = entry.partition("=")
        if not (key and equals and name):
            fail(f"--column {entry}: write it as prompt=instruction")
        out[key] = name
    return out


def _splits(paths: list[str], columns: list[str] | None) -> dict[str, TripletSource]:
    """Returns the sources that the arguments name, each under the name of its split."""
    from vlsm_jax.data.triplets import DataError, find_splits, open_triplets, split_name

    names = _mapping(columns)
    out: dict[str, TripletSource] = {}
    with _data_errors():
        for path in paths:
            splits = find_splits(path) if Path(path).is_dir() else {}
            found = {split: open_triplets(path, names, split=split) for split in splits}
            if not found:
                source = open_triplets(path, names)
                found = {split_name(source.path): source}
            for split, source in found.items():
                if split in out:
                    raise DataError(f"split {split!r} is named twice: {out[split].path} and {source.path}")
                out[split] = source
    first = {split: out[split] for split in ("train", "validation") if split in out}
    return first | out


def _workers(wanted: int | None, rows: int) -> int:
    """Returns how many processes to start: each takes a second, which has to be worth it unless it is asked for."""
    return wanted or max(1, min(os.cpu_count() or 1, rows // ROWS_WORTH_A_PROCESS))
