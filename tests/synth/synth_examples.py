"""Small factories by hand, one for everything that a factory may have; all of them run without a warning."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from vlsm_jax.synth.factory import Factory
from vlsm_jax.twin import Code, Connection, Distribution, Twin, TwinObject


def _twin(objects: Mapping[str, tuple], flow: str, centers: str = "") -> Twin:
    """Reads objects as name: (class, x, y, {parameters}), and wires as "a > b > c; d > e"."""
    wires = []
    for text, port in ((flow, "A"), (centers, "S")):
        for chain in filter(None, (part.strip() for part in text.split(";"))):
            names = [name.strip() for name in chain.split(">")]
            wires += [Connection(a, b, port) for a, b in itertools.pairwise(names)]
    made = [TwinObject(cls, name, (x, y, 0), *rest) for name, (cls, x, y, *rest) in objects.items()]
    return Twin(tuple(made), tuple(wires))


_EVERY_MINUTE = {"InterArrivalTime": Distribution("exponential", (0, 60))}
_WORK = {"ProcessTime": Distribution("triangular", (20, 45, 35))}


def examples() -> dict[str, Factory]:
    """Returns factories by what is special about them."""
    out = {
        "linear": Factory(
            _twin(
                {
                    "Board Loader": ("Source", 0, 0, _EVERY_MINUTE),
                    "Paste Buffer": ("Queue", 10, 0, {"MaxContent": 25, "ItemPlacement": "Stack Vertically"}),
                    "Solder Paste Printer": ("Processor", 20, 0, {**_WORK, "SetupTime": 5, "MaxContent": 2}),
                    "Board Packing": ("Sink", 30, 0),
                },
                "Board Loader > Paste Buffer > Solder Paste Printer > Board Packing",
            ),
            "pcb",
            "linear",
        ),
        "merge and split": Factory(
            _twin(
                {
                    "Cell Supply 1": ("Source", 0, 4, _EVERY_MINUTE),
                    "Cell Supply 2": ("Source", 0, -4, _EVERY_MINUTE),
                    "Cell Buffer": (
                        "Queue",
                        10,
                        0,
                        {"MaxContent": 50, "SendToPort": Distribution("bernoulli", (60, 1, 2))},
                    ),
                    "Cell Tester 1": ("Processor", 20, 4, _WORK),
                    "Cell Tester 2": ("Processor", 20, -4, _WORK),
                    "Pack Shipping": ("Sink", 30, 0),
                },
                "Cell Supply 1 > Cell Buffer > Cell Tester 1 > Pack Shipping;"
                "Cell Supply 2 > Cell Buffer > Cell Tester 2 > Pack Shipping",
            ),
            "ev_battery",
            "parallel",
        ),
        "rework": Factory(
            _twin(
                {
                    "Mask Blank Loader": ("Source", 0, 0, _EVERY_MINUTE),
                    "Clean Buffer": ("Queue", 10, 0, {"MaxContent": 40}),
                    "Wet Cleaner": ("Processor", 20, 0, _WORK),
                    "Mask Inspector": (
                        "Processor",
                        30,
                        0,
                        {"ProcessTime": 20, "SendToPort": Distribution("bernoulli", (92, 1, 2))},
                    ),
                    "Mask Shipping": ("Sink", 40, 0),
                },
                "Mask Blank Loader > Clean Buffer > Wet Cleaner > Mask Inspector > Mask Shipping;"
                "Mask Inspector > Clean Buffer",
            ),
            "photomask",
            "linear",
        ),
        "assembly": Factory(
            _twin(
                {
                    "Chassis Supply": ("Source", 0, 4, _EVERY_MINUTE),
                    "Board Supply": ("Source", 0, -4, {"InterArrivalTime": Distribution("exponential", (0, 30))}),
                    "Server Assembly": (
                        "Combiner",
                        10,
                        0,
                        {"ProcessTime": 30, "CombineMode": "Join", "ComponentsList": Code("[[2]]")},
                    ),
                    "Burn-In": (
                        "MultiProcessor",
                        20,
                        0,
                        {"ProcessTable": Code('[["Boot", 8, 0], ["Stress", 15, 0]]')},
                    ),
                    "Unit Splitter": (
                        "Separator",
                        30,
                        0,
                        {"ProcessTime": 12, "SeparateMode": "Split", "SeparateQty": 2},
                    ),
                    "Shipping": ("Sink", 40, 0),
                },
                "Chassis Supply > Server Assembly > Burn-In > Unit Splitter > Shipping; Board Supply > Server Assembly",
            ),
            "server",
            "linear",
        ),
        "conveyor": Factory(
            _twin(
                {
                    "Vial Infeed": ("Source", 0, 0, {"InterArrivalTime": Distribution("uniform", (50, 70))}),
                    "Infeed Conveyor": ("StraightConveyor", 10, 0, {"Speed": 0.5, "HorizontalLength": 8}),
                    "Filler": ("Processor", 20, 0, _WORK),
                    "Tray Buffer": ("Queue", 30, 0, {"DoBatching": 1, "BatchSize": 4, "MaxContent": 12}),
                    "Freeze Dryer": ("Processor", 40, 0, {"ProcessTime": 150, "MaxContent": 4}),
                    "Cold Store": ("Rack", 50, 0, {"MaxContent": 200}),
                    "Outbound": ("Sink", 60, 0),
                },
                "Vial Infeed > Infeed Conveyor > Filler > Tray Buffer > Freeze Dryer > Cold Store > Outbound",
            ),
            "pharma",
            "conveyor",
        ),
        "shared operators": Factory(
            _twin(
                {
                    "Kit Supply": ("Source", 0, 0, _EVERY_MINUTE),
                    "Gluing": (
                        "Processor",
                        10,
                        0,
                        {"ProcessTime": 20, "UseProcessOperators": 1, "NumProcessOperators": 1},
                    ),
                    "Test": (
                        "Processor",
                        20,
                        0,
                        {"ProcessTime": 12, "SetupTime": 4, "UseSetupOperators": 1, "NumSetupOperators": 1},
                    ),
                    "Out": ("Sink", 30, 0),
                    "Line Operator": ("Operator", 10, -8, {"MaxSpeed": 1.5}),
                },
                "Kit Supply > Gluing > Test > Out",
                "Gluing > Line Operator; Test > Line Operator",
            ),
            "medical",
            "linear",
        ),
    }
    carriers = {
        "transporter": ("Forklift 1", ("Transporter", 10, -8, {"Capacity": 2, "LoadTime": 4, "UnloadTime": 4})),
        "agv": ("AGV 1", ("AGV", 10, -8, {"MaxSpeed": 1.2})),
        "robot": ("Handling Robot", ("Robot", 10, -8, {"MoveTime": 6})),
        "crane": ("Bridge Crane", ("Crane", 10, -8)),
        "task executer": ("Task Executer 1", ("TaskExecuter", 10, -8, {"MaxSpeed": 2})),
    }
    line = {
        "Wafer Supply": ("Source", 0, 0, _EVERY_MINUTE),
        "Lot Buffer": ("Queue", 10, 0, {"MaxContent": 30, "UseTransport": 1}),
        "Probe Station": ("Processor", 20, 0, _WORK),
        "Wafer Store": ("Sink", 30, 0),
    }
    flow = "Wafer Supply > Lot Buffer > Probe Station > Wafer Store"
    for kind, (name, carrier) in carriers.items():
        out[kind] = Factory(_twin({**line, name: carrier}, flow, f"Lot Buffer > {name}"), "wafer_test", "linear")
    team = {
        **line,
        "Transport Control": ("Dispatcher", 10, -8),
        "Task Executer 1": ("TaskExecuter", 10, -16),
        "Task Executer 2": ("TaskExecuter", 20, -16),
    }
    team_flow = f"{flow}; Transport Control > Task Executer 1; Transport Control > Task Executer 2"
    out["dispatcher team"] = Factory(_twin(team, team_flow, "Lot Buffer > Transport Control"), "wafer_test", "linear")
    return out
