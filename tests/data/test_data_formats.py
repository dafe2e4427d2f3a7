"""Reading triplets in every format, whoever wrote them."""

import io
import json
import pickle
import subprocess
import sys

import numpy as np
import openpyxl
import pytest
from format_examples import ROWS, TEXTS, contents, rows, write_dataset
from PIL import Image

from vlsm_jax.data import parquet as parquet_module
from vlsm_jax.data.conversion import convert_dataset, convert_triplets
from vlsm_jax.data.examples import read_example, write_example
from vlsm_jax.data.images import load_image
from vlsm_jax.data.triplets import DataError, find_splits, open_triplets

datasets = pytest.importorskip("datasets")
import pyarrow  # noqa: E402
import pyarrow.parquet  # noqa: E402
from array_record.python.array_record_module import ArrayRecordWriter  # noqa: E402

TARGETS = {
    "jsonl": "out/train.jsonl",
    "xlsx": "out/train.xlsx",
    "array_record": "out/train.array_record",
    "parquet": "out/train.parquet",
    "tfds": "out",
    "hf": "out/train",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module", params=TARGETS)
def written(request, original, tmp_path_factory):
    """The same triplets in each format, in shards where there are any."""
    target = tmp_path_factory.mktemp(request.param) / TARGETS[request.param]
    shards = 1 if request.param in ("jsonl", "xlsx") else 3
    report = convert_triplets(original, target, form=request.param, shards=shards)
    assert (report.rows, report.pictures, report.left_out, len(report.files)) == (ROWS, ROWS, 0, shards)
    return target


def png(colour=(1, 2, 3)):
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_rows_are_equal_in_every_format_and_order(original, written):
    expected, found = open_triplets(original), open_triplets(written)
    assert len(found) == ROWS
    for i in (*range(ROWS - 1, -1, -1), *range(ROWS), -1):
        assert contents(found[i]) == contents(expected[i])
    assert [type(value) for value in found[3].extra.values()] == [type(value) for value in expected[3].extra.values()]
    with pytest.raises(IndexError):
        found[ROWS]
    assert not list(found.problems())
    assert (load_image(found[4].image, 32) == load_image(expected[4].image, 32)).all()


def test_back_to_json_lines_is_equal_byte_for_byte(original, written, tmp_path):
    convert_triplets(written, tmp_path / "train.jsonl")
    assert (tmp_path / "train.jsonl").read_bytes() == original.read_bytes()
    for row in rows():
        assert (tmp_path / row["image"]).read_bytes() == (original.parent / row["image"]).read_bytes()


def test_a_source_goes_to_another_process(written):
    source = open_triplets(written)
    copy = pickle.dumps(source)
    assert len(copy) < 4000
    program = (
        "import pickle, sys\n"
        "source = pickle.loads(sys.stdin.buffer.read())\n"
        "record = source[7]\n"
        "assert not {'jax', 'torch', 'tensorflow'} & set(sys.modules)\n"
        "print(repr(source), record.response, record.id, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], input=copy, capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().split("\n") == [repr(source), TEXTS[7], "row-7", ""]
    assert repr(open_triplets(written)) == repr(source)


def test_scratch_files_go_with_their_source(original, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    convert_triplets(original, tmp_path / "train.xlsx")
    source = open_triplets(tmp_path / "train.xlsx")
    copy = pickle.dumps(source)
    assert len(list(tmp_path.glob("vlsm-triplets-*"))) == 1
    del source
    assert not list(tmp_path.glob("vlsm-triplets-*"))
    assert pickle.loads(copy)[3].response == TEXTS[3]  # read anew


# --- Hugging Face ---------------------------------------------------------------------------------------------------


def test_datasets_shows_our_parquet_with_pictures(original, tmp_path):
    convert_triplets(original, tmp_path / "train.parquet", shards=2)
    files = str(tmp_path / "train-*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    assert isinstance(loaded.features["image"], datasets.Image)
    assert loaded.features["features"] == datasets.List(datasets.Value("string"))
    assert loaded[3]["image"].size == (14, 9)
    assert loaded[3]["response"] == TEXTS[3]
    assert json.loads(loaded[2]["goal"]) == rows()[2]["goal"]
    assert loaded["letter_height"][:] == [row["letter_height"] for row in rows()]


def test_datasets_loads_our_folder_of_splits(original, tmp_path):
    write_dataset(tmp_path / "in", "train")
    write_dataset(tmp_path / "in", "validation")
    convert_dataset(tmp_path / "in", tmp_path / "out", "hf")
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert set(loaded) == {"train", "validation"}
    assert loaded["validation"][4]["prompt"] == rows()[4]["prompt"]
    assert loaded["train"][3]["image"].size == (14, 9)
    assert set(find_splits(tmp_path / "out")) == {"train", "validation"}
    assert open_triplets(tmp_path / "out", split="validation")[4].extra == open_triplets(original)[4].extra


@pytest.mark.parametrize("way", ["parquet", "folder", "folder of splits"])
def test_what_datasets_wrote_is_read(tmp_path, way):
    pictures = [png((i, 0, 0)) for i in range(7)]
    made = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": data, "path": None} for data in pictures],
            "prompt": [f"prompt {i}" for i in range(7)],
            "response": [f"script {i}" for i in range(7)],
            "score": [i / 7 for i in range(7)],
        }
    ).cast_column("image", datasets.Image())
    if way == "parquet":
        made.to_parquet(str(tmp_path / "train.parquet"))
        source = open_triplets(tmp_path / "train.parquet")
    elif way == "folder":
        made.save_to_disk(str(tmp_path / "saved"), num_shards=2)
        source = open_triplets(tmp_path / "saved")
    else:
        datasets.DatasetDict({"train": made, "test": made}).save_to_disk(str(tmp_path / "saved"))
        with pytest.raises(DataError, match="has the splits test, train; say which with split="):
            open_triplets(tmp_path / "saved")
        source = open_triplets(tmp_path / "saved", split="train")
    assert [record.image for record in source] == pictures
    assert source[5].response == "script 5"
    assert source[5].extra == {"score": 5 / 7}
    assert source[5].id.endswith((".parquet:6", ".arrow:6", ".arrow:2"))


def test_row_groups_too_large_to_read_for_a_row_are_unpacked_once(tmp_path, monkeypatch):
    table = pyarrow.table({"Prompt": [f"p{i}" for i in range(250)], "Response": [f"r{i}" for i in range(250)]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    monkeypatch.setattr(parquet_module, "_LARGE_GROUP", 100)
    source = pickle.loads(pickle.dumps(open_triplets(tmp_path / "train.parquet")))
    assert [source[i].response for i in (249, 0, 101)] == ["r249", "r0", "r101"]
    assert source[101].where.endswith("train.parquet:102")
    assert source[101].image is None


# --- TFDS and ArrayRecord -------------------------------------------------------------------------------------------


def test_an_example_has_the_bytes_of_tensorflow():
    # Example {features {feature {key: "n" value {int64_list {value: 5}}}}}, by the rules of protobuf's encoding.
    data = bytes([10, 12, 10, 10, 10, 1, ord("n"), 18, 5, 26, 3, 10, 1, 5])
    assert read_example(data) == {"n": [5]}
    assert write_example({"n": 5}) == data
    assert read_example(write_example({"a": b"\xff", "b": "é", "c": ["x", "y"]})) == {
        "a": [b"\xff"],
        "b": ["é".encode()],
        "c": [b"x", b"y"],
    }


TFDS_FEATURES = {
    "featuresDict": {
        "features": {
            "image": {"image": {}},
            "prompt": {"text": {}},
            "response": {"text": {}},
            "omitted": {"sequence": {"feature": {"text": {}}, "length": "-1"}},
            "objects": {"tensor": {"shape": {}, "dtype": "int64"}},
            "goal": {"featuresDict": {"features": {"measure": {"text": {}}, "at_least": {"tensor": {"shape": {}}}}}},
        }
    }
}


def write_tfds(folder, form="array_record"):
    info = {"name": "gdt_synth", "version": "1.0.0", "fileFormat": form}
    info["splits"] = [{"name": "train", "shardLengths": ["1", "1"]}, {"name": "layout-blank", "shardLengths": ["2"]}]
    folder.mkdir(exist_ok=True)
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "features.json").write_text(json.dumps(TFDS_FEATURES))
    made = [
        write_example(
            {"image": png((i, i, i)), "prompt": f"p{i}", "response": f"r{i}", "omitted": ["a"][:i], "objects": i}
            | {"goal/measure": "wip", "goal/at_least": 4}
        )
        for i in range(2)
    ]
    for name, records in (
        ("train.array_record-00000-of-00002", made[:1]),
        ("train.array_record-00001-of-00002", made[1:]),
        ("layout-blank.array_record-00000-of-00001", made),
    ):
        writer = ArrayRecordWriter(str(folder / f"gdt_synth-{name}"), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()


def test_a_prepared_tfds_folder_is_read_by_its_splits(tmp_path):
    write_tfds(tmp_path)
    source = open_triplets(tmp_path, split="train")
    assert [record.image for record in source] == [png((0, 0, 0)), png((1, 1, 1))]
    goal = {"measure": "wip", "at_least": 4}
    assert source[0].extra == {"omitted": [], "objects": 0, "goal": goal}
    assert source[1].extra == {"omitted": ["a"], "objects": 1, "goal": goal}
    assert len(open_triplets(tmp_path, split="layout-blank")) == 2
    with pytest.raises(DataError, match="the splits there are train, layout-blank"):
        open_triplets(tmp_path, split="iid")


def test_a_tfds_folder_of_records_without_random_access_is_refused(tmp_path):
    write_tfds(tmp_path, "tfrecord")
    with pytest.raises(DataError, match="prepare it with file_format='array_record'"):
        open_triplets(tmp_path, split="train")


def test_a_tfds_folder_with_a_shard_too_short_is_named(tmp_path):
    write_tfds(tmp_path)
    short = tmp_path / "gdt_synth-train.array_record-00000-of-00002"
    short.replace(tmp_path / "gdt_synth-layout-blank.array_record-00000-of-00001")
    with pytest.raises(DataError, match="split 'layout-blank' should have 2 rows and has 1"):
        open_triplets(tmp_path, split="layout-blank")


def test_tfds_reads_our_folder(original, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    convert_triplets(original, tmp_path / "gdt", form="tfds", split="layout-blank", shards=2)
    source = tfds.builder_from_directory(str(tmp_path / "gdt")).as_data_source("layout-blank")
    assert len(source) == ROWS
    assert source[3]["image"].shape == (9, 14, 3)
    assert source[3]["response"].decode() == TEXTS[3]


def test_splits_are_written_one_by_one_into_a_tfds_folder(original, tmp_path):
    for split in ("train", "iid"):
        convert_triplets(original, tmp_path / "gdt", form="tfds", split=split)
    assert set(find_splits(tmp_path / "gdt")) == {"train", "iid"}
    assert open_triplets(tmp_path / "gdt", split="iid")[2].id == "row-2"


# --- Names ----------------------------------------------------------------------------------------------------------


def test_upstreams_workbook_is_read_as_it_is(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Prompt", "Response"], ["A line.", "int i;"], [None, None], ["Another.", 7]):
        book.active.append(row)
    book.save(tmp_path / "train.xlsx")
    source = open_triplets(tmp_path / "train.xlsx")
    assert source[0][:4] == ("train.xlsx:2", None, "A line.", "int i;")
    with pytest.raises(DataError, match=r"train\.xlsx:4: field 'Response' is empty or not text: found int 7"):
        source[1]


@pytest.mark.parametrize("form", list(TARGETS))
def test_columns_have_the_names_one_gives_them(original, tmp_path, form):
    target = tmp_path / TARGETS[form]
    names = {"image": "sketch", "prompt": "instruction", "response": "script", "id": "key"}
    convert_triplets(original, target, form=form, target_columns=names)
    found = open_triplets(target, names)
    assert [contents(record) for record in found] == [contents(record) for record in open_triplets(original)]
    if form != "jsonl":  # whose rows each have their own names
        with pytest.raises(DataError, match=r"no column 'prompt'; there are .*columns=\{'prompt':"):
            open_triplets(target)
    with pytest.raises(DataError, match="columns has 'Prompt'; its keys are image, prompt, response, id"):
        open_triplets(target, {"Prompt": "prompt"})


def test_names_of_shards_and_folders(original, tmp_path):
    convert_triplets(original, tmp_path / "train.parquet", shards=3)
    convert_triplets(original, tmp_path / "val.array_record", shards=2)
    for name in ("train.parquet", "train.parquet@3", "train-*-of-*.parquet", "train-000??-of-00003.parquet"):
        assert len(open_triplets(tmp_path / name)) == ROWS
    for name in ("val.array_record", "val.array_record@2", "val.array_record-*"):
        assert len(open_triplets(tmp_path / name)) == ROWS
    assert set(find_splits(tmp_path)) == {"train", "val"}
    assert open_triplets(tmp_path, split="validation").path.name.startswith("val.")
    (tmp_path / "train-00001-of-00003.parquet").rename(tmp_path / "aside")
    with pytest.raises(DataError, match=r"shard 00001-of-00003 is missing \(1 in all\)"):
        open_triplets(tmp_path, split="train")
    (tmp_path / "aside").rename(tmp_path / "train-00001-of-00004.parquet")
    with pytest.raises(DataError, match="shards of 00003 and of 00004"):
        open_triplets(tmp_path / "train.parquet")
    with pytest.raises(DataError, match="no data file at"):
        open_triplets(tmp_path / "train.parquet@5")


def test_files_of_rows_are_joined(tmp_path):
    write_dataset(tmp_path, "train-00000-of-00002", rows()[:4])
    write_dataset(tmp_path, "train-00001-of-00002", rows()[4:])
    source = open_triplets(tmp_path, split="train")
    assert [record.id for record in source] == [row["id"] for row in rows()]
    assert source[4].where.endswith("train-00001-of-00002.jsonl:1")
    assert repr(source) == "Joined(JsonlTriplets(train-00000-of-00002.jsonl, 4 rows), " + (
        "JsonlTriplets(train-00001-of-00002.jsonl, 6 rows))"
    )


def test_the_hubs_folder_is_read(original, tmp_path):
    convert_triplets(original, tmp_path / "data" / "train.parquet", shards=2)
    assert len(open_triplets(tmp_path)) == ROWS
    assert len(open_triplets(tmp_path, form="parquet", split="train")) == ROWS
    with pytest.raises(DataError, match=r"\(xlsx is asked for\)"):
        open_triplets(tmp_path, form="xlsx")


def test_a_folder_prefers_the_format_with_pictures(original, tmp_path):
    convert_triplets(original, tmp_path / "train.xlsx")
    convert_triplets(original, tmp_path / "train.jsonl")
    assert open_triplets(tmp_path).path.name == "train.jsonl"


def test_bare_names_are_found_in_the_folder_of_pictures(tmp_path):
    write_dataset(tmp_path)
    row = {"image": "0.png", "prompt": "p", "response": "r"}
    back = {**row, "image": "images\\deep\\1.png"}
    (tmp_path / "bare.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(back)}\n")
    source = open_triplets(tmp_path / "bare.jsonl")
    assert [record.image for record in source] == [str(tmp_path / "images/0.png"), str(tmp_path / "images/deep/1.png")]


def test_pyarrow_is_asked_for_by_its_extra(original, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'vlsm_jax\[parquet\]'"):
        convert_triplets(original, tmp_path / "train.parquet")
    assert convert_triplets(original, tmp_path / "train.array_record").rows == ROWS


def test_rows_held_out_are_drawn_by_the_seed(original):
    from vlsm_jax.data.triplets import hold_out

    rest, held = hold_out(open_triplets(original), 0.3, seed=4)
    assert sorted(r.id for part in (rest, held) for r in part) == sorted(row["id"] for row in rows())
    assert len(held) == 3
    assert repr(hold_out(open_triplets(original), 0.3, seed=4)[1]) == repr(held)
    assert repr(hold_out(open_triplets(original), 0.3, seed=5)[1]) != repr(held)
    assert np.all(np.diff([int(r.id.removeprefix("row-")) for r in rest]) > 0)
