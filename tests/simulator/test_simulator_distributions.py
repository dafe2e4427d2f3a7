"""Distributions against SciPy's, the random streams they are drawn from, and what code bodies are recognised as."""

import numpy as np
import pytest
import scipy.stats as ss

from vlsm_jax.simulator import codebody, empirical, run
from vlsm_jax.simulator.distributions import SHAPES, DistributionError, mean, sampler, stream
from vlsm_jax.twin import Code, Distribution

CONTINUOUS = {
    "exponential": ((2, 5), ss.expon(2, 5)),
    "normal": ((10, 3), ss.norm(10, 3)),
    "triangular": ((5, 15, 12), ss.triang(0.7, 5, 10)),
    "uniform": ((4, 12), ss.uniform(4, 8)),
    "erlang": ((1, 2, 3), ss.gamma(3, 1, 2)),
    "gamma": ((1, 2, 1.5), ss.gamma(1.5, 1, 2)),
    "weibull": ((1, 4, 2), ss.weibull_min(2, 1, 4)),
    "beta": ((2, 6, 2, 3), ss.beta(2, 3, 2, 4)),
    "lognormal": ((1, 0.5, 0.4), ss.lognorm(0.4, 1, np.exp(0.5))),
    "lognormal2": ((1, 3, 0.4), ss.lognorm(0.4, 1, 3)),
    "lognormalmeanstdev": ((5, 2), ss.lognorm(np.sqrt(np.log(1.16)), 0, 5 / np.sqrt(1.16))),
    "loglogistic": ((1, 3, 4), ss.fisk(4, 1, 3)),
    "loglaplace": ((1, 3, 4), ss.loglaplace(4, 1, 3)),
    "inversegaussian": ((1, 3, 4), ss.invgauss(3 / 4, 1, 4)),
    "randomwalk": ((1, 0.5, 4), ss.recipinvgauss(0.5 / 4, 1, 1 / 4)),
    "inverseweibull": ((1, 3, 4), ss.invweibull(4, 1, 3)),
    "invertedweibull": ((1, 3, 4), ss.invweibull(4, 1, 3)),
    "pearsont5": ((1, 3, 4), ss.invgamma(4, 1, 3)),
    "pearsont6": ((1, 3, 4, 5), ss.betaprime(4, 5, 1, 3)),
    "johnsonbounded": ((2, 6, 0.5, 1.2), ss.johnsonsb(0.5, 1.2, 2, 4)),
    "johnsonunbounded": ((2, 3, 0.5, 1.2), ss.johnsonsu(0.5, 1.2, 2, 3)),
    "laplace": ((2, 3), ss.laplace(2, 3)),
    "logistic": ((2, 3), ss.logistic(2, 3)),
    "cauchy": ((2, 3), ss.cauchy(2, 3)),
    "extremevalue1a": ((2, 3), ss.gumbel_r(2, 3)),
    "extremevalue1b": ((2, 3), ss.gumbel_l(2, 3)),
    "pareto": ((2, 3), ss.pareto(3, 0, 2)),
}
DISCRETE = {
    "duniform": ((3, 7), ss.randint(3, 8)),
    "bernoulli": ((30, 1, 0), ss.bernoulli(0.3)),
    "binomial": ((10, 30), ss.binom(10, 0.3)),
    "poisson": ((4,), ss.poisson(4)),
    "geometric": ((0.3,), ss.geom(0.3, -1)),
    "negbinomial": ((3, 0.4), ss.nbinom(3, 0.4)),
    "logarithmic": ((0.6,), ss.logser(0.6)),
    "hypergeometric": ((5, 8, 20), ss.hypergeom(20, 8, 5)),
}

GOLDEN_INTEGERS = [6850009599938964257, 3622417720946974685, 3666663303362268593]
GOLDEN_EXPONENTIAL = [21.32503271973932, 20.3499449806954, 5.68857814739146]


