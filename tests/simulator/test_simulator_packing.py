"""Combiner and Separator."""

import collections

import pytest

from vlsm_jax.simulator import run


def combine(model, mode, table=None, *, until=100.0, trace=None, after=None):
    """Two Sources, one container every 10 s, one component every 2 s, packed in 1 s."""
    properties = {"CombineMode": mode, "ProcessTime": 1}
    if table is not None:
        properties["ComponentsList"] = table
    objects = {
        "Boxes": ("Source", {"InterArrivalTime": 10}),
        "Parts": ("Source", {"InterArrivalTime": 2}),
        "BoxLine": ("Queue", {}),
        "PartLine": ("Queue", {}),
        "Pack": ("Combiner", properties),
        **(after or {}),
        "Out": ("Sink", {}),
    }
    links = "Boxes>BoxLine Parts>PartLine BoxLine>Pack PartLine>Pack " + ("Pack>Open Open>Out" if after else "Pack>Out")
    report = run(model(objects, links), until=until, trace=trace)
    assert report.ok, report.diagnostics
    return report


def arrivals(report, name="Out"):
    return report.kpis.objects[name].input.mean


@pytest.mark.parametrize(("mode", "leaving"), [("Pack", 9), ("Join", 9), ("Batch", 36)])
def test_modes(model, mode, leaving):
    # Boxes come at 10, 20, ..., 100 and are done 1 s later, with 3 parts each from a line that never runs dry.
    report = combine(model, mode, [[3]])
    pack = report.kpis.objects["Pack"]
    assert arrivals(report) == leaving
    assert pack.input.mean == 40
    assert pack.content_current.mean == 4
    assert pack.content_max.mean == 4
    assert {n: e.mean for n, e in pack.states.items()} == pytest.approx({"idle": 91, "processing": 9})
    # Four items are inside for one second, nine times.
    assert pack.content_average.mean == pytest.approx(9 * 4 / 100)


def test_the_container_comes_first_and_then_exactly_what_the_table_says(model):
    trace = []
    combine(model, "Pack", [[2]], trace=trace.append)
    entered = [event.time for event in trace if (event.kind, event.object) == ("entry", "Pack")]
    assert entered == [t for t in range(10, 101, 10) for _ in range(3)]


def test_one_component_is_the_default(model):
    assert combine(model, "Batch").kpis.objects["Pack"].input.mean == 20


def test_a_slow_component_is_waited_for(model):
    report = combine(model, "Pack", [[8]])
    pack = report.kpis.objects["Pack"]
    # The first box comes at 10, its eighth part at 16; from the second box on, a batch takes 16 s, as parts are scarce.
    assert pack.output.mean == 6  # at 17, 33, ..., 97
    assert pack.states["idle"].mean == pytest.approx(13)  # until 10, and from 17 to 20
    assert pack.states["processing"].mean == pytest.approx(6)
    assert pack.states["collecting"].mean == pytest.approx(81)


def test_with_one_input_the_container_is_processed_alone(model):
    script = model(
        {"In": ("Source", {"InterArrivalTime": 10}), "Pack": ("Combiner", {"ProcessTime": 4}), "Out": ("Sink", {})},
        "In>Pack Pack>Out",
    )
    report = run(script, until=100)
    assert arrivals(report) == 9
    assert report.kpis.objects["Pack"].utilisation.mean == pytest.approx(0.36)


def test_a_blocked_combiner_takes_nothing(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 1}),
            "Pack": ("Combiner", {"ProcessTime": 1}),
            "Slow": ("Processor", {"ProcessTime": 30}),
            "Out": ("Sink", {}),
        },
        "In>Pack Pack>Slow Slow>Out",
    )
    pack = run(script, until=100).kpis.objects["Pack"]
    # Ends at 2, 4, 33, 63, 93: the second one waits for Slow from 4 to 32, and so on.
    assert pack.states["blocked"].mean > 80
    assert pack.content_max.mean == 1


@pytest.mark.parametrize(("quantity", "leaving"), [(None, 4), (1, 2), (9, 4), (0, 1)])
def test_unpacking_gives_back_what_was_packed(model, quantity, leaving):
    setting = {} if quantity is None else {"SeparateQty": quantity}
    order = []
    report = combine(
        model, "Pack", [[3]], until=12,
        after={"Open": ("Separator", {"ProcessTime": 0.5, **setting})},
        trace=lambda e: order.append(e.item) if (e.kind, e.object) == ("entry", "Out") else None,
    )  # fmt: skip
    assert arrivals(report) == leaving
    # The last one packed comes out first, the container after all that are taken out.
    container = order[-1]
    assert order[:-1] == sorted(order[:-1], reverse=True)
    assert container not in order[:-1]


