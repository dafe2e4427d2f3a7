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

from vlsm_jax.synth.industries.model import Industry, processor, queue

PHOTOMASK = Industry(
    key="photomask",
    title="photomask shop",
    item="masks",
    sources=("Mask Substrate Loader", "Mask Blank Loader", "Quartz Blank Supply"),
    sinks=("Packing Station", "Mask Shipping", "Finished Mask Stocker"),
    stations=(
        queue("Blank Stocker"),
        processor("Substrate Cleaner", 30, 90),
        processor("Mask Coater", 30, 80, setup=(5, 15)),
        processor("Soft Bake Oven", 60, 180, places=(2, 4, 6)),
        queue("Coated Mask Buffer"),
        processor("E-Beam Writer", 60, 240, setup=(10, 30)),
        processor("Post-Exposure Bake", 40, 120, places=(1, 2, 4)),
        processor("Mask Developer", 40, 100, setup=(5, 15)),
        processor("Chrome Etcher", 50, 120, setup=(5, 20)),
        processor("Resist Stripper", 30, 90),
        processor("Wet Cleaner", 30, 90),
        queue("Inspection Buffer"),
        processor("CD Metrology", 40, 120, setup=(5, 10)),
        processor("Mask Inspector", 60, 180),
        processor("Defect Repair", 50, 150, setup=(10, 20)),
        processor("Final Clean", 30, 90),
        processor("Pellicle Mounter", 30, 70),
        queue("Outgoing Stocker", 20, 50, 100),
    ),
)

PCB_ASSEMBLY = Industry(
    key="pcb",
    title="PCB assembly line",
    item="boards",
    sources=("Board Loader", "Bare Board Supply", "Magazine Loader"),
    sinks=("Board Packing", "Magazine Unloader", "Finished Boards"),
    stations=(
        queue("Bare Board Magazine", 25, 50, lifo=True),
        processor("Laser Marker", 8, 15),
        processor("Solder Paste Printer", 12, 30, setup=(2, 5)),
        processor("Paste Inspection", 10, 20),
        queue("SPI Buffer", 5, 10, 15, lifo=True),
        processor("Chip Placer", 15, 40),
        processor("IC Placer", 20, 45, setup=(2, 8)),
        processor("Reflow Oven", 120, 300, places=(6, 8, 10)),
        queue("Cooling Buffer", 5, 10, 20),
        processor("Optical Inspection", 12, 25),
        processor("X-Ray Inspection", 25, 60),
        processor("Through-Hole Insertion", 20, 50),
        processor("Wave Solder", 60, 120, places=(3, 4, 5)),
        processor("Board Washer", 60, 150, places=(4, 6)),
        queue("Test Buffer"),
        processor("In-Circuit Tester", 25, 60, setup=(3, 6)),
        processor("Functional Tester", 30, 90, setup=(5, 10)),
        processor("Conformal Coater", 20, 45),
        processor("Depanel Router", 15, 40),
        queue("Packing Buffer"),
    ),
)

EV_BATTERY = Industry(
    key="ev_battery",
    title="EV battery line",
    item="modules",
    sources=("Cell Supply", "Cell Tray Loader", "Incoming Cells"),
    sinks=("Pack Shipping", "Module Warehouse", "Finished Packs"),
    stations=(
        queue("Cell Tray Buffer", 20, 50, 100),
        processor("OCV Tester", 5, 15),
        processor("Cell Sorter", 5, 12),
        processor("Plasma Cleaner", 10, 25),
        processor("Adhesive Dispenser", 15, 40, setup=(2, 5)),
        processor("Cell Stacker", 20, 60),
        processor("Stack Press", 20, 50, setup=(5, 10)),
        queue("Stack Buffer", 5, 10, 20),
        processor("Busbar Assembly", 30, 70),
        processor("Laser Welder", 25, 80, setup=(3, 10)),
        processor("Weld Inspection", 15, 40),
        processor("BMS Assembly", 30, 80),
        processor("Leak Tester", 30, 90, setup=(5, 10)),
        queue("Ageing Rack", 50, 100, 200),
        processor("Formation Charger", 120, 400, places=(6, 8, 10)),
        processor("Capacity Tester", 60, 200, places=(4, 6, 8)),
        queue("EOL Buffer"),
        processor("End-of-Line Tester", 40, 120, setup=(5, 15)),
        processor("Lid Sealer", 25, 60),
        processor("Label Printer", 5, 12),
    ),
)
