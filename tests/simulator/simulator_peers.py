"""Three factories in SimPy, and one of them in Ciw: what the simulator is compared with where no formula exists.

A factory in SimPy is a function of a `Times`, which gives every duration and decision from the item and the place
alone, so that the same factory runs with random numbers or with given ones, event by event.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import NamedTuple

import ciw
import simpy

Times = Callable[[str, int, int], float]
"""(place, item number, pass through this place) to a duration, or to a probability's uniform number."""


class Arrival(NamedTuple):
    """An item that enters a place."""

    time: float
    place: str
    item: int


class Run(NamedTuple):
    """What one run of a peer gives.

    Attributes:
      arrivals: every entry of an item into a place, in order of time.
      lead_time: mean seconds from creation to the end, of items that ended behind the warm-up.
      throughput: items per hour that ended behind the warm-up.
      busy: share of the time behind the warm-up in which each place worked.
    """

    arrivals: list[Arrival]
    lead_time: float
    throughput: float
    busy: dict[str, float]


class _Factory:
    """One SimPy model: stores, stations, and the statistics of what runs through them."""

    def __init__(self, times: Times, until: float, warmup: float):
        self.times = times
        self.until = until
        self.warmup = warmup
        self.environment = simpy.Environment()
        self.arrivals: list[Arrival] = []
        self.created: dict[int, float] = {}
        self.passes: dict[tuple[str, int], int] = {}
        self.leads: list[float] = []
        self.worked: dict[str, float] = {}
        self.began: dict[str, float] = {}

    def store(self, capacity: float = math.inf) -> simpy.Store:
        return simpy.Store(self.environment, capacity)

    def duration(self, place: str, item: int) -> float:
        self.passes[place, item] = turn = self.passes.get((place, item), 0) + 1
        return self.times(place, item, turn)

    def enter(self, place: str, item: int) -> None:
        self.arrivals.append(Arrival(self.environment.now, place, item))

    def put(self, place: str, store: simpy.Store, item: int):
        yield store.put(item)
        self.enter(place, item)

    def source(self, place: str, target: str, store: simpy.Store):
        number = 0
        while True:
            number += 1
            yield self.environment.timeout(self.duration(place, number))
            self.created[number] = self.environment.now
            yield from self.put(target, store, number)

    def work(self, place: str, seconds: float):
        self.began[place] = self.environment.now
        yield self.environment.timeout(seconds)
        self._book(place, self.began.pop(place))

    def _book(self, place: str, began: float) -> None:
        """Counts the work behind the warm-up."""
        seconds = self.environment.now - max(began, self.warmup)
        self.worked[place] = self.worked.get(place, 0.0) + max(0.0, seconds)

    def end(self, place: str, item: int, created: float) -> None:
        self.enter(place, item)
        if self.environment.now > self.warmup:
            self.leads.append(self.environment.now - created)

    def run(self) -> Run:
        # What happens at the stop time happens.
        self.environment.run(until=math.nextafter(self.until, math.inf))
        for place, began in self.began.items():
            self._book(place, began)
        observed = self.until - self.warmup
        busy = {place: seconds / observed for place, seconds in self.worked.items()}
        return Run(self.arrivals, sum(self.leads) / len(self.leads), len(self.leads) * 3600 / observed, busy)


def rework(times: Times, until: float, warmup: float = 0.0) -> Run:
    """Three stations, two buffers of 2 and 1 places between them; a fifth of the items goes back to the start."""
    factory = _Factory(times, until, warmup)
    stores = [factory.store(), factory.store(2), factory.store(1)]

    def station(n: int):
        while True:
            item = yield stores[n - 1].get()
            factory.enter(f"P{n}", item)
            yield from factory.work(f"P{n}", factory.duration(f"P{n}", item))
            if n < 3:
                yield from factory.put(f"Q{n + 1}", stores[n], item)
            elif factory.duration("again", item) < 0.2:
                yield from factory.put("Q1", stores[0], item)
            else:
                factory.end("Out", item, factory.created[item])

    factory.environment.process(factory.source("In", "Q1", stores[0]))
    for n in (1, 2, 3):
        factory.environment.process(station(n))
    return factory.run()


