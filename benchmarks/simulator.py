"""Speed of the FlexScript emulator, beside SimPy and Ciw in the same run; one JSON line per figure.

Launch: `python benchmarks/simulator.py [--customers N] [--repeats N]`. SimPy and Ciw are needed to compare with only.

Figures
  simulator.mm1, simpy.mm1 and ciw.mm1: timed events per second of an M/M/1 queue at a load of 0.8. A timed event is an
    arrival or the end of a service, so two per customer in each program, whatever else a program schedules. All keep
    statistics: here of every object (input, output, content, stay time, states), in SimPy of the waiting and the
    sojourn time, in Ciw the records of every customer that it always keeps. SimPy runs in its two usual styles, a
    process per customer at a Resource, and two processes around a Store; the faster one counts. Only the simulation is
    timed in the peers; here building the model counts too.
  simulator.mm1 / simpy.mm1 and / ciw.mm1: medians of the ratios within a round, in which the programs take turns.
  simulator.build: scripts of 13 objects parsed, compiled and run into a Twin per second.
  simulator.memory: MiB by which the peak of a run ten times as long is higher, the trace off, each in a process of its
    own.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_name  # noqa: E402
from vlsm_jax.simulator import Budget, build, run  # noqa: E402

MM1 = """
Object source = Object.create("Source"); source.name = "Arrivals";
source.setProperty("InterArrivalTime", "return exponential(0, 10, getstream(current));");
Object queue = Object.create("Queue"); queue.name = "Line"; queue.setProperty("MaxContent", 1000000);
Object server = Object.create("Processor"); server.name = "Server";
server.setProperty("ProcessTime", "return exponential(0, 8, getstream(current));");
Object sink = Object.create("Sink"); sink.name = "Exit";
contextdragconnection(source, queue, "A");
contextdragconnection(queue, server, "A");
contextdragconnection(server, sink, "A");
"""

LINE = """
// Two parallel lines from one loader to one packing station, and a team of two movers.
string classes[] = {"Source", "Queue", "Queue", "Processor", "Processor", "Combiner", "Combiner", "Separator",
                    "Separator", "Sink", "Dispatcher", "TaskExecuter", "TaskExecuter"};
string names[] = {"Loader", "Coater1", "Coater2", "Writer1", "Writer2", "Developer1", "Developer2", "Inspector1",
                  "Inspector2", "Packing", "Team", "Mover1", "Mover2"};
