"""docs/plans.md, written from the lines that benchmarks/plan.py made: `python benchmarks/plan.py --table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "docs" / "plans.md"
GIB = 2**30

_HEAD = (
    *("topology", "chips", "mesh", "trained, frozen, optimizer", "temporary", "peak", "available", "sent per step"),
    *("arithmetic", "memory", "network", "least step", "positions/s per chip", "chip hours for 10⁹ positions"),
)
_CONFIG_HEAD = (
    *("config", "rows", "positions", "trained parameters", "peak", "fits", "PFLOP per step", "sent per step"),
    "least step",
)

# Read in the compiled programs.
_PERMUTATIONS = (
    "## Why some TPUs permute",
    "",
    "Nothing in the program sends from neighbour to neighbour. Where a plan has `collective-permute`, XLA for TPUs",
    "made it of something else:",
    "",
    "- of a gather and the product behind it, where `fsdp` is all the chips there are (2x4, 2x2x2) and not",
    "  where `data` is beside it: parts of a plain kernel (the encoder's, a decoder's that is not quantised) go round",
    "  the ring of chips both ways, each multiplied while the next ones come (`windowed_dot_general`). Nine parts are",
    "  sent where a gather among eight sends seven, behind arithmetic. Codes of four bits are unpacked before they are",
    "  multiplied, and are gathered as they are.",
    "- of the reduce-scatter of a gradient, in larger meshes: XLA cuts the 2,048 rows of vlsm_1b into pieces of 288 on",
    "  a v5e, and a permutation of 224 rows brings each chip the 256 that are its own; a seventieth of what is sent.",
    "",
)


def write_table(lines: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes docs/plans.md from the last line of each plan."""
    TABLE.write_text(format_table(lines))


