import json

import jax
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from convert.llava import write_llava
from vlsm_jax.cli import app
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig, init_params
from vlsm_jax.simulator import run

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


@pytest.fixture
def vlsm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "line.fsx").write_text(LINE)
    (tmp_path / "typo.fsx").write_text(LINE.replace("contextdragconnection(machine", "contextdragconection(machine"))
    return lambda *args: CliRunner().invoke(app, list(args), catch_exceptions=False)


def test_run_prints_what_the_function_returns(vlsm):
    result = vlsm("run", "line.fsx", "--until", "3600", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report == json.loads(json.dumps(run(LINE, until=3600).to_dict()))
    # One item every 10 s; the first comes at 10, and the one that comes at 3590 is done at 3598.
    assert report["kpis"]["throughput"]["Shipping"]["mean"] == 359


def test_run_says_it_in_words(vlsm):
    result = vlsm("run", "line.fsx", "--until", "3600")
    assert result.exit_code == 0
    assert "verdict  ok" in result.stdout
    assert "throughput at Shipping  359 per hour" in result.stdout
    assert "bottleneck              Mill" in result.stdout


def test_a_script_that_fails_is_status_1_with_a_hint(vlsm):
    for verb in ("run", "check"):
        result = vlsm(verb, "typo.fsx")
        assert result.exit_code == 1
        assert "line 11, column 1" in result.stdout
        assert "did you mean contextdragconnection?" in result.stdout


def test_check_takes_many_files(vlsm):
    assert vlsm("check", "line.fsx").exit_code == 0
    result = vlsm("check", "line.fsx", "typo.fsx", "--json")
    assert result.exit_code == 1
    assert {name: row["ok"] for name, row in json.loads(result.stdout).items()} == {"line.fsx": True, "typo.fsx": False}


def test_score(vlsm, tmp_path):
    assert json.loads(vlsm("score", "--reference", "line.fsx", "--candidate", "line.fsx", "--json").stdout)["svr"] == 1
    (tmp_path / "other.fsx").write_text(LINE.replace('"Mill"', '"Lathe"'))
    result = vlsm("score", "--reference", "line.fsx", "--candidate", "other.fsx")
    assert result.exit_code == 0
    # Neither wire of two is the reference's, two objects of three are.
    assert "SVR     0.2667  (connections 0.0000, objects 0.6667)" in result.stdout
    assert "missing object: Mill" in result.stdout


def test_unreadable_input_is_status_2(vlsm, tmp_path):
    (tmp_path / "binary.fsx").write_bytes(b"\xff\xfe\x00")
    for args, message in (
        (("run", "none.fsx"), "no file at none.fsx"),
        (("run", "binary.fsx"), "binary.fsx is not UTF-8 text"),
        (("score", "--reference", "typo.fsx", "--candidate", "line.fsx"), "typo.fsx"),
        (("generate", "--sketch", "none.png", "--prompt", " ", "--model", "none"), "the prompt is empty"),
        (("generate", "--sketch", "none.png", "--prompt", "x", "--model", "none"), "no model at none"),
        (("data", "validate", "none.jsonl"), "no data file at none.jsonl"),
    ):
        result = vlsm(*args)
        assert result.exit_code == 2, args
        assert message in result.stderr
    assert vlsm("run").exit_code == 2
    assert vlsm("run", "line.fsx", "--until", "soon").exit_code == 2


def test_data_make_and_validate(vlsm, tmp_path):
    result = vlsm("data", "make", "triplets", "--train", "3", "--validation", "1", "--test", "1", "--seed", "5")
    assert result.exit_code == 0
    assert vlsm("data", "validate", "triplets/train.jsonl", "triplets/test.jsonl").stdout == "4 rows, 0 with problems\n"
    rows = [json.loads(line) for line in (tmp_path / "triplets/train.jsonl").read_text().splitlines()]
    rows[0]["response"] = "Object.create("
    (tmp_path / "triplets" / rows[1]["image"]).write_bytes(b"torn")
    (tmp_path / "triplets/train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = vlsm("data", "validate", "triplets/train.jsonl")
    assert result.exit_code == 1
    assert "train.jsonl:1: the script fails" in result.stdout
    assert "is not a picture" in result.stdout
    assert "3 rows, 2 with problems" in result.stdout


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
    result = vlsm("generate", "--sketch", "none.png", "--prompt", "x", "--model", str(model))
    assert result.exit_code == 2
    assert "no image at none.png" in result.stderr
