"""Data that is torn, wrong or meant to harm: each a named error, and the rest still usable."""

import io
import json
import os
import struct
import zipfile
import zlib

import numpy as np
import openpyxl
import pytest
import xlsxwriter
from array_record.python.array_record_module import ArrayRecordWriter
from format_examples import ROWS, rows, write_dataset
from PIL import Image

from vlsm_jax.data import images, jsonl
from vlsm_jax.data.conversion import convert_triplets
from vlsm_jax.data.examples import write_example
from vlsm_jax.data.triplets import DataError, open_triplets
from vlsm_jax.data.xlsx import MOST_ROWS

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GOOD = {"image": "images/0.png", "prompt": "p", "response": "r"}


def lines(tmp_path, *made):
    write_dataset(tmp_path, "made", rows()[:1])
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join(m if isinstance(m, bytes) else json.dumps(m).encode() for m in made))
    return open_triplets(path)


def messages(source):
    return [problem.message for problem in source.problems()]


# --- Rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (json.dumps(GOOD).encode()[:30], "not JSON: Unterminated string"),
        (b'{"prompt": "caf\xe9"}', "not UTF-8 at byte 15; save the file as UTF-8"),
        (b"[" * 100_000, "not JSON: "),
        (b'{"prompt": "a", "prompt": "b", "response": "r"}', "not JSON: field 'prompt' stands twice"),
        (GOOD | {"prompt": None}, "field 'prompt' is empty or not text"),
        (
            b'{"image": "images/0.png", "prompt": "p", "response": NaN}',
            "'response' is empty or not text: found float nan",
        ),
        (GOOD | {"response": ["a"]}, "field 'response' is empty or not text: found list ['a']"),
        (GOOD | {"response": "\ud800"}, "field 'response' holds half of a character (U+D800) at 0"),
        (GOOD | {"image": 5}, "field 'image' is empty or not text: found int 5"),
        (GOOD | {"image": "../../etc/passwd"}, "'../../etc/passwd' is outside of"),
        (GOOD | {"image": "images/../../x.png"}, "is outside of"),
        (GOOD | {"image": "/etc/passwd"}, "is outside of"),
        (GOOD | {"image": "C:\\Users\\a.png"}, "is outside of"),
        (GOOD | {"image": "\\\\server\\share\\a.png"}, "is outside of"),
        (GOOD | {"image": "https://example.com/a.png"}, "is outside of"),
        (GOOD | {"image": "a\0.png"}, "is outside of"),
        (GOOD | {"image": "images/none.png"}, "no image at"),
        (GOOD | {"image": "images"}, "is not a file"),
        (GOOD | {"image": "x" * 5000}, "cannot be read: [Errno 36] File name too long"),
        (b'{"a": 1}', "no field 'prompt'; the row has 'a'"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(tmp_path, row, message):
    source = lines(tmp_path, GOOD, row, GOOD)
    (problem,) = source.problems()
    assert problem.index == 1
    assert problem.message.startswith(f"{tmp_path}/train.jsonl:2: ")
    assert message in problem.message
    assert source[2].response == "r"


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "LONGEST_LINE", 1000)
    source = lines(tmp_path, GOOD, b'{"prompt": "' + b"x" * 5000, b" " * 3000, GOOD)
    assert len(source) == 3
    assert messages(source) == [
        f"{tmp_path}/train.jsonl:2: a line of 0 MB, over the limit of 0 MB; "
        "every row is a line of its own, and pictures lie in files"
    ]
    assert source[2].where.endswith("train.jsonl:4")


def test_an_image_of_null_is_a_row_of_text(tmp_path):
    source = lines(tmp_path, GOOD, GOOD | {"image": None}, GOOD | {"image": ""})
    assert [record.image is None for record in source] == [False, True, True]
    assert messages(source) == []


# --- Pictures -------------------------------------------------------------------------------------------------------


def picture(kind="PNG", size=(40, 30)):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def png_of(width, height):
    """A PNG whose header says what it likes."""
    header = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return out


def flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :]


BAD_PICTURES = {
    "torn PNG": (picture()[:2000], "cannot be read"),
    "torn JPEG": (picture("JPEG")[:-200], "cannot be read: image file is truncated"),
    "torn WebP": (picture("WEBP")[:-50], "cannot be read"),
    "torn TIFF": (picture("TIFF")[:200], "cannot be read"),
    "a bit flipped": (flipped(picture()), "cannot be read"),
    "text": (b"root:x:0:0", "is not a picture that can be read; PNG and JPEG are"),
    "empty": (b"", "is not a picture that can be read"),
    "a bomb": (png_of(60_000, 60_000), "is refused"),
    "40 MB": (
        picture() + bytes(40_000_000),
        "is refused: 40.0 MB, over the limit of 34 MB for one picture",
    ),
}


