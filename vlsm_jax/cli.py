"""`vlsm <verb>`: everything that is not an experiment. Each verb is a thin shell over one function.

Exit status: 0 all is well, 1 the script (or the data) fails, 2 wrong usage or unreadable input, 130 interrupted.
`REPORT.md` beside this file describes what `--json` prints.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from vlsm_jax.evaluation.pairing import ScriptPair
    from vlsm_jax.metrics import PairScore, ScoreError
    from vlsm_jax.simulator import Report

app = typer.Typer(
    name="vlsm",
    help="A layout sketch and a prompt in, a FlexScript that runs out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Triplets: sketch, prompt, script.", no_args_is_help=True)
app.add_typer(data_app, name="data")
convert_app = typer.Typer(help="Checkpoints of Hugging Face to and from this package's.", no_args_is_help=True)
app.add_typer(convert_app, name="convert")

STDIN = "-"
PAIRS_WORTH_A_PROCESS = 16
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for a program to read.")]
Script = Annotated[str, typer.Argument(help="A FlexScript file, or - for standard input.", show_default=False)]
Until = Annotated[
    float | None,
    typer.Option(help="Simulated seconds to run; by default what the script gives stoptime(), or 8 hours."),
]
Warmup = Annotated[float, typer.Option(help="Seconds at the start that the figures leave out.")]
Replications = Annotated[int, typer.Option(min=1, help="Independent runs.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the random streams.")]


def main() -> None:
    """Runs the command line."""
    app()


@app.command()
def run(
    script: Script,
    until: Until = None,
    warmup: Warmup = 0.0,
    replications: Replications = 1,
    seed: Seed = 0,
    trace: Annotated[
        Path | None, typer.Option(help="Write every entry and exit of the first run to this CSV file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Execute a script: build the factory, run it, print the Report."""
    from vlsm_jax.simulator import run as run_script
    from vlsm_jax.simulator.listing import format_report
    from vlsm_jax.simulator.tracefile import TraceFile

    _check_times(until, warmup)
    text = _read(script)
    settings = {"until": until, "warmup": warmup, "replications": replications, "seed": seed}
    try:
        if trace is None:
            report = run_script(text, **settings)
        else:
            with TraceFile(trace) as events:
                report = run_script(text, trace=events, **settings)
    except ValueError as error:
        _fail(f"{script}: {error}")  # the script's own stop time leaves nothing behind the warm-up
    except OSError as error:
        _fail(f"{trace}: {error.strerror}")
    if as_json:
        _say_json(_report_object(report))
    else:
        _say(format_report(report, _painter()))
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def check(
    scripts: Annotated[list[str], typer.Argument(help="FlexScript files, or - for standard input.")],
    as_json: Json = False,
) -> None:
    """Parse and build scripts and follow their wires without running them; print what is wrong with them."""
    from vlsm_jax.simulator.checking import check as check_script
    from vlsm_jax.simulator.listing import format_findings

    if scripts.count(STDIN) > 1:
        _fail("standard input can be read once only; give - once")
    texts = {path: _read(path) for path in scripts}  # all are looked for before the first is worked on
    reports = {path: check_script(text) for path, text in texts.items()}
    ok = all(report.ok for report in reports.values())
    if as_json:
        files = {path: _report_object(report) for path, report in reports.items()}
        _say_json((next(iter(files.values())) if len(files) == 1 else {}) | {"ok": ok, "files": files})
    else:
        paint = _painter()
        for path, report in reports.items():
            verdict = paint(report.verdict.value, "green" if report.ok else "red")
            twin = report.twin
            size = f", {len(twin.objects)} objects, {len(twin.connections)} connections" if twin else ""
            findings = format_findings(report.diagnostics, paint)
            _say(f"{path}: {verdict}{size}" + (f"\n{findings}" if findings else ""))
    raise typer.Exit(0 if ok else 1)


