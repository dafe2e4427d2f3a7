"""Batteries of electric vehicles, from filled cells to packs.

Sources of the process order, each looked up; what a source does not state is from general knowledge.
  Formation, degassing, ageing: semcouniversity.com, Cell Finishing. Out of the ageing racks come tests of capacity,
    resistance and open-circuit voltage, then grading: kiprobatt.de, Cell manufacturing, EOL Testing, after Heimes et
    al., Lithium-Ion Battery Cell Production Process, PEM of RWTH Aachen and VDMA, 3rd ed., 2018.
  Incoming cell test, sorting, cleaning, adhesive, stacking, pressing with end plates: batterydesign.net, Battery
    Module: Manufacturing, Assembly and Test Process Flow. Connecting the cells by welding follows: batteryline.com,
    Battery cell to module manufacturing processes.
  Flashing, air tightness test and electrical test of packs: tobmachine.com, Process Standard for Lithium-ion Battery
    Pack Production.
"""

from vlsm_jax.synth.industries.model import (
    Component,
    Industry,
    combiner,
    inspection,
    multiprocessor,
    processor,
    queue,
    rack,
)

EV_BATTERY = Industry(
    key="ev_battery",
    title="EV battery line",
    item="modules",
    sources=("Cell Supply", "Cell Tray Loader", "Incoming Cells"),
    sinks=("Pack Shipping", "Module Warehouse", "Finished Packs"),
    stations=(
        queue("Cell Tray Buffer", 20, 50, 100, batches=(4, 6, 8)),
        processor("Formation Charger", 120, 400, places=(6, 8, 10)),
        processor("Degassing Station", 15, 40),
        rack("Ageing Rack", 50, 100, 200),
        inspection("Capacity Tester", 60, 200, (92, 98), places=(4, 6, 8)),
        inspection("OCV Tester", 8, 20, (95, 99)),
        processor("Cell Sorter", 8, 18),
        processor("Plasma Cleaner", 10, 25),
        processor("Adhesive Dispenser", 15, 40, setup=(2, 5)),
        combiner(
            "Cell Stacker",
            20,
            55,
            Component("Insulation Pad", "Insulation Pad Supply", (1, 2)),
            Component("End Plate", "End Plate Supply", (2, 2)),
        ),
        processor("Stack Press", 20, 50, setup=(5, 10), attended=True),
        inspection("Hipot Tester", 12, 30, (95, 99), attended=True),
        queue("Stack Buffer", 5, 10, 20),
        combiner("Busbar Assembly", 25, 65, Component("Busbar", "Busbar Supply", (1, 2)), attended=True),
        processor("Laser Welder", 25, 70, setup=(3, 10)),
        inspection("Weld Inspection", 15, 40, (92, 98)),
        combiner(
            "BMS Assembly",
            25,
            70,
            Component("BMS Board", "BMS Supply"),
            Component("Wiring Harness", "Harness Supply"),
            attended=True,
        ),
        combiner("Module Insertion", 25, 60, Component("Pack Housing", "Pack Housing Supply"), attended=True),
        processor("Coolant Connection", 20, 50, attended=True),
        processor("Lid Sealer", 25, 60),
        inspection("Leak Tester", 25, 75, (93, 99), setup=(5, 10)),
        multiprocessor(
            "Flash and Charge", ("Firmware Flash", 8, 20), ("Charge Balance", 12, 35), ("Insulation Check", 6, 12)
        ),
        queue("EOL Buffer"),
        inspection("End-of-Line Tester", 30, 90, (93, 99), setup=(5, 15), attended=True),
        processor("Label Printer", 8, 16),
    ),
    rejects=("Cell Reject Box", "Scrap Module Cage"),
    reworks=("Module Rework Cell", "Reweld Station", "Pack Repair Bay"),
    buffers=("Module Buffer", "Pack Staging Lane", "Cell Tray Shelf"),
    conveyors=("Pallet Conveyor", "Module Conveyor", "Pack Roller Conveyor"),
    operators=("Module Operator", "Pack Operator", "High Voltage Worker"),
    transporters=("Forklift", "Pack Transporter", "Reach Truck"),
    agvs=("Pack AGV", "Module AGV", "Heavy Load AGV"),
    robots=("Stacking Robot", "Gripper Robot", "Six-Axis Robot"),
    cranes=("Pack Hoist", "Gantry Crane", "Formation Crane"),
    executers=("TaskExecuter", "Tray Shuttle"),
    dispatchers=("Dispatcher", "AGV Dispatcher", "Pack Dispatcher"),
)