def draws(name, arguments, count):
    values = sampler(Distribution(name, arguments), stream(7, 0, "test", name))
    return np.array([next(values) for _ in range(count)])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name):
    arguments, exact = CONTINUOUS[name]
    assert ss.kstest(draws(name, arguments, 5000), exact.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name):
    arguments, exact = DISCRETE[name]
    values = draws(name, arguments, 5000)
    points = np.unique(values)
    expected = exact.pmf(points) * len(values)
    assert (expected > 0).all()
    kept = expected > 5
    counts = np.array([(values == point).sum() for point in points])[kept]
    chi_square = ((counts - expected[kept]) ** 2 / expected[kept]).sum()
    assert ss.chi2.sf(chi_square, kept.sum()) > 1e-3


PREAMBLE = "Object item = param(1);\nObject current = ownerobject(c);\n"
HEAVY_TAILS = (
    "cauchy", "inverseweibull", "invertedweibull", "loglaplace", "loglogistic", "pareto", "pearsont5", "pearsont6",
)  # fmt: skip


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_mean_and_variance(name):
    arguments, exact = {**CONTINUOUS, **DISCRETE}[name]
    mean, variance, _, excess = map(float, exact.stats("mvsk"))
    if not np.isfinite([mean, variance, excess]).all():
        assert name in HEAVY_TAILS
        return
    values = draws(name, arguments, 20_000)
    count = len(values)
    # Within four standard errors; that of the variance follows from the fourth moment.
    assert values.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / count))
    assert values.var() == pytest.approx(variance, abs=4 * variance * np.sqrt((excess + 2) / count))


def test_every_distribution_is_tested():
    assert {*CONTINUOUS, *DISCRETE} == set(SHAPES)


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_mean_where_it_is_known(name):
    arguments, exact = {**CONTINUOUS, **DISCRETE}[name]
    value = mean(Distribution(name, arguments))
    if value is not None:
        assert value == pytest.approx(exact.mean())


@pytest.mark.parametrize(
    ("name", "arguments", "complaint"),
    [
        ("triangular", (5, 10, 15), "mode does not lie between min and max"),
        ("exponential", (0, -1), "negative"),
        ("uniform", (5, 1), "min is greater than max"),
        ("bernoulli", (150, 1, 0), "percentage"),
        ("gamma", (0, 1, 0), "greater than 0"),
        ("exponential", (1,), "exponential has 1 arguments"),
        ("empirical", (1, 2), "no distribution 'empirical' of numbers"),
    ],
)
def test_arguments_without_meaning_are_refused(name, arguments, complaint):
    with pytest.raises(DistributionError, match=complaint):
        sampler(Distribution(name, arguments), stream(0, 0, "a", "b"))


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("return triangular(5, 10, 15);", "triangular takes (min, max, mode)"),
        (PREAMBLE + "return 1 * triangular(5, 10, 15, getstream(current));", "triangular takes (min, max, mode)"),
        ("return 1 * uniform(9, 3);", "uniform takes (min, max)"),
        ("return 1 * weibull(4, 2, 0);", "weibull takes (location, scale, shape)"),
        ("return 1 * exponential(0, 1 / 0.0);", "exponential takes (location, scale)"),
        (
            "return empirical([[50, 3], [40, 4]]);",
            "empirical takes a table: percentages in column 1, values in column 2",
        ),
    ],
)
def test_arguments_in_the_wrong_order_are_explained(model, body, hint):
    report = run(line(model, {"ProcessTime": body}), until=100)
    assert [(d.code, d.hint) for d in report.diagnostics if d.severity.value == "error"] == [("distribution", hint)]


def test_durations_are_never_negative():
    values = sampler(Distribution("normal", (0, 1)), stream(0, 0, "a", "b"), minimum=0.0)
    assert min(next(values) for _ in range(2000)) == 0


