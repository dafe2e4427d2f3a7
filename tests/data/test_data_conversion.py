"""Conversion: whole files or none, nothing overwritten, what a format cannot hold."""

import json

import pytest
from format_examples import ROWS, contents, rows, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsm_jax.data.conversion import ConversionError, convert_dataset, convert_triplets
from vlsm_jax.data.triplets import DataError, JsonlTriplets, open_triplets
from vlsm_jax.data.xlsx import LONGEST_CELL

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("original"))


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


TARGETS = [
    ("jsonl", "train.jsonl"),
    ("xlsx", "train.xlsx"),
    ("array_record", "train.array_record"),
    ("parquet", "train.parquet"),
    ("tfds", "gdt"),
    ("hf", "saved"),
]


@pytest.mark.parametrize(("form", "name"), TARGETS)
def test_the_same_again_changes_nothing_and_another_is_refused(original, tmp_path, form, name):
    first = convert_triplets(original, tmp_path / name, form=form)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*") if file.is_file()}
    again = convert_triplets(original, tmp_path / name, form=form)
    assert (first.unchanged, again.unchanged) == (False, True)
    other = write_dataset(tmp_path / "other", made=rows()[:5])
    with pytest.raises(ConversionError, match="is there already and is not the same"):
        convert_triplets(other, tmp_path / name, form=form, split="train")
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in before} == before
    assert not [name for name in names(tmp_path) if "partial" in name]


@pytest.mark.parametrize(("form", "name"), TARGETS)
def test_what_fails_half_way_leaves_no_file_of_the_targets_name(original, tmp_path, form, name):
    def stop(done, count):
        assert count == ROWS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_triplets(original, tmp_path / "out" / name, form=form, progress=stop)
    assert [name for name in names(tmp_path) if "images" not in name] == []
    assert convert_triplets(original, tmp_path / "out" / name, form=form).rows == ROWS


def test_shards_of_another_number_are_not_mixed(original, tmp_path):
    convert_triplets(original, tmp_path / "train.parquet", shards=3)
    with pytest.raises(ConversionError, match=r"train-00000-of-00003\.parquet is there already"):
        convert_triplets(original, tmp_path / "train.parquet", shards=4)
    with pytest.raises(ConversionError, match=r"train-00000-of-00003\.parquet is there already"):
        convert_triplets(original, tmp_path / "train.parquet")
    with pytest.raises(ConversionError, match="11 shards of 10 rows"):
        convert_triplets(original, tmp_path / "more.parquet", shards=11)
    with pytest.raises(ConversionError, match="xlsx is written as one file"):
        convert_triplets(original, tmp_path / "train.xlsx", shards=2)
    with pytest.raises(ConversionError, match="format None; choose one of jsonl, xlsx"):
        convert_triplets(original, tmp_path / "train.csv")


def test_rows_without_pictures_and_with_some(tmp_path):
    made = rows()
    path = write_dataset(tmp_path, made=made)
    some = [row | {"image": None} if i % 2 else row for i, row in enumerate(made)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some))
    for form, name in TARGETS:
        target = tmp_path / form / name
        if form == "tfds":
            with pytest.raises(DataError, match=r"train\.jsonl:2: TFDS has a picture in every row or in none"):
                convert_triplets(path, target, form=form)
            continue
        assert convert_triplets(path, target, form=form).pictures == ROWS / 2
        assert [contents(record) for record in open_triplets(target)] == [contents(r) for r in open_triplets(path)]
    none = [{key: value for key, value in row.items() if key != "image"} for row in made]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in none))
    for form, name in TARGETS:
        target = tmp_path / f"{form}-none" / name
        assert convert_triplets(path, target, form=form).pictures == 0
        assert [contents(record) for record in open_triplets(target)] == [contents(r) for r in open_triplets(path)]


def test_pictures_of_one_name_are_both_kept(tmp_path):
    """Hugging Face keeps the last part of a picture's name only, so that names meet."""
    made = [rows()[0] | {"image": f"{folder}/a.png", "id": folder} for folder in ("one", "two")]
    source = open_triplets(write_dataset(tmp_path, made=made))

    class Renamed(JsonlTriplets):
        def _read(self, index):
            record = super()._read(index)
            return record._replace(image_name="a.png")

    renamed = Renamed(source.path)
    convert_triplets(renamed, tmp_path / "out" / "train.jsonl")
    found = open_triplets(tmp_path / "out" / "train.jsonl")
    assert [contents(r).image for r in found] == [contents(r).image for r in source]
    assert found[0].image_name == "images/a.png"
    assert found[1].image_name.startswith("images/a-")
    assert convert_triplets(renamed, tmp_path / "out" / "train.jsonl").unchanged


