"""Agreement with SimPy and Ciw on factories that no formula covers: rework, assembly, shared operators.

With given durations a factory is compared event by event; with random ones by 99.9 % intervals of the differences of
means. Ciw has queues of limited length and rework, but neither assembly nor servers that two queues share, so SimPy is
the only oracle of those two factories.
"""

import math
import statistics

import pytest
from simulator_peers import assembly, ciw_rework, random_times, rework, shared_operators

from vlsm_jax.simulator import run
from vlsm_jax.simulator.statistics import t_quantile

REPLICATIONS = 20
ITEM = "Object item = param(1);\n"
CURRENT = "Object current = ownerobject(c);\n"

# --- Factories --------------------------------------------------------------------------------------------------------


def rework_model(model, duration):
    """The FlexScript of `rework`; `duration(place)` gives the code of every duration and of the decision `again`."""
    station = {f"P{n}": ("Processor", {"ProcessTime": duration(f"P{n}")}) for n in (1, 2, 3)}
    station["P3"][1]["SendToPort"] = duration("again")
    return model(
        {
            "In": source(duration("In"), turn=0),
            "Q1": ("Queue", {"MaxContent": 100_000, "Triggers.OnEntry": ITEM + "item.Turn = item.Turn + 1;"}),
            "Q2": ("Queue", {"MaxContent": 2}),
            "Q3": ("Queue", {"MaxContent": 1}),
            **station,
            "Out": ("Sink", {}),
        },
        "In>Q1 Q1>P1 P1>Q2 Q2>P2 P2>Q3 Q3>P3 P3>Q1 P3>Out",
    )


def assembly_model(model, duration):
    """The FlexScript of `assembly`."""
    return model(
        {
            "InA": source(duration("InA")),
            "InB": source(duration("InB")),
            "PA": ("Processor", {"ProcessTime": duration("PA")}),
            "PB": ("Processor", {"ProcessTime": duration("PB")}),
            "BA": ("Queue", {"MaxContent": 2}),
            "BB": ("Queue", {"MaxContent": 4}),
            "Assembly": (
                "Combiner",
                {"CombineMode": "Join", "ComponentsList": [2], "ProcessTime": duration("Assembly")},
            ),
            "Done": ("Queue", {"MaxContent": 1}),
            "Pack": ("Processor", {"ProcessTime": duration("Pack")}),
            "Out": ("Sink", {}),
        },
        "InA>PA PA>BA InB>PB PB>BB BA>Assembly BB>Assembly Assembly>Done Done>Pack Pack>Out",
    )


def operators_model(model, duration):
    """The FlexScript of `shared_operators`; the operators are so fast that they need no time to walk."""
    objects, links = {}, []
    for n in (1, 2, 3):
        objects[f"In{n}"] = source(duration(f"In{n}"))
        objects[f"Q{n}"] = ("Queue", {"MaxContent": 100_000})
        objects[f"P{n}"] = ("Processor", {"ProcessTime": duration(f"P{n}"), "UseProcessOperators": 1})
        links += [f"In{n}>Q{n}", f"Q{n}>P{n}", f"P{n}>Out"]
    objects["Out"] = ("Sink", {})
    objects["Team"] = ("Dispatcher", {})
    fast = {"MaxSpeed": 1e15, "Acceleration": 0, "Deceleration": 0}
    objects["Ann"] = ("Operator", fast)
    objects["Bob"] = ("Operator", fast)
    script = model(objects, " ".join([*links, "Team>Ann", "Team>Bob"]))
    return script + "".join(f'\ncontextdragconnection(P{n}, Team, "S");' for n in (1, 2, 3))


def source(interval, turn=1):
    """A Source whose items carry their number, and how often they have passed."""
    numbered = (
        f'{CURRENT}{ITEM}current.labels.assert("Count", 0); current.Count = current.Count + 1; '
        f"item.N = current.Count; item.Turn = {turn};"
    )
    return ("Source", {"InterArrivalTime": interval, "Triggers.OnCreation": numbered})


# --- Event by event ---------------------------------------------------------------------------------------------------

# Multiples of the golden ratio are spread evenly and never meet, so that no two events fall together by chance.
GOLDEN = 0.6180339887498949
SCALES = {"In": 13, "InA": 9, "InB": 6, "again": 1, "In1": 17, "In2": 19, "In3": 23}
STEPS = {
    place: step
    for step, place in enumerate(
        ("In", "InA", "InB", "In1", "In2", "In3", "P1", "P2", "P3", "PA", "PB", "Assembly", "Pack", "again")
    )
}


