"""Sketches: nothing overlaps, everything is on the page, and what is drawn shows the topology."""

import io
import itertools
import math
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image
from synth_examples import examples
from synth_twins import sampled

from vlsm_jax.synth.sketches import (
    CLASSES,
    SketchError,
    SketchStyle,
    annotate,
    blank_sketch,
    encode_image,
    paint_sketch,
)
from vlsm_jax.synth.sketches.cameras import draw_camera, letter_scales
from vlsm_jax.synth.sketches.canvas import Canvas, ink_table
from vlsm_jax.synth.sketches.drafting import SHEET as CAD_SHEET
from vlsm_jax.synth.sketches.geometry import Box
from vlsm_jax.synth.sketches.isometric import isometric_icon
from vlsm_jax.synth.sketches.lettering import Lettering, wraps, x_height
from vlsm_jax.synth.sketches.pages import Label, Sheet, lay_out
from vlsm_jax.synth.sketches.pencil import extent
from vlsm_jax.synth.sketches.spelling import misspelt, spell
from vlsm_jax.synth.sketches.symbols import flat_symbol
from vlsm_jax.twin import Connection, Twin, TwinObject

FACTORIES = [factory.twin for factory in (*sampled(60, seed=8), *sampled(10, seed=9, fewest=30), *examples().values())]
PEN = Sheet(Lettering.PEN, extent)
FRAMED = Sheet(Lettering.MARKER, CAD_SHEET.extent, framed=True)
SIZE = (512, 341)


def pages(sheet):
    for i, twin in enumerate(FACTORIES):
        yield twin, lay_out(twin, np.random.default_rng(i), SIZE, sheet)


# --- Layout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sheet", [PEN, FRAMED, CAD_SHEET])
def test_names_and_icons_are_on_the_page_and_do_not_overlap(sheet):
    for twin, page in pages(sheet):
        width, height = page.size
        assert width == 512
        assert width / 3 - 1 <= height <= 341
        cells = {name: (page.icons[name], page.labels[name].box) for name in twin.by_name}
        for a, b in itertools.combinations(cells, 2):
            assert not any(p.overlaps(q) for p, q in itertools.product(cells[a], cells[b])), (a, b)
            if page.framed:
                assert not page.frames[a].overlaps(page.frames[b])
        for name, (icon, written) in cells.items():
            assert not icon.overlaps(written)
            assert icon.within(Box(0, 0, *page.size))
            assert written.within(Box(0, 0, *page.size))
            assert written.left < icon.center[0] < written.right
            assert page.labels[name].font_size >= 9
            text = "".join(itertools.chain.from_iterable(page.labels[name].lines))
            assert text == name.replace(" ", "")


def test_the_page_keeps_the_order_of_locations():
    kept = 0
    for twin, page in pages(CAD_SHEET):  # Nothing shakes there.
        x = {name: icon.center[0] for name, icon in page.icons.items()}
        y = {name: icon.center[1] for name, icon in page.icons.items()}
        pairs = list(itertools.combinations(twin.objects, 2))
        in_order = all(
            (x[a.name] < x[b.name]) == (a.location[0] < b.location[0])
            for a, b in pairs
            if a.location[0] != b.location[0]
        ) and all(
            (y[a.name] < y[b.name]) == (a.location[1] > b.location[1])  # y is up in the model, down on the page.
            for a, b in pairs
            if a.location[1] != b.location[1]
        )
        kept += in_order
        # Only what has many columns may be folded.
        assert in_order or len({obj.location[0] for obj in twin.objects}) >= 10 or len(twin.objects) >= 25
    assert kept > 0.7 * len(FACTORIES)


def nearest(page, point):
    """Returns the object whose icon, frame or name is nearest to a point."""
    x, y = point

    def distance(box):
        return math.hypot(max(box.left - x, 0, x - box.right), max(box.top - y, 0, y - box.bottom))

    return min(page.icons, key=lambda name: min(distance(page.frames[name]), distance(page.labels[name].box)))


