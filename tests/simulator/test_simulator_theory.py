"""FlexScript models against exact values of queueing theory, within 99.9 % t-intervals under fixed seeds.

Sources: Erlang's formulas, Pollaczek and Khinchine, Jackson; Gershwin, Manufacturing Systems Engineering, ch. 3; and
Markov chains, which are solved here again, so that no table is trusted.
"""

import itertools

import pytest
from simulator_chains import birth_and_death, deterministic_pair, exponential_line

from vlsm_jax.simulator import Verdict, run

REPLICATIONS = 20
CURRENT = "Object current = ownerobject(c);\n"


def exponential(mean: float) -> str:
    return f"return exponential(0, {mean!r}, getstream(current));"


def assert_covers(estimate, exact: float, relative: float) -> None:
    """The interval covers the exact value and is narrow enough to notice an error of the given relative size."""
    low, high = estimate.interval(0.999)
    assert low <= exact <= high, f"{exact} is outside of {low} to {high}"
    assert high - low <= 2 * relative * exact, f"the interval {low} to {high} is too wide to say anything"


# --- One station ------------------------------------------------------------------------------------------------------


# Those who waited leave through output port 1, the others through port 2.
LINE = {
    "MaxContent": 1000000,
    "Triggers.OnEntry": "Object item = param(1); item.Came = time();",
    "Triggers.OnExit": "Object item = param(1); item.Port = time() > item.Came ? 1 : 2;",
}
BY_WAIT = {"SendToPort": "Object item = param(1); return item.Port;"}


def station(model, arrival, service, *, until, warmup, servers=1, by_wait=False, seed=1):
    """A queue before a Processor and two Sinks; with `by_wait` those who waited leave through the first."""
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": arrival}),
            "Line": ("Queue", LINE if by_wait else {"MaxContent": 1000000}),
            "Work": ("Processor", {"ProcessTime": service, "MaxContent": servers, **(BY_WAIT if by_wait else {})}),
            "Waited": ("Sink", {}),
            "Served": ("Sink", {}),
        },
        "In>Line Line>Work Work>Waited Work>Served",
    )
    report = run(script, until=until, warmup=warmup, replications=REPLICATIONS, seed=seed)
    assert report.verdict is Verdict.OK, report.diagnostics
    return report.kpis


def test_mm1(model):
    kpis = station(model, exponential(10), exponential(8), until=200_000, warmup=10_000)
    assert_covers(kpis.objects["Work"].utilisation, 0.8, 0.03)
    assert_covers(kpis.objects["Line"].content_average, 3.2, 0.2)
    assert_covers(kpis.objects["Line"].staytime_average, 32, 0.2)
    assert_covers(kpis.wip, 4, 0.15)
    assert_covers(kpis.lead_time, 40, 0.15)
    assert_covers(kpis.total_throughput, 360, 0.02)


@pytest.mark.parametrize(
    ("servers", "arrivals", "waits", "length", "wait", "sojourn"),
    [(2, 1.6, 0.711111, 2.844444, 1.777778, 2.777778), (3, 2.4, 0.647191, 2.588764, 1.078652, 2.078652)],
)
def test_mmc(model, servers, arrivals, waits, length, wait, sojourn):
    kpis = station(
        model, exponential(1 / arrivals), exponential(1), servers=servers, by_wait=True, until=8_000, warmup=500
    )
    assert_covers(kpis.throughput["Waited"], waits * arrivals * 3600, 0.04)
    assert_covers(kpis.objects["Line"].content_average, length, 0.15)
    assert_covers(kpis.objects["Line"].staytime_average, wait, 0.15)
    assert_covers(kpis.objects["Work"].content_average, arrivals, 0.03)
    assert_covers(kpis.lead_time, sojourn, 0.1)


@pytest.mark.parametrize(
    ("arrival", "service", "wait"),
    [
        (10, 8, 16),
        (10, CURRENT + "return uniform(4, 12, getstream(current));", 17.3333),
        (12, CURRENT + "return triangular(5, 15, 10, getstream(current));", 26.041667),
    ],
)
def test_general_service(model, arrival, service, wait):
    kpis = station(model, exponential(arrival), service, until=150_000, warmup=5_000, seed=2)
    assert_covers(kpis.objects["Line"].staytime_average, wait, 0.15)


