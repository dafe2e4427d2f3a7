"""Plans of the two models on TPU slices of 8 to 1,024 chips: memory, collectives and the least time of a step.

    python benchmarks/plan.py                              every plan that is not in the results yet
    python benchmarks/plan.py vlsm_1b@v5e:4x4              these, made anew
    python benchmarks/plan.py --table                      docs/plans.md from the results

Needs the TPU compiler (pip install 'vlsm_jax[plan]') and no TPU. Each plan is one JSON line in
benchmarks/results/plan.jsonl, and is checked: that it fits, or is refused in one line that says how much is missing;
that its peak has not grown by a twentieth since the line before; that no kernel in few bits is unpacked for all layers
at once; that devices send no more than the rules of sharding imply, and along known axes. A failed check is an error.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "plan.jsonl"
TABLE = ROOT / "docs" / "plans.md"

TOPOLOGIES = (
    *("v5e:2x4", "v5e:4x4", "v5e:8x8", "v5e:16x16", "v5e:16x16*4"),
    *("v5p:2x2x2", "v5p:4x4x4", "v5p:8x8x8", "v5p:8x8x16"),
    *("v6e:2x4", "v6e:4x4", "v6e:8x8", "v6e:16x16", "v6e:16x16*4"),
)
PLANS = (
    *(f"{model}@{topology}" for topology in TOPOLOGIES for model in ("vlsm_1b", "vlsm_7b")),
    "vlsm_1b@v5e:1x1",  # parameters and moments alone are more than such a chip has
)
REFUSED = ("vlsm_1b@v5e:1x1",)
ROWS_PER_DEVICE = 1
MOST_GROWTH = 1.05
# Beside parameters and gradients: embedding rows, norms, scalars, and what a compiler pads.
MOST_TRAFFIC = 1.5

SHOWN = (
    "## What the plans showed",
    "",
    "Mended: the output head was gathered, and its gradient added up among devices, once for every 256 positions of a",
    "row, and is now once a microbatch; 4-bit kernels were unpacked and gathered in 16 bits, and now the codes are",
    "gathered, a quarter of the bytes.",
    "",
    "Left: gradients over `fsdp` are added up whole and cut (all-reduce), twice the bytes of a reduce-scatter; the",
    "gradient of the embedding is a whole table in float32 on every device (250 MiB for TinyLLaMA); the random bits of",
    "adapter dropout are about a third of the compiled program of StarCoder2-7B.",
    "",
)


def make_plan(name: str) -> dict[str, Any]:
    """Returns the line of one plan, such as "vlsm_7b@v5e:16x16"."""
    import launch
    from configs import vlsm_1b, vlsm_7b
    from vlsm_jax.sharding import make_mesh
    from vlsm_jax.training.config import build
    from vlsm_jax.training.loop import TrainConfig
    from vlsm_jax.training.optimizer import OptimizerConfig
    from vlsm_jax.training.planning import find_target, plan_step

    model, topology = name.split("@")
    config = {"vlsm_1b": vlsm_1b, "vlsm_7b": vlsm_7b}[model].get_config()
    target = find_target(topology)
    config.mesh.fsdp = min(config.mesh.fsdp, len(target.devices))
    config.pipeline.batch_size = ROWS_PER_DEVICE * len(target.devices)
    mesh = make_mesh(**config.mesh, devices=target.devices)
    network, pipeline = launch.build_network(config, launch.vlsm_config(config, None), target.platform)
    processor = time.process_time()
    plan = plan_step(
        target,
        mesh,
        network,
        build(OptimizerConfig, config.optimizer, "optimizer"),
        build(TrainConfig, config.train, "train", seed=0),
        pipeline,
        pictures=config.plan.pictures,
    )
    facts = {
        "plan": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, planned and not measured",
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    return facts | plan.to_json()


def check(line: dict[str, Any], before: dict[str, Any] | None) -> list[str]:
    """Returns what is wrong with a plan, given the line that was there before."""
    from vlsm_jax.training.planning.hlo import Collective
    from vlsm_jax.training.planning.roofline import traffic_of

    wrong = []
    if line["plan"] in REFUSED:
        if line["fits"] or not line["out_of_memory"]:
            wrong.append("should be refused for want of memory, in a line of the compiler's")
        return wrong
    if not line["fits"]:
        wrong.append(f"does not fit: {line['out_of_memory'] or line['memory']['peak']}")
        return wrong
    peak = line["memory"]["peak"]
    if before and before["fits"] and peak > MOST_GROWTH * before["memory"]["peak"]:
        wrong.append(f"peak {peak:,} was {before['memory']['peak']:,}")
    if line["unpacked"]:
        wrong.append(f"a kernel in few bits is unpacked for all layers at once: {line['unpacked'][0]}")
    moved = [Collective(**(c | {"axes": tuple(c["axes"])})) for c in line["collectives"]]
    strange = [c for c in moved if not set(c.axes) <= set(line["mesh"])]
    if strange:
        wrong.append(f"a collective along no axis of the mesh: {strange[0]}")
    sent = sum(traffic_of(c) * c.count for c in moved)
    if sent > MOST_TRAFFIC * line["implied_traffic"]:
        wrong.append(f"a device sends {sent:,.0f} bytes where the rules imply {line['implied_traffic']:,.0f}")
    return wrong


def read_results() -> dict[str, dict[str, Any]]:
    """Returns the lines there are, by plan."""
    if not RESULTS.exists():
        return {}
    return {line["plan"]: line for line in map(json.loads, RESULTS.read_text().splitlines())}


def write_table(results: dict[str, dict[str, Any]]) -> None:
    """Writes docs/plans.md."""
    from vlsm_jax.training.planning.roofline import ASSUMPTIONS

    head = (
        "chips | mesh | trained, frozen, optimizer | temporary | peak | fits | sent per step | arithmetic | network | "
        "least step | positions/s per chip"
    )
    out = [
        "# Plans",
        "",
        "What a training step takes on slices that were not there: the step that `launch.py` trains with, compiled",
        "ahead of time for each topology (`benchmarks/plan.py`; `launch.py --mode=plan` does it for any config).",
        "Memory and collectives are the compiler's own; times are bounds from data sheets. **Planned, not measured.**",
        f"{ROWS_PER_DEVICE} packed row of 4,608 positions (up to four triplets) per chip; GiB per chip; seconds.",
        "",
    ]
    for model in ("vlsm_1b", "vlsm_7b"):
        out += [f"## {model}", "", f"| | {head} |", "|" + " --- |" * 12]
        for name in PLANS:
            line = results.get(name)
            if line and name.startswith(model):
                out.append("| " + " | ".join(_row(line)) + " |")
        missing = [name.split("@")[1] for name in PLANS if name.startswith(model) and name not in results]
        if missing:
            out += ["", f"Not planned yet: {', '.join(missing)}."]
        out.append("")
    out += list(SHOWN)
    seconds = [line["processor_seconds"] for line in results.values()]
    if seconds:
        out.append(f"One plan took {min(seconds):.0f} to {max(seconds):.0f} seconds of processor time.")
    out += ["", "Assumed:", "", *(f"- {line}" for line in ASSUMPTIONS), ""]
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(out))


def _row(line: dict[str, Any]) -> list[str]:
    from vlsm_jax.training.planning.hlo import Collective
    from vlsm_jax.training.planning.roofline import traffic_of

    memory, bound, gib = line["memory"], line["bound"], 2**30
    mesh = " x ".join(f"{axis} {size}" for axis, size in line["mesh"].items() if size > 1) or "one"
    held = ", ".join(f"{memory[part] / gib:.2f}" for part in ("trained", "frozen", "optimizer"))
    cells = [line["plan"].split("@")[1], str(line["devices"]), mesh, held, f"{memory['temporary'] / gib:.2f}"]
    cells += [f"{memory['peak'] / gib:.2f}", "yes" if line["fits"] else "**no**"]
    if bound is None:
        return [*cells, "", "", "", "", ""]
    sent = sum(traffic_of(Collective(**c)) * c["count"] for c in line["collectives"])
    step = max(bound.values())
    positions = line["rows"] * line["length"] / line["devices"] / step
    return [
        *cells,
        f"{sent / gib:.2f} GiB",
        f"{bound['arithmetic']:.3f}",
        f"{bound['network']:.3f}",
        f"{step:.3f}",
        f"{positions:,.0f}",
    ]


def main() -> None:
    """Makes and checks plans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=f"such as {PLANS[0]}; none: those that are missing")
    parser.add_argument("--table", action="store_true", help="only write the table")
    arguments = parser.parse_args()
    results = read_results()
    wanted = arguments.plans or [name for name in PLANS if name not in results]
    unknown = [name for name in wanted if name.count("@") != 1 or name.split("@")[0] not in ("vlsm_1b", "vlsm_7b")]
    if unknown:
        parser.error(f"{unknown[0]!r} is no plan; they are like {PLANS[0]}")
    failed = False
    for name in () if arguments.table else wanted:
        line = make_plan(name)
        wrong = check(line, results.get(name))
        failed |= bool(wrong)
        if not wrong:
            results = read_results() | {name: line}  # another process may have added its own
            RESULTS.write_text("".join(json.dumps(found) + "\n" for found in results.values()))
        said = f"peak {line['memory']['peak'] / 2**30:.2f} GiB, {line['processor_seconds']:.0f} s of processor time"
        print(f"{name}: {'; '.join(wrong) or 'as it should be'}; {said}", flush=True)
    write_table(results)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
