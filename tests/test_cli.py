import csv
import importlib.util
import json
import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import jax
import jsonschema
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convert.huggingface import write_hf_decoder
from convert.llava import write_llava
from vlsm_jax.cli import app
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig, init_params
from vlsm_jax.simulator import run
from vlsm_jax.training.network import flatten

LINE = """
Object source = Object.create("Source");
source.name = "Arrivals";
source.setProperty("InterArrivalTime", 10);
Object machine = Object.create("Processor");
machine.name = "Mill";
machine.setProperty("ProcessTime", 8);
Object sink = Object.create("Sink");
sink.name = "Shipping";
contextdragconnection(source, machine, "A");
contextdragconnection(machine, sink, "A");
"""


DOCS = Path(__file__).parents[1] / "vlsm_jax"


def validated(text, schema, part=None):
    """Returns the one JSON object in a text, which fits a schema of the documentation, or one of its parts."""
    schema = json.loads((DOCS / f"{schema}.schema.json").read_text())
    if part:
        schema = {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}
    value = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
    return value


@pytest.fixture
def vlsm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.fsx").write_text(LINE)
    (tmp_path / "typo.fsx").write_text(LINE.replace("contextdragconnection(machine", "contextdragconection(machine"))
    (tmp_path / "half.fsx").write_text(LINE.replace('contextdragconnection(machine, sink, "A");', ""))
    return lambda *args, **kwargs: CliRunner().invoke(app, list(args), catch_exceptions=False, **kwargs)


# --- run --------------------------------------------------------------------------------------------------------------


def test_run_prints_what_the_function_returns(vlsm):
    result = vlsm("run", "line.fsx", "--until", "3600", "--json")
    assert result.exit_code == 0
    report = validated(result.stdout, "report")
    assert report.pop("failure") is None
    assert report == json.loads(json.dumps(run(LINE, until=3600).to_dict()))
    # One item every 10 s; the first comes at 10, and the one that comes at 3590 is done at 3598.
    assert report["kpis"]["throughput"]["Shipping"]["mean"] == 359


def test_run_says_it_in_words(vlsm):
    result = vlsm("run", "line.fsx", "--until", "3600")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.replace("\u00a0", " ").splitlines()]
    assert lines[0] == "verdict ok"
    assert "simulated 3600 s (1 h 0 min), 1 run" in lines
    assert "throughput 359 items/h" in lines
    assert "lead time 8 s" in lines
    # 359 items of 8 s are done; the 360th has just come in.
    assert "bottleneck Mill (79.8% utilised)" in lines
    assert "Mill Processor 360 359 0.80 1 8.0 79.8% processing 80%, idle 20%" in lines
    assert "\x1b" not in result.stdout


def test_run_in_replications_shows_half_widths(vlsm, tmp_path):
    script = LINE.replace(
        '"InterArrivalTime", 10', '"InterArrivalTime", "return exponential(0, 10, getstream(current));"'
    )
    (tmp_path / "random.fsx").write_text(script)
    result = vlsm("run", "random.fsx", "--replications", "3", "--seed", "7", "--until", "3600", "--warmup", "600")
    assert "the first 600 s (10\u00a0min 0\u00a0s) left out, 3 runs" in result.stdout
    kpis = run(script, until=3600, warmup=600, replications=3, seed=7).kpis
    half = kpis.total_throughput.half_width
    assert 1 <= half < 10
    assert f"{kpis.total_throughput.mean:.1f} ± {half:.1f} items/h" in result.stdout


def test_run_keeps_the_scripts_own_stop_time(vlsm, tmp_path):
    (tmp_path / "own.fsx").write_text(LINE + "stoptime(1000);")
    assert json.loads(vlsm("run", "own.fsx", "--json").stdout)["kpis"]["until"] == 1000
    assert json.loads(vlsm("run", "own.fsx", "--until", "50", "--json").stdout)["kpis"]["until"] == 50
    assert json.loads(vlsm("run", "line.fsx", "--json").stdout)["kpis"]["until"] == 28800
    result = vlsm("run", "own.fsx", "--warmup", "1000")
    assert result.exit_code == 2
    assert "own.fsx: warmup is 1000.0 and the stop time 1000" in result.stderr


