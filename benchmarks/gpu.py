"""All that is measured on one GPU beside PyTorch, in one command: training, attention, and layers in NF4.

    python3 benchmarks/gpu.py                                   everything, six minutes on an H200
    python3 benchmarks/gpu.py dense.ours nf4.ours --seconds 200
    python3 benchmarks/gpu.py --tiny                            a look at the machinery, on a CPU too

Parts, in order: those of `benchmarks/training_gpu.py`, `attention` (`benchmarks/attention.py`), and `layer` and `rows`
(`benchmarks/nf4.py`). Each is a process of its own with a time of its own, so that one that fails takes nothing with
it; it may import while the part before it has the card, and touches the card when that one has ended. What a part
prints is printed here as it comes, with the facts of the machine; of a part that fails, the end of what it said. Ratios
follow as soon as both of their sides are there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from benchmarks.training_sides import accelerator_settings  # noqa: E402
from benchmarks.turns import WAITS  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "gpu.jsonl"
Line = dict[str, Any]


class Part(NamedTuple):
    """A process.

    Attributes:
      script: and its arguments.
      seconds: that it may take from its turn on.
      folder: whether it reads or writes what the sides of a comparison share.
      needs: another part without which it can do nothing.
      xla_flags: added to those that there are.
    """

    script: tuple[str, ...]
    seconds: int
    folder: bool = False
    needs: str = ""
    xla_flags: str = ""


PARTS = {
    "prepare": Part(("training_gpu.py", "prepare"), 60, True),
    "dense.ours": Part(("training_gpu.py", "dense.ours"), 120, True, "prepare"),
    "dense.transformers": Part(("training_gpu.py", "dense.transformers"), 60, True, "prepare"),
    "nf4.ours": Part(("training_gpu.py", "nf4.ours"), 170, True),
    "nf4.peft": Part(("training_gpu.py", "nf4.peft"), 90, True),
    # Of the many products of XLA's way, there for comparison, each would be tried as dozens of kernels.
    "attention": Part(("attention.py",), 100, xla_flags="--xla_gpu_enable_triton_gemm=false"),
    "dense.compiled": Part(("training_gpu.py", "dense.compiled"), 180, True, "prepare"),
    "layer": Part(("nf4.py", "--parts", "kernels", "layer"), 60),
    # The fused product as well, off by default until a card has run it.
    "rows": Part(("nf4.py", "--parts", "rows"), 60),
    "parity": Part(("training_gpu.py", "parity"), 60, True),
}
RATIOS = (("dense.ours", "dense.transformers"), ("dense.ours", "dense.compiled"), ("nf4.ours", "nf4.peft"))
# The first losses show that weights, rows and the first update are the same. From the third step on, the signs of small
# gradients, which are all that Adam's first updates take of them, follow from the order of sums in bfloat16: losses of
# two sides part by some hundredths, now this way and now that.
COMPARED, MOST_APART = 2, 0.02


class Running:
    """A part whose process has begun, and waits for its turn."""

    def __init__(self, name: str, folder: Path, options: argparse.Namespace):
        self.name, self.part = name, PARTS[name]
        command = [sys.executable, "-u", str(ROOT / "benchmarks" / self.part.script[0]), *self.part.script[1:]]
        command += ["--folder", str(folder)] if self.part.folder else []
        if options.tiny:
            command += (
                ["--tiny"]
                if name not in ("layer", "rows")
                else ["--inputs=512", "--outputs=512", "--rows=32", "--repeats=1"]
            )
        if name.startswith(("dense", "nf4")):
            kind = name.split(".")[0]
            if rows := getattr(options, f"{kind}_rows"):
                command += ["--rows", str(rows)]
            if name.endswith(".ours") and (remat := getattr(options, f"{kind}_remat")):
                command += ["--remat", remat]
        self.log = folder / f"{name}.log"
        flags = f"{os.environ.get('XLA_FLAGS', '')} {self.part.xla_flags}".strip()
        environment = {**os.environ, **accelerator_settings(), WAITS: "1"} | ({"XLA_FLAGS": flags} if flags else {})
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
            )

    def finish(self, seconds: float, report: Callable[[Line], None]) -> list[Line]:
        """Gives the part its turn, reports its lines as they come, and returns them; ends it after so many seconds."""
        began = time.monotonic()
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        lines = []
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            for text in self.process.stdout:
                if text.startswith("{"):
                    lines.append(json.loads(text))
                    report(lines[-1])
        except BrokenPipeError:
            pass  # it has ended already: its log says why
        finally:
            timer.cancel()
        status = self.process.wait()
        taken = round(time.monotonic() - began, 1)
        if status:
            why = f"ended after {taken} s of {seconds:.0f}" if status == -9 else f"status {status}"
            report({"part": self.name, "error": f"{why}: {self._said()}"})
        else:
            report({"part": self.name, "part_seconds": taken})
        return lines

    def stop(self) -> None:
        """Ends a part whose turn does not come."""
        self.process.kill()
        self.process.wait()

    def _said(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(lines[-12:])[-1500:]


def ratios(results: dict[str, Line], done: str) -> list[Line]:
    """Returns the ratios that the part `done` completes."""
    found = []
    for ours, theirs in RATIOS:
        if done not in (ours, theirs) or not {ours, theirs} <= results.keys():
            continue
        a, b = results[ours], results[theirs]
        line = {"figure": f"{ours} / {theirs}", "value": round(a["value"] / b["value"], 3), "unit": "x speed"}
        if b["peak_gib"]:
            line["peak_memory"] = round(a["peak_gib"] / b["peak_gib"], 3)
        if (a["rows"], a["length"]) != (b["rows"], b["length"]):
            line["wrong"] = "the two had other rows"
        if ours.startswith("dense"):
            apart = [round(abs(x - y), 5) for x, y in zip(a["losses"], b["losses"], strict=True)]
            line["losses_apart"] = apart
            if max(apart[:COMPARED]) > MOST_APART:
                line["wrong"] = "the same steps have other losses: this compares nothing"
        found.append(line)
    return found


def machine_facts() -> Line:
    """Returns what stands in every line."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        card = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        card = f"none, {machine_name()}"
    versions = {}
    for package in ("jax", "torch", "transformers", "peft", "bitsandbytes"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "none"
    return {"card": card, "versions": versions, "date": time.strftime("%Y-%m-%d")}


def run(names: Sequence[str], folder: Path, options: argparse.Namespace, report: Callable[[Line], None]) -> None:
    """Runs the parts in order, until the time is over."""
    ends = time.monotonic() + options.seconds
    results: dict[str, Line] = {}
    failed: set[str] = set()
    waiting: Running | None = None
    try:
        for number, name in enumerate(names):
            running, waiting = waiting or Running(name, folder, options), None
            left = ends - time.monotonic()
            if left < 10 or PARTS[name].needs in failed:
                running.stop()
                failed.add(name)
                why = "no time left" if left < 10 else f"{PARTS[name].needs} failed"
                report({"part": name, "error": f"left out: {why}"})
                continue
            if number + 1 < len(names):
                waiting = Running(names[number + 1], folder, options)
            for line in running.finish(min(left, PARTS[name].seconds), report):
                results[line["figure"]] = line
            if running.process.returncode:
                failed.add(name)
            for line in ratios(results, name):
                report(line)
    finally:
        if waiting is not None:
            waiting.stop()


def main() -> None:
    """Measures, prints, and appends to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; none is all")
    parser.add_argument("--skip", nargs="*", default=(), metavar="PART")
    parser.add_argument("--seconds", type=float, default=420, help="for all of them")
    parser.add_argument("--dense-rows", type=int, default=0, help="0 is the benchmark's own")
    parser.add_argument("--dense-remat", default="", help="of ours: none, dots or full")
    parser.add_argument("--nf4-rows", type=int, default=0)
    parser.add_argument("--nf4-remat", default="")
    parser.add_argument("--results", type=Path, default=RESULTS, help="a file that figures are appended to")
    parser.add_argument("--scratch", type=Path, help="where the weights are written that both sides read")
    parser.add_argument("--tiny", action="store_true", help="small models, and nothing is written to the results")
    options = parser.parse_args()
    chosen = options.parts or list(PARTS)
    unknown = {*chosen, *options.skip} - PARTS.keys()
    if unknown:
        parser.error(f"no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    needed = {PARTS[name].needs for name in chosen} - {""}
    names = [name for name in PARTS if name in {*chosen, *needed} and name not in options.skip]
    facts = machine_facts()
    print(json.dumps(facts), flush=True)

    def report(line: Line) -> None:
        print(json.dumps(line), flush=True)
        if "figure" in line and not options.tiny:
            with options.results.open("a") as file:
                file.write(json.dumps({**line, **facts}) + "\n")

    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        run(names, Path(folder), options, report)


if __name__ == "__main__":
    main()
