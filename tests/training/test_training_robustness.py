"""A run that is told to end, meets numbers that are none, or is given what does not fit."""

import dataclasses
import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import launch
from configs import quickstart
from vlsm_jax.data.features import FeatureError, FeatureStore, picture_key, write_features
from vlsm_jax.data.pipeline import PipelineConfig, make_dataset
from vlsm_jax.data.plan import Place
from vlsm_jax.data.tokenizer import batch_texts, train_bpe
from vlsm_jax.data.triplets import DataError, Record
from vlsm_jax.models import ConnectorConfig, DecoderConfig, VisionConfig, VlsmConfig
from vlsm_jax.sharding import make_mesh
from vlsm_jax.training import loop
from vlsm_jax.training.checkpoints import CheckpointError
from vlsm_jax.training.config import ConfigError, build
from vlsm_jax.training.guard import NonFiniteLoss
from vlsm_jax.training.logs import read_metrics
from vlsm_jax.training.loop import TrainConfig, restore_params, train
from vlsm_jax.training.network import Network
from vlsm_jax.training.optimizer import OptimizerConfig
from vlsm_jax.training.preemption import Preempted
from vlsm_jax.training.preflight import changed_settings, check_workdir
from vlsm_jax.training.recording import LogConfig, Recorder

CONFIG = TrainConfig(
    steps=8,
    trainable=((r"^vision/", False), (r".*", True)),
    log_every=3,
    validate_every=4,
    validation_batches=1,
    checkpoint_every=4,
)
OPTIMIZER = OptimizerConfig(learning_rate=0.01, warmup_steps=2)


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """Every run here compiles the same few programs; without this, each time anew."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (str(tmp_path_factory.mktemp("programs")), 0.2), strict=True):
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def network():
    vision = VisionConfig(width=16, layers=1, heads=2, mlp_width=32, patch_size=4, image_size=8)
    decoder = DecoderConfig(
        family="llama", vocabulary=320, width=32, layers=1, heads=4, kv_heads=2, head_dim=8, mlp_width=48, tied=True
    )
    return Network.create(VlsmConfig(vision, ConnectorConfig("linear"), decoder, image_token_id=2))


class Rows(list):
    def __repr__(self):
        return f"{len(self)} rows"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder, rng, rows = tmp_path_factory.mktemp("rows"), np.random.default_rng(0), Rows()
    for i in range(12):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (9, 14, 3)).astype(np.uint8)).save(path)
        rows.append(Record(f"row-{i}", str(path), f"line {i}", "x = 1;" * (i % 5 + 1), f"rows:{i}", {}))
    return rows


@pytest.fixture(scope="module")
def run(network, rows, tmp_path_factory):
    tokenizer = train_bpe(batch_texts(rows), 300, tmp_path_factory.mktemp("tokenizer") / "bpe")

    def run(workdir, data=rows, pipeline=PipelineConfig(64, 2, image_size=8, visual_tokens=5), **changes):
        options = {name: changes.pop(name) for name in ("initial_params", "facts") if name in changes}
        return train(
            network,
            tokenizer,
            train_data=data,
            validation_data=rows,
            pipeline=pipeline,
            optimizer_config=OPTIMIZER,
            config=dataclasses.replace(CONFIG, **changes),
            mesh=make_mesh(devices=jax.devices()[:1]),
            workdir=workdir,
            log=LogConfig(writers=()),
            **{"facts": {}, **options},
        )

    run.tokenizer = tokenizer
    return run


def losses(workdir):
    rows = read_metrics(workdir / "metrics.jsonl")
    return [(row["kind"], row["step"], row["loss"]) for row in rows if row["kind"] in ("train", "validation")]


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    return workdir, run(workdir)


@pytest.fixture
def at_step(monkeypatch):
    """Calls something right after a step was started."""

    def install(wanted, function):
        add = Recorder.add

        def adding(self, step, *args):
            add(self, step, *args)
            if step == wanted:
                function()

        monkeypatch.setattr(Recorder, "add", adding)

    return install


@pytest.fixture
def broken_batches(monkeypatch):
    """Makes the targets of some steps weigh nothing that is a number, validation left out."""

    def install(steps):
        to_device, fetch, now = loop.to_device, Recorder.fetch, [0]

        def fetching(self, step, batches):
            now[0] = step
            return fetch(self, step, batches)

        def placing(batch, sharding):
            placed = to_device(batch, sharding)
            step, now[0] = now[0], 0
            return placed._replace(weights=placed.weights * jnp.nan) if step in steps else placed

        monkeypatch.setattr(Recorder, "fetch", fetching)
        monkeypatch.setattr(loop, "to_device", placing)

    return install


def test_the_same_seed_and_mesh_give_the_same_run(run, uninterrupted, tmp_path):
    workdir, result = uninterrupted
    again = run(tmp_path)
    assert losses(tmp_path) == losses(workdir)
    for name, value in result.params.items():
        np.testing.assert_array_equal(value, again.params[name], err_msg=name)


def test_sigterm_saves_after_the_step_and_nothing_is_lost(run, uninterrupted, at_step, tmp_path, monkeypatch):
    handler = signal.getsignal(signal.SIGTERM)
    at_step(3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Preempted, match=r"step 3 of 8 is saved; run the same command again"):
        run(tmp_path)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert (tmp_path / "checkpoints" / "3").is_dir()
    monkeypatch.undo()
    result = run(tmp_path)
    workdir, whole = uninterrupted
    assert losses(tmp_path) == losses(workdir)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(value, result.params[name], err_msg=name)


def test_sigterm_at_the_last_step_ends_the_run_as_well(run, at_step, tmp_path):
    at_step(2, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Preempted, match=r"step 2 of 2 is saved"):
        run(tmp_path, steps=2)
    assert [step for kind, step, _ in losses(tmp_path) if kind == "validation"] == [2]


def test_best_and_last_are_what_validation_says(run, network, uninterrupted, tmp_path):
    # From a state that is already good: the high learning rate makes it worse.
    _, good = uninterrupted
    run(tmp_path, steps=6, checkpoint_every=2, keep_checkpoints=1, initial_params=lambda: dict(good.params))
    validated = {step: loss for kind, step, loss in losses(tmp_path) if kind == "validation"}
    assert sorted(validated) == [2, 4, 6]  # before every checkpoint, whatever validate_every says
    best = min(validated, key=validated.get)
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()}
    assert kept == {best, 6}
    config, mesh = dataclasses.replace(CONFIG, steps=6), make_mesh(devices=jax.devices()[:1])
    for which, step in (("best", best), ("last", 6)):
        params, found = restore_params(network, OPTIMIZER, config, mesh, tmp_path, which)
        assert found == step
        assert params.keys() == network.shapes.keys()
        for name in params:
            if name.startswith("vision/"):
                np.testing.assert_array_equal(params[name], good.params[name])


def test_batches_that_are_not_finite_are_skipped_and_named(run, rows, broken_batches, tmp_path):
    broken_batches({3, 4, 6})
    result = run(tmp_path, most_skipped=3)
    assert result.steps == 8
    assert all(np.isfinite(value).all() for value in result.params.values())
    metrics = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in metrics if row.get("skipped") == 1] == [3, 4, 6]
    named = {row["step"]: row["samples"] for row in metrics if row["kind"] == "skipped"}
    dataset = make_dataset(rows, run.tokenizer, PipelineConfig(64, 2, image_size=8, visual_tokens=5))
    packed, _ = dataset.plan.read(Place(0, 0), 2 * 8)
    for step in (3, 4, 6):
        assert named[step] == [f"row-{sample.index}" for row in packed[2 * (step - 1) : 2 * step] for sample in row]
    # In strict JSON, which has no word for what is no number.
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_too_many_skipped_in_a_row_end_the_run(run, broken_batches, tmp_path):
    broken_batches({5, 6})
    with pytest.raises(NonFiniteLoss, match=r"2 updates in a row, steps 5 to 6.*the loss is nan.*\(row-\d+"):
        run(tmp_path, most_skipped=2)
    # The log has them, and the checkpoint before them is whole.
    assert [step for kind, step, _ in losses(tmp_path) if kind == "train"] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "checkpoints" / "4").is_dir()


def test_parameters_that_are_not_finite_are_named(run, network, tmp_path):
    def start():
        params = jax.jit(network.init)(0)
        return params | {"vision/cls": params["vision/cls"].at[3].set(jnp.nan)}

    with pytest.raises(NonFiniteLoss, match=r"not finite: vision/cls; look at .*model\.init"):
        run(tmp_path, initial_params=start)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_kept_features_that_are_not_finite_are_named(tmp_path, dtype, value):
    pictures = [bytes([i]) for i in range(3)]
    noise = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(dtype)
    write_features(tmp_path, "encoder", pictures, lambda picture: np.uint8(picture[0]), lambda inputs: noise[inputs])
    (path,) = tmp_path.rglob("*.features.npy")
    damaged = np.load(path)
    damaged[1, 2, 3] = value
    np.save(path, damaged)
    store = FeatureStore(tmp_path, "encoder")
    np.testing.assert_array_equal(store[picture_key(pictures[0])], noise[0])
    with pytest.raises(FeatureError, match=r"features\.npy: features of the picture .* are not finite; the file was"):
        store[picture_key(pictures[1])]


def test_a_data_set_smaller_than_a_batch_is_refused(run, rows, tmp_path):
    data = Rows(rows[:3])
    big = PipelineConfig(64, 8, image_size=8, visual_tokens=5)
    with pytest.raises(DataError, match=r"pipeline\.batch_size=8 is more than there is: 3 training triplets fill"):
        run(tmp_path, data, big)


def test_a_checkpoint_that_does_not_fit_is_found_before_the_data_is_read(run, rows, uninterrupted, tmp_path):
    class Unread(Rows):
        def __getitem__(self, index):
            raise AssertionError("the data was read")

    workdir, _ = uninterrupted
    with pytest.raises(CheckpointError, match="was written by another model or optimizer"):
        run(workdir, Unread(rows), trainable=((r".*", True),))


def test_what_differs_from_the_checkpoint_is_said(run, uninterrupted, caplog):
    workdir, _ = uninterrupted
    with caplog.at_level("INFO", "absl"):
        run(workdir, facts={"config": {"train": {"steps": 8}}, "triplets": {"train": "9 rows, ab"}})
    assert "going on with other settings than the checkpoint's:\n  train.steps: 8, was not there" in caplog.text
    assert "\n  triplets.train: '9 rows, ab', was not there" in caplog.text
    assert "going on from the checkpoint of step 8; the best so far is that of step" in caplog.text
    before = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert changed_settings(before, {"a": {"b": 1, "c": 3}, "d": [1]}) == ["a.c: 3, was 2"]
    assert changed_settings(before, before) == []


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"steps": 0}, "steps=0 is below 1"),
        ({"steps": 3, "log_every": 0}, "log_every=0 is below 1"),
        ({"steps": 3, "most_skipped": 0}, "most_skipped=0 is below 1"),
        ({"steps": 3, "keep_checkpoints": 0}, "keep_checkpoints=0 is below 1"),
    ],
)
def test_counts_are_at_least_one(section, message):
    with pytest.raises(ConfigError, match=f"train: {message}"):
        build(TrainConfig, section, "train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mesh.fsdp": 3}, r"mesh data=-1, fsdp=3, tensor=1 does not fit \d+ devices; sizes multiply to their number"),
        ({"train.steps": 0}, r"train: steps=0 is below 1"),
        ({"train.trainable": ((r"^vision/", True),)}, r"train\.trainable has no rule for: connector/"),
        ({"optimizer.schedule": "linear"}, r"optimizer\.schedule='linear'"),
        ({"pipeline.batch_size": 9, "train.accumulation": 2}, r"pipeline\.batch_size=9 is not a multiple of"),
        ({"model.connector": "conv"}, r"connector kind 'conv' is not one of"),
        ({"evaluate.checkpoint": "first"}, r"evaluate: checkpoint='first'; choose one of last, best"),
    ],
)
def test_settings_that_do_not_fit_are_named_before_data_are_made(tmp_path, changes, message):
    config = quickstart.get_config("smoke")
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    with pytest.raises(ConfigError, match=message):
        launch.run(config, tmp_path, "all")
    assert list(tmp_path.iterdir()) == []


def test_a_workdir_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    check_workdir(tmp_path / "new" / "folder")
    assert not list((tmp_path / "new" / "folder").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--workdir=.*file/run cannot be written: Not a directory; give a folder"):
        check_workdir(tmp_path / "file" / "run")
    with pytest.raises(ConfigError, match=r"--workdir=gs:/bucket/run is no folder; mount"):
        check_workdir(type(tmp_path)("gs://bucket/run"))

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)  # root, who may run this, may write anywhere
    with pytest.raises(ConfigError, match=r"cannot be written: Permission denied; give a folder that this user may"):
        check_workdir(tmp_path)