def test_names_of_pictures_that_lead_elsewhere_are_not_followed_when_writing(tmp_path):
    class Hostile(JsonlTriplets):
        def _read(self, index):
            record = super()._read(index)
            with open(record.image, "rb") as file:
                return record._replace(image=file.read(), image_name="../../escaped.png")

    source = Hostile(write_dataset(tmp_path / "in"))
    convert_triplets(source, tmp_path / "out" / "train.jsonl")
    assert {path.parent.name for path in tmp_path.rglob("*.png") if "out" in path.parts} == {"images"}
    assert len(list((tmp_path / "out" / "images").iterdir())) == ROWS


def test_what_a_cell_cannot_hold_is_named_or_left_out(tmp_path):
    made = rows()
    made[3]["response"] = "x" * (LONGEST_CELL + 1)
    made[5]["response"] = "🏭" * (LONGEST_CELL // 2 + 1)
    made[7]["prompt"] = "_x000D_x000A_"
    made[8]["response"] = "x" * LONGEST_CELL
    path = write_dataset(tmp_path, made=made)
    with pytest.raises(
        DataError, match=r"train\.jsonl:4: field 'Response' is 32,768 characters long, and an xlsx cell"
    ):
        convert_triplets(path, tmp_path / "train.xlsx")
    assert not (tmp_path / "train.xlsx").exists()
    report = convert_triplets(path, tmp_path / "out" / "train.xlsx", skip_bad=True, most_bad=0.3)
    assert (report.rows, report.left_out) == (ROWS - 3, 3)
    assert "field 'Response' is 32,768 characters" in report.problems[1]
    assert "field 'Prompt' holds '_x000D_x000A_', a code of xlsx" in report.problems[2]
    assert [record.id for record in open_triplets(tmp_path / "out" / "train.xlsx")] == [
        f"row-{i}" for i in range(ROWS) if i not in (3, 5, 7)
    ]
    with pytest.raises(ConversionError, match="3 bad rows are more than may be left out"):
        convert_triplets(path, tmp_path / "less" / "train.xlsx", skip_bad=True, most_bad=0.2)


def test_metadata_with_the_name_of_a_column_is_named(tmp_path):
    path = write_dataset(tmp_path, made=[row | {"Prompt": "mine"} for row in rows()])
    for form, name in TARGETS:
        with pytest.raises(DataError, match=r"train\.jsonl:1: the metadata has a column 'Prompt', as the"):
            convert_triplets(path, tmp_path / form / name, form=form)


def test_a_folder_is_converted_split_by_split(tmp_path):
    for split in ("train", "layout-blank"):
        write_dataset(tmp_path / "in", split)
    seen = []
    reports = convert_dataset(tmp_path / "in", tmp_path / "out", "parquet", progress=lambda *done: seen.append(done))
    assert {split: report.rows for split, report in reports.items()} == {"layout-blank": ROWS, "train": ROWS}
    assert seen == [(ROWS, ROWS)] * 2
    convert_dataset(tmp_path / "out", tmp_path / "back", "jsonl")
    assert names(tmp_path / "back") == names(tmp_path / "in")
    for name in names(tmp_path / "in"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    with pytest.raises(DataError, match="has no split 'iid'; there are layout-blank, train"):
        convert_dataset(tmp_path / "in", tmp_path / "out", "parquet", splits=("iid",))


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text | st.just("") | st.just("_x0041_"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
row = st.fixed_dictionaries(
    {"prompt": text.filter(str.strip), "response": text.filter(str.strip), "m-one": value, "m-two": value},
    optional={"id": text, "m-three": value},
)


@pytest.mark.parametrize(("form", "name"), TARGETS)
@settings(max_examples=12, deadline=None)
@given(made=st.lists(row, min_size=1, max_size=4))
def test_any_rows_come_back_equal(tmp_path_factory, form, name, made):
    folder = tmp_path_factory.mktemp("any")
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in made), encoding="utf-8")
    convert_triplets(path, folder / "out" / name, form=form, split="train")
    found, expected = open_triplets(folder / "out" / name), open_triplets(path)
    # A row without an id is called by its place, which is another.
    assert [contents(r)._replace(id=r.has_own_id and r.id) for r in found] == [
        contents(r)._replace(id=r.has_own_id and r.id) for r in expected
    ]
    # 1, 1.0 and True are equal in Python, and are not in JSON.
    assert [json.dumps(r.extra, sort_keys=True) for r in found] == [
        json.dumps(r.extra, sort_keys=True) for r in expected
    ]
