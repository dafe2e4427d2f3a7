"""`vlsm score`: candidate scripts against references."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vlsm_jax.cli.terminal import (
    STDIN,
    Json,
    Seed,
    Warmup,
    check_times,
    fail,
    progress_bar,
    read,
    say,
    say_json,
)

if TYPE_CHECKING:
    from vlsm_jax.evaluation.pairing import ScriptPair
    from vlsm_jax.metrics import Goal, PairScore, ScoreError

PAIRS_WORTH_A_PROCESS = 16


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

    check_times(until, warmup)
    try:
        check_weights(weights)
    except ValueError as error:
        fail(str(error))
    pairs, one = _pairs(predictions, reference, candidate)
    # A process of its own takes a second to start: it has to be worth it, unless it is asked for.
    processes = min(workers or os.cpu_count() or 1, len(pairs) if workers else len(pairs) // PAIRS_WORTH_A_PROCESS)
    with progress_bar(len(pairs), "pair") as progress:
        try:
            scores = try_pairs(
                [(pair.reference, pair.candidate, _unstated(pair), _goals(pair)) for pair in pairs],
                workers=processes if processes > 1 else 0,
                until=until,
                warmup=warmup,
                replications=replications,
                seed=seed,
                weights=weights,
                progress=progress,
            )
        except ValueError as error:
            fail(str(error))
    if one:
        (result,) = scores
        if isinstance(result, ScoreError):
            fail(f"{reference}: {result}")
        say_json(result.to_dict()) if as_json else say(_score_lines(result))
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
                fail("give either a JSON-lines file, or --reference and --candidate")
            return read_pairs(predictions), False
        if reference is None or candidate is None:
            fail("give --reference and --candidate, or a JSON-lines file that holds both")
        folders = [Path(path).is_dir() for path in (reference, candidate)]
        if all(folders):
            return pair_folders(reference, candidate), False
        if any(folders):
            fail(f"{reference} and {candidate}: one is a folder, the other is not")
    except PairingError as error:
        fail(str(error))
    if reference == candidate == STDIN:
        fail("standard input can be read once only; give a file for one of the two")
    return [ScriptPair(candidate, read(reference), read(candidate), {})], True


def _unstated(pair: ScriptPair) -> tuple[str, ...] | None:
    """Returns what the prompt of a row leaves out; None where the row does not say."""
    omitted = pair.metadata.get("omitted")
    return tuple(map(str, omitted)) if isinstance(omitted, list) else None


def _goals(pair: ScriptPair) -> tuple[Goal, ...]:
    """Returns the goals that the metadata of a row have; ends the program where they cannot be understood."""
    from vlsm_jax.metrics import GoalError, goals_of

    try:
        return goals_of(pair.metadata)
    except GoalError as error:
        fail(f"{pair.id}: {error}")


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
        measures = ("svr", "pmr", "esr", *(["intent_rate"] if summary.intent_rate else []))
        tables = [group_table(found, metadata, measure=measure, seed=seed) for measure in measures]
    if as_json:
        say_json(
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
            say("\n".join(_row_lines(scored)))
            say("\n" + format_table(summary))
        for table in tables:
            say("\n" + table.to_markdown())
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
    lines += [f"goal        {visible(str(goal))}" for goal in found.goals]
    if found.agreement is not None:
        lines.append(f"figures     {found.agreement.score:.4f}  agree")
        lines += [
            f"  {'=' if row.agrees else 'x'} {visible(row.name)}: "
            f"{'none' if row.candidate is None else f'{row.candidate:.5g}'}, the reference "
            f"{row.reference:.5g} ± {row.half_width:.2g} {row.unit}"
            for row in found.agreement.rows
        ]
    return "\n".join([*lines, *(f"  {visible(str(difference))}" for difference in found.differences)])
