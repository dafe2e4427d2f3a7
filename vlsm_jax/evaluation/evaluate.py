"""Evaluation of a generator over a test set: generate in batches, run and score in other processes, keep every row."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from vlsm_jax.evaluation.predictions import Prediction, PredictionLog, Settings
from vlsm_jax.evaluation.sharing import PREDICTIONS, Alone, Processes, gather_rows, own_file
from vlsm_jax.evaluation.summary import write_scores
from vlsm_jax.metrics import Goal, GoalError, PairScore, Summary, goals_of, run_pair, summarise
from vlsm_jax.metrics.score import UNTIL
from vlsm_jax.processes import fresh_pool
from vlsm_jax.simulator import Budget, build

SCORES = "scores.json"


class EvaluationError(ValueError):
    """A test set, a generator or a folder that cannot be evaluated; the message says what and where."""


class Sample(Protocol):
    """A test sample; `vlsm_jax.data.triplets.Record` is one."""

    @property
    def id(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def response(self) -> str: ...


class Candidate(NamedTuple):
    """A generated script with what it took; `generate` may return these in place of plain texts.

    Attributes:
      text: the script.
      tokens: tokens generated, or None.
      seconds: wall time of this one, or None to share the batch's time among its samples.
      verification: how it was chosen and mended, as JSON; None where neither was done.
    """

    text: str
    tokens: int | None = None
    seconds: float | None = None
    verification: Mapping[str, Any] | None = None


Generate = Callable[[Sequence[Sample]], Sequence[str | Candidate]]
Progress = Callable[[int, int], None]


class _Run(NamedTuple):
    score: PairScore
    reference: dict[str, Any]
    candidate: dict[str, Any]


class _Waiting(NamedTuple):
    sample: Sample
    candidate: Candidate
    future: concurrent.futures.Future


def evaluate(
    samples: Sequence[Sample],
    generate: Generate,
    *,
    directory: str | os.PathLike,
    until: float = UNTIL,
    seed: int = 0,
    workers: int | None = None,
    batch_size: int = 16,
    budget: Budget = Budget(),
    generator: str = "",
    progress: Progress | None = None,
    processes: Processes = Alone(),
) -> Summary | None:
    """Generates a candidate for every sample, runs and scores it, and writes what came out.

    `directory` then holds `predictions.jsonl`, one line per sample, and `scores.json`, the summary. A run that was
    killed goes on where it stopped: samples that have a row are not generated again.

    Args:
      samples: the test set, each with an id of its own.
      generate: takes up to `batch_size` samples and returns one text (or `Candidate`) for each.
      until: simulated seconds that each script runs.
      seed: of the random streams of each run, and of the intervals.
      workers: scoring processes beside this one; 0 scores here, None takes one per core.
      budget: what one script may use up.
      generator: what writes the candidates, such as a checkpoint and its step; kept with each row.
      progress: called with (rows done, samples) after each row; of several processes, those of this one.
      processes: that share the samples, each of which calls this function with the same arguments.

    Returns:
      The summary; None in all processes but the first.

    Raises:
      EvaluationError: there are no samples; two share an id; one states a goal that cannot be understood; a reference
        builds nothing; `generate` returned another number of texts than it was given samples; the folder holds rows
        of other samples or other settings; scoring failed on a sample, or a scoring process died (the rows of all
        others are kept); rows of another process are not to be seen.
    """
    samples = list(samples)
    goals = {sample.id: _goals(sample) for sample in samples}
    settings = Settings(until=until, seed=seed, generator=generator)
    _check_ids(samples)
    directory = Path(directory)
    # What there is, and so what each process has to do, is one process's word: others may see its files late.
    done = set(json.loads(processes.by_first(f"reading {directory}", lambda: _done(directory, samples, settings))))
    share = [sample for sample in samples if sample.id not in done][processes.index :: processes.count]
    with PredictionLog(own_file(directory, processes)) as log:
        _write_rows(
            share,
            generate,
            log,
            settings=settings,
            goals=goals,
            workers=workers,
            batch_size=batch_size,
            budget=budget,
            progress=progress,
            total=len(log.rows) + len(share),
        )
    processes.agree(f"all rows of {directory}", {})
    return _summarise(directory, samples, settings) if processes.first else None


def _done(directory: Path, samples: Sequence[Sample], settings: Settings) -> str:
    """Returns the ids of the rows that are there, as JSON."""
    rows = gather_rows(directory)
    _check_rows(directory / PREDICTIONS, rows, samples, settings)
    return json.dumps(list(rows))


def _summarise(directory: Path, samples: Sequence[Sample], settings: Settings) -> Summary:
    rows = gather_rows(directory)
    missing = [sample.id for sample in samples if sample.id not in rows]
    if missing:
        raise EvaluationError(
            f"{len(missing)} of {len(samples)} rows are not in {directory}, the first that of {missing[0]!r}; put it "
            "on a file system that all hosts share, and start the same command again"
        )
    summary = summarise([rows[sample.id].scores for sample in samples], seed=settings.seed)
    write_scores(directory / SCORES, summary, settings)
    return summary


def _write_rows(
    todo: Sequence[Sample],
    generate: Generate,
    log: PredictionLog,
    *,
    settings: Settings,
    goals: Mapping[str, tuple[Goal, ...]],
    workers: int | None,
    batch_size: int,
    budget: Budget,
    progress: Progress | None,
    total: int,
) -> None:
    """Writes a script for each sample and scores it; rows are in the log as soon as they are scored."""
    score = functools.partial(_run_pair, until=settings.until, seed=settings.seed, budget=budget)
    failures: list[str] = []
    try:
        with _executor(workers, len(todo)) as executor:
            if todo:
                _check_references(executor, todo, budget)
            waiting: list[_Waiting] = []
            try:
                for start in range(0, len(todo), batch_size):
                    batch = todo[start : start + batch_size]
                    for sample, candidate in zip(batch, _generate(generate, batch), strict=True):
                        future = executor.submit(
                            score,
                            sample.response,
                            candidate.text,
                            unstated=_unstated(sample),
                            goals=goals[sample.id],
                        )
                        waiting.append(_Waiting(sample, candidate, future))
                    # Those still running go on beside the next batch's generation.
                    ready = [entry for entry in waiting if entry.future.done()]
                    waiting = [entry for entry in waiting if not entry.future.done()]
                    _keep(ready, log, settings, failures, progress, total)
            finally:
                # Also when `generate` fails: what it wrote before is paid for.
                _keep(waiting, log, settings, failures, progress, total)
    except BrokenProcessPool as error:
        raise EvaluationError(
            f"a scoring process died; {len(log.rows)} of {total} rows are kept in {log.path}. Memory ran out, or "
            'the program works outside `if __name__ == "__main__":`; workers=0 scores without processes'
        ) from error
    if failures:
        raise EvaluationError(
            f"scoring failed on {len(failures)} of {total} samples; the others are kept in {log.path}:\n  "
            + "\n  ".join(failures[:10])
        )


def _unstated(sample: Sample) -> tuple[str, ...] | None:
    """Returns what a prompt leaves out, where its row says that."""
    omitted = getattr(sample, "extra", {}).get("omitted")
    return tuple(map(str, omitted)) if isinstance(omitted, (list, tuple)) else None


def _goals(sample: Sample) -> tuple[Goal, ...]:
    """Returns what a prompt asks the factory to achieve, as its row or else the prompt itself says."""
    try:
        return goals_of(getattr(sample, "extra", {}), sample.prompt)
    except GoalError as error:
        raise EvaluationError(f"{sample.id}: {error}") from error


def _run_pair(
    reference: str,
    candidate: str,
    *,
    until: float,
    seed: int,
    budget: Budget,
    unstated: tuple[str, ...] | None = None,
    goals: tuple[Goal, ...] = (),
) -> _Run:
    pair = run_pair(reference, candidate, until=until, seed=seed, budget=budget, unstated=unstated, goals=goals)
    return _Run(pair.score, pair.reference.to_dict(), pair.candidate.to_dict())


def _keep(
    entries: Sequence[_Waiting],
    log: PredictionLog,
    settings: Settings,
    failures: list[str],
    progress: Progress | None,
    total: int,
) -> None:
    broken = None
    for sample, candidate, future in entries:
        try:
            run = future.result()
        except BrokenProcessPool as error:
            broken = error
            continue
        except Exception as error:  # one bad sample must not take the generated rest with it; raised at the end
            failures.append(f"{sample.id}: {type(error).__name__}: {error}")
            continue
        log.append(
            Prediction(
                id=sample.id,
                image=str(sample.image or ""),
                prompt=sample.prompt,
                reference=sample.response,
                candidate=candidate.text,
                scores=run.score,
                reference_report=run.reference,
                candidate_report=run.candidate,
                settings=settings,
                generation_seconds=candidate.seconds,
                generation_tokens=candidate.tokens,
                metadata=getattr(sample, "extra", {}),
                verification=candidate.verification,
            )
        )
        if progress:
            progress(len(log.rows), total)
    if broken:
        raise broken


def _generate(generate: Generate, batch: Sequence[Sample]) -> Iterator[Candidate]:
    began = time.perf_counter()
    texts = list(generate(batch))
    seconds = (time.perf_counter() - began) / len(batch)
    if len(texts) != len(batch):
        raise EvaluationError(f"generate returned {len(texts)} texts for {len(batch)} samples; return one for each")
    for text in texts:
        candidate = text if isinstance(text, Candidate) else Candidate(text)
        yield candidate if candidate.seconds is not None else candidate._replace(seconds=seconds)


def _executor(workers: int | None, tasks: int) -> concurrent.futures.Executor:
    wanted = (os.cpu_count() or 1) if workers is None else workers
    return fresh_pool(min(wanted, tasks)) if wanted and tasks else _HereAndNow()


class _HereAndNow(concurrent.futures.Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn, /, *args, **kwargs):
        future: concurrent.futures.Future = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _check_ids(samples: Sequence[Sample]) -> None:
    if not samples:
        raise EvaluationError("there are no samples to evaluate; give at least one")
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise EvaluationError(f"two samples have the id {sample.id!r}; ids are unique within a test set")
        seen.add(sample.id)


def _check_rows(path: Path, rows: Mapping[str, Prediction], samples: Sequence[Sample], settings: Settings) -> None:
    by_id = {sample.id: sample for sample in samples}
    for row in rows.values():
        sample = by_id.get(row.id)
        if row.settings != settings:
            reason = f"has {row.settings}, this run has {settings}"
        elif sample is None:
            reason = "is no sample of this test set"
        elif (row.prompt, row.reference) != (sample.prompt, sample.response):
            reason = "has another prompt or reference script than the sample of that id"
        else:
            continue
        raise EvaluationError(
            f"{path} belongs to another evaluation: row {row.id!r} {reason}; use another folder, or delete "
            "the file to start over"
        )


def _check_references(executor: concurrent.futures.Executor, samples: Sequence[Sample], budget: Budget) -> None:
    # Before anything is generated: a reference that builds nothing would spoil the evaluation hours later.
    scripts = list(dict.fromkeys(sample.response for sample in samples))
    problems = dict(zip(scripts, executor.map(functools.partial(_problem, budget=budget), scripts), strict=True))
    bad = [f"{sample.id}: {problems[sample.response]}" for sample in samples if problems[sample.response]]
    if bad:
        raise EvaluationError(
            f"{len(bad)} of {len(samples)} reference scripts build nothing; leave these samples out:\n  "
            + "\n  ".join(bad[:10])
        )


def _problem(script: str, budget: Budget) -> str:
    result = build(script, budget=budget)
    if result.twin is not None:
        return ""
    return str(result.diagnostics[0]) if result.diagnostics else "no diagnostic"