def test_run_judges_goals(vlsm):
    result = vlsm("run", "line.fsx", "--until", "3600", "--goal", "throughput >= 359/h", "--goal", "wip <= 2")
    assert result.exit_code == 0
    assert "goal  throughput >= 359 items/h: met (359 items/h on average, 5 runs)\n" in result.stdout
    assert "goal  work in process <= 2 items: met (" in result.stdout
    result = vlsm("run", "line.fsx", "--until", "3600", "--goal", "throughput >= 6/min", "--json")
    assert result.exit_code == 1
    (goal,) = validated(result.stdout, "report")["goals"]
    assert (goal["outcome"], goal["mean"], goal["goal"]["at_least"]) == ("missed", 359, 360)
    result = vlsm("run", "line.fsx", "--goal", "be quick")
    assert result.exit_code == 2
    assert "'be quick' is no goal; write one such as" in result.stderr


def test_run_reads_standard_input(vlsm):
    result = vlsm("run", "-", "--until", "3600", "--json", input=LINE)
    assert json.loads(result.stdout)["kpis"]["throughput"]["Shipping"]["mean"] == 359


def test_the_trace_is_a_file_of_every_entry_and_exit(vlsm, tmp_path):
    assert vlsm("run", "line.fsx", "--until", "35", "--trace", "trace.csv").exit_code == 0
    with (tmp_path / "trace.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time", "kind", "object", "item"]
    mill = [(float(row["time"]), row["kind"]) for row in rows if row["object"] == "Mill" and row["item"] == "2"]
    assert mill == [(20, "entry"), (28, "exit")]
    # One that cannot be written is found out before the run, and leaves nothing behind.
    before = sorted(tmp_path.iterdir())
    for path in ("none/trace.csv", "."):
        result = vlsm("run", "line.fsx", "--trace", path)
        assert result.exit_code == 2, result.stdout
        assert path in result.stderr
        assert not result.stdout
    assert sorted(tmp_path.iterdir()) == before


def test_a_script_that_fails_is_status_1_with_a_hint(vlsm):
    for verb in ("run", "check"):
        result = vlsm(verb, "typo.fsx")
        assert result.exit_code == 1
        assert "line 11, column 1" in result.stdout
        assert '    contextdragconection(machine, sink, "A");\n    ^' in result.stdout
        assert "did you mean contextdragconnection?" in result.stdout
        report = validated(vlsm(verb, "typo.fsx", "--json").stdout, "report")
        assert (report["ok"], report["failure"], report["twin"], report["kpis"]) == (False, "unknown name", None, None)


def test_what_a_script_prints_cannot_steer_the_terminal(vlsm):
    result = vlsm("run", "-", input='print("\x1b[2Jgone");\nModel.find("\x1b[2Jgone");' + LINE)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "print: \\x1b[2Jgone" in result.stdout


# --- check ------------------------------------------------------------------------------------------------------------


def test_check_takes_many_files(vlsm):
    assert vlsm("check", "line.fsx").exit_code == 0
    result = vlsm("check", "line.fsx", "typo.fsx", "--json")
    assert result.exit_code == 1
    checked = validated(result.stdout, "report", "check")
    assert not checked["ok"]
    assert {name: report["ok"] for name, report in checked["files"].items()} == {"line.fsx": True, "typo.fsx": False}


def test_check_of_one_file_has_its_report_at_the_top(vlsm):
    report = validated(vlsm("check", "line.fsx", "--json").stdout, "report")
    assert report["ok"]
    assert len(report["twin"]["objects"]) == 3
    assert report["kpis"] is None
    assert report["files"]["line.fsx"]["twin"] == report["twin"]


def test_check_follows_the_wires_without_running(vlsm):
    result = vlsm("check", "half.fsx", "line.fsx")
    assert result.exit_code == 1
    assert "half.fsx: wiring, 3 objects, 1 connections" in result.stdout
    assert "no Sink can be reached from a Source" in result.stdout
    assert "line.fsx: ok, 3 objects, 2 connections" in result.stdout
    checked = json.loads(vlsm("check", "half.fsx", "--json").stdout)
    ran = json.loads(vlsm("run", "half.fsx", "--json").stdout)
    assert checked["verdict"] == ran["verdict"] == checked["failure"] == "wiring"
    assert checked["diagnostics"] == ran["diagnostics"]
    # A model that would never end is checked all the same.
    endless = LINE.replace('"ProcessTime", 8', '"ProcessTime", "while (1) {} return 1;"')
    assert vlsm("check", "-", input=endless).exit_code == 0


# --- score ------------------------------------------------------------------------------------------------------------


