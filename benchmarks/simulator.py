"""Speed of the FlexScript emulator, beside SimPy in the same run; one JSON line per figure.

Launch: `python benchmarks/simulator.py [--customers N] [--repeats N]`. SimPy is needed for the comparison only.

Figures
  simulator.mm1 and simpy.mm1: timed events per second of an M/M/1 queue at a load of 0.8. A timed event is an arrival
    or the end of a service, so two per customer in either program, whatever else a program schedules. Both keep
    statistics: here of every object (input, output, content, stay time, states), in SimPy of the waiting and the
    sojourn time. SimPy runs in its two usual styles, a process per customer at a Resource, and two processes around a
    Store; the faster one counts.
  simulator.build: scripts parsed, compiled and run into a Twin per second, per 1500 characters of script.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable

from vlsm_jax.simulator import Budget, build, run

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
// Two parallel lines of three stations each, from one loader to one packing station.
string classes[] = {"Source", "Queue", "Queue", "Processor", "Processor", "Combiner", "Combiner",
                    "Separator", "Separator", "Sink"};
string names[] = {"Loader", "Coater1", "Coater2", "Writer1", "Writer2", "Developer1", "Developer2",
                  "Inspector1", "Inspector2", "Packing"};
Object previous1;
Object previous2;
for (int i = 1; i <= names.length; i++) {
    Object current = createinstance(library().find("?" + classes[i]), model());
    current.name = names[i];
    current.location = Vec3(8 * Math.floor(i / 2), i % 2 == 0 ? 0 : -10, 0);
    if (i == 1) {
        current.setProperty("InterArrivalTime", "return exponential(0, 10, getstream(current));");
        previous1 = previous2 = current;
        continue;
    }
    if (i <= 3) {
        current.setProperty("ItemPlacement", "Stack Vertically");
        current.setProperty("MaxContent", 20);
        current.setProperty("StackBaseZ", 0.2);
    } else if (i <= 7) {
        current.setProperty("ProcessTime", 50);
        current.setProperty("SetupTime", 15);
        current.setProperty("MaxContent", 10);
    } else if (i <= 9) {
        current.setProperty("SeparateMode", "Split");
        current.setProperty("ProcessTime", "return triangular(5, 15, 10, getstream(current));");
    }
    if (i % 2 == 0) {
        contextdragconnection(previous1, current, "A");
        previous1 = current;
    }
    if (i % 2 == 1 || i == 10) {
        contextdragconnection(previous2, current, "A");
        previous2 = current;
    }
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


def build_seconds(seed: int) -> float:
    """Returns the seconds that building takes per 1500 characters of script."""
    count = 50
    # Each text differs, as scripts do, so that nothing is found again in a cache by the whole text.
    scripts = [LINE.replace("50)", f"{50 + seed * count + i})") for i in range(count)]
    began = time.perf_counter()
    for script in scripts:
        if not build(script).ok:
            raise RuntimeError("\n".join(map(str, build(script).diagnostics)))
    return (time.perf_counter() - began) / sum(map(len, scripts)) * 1500


def median_of(measure: Callable[[int], float], repeats: int) -> float:
    """Returns the median over repeats, the first one left out as a warm-up."""
    return statistics.median([measure(seed) for seed in range(repeats + 1)][1:])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
    }

    def tell(**figure) -> None:
        print(json.dumps({**figure, **machine}), flush=True)

    customers, repeats = options.customers, options.repeats
    # The programs take turns, so that what else the machine does falls on all of them alike.
    rounds = [
        (emulator_mm1(customers, seed), simpy_resource(customers, seed), simpy_store(customers, seed))
        for seed in range(repeats + 1)
    ][1:]
    own = statistics.median(r[0] for r in rounds)
    peer = min(statistics.median(r[1] for r in rounds), statistics.median(r[2] for r in rounds))
    ratio = statistics.median(min(r[1:]) / r[0] for r in rounds)
    tell(figure="simulator.mm1", value=round(2 * customers / own), unit="timed events/s", customers=customers)
    tell(figure="simpy.mm1", value=round(2 * customers / peer), unit="timed events/s", customers=customers)
    tell(figure="simulator.mm1 / simpy.mm1", value=round(ratio, 2), unit="times", customers=customers)
    tell(
        figure="simulator.build",
        value=round(1 / median_of(build_seconds, repeats)),
        unit="scripts of 1500 characters/s",
    )


if __name__ == "__main__":
    main()
