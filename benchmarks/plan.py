"""Plans of every config on TPU slices and GPU nodes that are not here, 8 to 1,024 chips, each with its checks.

    python benchmarks/plan.py                              every plan that has no line yet, the most telling first
    python benchmarks/plan.py vlsm_1b@v5e:4x4              these, made anew
    python benchmarks/plan.py --backwards                  those without a line from the end, beside the first
    python benchmarks/plan.py --quick                      in a third of the time (TPUs), within a tenth of the memory
    python benchmarks/plan.py --check                      the last lines again, without compiling anything
    python benchmarks/plan.py --table                      docs/plans.md from the last lines

Needs the compilers, and none of the hardware: pip install 'vlsm_jax[plan]' for TPUs; for GPUs the line that a plan
without them says. A plan is <config>@<topology>: `vlsm_1b` and `vlsm_7b` with one row per chip, and any config with
its argument, such as vlsm_7b:encoder=clip@h200:8, just as it is. Each runs in a process of its own and appends one JSON
line to benchmarks/results/plans.jsonl; of several for one plan the last one counts.

A plan is wrong that does not fit, or that should be refused for want of memory and is not, in one line; whose peak is
over the model's bound, or has grown by a twentieth since the last good line; that makes an array of the size of all
layers of a kernel, unpacked or gathered; that sends more than the rules of sharding imply, along no axis of the mesh,
or along other ones or more than the last good line; that does more arithmetic than remat explains. What is wrong is in
the line, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
RESULTS = ROOT / "benchmarks" / "results" / "plans.jsonl"

MODELS = ("vlsm_1b", "vlsm_7b")
ROWS_PER_DEVICE = 1
REFUSED = ("vlsm_1b@v5e:1x1",)  # parameters and moments alone are more than such a chip has
# Where every config is planned: 8 of these hold any of them, and compiling for them is the quickest.
EVERY_ON = "h200:8"
# cuDNN's kernel takes heads as wide as these on Hopper, but asks the card that there is, and where one plans is none.
WITHOUT_KERNEL = {"gemma3-270m": "xla"}
_SECONDS = 6 * 3600  # for one plan; a busy machine is slow

GIB = 2**30
# Temporaries of a chip at one row, GiB, however many chips there are: `mesh.fsdp` is 8 everywhere.
MOST_TEMPORARY = {
    ("vlsm_1b", "tpu"): 3.2,
    ("vlsm_7b", "tpu"): 5.0,
    ("vlsm_1b", "gpu"): 2.0,
    ("vlsm_7b", "gpu"): 3.6,
}
MOST_GROWTH = 1.05
# Beside parameters and gradients: embedding rows, norms, scalars, and what a compiler pads. A compiler that gathers
# once for both passes backward stays at three quarters.
MOST_TRAFFIC = 1.2
# Remat makes the forward pass again: 4/3 with all trained, 3/2 with all frozen, and something beside.
MOST_WORK = 1.6
LEAST_TOLD = 2**20  # bytes of one kind of collective, per step

Line = dict[str, Any]


def telling_plans() -> list[str]:
    """Returns the plans to make first: each kind of hardware, few chips and many, and the refusal."""
    gpus = [f"{model}@{place}" for place in ("h200:8", "h100:8", "h200:8*128", "h200:1") for model in MODELS]
    tpus = ["vlsm_1b@v5e:4x4", *REFUSED, "vlsm_7b@v5e:4x4", "vlsm_1b@v5e:16x16*4", "vlsm_7b@v5e:2x4"]
    return [*gpus, *tpus, "vlsm_1b@v6e:4x4", "vlsm_1b@v5p:2x2x2", "vlsm_7b@v5e:16x16*4"]


def model_plans() -> list[str]:
    """Returns the plans of the two models, 8 to 1,024 chips of each kind, the most telling first."""
    places = (
        *("h200:8*2", "h200:8*8", "h200:8*32", "h100:8*8", "h100:8*128"),
        *("v5e:2x4", "v5e:8x8", "v5e:16x16", "v6e:2x4", "v6e:4x4", "v6e:8x8", "v6e:16x16", "v6e:16x16*4"),
        *("v5p:2x2x2", "v5p:4x4x4", "v5p:8x8x8", "v5p:8x8x16"),
    )
    return list(dict.fromkeys([*telling_plans(), *(f"{model}@{place}" for place in places for model in MODELS)]))


def every_plan() -> list[str]:
    """Returns the plans in the order in which they are made."""
    return list(dict.fromkeys([*telling_plans(), *every_config(), *model_plans()]))


def every_config() -> list[str]:
    """Returns a plan of each config."""
    sys.path.insert(0, str(ROOT / "tests"))
    from test_configs import EVERY

    return [f"{module.__name__.removeprefix('configs.')}:{arg}@{EVERY_ON}" for module, arg in EVERY]


# --- One plan ---------------------------------------------------------------------------------------------------------


def make_plan(name: str, *, quick: bool = False) -> Line:
    """Returns the line of one plan. To be called once in a process: devices are chosen for good."""
    from vlsm_jax.sharding import make_mesh
    from vlsm_jax.training import experiment
    from vlsm_jax.training.config import build
    from vlsm_jax.training.loop import TrainConfig
    from vlsm_jax.training.optimizer import OptimizerConfig
    from vlsm_jax.training.planning import find_target, plan_step

    file, _, topology = name.partition("@")
    module, _, arg = file.partition(":")
    config = importlib.import_module(f"configs.{module}").get_config(arg)
    target = find_target(topology, quick=quick)
    if not arg:
        config.mesh.fsdp = min(config.mesh.fsdp, len(target.devices))
        config.pipeline.batch_size = ROWS_PER_DEVICE * len(target.devices)
    if target.platform == "gpu":
        config.model.attention = next((to for part, to in WITHOUT_KERNEL.items() if part in arg), "auto")
    mesh = make_mesh(**config.mesh, devices=target.devices)
    network, pipeline = experiment.build_network(config, experiment.vlsm_config(config, None), target.platform)
    plan = plan_step(
        target,
        mesh,
        network,
        build(OptimizerConfig, config.optimizer, "optimizer"),
        build(TrainConfig, config.train, "train", seed=0),
        pipeline,
        pictures=config.plan.pictures,
    )
    return shorten(plan.to_json(), detailed=not arg) | ({"quick": True} if quick and target.platform == "tpu" else {})


def shorten(line: Line, *, detailed: bool) -> Line:
    """Returns a plan without what no check and no table asks for; sums stand for what is left out."""
    from vlsm_jax.training.planning.hlo import Collective
    from vlsm_jax.training.planning.roofline import traffic_of

    sent: Counter[str] = Counter()
    for found in line["collectives"]:
        moved = Collective(**(found | {"axes": tuple(found["axes"])}))
        sent[f"{moved.kind} over {'+'.join(moved.axes)}"] += int(traffic_of(moved) * moved.count)
    line["sent"] = dict(sent.most_common())
    line["temporaries"] = line["temporaries"][:6]
    del line["notes"]
    if not detailed:
        line["collectives"] = line["temporaries"] = ()
    return line


def plan_apart(name: str, *, quick: bool = False) -> Line:
    """Returns the line of a plan that a process of its own makes; raises RuntimeError with what it said last."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, __file__, "--one", name, *(["--quick"] if quick else [])]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        raise RuntimeError(said[-1])
    facts = {
        "plan": name,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, planned and not measured",
        "compiler": _compiler(name),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
    }
    return facts | json.loads(done.stdout.splitlines()[-1])


