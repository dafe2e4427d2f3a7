"""The command itself, as a user starts it: killed and started again, on one device and on eight, with bad input."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import launch as launch_py
from configs import quickstart
from vlsm_jax.data.tokenizer import TokenizerError
from vlsm_jax.data.triplets import DataError
from vlsm_jax.models import UnsupportedConfigError
from vlsm_jax.training.checkpoints import CheckpointError
from vlsm_jax.training.config import ConfigError

ROOT = Path(__file__).parents[1]
SMALL = (
    "--config.train.steps=30",
    "--config.train.checkpoint_every=5",
    "--config.train.validate_every=10",
    "--config.train.log_every=7",
    "--config.pipeline.sequence_length=192",
    "--config.pipeline.batch_size=8",
    "--config.model.vision.image_size=64",
    "--config.train.visual_targets=1",
)


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triplets")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("validation", 20), ("test", 4)):
        with (folder / f"{split}.jsonl").open("w") as file:
            for i in range(count):
                image = f"images/{split}{i}.png"
                Image.fromarray(rng.integers(0, 256, (48, 96, 3)).astype(np.uint8)).save(folder / image)
                prompt = "A queue and a sink " * int(rng.integers(1, 6))
                response = 'Object q = Object.create("Queue");' * int(rng.integers(1, 4))
                item = {"name": "q", "class": "Queue", "icon": [20 + i, 20], "words": [["queue", 40, 30, 40 + i, 30]]}
                row = {"image": image, "prompt": prompt, "response": response}
                row["annotation"] = {"size": [96, 48], "objects": [item], "connections": []}
                file.write(json.dumps(row) + "\n")
    return folder


def command(triplets, workdir, *options):
    return [
        sys.executable,
        str(ROOT / "launch.py"),
        f"--config={ROOT / 'configs' / 'quickstart.py'}:smoke",
        f"--workdir={workdir}",
        f"--config.data.directory={triplets}",
        "--mode=train",
        *SMALL,
        *options,
    ]


def environment(devices=1):
    """On one device everything is compiled as for a user; on several, quickly, as in all other tests."""
    flags = os.environ["XLA_FLAGS"] if devices > 1 else ""
    flags = f"{flags} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def launch(triplets, workdir, *options, devices=1, **more):
    told, env = command(triplets, workdir, *options), environment(devices) | more
    return subprocess.run(told, capture_output=True, text=True, env=env, timeout=300, check=False)


def losses(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [(row["kind"], row["step"], row["loss"]) for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def uninterrupted(triplets, shared_programs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    done = launch(triplets, workdir, **shared_programs)
    assert done.returncode == 0, done.stderr
    return losses(workdir)


def test_a_kill_in_the_middle_loses_nothing(triplets, uninterrupted, shared_programs, tmp_path):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command(triplets, tmp_path), env=environment() | shared_programs, **quiet)
    deadline = time.monotonic() + 240
    # A checkpoint is there when its folder has its final name.
    while not any(path.name.isdigit() for path in tmp_path.glob("checkpoints/*")):
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    interrupted_at = max(int(path.name) for path in tmp_path.glob("checkpoints/*") if path.name.isdigit())
    assert interrupted_at < 30, "too quick: nothing was interrupted"
    done = launch(triplets, tmp_path, **shared_programs)
    assert done.returncode == 0, done.stderr
    assert "going on from the checkpoint of step" in done.stderr
    assert losses(tmp_path) == uninterrupted


@pytest.mark.parametrize(
    "mesh",
    [
        (),
        (
            "--config.mesh.data=2",
            "--config.mesh.fsdp=2",
            "--config.mesh.tensor=2",
        ),
    ],
    ids=["data 8", "data 2, fsdp 2, tensor 2"],
)
def test_eight_devices_give_the_losses_of_one(triplets, uninterrupted, tmp_path, mesh):
    done = launch(triplets, tmp_path, *mesh, devices=8)
    assert done.returncode == 0, done.stderr
    for one, eight in zip(uninterrupted, losses(tmp_path), strict=True):
        assert one[:2] == eight[:2]
        assert eight[2] == pytest.approx(one[2], rel=2e-4)


def config_for(triplets, **changes):
    """The same experiment as `command` starts, for a run in this process."""
    config = quickstart.get_config("smoke")
    config.data.directory = str(triplets)
    options = dict(option.removeprefix("--config.").split("=") for option in SMALL)
    with config.unlocked():
        config.update_from_flattened_dict({**{k: int(v) for k, v in options.items()}, **changes})
    return config


def test_a_finished_run_is_not_trained_again(triplets, tmp_path):
    launch_py.run(config_for(triplets, **{"train.steps": 5}), tmp_path, "train")
    before = losses(tmp_path)
    launch_py.run(config_for(triplets, **{"train.steps": 5}), tmp_path, "train")
    assert losses(tmp_path) == before
    # Another model in the same folder is refused, by the names of what differs.
    other = config_for(triplets, **{"train.steps": 10, "model.decoder.intermediate_size": 96})
    with pytest.raises(CheckpointError) as error:
        launch_py.run(other, tmp_path, "train")
    message = str(error.value)
    assert "was written by another model" in message
    assert "trained/decoder/layers/mlp/down/kernel: checkpoint [2, 128, 64], config [2, 96, 64]" in message
    assert "attention/q" not in message


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pipeline.fit": "stretch"}, ConfigError, "pipeline.fit='stretch'; choose one of pad, squash, crop"),
        ({"mesh.tensor": 3}, ConfigError, "mesh data=-1, fsdp=1, tensor=3 does not fit 1 devices"),
        ({"pipeline.sequence_length": 16}, DataError, "over pipeline.sequence_length=16"),
        (
            {"pipeline.batch_size": 9, "train.accumulation": 2},
            ConfigError,
            "pipeline.batch_size=9 is not a multiple of train.accumulation=2",
        ),
        ({"model.decoder.model_type": "gpt2"}, UnsupportedConfigError, "model_type 'gpt2' is not one of"),
        ({"model.connector": "conv"}, ConfigError, "connector kind 'conv' is not one of linear, mlp"),
        ({"data.directory": "/nowhere/at/all"}, DataError, "no data file at /nowhere/at/all/train.jsonl"),
        ({"data.tokenizer": "/nowhere/at/all"}, TokenizerError, "no tokenizer at /nowhere/at/all"),
        ({"data.mixture": "/nowhere/at/all=0.5"}, ConfigError, "data.mixture: '/nowhere/at/all=0.5'"),
        ({"data.mixture": "images=much"}, ConfigError, "written as folder=share"),
        ({"optimizer.schedule": "linear"}, ConfigError, "optimizer.schedule='linear'"),
        ({"train.trainable": ((r"^vision/", True),)}, ConfigError, "train.trainable has no rule for: connector/"),
        ({"model.connector": "qformer"}, ConfigError, "choose 'linear' or 'mlp'"),
        ({"train.visual_targets": -1.0}, ConfigError, "visual_targets=-1 is below 0"),
        ({"train.responses": False, "train.visual_targets": 0.0}, ConfigError, "leaves nothing to learn"),
        ({"pipeline.kept_patches": 4, "train.visual_targets": 0.0}, ConfigError, "kept_patches=4 needs annotations"),
        ({"pipeline.lesson": "words"}, ConfigError, "pipeline.lesson='words'"),
        ({"model.vision": None, "model.feature_layer": -2}, ConfigError, "feature_layer=-2 is one of an encoder's"),
        ({"model.vision": None, "model.seen_patches": 9}, ConfigError, "seen_patches=9 is one of an encoder's"),
        ({"model.seen_patches": 999}, ConfigError, "model: seen_patches=999: an image of"),
        ({"pipeline.kept_patches": 4}, ConfigError, "kept_patches=4 is for an encoder alone"),
        ({"pipeline.augmentation": 1.0}, ConfigError, "augmentation moves what annotations tell the place of"),
    ],
)
def test_bad_input_is_named(triplets, tmp_path, changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        launch_py.run(config_for(triplets, **changes), tmp_path, "train")
    assert not list(tmp_path.glob("checkpoints/*"))


def test_annotated_sketches_teach_visual_tokens_what_to_say(tmp_path):
    config = quickstart.get_config("smoke")
    config.synth.annotated, config.train.visual_targets, config.model.seen_patches = True, 1.0, 12
    launch_py.run(config, tmp_path, "train")
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    assert len(steps) == 4
    assert all(0 <= row["visual_accuracy"] <= 1 for row in steps)
    checks = [row for row in rows if row["kind"] == "validation"]
    # Nothing is learnt in four steps: a target is one of all ids yet.
    vocabulary = json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    assert all(abs(row["visual_loss"] - math.log(len(vocabulary))) < 1 for row in checks)


def test_an_encoder_is_trained_alone(tmp_path):
    config = quickstart.get_config("smoke")
    config.synth.annotated, config.train.visual_targets, config.train.responses = True, 1.0, False
    with pytest.raises(ConfigError, match=r"train.trainable has decoder/.* more trained, which would only decay"):
        launch_py.run(config, tmp_path, "train")
    config.train.trainable = ((r"^decoder/embedding/", True), (r"^decoder/", False), (r"", True))
    config.pipeline.lesson, config.pipeline.kept_patches = "letters", 12
    launch_py.run(config, tmp_path, "all")
    assert (tmp_path / "export" / "config.json").exists()
    assert not (tmp_path / "evaluation").exists(), "no decoder knows this encoder yet"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "train"]
    checks = [row for row in rows if row["kind"] == "validation"]
    vocabulary = json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_text())["model"]["vocab"]
    assert steps
    assert checks
    for row in (*steps, *checks):
        assert abs(row["loss"] - math.log(len(vocabulary))) < 1
        assert "visual_loss" not in row
        assert "visual_accuracy" not in row


def test_training_triplets_of_other_folders_are_mixed_in(triplets):
    config = config_for(triplets, **{"data.mixture": f"{triplets}=0.5, {triplets}=0.25"})
    rows = launch_py.open_data(config, triplets)["train"]
    mixture = launch_py.training_mixture(config, rows)
    assert [len(source) for source in mixture.sources] == [60, 60, 60]
    assert mixture.weights == (1, 0.5, 0.25)
    assert launch_py.training_mixture(config_for(triplets), rows) is rows


def test_what_was_never_trained_cannot_be_evaluated(triplets, tmp_path):
    done = launch(triplets, tmp_path, "--mode=evaluate", "--config.evaluate.splits=test")
    assert done.returncode == 1
    assert "no complete checkpoint in" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_rows_are_found_before_training(triplets, tmp_path):
    rows = (triplets / "train.jsonl").read_text().splitlines()
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "images").symlink_to(triplets / "images")
    rows[1] = json.dumps(json.loads(rows[1]) | {"prompt": ""})
    rows[2] = json.dumps(json.loads(rows[2]) | {"image": "images/none.png"})
    (bad / "train.jsonl").write_text("\n".join(rows))
    for split in ("validation", "test"):
        (bad / f"{split}.jsonl").symlink_to(triplets / f"{split}.jsonl")
    # Through the command: a person sees lines, not a traceback.
    done = launch(bad, tmp_path / "run")
    assert done.returncode == 1
    assert "train.jsonl:2: field 'prompt' is empty" in done.stderr
    assert "train.jsonl:3: no image at" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_config_key_that_does_not_exist(triplets, tmp_path):
    done = launch(triplets, tmp_path, "--config.train.stepz=3")
    assert done.returncode == 1
    assert "names a key that the config does not have: 'stepz'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--config=configs/quickstart.py:big", "configs/quickstart.py:big: choose full or smoke"),
        ("--config=configs/none.py", "No such file or directory: 'configs/none.py'"),
        ("--mode=fly", "flag --mode=fly: value should be one of"),
    ],
)
def test_a_command_line_that_is_wrong_ends_in_one_line(option, said):
    parse = [sys.executable, str(ROOT / "launch.py"), "--config=configs/quickstart.py", "--workdir=unused", option]
    done = subprocess.run(parse, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_steps_to_be_traced_behind_the_end_are_named_before_data_are_made(tmp_path):
    with pytest.raises(ConfigError, match="this run ends at step 4"):
        launch_py.run(quickstart.get_config("smoke"), tmp_path, "all", None, "3:9")
    assert not any(tmp_path.iterdir())
