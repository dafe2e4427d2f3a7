"""Industries as tables: which stations stand in a line of each, in which order, and how long they take.

A table is all that a new industry needs. Stations are listed in process order; a sampler takes a subsequence, so every
line it makes is a real order of real steps, with some left out. Process times are tact times in seconds per item, of
the size an engineer writes into a first line model; steps that take hours in reality (electron-beam writing, formation
and ageing of cells) are scaled down to the tact of their neighbours, keeping which of them is the slow one.

Sources of the process orders:
  photomask: blank, resist coat, bake, e-beam write, post-exposure bake, develop, etch, strip, clean, metrology,
    inspection, repair, pellicle. S. Rizvi (ed.), Handbook of Photomask Manufacturing Technology, CRC Press, 2005.
  PCB assembly: paste printing, paste inspection, placement, reflow, optical inspection, through-hole, test, coating.
    C. Coombs, H. Holden (eds.), Printed Circuits Handbook, 7th ed., McGraw-Hill, 2016; IPC-7525, IPC-A-610.
  EV battery: incoming cell test, sorting, cleaning, stacking, compression, busbar welding, module and pack test.
    VDMA Battery Production and PEM of RWTH Aachen, Assembly Process of a Battery Module and Pack, 2018.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Station:
    """One step of a line.

    Attributes:
      name: as an engineer writes it, without the number of the line.
      cls: "Processor" for a step that works on items, "Queue" for one where they wait.
      seconds: shortest and longest plausible mean process time per item; (0, 0) for a Queue.
      setup: shortest and longest plausible setup time per item in seconds, None where there is none.
      places: how many items it may hold: at work together in a Processor, waiting in a Queue.
      lifo: whether items may be taken last in, first out (stacks, magazines).
    """

    name: str
    cls: Literal["Processor", "Queue"]
    seconds: tuple[float, float] = (0, 0)
    setup: tuple[float, float] | None = None
    places: tuple[int, ...] = (1,)
    lifo: bool = False


@dataclasses.dataclass(frozen=True)
class Industry:
    """The vocabulary of one industry.

    Attributes:
      key: how it is named in data sets and splits.
      title: how it is named in prose.
      item: what flows, in the plural.
      sources: names for where items come from.
      sinks: names for where they go.
      stations: in process order.
    """

    key: str
    title: str
    item: str
    sources: tuple[str, ...]
    sinks: tuple[str, ...]
    stations: tuple[Station, ...]


def _work(
    name: str,
    low: float,
    high: float,
    *,
    setup: tuple[float, float] | None = None,
    places: tuple[int, ...] = (1,),
) -> Station:
    return Station(name, "Processor", (low, high), setup, places)


def _wait(name: str, *places: int, lifo: bool = False) -> Station:
    return Station(name, "Queue", places=places or (10, 20, 25, 50), lifo=lifo)


PHOTOMASK = Industry(
    key="photomask",
    title="photomask shop",
    item="masks",
    sources=("Mask Substrate Loader", "Mask Blank Loader", "Quartz Blank Supply"),
    sinks=("Packing Station", "Mask Shipping", "Finished Mask Stocker"),
    stations=(
        _wait("Blank Stocker"),
        _work("Substrate Cleaner", 30, 90),
        _work("Mask Coater", 30, 80, setup=(5, 15)),
        _work("Soft Bake Oven", 60, 180, places=(2, 4, 6)),
        _wait("Coated Mask Buffer"),
        _work("E-Beam Writer", 60, 240, setup=(10, 30)),
        _work("Post-Exposure Bake", 40, 120, places=(1, 2, 4)),
        _work("Mask Developer", 40, 100, setup=(5, 15)),
        _work("Chrome Etcher", 50, 120, setup=(5, 20)),
        _work("Resist Stripper", 30, 90),
        _work("Wet Cleaner", 30, 90),
        _wait("Inspection Buffer"),
        _work("CD Metrology", 40, 120, setup=(5, 10)),
        _work("Mask Inspector", 60, 180),
        _work("Defect Repair", 50, 150, setup=(10, 20)),
        _work("Final Clean", 30, 90),
        _work("Pellicle Mounter", 30, 70),
        _wait("Outgoing Stocker", 20, 50, 100),
    ),
)

PCB_ASSEMBLY = Industry(
    key="pcb",
    title="PCB assembly line",
    item="boards",
    sources=("Board Loader", "Bare Board Supply", "Magazine Loader"),
    sinks=("Board Packing", "Magazine Unloader", "Finished Boards"),
    stations=(
        _wait("Bare Board Magazine", 25, 50, lifo=True),
        _work("Laser Marker", 8, 15),
        _work("Solder Paste Printer", 12, 30, setup=(2, 5)),
        _work("Paste Inspection", 10, 20),
        _wait("SPI Buffer", 5, 10, 15, lifo=True),
        _work("Chip Placer", 15, 40),
        _work("IC Placer", 20, 45, setup=(2, 8)),
        _work("Reflow Oven", 120, 300, places=(6, 8, 10)),
        _wait("Cooling Buffer", 5, 10, 20),
        _work("Optical Inspection", 12, 25),
        _work("X-Ray Inspection", 25, 60),
        _work("Through-Hole Insertion", 20, 50),
        _work("Wave Solder", 60, 120, places=(3, 4, 5)),
        _work("Board Washer", 60, 150, places=(4, 6)),
        _wait("Test Buffer"),
        _work("In-Circuit Tester", 25, 60, setup=(3, 6)),
        _work("Functional Tester", 30, 90, setup=(5, 10)),
        _work("Conformal Coater", 20, 45),
        _work("Depanel Router", 15, 40),
        _wait("Packing Buffer"),
    ),
)

EV_BATTERY = Industry(
    key="ev_battery",
    title="EV battery line",
    item="modules",
    sources=("Cell Supply", "Cell Tray Loader", "Incoming Cells"),
    sinks=("Pack Shipping", "Module Warehouse", "Finished Packs"),
    stations=(
        _wait("Cell Tray Buffer", 20, 50, 100),
        _work("OCV Tester", 5, 15),
        _work("Cell Sorter", 5, 12),
        _work("Plasma Cleaner", 10, 25),
        _work("Adhesive Dispenser", 15, 40, setup=(2, 5)),
        _work("Cell Stacker", 20, 60),
        _work("Stack Press", 20, 50, setup=(5, 10)),
        _wait("Stack Buffer", 5, 10, 20),
        _work("Busbar Assembly", 30, 70),
        _work("Laser Welder", 25, 80, setup=(3, 10)),
        _work("Weld Inspection", 15, 40),
        _work("BMS Assembly", 30, 80),
        _work("Leak Tester", 30, 90, setup=(5, 10)),
        _wait("Ageing Rack", 50, 100, 200),
        _work("Formation Charger", 120, 400, places=(6, 8, 10)),
        _work("Capacity Tester", 60, 200, places=(4, 6, 8)),
        _wait("EOL Buffer"),
        _work("End-of-Line Tester", 40, 120, setup=(5, 15)),
        _work("Lid Sealer", 25, 60),
        _work("Label Printer", 5, 12),
    ),
)

INDUSTRIES: Mapping[str, Industry] = MappingProxyType(
    {industry.key: industry for industry in (PHOTOMASK, PCB_ASSEMBLY, EV_BATTERY)}
)
"""Every industry by its key."""


def industry(key: str) -> Industry:
    """Returns the industry named `key`; raises `ValueError` listing those there are."""
    try:
        return INDUSTRIES[key]
    except KeyError:
        raise ValueError(f"there is no industry {key!r}; choose one of {', '.join(INDUSTRIES)}") from None
