"""A Report as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vlsm_jax.flexscript import Diagnostic, Severity
from vlsm_jax.simulator.report import Report
from vlsm_jax.simulator.statistics import Estimate, Kpis

NOTHING = "-"
MOST_FINDINGS = 10
MOST_LINES = 100
MOST_NAME = 40

Paint = Callable[[str, str], str]
"""(text, "red" | "yellow" | "green" | "bold") to the text as the terminal shows it in that colour."""


def plain(text: str, style: str) -> str:
    """Paints nothing."""
    del style
    return text


def format_report(report: Report, paint: Paint = plain) -> str:
    """Returns verdict, findings, printed lines, model figures and one line per object.

    Errors come first, then warnings; behind `MOST_FINDINGS` they are only counted, and so are printed lines behind
    `MOST_LINES`.
    """
    verdict = paint(report.verdict.value, "green" if report.ok else "red")
    blocks = [f"verdict  {verdict}", format_findings(report.diagnostics, paint)]
    if report.output:
        printed = [f"print: {visible(line)}" for line in report.output[:MOST_LINES]]
        blocks.append("\n".join([*printed, *_more(len(report.output) - MOST_LINES, "printed line")]))
    if report.kpis is not None:
        blocks += ["\n".join(_model_lines(report.kpis)), "\n".join(_object_lines(report.kpis, paint))]
    return "\n\n".join(block for block in blocks if block)


def format_findings(findings: Sequence[Diagnostic], paint: Paint = plain) -> str:
    """Returns the findings with their place, a caret and a hint, errors before warnings; empty where there are none."""
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    shown = [_finding(finding, paint) for finding in ordered[:MOST_FINDINGS]]
    return "\n".join([*shown, *_more(len(ordered) - MOST_FINDINGS, "finding")])


def visible(text: str) -> str:
    """Returns text with every control character written out, so that what a script prints cannot steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def duration(seconds: float) -> str:
    """Returns seconds as a reader says them: "8.5 s", "6 min 12 s", "2 h 5 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f}\u00a0s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60}\u00a0min"


def _finding(finding: Diagnostic, paint: Paint) -> str:
    colour = "red" if finding.severity is Severity.ERROR else "yellow"
    word = f"{finding.severity.value} ({finding.code})"
    lines = str(finding).replace("\t", "    " if finding.column else " ").split("\n")
    return "\n".join(map(visible, lines)).replace(word, paint(word, colour), 1)


def _more(count: int, what: str) -> list[str]:
    return [f"... and {count} more {what}{'' if count == 1 else 's'} (all of them with --json)"] if count > 0 else []


def _model_lines(kpis: Kpis) -> list[str]:
    runs = "1 run" if kpis.replications == 1 else f"{kpis.replications} runs, mean ± half of the 95 % interval"
    warmup = f", the first {_time(kpis.warmup)} left out" if kpis.warmup else ""
    rows = [("simulated", f"{_time(kpis.until)}{warmup}, {runs}")]
    rows.append(("throughput", f"{_figure(kpis.total_throughput)} items/h"))
    if len(kpis.throughput) > 1:
        rows += [(f"  at {_name(name)}", f"{_figure(value)} items/h") for name, value in kpis.throughput.items()]
    rows += [
        ("lead time", NOTHING if kpis.lead_time is None else f"{_figure(kpis.lead_time)} s{_said(kpis.lead_time)}"),
        ("items in model", f"{_figure(kpis.wip)} on average"),
        ("bottleneck", _bottleneck(kpis)),
    ]
    width = max(len(label) for label, _ in rows)
    return [f"{label:{width}}  {text}" for label, text in rows]


def _time(seconds: float) -> str:
    return f"{seconds:.10g} s{'' if seconds < 60 else f' ({duration(seconds)})'}"


def _said(value: Estimate) -> str:
    return "" if value.mean < 60 else f" ({duration(value.mean)})"


def _bottleneck(kpis: Kpis) -> str:
    if kpis.bottleneck is None:
        return NOTHING
    busy = kpis.objects[kpis.bottleneck].utilisation
    return _name(kpis.bottleneck) + ("" if busy is None else f" ({busy.mean:.1%} utilised)")


def _name(name: str) -> str:
    name = visible(name)
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1]}…"


_HEADS = ("object", "class", "in", "out", "content", "max", "stay [s]", "utilised", "states")
_TO_THE_RIGHT = range(2, 8)


def _object_lines(kpis: Kpis, paint: Paint) -> list[str]:
    table = [_HEADS]
    for name, stats in kpis.objects.items():
        total = sum(state.mean for state in stats.states.values()) or 1.0
        shares = sorted(((state.mean / total, label) for label, state in stats.states.items()), reverse=True)
        table.append(
            (
                _name(name),
                stats.cls,
                _count(stats.input),
                _count(stats.output),
                f"{stats.content_average.mean:.2f}",
                _count(stats.content_max),
                NOTHING if stats.staytime_average is None else f"{stats.staytime_average.mean:.1f}",
                NOTHING if stats.utilisation is None else f"{stats.utilisation.mean:.1%}",
                ", ".join(f"{label} {share:.0%}" for share, label in shares if share >= 0.005),
            )
        )
    widths = [max(len(row[i]) for row in table) for i in range(len(_HEADS))]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if i in _TO_THE_RIGHT else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines[0] = paint(lines[0], "bold")
    return lines


def _count(value: Estimate) -> str:
    """Returns a number of items: whole in a single run, with one decimal as a mean over several."""
    return f"{value.mean:.0f}" if value.half_width is None else f"{value.mean:.1f}"


def _figure(value: Estimate) -> str:
    if value.half_width is None:
        return f"{value.mean:.4g}" if value.mean < 1000 else f"{value.mean:.0f}"
    if not value.half_width:
        return f"{value.mean:.6g} ± 0"
    # Both to the place at which the half width has its second digit.
    places = max(0, 1 - int(f"{value.half_width:e}".split("e")[1]))
    return f"{value.mean:.{places}f} ± {value.half_width:.{places}f}"
