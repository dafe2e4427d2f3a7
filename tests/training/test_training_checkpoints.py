import json
import os
import subprocess
import sys
import textwrap

import grain
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from vlsm_jax.training.checkpoints import CheckpointError, Checkpoints
from vlsm_jax.training.frozen_parameters import checksums_of
from vlsm_jax.training.logs import MetricsFile, read_metrics
from vlsm_jax.training.step import TrainState


def state_of(step=0, frozen=None, **trained):
    return TrainState(jnp.int32(step), trained, frozen or {}, ())


def iterator():
    return iter(grain.MapDataset.range(100).to_iter_dataset())


def test_state_data_position_and_facts_come_back(tmp_path):
    data, state = iterator(), state_of(3, a=jnp.arange(6.0))
    first = [next(data) for _ in range(4)]
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, state, data, {"config": {"lr": 0.1}})
    checkpoints.close()
    assert first == [0, 1, 2, 3]
    # As another process would read it.
    data = iterator()
    step, restored, facts = Checkpoints(tmp_path).restore(state, data)
    assert step == 3
    assert restored.step == 3
    np.testing.assert_array_equal(restored.trained["a"], state.trained["a"])
    assert next(data) == 4
    assert facts["config"] == {"lr": 0.1}


def test_a_checkpoint_of_another_shape_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    written = state_of(kept=jnp.zeros(2), gone=jnp.zeros(1), size=jnp.zeros((2, 3)))
    checkpoints.save(5, written, iterator(), {})
    checkpoints.wait()
    other = state_of(kept=jnp.zeros(2), new=jnp.zeros(1), size=jnp.zeros((2, 4)))
    for read in (lambda: checkpoints.restore(other, None), lambda: checkpoints.check(other)):
        with pytest.raises(CheckpointError) as error:
            read()
        message = str(error.value)
    assert "trained/gone: checkpoint only" in message
    assert "trained/new: config only" in message
    assert "trained/size: checkpoint [2, 3], config [2, 4]" in message
    assert "kept" not in message
    assert "--workdir" in message


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no complete checkpoint in"):
        Checkpoints(tmp_path / "new").restore(state_of(), None)
    Checkpoints(tmp_path / "new").check(state_of())  # nothing to compare with