@pytest.mark.parametrize("quantity", [1, 2, 5, "return duniform(3, 3);"])
def test_splitting_gives_so_many_in_all(model, quantity):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 10}),
            "Split": ("Separator", {"SeparateMode": "Split", "SeparateQty": quantity, "ProcessTime": 5}),
            "Out": ("Sink", {}),
        },
        "In>Split Split>Out",
    )
    report = run(script, until=100)
    assert arrivals(report) == 9 * (3 if isinstance(quantity, str) else quantity)
    assert report.kpis.lead_time.mean == 5


def test_a_split_without_a_quantity_says_what_it_assumes(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 10}),
            "S": ("Separator", {"SeparateMode": 0, "ProcessTime": 5}),
            "Out": ("Sink", {}),
        },
        "In>S S>Out",
    )
    report = run(script, until=100)
    assert arrivals(report) == 18
    assert "assumed" in [d.code for d in report.diagnostics]


def test_the_next_item_waits_until_all_parts_have_left(model):
    script = model(
        {
            "In": ("Source", {"InterArrivalTime": 1}),
            "Split": ("Separator", {"SeparateMode": "Split", "SeparateQty": 3, "ProcessTime": 1}),
            "Slow": ("Processor", {"ProcessTime": 10}),
            "Out": ("Sink", {}),
        },
        "In>Split Split>Slow Slow>Out",
    )
    entered = []
    report = run(
        script, until=100, trace=lambda e: entered.append(e.time) if (e.kind, e.object) == ("entry", "Split") else None
    )
    # Parts go on at 2, 12 and 22; the next item comes in at 22 and is split at 23, and so on.
    assert entered == [1, 22, 52, 82]
    assert report.kpis.objects["Split"].content_max.mean == 3


def test_items_are_conserved_through_packing_and_splitting(model):
    script = model(
        {
            "Boxes": ("Source", {"InterArrivalTime": "return exponential(0, 7);"}),
            "Parts": ("Source", {"InterArrivalTime": "return exponential(0, 3);"}),
            "Pack": (
                "Combiner",
                {"CombineMode": "Batch", "ComponentsList": [[2]], "ProcessTime": "return uniform(1, 3);"},
            ),
            "Line": ("Queue", {"MaxContent": 5}),
            "Split": ("Separator", {"SeparateMode": 0, "SeparateQty": 2, "ProcessTime": "return exponential(0, 1);"}),
            "Out": ("Sink", {}),
        },
        "Boxes>Pack Parts>Pack Pack>Line Line>Split Split>Out",
    )
    trace = []
    report = run(script, until=2000, seed=4, trace=trace.append)
    assert report.ok
    objects = report.kpis.objects
    for name in ("Pack", "Line"):
        assert objects[name].input.mean == objects[name].output.mean + objects[name].content_current.mean
    assert objects["Split"].output.mean == pytest.approx(2 * objects["Split"].input.mean, abs=2)
    for name, statistics in objects.items():
        assert sum(e.mean for e in statistics.states.values()) == pytest.approx(2000), name
    entries = collections.Counter(event.object for event in trace if event.kind == "entry")
    assert entries["Out"] == objects["Split"].output.mean
    ratio = objects["Parts"].output.mean / objects["Boxes"].output.mean
    assert ratio == pytest.approx(2, abs=0.05)


def test_copies_share_no_array_and_no_map(model):
    script = model(
        {
            "In": ("Source", {"ArrivalStyle": "Arrival Schedule", "ArrivalSchedule": [[0, "Part", 1]]}),
            "Split": ("Separator", {"SeparateMode": "Split", "SeparateQty": 2, "ProcessTime": 1}),
            "Out": ("Sink", {}),
        },
        "In>Split Split>Out",
    )
    script += """
        Object created = Model.find("In");
        created.setProperty("Triggers.OnCreation", "Object item = param(1); item.a = [1]; item.m = Map();");
        Object out = Model.find("Out");
        out.setProperty("Triggers.OnEntry",
            "Object item = param(1); item.a.push(2); item.m[1] = 1; print(item.a.length, item.m.keys.length);");
        Object twice = Model.find("Split"); twice.log = [1];
        Object other = createcopy(twice, model()); other.log.push(2); print(twice.log.length);
    """
    assert run(script, until=10).output == ("1", "2 1", "2 1")