def test_streams_depend_on_seed_replication_owner_and_purpose_alone():
    def first(*key):
        return stream(*key).random()

    base = first(1, 0, "Oven", "ProcessTime")
    assert base == first(1, 0, "Oven", "ProcessTime")
    others = [(2, 0, "Oven", "ProcessTime"), (1, 1, "Oven", "ProcessTime"), (1, 0, "Mill", "ProcessTime")]
    assert base not in [first(*key) for key in [*others, (1, 0, "Oven", "SetupTime")]]


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_values_do_not_depend_on_the_length_of_blocks(name):
    """A value that takes several draws of the generator would be paired otherwise, had blocks other lengths."""
    arguments = (CONTINUOUS.get(name) or DISCRETE[name])[0]
    drawn, whole = draws(name, arguments, 300), SHAPES[name].draw(stream(7, 0, "test", name), 512, *arguments)
    assert list(drawn) == whole[:300].tolist()


def test_streams_give_the_same_numbers_on_every_machine():
    generator = stream(1, 0, "Oven", "ProcessTime")
    assert generator.integers(0, 2**63, 3).tolist() == GOLDEN_INTEGERS
    values = sampler(Distribution("exponential", (0, 10)), stream(1, 0, "Oven", "ProcessTime"))
    assert [next(values) for _ in range(3)] == pytest.approx(GOLDEN_EXPONENTIAL, rel=1e-12)


# --- Streams in scripts -----------------------------------------------------------------------------------------------


def line(model, processor, sink=None):
    """One item per second through a Processor into a Sink."""
    objects = {"In": ("Source", {"InterArrivalTime": 1}), "Work": ("Processor", processor), "Out": ("Sink", sink or {})}
    return model(objects, "In>Work Work>Out")


def printed(model, expression, count, per_item=1, **kwargs):
    """What an expression gives, drawn `per_item` times for each item; K stands for the number of the draw."""
    drawn = ", ".join(expression.replace("K", str(k)) for k in range(per_item))
    code = f"Object current = ownerobject(c); print({drawn});"
    script = line(model, {"ProcessTime": 0}, {"Triggers.OnEntry": code})
    report = run(script, until=count / per_item + 0.5, **kwargs)
    assert report.ok, report.diagnostics
    values = [float(text) for printed_line in report.output for text in printed_line.split()]
    assert len(values) == count
    return values


TABLE = "[[10, 1], [20, 2], [0, 3], [40, 4], [30, 8]]"


@pytest.mark.parametrize(
    ("name", "knots", "mean"),
    [
        # Ranges of equal probability density, with their percentages.
        ("empirical", [(1, 2, 10), (2, 3, 20), (4, 8, 40), (8, 8, 30)], 0.15 + 0.5 + 2.4 + 2.4),
        ("cempirical", [(0, 1, 10), (1, 2, 20), (3, 4, 40), (4, 8, 30)], 0.05 + 0.3 + 1.4 + 1.8),
    ],
)
def test_continuous_tables(model, name, knots, mean):
    values = np.array(printed(model, f"{name}({TABLE}, getstream(current))", 4000, per_item=10))
    assert values.mean() == pytest.approx(mean, abs=4 * values.std() / np.sqrt(len(values)))
    for low, high, percent in knots:
        inside = values[(values >= low) & (values < high)] if low < high else values[values == low]
        share = percent / 100
        assert len(inside) / len(values) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(values)))
        if low < high:
            assert ss.kstest(inside, ss.uniform(low, high - low).cdf).pvalue > 1e-3
    assert all(any(low <= value <= high for low, high, _ in knots) for value in values)


def test_discrete_table(model):
    values = np.array(printed(model, f"dempirical({TABLE})", 4000, per_item=10))
    points, counts = np.unique(values, return_counts=True)
    assert points.tolist() == [1, 2, 4, 8]  # the row of 0 % is never drawn
    assert ss.chisquare(counts, np.array([0.1, 0.2, 0.4, 0.3]) * len(values)).pvalue > 1e-3


