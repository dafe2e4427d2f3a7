"""What a run says of itself: how fast it was and why, in every place it is written to."""

import gzip
import itertools
import json
import logging
import re
import sys
import threading
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

import launch
from configs import quickstart
from vlsm_jax.sharding import MESH_AXES, make_mesh
from vlsm_jax.training import recording, writers
from vlsm_jax.training.clocks import CompileClock, StepClock, Turn, pace_of
from vlsm_jax.training.config import ConfigError, build
from vlsm_jax.training.flops import BatchCounts, Flops, StepFlops
from vlsm_jax.training.hardware import CHIPS
from vlsm_jax.training.logs import read_metrics
from vlsm_jax.training.loop import StatePlan
from vlsm_jax.training.optimizer import OptimizerConfig, make_optimizer
from vlsm_jax.training.parameters import describe_parameters
from vlsm_jax.training.profiling import check_steps, parse_steps
from vlsm_jax.training.recording import LogConfig, Recorder, Window, describe_peak
from vlsm_jax.training.step import StepMetrics

FLOPS = StepFlops(
    Flops(60.0, 30.0),
    target=Flops(7.0),
    pair=2.0,
    local_pair=0.0,
    picture=Flops(frozen=500.0),
    window=None,
    visual_tokens=2,
)
BATCH = {  # samples of 5 and 3 tokens, the first with a picture; a row of 10
    "positions": np.array([[0, 1, 2, 3, 4, 0, 1, 2, -1, -1]], np.int32),
    "segment_ids": np.array([[1] * 5 + [2] * 3 + [0] * 2], np.int32),
    "visual_index": np.array([[0, 1] + [-1] * 8], np.int32),
    "images": np.zeros((1, 1, 4, 4, 3), np.uint8),
    "weights": np.array([[0, 0, 0, 1, 1, 0, 1, 1, 0, 0]], np.float32),
}


class OnDevice:
    """A result that the device gives `after` seconds, or when it is told to."""

    def __init__(self, value=0.0, after=None):
        self.value, self.done = np.float32(value), threading.Event()
        if after is not None:
            threading.Timer(after, self.done.set).start()

    def block_until_ready(self):
        self.done.wait(20)
        return self

    def __array__(self, *_, **__):
        return self.block_until_ready().value


def step_metrics(loss):
    return StepMetrics(loss, *[0.5] * (len(StepMetrics._fields) - 1))


def recorder(tmp_path, first=0, last=100, **settings):
    mesh = make_mesh(devices=jax.devices()[:1])
    settings = {"flops": FLOPS, "mesh": mesh, "config": LogConfig(()), **settings}
    return Recorder(tmp_path, first, last, **settings)


def record(recorder, steps, losses=itertools.repeat(1.0)):
    """Takes steps, and reads them as one window."""
    batches = itertools.repeat(BATCH)
    for step, loss in zip(steps, losses, strict=False):
        batch = recorder.fetch(step, batches)
        recorder.add(step, step_metrics(jnp.float32(loss)), batch)
    for step, values in recorder.read():
        recorder.write(step, values)
    recorder.end_window()


def rows(tmp_path, kind):
    return [row for row in read_metrics(tmp_path / "metrics.jsonl") if row["kind"] == kind]


# --- Clocks -----------------------------------------------------------------------------------------------------------


def test_steps_fill_a_window_and_only_late_batches_make_the_device_wait():
    turns = [
        Turn(0, 0, 1),  # nothing to do yet: waits 1
        Turn(0, 1, 3),  # comes while the first step runs, until 4
        Turn(0, 3, 9),  # the second ends at 6: waits 3
        Turn(20, 20, 21),  # after a pause of 9: waits 1
    ]
    pace = pace_of(0, turns, [4, 6, 11, 24])
    assert pace.steps == [4, 2, 5, 4]
    assert sum(pace.steps) == 24 - (20 - 11)
    assert pace.waits == [1, 0, 3, 1]


def test_a_clock_notes_ends_while_the_host_goes_on():
    clock = StepClock()
    results = [OnDevice(), OnDevice()]
    began = time.monotonic()
    for result in results:
        clock.add((result,))
    assert time.monotonic() - began < 0.5  # neither has ended
    marks = []
    for result in results:
        marks.append(time.monotonic())
        result.done.set()
        time.sleep(0.1)
    first, second = clock.take()
    assert marks[0] <= first < marks[1] <= second
    assert clock.take() == []
    clock.close()