def _compiler(name: str) -> str:
    package = {"h": "jax-cuda12-pjrt", "c": "jaxlib"}.get(name.partition("@")[2][0], "libtpu")
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


# --- Checks -----------------------------------------------------------------------------------------------------------


def check(line: Line, before: Line | None) -> list[str]:
    """Returns what is wrong with a plan, given the last good line of the same plan."""
    name, memory = line["plan"], line["memory"]
    if name in REFUSED:
        refused = not line["fits"] and line["out_of_memory"] and "\n" not in line["out_of_memory"]
        return [] if refused else ["should be refused for want of memory, in one line of the compiler's"]
    wrong = []
    if line["stacks"]:
        wrong.append(f"a kernel of all layers is unpacked or gathered at once: {line['stacks'][0]}")
    if line["work"]["flops"] > MOST_WORK * line["model_flops"]:
        wrong.append(f"arithmetic of {line['work']['flops']:.3e} FLOPs where {line['model_flops']:.3e} are needed")
    strange = [kind for kind in line["sent"] if not set(kind.split(" over ")[1].split("+")) <= set(line["mesh"])]
    if strange:
        wrong.append(f"a collective along no axis of the mesh: {strange[0]}")
    sent = sum(line["sent"].values())
    if sent > MOST_TRAFFIC * line["implied_traffic"]:
        wrong.append(f"a device sends {sent:,} bytes where the rules imply {line['implied_traffic']:,.0f}")
    model, _, topology = name.partition("@")
    if model in MODELS and not line["fits"]:
        wrong.append(f"does not fit: {line['out_of_memory'] or memory['peak']}")
    most = MOST_TEMPORARY.get((model, "gpu" if topology.startswith("h") else "tpu"))
    if most is not None and line["mesh"]["fsdp"] == 8 and memory["temporary"] > most * GIB:
        wrong.append(f"temporaries of {memory['temporary'] / GIB:.2f} GiB are over the bound of {most} GiB")
    comparable = before is not None and before.get("quick", False) == line.get("quick", False)
    return wrong + (_changes(line, before) if comparable else [])