@pytest.mark.parametrize("sheet", [PEN, FRAMED, CAD_SHEET])
def test_the_topology_can_be_read_off_the_page(sheet):
    """Every line starts nearest to its source and ends nearest to its target, and their order is that of the Twin."""
    wires = wrong = 0
    for twin, page in pages(sheet):
        assert len(page.arrows) == len(twin.connections)
        for wire, arrow in zip(twin.connections, page.arrows, strict=True):
            assert arrow.flow == (wire.port == "A")
            assert len(arrow.path) >= 2
            assert (arrow.path > -3).all()
            assert (arrow.path < np.array(page.size) + 3).all()
            wires += 1
            ends = nearest(page, arrow.path[0]), nearest(page, arrow.path[-1])
            wrong += ends != (wire.source, wire.target)
            if len(twin.objects) < 20:
                assert ends == (wire.source, wire.target)
    assert wrong <= 0.01 * wires


@pytest.mark.parametrize(("sheet", "most"), [(PEN, 0.005), (CAD_SHEET, 0.005)])
def test_lines_go_round_the_icons_of_others(sheet, most):
    wires = through = 0
    for twin, page in pages(sheet):
        if len(twin.objects) > 20:
            continue
        for wire, arrow in zip(twin.connections, page.arrows, strict=True):
            others = [box for name, box in page.icons.items() if name not in (wire.source, wire.target)]
            points = np.concatenate([np.linspace(a, b, 20) for a, b in itertools.pairwise(arrow.path)])
            wires += 1
            through += any(box.covers(point) for box in others for point in points)
    assert through <= most * wires


def test_lines_with_right_angles_have_right_angles():
    for _, page in pages(CAD_SHEET):
        for arrow in page.arrows:
            steps = np.abs(np.diff(arrow.path, axis=0))
            assert (steps.min(1) < 2.01).all()


def level_pieces(path):
    """Returns (axis, level, from, to) of each stretch of a path of right angles."""
    out = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path.tolist()):
        axis = int(abs(x1 - x0) > abs(y1 - y0))
        out.append((axis, (x0, y0)[axis], *sorted(((y0, y1), (x0, x1))[axis])))
    return out


def lies_on(first, second):
    """Returns along how many pixels two paths of right angles cannot be told apart."""
    return sum(
        max(min(b, d) - max(a, c), 0)
        for (p, at, a, b), (q, there, c, d) in itertools.product(level_pieces(first), level_pieces(second))
        if p == q and abs(at - there) < 2
    )


def test_lines_lie_on_each_other_only_where_they_begin_or_end_alike():
    """Else what arrives and what leaves reads as one line. Trunks of one kind, to or from one object, may be shared."""
    broken = trunks = 0
    for twin, page in pages(CAD_SHEET):
        misread = False
        for (a, one), (b, other) in itertools.combinations(zip(twin.connections, page.arrows, strict=True), 2):
            shared = lies_on(one.path, other.path) > 6
            if a.port == b.port and (a.source == b.source) != (a.target == b.target):
                trunks += shared
            else:
                misread |= shared
        broken += misread
    assert broken <= 0.06 * len(FACTORIES)
    assert trunks > len(FACTORIES)  # What may be bundled is.


def test_a_flow_back_and_a_second_line_do_not_lie_on_the_first():
    objects = tuple(TwinObject("Queue", name, (10 * i, 0, 0)) for i, name in enumerate("ABC"))
    wires = (
        Connection("A", "B"),
        Connection("B", "A"),
        Connection("B", "C"),
        Connection("B", "C"),
        Connection("C", "C"),
    )
    for sheet in (PEN, CAD_SHEET):
        page = lay_out(Twin(objects, wires), np.random.default_rng(0), SIZE, sheet)
        for first, second in ((0, 1), (2, 3)):
            lengths = [np.hypot(*np.diff(page.arrows[i].path, axis=0).T).sum() for i in (first, second)]
            assert lengths[1] > lengths[0] + 2
        assert np.ptp(page.arrows[4].path[:, 1]) > 3  # A loop over its object.


def test_forty_objects_with_long_names_fit():
    lanes = [
        TwinObject("Processor", f"Electroplating Bath {5 * i + k}", (10 * i, 8 * k, 0))
        for i in range(8)
        for k in range(5)
    ]
    row = [TwinObject("Processor", f"Solder Paste Printer {i}", (10 * i, 0, 0)) for i in range(40)]
    for objects in (lanes, row):
        for style in SketchStyle:
            for i in range(4):
                sketch = paint_sketch(Twin(tuple(objects)), np.random.default_rng(i), SIZE, style)
                assert 448 <= sketch.legible_at < 680


