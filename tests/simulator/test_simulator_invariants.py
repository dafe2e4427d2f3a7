"""Laws that hold on every run, under generated factories."""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from simulator_factories import factories, lines, script_of

from vlsm_jax.simulator import Budget, Verdict, run
from vlsm_jax.twin import TwinObject

SCRIPTS = pathlib.Path(__file__).parent / "scripts"
UNTIL = 150.0
BUDGET = Budget(events=20_000, items=5_000)
RAN = (Verdict.OK, Verdict.NO_FLOW)
# A failing factory is shown as it was found: making it smaller takes minutes.
quick = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)


def observed_run(twin, **kwargs):
    """The Report and the trace of a factory; None when it runs round in a circle without time."""
    trace = []
    report = run(script_of(twin), until=UNTIL, trace=trace.append, budget=BUDGET, **kwargs)
    assert report.verdict in (*RAN, Verdict.BUDGET, Verdict.WIRING), report.diagnostics
    return (report, trace) if report.kpis is not None else None


class Ledger:
    """Where every item is, from the trace and the classes of the objects alone; each step is checked to be possible."""

    def __init__(self, twin):
        self.objects = twin.by_name
        self.place: dict[int, str] = {}
        self.entered: dict[int, float] = {}
        self.packed: dict[int, list[int]] = collections.defaultdict(list)
        self.gone: set[int] = set()
        self.area: collections.Counter[str] = collections.Counter()
        self.created = 0
        self.copies = 0

    def follow(self, trace, warmup):
        """Books every event; `area` counts item seconds behind the warm-up."""
        for event in trace:
            if event.kind == "entry":
                self._enter(event)
            else:
                self._leave(event, warmup)

    def _mode(self, name, key, default):
        return self.objects[name].parameters.get(key, default)

    def _enter(self, event):
        assert event.item not in self.place, "an item is in two places"
        if self.objects[event.object].cls == "Sink":
            self._end(event.item)
        else:
            self.place[event.item] = event.object
            self.entered[event.item] = event.time

    def _end(self, item):
        assert item not in self.gone
        self.gone.add(item)
        for inside in self.packed.pop(item, ()):
            self._end(inside)

    def _leave(self, event, warmup):
        cls, item, name = self.objects[event.object].cls, event.item, event.object
        if cls == "Source":
            assert item not in self.place
            self.created += 1
            return
        if cls == "Separator" and self.place.get(item) != name:
            self._separated(item, name)
            return
        assert self.place.pop(item) == name, "an item leaves a place where it is not"
        self.area[name] += max(0.0, event.time - max(warmup, self.entered[item]))
        if cls == "Combiner":
            self._combined(item, name)

    def _separated(self, item, name):
        """An item that did not enter comes out: a copy, or something that was packed into an item inside."""
        if self._mode(name, "SeparateMode", "Unpack") == "Split":
            assert item not in self.gone
            assert item not in self.place
            self.copies += 1
            return
        container = next(other for other, place in self.place.items() if place == name and item in self.packed[other])
        self.packed[container].remove(item)

    def _combined(self, item, name):
        """A container comes out: what else is inside is packed into it, or ends; in a batch everything comes out."""
        mode = self._mode(name, "CombineMode", "Pack")
        if mode == "Batch":
            return
        inside = [other for other, place in self.place.items() if place == name]
        for other in inside:
            del self.place[other]
            if mode == "Pack":
                self.packed[item].append(other)
            else:
                self._end(other)

    def held(self):
        """Items by the object that holds them."""
        return collections.Counter(self.place.values())


def exact_content(obj):
    """Whether entries and exits tell all: a Combiner and a Separator end and make items in between."""
    return obj.cls not in ("Source", "Sink", "Combiner", "Separator")


@pytest.mark.parametrize("odd", [False, True])
@given(data=st.data(), seed=st.integers(0, 3), warmup=st.sampled_from([0.0, 25.0]))
@settings(quick, max_examples=60)
def test_conservation_states_and_littles_law(odd, data, seed, warmup):
    twin = data.draw(factories(odd))
    seen = observed_run(twin, seed=seed, warmup=warmup)
    if seen is None:
        return
    report, trace = seen
    assert [event.time for event in trace] == sorted(event.time for event in trace)
    ledger = Ledger(twin)
    ledger.follow(trace, warmup)
    held, observed = ledger.held(), UNTIL - warmup
    for item, name in ledger.place.items():
        ledger.area[name] += UNTIL - max(warmup, ledger.entered[item])

    for name, figures in report.kpis.objects.items():
        obj = twin.by_name[name]
        assert sum(seconds.mean for seconds in figures.states.values()) == pytest.approx(observed, abs=1e-9)
        assert all(seconds.mean >= 0 for seconds in figures.states.values())
        if exact_content(obj):
            # L = lambda W on the recorded path: the mean content is the time that items spent inside.
            assert figures.content_average.mean * observed == pytest.approx(ledger.area[name], abs=1e-9 * observed)
            assert figures.content_current.mean == held[name]
            assert figures.content_max.mean >= held[name]
            if warmup == 0:
                assert figures.input.mean == figures.output.mean + figures.content_current.mean

    # Items created = in the system + gone, packed ones included.
    packed = sum(len(inside) for inside in ledger.packed.values())
    assert ledger.created + ledger.copies == len(ledger.place) + packed + len(ledger.gone)
    if warmup == 0:
        sources = [o.name for o in twin.objects if o.cls == "Source" and o.name in report.kpis.objects]
        assert ledger.created == sum(report.kpis.objects[name].output.mean for name in sources)


