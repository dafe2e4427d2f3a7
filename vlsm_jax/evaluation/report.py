"""The report of an evaluation: one HTML page that needs nothing but itself."""

from __future__ import annotations

import dataclasses
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import PIL.Image
from markupsafe import Markup

from vlsm_jax.evaluation.drawing import BOX_HEIGHT, BOX_WIDTH, Drawing, Status, lay_out
from vlsm_jax.evaluation.figures import Curve, data_uri, loss_figure
from vlsm_jax.evaluation.kpis import KpiRow, compare_kpis
from vlsm_jax.evaluation.listing import Listing, side_by_side
from vlsm_jax.evaluation.predictions import Prediction
from vlsm_jax.flexscript import Diagnostic
from vlsm_jax.metrics import PairScore, Summary
from vlsm_jax.metrics.interval import Interval
from vlsm_jax.training.config import flat_settings
from vlsm_jax.twin import Difference, Twin
from vlsm_jax.version import __version__

PAPER = {
    "VLSM-1.1B": {"svr": 0.9408, "pmr": 0.9505, "esr": 0.8820, "bleu4": 0.9482},
    "VLSM-7B": {"svr": 0.9990, "pmr": 0.9922, "esr": 0.8740, "bleu4": 0.9886},
}
"""The best two models of arXiv 2512.20387, as published: best epoch on its test set, in FlexSim."""

SAMPLES = 12
MAX_DIFFERENCES = 24
MAX_DIAGNOSTICS = 6
MAX_DRAWN_OBJECTS = 60
MAX_OPEN_LINES = 30

ImageLoader = Callable[[str], PIL.Image.Image]


class _Row(NamedTuple):
    label: str
    value: Interval
    main: bool
    paper: tuple[float | None, ...]


class _Tile(NamedTuple):
    name: str
    value: Interval
    what: str


class _Verdict(NamedTuple):
    name: str
    count: int
    share: float
    what: str


class _Sketch(NamedTuple):
    uri: str
    note: str


class _Words(NamedTuple):
    kind: str
    text: str
    status: str


class _Finding(NamedTuple):
    severity: str
    what: str
    where: str
    source: str
    hint: str


@dataclasses.dataclass(frozen=True)
class _Card:
    id: str
    prompt: str
    sketch: _Sketch
    scores: PairScore
    seconds: float | None
    tokens: int | None
    picture: Drawing | None
    no_picture: str
    differences: Sequence[_Words]
    more_differences: int
    findings: Sequence[_Finding]
    more_findings: int
    kpis: Sequence[KpiRow]
    listing: Listing
    reference_lines: int
    candidate_lines: int

    @property
    def open(self) -> bool:
        return len(self.listing.reference) <= MAX_OPEN_LINES


class _Facts(NamedTuple):
    plain: list[tuple[str, str]]
    nested: list[tuple[str, list[tuple[str, str]]]]


_ROWS = (
    ("svr", "SVR, structural validity", True),
    ("connection_score", "connections reproduced", False),
    ("connection_precision", "precision of connections", False),
    ("connection_f1", "F1 of connections", False),
    ("object_score", "objects reproduced", False),
    ("object_precision", "precision of objects", False),
    ("object_f1", "F1 of objects", False),
    ("structure_share", "connections, names left aside", False),
    ("same_structure", "same graph, names left aside", False),
    ("pmr", "PMR, parameters reproduced", True),
    ("pmr_stated", "PMR of what the prompts state", False),
    ("parameter_recall", "parameters that mean the same", False),
    ("parameter_f1", "F1 of parameters that mean the same", False),
    ("esr", "ESR, scripts that run", True),
    ("bleu4", "BLEU-4 of the texts", True),
    ("exact", "same Twin as the reference", True),
    ("intent", "same throughput, within 10 %", True),
    ("intent_rate", "IntentRate, stated goals proved to be met", True),
    ("reference_intent_rate", "IntentRate of the references themselves", False),
    ("agreement", "figures within the reference's 95 % interval", True),
)

_TILES = (
    ("svr", "SVR", "connections (0.6) and objects (0.4) of the reference that the script builds"),
    ("pmr", "PMR", "parameters of the reference that the script sets to the same value"),
    ("esr", "ESR", "scripts that build a model and run it, unedited"),
    ("bleu4", "BLEU-4", "phrases of up to four words shared with the reference's text"),
)

_VERDICTS = {
    "ok": "builds, runs to the end, items reach a sink",
    "parse error": "not FlexScript",
    "build error": "breaks off while it builds the model",
    "wiring": "no source from which a sink can be reached",
    "no flow": "runs, but nothing arrives",
    "run error": "breaks off while the model runs",
    "budget": "takes more time, memory or steps than a script may",
}

_STATUS = {
    "missing object": Status.MISSING,
    "missing connection": Status.MISSING,
    "extra object": Status.EXTRA,
    "extra connection": Status.EXTRA,
}


