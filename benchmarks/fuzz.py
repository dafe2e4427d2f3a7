"""Runs very many scripts that are almost right, and holds every run to its budget; one JSON line per figure.

Launch: `python -m benchmarks.fuzz [--scripts 100000] [--processes 2] [--state fuzz.jsonl]`. The state file gets one
line per chunk of scripts; started again with the same file, the benchmark goes on where it ended. A script is found
again by its seed: `benchmarks.mutation.any_script(random.Random(seed))`.

What counts as a failure
  crash: an exception leaves `run`, or a diagnostic says "internal error".
  death: the process ends, by a signal or for want of memory.
  hang: no answer within ten times the wall-clock budget.
  wall, steps, events, nodes: a budget is overrun by more than a tenth. Wall-clock time counts from the call to the
    answer, and a budget of seconds is only held to on a machine that has a core for every process.
  memory: one script makes the process grow by more than `MEMORY` MiB.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import platform
import random
import resource
import time
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmarks.machine import machine_name
from benchmarks.mutation import any_script
from vlsm_jax.simulator import Budget, kernel, running, simulation
from vlsm_jax.simulator import run as run_script

CHUNK = 500
BUDGET = Budget(steps=20_000, nodes=500, events=50_000, wall_seconds=2.0, items=5_000)
TOLERANCE = 0.1
MEMORY = 256
ADDRESS_SPACE = 4 << 30


class _Watch:
    """Notes the world and the calendars of a run, which a Report does not show."""

    def __init__(self):
        self.world: Any = None
        self.calendars: list[kernel.Calendar] = []

    @contextlib.contextmanager
    def installed(self):
        """Puts the watch around `run` for the life of a process."""
        build, calendar = running.build_world, simulation.Calendar

        def build_world(*arguments: Any, **keywords: Any) -> Any:
            built, self.world = build(*arguments, **keywords)
            return built, self.world

        def make_calendar(*arguments: Any, **keywords: Any) -> kernel.Calendar:
            self.calendars.append(calendar(*arguments, **keywords))
            return self.calendars[-1]

        running.build_world, simulation.Calendar = build_world, make_calendar
        try:
            yield self
        finally:
            running.build_world, simulation.Calendar = build, calendar

    def used(self) -> dict[str, float]:
        """Shares of the budgets that the last run used up."""
        machine = self.world.machine
        events = max((calendar.events for calendar in self.calendars), default=0)
        return {
            "steps": (machine.total_steps - machine.steps) / BUDGET.steps,
            "nodes": self.world.tree.node_count / BUDGET.nodes,
            "events": events / BUDGET.events,
        }


def examine(seed: int, watch: _Watch) -> dict[str, Any]:
    """Runs one script; returns its verdict, the shares of the budgets it used, and what failed."""
    text = any_script(random.Random(seed))
    watch.world, watch.calendars = None, []
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    failures = []
    try:
        report = run_script(text, until=300.0, budget=BUDGET)
        verdict = report.verdict.value
        failures += [f"crash: {d.message}" for d in report.diagnostics if d.code == "internal error"]
    except Exception as error:  # whatever it is, it is what this benchmark looks for
        verdict = "exception"
        failures.append(f"crash: {type(error).__name__}: {error}"[:500])
    used = {"wall": (time.perf_counter() - began) / BUDGET.wall_seconds}
    if watch.world is not None:
        used |= watch.used()
    failures += [f"{name}: {share:.2f} of the budget" for name, share in used.items() if share > 1 + TOLERANCE]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    if grown > MEMORY:
        failures.append(f"memory: {grown:.0f} MiB")
    return {"verdict": verdict, "used": {**used, "memory": grown / MEMORY}, "failures": failures}


def _work(first: int, count: int, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with _Watch().installed() as watch:
        examine(-1, watch)  # what is loaded on first use counts for no script
        for seed in range(first, first + count):
            pipe.send(seed)
            pipe.send(examine(seed, watch))
    pipe.close()


@dataclasses.dataclass
class _Tally:
    """What a chunk, or all of them together, gave."""

    scripts: int = 0
    verdicts: dict[str, int] = dataclasses.field(default_factory=dict)
    most_used: dict[str, float] = dataclasses.field(default_factory=dict)
    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def add(self, seed: int, found: dict[str, Any]) -> None:
        self.scripts += 1
        self._count({found["verdict"]: 1})
        self._raise(found["used"])
        self.failures += [{"seed": seed, "failure": failure} for failure in found["failures"]]

    def merge(self, other: dict[str, Any]) -> None:
        self.scripts += other["scripts"]
        self._count(other["verdicts"])
        self._raise(other["most_used"])
        self.failures += other["failures"]

    def _count(self, verdicts: dict[str, int]) -> None:
        for verdict, count in verdicts.items():
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + count

    def _raise(self, used: dict[str, float]) -> None:
        for name, share in used.items():
            self.most_used[name] = max(self.most_used.get(name, 0.0), round(share, 4))


class _Worker:
    """A process that runs one chunk, and the tally of it so far; a new process goes on behind a hang or a death."""

    def __init__(self, chunk: int, scripts: int):
        self.chunk = chunk
        self.tally = _Tally()
        self.end = min((chunk + 1) * CHUNK, scripts)
        self.seed: int | None = None
        self._start(chunk * CHUNK)

    def _start(self, first: int) -> None:
        self.seed = None
        self.pipe, other = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(first, self.end - first, other), daemon=True
        )
        self.process.start()
        other.close()
        self.heard = time.monotonic()

    def listen(self) -> bool:
        """Takes what the process has sent; returns whether the chunk is finished."""
        try:
            while self.pipe.poll():
                message = self.pipe.recv()
                self.heard = time.monotonic()
                if isinstance(message, int):
                    self.seed = message
                else:
                    self.tally.add(self.seed, message)
                    self.seed = None
        except EOFError:
            self.process.join()
            if self.process.exitcode == 0:
                return True
            return self._lost("death", f"exit code {self.process.exitcode}")
        silent = time.monotonic() - self.heard
        if silent > 10 * BUDGET.wall_seconds + (60 if self.seed is None else 0):
            self.process.kill()
            self.process.join()
            return self._lost("hang", f"no answer within {silent:.0f} s")
        return False

    def _lost(self, verdict: str, why: str) -> bool:
        if self.seed is None:
            raise RuntimeError(f"a process ended outside of a script: {why}")
        self.tally.add(self.seed, {"verdict": verdict, "used": {}, "failures": [f"{verdict}: {why}"]})
        following = self.seed + 1
        if following >= self.end:
            return True
        self._start(following)
        return False


def main() -> None:
    """Runs what is left to run, and prints the result of everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scripts", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--state", type=pathlib.Path, help="one line per chunk; what is in it is not run again")
    options = parser.parse_args()
    total, done = _Tally(), set()
    if options.state and options.state.exists():
        for line in options.state.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["chunk"] * CHUNK + record["scripts"] <= options.scripts:
                done.add(record["chunk"])
                total.merge(record)
    left = [chunk for chunk in range(-(-options.scripts // CHUNK)) if chunk not in done]
    workers: list[_Worker] = []
    began = time.monotonic()
    while left or workers:
        while left and len(workers) < options.processes:
            workers.append(_Worker(left.pop(0), options.scripts))
        wait([worker.pipe for worker in workers], timeout=1.0)
        for worker in [worker for worker in workers if worker.listen()]:
            workers.remove(worker)
            record = {"chunk": worker.chunk, **dataclasses.asdict(worker.tally)}
            total.merge(record)
            if options.state:
                with options.state.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    machine = {
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }
    tally = dataclasses.asdict(total)
    failures = tally.pop("failures")
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"figure": "fuzz", **tally, "failures": len(failures), "seconds": seconds, **machine}))
    for failure in failures:
        print(json.dumps({"figure": "fuzz.failure", **failure}))


if __name__ == "__main__":
    main()