@pytest.mark.parametrize("held", ["in files", "inside"])
def test_bad_pictures_are_named_and_the_rest_is_read(tmp_path, held):
    good = picture()
    data = [good, *(data for data, _ in BAD_PICTURES.values()), good]
    if held == "in files":
        made = []
        for i, content in enumerate(data):
            (tmp_path / f"{i}.png").write_bytes(content)
            made.append(GOOD | {"image": f"{i}.png"})
        source = lines(tmp_path, *made)
    else:
        image = [{"bytes": content or b"\0", "path": None} for content in data]
        table = pyarrow.table({"image": image, "prompt": ["p"] * len(data), "response": ["r"] * len(data)})
        parquet.write_table(table, tmp_path / "train.parquet")
        source = open_triplets(tmp_path / "train.parquet")
    found = list(source.problems())
    assert [problem.index for problem in found] == list(range(1, len(data) - 1))
    for problem, (_, message) in zip(found, BAD_PICTURES.values(), strict=True):
        assert message in problem.message
        assert problem.message.startswith(f"{source.path}:{problem.index + 1}: ")
    assert len(list(source.problems(limit=3))) == 3
    target = tmp_path / "out" / "train.array_record"
    report = convert_triplets(source, target, skip_bad=True, most_bad=0.9)
    assert (report.rows, report.left_out, len(report.problems)) == (2, len(BAD_PICTURES), len(BAD_PICTURES))
    assert [record.image for record in open_triplets(target)] == [good, good]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_whole_pictures_of_every_kind_pass(tmp_path, kind):
    assert images.check_picture(picture(kind)) == images.SUFFIXES[kind]
    assert images.check_picture(picture("JPEG") + b"what phones append") == ".jpg"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    source = lines(tmp_path, GOOD, GOOD | {"image": "pipe.png"}, GOOD | {"image": "zero.png"})
    assert [message.rsplit("/", 1)[1] for message in messages(source)] == [
        "pipe.png is not a file",
        "zero.png is not a file",
    ]


def test_a_link_leads_to_pictures_only(tmp_path):
    (tmp_path / "secret").write_text("secret")
    source = lines(tmp_path, GOOD, GOOD | {"image": "linked.png"}, GOOD | {"image": "stolen.png"})
    (tmp_path / "linked.png").symlink_to(tmp_path / "images" / "0.png")
    (tmp_path / "stolen.png").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=r"train\.jsonl:3: .*stolen\.png is not a picture"):
        convert_triplets(source, tmp_path / "train.parquet")
    report = convert_triplets(source, tmp_path / "train.parquet", skip_bad=True, most_bad=0.5)
    assert report.rows == 2
    assert b"secret" not in (tmp_path / "train.parquet").read_bytes()


# --- Files ----------------------------------------------------------------------------------------------------------

FILES = {"xlsx": "train.xlsx", "array_record": "train.array_record", "parquet": "train.parquet", "hf": "train"}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("cut", [0.0, 0.3, 0.9, 0.999])
def test_torn_files_are_named(tmp_path, form, cut):
    target = tmp_path / "out" / FILES[form]
    (file,) = convert_triplets(write_dataset(tmp_path), target, form=form).files
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(DataError) as error:
        list(open_triplets(target))
    assert str(file) in str(error.value)


@pytest.mark.parametrize("form", FILES)
def test_files_of_something_else_are_named(tmp_path, form):
    file = tmp_path / FILES[form]
    if form == "hf":
        file.mkdir()
        (file / "state.json").write_text('{"_data_files": [{"filename": "a.arrow"}]}')
        file /= "a.arrow"
    file.write_bytes(b"Prompt,Response\nwords,more words\n" * 4000)
    with pytest.raises(DataError) as error:
        open_triplets(tmp_path / FILES[form])
    assert str(file) in str(error.value)


def test_a_torn_record_is_named_and_the_others_are_read(tmp_path):
    made = [row | {"response": f"row {i} " + "".join(map(chr, range(33, 126)))} for i, row in enumerate(rows())]
    (file,) = convert_triplets(write_dataset(tmp_path, made=made), tmp_path / "train.array_record").files
    data = bytearray(file.read_bytes())
    at = data.find(b"images/deep/4.png")
    assert at > 0
    data[at] ^= 255
    file.write_bytes(data)
    source = open_triplets(file)
    (problem,) = source.problems()
    assert problem.message.startswith(f"{file}:5: the record is torn: ")
    assert source[5].response == made[5]["response"]