def _changes(line: Line, before: Line) -> list[str]:
    """Returns what is worse than before, and by which compilers."""
    wrong = []
    peak, was = line["memory"]["peak"], before["memory"]["peak"]
    if peak > MOST_GROWTH * was:
        parts = [
            f"{part} {before['memory'][part]:,} to {line['memory'][part]:,}"
            for part in ("trained", "frozen", "optimizer", "batch", "temporary")
            if line["memory"][part] > before["memory"][part]
        ]
        wrong.append(f"peak went from {was:,} to {peak:,} bytes: {'; '.join(parts)}")
    for kind, sent in line["sent"].items():
        if sent > LEAST_TOLD and sent > MOST_GROWTH * before["sent"].get(kind, 0):
            wrong.append(f"{kind} went from {before['sent'].get(kind, 0):,} to {sent:,} bytes sent")
    if wrong and line["compiler"] != before["compiler"]:
        wrong.append(f"the compiler was {before['compiler']} and is {line['compiler']}")
    return wrong


def read_results() -> dict[str, list[Line]]:
    """Returns all lines of each plan, in order."""
    results: dict[str, list[Line]] = {}
    if RESULTS.exists():
        for line in map(json.loads, RESULTS.read_text().splitlines()):
            results.setdefault(line["plan"], []).append(line)
    return results


def last_good(lines: Sequence[Line]) -> Line | None:
    """Returns the last line without anything wrong."""
    return next((line for line in reversed(lines) if not line["wrong"]), None)


def check_again() -> bool:
    """Checks the last line of every plan against the last good one before it; prints what is wrong."""
    good = True
    for name, lines in read_results().items():
        for what in check(lines[-1], last_good(lines[:-1])):
            good = False
            print(f"{name}: {what}")
    return good


def main() -> None:
    """Makes and checks plans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plans", nargs="*", metavar="PLAN", help=f"such as {REFUSED[0]}; none: those without a line")
    parser.add_argument("--check", action="store_true", help="only check the lines there are")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--quick", action="store_true", help="without the compiler's efforts at speed (TPUs)")
    parser.add_argument("--backwards", action="store_true", help="from the end: a second process beside the first")
    parser.add_argument("--one", metavar="PLAN", help="print the line of one plan, unchecked")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(make_plan(arguments.one, quick=arguments.quick)))
        return
    if arguments.check:
        sys.exit(not check_again())
    from plan_table import write_table

    missing = [] if arguments.table or arguments.plans else every_plan()
    good = True
    for name in arguments.plans or (missing[::-1] if arguments.backwards else missing):
        if name in missing and name in read_results():
            continue  # or another process has made it in the meantime
        try:
            line = plan_apart(name, quick=arguments.quick)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {error}", flush=True)
            good = False
            continue
        line["wrong"] = check(line, last_good(read_results().get(name, ())))
        append(line)
        good &= not line["wrong"]
        said = f"peak {line['memory']['peak'] / GIB:.2f} GiB, {line['processor_seconds']:.0f} s of processor time"
        print(f"{name}: {'; '.join(line['wrong']) or 'as it should be'}; {said}", flush=True)
        write_table(latest(read_results()))
    write_table(latest(read_results()))
    sys.exit(not good)


def append(line: Mapping[str, Any]) -> None:
    """Adds a line to the results, in one piece."""
    file = os.open(RESULTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
    finally:
        os.close(file)


def latest(results: Mapping[str, Sequence[Line]]) -> dict[str, Line]:
    """Returns the last line of each plan."""
    return {name: lines[-1] for name, lines in results.items()}


if __name__ == "__main__":
    main()
