"""FlexScript models against exact values of queueing theory, within 99.9 % t-intervals under fixed seeds.

Sources: Erlang's formulas, Pollaczek and Khinchine, Jackson, and Markov chains solved by hand or machine.
"""

import itertools

import pytest

from vlsm_jax.simulator import Verdict, run


def exponential(mean: float) -> str:
    return f"return exponential(0, {mean!r}, getstream(current));"


def assert_covers(estimate, exact: float, relative: float) -> None:
    """The interval covers the exact value and is narrow enough to notice an error of the given relative size."""
    low, high = estimate.interval(0.999)
    assert low <= exact <= high, f"{exact} is outside of {low} to {high}"
    assert high - low <= 2 * relative * exact, f"the interval {low} to {high} is too wide to say anything"


def station(model, arrival, service, *, servers=1, until, warmup, replications=20, seed=1):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": arrival}),
            "Line": ("Queue", {"MaxContent": 1000000}),
            "Work": ("Processor", {"ProcessTime": service, "MaxContent": servers}),
            "Out": ("Sink", {}),
        },
        "In>Line Line>Work Work>Out",
    )
    report = run(script, until=until, warmup=warmup, replications=replications, seed=seed)
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
    ("servers", "arrivals", "wait", "length"), [(2, 1.6, 1.777778, 2.844444), (3, 2.4, 1.078652, 2.588764)]
)
def test_mmc(model, servers, arrivals, wait, length):
    kpis = station(
        model, exponential(1 / arrivals), exponential(1), servers=servers, until=12_000, warmup=500, replications=16
    )
    assert_covers(kpis.objects["Line"].staytime_average, wait, 0.15)
    assert_covers(kpis.objects["Line"].content_average, length, 0.15)
    assert_covers(kpis.objects["Work"].content_average, arrivals, 0.03)


@pytest.mark.parametrize(
    ("arrival", "service", "wait"),
    [
        (10, 8, 16),
        (10, "return uniform(4, 12);", 17.3333),
        (
            12,
            "Object current = ownerobject(c);\nreturn triangular(5, 15, 10, getstream(current));",
            26.041667,
        ),
    ],
)
def test_general_service(model, arrival, service, wait):
    kpis = station(model, exponential(arrival), service, until=150_000, warmup=5_000, seed=2)
    assert_covers(kpis.objects["Line"].staytime_average, wait, 0.15)


def test_mm1_with_five_places_loses_customers(model):
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
    report = run(script, until=20_000, warmup=500, replications=20, seed=3)
    kpis = report.kpis
    assert_covers(kpis.throughput["Out"], 0.7289444 * 3600, 0.01)
    assert_covers(kpis.throughput["Lost"], 0.8 * 0.0888195 * 3600, 0.08)
    assert_covers(kpis.wip, 1.868332, 0.05)


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
    report = run(script, until=20_000, warmup=1_000, replications=20, seed=4)
    assert report.ok, report.diagnostics
    return report.kpis


def test_jackson_tandem(model):
    kpis = tandem(model, "In>Q1 Q1>P1 P1>Q2 Q2>P2 P2>Q3 Q3>P3 P3>Out", {})
    assert_covers(kpis.wip, 2.214286, 0.05)
    assert_covers(kpis.lead_time, 4.428571, 0.05)


def test_jackson_tandem_with_rework(model):
    kpis = tandem(
        model, "In>Q1 Q1>P1 P1>Q2 Q2>P2 P2>Q3 Q3>P3 P3>Q1 P3>Out", {"SendToPort": "return bernoulli(20, 1, 2);"}
    )
    assert_covers(kpis.wip, 3.467909, 0.1)
    assert_covers(kpis.lead_time, 6.935818, 0.1)


@pytest.mark.parametrize(
    ("machines", "repairers", "throughput", "availability"),
    [(5, 1, 0.4360478, 0.8720956), (10, 2, 0.8961362, 0.8961362)],
)
def test_machine_repair(model, machines, repairers, throughput, availability):
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
    report = run(script, until=15_000, warmup=200, replications=16, seed=5)
    assert report.verdict is Verdict.NO_FLOW
    objects = report.kpis.objects
    cycles = objects["Repair"].output
    assert report.kpis.events.mean > 4_000
    low, high = (bound / 14_800 for bound in cycles.interval(0.999))
    assert low <= throughput <= high
    assert_covers(objects["Running"].content_average, machines * availability, 0.02)


def saturated(model, rates, buffers, until=12_000, seed=6):
    objects = {"In": ("Source", {"InterArrivalTime": 0})}
    path = ["In"]
    for i, rate in enumerate(rates):
        if i and buffers[i - 1]:
            objects[f"B{i}"] = ("Queue", {"MaxContent": buffers[i - 1]})
            path.append(f"B{i}")
        objects[f"P{i}"] = ("Processor", {"ProcessTime": exponential(1 / rate)})
        path.append(f"P{i}")
    objects["Out"] = ("Sink", {})
    path.append("Out")
    script = model(objects, " ".join(f"{a}>{b}" for a, b in itertools.pairwise(path)))
    report = run(script, until=until, warmup=200, replications=12, seed=seed)
    assert report.ok, report.diagnostics
    return report.kpis


@pytest.mark.parametrize(
    ("stations", "buffers", "throughput"),
    [
        (2, (0,), 0.666667),
        (3, (0, 0), 0.564103),
        (4, (0, 0, 0), 0.514775),
        (6, (0, 0, 0, 0, 0), 0.466713),
        (2, (1,), 3 / 4),
        (2, (4,), 6 / 7),
        (3, (1, 1), 0.670466),
        (3, (2, 2), 0.734017),
        (4, (1, 1, 1), 0.631153),
    ],
)
def test_saturated_line(model, stations, buffers, throughput):
    kpis = saturated(model, [1.0] * stations, buffers, until=6_000)
    assert_covers(kpis.total_throughput, throughput * 3600, 0.03)


def test_saturated_line_with_unequal_rates(model):
    kpis = saturated(model, [1, 1.25, 1], (2, 2))
    assert_covers(kpis.total_throughput, 0.788395 * 3600, 0.02)
    for name, exact in (("P0", 0.7884), ("P1", 0.6307), ("P2", 0.7884)):
        assert_covers(kpis.objects[name].utilisation, exact, 0.02)