@pytest.mark.parametrize("odd", [False, True])
@given(data=st.data())
@settings(quick, max_examples=25)
def test_capacity_is_never_exceeded(odd, data):
    twin = data.draw(factories(odd))
    seen = observed_run(twin)
    if seen is None:
        return
    content = collections.Counter()
    for event in seen[1]:
        content[event.object] += 1 if event.kind == "entry" else -1
        obj = twin.by_name[event.object]
        if obj.cls in ("Queue", "Processor") and "MaxContent" in obj.parameters:
            assert 0 <= content[event.object] <= obj.parameters["MaxContent"]


@given(line=lines(), data=st.data())
@settings(quick, max_examples=40)
def test_nothing_is_later_in_a_line_with_a_larger_buffer(line, data):
    """Under common random numbers every departure comes no later, so throughput cannot fall at any time."""
    grown = data.draw(st.sampled_from([obj.name for obj in line.objects if obj.cls == "Queue"]))
    more = data.draw(st.integers(1, 5))

    def departures(twin):
        trace = []
        run(script_of(twin), until=UNTIL, seed=2, trace=trace.append, budget=BUDGET)
        return [event.time for event in trace if (event.object, event.kind) == ("Out", "entry")]

    larger = tuple(
        TwinObject(o.cls, o.name, o.location, {**o.parameters, "MaxContent": o.parameters["MaxContent"] + more})
        if o.name == grown
        else o
        for o in line.objects
    )
    before, after = departures(line), departures(dataclasses.replace(line, objects=larger))
    assert len(after) >= len(before)
    assert all(later <= earlier + 1e-9 for earlier, later in zip(before, after, strict=False))


@pytest.mark.parametrize("odd", [False, True])
@given(data=st.data(), seed=st.integers(0, 3))
@settings(quick, max_examples=25)
def test_the_same_seed_gives_the_same_report_and_a_trace_changes_nothing(odd, data, seed):
    script = script_of(data.draw(factories(odd)))
    first = run(script, until=UNTIL, seed=seed, replications=2, budget=BUDGET)
    again = run(script, until=UNTIL, seed=seed, replications=2, budget=BUDGET, trace=lambda event: None)
    assert json.dumps(first.to_dict()) == json.dumps(again.to_dict())


@pytest.mark.parametrize("odd", [False, True])
@given(data=st.data(), split=st.sampled_from([20.0, 37.5, 100.0]))
@settings(quick, max_examples=25)
def test_two_runs_around_the_warm_up_add_up(odd, data, split):
    # Statistics begin anew at the warm-up, so nothing may depend on them.
    script = script_of(data.draw(factories(odd))).replace(
        "current.stats.input.value", "duniform(0, 1, getstream(current))"
    )
    before = run(script, until=split, budget=BUDGET)
    behind = run(script, until=UNTIL, warmup=split, budget=BUDGET)
    whole = run(script, until=UNTIL, budget=BUDGET)
    if any(report.kpis is None for report in (before, behind, whole)):
        return
    for name, figures in whole.kpis.objects.items():
        parts = [(before.kpis.objects[name], split), (behind.kpis.objects[name], UNTIL - split)]
        for count in ("input", "output"):
            assert getattr(figures, count).mean == sum(getattr(part, count).mean for part, _ in parts)
        content = sum(part.content_average.mean * seconds for part, seconds in parts)
        assert figures.content_average.mean * UNTIL == pytest.approx(content, abs=1e-6)
        assert figures.content_current == parts[1][0].content_current
        assert figures.content_max.mean == max(part.content_max.mean for part, _ in parts)
        for state, seconds in figures.states.items():
            total = sum(part.states[state].mean for part, _ in parts if state in part.states)
            assert seconds.mean == pytest.approx(total, abs=1e-9)
        if figures.staytime_average is not None:
            stays = sum(part.staytime_average.mean * part.output.mean for part, _ in parts if part.staytime_average)
            assert figures.staytime_average.mean * figures.output.mean == pytest.approx(stays, abs=1e-6)


_DIGEST = """
import hashlib, json, sys
from vlsm_jax.simulator import run
for script in json.load(sys.stdin):
    report = run(script, until=2000, seed=5, replications=2)
    print(hashlib.sha256(json.dumps(report.to_dict()).encode()).hexdigest())
"""


def test_reports_do_not_depend_on_the_process():
    """Byte for byte, with other hashes of strings, and so another order of every set."""
    scripts = [path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.fsx"))]
    own = [
        hashlib.sha256(json.dumps(run(script, until=2000, seed=5, replications=2).to_dict()).encode()).hexdigest()
        for script in scripts
    ]
    for number in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-c", _DIGEST],
            input=json.dumps(scripts),
            env={**os.environ, "PYTHONHASHSEED": number, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.split() == own
