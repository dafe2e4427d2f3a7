"""The contact sheet: pictures, texts and counts of a data set on one page."""

import io
import json
import struct
import zlib
from html.parser import HTMLParser

import pytest
from PIL import Image

from vlsm_jax.curation import write_sheet
from vlsm_jax.data.triplets import JsonlTriplets
from vlsm_jax.synth import Split, TripletOptions, write_dataset

COUNTS = {Split.TRAIN: 6, Split.IID: 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "set"
    write_dataset(directory, COUNTS, seed=2, options=TripletOptions(most_objects=8))
    return directory


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.images += [attrs["src"]] if tag == "img" else []
        self.links += [attrs[name] for name in ("href", "src") if name in attrs and not attrs[name].startswith("data:")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_sheet_shows_samples_of_every_split_and_counts_all(folder, tmp_path):
    splits = {split.value: JsonlTriplets(folder / f"{split.value}.jsonl") for split in COUNTS}
    tallies = write_sheet(tmp_path / "sheet.html", splits, title="A set", samples=5)
    assert {split: tally.triplets for split, tally in tallies.items()} == {"train": 6, "iid": 2}
    text = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.links == []  # it needs nothing but itself
    assert len(page.images) == 5
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in page.images)
    assert "8 triplets in 2 splits, 5 of them shown" in text
    classes = sum(tallies["train"].counts["class"].values())
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert classes == sum(row["objects"] for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.html"]


def test_texts_of_the_data_are_escaped_and_bad_rows_shown(folder, tmp_path):
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    (tmp_path / "images").symlink_to(folder / "images")
    rows = [
        {**row, "prompt": "<script>alert(1)</script>", "response": "Object.create("},
        {"image": "images/none.png", "prompt": "p", "response": "q"},
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    write_sheet(tmp_path / "sheet.html", {"x": JsonlTriplets(tmp_path / "x.jsonl")}, title="<b>", samples=9)
    text = (tmp_path / "sheet.html").read_text()
    assert "<script>" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text
    assert 'class="bad"' in text


def test_pictures_that_cannot_be_shown_are_told(folder, tmp_path):
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    pixels = io.BytesIO()
    Image.new("1", (8, 8)).save(pixels, "PNG")
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    data = pixels.getvalue()
    bomb = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    (tmp_path / "images").mkdir()
    for name, content in (("bomb", bomb), ("torn", data[:41]), ("text", b"no picture")):
        (tmp_path / "images" / f"{name}.png").write_bytes(content)
    rows = [{**row, "image": f"images/{name}.png"} for name in ("bomb", "torn", "text", "none")]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    write_sheet(tmp_path / "sheet.html", {"x": JsonlTriplets(tmp_path / "x.jsonl")}, title="", samples=9)
    text = (tmp_path / "sheet.html").read_text()
    assert Page(text).images == []
    assert "bomb.png is refused: Image size (3600000000 pixels)" in text
    assert "text.png is not a picture" in text
    assert "no image at" in text


def test_metadata_of_any_kind_is_counted_as_far_as_it_can_be(folder, tmp_path):
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    (tmp_path / "images").symlink_to(folder / "images")
    odd = [
        {"goal": "faster", "features": "merge", "omitted": 3, "misspelt": 5, "industry": ["a"], "topology": {"a": 1}},
        {"goal": {"x": 1}, "features": 7, "omitted": [1, None], "misspelt": ["x"], "layout": {"b": 2}, "topology": 9},
        {"goal": [], "features": None, "omitted": {}, "misspelt": None, "industry": float("inf"), "legible_at": "none"},
    ]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({**row, **entry}) + "\n" for entry in odd))
    tally = write_sheet(tmp_path / "sheet.html", {"x": JsonlTriplets(tmp_path / "x.jsonl")}, title="")["x"]
    assert tally.counts["features"] == {"merge": 1, "7": 1}
    assert tally.counts["omitted"] == {"3": 1, "1": 1, "None": 1}
    assert tally.counts["misspelt"] == {"1": 1}
    assert not tally.counts["goal"]
    assert tally.shapes.total() == 3


def test_a_sheet_without_metadata(tmp_path, folder):
    row = json.loads((folder / "train.jsonl").read_text().splitlines()[0])
    (tmp_path / "images").symlink_to(folder / "images")
    bare = {key: row[key] for key in ("image", "prompt", "response")}
    (tmp_path / "x.jsonl").write_text(json.dumps(bare) + "\n")
    tallies = write_sheet(tmp_path / "sheet.html", {"x": JsonlTriplets(tmp_path / "x.jsonl")}, title="Mine")
    assert not tallies["x"].counts["industry"]
    assert tallies["x"].shapes.total() == 1