@pytest.mark.parametrize("reference", ['"Sizes"', 'Table("Sizes")', '">labels/none"', "NULL"])
def test_global_table(model, reference):
    tool = (
        'treenode tool = Tools.create("GlobalTable"); tool.name = "Sizes"; Table sizes = Table("Sizes");\n'
        "sizes.setSize(2, 2); sizes[1][1] = 25; sizes[1][2] = 7; sizes[2][1] = 75; sizes[2][2] = 9;\n"
    )
    report = run(tool + line(model, {}, {"Triggers.OnEntry": f"print(dempirical({reference}));"}), until=2000)
    if "Sizes" not in reference:
        assert {d.code for d in report.diagnostics if d.severity.value == "error"} <= {"table", "distribution"}
        assert not report.ok
        return
    assert report.output.count("9") / len(report.output) == pytest.approx(0.75, abs=0.15)
    assert set(report.output) == {"7", "9"}


def test_discrete_table_of_texts(model):
    script = line(model, {}, {"Triggers.OnEntry": 'print(dempirical([[50, "red"], [50, "blue"]], 3));'})
    assert set(run(script, until=200).output) == {"red", "blue"}


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "is empty"),
        ([[50, 1], [49, 2]], "sum to 99, not to 100"),
        ([[33.33, 1], [33.33, 2], [33.33, 3]], None),
        ([[110, 1], [-10, 2]], "row 2 .* no percentage"),
        ([[100]], "row 1 .* does not have two columns"),
        ([100, 1], "row 1 .* does not have two columns"),
        ([[100, "a"]], "row 1 .* no number in column 2"),
        ([[float("nan"), 1]], "row 1 .* no percentage"),
        ([[100, float("inf")]], "row 1 .* no number in column 2"),
    ],
)
def test_tables_without_meaning_are_refused(rows, complaint):
    if complaint is None:
        assert empirical.read("empirical", rows).values == (1, 2, 3)
        return
    with pytest.raises(DistributionError, match=complaint):
        empirical.read("empirical", rows)


def test_getstream_gives_each_object_one_number_from_101_on(model):
    script = line(
        model,
        {"ProcessTime": 0, "Triggers.OnEntry": "print(getstream(ownerobject(c)));"},
        {"Triggers.OnEntry": 'print(getstream(ownerobject(c)), getstream(Model.find("In")));'},
    )
    assert list(run(script, until=2.5).output) == ["101", "102 103"] * 2


def test_a_stream_number_has_one_sequence_whoever_draws(model):
    sequence = printed(model, "exponential(0, 10, 7)", 20)
    script = line(
        model,
        {"ProcessTime": 0, "Triggers.OnEntry": "print(exponential(0, 10, 7));"},
        {"Triggers.OnEntry": "print(exponential(0, 10, 7));"},
    )
    assert [float(text) for text in run(script, until=10.5).output] == sequence  # the two take turns
    assert printed(model, "exponential(0, 10, 8)", 20) != sequence
    assert printed(model, "exponential(0, 10)", 20) == printed(model, "exponential(0, 10, 0)", 20)


@pytest.mark.parametrize("body", ["return 1 * exponential(0, 10, getstream(current));", "return exponential(0, 10);"])
def test_streams_of_objects_do_not_depend_on_other_objects(model, body):
    """Common random numbers: what happens in one line is the same with and without another line."""

    def events(names):
        objects, links = {}, []
        for name in names:
            objects[f"In{name}"] = ("Source", {"InterArrivalTime": PREAMBLE + body.replace("10", "12")})
            objects[f"Work{name}"] = ("Processor", {"ProcessTime": PREAMBLE + body})
            objects[f"Out{name}"] = ("Sink", {})
            links += [f"In{name}>Work{name}", f"Work{name}>Out{name}"]
        found = []
        run(model(objects, " ".join(links)), until=2000, trace=found.append)
        return [(e.time, e.kind, e.object) for e in found if e.object.endswith("B")]

    alone = events("B")
    assert len(alone) > 100
    assert events("AB") == events("BC") == alone


