"""A Report as plain text for a terminal."""

from __future__ import annotations

from vlsm_jax.simulator.report import Report
from vlsm_jax.simulator.statistics import Estimate, Kpis

NOTHING = "-"


def format_report(report: Report) -> str:
    """Returns verdict, diagnostics, printed lines, model figures and one line per object."""
    lines = [str(diagnostic) for diagnostic in report.diagnostics]
    lines += [f"print: {line}" for line in report.output]
    if report.kpis is not None:
        lines += [*_model_lines(report.kpis), "", *_object_lines(report.kpis)]
    return "\n".join([f"verdict  {report.verdict.value}", *lines])


def duration(seconds: float) -> str:
    """Returns seconds as a reader says them: "8.5 s", "6 min 12 s", "2 h 5 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f}\u00a0s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}\u00a0min {whole % 60}\u00a0s"
    return f"{whole // 3600}\u00a0h {whole % 3600 // 60}\u00a0min"


def _model_lines(kpis: Kpis) -> list[str]:
    runs = "1 run" if kpis.replications == 1 else f"{kpis.replications} runs, mean ± half of the 95 % interval"
    warmup = f", the first {kpis.warmup:g} s left out" if kpis.warmup else ""
    rows = [("simulated", f"{kpis.until:g} s{warmup}, {runs}")]
    rows += [(f"throughput at {name}", f"{_figure(value)} per hour") for name, value in kpis.throughput.items()]
    rows += [
        ("lead time", NOTHING if kpis.lead_time is None else f"{_figure(kpis.lead_time)} s"),
        ("items in the model", f"{_figure(kpis.wip)} on average"),
        ("bottleneck", kpis.bottleneck or NOTHING),
    ]
    width = max(len(label) for label, _ in rows)
    return [f"{label:{width}}  {text}" for label, text in rows]


def _object_lines(kpis: Kpis) -> list[str]:
    table = [("object", "class", "in", "out", "content", "max", "stay s", "busy", "states")]
    for name, stats in kpis.objects.items():
        total = sum(state.mean for state in stats.states.values()) or 1.0
        shares = sorted(((state.mean / total, label) for label, state in stats.states.items()), reverse=True)
        table.append(
            (
                name,
                stats.cls,
                f"{stats.input.mean:.6g}",
                f"{stats.output.mean:.6g}",
                f"{stats.content_average.mean:.4g}",
                f"{stats.content_max.mean:.4g}",
                NOTHING if stats.staytime_average is None else f"{stats.staytime_average.mean:.4g}",
                NOTHING if stats.utilisation is None else f"{stats.utilisation.mean:.1%}",
                ", ".join(f"{label} {share:.0%}" for share, label in shares if share >= 0.005),
            )
        )
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _figure(value: Estimate) -> str:
    return f"{value.mean:.4g}" + ("" if value.half_width is None else f" ± {value.half_width:.2g}")