def test_mm1_with_five_places_loses_customers(model):
    shares = birth_and_death([0.8] * 5, [1.0] * 5)
    loss, throughput, inside = shares[5], 0.8 * (1 - shares[5]), sum(n * share for n, share in enumerate(shares))
    assert (loss, throughput, inside) == pytest.approx((0.0888195, 0.7289444, 1.868332), rel=1e-6)
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": exponential(1 / 0.8)}),
            "Line": ("Queue", {"MaxContent": 4}),
            "Work": ("Processor", {"ProcessTime": exponential(1)}),
            "Out": ("Sink", {}),
            "Lost": ("Sink", {}),
        },
        "In>Line In>Lost Line>Work Work>Out",
    )
    kpis = run(script, until=20_000, warmup=500, replications=REPLICATIONS, seed=3).kpis
    assert_covers(kpis.throughput["Out"], throughput * 3600, 0.01)
    assert_covers(kpis.throughput["Lost"], 0.8 * loss * 3600, 0.08)
    assert_covers(kpis.wip, inside, 0.05)


# --- Networks ---------------------------------------------------------------------------------------------------------


def tandem(model, links, third):
    queues = {f"Q{i}": ("Queue", {"MaxContent": 100000}) for i in (1, 2, 3)}
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": exponential(2)}),
            **queues,
            "P1": ("Processor", {"ProcessTime": exponential(1)}),
            "P2": ("Processor", {"ProcessTime": exponential(1 / 1.2)}),
            "P3": ("Processor", {"ProcessTime": exponential(1 / 1.5), **third}),
            "Out": ("Sink", {}),
        },
        links,
    )
    report = run(script, until=20_000, warmup=1_000, replications=REPLICATIONS, seed=4)
    assert report.ok, report.diagnostics
    return report.kpis


@pytest.mark.parametrize(
    ("links", "third", "rate", "inside", "each", "sojourn"),
    [
        (
            "In>Q1 Q1>P1 P1>Q2 Q2>P2 P2>Q3 Q3>P3 P3>Out",
            {},
            0.5,
            2.214286,
            (1, 0.714286, 0.5),
            4.428571,
        ),
        (
            "In>Q1 Q1>P1 P1>Q2 Q2>P2 P2>Q3 Q3>P3 P3>Q1 P3>Out",
            {"SendToPort": CURRENT + "return bernoulli(20, 1, 2, getstream(current));"},
            0.625,
            3.467909,
            (1.6667, 1.0870, 0.7143),
            6.935818,
        ),
    ],
    ids=["tandem", "rework"],
)
def test_jackson_network(model, links, third, rate, inside, each, sojourn):
    kpis = tandem(model, links, third)
    assert_covers(kpis.wip, inside, 0.1)
    assert_covers(kpis.lead_time, sojourn, 0.1)
    for number, (speed, length) in enumerate(zip((1, 1.2, 1.5), each, strict=True), 1):
        assert_covers(kpis.objects[f"P{number}"].content_average, rate / speed, 0.03)
        assert_covers(kpis.objects[f"Q{number}"].content_average, length - rate / speed, 0.15)


