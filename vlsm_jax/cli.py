"""`vlsm <verb>`: everything that is not an experiment. Each verb is a thin shell over one function.

Exit status: 0 all is well, 1 the script (or the data) fails, 2 wrong usage or unreadable input.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    name="vlsm",
    help="A layout sketch and a prompt in, a FlexScript that runs out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Triplets: sketch, prompt, script.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for a program to read.")]
Script = Annotated[Path, typer.Argument(help="A FlexScript file.", show_default=False)]
Until = Annotated[float, typer.Option(min=0, help="Simulated seconds to run.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the random streams.")]

SHIFT = 28800.0  # eight hours, in seconds


def main() -> None:
    """Runs the command line."""
    app()


@app.command()
def run(
    script: Script,
    until: Until = SHIFT,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds left out of the statistics.")] = 0.0,
    replications: Annotated[int, typer.Option(min=1, help="Independent runs.")] = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Execute a script: build the factory, run it, print the Report."""
    from vlsm_jax.simulator import run as run_script
    from vlsm_jax.simulator.listing import format_report

    report = run_script(_read(script), until=until, warmup=warmup, replications=replications, seed=seed)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print(format_report(report))
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def check(scripts: Annotated[list[Path], typer.Argument(help="FlexScript files.")], as_json: Json = False) -> None:
    """Parse and build scripts without running them, and print what is wrong with them."""
    from vlsm_jax.simulator import build

    results = {str(path): build(_read(path)) for path in scripts}
    if as_json:
        rows = {
            path: {"ok": result.ok, "diagnostics": [d.to_dict() for d in result.diagnostics]}
            for path, result in results.items()
        }
        print(json.dumps(rows, indent=2))
    else:
        for path, result in results.items():
            print(f"{path}: {'ok' if result.ok else 'fails'}")
            for diagnostic in result.diagnostics:
                print(str(diagnostic))
    raise typer.Exit(0 if all(result.ok for result in results.values()) else 1)


@app.command()
def score(
    reference: Annotated[Path, typer.Option(help="The reference script.")],
    candidate: Annotated[Path, typer.Option(help="The script to score against it.")],
    until: Until = SHIFT,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Score a candidate script against a reference: SVR, PMR, whether it runs, BLEU-4."""
    from vlsm_jax.metrics.score import ScoreError, score_pair

    try:
        result = score_pair(_read(reference), _read(candidate), until=until, seed=seed)
    except ScoreError as error:
        _fail(f"{reference}: {error}")
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print(
            f"SVR     {result.svr:.4f}  (connections {result.connection_score:.4f}, objects {result.object_score:.4f})"
        )
        print(f"PMR     {result.pmr:.4f}\nBLEU-4  {result.bleu4:.4f}\nverdict {result.verdict}")
        for difference in result.differences:
            print(f"  {difference}")
    raise typer.Exit(0 if result.runs else 1)


@app.command()
def generate(
    sketch: Annotated[Path, typer.Option(help="A picture of the layout (PNG or JPEG).")],
    model: Annotated[Path, typer.Option(help="A model folder in Hugging Face LLaVA layout, such as <workdir>/export.")],
    prompt: Annotated[str, typer.Option(help="The factory in words.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="A text file with the prompt.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the script here as well.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper limit of the script's length.")] = 1024,
    until: Until = SHIFT,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Turn a sketch and a prompt into FlexScript, and prove it by running it."""
    from vlsm_jax.data.images import ImageError
    from vlsm_jax.generation.load import ModelError, load_generator
    from vlsm_jax.simulator import run as run_script
    from vlsm_jax.simulator.listing import format_report

    if prompt_file is not None:
        prompt = _read(prompt_file)
    if not prompt.strip():
        _fail("the prompt is empty; describe the factory with --prompt or --prompt-file")
    try:
        generator = load_generator(model)
        (made,) = generator.generate([sketch], [prompt], max_tokens=max_tokens)
    except (ModelError, ImageError) as error:
        _fail(str(error))
    report = run_script(made.text, until=until, seed=seed)
    if out is not None:
        draft = out.with_name(f".{out.name}.new")
        draft.write_text(made.text)
        draft.replace(out)
    if as_json:
        row: dict[str, Any] = {"script": made.text, "tokens": made.tokens, "ended": made.ended}
        print(json.dumps(row | {"report": report.to_dict()}, indent=2))
    else:
        print(made.text)
        ending = "" if made.ended else f", cut off at --max-tokens={max_tokens}"
        print(f"\n// {made.tokens} tokens{ending}\n\n{format_report(report)}", file=sys.stderr)
    raise typer.Exit(0 if report.ok else 1)


@data_app.command("make")
def data_make(
    directory: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    train: Annotated[int, typer.Option(min=0)] = 1000,
    validation: Annotated[int, typer.Option(min=0)] = 100,
    test: Annotated[int, typer.Option(min=0)] = 100,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the result is the same for any number.")] = 1,
) -> None:
    """Generate triplets, each checked by running its script."""
    from vlsm_jax.synth.dataset import DatasetError, write_dataset
    from vlsm_jax.training.logs import Progress

    progress = Progress(train + validation + test, unit="triplet")
    counts = {"train": train, "validation": validation, "test": test}
    try:
        write_dataset(directory, **counts, seed=seed, workers=workers, progress=progress.to)
    except DatasetError as error:
        _fail(str(error))
    progress.close()
    print(directory)


@data_app.command("validate")
def data_validate(files: Annotated[list[Path], typer.Argument(help="JSON-lines files of triplets.")]) -> None:
    """Read every row: fields, picture, and a script that builds. Problems are printed with their line."""
    from vlsm_jax.data.images import ImageError, load_image
    from vlsm_jax.data.triplets import DataError, JsonlTriplets
    from vlsm_jax.simulator import build

    problems = rows = 0
    for path in files:
        try:
            triplets = JsonlTriplets(path)
        except DataError as error:
            _fail(str(error))
        for index in range(len(triplets)):
            rows += 1
            try:
                record = triplets[index]
                load_image(record.image, 32)
                result = build(record.response)
                if not result.ok:
                    raise DataError(f"{record.where}: the script fails: {result.diagnostics[0].message}")
            except (DataError, ImageError) as error:
                problems += 1
                print(error)
    print(f"{rows} rows, {problems} with problems")
    raise typer.Exit(1 if problems else 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        _fail(f"no file at {path}")
    except UnicodeDecodeError as error:
        _fail(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}")
    except OSError as error:
        _fail(f"{path}: {error.strerror}")


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