def format_table(lines: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the text of docs/plans.md."""
    from plan import EVERY_ON, MODELS, ROWS_PER_DEVICE, model_plans

    from vlsm_jax.training.planning.nvidia import NOTES
    from vlsm_jax.training.planning.roofline import ASSUMPTIONS

    names = model_plans()
    out = [
        "# Plans",
        "",
        "What a training step takes on hardware that was not there: the step that `launch.py` trains with, compiled",
        "ahead of time (`launch.py --mode=plan` does it for any config and topology). Memory and collectives are the",
        "compiler's own; times are bounds from data sheets. **Planned, not measured.** This file is written by",
        "`python benchmarks/plan.py --table` from `benchmarks/results/plans.jsonl`.",
        "",
        "    python launch.py --config=configs/vlsm_7b.py --workdir=runs/plan --mode=plan --topology=v5e:16x16",
        "",
        "TPUs need `pip install 'vlsm_jax[plan]'`; for GPUs a plan without XLA's compiler for them says what to",
        "install; `--topology=cpu:8` needs nothing. `h200:8*4` are four nodes of eight, `v5e:16x16*4` four slices.",
        "",
        f"{ROWS_PER_DEVICE} packed row of 4,608 positions (up to four triplets) per chip; GiB per chip; seconds.",
        "Where it says *quick* the compiler's efforts at speed were left out (`--config.plan.quick=True`): a third of",
        "the time to plan. Temporaries of the program that trains may be a tenth more or less (vlsm_7b on v5e:4x4:",
        "3.69 GiB quickly, 4.00 with all effort), collectives a hundredth.",
        "",
    ]
    for model in MODELS:
        mine = [name for name in names if name.partition("@")[0] == model]
        out += [f"## {model}", "", *_table(_HEAD, [_row(lines[n]) for n in sorted(mine, key=_place) if n in lines])]
        out += _growth(model, lines)
        out += _refused([lines[n] for n in mine if n in lines])
        out += _missing([n.partition("@")[2] for n in mine if n not in lines])
        out += _largest([lines[n] for n in mine if n in lines])
    every = [name for name in lines if ":" in name.partition("@")[0]]
    if every:
        out += [f"## Every config on {EVERY_ON}", "", "With the batch, mesh and accumulation of the config.", ""]
        out += _table(_CONFIG_HEAD, [_config_row(lines[name]) for name in sorted(every)])
    seconds = [line["processor_seconds"] for line in lines.values()]
    if seconds:
        out += [
            f"One plan took {min(seconds):.0f} to {max(seconds):.0f} seconds of processor time, by "
            f"{', '.join(sorted({line['compiler'] for line in lines.values()}))}.",
            "",
        ]
    out += _PERMUTATIONS
    out += ["## Assumed", "", *(f"- {line}" for line in ASSUMPTIONS), "", "Not known of GPUs:", ""]
    out += [*(f"- {line}" for line in NOTES), ""]
    return "\n".join(out)


def _table(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return [*lines, ""]


def _place(name: str) -> tuple[str, int]:
    """Returns what topologies are sorted by: the kind of chip, and how many."""
    kind, _, shape = name.partition("@")[2].partition(":")
    count = 1
    for size in shape.replace("*", "x").split("x"):
        count *= int(size)
    return kind, count


def _row(line: Mapping[str, Any]) -> list[str]:
    memory, bound = line["memory"], line["bound"]
    held = ", ".join(f"{memory[part] / GIB:.2f}" for part in ("trained", "frozen", "optimizer"))
    fits = f"{memory['limit'] / GIB:.1f}" + ("" if line["fits"] else ", **does not fit**")
    place = line["plan"].partition("@")[2] + (", *quick*" if line.get("quick") else "")
    cells = [place, f"{line['devices']:,}", _mesh(line), held]
    cells += [f"{memory['temporary'] / GIB:.2f}", f"{memory['peak'] / GIB:.2f}", fits]
    if bound is None:
        return cells + [""] * (len(_HEAD) - len(cells))
    cells += [f"{_sent(line) / GIB:.2f} GiB", *(f"{bound[part]:.3f}" for part in ("arithmetic", "memory", "network"))]
    rate = _rate(line)
    return [*cells, f"{_step(line):.3f}", f"{rate:,.0f}", f"{1e9 / rate / 3600:,.1f}"]


def _config_row(line: Mapping[str, Any]) -> list[str]:
    cells = [line["plan"].partition("@")[0], f"{line['rows']}", f"{line['length']:,}"]
    cells += [f"{line['trained_parameters'] / 1e6:,.1f} M", f"{line['memory']['peak'] / GIB:.2f}"]
    cells += [
        "yes" if line["fits"] else "**no**",
        f"{line['work']['flops'] / 1e15:.2f}",
        f"{_sent(line) / GIB:.2f} GiB",
    ]
    return [*cells, f"{_step(line):.3f}" if line["bound"] else ""]


def _growth(model: str, lines: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns how cost grows with the number of chips, for each kind that was planned in two sizes."""
    out = []
    planned = sorted((n for n in lines if n.partition("@")[0] == model and lines[n]["bound"]), key=_place)
    for kind in dict.fromkeys(_place(name)[0] for name in planned):
        sizes = [lines[n] for n in planned if _place(n)[0] == kind and lines[n]["devices"] >= 8]
        if len(sizes) < 2:
            continue
        ends = sizes[0], sizes[-1]
        out.append(
            f"- {kind}, {_span('{:,}', (line['devices'] for line in ends))} chips: peak "
            f"{_span('{:.2f}', (line['memory']['peak'] / GIB for line in ends))} GiB, a chip sends "
            f"{_span('{:.2f}', (_sent(line) / GIB for line in ends))} GiB; a step takes at least "
            f"{_span('{:.3f}', map(_step, ends))} s with the network hidden, "
            f"{_span('{:.3f}', (_step(line, serial=True) for line in ends))} s with none of it hidden."
        )
    return ["As the pod grows, at one row per chip:", "", *out, ""] if out else []


def _refused(lines: list[Mapping[str, Any]]) -> list[str]:
    return [f"{line['plan']} is refused: {line['out_of_memory']}\n" for line in lines if line["out_of_memory"]]


def _missing(what: list[str]) -> list[str]:
    return [f"Not planned yet: {', '.join(what)}.", ""] if what else []


def _largest(lines: list[Mapping[str, Any]]) -> list[str]:
    line = next((line for line in lines if line["temporaries"]), None)
    if line is None:
        return []
    arrays = [f"`{t['dtype']}{list(t['shape'])}` {t['bytes'] / 2**20:,.0f} MiB" for t in line["temporaries"][:3]]
    return [f"The largest arrays that the step makes on {line['topology']}: {', '.join(arrays)}.", ""]


def _mesh(line: Mapping[str, Any]) -> str:
    return " x ".join(f"{axis} {size}" for axis, size in line["mesh"].items() if size > 1) or "one"


def _sent(line: Mapping[str, Any]) -> int:
    return sum(line["sent"].values())


def _step(line: Mapping[str, Any], *, serial: bool = False) -> float:
    bound = line["bound"]
    return max(bound["arithmetic"], bound["memory"]) + bound["network"] if serial else max(bound.values())


def _span(form: str, ends: Iterable[float]) -> str:
    few, many = map(form.format, ends)
    return few if few == many else f"{few} to {many}"


def _rate(line: Mapping[str, Any]) -> float:
    return line["rows"] * line["length"] / line["devices"] / _step(line)