def test_a_step_that_fails_has_ended():
    class Broken:
        def block_until_ready(self):
            raise RuntimeError("out of memory")

    clock = StepClock()
    clock.add(Broken())
    assert len(clock.take()) == 1
    clock.close()


def test_compilation_within_compilation_counts_once():
    clock = CompileClock()
    for start, end in ((2, 3), (1, 5), (4, 6), (8, 9)):
        jax.monitoring.record_event_time_span("/jax/core/compile/x", start, end)
    jax.monitoring.record_event_time_span("/jax/other", 0, 100)
    assert clock.take() == 6
    jax.jit(lambda x: x * 1.2345)(jnp.ones(7))
    assert clock.take() > 0
    clock.close()
    jax.monitoring.record_event_time_span("/jax/core/compile/x", 1, 5)
    assert clock.take() == 0


# --- Figures ----------------------------------------------------------------------------------------------------------


def test_figures_of_a_window():
    counts = BatchCounts.of(BATCH, None, 2).times(3)
    assert (counts.samples, counts.tokens, counts.positions, counts.pictures) == (6, 24, 30, 3)
    found = Window(counts, steps=3, seconds=2.0, starved=0.5).figures(FLOPS, peak=10_000.0)
    useful = 3 * (8 * 90 + 4 * 7 + (15 + 6) * 2 + 500) / 2
    assert found == {
        "tokens_per_second": 12.0,
        "padded_tokens_per_second": 15.0,
        "samples_per_second": 3.0,
        "seconds_per_step": pytest.approx(2 / 3),
        "data_wait": 0.25,
        "flops_per_second": useful,
        "mfu": pytest.approx(useful / 1e4),
        "mfu_padded": pytest.approx(3 * (10 * 90 + 4 * 7 + 55 * 2 + 500) / 2 / 1e4),
    }
    assert "mfu" not in Window(counts, 3, 2.0).figures(FLOPS, None)


def test_mfu_is_a_share_of_all_devices_of_the_mesh():
    device = types.SimpleNamespace(device_kind="TPU v5 lite")
    mesh = types.SimpleNamespace(devices=np.array([device] * 8), size=8)
    assert recording._peak(mesh) == 8 * CHIPS["v5e"].flops
    assert describe_peak(mesh) == "MFU is counted against 197 TFLOP/s for each of 8 TPU v5 lite, dense bfloat16"
    assert describe_peak(make_mesh(devices=jax.devices()[:1])) == (
        "no MFU: the peak FLOP/s of device kind 'cpu' is not known"
    )


def test_memory_is_that_of_the_fullest_device_or_of_the_process():
    def device(peak):
        return types.SimpleNamespace(memory_stats=lambda: {"peak_bytes_in_use": peak})

    assert recording.peak_memory([device(5), device(7)]) == {"peak_device_bytes": 7}
    found = recording.peak_memory(jax.devices("cpu"))
    assert list(found) == ["peak_process_bytes"]
    assert 2**26 < found["peak_process_bytes"] < 2**40


def test_a_window_is_what_was_done_between_two_readings(tmp_path):
    with recorder(tmp_path, shares=2) as log:
        record(log, [1])
        record(log, [2, 3], [3.0, 2.0])
        log.validated(3, {"loss": 2.5, "accuracy": 0.25})
        record(log, [4])
        log.note(4, "jump", samples=["a"])
    assert [row["step"] for row in rows(tmp_path, "train")] == [1, 2, 3, 4]
    assert [row["loss"] for row in rows(tmp_path, "train")] == [1.0, 3.0, 2.0, 1.0]
    assert rows(tmp_path, "validation") == [{"step": 3, "kind": "validation", "loss": 2.5, "accuracy": 0.25}]
    assert rows(tmp_path, "jump") == [{"step": 4, "kind": "jump", "samples": ["a"]}]
    speeds = rows(tmp_path, "speed")
    assert [row["step"] for row in speeds] == [3, 4]  # the first step is mostly compilation
    for row in speeds:
        # The rows of both hosts, each as these.
        assert row["tokens_per_second"] * row["seconds_per_step"] == pytest.approx(16)
        assert row["padded_tokens_per_second"] * row["seconds_per_step"] == pytest.approx(20)
        assert row["samples_per_second"] * row["seconds_per_step"] == pytest.approx(4)
        assert 0 < row["step_seconds_p50"] <= row["step_seconds_p95"]