def test_score(vlsm, tmp_path):
    same = vlsm("score", "--reference", "line.fsx", "--candidate", "line.fsx", "--json")
    assert validated(same.stdout, "score", "pair")["svr"] == 1
    (tmp_path / "other.fsx").write_text(LINE.replace('"Mill"', '"Lathe"'))
    result = vlsm("score", "--reference", "line.fsx", "--candidate", "other.fsx")
    assert result.exit_code == 0
    # Neither wire of two is the reference's, two objects of three are; names aside it is the same factory.
    assert "SVR         0.2667  (0.6 x connections 0.0000 + 0.4 x objects 0.6667)" in result.stdout
    assert "structure   1.0000  (wires with names aside; the same graph)" in result.stdout
    assert "missing object: Mill" in result.stdout
    args = ("score", "--reference", "line.fsx", "--candidate", "other.fsx", "--weights", "0.1", "0.9", "--json")
    assert json.loads(vlsm(*args).stdout)["svr"] == pytest.approx(0.6)
    assert vlsm("score", "--reference", "line.fsx", "--candidate", "half.fsx").exit_code == 1
    piped = vlsm("score", "--reference", "line.fsx", "--candidate", "-", "--json", input=LINE)
    assert json.loads(piped.stdout)["svr"] == 1


def test_score_compares_figures_over_replications(vlsm):
    args = ("score", "--reference", "line.fsx", "--candidate", "line.fsx", "--until", "900", "--replications", "2")
    assert "figures     1.0000  agree\n  = throughput: 356, the reference 356 ± 0 items/h" in vlsm(*args).stdout
    assert validated(vlsm(*args, "--json").stdout, "score", "pair")["agreement"]["score"] == 1