def write_report(
    path: str | os.PathLike,
    *,
    title: str,
    summary: Summary,
    predictions: Sequence[Prediction],
    losses: Mapping[str, Curve] | None = None,
    run_facts: Mapping[str, Any] | None = None,
    image_loader: ImageLoader | None = None,
    samples: int = SAMPLES,
) -> Path:
    """Writes the report as one HTML file without any reference outside itself; returns its path.

    Args:
      path: of the file; a file that is there is replaced in one step.
      title: names the run.
      summary: of all predictions.
      predictions: from which the samples shown are taken, at equal distances from the best to the worst.
      losses: the loss over training by set, "train" and "validation": (optimizer step, nats per token).
      run_facts: what was run: machine, date, wall seconds, parameters, data sizes, ... A value that is itself a
        mapping, such as the config, becomes a table of its own.
      image_loader: opens the sketch at `Prediction.image`; by default the file at that path.
      samples: how many samples to show.

    Raises:
      ValueError: `losses` has another key.
      OSError: the file cannot be written. A sketch that cannot be read is named on the page instead.
    """
    path = Path(path)
    loader = image_loader or PIL.Image.open
    train, validation = _curves(losses or {})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    html = environment.get_template("report.html.jinja").render(
        title=title,
        summary=summary,
        verdict_ok=summary.verdicts.get("ok", 0),
        facts=_facts(run_facts or {}),
        tiles=[_Tile(name, getattr(summary, field), what) for field, name, what in _TILES],
        rows=[
            _Row(label, getattr(summary, field), main, tuple(figures.get(field) for figures in PAPER.values()))
            for field, label, main in _ROWS
            if getattr(summary, field) is not None
        ],
        paper_names=list(PAPER),
        verdicts=[
            _Verdict(name, count, count / summary.n, _VERDICTS.get(name, ""))
            for name, count in summary.verdicts.items()
        ],
        loss=loss_figure(train, validation) if train or validation else Markup(""),
        cards=[_card(prediction, loader) for prediction in choose_samples(predictions, samples)],
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
        version=__version__,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.write_text(html, encoding="utf-8", errors="replace")
    draft.replace(path)
    return path


def choose_samples(predictions: Sequence[Prediction], count: int) -> list[Prediction]:
    """Returns predictions at equal distances from the best to the worst, both included: none is picked by hand."""

    def worth(prediction: Prediction) -> tuple:
        scores = prediction.scores
        return (-scores.runs, -scores.svr, -scores.pmr, -scores.bleu4, prediction.id)

    ranked = sorted(predictions, key=worth)
    if len(ranked) <= count:
        return ranked
    if count < 2:
        return ranked[:count]
    return [ranked[round(i * (len(ranked) - 1) / (count - 1))] for i in range(count)]


def _card(prediction: Prediction, loader: ImageLoader) -> _Card:
    scores = prediction.scores
    reference = _twin(prediction.reference_report) or Twin()
    candidate = _twin(prediction.candidate_report)
    size = len(reference.objects) + (len(candidate.objects) if candidate else 0)
    picture, no_picture = None, ""
    if size > 2 * MAX_DRAWN_OBJECTS:
        no_picture = f"Not drawn: the two factories have {size} objects together."
    elif size:
        picture = lay_out(reference, candidate)
    else:
        no_picture = "Neither script builds anything."
    return _Card(
        id=prediction.id,
        prompt=prediction.prompt,
        sketch=_sketch(prediction.image, loader),
        scores=scores,
        seconds=prediction.generation_seconds,
        tokens=prediction.generation_tokens,
        picture=picture,
        no_picture=no_picture,
        differences=[_words(difference) for difference in scores.differences[:MAX_DIFFERENCES]],
        more_differences=max(len(scores.differences) - MAX_DIFFERENCES, 0),
        findings=[_finding(diagnostic) for diagnostic in scores.diagnostics[:MAX_DIAGNOSTICS]],
        more_findings=max(len(scores.diagnostics) - MAX_DIAGNOSTICS, 0),
        kpis=compare_kpis(prediction.reference_report.get("kpis"), prediction.candidate_report.get("kpis")),
        listing=side_by_side(prediction.reference, prediction.candidate),
        reference_lines=len(prediction.reference.splitlines()),
        candidate_lines=len(prediction.candidate.splitlines()),
    )


def _curves(losses: Mapping[str, Curve]) -> tuple[Curve, Curve]:
    unknown = set(losses) - {"train", "validation"}
    if unknown:
        raise ValueError(
            f"losses of {', '.join(map(repr, sorted(unknown)))}; the report shows 'train' and 'validation'"
        )
    return losses.get("train", ()), losses.get("validation", ())


def _twin(report: Mapping[str, Any]) -> Twin | None:
    data = report.get("twin")
    return None if data is None else Twin.from_dict(data)


def _words(difference: Difference) -> _Words:
    status = _STATUS.get(difference.kind, Status.CHANGED)
    text = str(difference).removeprefix(f"{difference.kind}: ").replace(" <-> ", " ↔ ").replace(" -> ", " → ")
    return _Words(difference.kind, text, status.value)


def _finding(diagnostic: Diagnostic) -> _Finding:
    # The source line and the caret below it keep their columns; all else may wrap.
    marked = dataclasses.replace(diagnostic, hint="")
    source = str(marked).split("\n", 1)[1] if diagnostic.source_line and diagnostic.column else ""
    return _Finding(
        diagnostic.severity.value,
        f"{diagnostic.message} ({diagnostic.code})",
        f"line {diagnostic.line}, column {diagnostic.column}" if diagnostic.line else "",
        textwrap.dedent(source),
        diagnostic.hint,
    )


def _sketch(path: str, loader: ImageLoader) -> _Sketch:
    if not path:
        return _Sketch("", "This sample has no sketch.")
    try:
        with loader(path) as image:
            return _Sketch(data_uri(image), "")
    except (OSError, KeyError, ValueError, PIL.Image.DecompressionBombError) as error:
        # A report without one sketch is worth more than none; a file's name says enough, and no folder of the machine.
        return _Sketch("", f"The sketch {Path(path).name} cannot be read ({type(error).__name__}).")


def _facts(run_facts: Mapping[str, Any]) -> _Facts:
    facts = _Facts([], [])
    for name, value in run_facts.items():
        if isinstance(value, Mapping):
            facts.nested.append((str(name), [(key, _text(inner)) for key, inner in flat_settings(value).items()]))
        else:
            facts.plain.append((str(name), _text(value)))
    return facts


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return "none" if value is None else str(value)