def test_a_full_disk_leaves_the_earlier_checkpoint_whole(tmp_path):
    """The operating system itself refuses the write: no file of the process may grow past the limit."""
    program = """
        import resource, signal, sys
        import grain, jax.numpy as jnp, numpy as np
        from vlsm_jax.training.checkpoints import CheckpointError, Checkpoints
        from vlsm_jax.training.step import TrainState
        data = iter(grain.MapDataset.range(10).to_iter_dataset())
        checkpoints = Checkpoints(sys.argv[1])
        checkpoints.save(1, TrainState(1, {"x": jnp.zeros(8)}, {}, ()), data, {})
        checkpoints.wait()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        noise = np.random.default_rng(0).normal(size=1_000_000)  # does not compress
        try:
            checkpoints.save(2, TrainState(2, {"x": jnp.asarray(noise)}, {}, ()), data, {})
            checkpoints.wait()
        except CheckpointError as error:
            print("refused:", error)
        try:
            checkpoints = Checkpoints(sys.argv[1] + "/new")
            checkpoints.begin(TrainState(0, {}, {"x": jnp.asarray(noise)}, ()))
            checkpoints.wait()
        except CheckpointError as error:
            print("refused:", error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "refused: the checkpoint of step 2 could not be written" in done.stdout, done.stdout + done.stderr
    assert "refused: the frozen parameters could not be written to" in done.stdout
    assert done.stdout.count("the disk is full") == len(done.stdout.strip().splitlines()) == 2
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest_step == 1
    _, state, _ = checkpoints.restore(state_of(x=jnp.ones(8)), None)
    np.testing.assert_array_equal(state.trained["x"], np.zeros(8))


def test_metrics_go_on_from_the_step_resumed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsFile(path)
    for step in (1, 2, 3):
        log.write(step, "train", loss=float(step))
    log.close()
    with path.open("a") as file:
        file.write('{"step": 4, "kind": "tr')  # a kill in the middle of a line
    log = MetricsFile(path, resume_step=2)
    log.write(3, "train", loss=30.0)
    log.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_run_whose_metrics_are_gone_has_none(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []  # its checkpoints can be evaluated all the same


def test_reading_only_writes_nothing(tmp_path):
    with pytest.raises(CheckpointError, match=r"no complete checkpoint in .*; train first"):
        Checkpoints(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    begun = tmp_path / "7.orbax-checkpoint-tmp-1"
    begun.mkdir()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest_step is None
    assert begun.exists()


def test_what_was_left_half_written_is_gone_before_anything_is_written(tmp_path):
    """Were it removed meanwhile, what is being written under the same name would go with it."""
    for name in ("7.orbax-checkpoint-tmp", "frozen.orbax-checkpoint-tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text("of something")
    with Checkpoints(tmp_path) as checkpoints:
        assert not list(tmp_path.iterdir())
        checkpoints.begin(state_of(0, frozen={"f": jnp.arange(5.0)}))
    assert [path.name for path in tmp_path.iterdir()] == ["frozen"]


def test_the_newest_and_the_best_checkpoint_stay(tmp_path):
    losses = {1: 3.0, 2: 1.0, 3: 2.0, 4: None, 5: float("nan"), 6: 1.5}
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.best is None
        for step, loss in losses.items():
            checkpoints.save(step, state_of(step, x=jnp.ones(1)), iterator(), {}, loss)
    # As another process sees it, one that goes on as well as one that only reads.
    for options in ({"read_only": True}, {"keep": 1}):
        with Checkpoints(tmp_path, **options) as checkpoints:
            assert checkpoints.best == (2, 1.0)
            assert (checkpoints.step_of("best"), checkpoints.step_of("last")) == (2, 6)
            assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"2", "5", "6"}
            _, state, _ = checkpoints.restore(state_of(x=jnp.zeros(1)), None, checkpoints.step_of("best"))
            assert state.step == 2
    with Checkpoints(tmp_path, keep=1) as checkpoints:  # knows what was best before it
        checkpoints.save(7, state_of(7, x=jnp.ones(1)), iterator(), {}, 1.2)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.best == (2, 1.0)
        assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"2", "7"}


def test_without_validation_none_is_the_best(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state_of(x=jnp.ones(1)), iterator(), {})
        checkpoints.wait()
        with pytest.raises(CheckpointError, match="has a validation loss, so none is the best"):
            checkpoints.step_of("best")


FROZEN = {
    "decoder/codes": jnp.asarray(np.random.default_rng(0).integers(0, 256, (300, 400)), jnp.uint8),  # does not compress
    "decoder/scale": jnp.full(3, 1.5),
}


def frozen_run(folder, frozen=FROZEN):
    with Checkpoints(folder) as checkpoints:
        checkpoints.begin(state_of(frozen=frozen))
        for step in (1, 2):
            checkpoints.save(step, state_of(step, frozen, x=jnp.ones(1)), iterator(), {})


def test_frozen_parameters_are_written_once_and_read_with_every_checkpoint(tmp_path):
    frozen_run(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert sum(path.stat().st_size for path in (tmp_path / "2").rglob("*")) < FROZEN["decoder/codes"].nbytes / 2
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0])),
        state_of(frozen=FROZEN, x=jnp.ones(1)),
    )
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        for step in (1, 2):
            _, state, _ = checkpoints.restore(abstract, None, step)
            assert state.step == step
            for name, value in FROZEN.items():
                np.testing.assert_array_equal(state.frozen[name], value)
                assert state.frozen[name].dtype == value.dtype
        # Frozen parameters may be kept in another dtype from now on.
        half = jax.ShapeDtypeStruct((3,), jnp.bfloat16, sharding=abstract.frozen["decoder/scale"].sharding)
        _, state, _ = checkpoints.restore(abstract._replace(frozen=abstract.frozen | {"decoder/scale": half}), None)
        assert state.frozen["decoder/scale"].dtype == jnp.bfloat16
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with Checkpoints(tmp_path) as checkpoints:  # going on
        _, state, _ = checkpoints.restore(abstract, None)
        checkpoints.save(3, state, iterator(), {})
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        checkpoints.restore(abstract, None, 3)


def test_frozen_parameters_of_another_run_are_refused(tmp_path):
    frozen_run(tmp_path / "one")
    # One bit of one element differs.
    frozen_run(tmp_path / "two", FROZEN | {"decoder/codes": FROZEN["decoder/codes"].at[3, 4].add(1)})
    state = state_of(frozen=FROZEN, x=jnp.ones(1))
    (tmp_path / "one" / "frozen").rename(tmp_path / "away")
    with Checkpoints(tmp_path / "one") as checkpoints:
        for read in (checkpoints.check, lambda state: checkpoints.restore(state, None)):
            with pytest.raises(CheckpointError, match=r"one/frozen is not there; bring that folder back"):
                read(state)
        (tmp_path / "two" / "frozen").rename(tmp_path / "one" / "frozen")
        with pytest.raises(CheckpointError, match=r"are not those that the checkpoint of step 2 was .*") as error:
            checkpoints.restore(state, None)
        assert "decoder/codes" in str(error.value)
        assert "decoder/scale" not in str(error.value)
        other = state_of(frozen={"decoder/codes": FROZEN["decoder/codes"]}, x=jnp.ones(1))
        with pytest.raises(CheckpointError, match="frozen/decoder/scale: checkpoint only"):
            checkpoints.restore(other, None)


def test_checkpoints_that_hold_their_frozen_parameters_are_read_and_gone_on_from(tmp_path):
    """As earlier versions wrote them."""
    state = state_of(1, FROZEN, x=jnp.ones(1))
    items = {"state": ocp.args.StandardSave(state)}
    items |= {"data": ocp.args.JsonSave(iterator().get_state()), "facts": ocp.args.JsonSave({})}
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=ocp.args.Composite(**items))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.best is None
        _, restored, _ = checkpoints.restore(state, None)
        np.testing.assert_array_equal(restored.frozen["decoder/codes"], FROZEN["decoder/codes"])
    assert not (tmp_path / "frozen").exists()
    with Checkpoints(tmp_path) as checkpoints:
        _, restored, _ = checkpoints.restore(state, None)
        checkpoints.save(2, restored, iterator(), {})
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        for step in (1, 2):
            _, restored, _ = checkpoints.restore(state, None, step)
            np.testing.assert_array_equal(restored.frozen["decoder/codes"], FROZEN["decoder/codes"])


def test_checksums_are_the_same_on_any_mesh():
    program = """
        import jax, numpy as np
        from jax.sharding import NamedSharding, PartitionSpec as P
        from vlsm_jax.sharding import make_mesh
        from vlsm_jax.training.frozen_parameters import checksums_of
        value = np.random.default_rng(0).normal(size=(3, 16, 8)).astype(np.float32)
        mesh = make_mesh(data=1, fsdp=4, tensor=2)
        places = [P(), P(None, "fsdp"), P(None, "tensor", "fsdp"), P(None, ("fsdp", "tensor"))]
        sharded = [checksums_of({"x": jax.device_put(value, NamedSharding(mesh, place))}) for place in places]
        print(checksums_of({"x": jax.device_put(value, jax.devices()[0])}), *sharded, sep="\\n")
    """
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert len(set(lines)) == 1


def test_checksums_see_every_bit_and_place():
    noise = np.random.default_rng(0)
    arrays = {
        "f32": jnp.asarray(noise.normal(size=(4, 6)), jnp.float32),
        "bf16": jnp.asarray(noise.normal(size=(4, 6)), jnp.bfloat16),
        "u8": jnp.asarray(noise.integers(0, 256, (4, 6)), jnp.uint8),
        "layers": jnp.asarray(noise.integers(0, 256, (4, 6, 5)), jnp.uint8),
    }
    before = checksums_of(arrays)
    assert before == checksums_of(arrays)
    for name, value in arrays.items():
        swapped = value.at[0, 1].set(value[3, 2]).at[3, 2].set(value[0, 1])
        for changed in (swapped, value.at[2, 5].set(0), value.swapaxes(0, 1).reshape(value.shape)):
            assert checksums_of(arrays | {name: changed})[name] != before[name]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("3/state", "/3 is damaged.*move that folder away, and the same command goes on from step 2"),
        ("3/data", "/3 is damaged.*goes on from step 2"),
        ("3/state/ocdbt.process_0/d", "/3 is damaged.*goes on from step 2"),
        ("3/facts", "/3 is damaged.*goes on from step 2"),
        ("3/metrics", " is damaged, in its file metrics/metrics"),
        ("frozen", "/frozen are damaged.*bring that folder back"),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path, part, said):
    noise = np.random.default_rng(0).normal(size=(64, 64))  # too large to stand in the index of arrays
    state = state_of(3, frozen={"f": jnp.arange(5.0)}, a=jnp.asarray(noise))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.begin(state)
    for step in (2, 3):
        checkpoints.save(step, state, iterator(), {}, validation_loss=0.5)
    checkpoints.close()
    for path in (tmp_path / part).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=f"{tmp_path}{said}"):
        Checkpoints(tmp_path).restore(state, iterator())