def assembly(times: Times, until: float, warmup: float = 0.0) -> Run:
    """A line of bodies and a line of parts, with buffers of 2 and 4 places; an assembly takes one body, then two parts.

    Items of the two lines are numbered apart; an assembly goes on under the number of its body.
    """
    factory = _Factory(times, until, warmup)
    bodies, parts, done = factory.store(2), factory.store(4), factory.store(1)
    born: dict[int, float] = {}

    def line(source: str, station: str, target: str, store: simpy.Store):
        place, number = simpy.Resource(factory.environment, 1), 0
        while True:
            number += 1
            yield factory.environment.timeout(factory.duration(source, number))
            if target == "BA":
                born[number] = factory.environment.now
            # No buffer here: the Source waits until the station is empty, and only then begins the next interval.
            free = place.request()
            yield free
            factory.environment.process(serve(station, target, store, number, place, free))

    def serve(station: str, target: str, store: simpy.Store, number: int, place: simpy.Resource, free: simpy.Event):
        factory.enter(station, number)
        yield from factory.work(station, factory.duration(station, number))
        yield from factory.put(target, store, number)
        place.release(free)

    def assembler():
        while True:
            body = yield bodies.get()
            factory.enter("Assembly", body)
            for _ in range(2):
                part = yield parts.get()
                factory.enter("Assembly", part)
            yield from factory.work("Assembly", factory.duration("Assembly", body))
            yield from factory.put("Done", done, body)

    def packer():
        while True:
            body = yield done.get()
            factory.enter("Pack", body)
            yield from factory.work("Pack", factory.duration("Pack", body))
            factory.end("Out", body, born[body])

    factory.environment.process(line("InA", "PA", "BA", bodies))
    factory.environment.process(line("InB", "PB", "BB", parts))
    factory.environment.process(assembler())
    factory.environment.process(packer())
    return factory.run()


def shared_operators(times: Times, until: float, warmup: float = 0.0) -> Run:
    """Three stations with queues of their own; each operation needs one of two operators, first come, first served."""
    factory = _Factory(times, until, warmup)
    operators = simpy.Resource(factory.environment, 2)

    def station(n: int, queue: simpy.Store):
        while True:
            item = yield queue.get()
            factory.enter(f"P{n}", item)
            with operators.request() as operator:
                yield operator
                yield from factory.work(f"P{n}", factory.duration(f"P{n}", item))
            factory.end("Out", item, born[n, item])

    def arrivals(n: int, queue: simpy.Store):
        number = 0
        while True:
            number += 1
            yield factory.environment.timeout(factory.duration(f"In{n}", number))
            born[n, number] = factory.environment.now
            yield from factory.put(f"Q{n}", queue, number)

    born: dict[tuple[int, int], float] = {}
    for n in (1, 2, 3):
        queue = factory.store()
        factory.environment.process(arrivals(n, queue))
        factory.environment.process(station(n, queue))
    return factory.run()


def random_times(means: dict[str, float], seed: int) -> Times:
    """Exponential durations with the given means, and uniform numbers for `again`."""
    generator = random.Random(seed)
    return lambda place, item, turn: generator.random() if place == "again" else generator.expovariate(1 / means[place])


def ciw_rework(means: dict[str, float], seed: int, until: float, warmup: float) -> Run:
    """`rework` in Ciw."""
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate=1 / means["In"]), None, None],
        service_distributions=[ciw.dists.Exponential(rate=1 / means[f"P{n}"]) for n in (1, 2, 3)],
        number_of_servers=[1, 1, 1],
        queue_capacities=[math.inf, 2, 1],
        routing=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.0, 0.0]],
    )
    ciw.seed(seed)
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(until)
    busy = dict.fromkeys(("P1", "P2", "P3"), 0.0)
    came: dict[int, float] = {}
    leads = []
    for record in sorted(simulation.get_all_records(), key=lambda record: record.arrival_date):
        came.setdefault(record.id_number, record.arrival_date)
        ended = min(record.service_end_date, until)
        busy[f"P{record.node}"] += max(0.0, ended - max(record.service_start_date, warmup))
        if record.destination == -1 and warmup < record.exit_date <= until:
            leads.append(record.exit_date - came[record.id_number])
    observed = until - warmup
    shares = {place: seconds / observed for place, seconds in busy.items()}
    return Run([], sum(leads) / len(leads), len(leads) * 3600 / observed, shares)