def test_a_foreign_record_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "train.array_record"
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in (write_example({"prompt": "p", "response": "r"}), b"something else", b"\x08\x05", b""):
        writer.write(record)
    writer.write(write_example({"prompt": "p", "response": b"\xff\xfe"}))
    writer.write(write_example({"prompt": "p", "response": "r", "metadata": "[1"}))
    writer.close()
    source = open_triplets(path)
    found = messages(source)
    assert len(found) == 5
    assert all("is not a tf.train.Example" in message for message in found[:3])
    assert "train.array_record:5: field 'response' is empty or not text: found bytes" in found[3]
    assert "train.array_record:6: feature 'metadata' is not the JSON it should be" in found[4]
    assert source[0].response == "r"


def test_columns_that_are_missing_or_of_another_type(tmp_path):
    parquet.write_table(pyarrow.table({"Prompt": ["p"], "Answer": ["r"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: no column 'response'; there are 'Prompt', 'Answer'"):
        open_triplets(tmp_path / "a.parquet")
    assert open_triplets(tmp_path / "a.parquet", {"response": "Answer"})[0].response == "r"
    columns = {"prompt": ["p", None, "p"], "response": [1.0, 2.0, float("nan")]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "b.parquet")
    assert [message.split(": ", 1)[1] for message in messages(open_triplets(tmp_path / "b.parquet"))] == [
        "field 'response' is empty or not text: found float 1.0",
        "field 'prompt' is empty or not text",
        "field 'response' is empty or not text: found float nan",
    ]
    parquet.write_table(pyarrow.table({"prompt": [], "response": []}), tmp_path / "c.parquet")
    with pytest.raises(DataError, match=r"c\.parquet holds no rows"):
        open_triplets(tmp_path / "c.parquet")
    twice = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 3, names=["prompt", "response", "prompt"])
    parquet.write_table(twice, tmp_path / "d.parquet")
    with pytest.raises(DataError, match="column 'prompt' stands twice"):
        open_triplets(tmp_path / "d.parquet")
    parquet.write_table(pyarrow.table({"PROMPT": ["a"], "Prompt": ["b"], "response": ["c"]}), tmp_path / "e.parquet")
    with pytest.raises(DataError, match="'PROMPT' and 'Prompt' may each be the prompt"):
        open_triplets(tmp_path / "e.parquet")


def test_an_arrow_file_that_points_outside_of_itself_is_refused(tmp_path):
    convert_triplets(write_dataset(tmp_path), tmp_path / "saved", form="hf")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    data = bytearray(file.read_bytes())
    # The offsets of the column `response`: each row's end is the next row's start.
    offsets = np.cumsum([0, *(len(row["response"].encode()) for row in rows())]).astype("<i4").tobytes()
    at = data.find(offsets)
    assert at > 0
    data[at + 8 : at + 12] = (2**30).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"\.arrow is torn"):
        open_triplets(tmp_path / "saved")


def test_a_folder_that_names_files_elsewhere_is_refused(tmp_path):
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "../../etc/passwd"}]}')
    with pytest.raises(DataError, match="passwd' is outside of the folder"):
        open_triplets(tmp_path)


# --- Workbooks ------------------------------------------------------------------------------------------------------


def workbook(path, *made):
    book = openpyxl.Workbook()
    for row in made:
        book.active.append(row)
    book.save(path)
    return path