def test_taking_steps_does_not_wait_for_them(tmp_path):
    results = [OnDevice(loss) for loss in (1.0, 2.0, 3.0)]
    with recorder(tmp_path, first=7) as log:
        began = time.monotonic()
        for step, result in enumerate(results, 8):
            batch = log.fetch(step, iter([BATCH]))
            log.add(step, step_metrics(result), batch)
        assert time.monotonic() - began < 1
        for result in results:
            time.sleep(0.2)
            result.done.set()
        assert [float(values.loss) for _, values in log.read()] == [1.0, 2.0, 3.0]
        # The first of a run is left out; the others took what the device took, not what the host did.
        assert len(log._recent) == 2
        assert min(log._recent) > 0.15
        assert log._window.seconds > 0.55


def test_data_that_comes_late_is_told_from_data_that_comes_in_time(tmp_path):
    def slow():
        while True:
            time.sleep(0.1)
            yield BATCH

    batches = slow()
    with recorder(tmp_path) as log:
        for step in (1, 2, 3):  # the device is done long before the next batch
            log.add(step, step_metrics(jnp.float32(1)), log.fetch(step, batches))
        list(log.read())
        assert log._window.starved / log._window.seconds > 0.6
        log.start_window()
        log.add(4, step_metrics(OnDevice(after=0.6)), log.fetch(4, iter([BATCH])))
        log.add(5, step_metrics(OnDevice(after=0.8)), log.fetch(5, batches))  # while step 4 runs
        list(log.read())
        assert log._window.starved / log._window.seconds < 0.2


def test_compilation_has_a_line_of_its_own(tmp_path):
    with recorder(tmp_path) as log:
        now = time.time()
        jax.monitoring.record_event_time_span("/jax/core/compile/x", now, now + 12.5)
        record(log, [1])
        record(log, [2])
    (row,) = rows(tmp_path, "compile")
    assert row["step"] == 1
    assert row["seconds"] >= 12.5


def test_other_hosts_read_and_do_not_write(tmp_path, monkeypatch):
    monkeypatch.setattr(recording.jax, "process_index", lambda: 1)
    with recorder(tmp_path, config=LogConfig(("tensorboard",), profile=(1, 1))) as log:
        log.add(1, step_metrics(jnp.float32(4)), log.fetch(1, iter([BATCH])))
        assert [(step, float(values.loss)) for step, values in log.read()] == [(1, 4.0)]
        log.write(1, step_metrics(4.0))
        log.end_window()
        log.validated(1, {"loss": 1.0, "accuracy": 0.0})
    assert list(tmp_path.iterdir()) == []


# --- Writers ----------------------------------------------------------------------------------------------------------


def test_tensorboard_has_what_the_file_has_and_forgets_what_is_trained_again(tmp_path, monkeypatch):
    # The names of files of the same second end in 9 and in 10, and are read in the order of their letters.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    with recorder(tmp_path, config=LogConfig(("tensorboard",))) as log:
        record(log, [1], [5.0])
        record(log, [2, 3], [4.0, 99.0])
        log.note(3, "jump", samples=["a"], loss=99.0)
    with recorder(tmp_path, first=2, config=LogConfig(("tensorboard",))) as log:
        record(log, [3, 4], [3.0, 2.0])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
    wanted = {}
    for row in read_metrics(tmp_path / "metrics.jsonl"):
        for name, value in row.items():
            if name not in ("step", "kind"):
                wanted.setdefault(f"{row['kind']}/{name}", {})[row["step"]] = pytest.approx(value)
    assert wanted["train/loss"] == {1: 5, 2: 4, 3: 3, 4: 2}
    assert found.pop("jump/loss", {}) == {}  # it was at step 3, which came again
    assert {tag: values for tag, values in found.items() if values} == wanted


class FakeWandb(types.ModuleType):
    class Error(Exception):
        pass

    def __init__(self, fails=False):
        super().__init__("wandb")
        self.begun, self.logged, self.metrics, self.fails = [], [], [], fails
        self.id, self.finish = "abc", lambda: self.logged.append("finished")
        self.Settings = lambda **settings: settings

    def init(self, **settings):
        if self.fails:
            raise self.Error("no API key configured")
        self.begun.append(settings)
        return self

    def define_metric(self, name, **settings):
        self.metrics.append((name, settings))

    def log(self, values):
        self.logged.append(values)