@pytest.mark.parametrize(
    ("machines", "repairers", "throughput", "availability"),
    [(5, 1, 0.4360478, 0.8720956), (10, 2, 0.8961362, 0.8961362)],
)
def test_machine_repair(model, machines, repairers, throughput, availability):
    broken = birth_and_death(
        [0.1 * (machines - n) for n in range(machines)], [min(n + 1, repairers) for n in range(machines)]
    )
    running = sum((machines - n) * share for n, share in enumerate(broken))
    assert (0.1 * running, running / machines) == pytest.approx((throughput, availability), rel=1e-6)
    # A closed network: the Sink is there, but nothing is ever sent to it.
    script = model(
        {
            "In": ("Source", {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "machine", machines]]}),
            "Running": ("Processor", {"ProcessTime": exponential(10), "MaxContent": machines}),
            "Broken": ("Queue", {}),
            "Repair": ("Processor", {"ProcessTime": exponential(1), "MaxContent": repairers, "SendToPort": 1}),
            "Out": ("Sink", {}),
        },
        "In>Running Running>Broken Broken>Repair Repair>Running Repair>Out",
    )
    report = run(script, until=15_000, warmup=200, replications=REPLICATIONS, seed=5)
    assert report.verdict is Verdict.NO_FLOW
    objects = report.kpis.objects
    assert_covers(objects["Repair"].output, throughput * 14_800, 0.02)
    assert_covers(objects["Running"].content_average, machines * availability, 0.02)


# --- Lines that never starve ------------------------------------------------------------------------------------------


def saturated(model, times, buffers, *, until, seed=6):
    objects = {"In": ("Source", {"InterArrivalTime": 0})}
    path = ["In"]
    for i, time in enumerate(times):
        if i and buffers[i - 1]:
            objects[f"B{i}"] = ("Queue", {"MaxContent": buffers[i - 1]})
            path.append(f"B{i}")
        objects[f"P{i}"] = ("Processor", {"ProcessTime": time})
        path.append(f"P{i}")
    objects["Out"] = ("Sink", {})
    path.append("Out")
    script = model(objects, " ".join(f"{a}>{b}" for a, b in itertools.pairwise(path)))
    report = run(script, until=until, warmup=200, replications=REPLICATIONS, seed=seed)
    assert report.ok, report.diagnostics
    return report.kpis


SATURATED = [
    # Rates, buffers between them, throughput.
    ((1, 1), (0,), 0.666667),
    ((1, 1, 1), (0, 0), 0.564103),
    ((1, 1, 1, 1), (0, 0, 0), 0.514775),
    ((1, 1, 1, 1, 1), (0, 0, 0, 0), 0.485798),
    ((1, 1, 1, 1, 1, 1), (0, 0, 0, 0, 0), 0.466713),
    *(((1, 1), (places,), (places + 2) / (places + 3)) for places in (1, 2, 3, 5, 8, 20)),
    ((1, 1, 1), (1, 1), 0.670466),
    ((1, 1, 1), (2, 2), 0.734017),
    ((1, 1, 1, 1), (1, 1, 1), 0.631153),
    ((1, 1.25, 1), (2, 2), 0.788395),
]


@pytest.mark.parametrize(("rates", "buffers", "throughput"), SATURATED)
def test_saturated_line(model, rates, buffers, throughput):
    exact, busy = exponential_line(rates, buffers)
    assert exact == pytest.approx(throughput, abs=1e-6)
    kpis = saturated(model, [exponential(1 / rate) for rate in rates], buffers, until=4_000)
    assert_covers(kpis.total_throughput, throughput * 3600, 0.025)
    for number, share in enumerate(busy):
        assert_covers(kpis.objects[f"P{number}"].utilisation, share, 0.03)


def test_utilisation_of_the_line_with_unequal_rates():
    assert exponential_line((1, 1.25, 1), (2, 2))[1] == pytest.approx((0.7884, 0.6307, 0.7884), abs=5e-5)


# An operation takes one slot; or with probability .01 it fails, and ends when the repair does, after 1, 2, ... slots.
UNRELIABLE = CURRENT + "return bernoulli(1, 1, 0, getstream(current)) ? 2 + geometric(0.1, getstream(current)) : 1;"


@pytest.mark.parametrize(("places", "throughput"), [(4, 0.840936), (10, 0.856175), (20, 0.870541), (50, 0.887845)])
def test_deterministic_machines_that_fail(model, places, throughput):
    # The places between the two operations are those of the Queue and one at each machine.
    assert deterministic_pair(places, 0.01, 0.1) == pytest.approx(throughput, abs=1e-6)
    kpis = saturated(model, [UNRELIABLE] * 2, (places - 2,), until=6_000)
    assert_covers(kpis.total_throughput, throughput * 3600, 0.02)
