"""`vlsm run` and `vlsm check`: scripts executed, and looked through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlsm_jax.cli.terminal import (
    STDIN,
    Goals,
    Json,
    Replications,
    Script,
    Seed,
    Until,
    Warmup,
    check_times,
    fail,
    format_goals,
    painter,
    read,
    read_goals,
    report_object,
    say,
    say_json,
)

if TYPE_CHECKING:
    from vlsm_jax.metrics import Attainment, Goal
    from vlsm_jax.simulator import Report


def run(
    script: Script,
    until: Until = None,
    warmup: Warmup = 0.0,
    replications: Replications = 1,
    seed: Seed = 0,
    trace: Annotated[
        Path | None, typer.Option(help="Write every entry and exit of the first run to this CSV file.")
    ] = None,
    goal: Goals = None,
    as_json: Json = False,
) -> None:
    """Execute a script: build the factory, run it, print the Report.

    With --goal it is run at least five times, and up to forty times while a goal is undecided. Status 0 where it runs
    and every goal is met.
    """
    from vlsm_jax.simulator.listing import format_report
    from vlsm_jax.simulator.tracefile import TraceFile

    check_times(until, warmup)
    goals = read_goals(goal)
    text = read(script)
    settings = {"until": until, "warmup": warmup, "replications": replications, "seed": seed}
    try:
        if trace is None:
            report, attained = _run(text, goals, **settings)
        else:
            with TraceFile(trace) as events:
                report, attained = _run(text, goals, trace=events, **settings)
    except ValueError as error:
        fail(f"{script}: {error}")  # the script's own stop time leaves nothing behind the warm-up
    except OSError as error:
        fail(f"{trace}: {error.strerror}")
    if as_json:
        found = {"goals": [goal.to_dict() for goal in attained]} if attained else {}
        say_json(report_object(report) | found)
    else:
        say(format_report(report, painter()))
        if attained:
            say("\n" + format_goals(attained, painter()))
    raise typer.Exit(0 if report.ok and all(found.outcome.value == "met" for found in attained) else 1)


def _run(text: str, goals: Sequence[Goal], **settings: Any) -> tuple[Report, tuple[Attainment, ...]]:
    from vlsm_jax.metrics import judge_goals
    from vlsm_jax.simulator import run as run_script

    if not goals:
        return run_script(text, **settings), ()
    judged = judge_goals(text, goals, **settings)
    return judged.report, judged.attainments


def check(
    scripts: Annotated[list[str], typer.Argument(help="FlexScript files, or - for standard input.")],
    as_json: Json = False,
) -> None:
    """Parse and build scripts and follow their wires without running them; print what is wrong with them."""
    from vlsm_jax.simulator.checking import check as check_script
    from vlsm_jax.simulator.listing import format_findings

    if scripts.count(STDIN) > 1:
        fail("standard input can be read once only; give - once")
    texts = {path: read(path) for path in scripts}  # all are looked for before the first is worked on
    reports = {path: check_script(text) for path, text in texts.items()}
    ok = all(report.ok for report in reports.values())
    if as_json:
        files = {path: report_object(report) for path, report in reports.items()}
        say_json((next(iter(files.values())) if len(files) == 1 else {}) | {"ok": ok, "files": files})
    else:
        paint = painter()
        for path, report in reports.items():
            verdict = paint(report.verdict.value, "green" if report.ok else "red")
            twin = report.twin
            size = f", {len(twin.objects)} objects, {len(twin.connections)} connections" if twin else ""
            findings = format_findings(report.diagnostics, paint)
            say(f"{path}: {verdict}{size}" + (f"\n{findings}" if findings else ""))
    raise typer.Exit(0 if ok else 1)
