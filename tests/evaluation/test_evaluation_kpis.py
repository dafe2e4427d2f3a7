"""The figures of two runs as text."""

import pytest

from vlsm_jax.evaluation.kpis import compare_kpis, duration


def estimate(mean, half_width=None):
    return {"mean": mean, "half_width": half_width, "replications": 1}


def kpis(**changes):
    stations = {"Mill": 0.5, "Lathe": 0.97, "In": None}
    return {
        "total_throughput": estimate(359.875),
        "throughput": {"Out": estimate(359.875)},
        "lead_time": estimate(372.4),
        "wip": estimate(7.25),
        "bottleneck": "Lathe",
        "objects": {n: {"utilisation": None if u is None else estimate(u)} for n, u in stations.items()},
    } | changes


def table(*runs):
    return {row.label: (row.reference, row.candidate.replace("\u00a0", " ")) for row in compare_kpis(*runs)}


def test_both_runs_stand_beside_each_other():
    candidate = kpis(total_throughput=estimate(300.0, 12.34), lead_time=None, bottleneck=None, objects={})
    rows = table(kpis(), candidate)
    assert rows["Throughput per hour"] == ("359.9", "300.0 ± 12.3")
    assert rows["Lead time"] == ("6\u00a0min 12\u00a0s", "–")
    assert rows["Items in the model, average"] == ("7.25", "7.25")
    assert rows["Bottleneck"] == ("Lathe", "–")
    # The busiest station first; what does not process has no utilisation.
    assert [label for label in rows if label.startswith("Util")] == ["Utilisation of Lathe", "Utilisation of Mill"]
    assert rows["Utilisation of Mill"] == ("50.0\u00a0%", "–")


def test_several_sinks_are_named():
    rows = table(kpis(), kpis(throughput={"Out": estimate(300.0), "Scrap": estimate(1234.5)}))
    assert rows["at Scrap"] == ("–", "1234")
    assert "at Out" not in table(kpis(), kpis())


def test_a_script_that_did_not_run_has_no_figures():
    assert compare_kpis(None, None) == []
    assert set(table(None, kpis()).values()) >= {("–", "Lathe")}
    assert {candidate for _, candidate in table(kpis(), None).values()} == {"–"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (372.4, "6 min 12 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds).replace("\u00a0", " ") == text