def test_streams_of_objects_are_independent(model):
    one, other = (
        np.array(printed(model, f'normal(0, 1, getstream(Model.find("{name}")))', 2000, per_item=10))
        for name in ("In", "Work")
    )
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(one))
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 4 / np.sqrt(len(one))
    assert ss.kstest(one, ss.norm.cdf).pvalue > 1e-3


def test_objects_of_one_name_have_streams_of_their_own():
    script = """
        Object source = Object.create("Source"); source.name = "In"; source.setProperty("InterArrivalTime", 1);
        Object sink = Object.create("Sink"); sink.name = "Out";
        for (int i = 1; i <= 2; i++) {
            Object twin = Object.create("Processor"); twin.name = "Twin";
            twin.setProperty("ProcessTime", "Object current = ownerobject(c); double t = exponential(0, 1, getstream(current)); print(t); return t;");
            contextdragconnection(source, twin, "A"); contextdragconnection(twin, sink, "A");
        }
    """  # noqa: E501
    output = run(script, until=50).output
    assert len(set(output)) == len(output) > 20


def test_replications_and_seeds_change_every_stream(model):
    for expression in ("exponential(0, 10, getstream(current))", "exponential(0, 10, 5)", f"cempirical({TABLE})"):
        first = printed(model, expression, 5, seed=1)
        assert first == printed(model, expression, 5, seed=1)
        assert not set(first) & set(printed(model, expression, 5, seed=2))
        script = line(
            model, {"ProcessTime": 0}, {"Triggers.OnEntry": f"Object current = ownerobject(c); print({expression});"}
        )
        both = run(script, until=5.5, seed=1, replications=2).output
        assert [float(text) for text in both[:5]] == first
        assert not set(both[:5]) & set(both[5:])


def test_arguments_that_change_with_every_call_keep_to_their_distribution(model):
    # More sets of arguments than samplers are kept for.
    values = np.array(printed(model, "exponential(time() + K, 1) - time() - K", 3000, per_item=10))
    assert ss.kstest(values, ss.expon.cdf).pvalue > 1e-3
    values = np.array(
        printed(model, "empirical([[100, time() + K], [0, time() + K + 1]]) - time() - K", 3000, per_item=10)
    )
    assert ss.kstest(values, ss.uniform.cdf).pvalue > 1e-3


def test_a_stream_that_is_no_number_is_reported(model):
    script = line(model, {"ProcessTime": "Object current = ownerobject(c); return 1 * exponential(0, 1, current);"})
    assert "the stream of exponential is a number" in " ".join(d.message for d in run(script, until=20).diagnostics)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return exponential(0, 10);", Distribution("exponential", (0, 10))),
        ("return exponential(0, 10, 1);", Distribution("exponential", (0, 10))),
        ("return exponential(0,10,getstream(current));", Distribution("exponential", (0, 10))),
        ("exponential(0, 10)", Distribution("exponential", (0, 10))),
        (
            PREAMBLE + "/**popup*//**/return /**/triangular(5, 15, 10, getstream(current));",
            Distribution("triangular", (5, 15, 10)),
        ),
        ("return uniform(-1.5, 2e1);", Distribution("uniform", (-1.5, 20))),
        ("return uniform(2 * 3, 10.0 - 1);", Distribution("uniform", (6, 9))),
        ("return 10;", 10),
        ("2.5", 2.5),
        ("return -3;", -3),
        (PREAMBLE + "return 7;", 7),
    ],
)
def test_recognised_bodies(text, expected):
    assert codebody.understand(text).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "return exponential(0, item.Time);",
        "return 2 * exponential(0, 10);",
        "return exponential(0);",
        "return exponential(0, 10, 3, 4);",
        "return uniform(0, duniform(1, 3));",
        "if (time() > 5) return 1; return 2;",
        "int x = 3; return exponential(0, 10);",
        'return dempirical("T");',
        "return 1",
        "exponential(0, 10);",
        "",
        "return 1e999;",
        "return 7/2;",
    ],
)
def test_bodies_that_stay_code(text):
    assert codebody.understand(text).value == Code(text)