@pytest.fixture
def folders(tmp_path):
    for folder, change in (("gold", "8"), ("made", "9")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.fsx").write_text(LINE)
        (tmp_path / folder / "b.fsx").write_text(LINE.replace('"ProcessTime", 8', f'"ProcessTime", {change}'))
        (tmp_path / folder / ".hidden").write_text(folder)
    return tmp_path


def test_score_of_folders_matches_file_names(vlsm, folders):
    args = ("score", "--reference", "gold", "--candidate", "made", "--until", "600")
    result = vlsm(*args, "--workers", "2", "--json")
    assert result.exit_code == 0
    scored = validated(result.stdout, "score", "set")
    assert [(row["id"], row["pmr"]) for row in scored["rows"]] == [("a.fsx", 1), ("b.fsx", 0.5)]
    assert scored["summary"]["pmr"]["mean"] == 0.75
    assert scored["tables"] == scored["errors"] == []
    alone = vlsm(*args, "--workers", "1", "--json")
    assert alone.stdout == result.stdout
    words = vlsm(*args).stdout
    assert "b.fsx  1.0000  0.5000" in words
    assert "PMR                         0.7500" in words
    (folders / "made" / "extra.fsx").write_text(LINE)
    (folders / "gold" / "z.fsx").write_text(LINE)
    result = vlsm(*args)
    assert result.exit_code == 2
    assert "z.fsx in gold but not in made; extra.fsx in made but not in gold" in result.stderr


def test_score_of_rows_with_a_table_by_industry_and_layout(vlsm, tmp_path):
    rows = [
        {"id": "x", "reference": LINE, "candidate": LINE, "metadata": {"industry": "pcb", "layout": "linear"}},
        {"id": "y", "reference": LINE, "candidate": "Object a = ;", "industry": "led", "layout": "linear"},
        {"reference": "Object a = ;", "candidate": LINE, "prompt": "left out"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = vlsm("score", "rows.jsonl", "--until", "600", "--json")
    assert result.exit_code == 1
    scored = validated(result.stdout, "score", "set")
    assert [row["id"] for row in scored["rows"]] == ["x", "y"]
    assert scored["rows"][1]["failure"] == "parse"
    assert scored["rows"][1]["metadata"] == {"industry": "led", "layout": "linear"}
    (error,) = scored["errors"]
    assert error["id"] == "rows.jsonl:3"
    assert "builds nothing" in error["error"]
    (svr, _, esr) = scored["tables"]
    assert svr["cells"]["all"]["linear"] == {"n": 2, **scored["summary"]["svr"]}
    assert esr["cells"]["pcb"]["all"]["mean"] == 1
    words = vlsm("score", "--reference", "rows.jsonl", "--until", "600")
    assert "| led | 0.000 (1) | 0.000 (1) |" in words.stdout
    assert "rows.jsonl:3: the reference script builds nothing" in words.stderr
    assert "failure" in words.stdout


def test_score_reads_the_predictions_of_an_evaluation(vlsm, tmp_path):
    from vlsm_jax.data.triplets import Record
    from vlsm_jax.evaluation.evaluate import evaluate

    record = Record(
        "one", "", "A line.", LINE, "here:1", {"industry": "pcb", "layout": "linear", "omitted": ["locations"]}
    )
    summary = evaluate([record], lambda batch: [LINE], directory=tmp_path / "out", until=600.0, workers=0)
    scored = json.loads(vlsm("score", "out/predictions.jsonl", "--until", "600", "--json").stdout)
    assert scored["summary"] == json.loads(json.dumps(summary.to_dict()))
    assert scored["summary"]["pmr_stated"]["mean"] == 1
    assert scored["rows"][0]["metadata"]["industry"] == "pcb"


# --- Wrong usage ------------------------------------------------------------------------------------------------------


def test_unreadable_input_is_status_2(vlsm, tmp_path):
    (tmp_path / "binary.fsx").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.jsonl").write_text('{"reference": "", "candidate": ""}\n{"reference": 3, "candidate": ""}\n')
    (tmp_path / "torn.jsonl").write_text('{"reference": "", "cand')
    (tmp_path / "twice.jsonl").write_text('{"id": 1, "reference": "", "candidate": ""}\n' * 2)
    (tmp_path / "empty.jsonl").write_text("\n")
    for args, message in (
        (("run", "none.fsx"), "no file at none.fsx"),
        (("run", "binary.fsx"), "binary.fsx is not UTF-8 text"),
        (("run", "folder"), "folder: Is a directory"),
        (("run", "/dev/zero"), "that is no script"),
        (("check", "line.fsx", "none.fsx"), "no file at none.fsx"),
        (("check", "-", "-"), "read once only"),
        (("run", "line.fsx", "--until", "0"), "--until is 0"),
        (("run", "line.fsx", "--until", "nan"), "--until is nan"),
        (("run", "line.fsx", "--until", "inf"), "--until is inf"),
        (("run", "line.fsx", "--warmup", "-1"), "--warmup is -1"),
        (("run", "typo.fsx", "--until", "60", "--warmup", "60"), "--warmup 60 leaves nothing of --until 60"),
        (("score", "--reference", "typo.fsx", "--candidate", "line.fsx"), "typo.fsx"),
        (("score", "--reference", "line.fsx"), "give --reference and --candidate"),
        (("score", "--reference", "-", "--candidate", "-"), "read once only"),
        (("score", "--reference", "folder", "--candidate", "line.fsx"), "one is a folder, the other is not"),
        (("score", "--reference", "folder", "--candidate", "folder"), "no files in folder"),
        (("score", "rows.jsonl", "--reference", "line.fsx"), "give either"),
        (("score", "none.jsonl"), "no file at none.jsonl"),
        (("score", "bad.jsonl"), "bad.jsonl:2: field 'reference' is missing or not text"),
        (("score", "torn.jsonl"), "torn.jsonl:1: not JSON"),
        (("score", "twice.jsonl"), "twice.jsonl:2: id '1' occurs twice"),
        (("score", "empty.jsonl"), "empty.jsonl holds no rows"),
        (("score", "--reference", "line.fsx", "--candidate", "line.fsx", "--weights", "0.6", "0.6"), "SVR weights"),
        (("generate", "--sketch", "none.png", "--prompt", " ", "--model", "none"), "the prompt is empty"),
        (("generate", "--sketch", "none.png", "--prompt", "x", "--model", "none"), "no model at none"),
        (("data", "validate", "none.jsonl"), "no data file at none.jsonl"),
    ):
        result = vlsm(*args)
        assert result.exit_code == 2, args
        assert message in result.stderr, (args, result.stderr)
        assert not result.stdout, args
    for args in (("run",), ("run", "line.fsx", "--until", "soon"), ("run", "line.fsx", "--replications", "0")):
        assert vlsm(*args).exit_code == 2


# --- As a process -----------------------------------------------------------------------------------------------------

PROGRAM = [sys.executable, "-c", "from vlsm_jax.cli import main; main()"]
ROOT = Path(__file__).parents[1]


def process(*args, **kwargs):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*PROGRAM, *args], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs
    )


@pytest.mark.parametrize(("variables", "coloured"), [({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_on_a_terminal_alone(vlsm, variables, coloured):
    terminal, inside = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"PYTHONPATH": str(ROOT)} | variables
    subprocess.run([*PROGRAM, "check", "typo.fsx"], env=environment, stdout=inside, timeout=60, check=False)
    os.close(inside)
    text = os.read(terminal, 100_000)
    os.close(terminal)
    assert b"contextdragconection(machine" in text
    assert (b"\x1b[31merror (unknown command)\x1b[0m" in text) == coloured
    assert (b"\x1b" in text) == coloured


def test_a_reader_that_has_seen_enough_is_no_error(vlsm, tmp_path):
    many = "".join(f'Object o{i} = Object.create("Queue"); o{i}.name = "Q{i}";\n' for i in range(3000))
    (tmp_path / "many.fsx").write_text(many)
    running = process("check", "many.fsx", "--json")
    assert running.stdout.read(1) == b"{"
    running.stdout.close()
    assert running.wait(60) == 128 + signal.SIGPIPE
    assert running.stderr.read() == b""
    running.stderr.close()


def test_an_interrupt_ends_the_work_at_once(vlsm, tmp_path):
    slow = LINE.replace('"ProcessTime", 8', '"ProcessTime", "for (int i = 0; i < 300; i++) {} return 8;"')
    rows = [{"id": i, "reference": slow + f"// {i}", "candidate": slow} for i in range(200)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # Whoever runs the tests in the background may have them ignore interrupts, which processes inherit.
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = process("score", "rows.jsonl", "--workers", "2", start_new_session=True, preexec_fn=hear)
    time.sleep(5)  # the processes have started by then
    assert running.poll() is None
    began = time.monotonic()
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert time.monotonic() - began < 10
    assert b"Traceback" not in errors
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def made(vlsm, tmp_path):
    result = vlsm("data", "make", "triplets", "--train", "3", "--validation", "1", "--test", "1", "--seed", "5")
    assert (result.exit_code, result.stdout) == (0, "triplets\n")
    return tmp_path / "triplets"


def test_data_make_goes_on_and_does_not_overwrite(vlsm, made):
    again = vlsm("data", "make", "triplets", "--train", "3", "--validation", "1", "--test", "1", "--seed", "5")
    assert again.stdout == "triplets (was there already)\n"
    other = vlsm("data", "make", "triplets", "--train", "2", "--seed", "5")
    assert other.exit_code == 2
    assert "holds another data set" in other.stderr


def test_data_validate(vlsm, made):
    # A split in training, one of validation, five tests and their blank twins.
    assert vlsm("data", "validate", "triplets").stdout == "14 rows: nothing wrong\n"
    rows = [json.loads(line) for line in (made / "train.jsonl").read_text().splitlines()]
    rows[0]["response"] = "Object.create("
    (made / rows[1]["image"]).write_bytes(b"torn")
    (made / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = vlsm("data", "validate", "triplets/train.jsonl")
    assert result.exit_code == 1
    assert "script: triplets/train.jsonl:1: response: line 1" in result.stdout
    assert "picture: triplets/train.jsonl:2: " in result.stdout
    assert "3 rows: 1 picture, 1 script" in result.stdout
    found = json.loads(vlsm("data", "validate", "triplets/train.jsonl", "triplets/iid.jsonl", "--json").stdout)
    assert found["counts"] == {"script": 1, "picture": 1}
    assert found["rows"] == {"train": 3, "iid": 1}
    assert not found["ok"]


def test_data_inspect(vlsm, made, tmp_path):
    result = vlsm("data", "inspect", "triplets", "--out", "sheet.html", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["train"]["triplets"] == 3
    assert (tmp_path / "sheet.html").read_text().count("<article>") == 9  # all but the blank twins


def test_data_convert_and_back(vlsm, made, tmp_path):
    for form in ("xlsx", "array_record", "parquet"):
        result = vlsm("data", "convert", "triplets", form, "--format", form)
        assert result.exit_code == 0
        assert "train: 3 rows, 3 pictures, 0 left out" in result.stdout
        assert vlsm("data", "convert", form, f"{form}-back", "--format", "jsonl").exit_code == 0
        rows = [
            [json.loads(line) for line in (tmp_path / folder / "train.jsonl").read_text().splitlines()]
            for folder in ("triplets", f"{form}-back")
        ]
        assert rows[0] == rows[1]
        for row in rows[0]:
            there, back = (tmp_path / folder / row["image"] for folder in ("triplets", f"{form}-back"))
            assert there.read_bytes() == back.read_bytes()
    one = vlsm("data", "convert", "triplets/iid.jsonl", "one.parquet", "--target-column", "prompt=instruction")
    assert one.exit_code == 0
    assert vlsm("data", "validate", "one.parquet", "--column", "prompt=instruction").exit_code == 0


def test_data_convert_leaves_out_what_it_may(vlsm, made):
    (made / "images" / "train" / "000" / "000001.png").unlink(missing_ok=True)
    (made / "images" / "train" / "000" / "000001.jpg").unlink(missing_ok=True)
    refused = vlsm("data", "convert", "triplets/train.jsonl", "some.parquet", "--skip-bad")
    assert (refused.exit_code, "1 bad rows are more" in refused.stderr) == (2, True)
    done = vlsm("data", "convert", "triplets/train.jsonl", "some.parquet", "--skip-bad", "--most-bad", "0.4")
    assert (done.exit_code, "2 rows, 2 pictures, 1 left out" in done.stdout) == (0, True)


def test_data_verbs_say_what_is_wrong(vlsm, made):
    for args, message in (
        (("validate", "none"), "no data file at none"),
        (("validate", "triplets/train.jsonl", "--column", "prompt"), "write it as prompt=instruction"),
        (("validate", "triplets/train.jsonl", "--column", "prompt=ask"), "no column 'ask'"),
        (("validate", "triplets", "--most-tokens", "9"), "needs a --tokenizer"),
        (("validate", "triplets", "--until", "inf"), "--until is inf; give seconds"),
        (("validate", "triplets", "triplets/train.jsonl"), "split 'train' is named twice"),
        (("inspect", "triplets/README.md"), "README.md"),
        (("inspect", "triplets/iid.jsonl", "--out", "none/sheet.html"), "No such file or directory"),
        (("make", "triplets/README.md/set", "--train", "1"), "cannot be written"),
        (("convert", "triplets", "out"), "say into what with --format"),
        (("convert", "triplets/train.jsonl", "out.doc"), "choose one of jsonl"),
    ):
        result = vlsm("data", *args)
        assert (result.exit_code, message in result.stderr) == (2, True), (args, result.stderr)
        assert "Traceback" not in result.stderr


def test_data_make_writes_samples_of_repair_beside_triplets(vlsm, tmp_path):
    args = ("data", "make", "set", "--train", "2", "--validation", "1", "--test", "0", "--workers", "1")
    result = vlsm(*args, "--repairs", "1")
    assert result.exit_code == 0, result.stderr
    assert "set/repair: 2 train, 1 validation" in result.stdout
    rows = [json.loads(line) for line in (tmp_path / "set" / "repair" / "train.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows] == ["repair", "repair"]
    assert (tmp_path / "set" / "repair" / rows[0]["image"]).is_file()
    result = vlsm(*args, "--readings", "0.5")
    assert "set/reading: 1 train, 1 validation" in result.stdout
    again = vlsm(*args, "--repairs", "1")
    assert "set (was there already)\nset/repair: 2 train, 1 validation" in again.stdout


def test_what_data_verbs_find_cannot_steer_the_terminal(vlsm, made):
    row = {"image": "images/\x1b[31m.png", "prompt": "p", "response": "q"}
    with (made / "train.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    for args in (("validate", "triplets/train.jsonl"), ("convert", "triplets/train.jsonl", "some.parquet")):
        more = ("--skip-bad", "--most-bad", "0.5") if args[0] == "convert" else ()
        result = vlsm("data", *args, *more)
        assert "\\x1b[31m.png" in result.stdout
        assert "\x1b" not in result.stdout


@pytest.mark.parametrize("verb", ["validate", "inspect"])
def test_data_verbs_say_that_a_process_was_ended(vlsm, made, monkeypatch, verb):
    def broken(*args):
        raise BrokenProcessPool

    monkeypatch.setattr("vlsm_jax.curation.facts.in_order", broken)
    result = vlsm("data", verb, "triplets")
    assert (result.exit_code, "was ended, perhaps for want of memory" in result.stderr) == (2, True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_bpe([LINE], 300, folder / "tokenizer")
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=8, image_size=32)
    decoder = DecoderConfig(
        family="llama",
        vocabulary=320,
        width=32,
        layers=1,
        heads=2,
        kv_heads=1,
        head_dim=16,
        mlp_width=48,
        eos_token_ids=(tokenizer.eos_id,),
    )
    config = VlsmConfig(vision, ConnectorConfig("mlp"), decoder, tokenizer.image_id)
    params = jax.jit(init_params, static_argnums=0)(config, 0)
    write_llava(folder / "export", config, params, tokenizer)
    alone = {path.removeprefix("decoder/"): array for path, array in flatten(params).items() if "decoder/" in path}
    write_hf_decoder(folder / "text", decoder, alone, tokenizer)
    return folder / "export"


def test_generate_gives_a_script_with_a_verdict(vlsm, model, tmp_path):
    """An untrained model writes noise; the command must take it, judge it, and say so."""
    pixels = np.full((300, 900, 3), 250, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "sketch.png")
    (tmp_path / "prompt.txt").write_text("The Source “Mask Substrate Loader” releases items.")
    args = ("generate", "--sketch", "sketch.png", "--prompt-file", "prompt.txt", "--model", str(model))
    result = vlsm(*args, "--max-tokens", "12", "--out", "made.fsx", "--json")
    made = json.loads(result.stdout)
    assert result.exit_code == (0 if made["report"]["ok"] else 1)
    assert made["report"]["verdict"]
    assert (tmp_path / "made.fsx").read_text() == made["script"]
    plain = vlsm(*args, "--max-tokens", "12")
    assert plain.stdout.startswith(made["script"])
    assert "verdict" in plain.stderr
    assert made["constrained"] == (importlib.util.find_spec("llguidance") is not None)
    assert f"tokens {'with' if made['constrained'] else 'without'} grammar constraint" in plain.stderr
    free = vlsm(*args, "--max-tokens", "12", "--no-constrain")
    assert "12 tokens without grammar constraint, cut off at --max-tokens=12" in free.stderr
    verdicts = made["verification"]["candidates"]
    assert len(verdicts) == made["verification"]["tried"] == 4
    assert verdicts[0]["script"] == made["script"] or made["verification"]["by"] == "rules"
    assert {"tokens", "ended", "cut", "verdict", "agreement", "log_probability"} <= verdicts[0].keys()
    assert "of 4 candidates run; number" in plain.stderr
    one = json.loads(vlsm(*args, "--max-tokens", "12", "--candidates", "1", "--goal", "wip <= 3", "--json").stdout)
    assert one["verification"]["tried"] == 1
    assert [goal["text"] for goal in one["goals"]] == ["work in process <= 3 items"]
    result = vlsm("generate", "--sketch", "none.png", "--prompt", "x", "--model", str(model))
    assert result.exit_code == 2
    assert "no image at none.png" in result.stderr


def test_a_model_of_text_alone_writes_and_rewrites_without_a_sketch(vlsm, model, tmp_path):
    text = ("--model", str(model.parent / "text"), "--max-tokens", "12")
    Image.new("RGB", (90, 60)).save(tmp_path / "sketch.png")
    (tmp_path / "words.fsx").write_text("Make me a factory, please")
    made = json.loads(vlsm("generate", *text, "--prompt", "A source.", "--candidates", "1", "--json").stdout)
    assert made["tokens"] > 0
    assert json.loads(vlsm("repair", *text, "words.fsx", "--candidates", "1", "--json").stdout)["needs"]
    for told in (("generate", "--prompt", "x"), ("repair", "words.fsx")):
        result = vlsm(*told, *text, "--sketch", "sketch.png")
        assert result.exit_code == 2
        assert "text is a model of text alone and would not look at sketch.png; leave --sketch out" in result.stderr
    result = vlsm("generate", "--prompt", "x", "--model", str(model))
    assert (result.exit_code, "looks at a sketch of the layout; give one with --sketch" in result.stderr) == (2, True)


def test_generate_says_which_objects_the_prompt_does_not_have(vlsm, tmp_path, monkeypatch):
    """A script of another factory runs as well as one of the right one."""
    from vlsm_jax.generation import load
    from vlsm_jax.generation.decode import Candidate
    from vlsm_jax.generation.speed import Speed

    objects = {"Dock": "Source", "Hold Lot Queue": "Queue", "Store": "Sink"}
    lines = [f'Object.create("{cls}").name = "{name}";' for name, cls in objects.items()]
    ways = zip(objects, list(objects)[1:], strict=False)
    lines += [f'contextdragconnection(Model.find("{a}"), Model.find("{b}"), "A");' for a, b in ways]

    class Fixed:
        speed, looks_at_sketches = Speed(), True

        def lent(self, prompt):
            return {"Mixer": "Mill"} if "Mill" in prompt else {}

        def generate(self, images, prompts, **options):
            return [[Candidate("\n".join(lines), 9, True, -0.1)]]

    monkeypatch.setattr(load, "load_generator", lambda model: Fixed())
    Image.new("RGB", (90, 60)).save(tmp_path / "sketch.png")
    args = ("generate", "--sketch", "sketch.png", "--candidates", "1", "--no-constrain", "--prompt")
    result = vlsm(*args, "The Source Dock feeds the Queue Phosphor Queue, and that the Sink Store.")
    assert result.exit_code == 0, result.stderr
    assert "warning: 1 object has a name that the prompt does not have: 'Hold Lot Queue'\n" in result.stderr
    assert "lent" not in result.stderr
    made = json.loads(vlsm(*args, "Mill and Lathe", "--json").stdout)
    assert made["lent"] == {"Mixer": "Mill"}
    assert "\n// 1 name that the model does not know was lent another" in vlsm(*args, "Mill and Lathe").stderr
    assert made["not_in_prompt"] == list(objects)
    assert "warning" not in vlsm(*args, "Dock, then Hold Lot Queue, then Store.").stderr


def test_generate_with_names_lets_only_those_of_the_prompt_be_written(vlsm, tmp_path, monkeypatch):
    from vlsm_jax.generation import load
    from vlsm_jax.generation.decode import Candidate
    from vlsm_jax.generation.speed import Speed

    told = []

    class Fixed:
        speed, looks_at_sketches = Speed(), True

        def lent(self, prompt):
            return {}

        def generate(self, images, prompts, **options):
            told.append((prompts, options["names"], options["constrain"]))
            return [[Candidate('Object.create("Source").name = "Dock";', 9, True, -0.1)]]

    monkeypatch.setattr(load, "load_generator", lambda model: Fixed())
    Image.new("RGB", (90, 60)).save(tmp_path / "sketch.png")
    args = ("generate", "--sketch", "sketch.png", "--candidates", "1", "--prompt", "The Source «Dock».", "--json")
    assert json.loads(vlsm(*args, "--names").stdout)["names"] == "prompt"
    assert json.loads(vlsm(*args, "--no-constrain").stdout)["names"] == "any"
    assert told == [
        (["The Source «Dock»."], [("Dock", "Source", "The", "The Source")], True),
        (["The Source «Dock»."], None, False),
    ]
    refused = vlsm(*args, "--names", "--no-constrain")
    assert refused.exit_code == 2
    assert "--names is for scripts under the grammar constraint; leave out --no-constrain" in refused.stderr


def test_repair_asks_a_model_where_no_rule_helps_and_takes_nothing_worse(vlsm, model, tmp_path):
    (tmp_path / "words.fsx").write_text("Make me a factory, please")
    args = ("repair", "words.fsx", "--model", str(model), "--max-tokens", "12", "--candidates", "2")
    done = json.loads(vlsm(*args, "--json").stdout)
    # An untrained model writes noise, which is taken only where it comes further than these words.
    assert done["changed"] == (done["by"] == "model")
    assert done["changed"] or (done["script"], done["needs"]) == (
        "Make me a factory, please", "the model writes nothing better either"
    )  # fmt: skip
    # Where rules mend everything, no model is loaded.
    mended = json.loads(vlsm("repair", "typo.fsx", "--model", "none", "--json").stdout)
    assert (mended["ok"], mended["by"]) == (True, "rules")
    result = vlsm("repair", "words.fsx", "--model", "none")
    assert (result.exit_code, "no model at none" in result.stderr) == (2, True)


# --- convert ----------------------------------------------------------------------------------------------------------


def test_convert_ends_in_a_report_and_says_what_it_cannot_read(vlsm, tmp_path):
    pictures = VisionConfig(width=24, layers=1, heads=4, mlp_width=40, patch_size=4, image_size=8)
    model = DecoderConfig("llama", 32, 16, 1, 2, 1, 8, 32, max_positions=32)
    config = VlsmConfig(pictures, ConnectorConfig("linear"), model, 31)
    write_llava(tmp_path / "llava", config, init_params(config, 0))
    result = vlsm("convert", "from-hf", "llava", "ours")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["ours:", "vlsm", "(float32)"]
    assert [line[0] for line in lines[1:]] == ["tensors", "bytes", "memory", "seconds"]
    assert lines[1][-2:] == ["0", "unused"]
    report = json.loads(vlsm("convert", "to-hf", "ours", "back", "--json").stdout)
    assert (report["layout"], report["unused"], report["difference"]) == ("llava", [], None)
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        assert (tmp_path / "llava" / name).read_bytes() == (tmp_path / "back" / name).read_bytes()
    result = vlsm("convert", "from-hf", "nothing", "other")
    assert (result.exit_code, result.stderr) == (2, "error: nothing: no such folder\n")
    assert not (tmp_path / "other").exists()