def with_sheet(path, change):
    """Rewrites the XML of the first sheet."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = change(parts[name])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part, data in parts.items():
            new.writestr(part, data)
    return path


def test_cells_that_are_empty_numbers_or_formulas_are_named(tmp_path):
    path = workbook(
        tmp_path / "train.xlsx",
        ["Prompt", "Response", None, "Image"],
        ["p", None],
        [3.5, "r"],
        ["p", "=A1"],
        ["p", True],
        ["p", "r", "no header", "../x.png"],
        ["p", "r", "no header"],
    )
    assert [message.split(": ", 1)[1].split(" is outside")[0] for message in messages(open_triplets(path))] == [
        "field 'Response' is empty or not text",
        "field 'Prompt' is empty or not text: found float 3.5",
        "field 'Response' is empty or not text",  # a formula whose value was never worked out
        "field 'Response' is empty or not text: found bool True",
        "field 'Image' is refused: '../x.png'",
    ]
    assert open_triplets(path)[5].extra == {}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([["Prompt", "Response"]], "holds no rows"),
        ([[None, None]], "has no header"),
        ([["Prompt", "Answer"], ["p", "r"]], "no column 'response'; there are 'Prompt', 'Answer'"),
        ([["Prompt", "Response", "Prompt"], ["p", "r", "p"]], "column 'Prompt' stands twice"),
    ],
)
def test_workbooks_without_rows_or_columns_are_named(tmp_path, made, message):
    with pytest.raises(DataError, match=message):
        open_triplets(workbook(tmp_path / "train.xlsx", *made))


def test_a_bomb_of_a_workbook_is_refused(tmp_path):
    path = workbook(tmp_path / "train.xlsx", ["Prompt", "Response"], ["p", "r"])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/big.bin", "w") as entry:
        for _ in range(80):
            entry.write(bytes(2**20))
    with pytest.raises(DataError, match=r"is refused: 0\.1 MB unpack to over 67 MB; split the workbook"):
        open_triplets(path)
    # The same with headers that say it is small.
    data = path.read_bytes().replace((80 * 2**20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(DataError, match="is refused"):
        open_triplets(path)


def test_a_row_or_column_far_away_costs_nothing(tmp_path):
    path = workbook(tmp_path / "train.xlsx", ["Prompt", "Response"], ["p", "r"], ["p", "r"])
    with_sheet(path, lambda xml: xml.replace(b'"A3"', b'"XFD900"').replace(b'<row r="3"', b'<row r="900"'))
    source = open_triplets(path)
    assert [record.where.rsplit(":")[1] for record in source] == ["2"] if len(source) == 1 else ["2", "900"]
    with_sheet(path, lambda xml: xml.replace(b'<row r="900"', b'<row r="99999999999"'))
    with pytest.raises(DataError, match=f"a row is numbered beyond {MOST_ROWS:,}"):
        open_triplets(path)


def test_a_workbook_with_a_broken_sheet_is_named_by_row(tmp_path):
    path = workbook(tmp_path / "train.xlsx", ["Prompt", "Response"], ["p", "r"])
    with_sheet(path, lambda xml: xml.replace(b"</sheetData>", b"<row><c"))
    with pytest.raises(DataError, match=r"train\.xlsx:3: the sheet cannot be read from here on"):
        open_triplets(path)
    entity = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">'.encode() for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    path = workbook(tmp_path / "laughs.xlsx", ["Prompt", "Response"], ["p", "r"])
    with_sheet(path, lambda xml: entity + b"]>" + xml.split(b"?>")[-1].replace(b"<sheetData>", b"<sheetData>&j;"))
    with pytest.raises(DataError, match=r"laughs\.xlsx"):
        open_triplets(path)


def test_one_text_in_ever_more_cells_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vlsm_jax.data.xlsx._FREE", 10_000)
    monkeypatch.setattr("vlsm_jax.data.xlsx._STEEPEST", 10**6)
    path = tmp_path / "train.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:  # which keeps equal texts once
        sheet = book.add_worksheet()
        for i, cells in enumerate([["Prompt", "Response"], *[["p" * 30_000, "r"]] * 100]):
            sheet.write_row(i, 0, cells)
    with pytest.raises(DataError, match="is refused: the same long text in ever more cells"):
        open_triplets(path)


# --- Reading on -----------------------------------------------------------------------------------------------------


def test_bad_rows_are_left_out_up_to_a_share(tmp_path, caplog):
    made = rows()
    path = write_dataset(tmp_path)
    (tmp_path / made[4]["image"]).unlink()
    (tmp_path / made[6]["image"]).write_bytes(b"torn")
    with pytest.raises(DataError) as error:
        open_triplets(path, skip_bad=True, most_bad=0.15)
    assert "2 of 10 rows are bad (20.00 %), over the 15 % that may be left out" in str(error.value)
    assert f"{path}:5: no image at" in str(error.value)
    source = open_triplets(path, skip_bad=True, most_bad=0.2)
    assert [record.id for record in source] == [f"row-{i}" for i in range(ROWS) if i not in (4, 6)]
    assert repr(source) == repr(open_triplets(path, skip_bad=True, most_bad=0.2))
    assert repr(source) != repr(open_triplets(path))
    with pytest.raises(DataError, match=r"bad rows:\n  .*:5: no image at"):
        open_triplets(path).check()