Object first; Object second; Object team;
for (int i = 1; i <= names.length; i++) {
    Object obj = createinstance(library().find("?" + classes[i]), model());
    obj.name = names[i];
    obj.location = Vec3(8 * Math.floor(i / 2), i % 2 == 0 ? 0 : -10, 0);
    if (i == 1) {
        obj.setProperty("InterArrivalTime", "return exponential(0, 10, getstream(current));");
        first = second = obj;
        continue;
    }
    if (i == 11) team = obj;
    if (i > 11) contextdragconnection(team, obj, "A");
    if (i > 10) continue;
    if (i <= 3) {
        obj.setProperty("ItemPlacement", "Stack Vertically");
        obj.setProperty("MaxContent", 20);
    } else if (i <= 7) {
        obj.setProperty("ProcessTime", 50);
        obj.setProperty("SetupTime", 15);
    } else if (i <= 9) {
        obj.setProperty("SeparateMode", "Split");
        obj.setProperty("ProcessTime", "return triangular(5, 15, 10, getstream(current));");
    }
    if (i % 2 == 0) { contextdragconnection(first, obj, "A"); first = obj; }
    if (i % 2 == 1 || i == 10) { contextdragconnection(second, obj, "A"); second = obj; }
}
"""


def emulator_mm1(customers: int, seed: int) -> float:
    """Returns the seconds that a run of about that many customers takes, building included."""
    began = time.perf_counter()
    report = run(MM1, until=10.0 * customers, seed=seed, budget=Budget(wall_seconds=600.0))
    taken = time.perf_counter() - began
    if not report.ok:
        raise RuntimeError("\n".join(map(str, report.diagnostics)))
    return taken


def simpy_resource(customers: int, seed: int) -> float:
    """Returns the seconds that SimPy takes with one process per customer."""
    import simpy

    rng = random.Random(seed)
    waits: list[float] = []
    stays: list[float] = []
    environment = simpy.Environment()
    server = simpy.Resource(environment)

    def customer():
        arrived = environment.now
        with server.request() as place:
            yield place
            waits.append(environment.now - arrived)
            yield environment.timeout(rng.expovariate(1 / 8))
        stays.append(environment.now - arrived)

    def arrivals():
        while True:
            yield environment.timeout(rng.expovariate(1 / 10))
            environment.process(customer())

    environment.process(arrivals())
    began = time.perf_counter()
    environment.run(until=10.0 * customers)
    return time.perf_counter() - began


def simpy_store(customers: int, seed: int) -> float:
    """Returns the seconds that SimPy takes with two processes around a Store."""
    import simpy

    rng = random.Random(seed)
    waits: list[float] = []
    stays: list[float] = []
    environment = simpy.Environment()
    line = simpy.Store(environment)

    def arrivals():
        while True:
            yield environment.timeout(rng.expovariate(1 / 10))
            line.put(environment.now)

    def server():
        while True:
            arrived = yield line.get()
            waits.append(environment.now - arrived)
            yield environment.timeout(rng.expovariate(1 / 8))
            stays.append(environment.now - arrived)

    environment.process(arrivals())
    environment.process(server())
    began = time.perf_counter()
    environment.run(until=10.0 * customers)
    return time.perf_counter() - began


def ciw_mm1(customers: int, seed: int) -> float:
    """Returns the seconds that Ciw takes."""
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=1 / 10)],
        service_distributions=[ciw.dists.Exponential(rate=1 / 8)],
        number_of_servers=[1],
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    began = time.perf_counter()
    simulation.simulate_until_max_time(10.0 * customers)
    return time.perf_counter() - began


def peak_memory(customers: int) -> float:
    """Returns the peak in MiB of a process that runs so many customers."""
    command = [sys.executable, __file__, "--peak-of", str(customers)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def build_seconds(seed: int) -> float:
    """Returns the seconds that building one script takes."""
    count = 50
    # Each text differs, as scripts do, so that nothing is found again in a cache by the whole text.
    scripts = [LINE.replace("50)", f"{50 + seed * count + i})") for i in range(count)]
    began = time.perf_counter()
    for script in scripts:
        if not build(script).ok:
            raise RuntimeError("\n".join(map(str, build(script).diagnostics)))
    return (time.perf_counter() - began) / count


def median_of(measure: Callable[[int], float], repeats: int) -> float:
    """Returns the median over repeats, the first one left out as a warm-up."""
    return statistics.median([measure(seed) for seed in range(repeats + 1)][1:])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        emulator_mm1(options.peak_of, 0)
        # Not getrusage: its peak includes that of the process which started this one.
        status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
        print(int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024)
        return
    machine = {
        "python": platform.python_version(),
        "machine": machine_name(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }

    def tell(**figure) -> None:
        print(json.dumps({**figure, **machine}), flush=True)

    customers, repeats = options.customers, options.repeats
    # The programs take turns, so that what else the machine does falls on all of them alike.
    programs = (emulator_mm1, simpy_resource, simpy_store, ciw_mm1)
    rounds = [[program(customers, seed) for program in programs] for seed in range(repeats + 1)][1:]
    own, *peers = (statistics.median(column) for column in zip(*rounds, strict=True))
    tell(figure="simulator.mm1", value=round(2 * customers / own), unit="timed events/s", customers=customers)
    tell(figure="simpy.mm1", value=round(2 * customers / min(peers[:2])), unit="timed events/s", customers=customers)
    tell(figure="ciw.mm1", value=round(2 * customers / peers[2]), unit="timed events/s", customers=customers)
    for peer, columns in (("simpy", (1, 2)), ("ciw", (3,))):
        ratio = statistics.median(min(times[n] for n in columns) / times[0] for times in rounds)
        tell(figure=f"simulator.mm1 / {peer}.mm1", value=round(ratio, 2), unit="times", customers=customers)
    building = median_of(build_seconds, repeats)
    tell(figure="simulator.build", value=round(1 / building), unit="scripts/s", objects=13, characters=len(LINE))
    growth = peak_memory(10 * customers) - peak_memory(customers)
    tell(figure="simulator.memory", value=round(growth, 1), unit="MiB", customers=[customers, 10 * customers])


if __name__ == "__main__":
    main()