@app.command()
def score(
    predictions: Annotated[
        Path | None, typer.Argument(help="A JSON-lines file with reference and candidate in each row.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="The reference script, or a folder of them.")] = None,
    candidate: Annotated[str | None, typer.Option(help="The script to score, or a folder with the same names.")] = None,
    until: Annotated[
        float | None, typer.Option(help="Simulated seconds that both run; by default the reference's own stop time.")
    ] = None,
    warmup: Warmup = 0.0,
    replications: Annotated[int, typer.Option(min=1, help="Runs of each; from 2 on their figures are compared.")] = 1,
    seed: Seed = 0,
    weights: Annotated[
        tuple[float, float], typer.Option(help="Of connections and objects in SVR; they add up to 1.")
    ] = (0.6, 0.4),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the work; by default one for each core.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score candidate scripts against references: SVR, PMR, whether they run, BLEU-4, and more.

    One pair: status 0 where the candidate runs, 1 where it does not. Folders or a JSON-lines file: 0 where every pair
    could be scored, 1 where a reference builds nothing.
    """
    from vlsm_jax.metrics import ScoreError, try_pairs
    from vlsm_jax.metrics.svr import check_weights

    _check_times(until, warmup)
    try:
        check_weights(weights)
    except ValueError as error:
        _fail(str(error))
    pairs, one = _pairs(predictions, reference, candidate)
    # A process of its own takes a second to start: it has to be worth it, unless it is asked for.
    processes = min(workers or os.cpu_count() or 1, len(pairs) if workers else len(pairs) // PAIRS_WORTH_A_PROCESS)
    with _progress(len(pairs), "pair") as progress:
        try:
            scores = try_pairs(
                [(pair.reference, pair.candidate) for pair in pairs],
                workers=processes if processes > 1 else 0,
                until=until,
                warmup=warmup,
                replications=replications,
                seed=seed,
                weights=weights,
                progress=progress,
            )
        except ValueError as error:
            _fail(str(error))
    if one:
        (result,) = scores
        if isinstance(result, ScoreError):
            _fail(f"{reference}: {result}")
        _say_json(result.to_dict()) if as_json else _say(_score_lines(result))
        raise typer.Exit(0 if result.runs else 1)
    _tell_scores(pairs, scores, as_json, seed)


def _pairs(predictions: Path | None, reference: str | None, candidate: str | None) -> tuple[list[ScriptPair], bool]:
    """Returns the pairs that the arguments name, and whether they name a single one."""
    from vlsm_jax.evaluation.pairing import PairingError, ScriptPair, pair_folders, read_pairs

    if predictions is None and reference is not None and candidate is None and reference.endswith(".jsonl"):
        predictions, reference = Path(reference), None
    try:
        if predictions is not None:
            if reference is not None or candidate is not None:
                _fail("give either a JSON-lines file, or --reference and --candidate")
            return read_pairs(predictions), False
        if reference is None or candidate is None:
            _fail("give --reference and --candidate, or a JSON-lines file that holds both")
        folders = [Path(path).is_dir() for path in (reference, candidate)]
        if all(folders):
            return pair_folders(reference, candidate), False
        if any(folders):
            _fail(f"{reference} and {candidate}: one is a folder, the other is not")
    except PairingError as error:
        _fail(str(error))
    if reference == candidate == STDIN:
        _fail("standard input can be read once only; give a file for one of the two")
    return [ScriptPair(candidate, _read(reference), _read(candidate), {})], True


def _tell_scores(
    pairs: Sequence[ScriptPair], scores: Sequence[PairScore | ScoreError], as_json: bool, seed: int
) -> NoReturn:
    from vlsm_jax.evaluation.summary import format_table
    from vlsm_jax.metrics import PairScore, group_table, summarise

    scored = [(p, score) for p, score in zip(pairs, scores, strict=True) if isinstance(score, PairScore)]
    errors = [(p, score) for p, score in zip(pairs, scores, strict=True) if not isinstance(score, PairScore)]
    summary = summarise([score for _, score in scored], seed=seed) if scored else None
    tables = []
    if any({"industry", "layout"} & pair.metadata.keys() for pair, _ in scored):
        metadata = [pair.metadata for pair, _ in scored]
        found = [score for _, score in scored]
        tables = [group_table(found, metadata, measure=measure, seed=seed) for measure in ("svr", "pmr", "esr")]
    if as_json:
        _say_json(
            {
                "ok": not errors,
                "rows": [{"id": p.id, "metadata": dict(p.metadata), **score.to_dict()} for p, score in scored],
                "errors": [{"id": pair.id, "error": str(error)} for pair, error in errors],
                "summary": summary.to_dict() if summary else None,
                "tables": [table.to_dict() for table in tables],
            }
        )
    else:
        if scored:
            _say("\n".join(_row_lines(scored)))
            _say("\n" + format_table(summary))
        for table in tables:
            _say("\n" + table.to_markdown())
        for pair, error in errors:
            print(f"error: {pair.id}: {error}", file=sys.stderr)
    raise typer.Exit(1 if errors else 0)


def _row_lines(scored: Iterable[tuple[ScriptPair, PairScore]]) -> list[str]:
    from vlsm_jax.simulator.listing import visible

    rows = [("id", "SVR", "PMR", "BLEU-4", "verdict")]
    for pair, found in scored:
        failure = found.failure
        why = f" ({failure.value})" if failure and failure.value != found.verdict else ""
        figures = (f"{value:.4f}" for value in (found.svr, found.pmr, found.bleu4))
        rows.append((visible(pair.id), *figures, found.verdict + why))
    width = max(len(row[0]) for row in rows)
    return [f"{row[0]:{width}}  {row[1]:>6}  {row[2]:>6}  {row[3]:>6}  {row[4]}" for row in rows]


def _score_lines(found: PairScore) -> str:
    from vlsm_jax.simulator.listing import visible

    structure, parameters = found.structure, found.parameters
    same = {True: "the same graph", False: "another graph", None: "undecided"}[structure.same]
    bound = "" if structure.exact else f", {structure.most_wires}/{structure.wires.reference} at most"
    for_connections, for_objects = found.weights
    lines = [
        f"SVR         {found.svr:.4f}  ({for_connections:g} x connections {found.connection_score:.4f} "
        f"+ {for_objects:g} x objects {found.object_score:.4f})",
        f"PMR         {found.pmr:.4f}  (within tolerance {parameters.matched}/{parameters.reference})",
        f"structure   {structure.share:.4f}  (wires with names aside{bound}; {same})",
        f"BLEU-4      {found.bleu4:.4f}",
        f"verdict     {found.verdict}" + (f" ({found.failure.value})" if found.failure else ""),
    ]
    if found.throughput_ratio is not None:
        lines.append(f"throughput  {found.throughput_ratio:.4f}  of the reference's")
    if found.agreement is not None:
        lines.append(f"figures     {found.agreement.score:.4f}  agree")
        lines += [
            f"  {'=' if row.agrees else 'x'} {visible(row.name)}: "
            f"{'none' if row.candidate is None else f'{row.candidate:.5g}'}, the reference "
            f"{row.reference:.5g} ± {row.half_width:.2g} {row.unit}"
            for row in found.agreement.rows
        ]
    return "\n".join([*lines, *(f"  {visible(str(difference))}" for difference in found.differences)])


@app.command()
def generate(
    sketch: Annotated[Path, typer.Option(help="A picture of the layout (PNG or JPEG).")],
    model: Annotated[Path, typer.Option(help="A model folder in Hugging Face LLaVA layout, such as <workdir>/export.")],
    prompt: Annotated[str, typer.Option(help="The factory in words.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="A text file with the prompt.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the script here as well.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper limit of the script's length.")] = 1024,
    until: Until = None,
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
    try:
        report = run_script(made.text, until=until, seed=seed)
    except ValueError as error:
        _fail(str(error))
    if out is not None:
        draft = out.with_name(f".{out.name}.new")
        draft.write_text(made.text)
        draft.replace(out)
    if as_json:
        row: dict[str, Any] = {"script": made.text, "tokens": made.tokens, "ended": made.ended}
        _say_json(row | {"report": _report_object(report)})
    else:
        _say(made.text)
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


Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"] | None,
    typer.Option(help="Of what is not quantised; by default what it is in already."),
]


@convert_app.command("from-hf")
def convert_from_hf(
    source: Annotated[str, typer.Argument(help="A checkpoint's folder, or its name on the Hugging Face hub.")],
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    quantise: Annotated[
        Literal["nf4", "nf4-double", "int8", "int4"] | None, typer.Option(help="Keep a decoder's kernels so.")
    ] = None,
    dtype: Dtype = None,
    adapter: Annotated[Path | None, typer.Option(help="Folder of a PEFT adapter that goes with the decoder.")] = None,
    as_json: Json = False,
) -> None:
    """Convert a decoder (plain or in bitsandbytes' 4 bits), a CLIP encoder or a LLaVA model, tensor by tensor."""
    from convert.importing import import_checkpoint

    with _conversion_errors(out):
        report = import_checkpoint(source, out, quantise=quantise, dtype=dtype, adapter=adapter)
    _say_json(report.to_dict()) if as_json else _say("\n".join(report.lines()))


@convert_app.command("to-hf")
def convert_to_hf(
    source: Annotated[Path, typer.Argument(help="A folder that from-hf made.")],
    out: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    layout: Annotated[
        Literal["decoder", "llava", "parts", "vision", "peft", "merged", "bitsandbytes", "upstream"] | None,
        typer.Option("--as", help="By default the one that keeps everything as it is."),
    ] = None,
    dtype: Dtype = None,
    base: Annotated[str | None, typer.Option(help="The decoder that an adapter goes with, as PEFT finds it.")] = None,
    verify: Annotated[bool, typer.Option(help="Load the export in transformers and compare its scores.")] = False,
    as_json: Json = False,
) -> None:
    """Convert a checkpoint back. Status 1, and nothing is written, where --verify finds other scores."""
    from convert.exporting import export_checkpoint
    from convert.verify import VerificationError, compare_scores

    with _conversion_errors(out):
        try:
            report = export_checkpoint(
                source, out, layout=layout, dtype=dtype, base=base, verify=compare_scores if verify else None
            )
        except VerificationError as error:
            print(f"error: {source}: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
    _say_json(report.to_dict()) if as_json else _say("\n".join(report.lines()))


@contextlib.contextmanager
def _conversion_errors(out: Path) -> Iterator[None]:
    from convert import CheckpointError
    from vlsm_jax.models import UnsupportedConfigError

    try:
        yield
    except (CheckpointError, UnsupportedConfigError, ValueError) as error:
        _fail(str(error))
    except FileExistsError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or out}: {error.strerror or error}")


def _read(path: str | Path) -> str:
    from vlsm_jax.evaluation.pairing import MOST_BYTES, PairingError, decode_script, read_script

    try:
        if str(path) == STDIN:
            return decode_script(sys.stdin.buffer.read(MOST_BYTES + 1), "standard input")
        return read_script(path)
    except PairingError as error:
        _fail(str(error))


def _check_times(until: float | None, warmup: float) -> None:
    if not 0 <= warmup < math.inf:
        _fail(f"--warmup is {warmup:g}; give seconds, not negative")
    if until is not None and not 0 < until < math.inf:
        _fail(f"--until is {until:g}; give seconds, more than 0")
    if until is not None and warmup >= until:
        _fail(f"--warmup {warmup:g} leaves nothing of --until {until:g}; give less than that")


def _report_object(report: Report) -> dict[str, Any]:
    from vlsm_jax.metrics import failure

    label = failure(report)
    return report.to_dict() | {"failure": label.value if label else None}


def _painter() -> Callable[[str, str], str]:
    """Returns what colours text: nothing where the output is no terminal, or colours are not wanted."""
    from vlsm_jax.simulator.listing import plain

    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return lambda text, style: typer.style(text, bold=True) if style == "bold" else typer.style(text, fg=style)


@contextlib.contextmanager
def _progress(total: int, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on a terminal's standard error, and nothing elsewhere or for a single one."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, dynamic_ncols=True, disable=True if total == 1 else None) as bar:
        yield lambda done, _: bar.update(done - bar.n)


def _say_json(value: Any) -> None:
    _say(json.dumps(value, indent=2))


def _say(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        # Scripts may hold characters that the terminal, or UTF-8, has not.
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain once more when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(128 + 13) from None


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
