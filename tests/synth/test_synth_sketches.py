"""Sketches: nothing overlaps, everything is on the page, and what is drawn shows the topology."""

import itertools

import numpy as np
import pytest
from synth_twins import sampled

from vlsm_jax.synth.pages import HEAD_LENGTH, Box, SketchError, lay_out
from vlsm_jax.synth.pencil import Pencil
from vlsm_jax.synth.sketches import ICONS, paint_sketch
from vlsm_jax.twin import Connection, Twin, TwinObject

FACTORIES = sampled(200, seed=8)


def pages():
    for i, factory in enumerate(FACTORIES):
        yield factory.twin, lay_out(factory.twin, np.random.default_rng(i))


def test_names_and_icons_are_on_the_page_and_do_not_overlap():
    for twin, page in pages():
        sheet = Box(0, 0, *page.size)
        labels = {name: label.box for name, label in page.labels.items()}
        assert set(labels) == set(page.icons) == set(twin.by_name)
        for a, b in itertools.combinations(twin.by_name, 2):
            assert not labels[a].overlaps(labels[b])
            assert not page.icons[a].overlaps(page.icons[b])
            assert not labels[a].overlaps(page.icons[b])
            assert not labels[b].overlaps(page.icons[a])
        for name in labels:
            assert labels[name].within(sheet)
            assert page.icons[name].within(sheet)
            assert labels[name].top >= page.icons[name].bottom  # The name stands under its icon.
            assert labels[name].left < page.icons[name].center[0] < labels[name].right
            assert page.labels[name].font_size >= 8
            assert "".join(page.labels[name].lines).replace(" ", "") == name.replace(" ", "")


def test_the_page_keeps_the_order_of_locations():
    for twin, page in pages():
        for a, b in itertools.combinations(twin.objects, 2):
            ax, ay = page.icons[a.name].center
            bx, by = page.icons[b.name].center
            if a.location[0] != b.location[0]:
                assert (ax < bx) == (a.location[0] < b.location[0])
            if a.location[1] != b.location[1]:
                assert (ay < by) == (a.location[1] > b.location[1])  # y is up in the model, down on the page.


def test_arrows_lead_from_icon_to_icon_and_spare_the_names():
    for twin, page in pages():
        assert len(page.arrows) == len(twin.connections)
        for wire, arrow in zip(twin.connections, page.arrows, strict=True):
            (x0, y0), (x1, y1) = page.icons[wire.source].center, page.icons[wire.target].center
            for x, y in (arrow.start, arrow.end):  # On the line between the icons.
                assert abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) < 1e-6 * np.hypot(x1 - x0, y1 - y0) + 1e-6
            length = np.hypot(arrow.end[0] - arrow.start[0], arrow.end[1] - arrow.start[1])
            assert length > HEAD_LENGTH
            assert (arrow.end[0] - arrow.start[0]) * (x1 - x0) >= 0
            for label in page.labels.values():
                for x, y in arrow.head(HEAD_LENGTH):
                    assert not (label.box.left < x < label.box.right and label.box.top < y < label.box.bottom)


def test_writing_stays_in_its_box():
    _, page = next(pages())
    for label in page.labels.values():
        pencil = Pencil(page.size, np.random.default_rng(1))
        pencil.text(label)
        rows, columns = np.nonzero(np.asarray(pencil.finish().convert("L")) < 200)
        assert len(rows) > 20
        assert label.box.left - 1 <= columns.min() <= columns.max() <= label.box.right + 1
        assert label.box.top - 1 <= rows.min() <= rows.max() <= label.box.bottom + 1


def test_the_same_rng_gives_the_same_picture():
    twin = FACTORIES[0].twin
    first, again, other = (paint_sketch(twin, np.random.default_rng(i)).image for i in (1, 1, 2))
    assert first.shape == (341, 512, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()


def test_a_connection_makes_the_difference():
    """With and without one wire, the picture differs along that wire and nowhere else by much."""
    objects = (TwinObject("Source", "In"), TwinObject("Queue", "Q", (10, 0, 0)), TwinObject("Sink", "Out", (20, 0, 0)))
    wires = (Connection("In", "Q"), Connection("Q", "Out"))
    full = Twin(objects, wires)
    page = lay_out(full, np.random.default_rng(3))
    image = paint_sketch(full, np.random.default_rng(3)).image.min(2)
    for arrow in page.arrows:
        between = [
            (arrow.start[0] + (arrow.end[0] - arrow.start[0]) * t, arrow.start[1] + (arrow.end[1] - arrow.start[1]) * t)
            for t in np.linspace(0.15, 0.9, 20)
        ]
        dark = [image[round(y) - 3 : round(y) + 4, round(x)].min() < 180 for x, y in between]
        assert all(dark)
    without = lay_out(Twin(objects, wires[:1]), np.random.default_rng(3))
    assert without.icons == page.icons
    image = paint_sketch(Twin(objects, wires[:1]), np.random.default_rng(3)).image.min(2)
    x, y = (page.arrows[1].start[k] * 0.5 + page.arrows[1].end[k] * 0.5 for k in (0, 1))
    assert image[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7].min() > 200


def test_icons_differ_by_class():
    pictures = {}
    for cls, draw in ICONS.items():
        pencil = Pencil((60, 60), np.random.default_rng(0))
        draw(pencil, Box(5, 5, 55, 50))
        pictures[cls] = np.asarray(pencil.finish().convert("L").reduce(4), np.float64)
    for a, b in itertools.combinations(pictures, 2):
        assert np.abs(pictures[a] - pictures[b]).mean() > 8


def test_other_sizes_and_center_wires():
    objects = (TwinObject("Source", "In"), TwinObject("Queue", "Q", (10, 0, 0)))
    twin = Twin(objects, (Connection("In", "Q", "S"), Connection("Q", "Q")))
    page = lay_out(twin, np.random.default_rng(0), (300, 200))
    assert [arrow.flow for arrow in page.arrows] == [False]
    assert paint_sketch(twin, np.random.default_rng(0), (300, 200)).image.shape == (200, 300, 3)
    assert paint_sketch(Twin(), np.random.default_rng(0), (30, 20)).image.shape == (20, 30, 3)


def test_what_cannot_be_drawn_says_so():
    rng = np.random.default_rng(0)
    with pytest.raises(SketchError, match="no icon for class Elevator"):
        paint_sketch(Twin((TwinObject("Elevator", "E"),)), rng)
    with pytest.raises(SketchError, match="'a' and 'b' would overlap"):
        paint_sketch(Twin((TwinObject("Queue", "a"), TwinObject("Queue", "b"))), rng)
    with pytest.raises(SketchError, match="names of 1 objects do not fit"):
        paint_sketch(Twin((TwinObject("Queue", "x" * 200),)), rng)
