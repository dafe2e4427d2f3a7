"""The tables of industries and the families of distributions."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from vlsm_jax.synth.distributions import ARRIVALS, FAMILIES, SERVICES, draw_duration, mean_of, round_number
from vlsm_jax.synth.industries import INDUSTRIES, Industry, Station, Step, industry
from vlsm_jax.synth.industries.model import multiprocessor
from vlsm_jax.twin import Distribution

KEYS = (
    *("semiconductor", "electronics", "photomask", "food", "pcb", "ev_battery", "led", "wafer_test", "server"),
    *("medical", "pharma", "automotive", "display"),
)
FLOOR = (
    *("rejects", "reworks", "buffers", "conveyors", "operators", "transporters", "agvs", "robots", "cranes"),
    *("executers", "dispatchers"),
)


def names_of(table):
    """Every name an object may get."""
    out = [station.name for station in table.stations]
    out += [part.supply for station in table.stations for part in station.components]
    for field in ("sources", "sinks", *FLOOR):
        out += getattr(table, field)
    return out


def tact(station):
    """Seconds from one item to the next, in the middle of what is plausible."""
    return np.mean(station.seconds) / np.mean(station.places)


def test_the_industries_of_the_paper_are_there():
    assert tuple(INDUSTRIES) == KEYS
    assert [table.key for table in INDUSTRIES.values()] == list(KEYS)
    assert len({table.title for table in INDUSTRIES.values()}) == 13
    assert len({table.item for table in INDUSTRIES.values()}) == 13
    # "a" or "an" follows from the first letter, not from how letters are named: "an LED" would not.
    assert not [table.title for table in INDUSTRIES.values() if re.match(r"[FHLMNRSX][A-Z]|[Uu]ni", table.title)]


@pytest.mark.parametrize("key", KEYS)
def test_names_fit_under_an_icon_and_are_unique(key):
    names = names_of(industry(key))
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        # ASCII words; no digit at the end, where the number of a lane is appended.
        assert re.fullmatch(r"[A-Z][A-Za-z]*(?:[ -][A-Za-z]+)*", name), name
        assert len(name) <= 22, name


@pytest.mark.parametrize("key", KEYS)
def test_everybody_on_the_floor_has_names(key):
    table = industry(key)
    for field in FLOOR:
        assert 2 <= len(getattr(table, field)) <= 5, field
    assert 2 <= len(table.sources) <= 5
    assert 2 <= len(table.sinks) <= 5


@pytest.mark.parametrize("key", KEYS)
def test_stations_say_what_their_class_needs_and_nothing_else(key):
    table = industry(key)
    assert 15 <= len(table.stations) <= 28
    for station in table.stations:
        low, high = station.seconds
        if station.cls in ("Queue", "Rack"):
            assert (low, high) == (0, 0)
            assert station.setup is None
            assert not station.attended
            assert min(station.places) >= 5
        else:
            assert 0 < low < high <= 900
            assert not station.lifo
        if station.setup is not None:
            assert 0 < station.setup[0] < station.setup[1] < high
        assert list(station.places) == sorted(set(station.places))
        assert station.places == (1,) or station.cls in ("Processor", "Queue", "Rack")

        assert bool(station.components) == (station.cls == "Combiner")
        assert len(station.components) <= 3
        for part in station.components:
            assert 1 <= part.quantity[0] <= part.quantity[1] <= 4
            assert part.supply.endswith("Supply")
        modes = {"Combiner": ("Pack", "Join", "Batch"), "Separator": ("Split", "Unpack")}
        assert station.mode in modes.get(station.cls, ("",))
        assert (station.quantity is not None) == (station.mode == "Split")
        if station.quantity:
            assert 2 <= station.quantity[0] <= station.quantity[1] <= 6

        assert bool(station.steps) == (station.cls == "MultiProcessor")
        if station.steps:
            assert 2 <= len(station.steps) <= 4
            assert all(0 < step.low < step.high for step in station.steps)
            assert station.seconds == (sum(s.low for s in station.steps), sum(s.high for s in station.steps))
        assert (station.yields is not None) == station.inspects
        if station.inspects:
            assert station.cls == "Processor"
            assert 75 <= station.yields[0] < station.yields[1] < 100


@pytest.mark.parametrize("key", KEYS)
def test_a_line_can_be_balanced(key):
    tacts = [tact(station) for station in industry(key).stations if station.seconds != (0, 0)]
    assert max(tacts) <= 6 * min(tacts)


@pytest.mark.parametrize("key", KEYS)
def test_every_industry_has_everything_a_floor_may_have(key):
    stations = industry(key).stations
    classes = Counter(station.cls for station in stations)
    assert classes["Processor"] >= 8
    assert min(classes[cls] for cls in ("Queue", "Combiner", "Rack")) >= 1
    assert classes["Separator"] + classes["MultiProcessor"] >= 1
    assert sum(station.inspects for station in stations) >= 2
    assert sum(station.attended for station in stations) >= 4
    assert any(station.batches for station in stations)


@pytest.mark.parametrize("key", KEYS)
def test_batches_fit_where_they_are_collected_and_where_they_go(key):
    stations = industry(key).stations
    for station, after in itertools.pairwise(stations):
        if station.batches:
            assert station.cls == "Queue"
            assert min(station.batches) >= 2
            assert max(station.batches) <= min(station.places)
            assert after.cls == "Processor"
            assert max(station.batches) <= max(after.places)
    assert not stations[-1].batches


@pytest.mark.parametrize("key", KEYS)
def test_queues_stand_beside_a_processor(key):
    classes = ["", *(station.cls for station in industry(key).stations), ""]
    for i, cls in enumerate(classes):
        assert cls != "Queue" or "Processor" in (classes[i - 1], classes[i + 1])


@pytest.mark.parametrize("key", KEYS)
def test_what_is_unpacked_was_packed(key):
    packed = False
    for station in industry(key).stations:
        if station.mode == "Unpack":
            assert packed
            packed = False
        packed = packed or station.mode == "Pack"


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(KEYS, 2)))
def test_industries_share_less_than_half_of_their_stations(one, other):
    first, second = ({station.name for station in industry(key).stations} for key in (one, other))
    assert 2 * len(first & second) < min(len(first), len(second))


def test_a_few_names_are_known_in_several_industries():
    shared = Counter(name for table in INDUSTRIES.values() for name in names_of(table))
    assert {"Forklift", "Dispatcher", "TaskExecuter"} <= {name for name, count in shared.items() if count > 1}
    assert sum(count > 1 for count in shared.values()) < 0.05 * len(shared)


# Orders that the sources in the modules of the tables state.
ORDERS = {
    "semiconductor": [
        *("HMDS Prime Oven", "Resist Spin Coater", "Wafer Stepper", "Post-Exposure Hotplate", "Puddle Developer"),
        *("Hard Bake Plate", "After-Develop Inspect", "Plasma Etcher"),
    ],
    "photomask": [
        "Post-Exposure Bake",
        "Mask Developer",
        "Chrome Etcher",
        "Defect Repair",
        "Final Clean",
        "Pellicle Mounter",
    ],
    "wafer_test": [
        *("Ambient Prober", "Laser Repair Tool", "Hot Chuck Prober", "Wafer Map Merger", "Ink Dot Marker"),
        "Dicing Frame Mounter",
    ],
    "led": [
        *("Chip Inspector", "Film Expander", "Die Bonder", "Silver Paste Oven", "Gold Wire Bonder"),
        *("Pre-Seal Light Test", "Phosphor Cell", "Encapsulant Oven", "Light Color Tester", "Bin Sorter"),
        "Taping Machine",
    ],
    "display": [
        *("Polyimide Printer", "Alignment Film Oven", "Rubbing Machine", "Spacer Sprayer", "Seal Dispenser"),
        *("LC Drop Filler", "Vacuum Assembler", "Glass Scriber", "Polarizer Laminator", "Autoclave Debubbler"),
        *("Cell Lighting Test", "COG Bonder", "FOG Bonder", "Particle Trace AOI", "Terminal Gluer"),
        *("Backlight Assembly", "Panel Aging Chamber"),
    ],
    "ev_battery": [
        *("Formation Charger", "Degassing Station", "Ageing Rack", "Capacity Tester", "OCV Tester", "Cell Sorter"),
        *("Plasma Cleaner", "Adhesive Dispenser", "Cell Stacker", "Stack Press", "Laser Welder"),
    ],
    "pcb": [
        *("Solder Paste Printer", "Paste Inspection", "Chip Placer", "IC Placer", "Reflow Oven"),
        *("Through-Hole Insertion", "In-Circuit Tester", "Panel Programmer", "Depanel Router", "Functional Tester"),
    ],
    "electronics": [
        *("Incoming Parts Check", "Firmware Downloader", "Speaker Soldering", "Semi-Finished Test"),
        *("Back Cover Assembly", "Cosmetic Check", "Screw Locker", "MMI Test Station", "Coupling Test Box"),
        *("IMEI Laser Etcher", "Out-of-Box Audit"),
    ],
    "server": [
        *("CPU Socketing", "Thermal Paste Printer", "Heatsink Mounting", "DIMM Insertion", "BIOS Flash Station"),
        *("Memory Tester", "Chassis Installation", "OS Imaging Station", "Burn-In Chamber", "System Function Test"),
    ],
    "automotive": [
        *("Stencil Printer", "Modular Mounter", "Nitrogen Reflow", "Selective Solder", "Selective Coater"),
        *("Housing Plasma Jet", "Liquid Gasket Robot", "Cover Placement", "EOL Function Test"),
    ],
    "food": [
        *("Flume Washer", "Steam Peeler", "Slicer Dicer", "Blancher", "Can Filler", "Exhaust Box", "Double Seamer"),
        *("Retort Vessel", "Spray Cooler", "Can Labeler", "Case Packing Cell", "Incubation Store"),
    ],
    "pharma": [
        *("Rotary Vial Washer", "Depyrogenation Tunnel", "Aseptic Filler", "Stopper Inserter", "Freeze Dryer"),
        *("Crimp Capper", "Particle Inspection", "Vial Labeler", "Cartoner"),
    ],
    "medical": [
        *("Tube Extruder", "Laser Micrometer", "Tube Cutter", "Balloon Bonding", "Hub Bonding", "Pouch Sealer"),
        *("Preconditioning Room", "EO Sterilizer", "Aeration Chamber"),
    ],
}


@pytest.mark.parametrize("key", KEYS)
def test_stations_stand_in_the_order_of_the_process(key):
    order = [station.name for station in industry(key).stations]
    assert [name for name in order if name in ORDERS[key]] == ORDERS[key]


def test_nothing_but_packing_and_a_last_look_follows_the_pellicle():
    order = [station.name for station in industry("photomask").stations]
    after = order[order.index("Pellicle Mounter") + 1 :]
    assert after == ["Final Mask Inspection", "Mask Pod Loader", "Outgoing Stocker"]


def test_devices_are_sterilised_in_their_pouch():
    assert not [s.name for s in industry("medical").stations[-3:] if s.components or s.inspects]


def test_times_of_a_multiprocessor_are_those_of_its_steps():
    station = multiprocessor("Washer", ("Wash", 10, 20), ("Dry", 5, 8.5))
    assert station.seconds == (15, 28.5)
    assert station.steps == (Step("Wash", 10, 20), Step("Dry", 5, 8.5))


def test_a_table_needs_only_its_stations():
    table = Industry("cheese", "dairy", "wheels", ("Milk",), ("Shop",), (Station("Vat", "Processor", (30, 60)),))
    assert all(len(getattr(table, field)) >= 2 for field in FLOOR)


def test_unknown_industry_lists_the_known():
    with pytest.raises(ValueError, match=r"'cheese'.*semiconductor, .*photomask, .*display"):
        industry("cheese")


SAMPLERS = {
    "exponential": lambda r, a, n: a[0] + r.exponential(a[1], n),
    "normal": lambda r, a, n: r.normal(a[0], a[1], n),
    "triangular": lambda r, a, n: r.triangular(a[0], a[2], a[1], n),  # FlexSim: min, max, mode
    "uniform": lambda r, a, n: r.uniform(a[0], a[1], n),
    "lognormalmeanstdev": lambda r, a, n: r.lognormal(
        np.log(a[0] ** 2 / np.hypot(*a)), np.sqrt(np.log1p((a[1] / a[0]) ** 2)), n
    ),
    "weibull": lambda r, a, n: a[0] + a[1] * r.weibull(a[2], n),
    "gamma": lambda r, a, n: a[0] + r.gamma(a[2], a[1], n),
    "poisson": lambda r, a, n: r.poisson(a[0], n),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_means_are_those_of_the_distributions(name):
    rng = np.random.default_rng(3)
    for mean in (7, 42, 260):
        value = draw_duration(name, mean, rng)
        drawn = SAMPLERS[name](rng, value.arguments, 200_000)
        assert mean_of(value) == pytest.approx(drawn.mean(), rel=0.02)
        assert len(value.arguments) == len(FAMILIES[name].arguments)


@pytest.mark.parametrize("kind", SERVICES)
def test_drawn_durations_are_near_the_wanted_mean_and_not_negative(kind):
    rng = np.random.default_rng(4)
    for mean in np.geomspace(5, 400, 120):
        value = draw_duration(kind, float(mean), rng)
        assert mean_of(value) == pytest.approx(mean, rel=0.25)
        if not isinstance(value, Distribution):
            continue
        numbers = value.arguments
        if kind == "normal":
            assert numbers[0] >= 4 * numbers[1] > 0
        elif kind == "triangular":
            assert 0 <= numbers[0] <= numbers[2] <= numbers[1]
            assert numbers[0] < numbers[1]
        elif kind == "uniform":
            assert 0 <= numbers[0] < numbers[1]
        else:
            assert all(n >= 0 for n in numbers)
        assert all(len(f"{n:g}") <= 5 for n in numbers)


def test_arrivals_and_services_are_those_of_the_paper():
    assert set(ARRIVALS) == {"constant", "exponential", "normal", "triangular", "uniform"}
    assert set(SERVICES) - set(ARRIVALS) == {"lognormalmeanstdev", "weibull", "gamma", "poisson"}


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.13, 0.1), (0.01, 0.1), (1.3, 1.5), (7.4, 7), (22.4, 20), (143, 140), (1234, 1200)]
)
def test_round_numbers(value, rounded):
    assert round_number(value) == rounded


def test_unknown_family_has_no_mean():
    with pytest.raises(ValueError, match="cauchy"):
        mean_of(Distribution("cauchy", (0, 1)))