# --- Pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("icon", [isometric_icon, flat_symbol])
def test_every_class_has_an_icon_of_its_own(icon):
    """At the size at which an encoder of 224 pixels sees it: 20 pixels of 512."""
    pictures = {}
    for cls in CLASSES:
        shape = icon(TwinObject(cls, cls))
        canvas = Canvas((64, 64), 255)
        points = canvas.fixed(shape.points * 44 + 32)
        canvas.icons([shape], [points], {tone: tone for tone in range(256)}, 60, 1)
        pictures[cls] = cv2.resize(canvas.image, (28, 28), interpolation=cv2.INTER_AREA).astype(float)
        assert (pictures[cls] < 200).sum() > 12
        assert shape.width <= 1.5
    assert len(CLASSES) == 16
    for a, b in itertools.combinations(CLASSES, 2):
        assert np.abs(pictures[a] - pictures[b]).mean() > 9, (a, b)


def test_a_conveyor_is_as_long_as_its_length_says():
    widths = [
        isometric_icon(TwinObject("StraightConveyor", "C", parameters={"HorizontalLength": metres})).width
        for metres in (2, 6, 10, 30)
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize("style", SketchStyle)
def test_the_same_rng_gives_the_same_bytes(style):
    twin = FACTORIES[0]
    threads = cv2.getNumThreads()
    try:
        files = []
        for count, seed in ((1, 1), (4, 1), (1, 2)):
            cv2.setNumThreads(count)
            files.append(encode_image(paint_sketch(twin, np.random.default_rng(seed), SIZE, style)))
    finally:
        cv2.setNumThreads(threads)
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_another_process_gives_the_same_bytes():
    program = (
        "import hashlib, numpy as np\n"
        "from vlsm_jax.synth.sketches import *\n"
        "from vlsm_jax.twin import *\n"
        "t = Twin((TwinObject('Source', 'Wafer Supply'), TwinObject('Sink', 'Store', (9, 0, 0))),"
        " (Connection('Wafer Supply', 'Store'),))\n"
        "for style in SketchStyle:\n"
        "    for i in range(4):\n"
        "        data = encode_image(paint_sketch(t, np.random.default_rng(i), style=style))[0]\n"
        "        print(hashlib.sha256(data).hexdigest())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 12


def test_files_hold_the_picture():
    suffixes = set()
    for i, twin in enumerate(FACTORIES[:24]):
        sketch = paint_sketch(twin, np.random.default_rng(i), SIZE, list(SketchStyle)[i % 3])
        data, suffix = encode_image(sketch)
        image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
        assert suffix == ("jpg" if sketch.photograph else "png")
        assert sketch.image.dtype == np.uint8
        assert image.shape == sketch.image.shape == (*sketch.image.shape[:2], 3)
        assert np.abs(image - sketch.image).mean() < (5 if sketch.photograph else 1e-9)
        assert len(data) < 100_000
        suffixes.add(suffix)
    assert suffixes == {"png", "jpg"}


@pytest.mark.parametrize("style", SketchStyle)
def test_a_connection_makes_the_difference(style):
    """A line is dark all along where it should be, and there is nothing without the connection."""
    objects = (TwinObject("Source", "In"), TwinObject("Queue", "Q", (10, 0, 0)), TwinObject("Sink", "Out", (20, 0, 0)))
    full = Twin(objects, (Connection("In", "Q"), Connection("Q", "Out")))
    seen = 0
    for seed in range(12):
        image, without = (
            paint_sketch(twin, np.random.default_rng(seed), SIZE, style).image.astype(int).sum(2)
            for twin in (full, Twin(objects))
        )
        if image.shape != without.shape or np.median(image) < 300:  # A blueprint is light on dark.
            continue
        # Pages of one seed differ in what follows the first stroke, so only the darkest is compared.
        middle = image.shape[0] // 2
        dark = (image[middle - 60 : middle + 60, 60:450] < np.median(image) - 150).any(0).mean()
        bare = (without[middle - 60 : middle + 60, 60:450] < np.median(without) - 150).any(0).mean()
        seen += dark > bare + 0.2
    assert seen >= 5


@pytest.mark.parametrize("style", SketchStyle)
def test_a_blank_page_is_empty(style):
    twin = Twin(
        (TwinObject("Queue", "Buffer"), TwinObject("Queue", "Store", (10, 0, 0))), (Connection("Buffer", "Store"),)
    )
    for i in range(6):
        blank = blank_sketch(SIZE, style, np.random.default_rng(i))
        assert blank.image.shape == (341, 512, 3)
        assert (blank.letter_height, blank.legible_at, blank.labels) == (0, 0, {})
        inner = blank.image[60:280, 60:450].astype(int).sum(2)
        drawn = paint_sketch(twin, np.random.default_rng(i), SIZE, style).image
        assert np.abs(np.diff(inner, axis=1)).max() < 260
        assert np.abs(np.diff(drawn.astype(int).sum(2), axis=1)).max() > 200
    assert (blank_sketch((90, 60), style).image == blank_sketch((90, 60), style).image).all()
    assert blank_sketch((90, 60), style).image.shape == (60, 90, 3)


def test_half_of_the_pages_are_scans():
    twin = Twin((TwinObject("Source", "In"), TwinObject("Sink", "Out", (10, 0, 0))))
    photographs = [
        paint_sketch(twin, np.random.default_rng(i), (240, 160), style).photograph
        for i in range(60)
        for style in SketchStyle
    ]
    assert 0.35 < np.mean(photographs) < 0.65


def test_other_sizes():
    for size in ((1024, 683), (700, 233), (300, 200)):
        for style in SketchStyle:
            for i in range(3):
                image = paint_sketch(FACTORIES[-12], np.random.default_rng(i), size, style).image
                assert image.shape[1] == size[0]
                assert size[0] / 3 - 1 <= image.shape[0] <= size[1]


# --- Letters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lettering", Lettering)
@pytest.mark.parametrize("size", [9, 11, 14, 20])
def test_letters_are_as_high_as_told(lettering, size):
    """The ink of an x, measured in the picture: the rows between the first and the last that hold half as much."""
    cameras = [draw_camera(np.random.default_rng(i), (300, 200)).view for i in range(8)]
    for view in [None, *(view for view in cameras if view is not None)]:
        canvas = Canvas((300, 200), 255, view)
        box = Box(100, 90, 200, 90 + 1.3 * size)
        canvas.text([Label((("x",),), size, box)], lettering, ink_table(0))
        rows = (255 - canvas.image.astype(float)).sum(1)
        level = np.clip(rows / np.median(rows[rows > 0.3 * rows.max()]), 0, 1)
        scale = float(letter_scales(view, [box])[0])
        told = x_height(lettering) * size * scale
        assert level.sum() == pytest.approx(told, abs=1.3)
        # What the view does to a distance of one pixel downwards.
        here, there = canvas.seen(np.array([(150.0, box.center[1]), (150.0, box.center[1] + 1)]))
        assert math.dist(here, there) == pytest.approx(scale, rel=1e-3)
        assert 0.85 < scale < 1.05


@pytest.mark.parametrize("style", SketchStyle)
def test_legible_at_is_the_side_at_which_letters_are_five_pixels_high(style):
    for i, twin in enumerate(FACTORIES[::5]):
        sketch = paint_sketch(twin, np.random.default_rng(i), SIZE, style)
        height = sketch.letter_height
        assert height >= 4
        longest = max(sketch.image.shape[:2])
        assert height * sketch.legible_at / longest >= 5
        assert height * (sketch.legible_at - 1) / longest < 5


def test_names_break_at_blanks_and_hyphens():
    one, two, three = (way.lines for way in wraps(Lettering.PEN, "E-Beam Resist Coater 2"))
    assert one == (("E-Beam", "Resist", "Coater", "2"),)
    assert "".join(itertools.chain(*two)) == "E-BeamResistCoater2"
    assert len(two) == 2
    assert len(three) == 3
    widths = [way.width for way in wraps(Lettering.PEN, "E-Beam Resist Coater 2")]
    assert widths == sorted(widths, reverse=True)
    assert wraps(Lettering.PEN, "  ")[0].lines == ()


def test_slips_change_one_word_and_keep_names_apart():
    rng = np.random.default_rng(0)
    for name in ("Mask Inspector 2", "Packing", "TaskExecuter 1"):
        for _ in range(40):
            text = misspelt(name, rng)
            assert abs(len(text) - len(name)) <= 1
            assert text[0] == name[0]
            assert [c for c in text if c.isdigit()] == [c for c in name if c.isdigit()]
    assert misspelt("AGV 12", rng) == "AGV 12"
    names = [f"Inspector {i}" for i in range(9)] + ["Insepctor 1", "Inspecctor 2", "Tester"]
    for i in range(200):
        out = spell(names, np.random.default_rng(i), 0.6)
        written = [out.get(name, name) for name in names]
        assert len({text.casefold() for text in written}) == len(names)
        assert not set(out.values()) & set(names)


def test_misspelt_names_are_recorded_and_rare(monkeypatch):
    twin = FACTORIES[0]
    labels = [paint_sketch(twin, np.random.default_rng(i)).labels for i in range(40)]
    count = sum(map(len, labels))
    assert 0 < count < 0.05 * 40 * len(twin.objects) + 3
    assert all(name in twin.by_name and text != name for label in labels for name, text in label.items())


# --- What cannot be drawn ---------------------------------------------------------------------------------------------


def test_any_letters_and_empty_twins():
    names = ("Müller 貨", "tab\tnew\nline", " ", "x", "a-b-c-d", 'say "hi" & <go>')
    objects = tuple(TwinObject("Queue", name, (5 * i, 0, 0)) for i, name in enumerate(names))
    for style in SketchStyle:
        assert paint_sketch(Twin(objects), np.random.default_rng(0), SIZE, style).image.std() > 1
        assert paint_sketch(Twin(), np.random.default_rng(0), (30, 20), style).image.shape == (20, 30, 3)


def test_what_cannot_be_drawn_says_so():
    rng = np.random.default_rng(0)
    with pytest.raises(SketchError, match="no icon for class Elevator"):
        paint_sketch(Twin((TwinObject("Elevator", "E"),)), rng)
    with pytest.raises(SketchError, match="1 objects and their names do not fit on a page of 512 x 341"):
        paint_sketch(Twin((TwinObject("Queue", "x" * 300),)), rng)
    crowd = tuple(TwinObject("Queue", f"Cleaning Station {i}", (i, 0, 0)) for i in range(400))
    for style in SketchStyle:
        with pytest.raises(SketchError, match="400 objects"):
            paint_sketch(Twin(crowd), rng, SIZE, style)


def test_objects_in_one_place_are_drawn_beside_each_other():
    twin = Twin((TwinObject("Queue", "a"), TwinObject("Queue", "b")))
    page = lay_out(twin, np.random.default_rng(0), SIZE, PEN)
    assert not page.icons["a"].overlaps(page.icons["b"])


@pytest.mark.parametrize("style", SketchStyle)
def test_annotations_tell_where_the_ink_of_each_word_is(style, monkeypatch):
    """A page painted again without its names differs where the names are: at each word, and nowhere else."""
    for seed, twin in enumerate(FACTORIES[:6]):
        with_names = paint_sketch(twin, np.random.default_rng(seed), style=style)
        with monkeypatch.context() as patched:
            patched.setattr(Canvas, "text", lambda *_, **__: None)
            without = paint_sketch(twin, np.random.default_rng(seed), style=style)
        ink = np.abs(with_names.image.astype(int) - without.image).max(-1) > 40
        annotation = annotate(twin, with_names.drawn)
        assert annotation["size"] == [ink.shape[1], ink.shape[0]]
        left = ink.copy()
        for item in annotation["objects"]:
            assert "".join(word[0] for word in item["words"]) == with_names.labels.get(
                item["name"], item["name"]
            ).replace(" ", "")
            for _, x0, y0, x1, y1 in item["words"]:
                near = np.zeros_like(ink)
                near[min(y0, y1) - 11 : max(y0, y1) + 12, x0 - 4 : x1 + 5] = True
                columns = np.flatnonzero((ink & near).any(0))
                assert len(columns)
                assert abs(columns[0] - x0) <= 5
                assert abs(columns[-1] - x1) <= 5
                left &= ~near
        assert left.sum() <= 0.03 * ink.sum()  # lines that names were written over


@pytest.mark.parametrize("style", SketchStyle)
def test_annotated_lines_lead_from_object_to_object(style):
    for seed, twin in enumerate(FACTORIES[:6]):
        annotation = annotate(twin, paint_sketch(twin, np.random.default_rng(seed), style=style).drawn)
        icons = {item["name"]: np.array(item["icon"]) for item in annotation["objects"]}
        assert [(w["source"], w["target"], w["port"]) for w in annotation["connections"]] == [
            (w.source, w.target, w.port) for w in twin.connections
        ]
        for wire in annotation["connections"]:
            for end, name in ((wire["path"][0], wire["source"]), (wire["path"][-1], wire["target"])):
                # A name may stand between the icon and the line.
                assert np.abs(icons[name] - end).max() < 75
