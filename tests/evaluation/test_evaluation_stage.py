"""Evaluation of a model folder through launch.py: several splits and ways, gone on with, and by two processes."""

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import launch
from configs import quickstart
from vlsm_jax.data.tokenizer import train_bpe
from vlsm_jax.evaluation.predictions import read_predictions
from vlsm_jax.evaluation.subject import model_digest
from vlsm_jax.evaluation.summary import read_scores
from vlsm_jax.generation.decode import Generator
from vlsm_jax.generation.load import ModelError
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training import experiment
from vlsm_jax.training.config import ConfigError

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
SCRIPT = """Object source = Object.create("Source");
source.name = "In";
Object sink = Object.create("Sink");
sink.name = "Out";
contextdragconnection(source, sink, "A");
"""
SPLITS, WAYS = ("test", "test-blank"), ("greedy", "best-of-2")


pytestmark = pytest.mark.usefixtures("evaluated_here")


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    """A test split of five rows and its twin without sketches; there is nothing to train on."""
    folder = tmp_path_factory.mktemp("triplets")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for split in SPLITS:
        with (folder / f"{split}.jsonl").open("w") as file:
            for i in range(5):
                pixels = np.full((48, 96, 3), 255) if "blank" in split else rng.integers(0, 256, (48, 96, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"images/{split}{i}.png")
                row = {"id": f"{i}{split.removeprefix('test')}", "image": f"images/{split}{i}.png"}
                row |= {"prompt": f"A source feeds sink {i}.", "response": SCRIPT, "omitted": ["connections"]}
                file.write(json.dumps(row | {"industry": "pcb", "layout": "linear"}) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An export of a model that has learnt nothing."""
    folder = tmp_path_factory.mktemp("model")
    config = settings()
    tokenizer = train_bpe([SCRIPT, "A source feeds sink 0123456789."], 300, folder / "tokenizer")
    network, pipeline = experiment.build_network(config, experiment.vlsm_config(config, tokenizer), "cpu")
    launch.export_model(folder / "export", network, network.init(0), tokenizer, pipeline)
    return folder / "export"


CHANGES = {
    "evaluate.samples": 5,
    "evaluate.batch_size": 2,
    "evaluate.max_tokens": 6,
    "evaluate.until": 600.0,
    "model.vision.image_size": 64,
    "model.decoder.num_hidden_layers": 1,
}


def settings(triplets="", model="", **changes):
    config = quickstart.get_config("smoke")
    found = {"data.directory": str(triplets), "evaluate.model": str(model), "evaluate.splits": SPLITS}
    config.update_from_flattened_dict(CHANGES | found | {"evaluate.ways": WAYS} | changes)
    return config


@pytest.fixture(scope="module")
def evaluated(triplets, model, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    launch.run(settings(triplets, model), workdir, "evaluate")
    return workdir


def results(workdir, model):
    return workdir / "evaluation" / f"export-{model_digest(model)}"


def test_every_split_and_way_has_a_folder_and_a_line_of_the_table(evaluated, model):
    table = json.loads((evaluated / "evaluation/table.json").read_text())
    pairs = list(itertools.product(SPLITS, WAYS))
    assert [(line["split"], line["way"]) for line in table["lines"]] == pairs
    assert table["subject"] == f"export ({model_digest(model)})"
    for (split, way), line in zip(pairs, table["lines"], strict=True):
        folder = results(evaluated, model) / split / way
        assert {path.name for path in folder.iterdir()} == {"predictions.jsonl", "scores.json", "report.html"}
        summary, rows = read_scores(folder / "scores.json"), read_predictions(folder / "predictions.jsonl")
        assert line["n"] == summary.n == len(rows) == 5
        assert line["svr"] == summary.svr._asdict()
        tokens, seconds = (sum(getattr(row, f"generation_{what}") for row in rows) for what in ("tokens", "seconds"))
        assert line["tokens_per_second"] == pytest.approx(tokens / seconds)
        assert [row.verification is not None for row in rows] == [way == "best-of-2"] * 5
    assert [(one["way"], one["n"]) for one in table["vision"]] == [(way, 5) for way in WAYS]
    first = results(evaluated, model) / "test/greedy/report.html"
    assert (evaluated / "report.html").read_bytes() == first.read_bytes()


def test_what_is_missing_is_written_again_and_nothing_else(evaluated, triplets, model, tmp_path, capsys):
    workdir = shutil.copytree(evaluated, tmp_path / "run")
    path = results(workdir, model) / "test/best-of-2/predictions.jsonl"
    before = path.read_bytes()
    path.write_bytes(b"".join(before.splitlines(keepends=True)[:3]))
    launch.run(settings(triplets, model), workdir, "evaluate")
    assert path.read_bytes().startswith(b"".join(before.splitlines(keepends=True)[:3]))
    assert candidates(path.parent) == candidates(results(evaluated, model) / "test/best-of-2")
    # One way had to write something.
    assert capsys.readouterr().out.count("decoding ") == 1


def candidates(folder):
    return {row.id: row.candidate for row in read_predictions(folder / "predictions.jsonl")}


def test_two_processes_go_on_with_what_one_began(evaluated, triplets, model, tmp_path):
    workdir = tmp_path / "run"
    folder, whole = results(workdir, model) / "test/greedy", results(evaluated, model) / "test/greedy"
    folder.mkdir(parents=True)
    line = (whole / "predictions.jsonl").read_bytes().splitlines(keepends=True)[2]
    (folder / "predictions-of-process-5.jsonl").write_bytes(line)
    done = launch_two(
        workdir, settings(triplets, model, **{"evaluate.splits": ("test",), "evaluate.ways": ("greedy",)})
    )
    assert [code for code, _ in done] == [0, 0], done
    assert candidates(folder) == candidates(whole)
    assert (folder / "scores.json").read_bytes() == (whole / "scores.json").read_bytes()
    assert {path.name for path in folder.iterdir()} == {"predictions.jsonl", "scores.json", "report.html"}
    assert (workdir / "evaluation/table.md").is_file()
    assert ["tables " in said for _, said in done] == [True, False]


def launch_two(workdir, config):
    """Returns exit status and output of each of two processes."""
    flat = {f"evaluate.{key}": value for key, value in config.evaluate.items()} | {
        key: value for key, value in CHANGES.items() if key.startswith("model.")
    }
    flat = {k: v if not isinstance(v, tuple) else ",".join(v) for k, v in flat.items()}
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    command = [sys.executable, str(ROOT / "launch.py"), f"--config={ROOT}/configs/quickstart.py:smoke"]
    command += [f"--workdir={workdir}", f"--config.data.directory={config.data.directory}", "--mode=evaluate"]
    command += [*(f"--config.{key}={value}" for key, value in flat.items())]
    command += [f"--coordinator={address}", "--process_count=2"]
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    started = [
        subprocess.Popen(
            [*command, f"--process_id={i}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        for i in range(2)
    ]
    try:
        said = [process.communicate(timeout=500)[0] for process in started]
        return [(process.returncode, text) for process, text in zip(started, said, strict=True)]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_what_cannot_be_evaluated_is_named(triplets, model, tmp_path):
    def run(mode="evaluate", **changes):
        launch.run(settings(triplets, **({"model": model} | changes)), tmp_path, mode)

    with pytest.raises(ConfigError, match=r"has no split 'iid'; there are test, test-blank"):
        run(**{"evaluate.splits": ("test,iid",)})
    with pytest.raises(ConfigError, match=r"no way 'beam'; there are greedy, constrained, named, best-of-N"):
        run(**{"evaluate.ways": ("greedy", "beam")})
    with pytest.raises(ModelError, match=r"no model at .*nowhere"):
        run(model=tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=re.escape("say --mode=evaluate")):
        run("all")
    assert not list(tmp_path.glob("evaluation/*/*"))


def test_a_model_of_text_alone_is_evaluated_from_its_export(triplets, tmp_path):
    config = settings(triplets, tmp_path / "export", **{"evaluate.splits": ("test",), "evaluate.ways": ("greedy",)})
    config.model.vision = None
    tokenizer = train_bpe([SCRIPT, "A source feeds sink 0123456789."], 300, tmp_path / "tokenizer")
    network, pipeline = experiment.build_network(config, experiment.vlsm_config(config, tokenizer), "cpu")
    params = network.init(0)
    launch.export_model(tmp_path / "export", network, params, tokenizer, pipeline, [SCRIPT])
    assert (tmp_path / "export/draft_examples.json").exists()
    launch.run(config, tmp_path / "run", "evaluate")
    generator = Generator(network, params, tokenizer, mesh=make_mesh(devices=jax.devices()[:1]))
    prompts = [f"A source feeds sink {i}." for i in range(5)]
    wanted = [made[0].text for made in generator.generate([], prompts, max_tokens=6)]
    found = candidates(results(tmp_path / "run", tmp_path / "export") / "test/greedy")
    assert [found[str(i)] for i in range(5)] == wanted


def test_another_model_of_the_same_sizes_has_another_digest(model, tmp_path):
    copy = shutil.copytree(model, tmp_path / "export")
    assert model_digest(copy) == model_digest(model)
    weights = next(copy.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert model_digest(copy) != model_digest(model)


def test_the_digest_of_a_model_in_parts_is_of_all_of_them(tmp_path):
    for part in ("language_model", "vision_tower", "."):
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / part / "model.safetensors").write_bytes(bytes(9))
    before = model_digest(tmp_path)
    (tmp_path / "language_model/model.safetensors").write_bytes(bytes(8) + b"x")
    assert model_digest(tmp_path) != before
