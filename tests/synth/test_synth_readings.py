"""Samples of reading: what stands in a sketch, object by object."""

import json

import pytest

from vlsm_jax.data.triplets import open_triplets
from vlsm_jax.simulator import build
from vlsm_jax.synth import Split, TripletOptions, make_triplet, write_dataset
from vlsm_jax.synth.readings import PROMPT, reading_of, reading_row, write_readings
from vlsm_jax.twin import Connection, Twin, TwinObject


def test_a_reading_goes_from_left_to_right_and_from_the_top():
    twin = Twin(
        objects=(
            TwinObject("Sink", "Store", (20, 0, 0)),
            TwinObject("Operator", "Ann", (10, -9, 0)),
            TwinObject("Processor", "Mill", (10, 4, 0)),
            TwinObject("Source", "Dock", (0, 0, 0)),
            TwinObject("Processor", "Lathe", (10, -4, 0)),
        ),
        connections=(
            Connection("Dock", "Mill"),
            Connection("Dock", "Lathe"),
            Connection("Mill", "Store"),
            Connection("Lathe", "Store"),
            Connection("Mill", "Ann", "S"),
        ),
    )
    assert reading_of(twin).splitlines() == [
        "Dock, Source > Mill, Lathe",
        "Mill, Processor > Store; Ann",
        "Lathe, Processor > Store",
        "Ann, Operator",
        "Store, Sink",
    ]


@pytest.mark.parametrize("index", range(6))
def test_a_reading_holds_every_object_and_connection_and_no_number(index):
    row = make_triplet(5, index, TripletOptions(most_objects=12)).row()
    made, twin = reading_row(row), build(row["response"]).twin
    assert (made["prompt"], made["kind"], made["of"]) == (PROMPT, "reading", row["id"])
    classes, found = {item.name: item.cls for item in twin.objects}, set()
    for line in made["response"].splitlines():
        first, _, center = line.partition("; ")
        first, _, flow = first.partition(" > ")
        name = first.rpartition(", ")[0]
        assert first == f"{name}, {classes[name]}"
        found |= {(name, other, "A") for other in flow.split(", ") if other}
        found |= {(name, other, "S") for other in center.split(", ") if other}
    assert found == {(wire.source, wire.target, wire.port) for wire in twin.connections}
    assert len(made["response"].splitlines()) == len(twin.objects)


def test_a_script_that_builds_nothing_has_no_reading():
    assert reading_row({"id": "1", "response": "int a = 3;"}) is None


def test_readings_lie_beside_triplets(tmp_path):
    options = TripletOptions(most_objects=6, industries=("photomask",), layouts=("linear",))
    write_dataset(tmp_path / "set", {Split.TRAIN: 4, Split.IID: 2}, seed=1, options=options)
    assert write_readings(tmp_path / "set", 0.5) == {"train": 2, "iid": 1}
    before = (tmp_path / "set" / "reading" / "train.jsonl").read_bytes()
    (tmp_path / "set" / "reading" / "train.jsonl").unlink()
    write_readings(tmp_path / "set", 0.5, workers=2)
    assert (tmp_path / "set" / "reading" / "train.jsonl").read_bytes() == before
    rows = open_triplets(tmp_path / "set" / "reading", split="train")
    rows.check()
    train = {row.id: row for row in open_triplets(tmp_path / "set", split="train")}
    for line, row in zip(before.splitlines(), rows, strict=True):
        with open(row.image, "rb") as one, open(train[json.loads(line)["of"]].image, "rb") as other:
            assert one.read() == other.read()