def given(place, item, turn):
    """Durations that are given: one for every place, item and pass."""
    return SCALES.get(place, 10) * math.fmod((item * 7 + turn * 3 + STEPS[place]) * GOLDEN, 1.0)


def given_code(place):
    """The same in FlexScript."""
    item, turn = (
        ('current.labels.assert("Count", 0).value + 1', "1") if place.startswith("In") else ("item.N", "item.Turn")
    )
    seconds = f"{SCALES.get(place, 10)} * Math.fmod((({item}) * 7 + {turn} * 3 + {STEPS[place]}) * {GOLDEN}, 1.0)"
    return CURRENT + ITEM + (f"return {seconds} < 0.2 ? 1 : 2;" if place == "again" else f"return {seconds};")


FACTORIES = [
    pytest.param(rework, rework_model, id="rework"),
    pytest.param(assembly, assembly_model, id="assembly"),
    pytest.param(shared_operators, operators_model, id="operators"),
]


@pytest.mark.parametrize(("peer", "script"), FACTORIES)
def test_the_same_events_as_simpy(model, peer, script):
    until = 3000.0
    theirs = sorted((round(arrival.time, 6), arrival.place) for arrival in peer(given, until).arrivals)
    trace = []
    report = run(script(model, given_code), until=until, trace=trace.append)
    assert report.ok, report.diagnostics
    ours = sorted((round(event.time, 6), event.object) for event in trace if event.kind == "entry")
    assert len(theirs) > 1000
    assert ours == theirs


@pytest.mark.parametrize(("peer", "script"), FACTORIES)
def test_the_same_figures_as_simpy(model, peer, script):
    theirs = peer(given, 3000.0, 500.0)
    kpis = run(script(model, given_code), until=3000.0, warmup=500.0).kpis
    assert kpis.lead_time.mean == pytest.approx(theirs.lead_time, rel=1e-9)
    assert kpis.total_throughput.mean == pytest.approx(theirs.throughput, rel=1e-9)
    for place, share in theirs.busy.items():
        assert kpis.objects[place].utilisation.mean == pytest.approx(share, rel=1e-9)


# --- Means ------------------------------------------------------------------------------------------------------------

MEANS = {
    "In": 2.8, "P1": 1.0, "P2": 1.1, "P3": 1.2, "InA": 1.0, "InB": 0.4, "PA": 1.0, "PB": 0.5, "Assembly": 0.8,
    "Pack": 1.0, "In1": 3.0, "In2": 3.0, "In3": 3.0,
}  # fmt: skip


def random_code(place):
    """An exponential duration from the object's own stream."""
    if place == "again":
        return CURRENT + "return uniform(0, 1, getstream(current)) < 0.2 ? 1 : 2;"
    return CURRENT + f"return exponential(0, {MEANS[place]}, getstream(current));"


def assert_same_mean(estimate, values, relative):
    """The 99.9 % interval of the difference covers 0 and is narrower than a share of the mean, on each side."""
    own_error = estimate.half_width / t_quantile(0.95, estimate.replications - 1)
    other_error = statistics.stdev(values) / math.sqrt(len(values))
    half = t_quantile(0.999, len(values) - 1) * math.hypot(own_error, other_error)
    assert half <= relative * estimate.mean, f"the interval of the difference, +-{half}, is too wide to say anything"
    assert abs(estimate.mean - statistics.fmean(values)) <= half


def simpy_runs(factory):
    """Makes a factory in SimPy one of means and a seed, as the one in Ciw is."""
    return lambda means, seed, *times: factory(random_times(means, seed), *times)


@pytest.mark.parametrize(
    ("peer", "script", "until"),
    [
        pytest.param(simpy_runs(rework), rework_model, 4500.0, id="rework-simpy"),
        pytest.param(ciw_rework, rework_model, 4500.0, id="rework-ciw"),
        pytest.param(simpy_runs(assembly), assembly_model, 1500.0, id="assembly"),
        pytest.param(simpy_runs(shared_operators), operators_model, 3000.0, id="operators"),
    ],
)
def test_the_same_means(model, peer, script, until):
    warmup = 200.0
    kpis = run(script(model, random_code), until=until, warmup=warmup, replications=REPLICATIONS, seed=1).kpis
    theirs = [peer(MEANS, seed, until, warmup) for seed in range(REPLICATIONS)]
    assert_same_mean(kpis.total_throughput, [each.throughput for each in theirs], 0.05)
    assert_same_mean(kpis.lead_time, [each.lead_time for each in theirs], 0.15)
    for place in theirs[0].busy:
        assert_same_mean(kpis.objects[place].utilisation, [each.busy[place] for each in theirs], 0.07)