def test_a_run_that_goes_on_is_the_same_run_of_wandb(tmp_path, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    for first in (0, 1):
        with recorder(tmp_path, first=first, config=LogConfig("wandb"), facts={"config": {"seed": 3}}) as log:
            record(log, [first + 1], [7.0])
            log.note(first + 1, "jump", samples=["a"], loss=2.0)
    one, two = fake.begun
    assert (one["id"], two["id"]) == (None, "abc")
    assert (one["project"], one["resume"], one["config"]) == ("vlsm_jax", "allow", {"config": {"seed": 3}})
    assert ("*", {"step_metric": "step"}) in fake.metrics
    logged = [row for row in fake.logged if "train/loss" in row]
    assert [(row["step"], row["train/loss"]) for row in logged] == [(1, 7.0), (2, 7.0)]
    assert {"step": 2, "jump/loss": 2.0} in fake.logged
    assert fake.logged.count("finished") == 2


def test_wandb_that_does_not_start_says_what_to_do(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(fails=True))
    said = "no API key configured; log in by `wandb login`, or set WANDB_MODE=offline"
    with pytest.raises(ConfigError, match=said):
        recorder(tmp_path, config=LogConfig(("wandb",)))
    # A job that was started again is not ended by it.
    with caplog.at_level(logging.WARNING), recorder(tmp_path, first=3, config=LogConfig(("wandb",))) as log:
        record(log, [4])
    assert said in caplog.text
    assert [row["step"] for row in rows(tmp_path, "train")] == [4]


def test_a_writer_that_breaks_is_left_out_and_said_once(tmp_path, monkeypatch, caplog):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with caplog.at_level(logging.WARNING), recorder(tmp_path, config=LogConfig(("wandb", "tensorboard"))) as log:
        record(log, [1])
        fake.log = None
        record(log, [2])
        record(log, [3])
    assert caplog.text.count("'wandb' is left out from here on") == 1
    assert [row["train/loss"] for row in fake.logged if "train/loss" in row] == [1.0]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_wandb_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with recorder(tmp_path, config=LogConfig(("wandb",)), facts={"config": {"seed": 3}}) as log:
        record(log, [1], [7.25])
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert (tmp_path / "wandb-run").read_text().strip() in file.name
    limit = time.monotonic() + 30
    while not {b"train/loss", b"7.25"} <= set(re.findall(rb"train/loss|7\.25", file.read_bytes())):
        assert time.monotonic() < limit
        time.sleep(0.2)  # its own process writes


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard.compat.proto"), ("wandb", "wandb")])
def test_a_writer_that_is_not_installed_is_left_out_and_said_once(tmp_path, monkeypatch, caplog, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with caplog.at_level(logging.WARNING), recorder(tmp_path, config=LogConfig((name,))) as log:
        record(log, [1])
        record(log, [2])
    said = f"log.writers has '{name}', but {name} is not installed (pip install {name}): metrics.jsonl has the same"
    assert caplog.text.count(said) == 1
    assert len(rows(tmp_path, "train")) == 2


def test_writers_by_name():
    assert build(LogConfig, {"writers": ("tensorboard,wandb",)}, "log").writers == ("tensorboard", "wandb")
    assert build(LogConfig, {"writers": ()}, "log").writers == ()
    with pytest.raises(ConfigError, match="log: writers: there is no 'csv'; choose any of tensorboard, wandb"):
        build(LogConfig, {"writers": ("csv",)}, "log")
    with pytest.raises(ConfigError, match=r"no config key log\.writer; did you mean log\.writers"):
        build(LogConfig, {"writer": ()}, "log")
    assert set(writers.WRITERS) == {"tensorboard", "wandb"}


# --- Traces -----------------------------------------------------------------------------------------------------------


def test_a_trace_holds_the_steps_that_were_asked_for_and_is_in_no_figure(tmp_path, monkeypatch):
    slow = 0.5
    start = jax.profiler.start_trace
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *a, **k: (time.sleep(slow), start(*a, **k)))
    with recorder(tmp_path, config=LogConfig((), profile=(3, 4))) as log:
        record(log, [1])
        began = time.monotonic()
        record(log, [2, 3, 4, 5])
        took = time.monotonic() - began
    assert log._all.steps == 4
    assert log._all.seconds < took - slow
    assert max(log._recent) < slow
    (file,) = (tmp_path / "profile").glob("plugins/profile/*/*.trace.json.gz")
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    assert [event["args"]["step_num"] for event in events if event.get("name") == "train"] == ["3", "4"]


def test_a_run_that_ends_early_leaves_the_trace_it_has(tmp_path):
    def broken():
        with recorder(tmp_path, config=LogConfig((), profile=(1, 9))) as log:
            record(log, [1, 2])
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert list((tmp_path / "profile").glob("plugins/profile/*/*.xplane.pb"))


def test_steps_to_trace():
    assert parse_steps("10:15") == (10, 15)
    assert parse_steps("") is None
    for text in ("10", "15:10", "0:3", "a:b", "1:2:3"):
        with pytest.raises(ConfigError, match=f"--profile_steps={text}: write the first and the last step"):
            parse_steps(text)
    check_steps((3, 9), 9)
    with pytest.raises(ConfigError, match="--profile_steps=3:9: this run ends at step 8"):
        check_steps((3, 9), 8)


def test_a_run_that_goes_on_behind_the_steps_to_trace_goes_on(tmp_path, caplog):
    with caplog.at_level(logging.INFO), recorder(tmp_path, first=3, config=LogConfig((), profile=(3, 9))) as log:
        record(log, [4, 5])
    assert "no trace: step 3 of --profile_steps is over, the next is 4" in caplog.text
    assert not (tmp_path / "profile").exists()


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_metrics_events_and_a_trace(tmp_path):
    (tmp_path / "data").mkdir()
    with (tmp_path / "data" / "train.jsonl").open("w") as file:
        for i in range(24):
            file.write(json.dumps({"prompt": f"A queue and {i} sinks", "response": f"Object q; // {i}"}) + "\n")
    config = quickstart.get_config("smoke")
    config.model.vision = None
    small = {"data.directory": str(tmp_path / "data"), "data.vocab_size": 300, "pipeline.sequence_length": 64}
    small |= {"train.steps": 3, "train.checkpoint_every": 9, "train.validate_every": 9, "train.log_every": 3}
    config.update_from_flattened_dict(small)
    launch.run(config, tmp_path / "run", "train", profile_steps="2:3")
    found = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert {row["kind"] for row in found} >= {"train", "compile", "speed", "validation"}
    (speed,) = [row for row in found if row["kind"] == "speed"]
    assert speed["step"] == 3
    assert 0 < speed["tokens_per_second"] < speed["padded_tokens_per_second"]
    assert 0 < speed["flops_per_second"] < 1e13
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
    assert list((tmp_path / "run" / "profile").glob("plugins/profile/*/*.xplane.pb"))


# --- Parameters -------------------------------------------------------------------------------------------------------


def test_the_table_of_parameters_has_what_is_trained_and_what_each_device_holds(network):
    mesh = AbstractMesh((2, 2, 1), MESH_AXES)
    optimizer = make_optimizer(OptimizerConfig(), 10)
    rules = ((r"^vision/", False), (r".*", True))
    plan = StatePlan.create(network, optimizer, rules, mesh, frozen_dtype="bfloat16")
    table = describe_parameters(network, plan.abstract, mesh).splitlines()
    parameters = {line.split()[0]: line for line in table[1:-3]}
    assert parameters.keys() == network.shapes.keys()
    for name, line in parameters.items():
        assert line.endswith("frozen, kept in bfloat16" if name.startswith("vision/") else "  trained"), line
    sizes = {name: shape.size for name, shape in network.shapes.items()}
    frozen = sum(size for name, size in sizes.items() if name.startswith("vision/"))
    # All but norms, and what goes from the encoder's width to `mlp`, is spread over the two devices of fsdp.
    whole = [name for name in sizes if "norm" in name or name.startswith("connector/linear_1/")]
    held = sum(size if name in whole else size / 2 for name, size in sizes.items() if not name.startswith("vision/"))
    trained = sum(sizes.values()) - frozen
    assert table[-3] == f"trained: {trained:,} parameters, {4 * held / 2**10:.2f} KiB on each device"
    assert table[-2].startswith(f"frozen: {frozen:,} parameters, ")
    assert table[-1] == f"optimizer: {(8 * held + 8) / 2**10:.2f} KiB on each device"
