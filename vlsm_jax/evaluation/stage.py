"""The evaluation of an experiment: every split in every way, a folder of results for each, and the tables over all."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsm_jax.data.pictures import PictureFolder
from vlsm_jax.data.triplets import DataError, Record
from vlsm_jax.evaluation.evaluate import evaluate
from vlsm_jax.evaluation.predictions import Prediction, read_predictions
from vlsm_jax.evaluation.report import write_report
from vlsm_jax.evaluation.sharing import PREDICTIONS, Processes
from vlsm_jax.evaluation.subject import Subject
from vlsm_jax.evaluation.summary import format_table
from vlsm_jax.evaluation.table import Evaluated, Row, make_tables, write_tables
from vlsm_jax.evaluation.writing import Writer, Writing
from vlsm_jax.generation.speed import Speed
from vlsm_jax.metrics import Summary, summarise
from vlsm_jax.training.logs import Progress
from vlsm_jax.training.loop import environment_facts
from vlsm_jax.ways import Way

if TYPE_CHECKING:
    from vlsm_jax.training.sections import EvaluateSection


def evaluate_all(
    subject: Subject,
    splits: Mapping[str, Sequence[Record]],
    settings: EvaluateSection,
    *,
    workdir: Path,
    seed: int,
    processes: Processes,
) -> list[Evaluated]:
    """Writes scripts for every split in every way, runs and scores them, and writes reports and tables; returns rows.

    Each process calls it and writes its share of the scripts; the first one writes and prints all else, and alone
    returns rows. What an earlier run of it has left is gone on with, row by row.

    Args:
      subject: the model.
      splits: name to rows, of which the first `settings.samples` are taken.
      settings: `config.evaluate`.
      workdir: results go to its folder `evaluation` and to `report.html`.
      seed: of draws, runs and intervals.
      processes: of the job.

    Raises:
      DataError: a row without a sketch, for a model that looks at them.
      EvaluationError: see `vlsm_jax.evaluation.evaluate.evaluate`.
    """
    done: list[Evaluated] = []
    several = len(splits) * len(settings.ways) > 1
    for split, rows in splits.items():
        samples = _samples(subject, split, rows, settings.samples, workdir, processes)
        for word in settings.ways:
            directory = workdir / "evaluation" / subject.folder / split / word
            writing = Writing(settings.max_tokens, Way.parse(word), settings.batch_size, settings.until, seed)
            summary = _evaluate(subject, samples, writing, directory, processes)
            if summary is None:
                continue
            found = {prediction.id: prediction for prediction in read_predictions(directory / PREDICTIONS)}
            predictions = [found[sample.id] for sample in samples]
            if several:
                print(f"\n{split}, {word}")
            _tell(summary, predictions, subject.generator.total, settings, seed)
            report = _report(directory, subject, summary, predictions, split, writing)
            if not done:
                report = Path(shutil.copyfile(report, workdir / report.name))
            print(f"\nreport   {report}")
            done.append(Evaluated(split, word, [Row.of(prediction) for prediction in predictions]))
    if processes.first:
        tables = make_tables(subject.said, done, seed=seed)
        print(f"tables   {write_tables(workdir / 'evaluation', tables)}")
    return done


def _samples(
    subject: Subject, split: str, rows: Sequence[Record], count: int, workdir: Path, processes: Processes
) -> list[Record]:
    samples = [rows[i] for i in range(min(count, len(rows)))]
    if subject.generator.network.config.vision is None:
        return samples
    if text_only := next((sample for sample in samples if sample.image is None), None):
        raise DataError(f"{text_only.where}: a row of text only; scripts are generated from a sketch and a prompt")
    pictures = PictureFolder(workdir / "evaluation")

    def keep() -> str:
        samples[:] = map(pictures.keep, samples)
        return "kept"

    processes.by_first(f"keeping the pictures of {split}", keep)
    return [pictures.keep(sample) for sample in samples]


def _evaluate(
    subject: Subject, samples: Sequence[Record], writing: Writing, directory: Path, processes: Processes
) -> Summary | None:
    progress = Progress(len(samples), unit="script") if processes.first else None
    subject.generator.total = Speed()
    with Writer(subject.generator, writing, workers=os.cpu_count() or 1) as writer:
        summary = evaluate(
            samples,
            writer,
            directory=directory,
            until=writing.until,
            seed=writing.seed,
            batch_size=writing.batch_size,
            generator=f"{subject.said}, {writing}",
            progress=progress and progress.to,
            processes=processes,
        )
    if progress:
        progress.close()
    return summary


def _tell(
    summary: Summary, predictions: Sequence[Prediction], speed: Speed, settings: EvaluateSection, seed: int
) -> None:
    print(f"\n{format_table(summary)}")
    if speed.generations:  # none where all rows were there already
        print(f"decoding {speed}")
    for weights in settings.svr_weights:
        again = summarise([p.scores.weighted(tuple(weights)) for p in predictions], seed=seed).svr
        said = "/".join(f"{weight:g}" for weight in weights)
        print(f"SVR under {said} of connections and objects: {again.mean:.4f} ({again.low:.4f} to {again.high:.4f})")


def _report(
    directory: Path,
    subject: Subject,
    summary: Summary,
    predictions: Sequence[Prediction],
    split: str,
    writing: Writing,
) -> Path:
    return write_report(
        directory / "report.html",
        title=f"vlsm_jax: {subject.name}",
        summary=summary,
        predictions=predictions,
        losses=subject.losses,
        run_facts=_facts(subject, split, len(predictions), writing),
    )


def _facts(subject: Subject, split: str, count: int, writing: Writing) -> dict[str, Any]:
    network, speed = subject.generator.network, subject.generator.total
    decoder, vision = network.config.decoder, network.config.vision
    return {
        "config": subject.name,
        "decoder": f"{decoder.family}, {decoder.layers} layers of {decoder.width}",
        "encoder": f"ViT, {vision.layers} layers of {vision.width}, {vision.image_size} px" if vision else "none",
        "parameters": network.parameter_count,
        **subject.facts,
        "test split": f"{split}, {count} triplets",
        "written": str(writing),
        **({"decoding": str(speed)} if speed.generations else {}),
        "simulated time": f"{writing.until:g} s",
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        **environment_facts(),
    }
